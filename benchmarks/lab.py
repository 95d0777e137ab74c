"""Time from stroke to answer in the lab: over HTTP with 1 and with 20 parallel clients, and in Chromium.

Run from the root: `python -m benchmarks.lab [reader]`; it starts its own lab on a free port and prints Markdown tables
of medians and 95th percentiles in milliseconds. Over HTTP, a drawing of a 7 is sent on a persistent connection and the
answer is read, with saliency. In Chromium (if it and Playwright are installed), a 7 is drawn with the mouse; the time
runs from lifting the pen to the last answer on the page.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SEVEN = [[[150, 60], [200, 60], [250, 62], [235, 100], [215, 150], [195, 200], [185, 230]]]
ROUNDS = 200
CLIENTS = 20
DRAWINGS = 30


@contextmanager
def lab() -> Iterator[int]:
    """Run a lab inside the block; yields its port."""
    server = subprocess.Popen(
        [sys.executable, "-m", "stages.lab", "--port", "0", "--no-browser"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    found = re.search(r":(\d+)/", server.stdout.readline())
    if found is None:
        raise SystemExit("the lab did not start")
    try:
        yield int(found[1])
    finally:
        server.terminate()
        server.wait()


def ask(connection: http.client.HTTPConnection, body: bytes) -> float:
    """Milliseconds until the complete answer."""
    started = time.perf_counter()
    connection.request("POST", "/api/paint", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise SystemExit(content.decode())
    return (time.perf_counter() - started) * 1000


def client(port: int, body: bytes, rounds: int, into: list[float]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    into += [ask(connection, body) for _ in range(rounds)]
    connection.close()


def over_http(port: int, reader: str, clients: int) -> list[float]:
    body = json.dumps({"reader": reader, "strokes": SEVEN, "saliency": True}).encode()
    client(port, body, 10, [])  # warm-up: loads the reader
    times: list[float] = []
    threads = [
        threading.Thread(target=client, args=(port, body, max(ROUNDS // clients, 20), times))
        for _ in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def readers_of(port: int) -> list[str]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/api/readers")
    found = [reader["name"] for reader in json.loads(connection.getresponse().read())]
    connection.close()
    return found


# Intermediate answers arrive while the pen moves: only the last answer after lifting the pen counts.
WATCH = """() => {
  window.times = [];
  let lifted = 0, last = null;
  const canvas = document.getElementById("paint-canvas"), answer = document.getElementById("paint-answer");
  canvas.addEventListener("pointerup", () => { lifted = performance.now(); last = null; }, true);
  new MutationObserver(() => { if (lifted) last = performance.now() - lifted; })
    .observe(answer, { childList: true, characterData: true, subtree: true });
  window.settle = () => { if (last !== null) window.times.push(last); lifted = 0; };
}"""
SETTLED = 400  # ms without an answer after which none is pending


def in_chromium(port: int, reader: str) -> list[float]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.goto(f"http://127.0.0.1:{port}/#paint")
        page.wait_for_selector(f"#paint-reader option[value='{reader}']", state="attached")
        page.select_option("#paint-reader", reader)
        page.evaluate(WATCH)
        box = page.locator("#paint-canvas").bounding_box()
        assert box is not None
        for _ in range(DRAWINGS):
            if page.is_enabled("#paint-clear"):
                page.click("#paint-clear")
            page.wait_for_timeout(150)
            page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.2)
            page.mouse.down()
            page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.2, steps=10)
            page.mouse.move(
                box["x"] + box["width"] * 0.38, box["y"] + box["height"] * 0.8, steps=10
            )
            page.mouse.up()
            page.wait_for_timeout(SETTLED)
            page.evaluate("() => window.settle()")
        times: list[float] = page.evaluate("() => window.times")
        browser.close()
    return times


def row(name: str, times: list[float]) -> str:
    return (
        f"| {name} | {len(times)} | {statistics.median(times):.0f} | "
        f"{statistics.quantiles(times, n=20)[-1]:.0f} |"
    )


def main() -> None:
    if len(sys.argv) > 2:
        raise SystemExit("usage: python -m benchmarks.lab [reader]")
    with lab() as port:
        names = sys.argv[1:] or readers_of(port)
        print(
            "| stroke to answer | answers | median, ms | 95th percentile, ms |\n|---|--:|--:|--:|"
        )
        for name in names:
            print(row(f"`{name}`, HTTP, 1 client", over_http(port, name, 1)), flush=True)
            print(
                row(f"`{name}`, HTTP, {CLIENTS} clients at once", over_http(port, name, CLIENTS)),
                flush=True,
            )
            if shutil.which("chromium"):
                print(row(f"`{name}`, Chromium", in_chromium(port, name)), flush=True)


if __name__ == "__main__":
    main()
