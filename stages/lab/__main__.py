"""Open the lab in a browser: `python -m stages.lab [--port 8000] [--host 127.0.0.1] [--no-browser]`.

Reads   data, metrics, plots, params.yaml, dvc.lock: what the pipeline found; pretrained; and what is uploaded
Writes  data/lab alone: readers trained here and the files that they learn from
Params  every section, to start from the study's own settings

It listens on this machine only, unless --host is given; then everybody who reaches that address may use it.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from stages.command import run
from stages.lab.app import create_app
from stages.lab.loaded_readers import Desk
from stages.params import refuse_foreign_code
from stages.reader.inference import choose_device
from stages.reader.precision import arithmetic, choose_precision

HOME = Path("data/lab")
PRETRAINED = Path("pretrained")


def main() -> None:
    given = arguments(sys.argv[1:])
    refuse_foreign_code()
    listener = listen(given.host, given.port)
    host = given.host
    port = listener.getsockname()[1]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    device = choose_device("auto")
    print(f"lab: {address} (Ctrl+C ends it)", flush=True)
    print(f"lab: reads in {arithmetic(choose_precision('auto', device), device)}", flush=True)
    if not is_loopback(host):
        print(
            f"note: whoever reaches {host} can use the lab and train on this machine",
            file=sys.stderr,
            flush=True,
        )
    app = create_app(Desk(HOME, pretrained=PRETRAINED), hosts=[host])
    if not given.no_browser and sys.stdout.isatty():
        threading.Timer(1.0, webbrowser.open, [address]).start()
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", server_header=False, timeout_graceful_shutdown=3)
    )
    server.run(sockets=[listener])


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m stages.lab", allow_abbrev=False, description="Open the lab."
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=_port, default=8000, help="0 takes a free one (default: %(default)s)"
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address only")
    return parser.parse_args(words)


def _port(word: str) -> int:
    if not (word.isdecimal() and int(word) <= 65535):
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {word!r}")
    return int(word)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ValueError if the address is not available."""
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1 if os.name == "posix" else 0)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise ValueError(
            f"--host {host} --port {port}: cannot listen there ({error.strerror}): is a lab running "
            "already? choose another --port, or 0 for a free one"
        ) from None
    return listener


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    run(main)
