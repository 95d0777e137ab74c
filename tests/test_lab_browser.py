"""The lab in a real Chromium: mouse, touch and keys, files, reloads, and nothing asked of others."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from lab_in_browser import SWITCHES, browser_path, copy_project, git, lab
from lab_readers import csv, keep
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from stages.captcha.glyphs import GlyphSet
from stages.sources.glyph_sources import load_glyphs

PARTS = ("paint", "bench", "train", "results")
SLOW = 60_000  # ms, of what a busy machine may take
# Points of strokes, as shares of the box that a character has.
SEVEN = [[(0.1, 0.1), (0.9, 0.1), (0.4, 0.95)]]
ONE = [[(0.5, 0.05), (0.5, 0.95)]]
FOUR = [[(0.3, 0.05), (0.1, 0.55), (0.9, 0.55)], [(0.75, 0.05), (0.7, 0.95)]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For this file alone: its event loop, as long as it runs, keeps other tests from one of their own."""
    path = browser_path()
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    expect.set_options(timeout=SLOW)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=list(SWITCHES))


@pytest.fixture(scope="module")
def digits() -> GlyphSet:
    return load_glyphs(
        "digits",
        "",
        alphabet="0123456789",
        emnist_split="balanced",
        validation=0.1,
        test=0.2,
        rng=np.random.default_rng(0),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with an untrained reader of captchas, and an experiment beside HEAD."""
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    keep(folder / "data" / "readers" / "noisy", height=40, width=128)
    return folder


@pytest.fixture(scope="module")
def address(browser: Browser, folder: Path) -> Iterator[str]:
    with lab(folder) as address:
        yield address


@pytest.fixture
def context(browser: Browser, address: str) -> Iterator[BrowserContext]:
    """A fresh profile whose pages ask nobody else, and say nothing on the console."""
    context = browser.new_context(
        viewport={"width": 1200, "height": 900}, base_url=address, accept_downloads=True
    )
    context.set_default_timeout(SLOW)
    said: list[str] = []
    asked: list[str] = []
    context.on(
        "console",
        lambda message: said.append(message.text) if message.type in ("error", "warning") else None,
    )
    context.on("weberror", lambda error: said.append(str(error.error)))
    context.on("request", lambda request: asked.append(request.url))
    yield context
    context.close()
    assert said == []
    elsewhere = [
        url
        for url in asked
        if urlsplit(url).scheme in ("http", "https", "ws", "wss")
        and urlsplit(url).hostname != "127.0.0.1"
    ]
    assert asked, "the page was never opened"
    assert elsewhere == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def open_part(page: Page, part: str, setting: str = "") -> None:
    page.goto(f"/#{part}{setting}")
    expect(page.locator(f"#part-{part}")).to_be_visible()


@pytest.fixture(scope="module")
def trained(
    browser: Browser, address: str, digits: GlyphSet, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The name of a reader that was trained on a CSV in the page, to the end, and saved."""
    folder = tmp_path_factory.mktemp("csv")
    characters = np.array(list(digits.alphabet))[digits.labels]
    train = digits.pool < 2
    test = digits.pool == 2
    (folder / "train.csv").write_bytes(csv(digits.images[train], characters[train].tolist()))
    (folder / "test.csv").write_bytes(csv(digits.images[test]))
    context = browser.new_context(base_url=address)
    page = context.new_page()
    open_part(page, "train")
    page.set_input_files("#train-file-train", folder / "train.csv")
    expect(page.locator("#train-files")).to_contain_text(f"train.csv, {train.sum()} rows")
    page.set_input_files("#train-file-test", folder / "test.csv")
    expect(page.locator("#train-files")).to_contain_text("no labels")
    expect(page.locator("#train-source")).to_have_value("file")
    page.fill("#train-channels", "12")
    page.fill("#train-epochs", "6")
    page.click("#train-start")
    expect(page.locator("#train-state")).to_contain_text("epoch")
    expect(page.locator("#train-state")).to_have_text("Trained.", timeout=3 * SLOW)
    page.fill("#train-name", "drawn")
    page.click("#train-save")
    expect(page.locator("#train-saved")).to_contain_text("lab/drawn")
    context.close()
    return "lab/drawn"


def draw(
    page: Page, strokes: list[list[tuple[float, float]]], left: float = 0.3, width: float = 0.25
) -> None:
    """With the mouse, in a box of the canvas that begins at the share `left` of its width."""
    box = page.locator("#paint-canvas").bounding_box()
    assert box is not None
    for stroke in strokes:
        points = [
            (
                box["x"] + box["width"] * (left + width * x),
                box["y"] + box["height"] * (0.15 + 0.7 * y),
            )
            for x, y in stroke
        ]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=12)
        page.mouse.up()


def picture(canvas: Locator) -> str:
    data: str = canvas.evaluate("canvas => canvas.toDataURL()")
    return data


def test_a_7_drawn_with_the_mouse_is_read_and_explained(page: Page, trained: str) -> None:
    open_part(page, "paint")
    expect(page.locator("#paint-reader")).to_have_value(
        trained
    )  # the last that reads single characters
    expect(page.locator("#paint-answer")).to_have_text("")
    expect(page.locator("#paint-empty")).to_be_visible()
    draw(page, SEVEN)
    expect(page.locator("#paint-answer")).to_have_text("7")
    expect(page.locator("#paint-characters li")).to_have_count(11)  # ten digits and "no character"
    expect(page.locator("#paint-characters li.chosen")).to_contain_text("7")
    shares = page.locator("#paint-characters meter").evaluate_all(
        "bars => bars.map((bar) => bar.value)"
    )
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    expect(page.locator("#paint-legend")).to_be_visible()
    with_map = picture(page.locator("#paint-characters canvas"))
    page.uncheck("#paint-saliency")
    expect(page.locator("#paint-legend")).to_be_hidden()
    assert picture(page.locator("#paint-characters canvas")) != with_map


def test_the_answer_comes_while_the_pen_is_still_down(page: Page, trained: str) -> None:
    open_part(page, "paint")
    expect(page.locator("#paint-reader")).to_have_value(trained)
    box = page.locator("#paint-canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 150, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 250, box["y"] + 50, steps=10)
    expect(page.locator("#paint-answer")).not_to_have_text("")
    page.mouse.up()


def test_characters_side_by_side_are_read_undone_and_cleared(page: Page, trained: str) -> None:
    open_part(page, "paint")
    expect(page.locator("#paint-reader")).to_have_value(trained)
    for place, strokes in enumerate((SEVEN, ONE, FOUR)):
        draw(page, strokes, 0.08 + 0.3 * place, 0.2)
    expect(page.locator("#paint-answer")).to_have_text("714")
    expect(page.locator("#paint-state")).to_have_text("4 strokes.")
    page.click("#paint-undo")
    page.click("#paint-undo")
    expect(page.locator("#paint-answer")).to_have_text("71")
    page.click("#paint-clear")
    expect(page.locator("#paint-answer")).to_have_text("")
    expect(page.locator("#paint-empty")).to_be_visible()
    expect(page.locator("#paint-clear")).to_be_disabled()


def test_a_finger_draws(browser: Browser, address: str, trained: str) -> None:
    context = browser.new_context(
        base_url=address, has_touch=True, viewport={"width": 390, "height": 800}
    )
    page = context.new_page()
    open_part(page, "paint")
    expect(page.locator("#paint-reader")).to_have_value(trained)
    page.locator("#paint-canvas").scroll_into_view_if_needed()
    box = page.locator("#paint-canvas").bounding_box()
    assert box is not None
    touch = context.new_cdp_session(page)
    points = [
        {"x": box["x"] + box["width"] * x, "y": box["y"] + box["height"] * y}
        for x, y in [(0.3, 0.2), (0.4, 0.2), (0.5, 0.2), (0.45, 0.4), (0.4, 0.6), (0.37, 0.85)]
    ]
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points[:1]})
    for point in points[1:]:
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(page.locator("#paint-answer")).to_have_text("7")
    expect(page.locator("#paint-state")).to_have_text("1 stroke.")
    context.close()


def test_keys_alone_reach_every_part_and_draw(page: Page, trained: str) -> None:
    open_part(page, "results")
    page.locator("body").press("Tab")
    for _ in range(4):
        if page.evaluate("document.activeElement.dataset.part") == "paint":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#part-paint")).to_be_visible()
    expect(page.locator("#paint-reader")).to_have_value(trained)
    for _ in range(30):
        if page.evaluate("document.activeElement.id") == "paint-canvas":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.locator("#paint-state")).to_have_text("1 stroke, the pen is down.")
    for _ in range(4):
        page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Space")
    expect(page.locator("#paint-state")).to_have_text("1 stroke, the pen is up.")
    expect(page.locator("#paint-answer")).to_have_text("1")
    page.keyboard.press("Control+z")
    expect(page.locator("#paint-state")).to_contain_text("The canvas is empty")
    expect(page.locator("#paint-answer")).to_have_text("")


def test_a_slider_changes_the_captcha_and_the_address_and_the_link_brings_it_back(
    page: Page, address: str
) -> None:
    open_part(page, "bench", "?text=2046&noise=gaussian:0.2&source=digits")
    expect(page.locator("#bench-told")).to_contain_text("Text 2046")
    before = picture(page.locator("#bench-image"))
    page.locator("#bench-level-1").focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#bench-level-1-shown")).to_have_text("0.3")
    expect(page.locator("#bench-told")).to_contain_text("changed by 0.30")
    page.click("#bench-add")
    with page.expect_response(
        lambda answer: "/rates" in answer.url and "fog" in (answer.request.post_data or "")
    ):
        page.select_option("#bench-noise-2", "fog")
    expect(page.locator("#bench-readers td small").last).to_have_text(re.compile(r"\d to \d"))
    expect(page).to_have_url(re.compile("noise=fog"))
    after = picture(page.locator("#bench-image"))
    assert after != before
    link = page.url
    page.goto("about:blank")
    with page.expect_response(lambda answer: "/rates" in answer.url):
        page.goto(link)
    expect(page.locator("#bench-told")).to_contain_text("Text 2046")
    expect(page.locator("#bench-level-1-shown")).to_have_text("0.3")
    assert picture(page.locator("#bench-image")) == after


def test_the_picture_that_is_downloaded_is_the_one_shown(page: Page) -> None:
    open_part(page, "bench", "?text=31&noise=speckle:0.3&source=digits")
    expect(page.locator("#bench-told")).to_contain_text("Text 31")
    with page.expect_download() as found:
        page.click("#bench-download")
    assert found.value.suggested_filename == "31_speckle-0.3.png"
    downloaded = np.asarray(Image.open(found.value.path()).convert("RGB"))
    shown = base64.b64decode(picture(page.locator("#bench-image")).partition(",")[2])
    np.testing.assert_array_equal(
        downloaded, np.asarray(Image.open(io.BytesIO(shown)).convert("RGB"))
    )


def test_an_uploaded_captcha_is_read(page: Page, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (34, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    open_part(page, "bench")
    expect(page.locator("#bench-told")).to_contain_text("px")
    page.set_input_files("#bench-file", tmp_path / "mine.png")
    expect(page.locator("#bench-status")).to_contain_text("mine.png, 90 × 34 px")
    expect(page.locator("#bench-told")).to_contain_text("90 × 34 px")
    page.fill("#bench-text", "123")
    expect(page.locator("#bench-summary")).to_contain_text("Read right by")


def test_a_text_file_is_refused_in_one_line(browser: Browser, address: str, tmp_path: Path) -> None:
    (tmp_path / "not.png").write_text("no picture")
    page = browser.new_page(base_url=address)  # Chromium says every refusal on the console
    open_part(page, "bench")
    expect(page.locator("#bench-told")).to_contain_text("px")
    page.set_input_files("#bench-file", tmp_path / "not.png")
    expect(page.locator("#error")).to_contain_text("upload: expected an image")
    expect(page.locator("#bench-told")).to_contain_text("px")  # the captcha stays
    page.close()


@pytest.mark.parametrize(("event", "field"), [("drop", "dataTransfer"), ("paste", "clipboardData")])
def test_a_picture_that_is_dropped_or_pasted_is_taken(page: Page, event: str, field: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((30, 70, 3), 200, np.uint8)).save(buffer, "PNG")
    open_part(page, "bench")
    expect(page.locator("#bench-told")).to_contain_text("px")
    page.locator("#bench-drop").evaluate(
        """(target, [bytes, event, field]) => {
             const given = new DataTransfer(), options = { bubbles: true, cancelable: true, [field]: given };
             given.items.add(new File([new Uint8Array(bytes)], "mine.png", { type: "image/png" }));
             const Kind = event === "drop" ? DragEvent : ClipboardEvent;
             target.dispatchEvent(new Kind(event, options));
           }""",
        [list(buffer.getvalue()), event, field],
    )
    expect(page.locator("#bench-status")).to_contain_text("mine.png, 70 × 30 px")


def test_a_saved_reader_is_listed_loaded_and_answers_the_test_file(
    page: Page, trained: str, digits: GlyphSet
) -> None:
    open_part(page, "train")
    row = page.locator("#train-readers tr", has_text=trained)
    expect(row).to_contain_text("0123456789")
    with page.expect_download() as found:
        row.get_by_text("Submission").click()
    lines = Path(found.value.path()).read_text().splitlines()
    truth = np.array(list(digits.alphabet))[digits.labels][digits.pool == 2]
    assert lines[0] == "ImageId,Label"
    assert [line.partition(",")[0] for line in lines[1:]] == [
        str(i) for i in range(1, len(truth) + 1)
    ]
    assert np.mean([line.partition(",")[2] for line in lines[1:]] == truth) > 0.8
    row.get_by_text("Load and paint").click()
    expect(page.locator("#part-paint")).to_be_visible()
    expect(page.locator("#paint-reader")).to_have_value(trained)


def test_a_training_survives_a_reload_refuses_a_second_and_is_stopped(
    page: Page, trained: str
) -> None:
    open_part(page, "train")
    page.select_option("#train-source", "digits")
    page.fill("#train-epochs", "400")
    page.fill("#train-channels", "4")
    page.click("#train-start")
    expect(page.locator("#train-history tr")).not_to_have_count(0)
    page.reload()
    expect(page.locator("#train-state")).to_contain_text("of 400")
    expect(page.locator("#train-history tr")).not_to_have_count(0)
    expect(page.locator("#train-start")).to_be_disabled()
    shown = page.locator("#train-history tr").count()
    expect(page.locator("#train-history tr").nth(shown)).to_be_attached()  # it goes on
    second = page.request.post(
        "/api/train",
        data=json.dumps({"source": "digits"}),
        headers={"Content-Type": "application/json"},
    )
    assert second.status == 409
    assert page.locator("#train-loss polyline").count() == 2
    page.click("#train-stop")
    expect(page.locator("#train-state")).to_have_text("Stopped.")
    expect(page.locator("#train-save")).to_be_enabled()


@pytest.mark.parametrize("part", PARTS)
def test_a_phone_shows_each_part_without_scrolling_sideways(
    context: BrowserContext, part: str
) -> None:
    page = context.new_page()
    page.set_viewport_size({"width": 390, "height": 800})
    open_part(page, part)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    sizes = page.locator("button:visible, select:visible, .button:visible").evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect()).map((box) => Math.min(box.width, box.height))"
    )
    assert all(size >= 24 for size in sizes)  # px, WCAG 2.5.8


NAMELESS = """() => {
  const kinds = "input, select, button, textarea, canvas, img, svg[role], meter, progress";
  const named = (one) => one.labels?.length || one.textContent.trim()
    || ["aria-label", "aria-labelledby", "alt"].some((name) => one.getAttribute(name));
  return [...document.querySelectorAll(kinds)].filter((one) => !named(one)).map((one) => one.outerHTML.slice(0, 100));
}"""

FAINT = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (text) => channels(text).slice(0, 3).map((c) => c / 255)
    .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (one) => { for (; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor;
    if ((channels(colour)[3] ?? 1) > 0) return colour;
  } return "rgb(255, 255, 255)"; };
  const found = [];
  for (const one of document.querySelectorAll("main *, header *")) {
    const words = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!words || !one.checkVisibility() || one.closest(":disabled, svg, option")) continue;
    const [a, b] = [light(getComputedStyle(one).color), light(ground(one))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push(`${one.tagName} ${one.textContent.trim().slice(0, 30)}`);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_control_has_a_name_and_every_word_contrast(
    page: Page, trained: str, scheme: Any
) -> None:
    page.emulate_media(color_scheme=scheme)
    open_part(page, "paint")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(re.findall(r"\d+", ground)[0]) > 127) == (scheme == "light")
    draw(page, SEVEN)
    expect(page.locator("#paint-answer")).to_have_text("7")
    for part in PARTS:
        open_part(page, part)
        page.wait_for_load_state("networkidle")
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate(FAINT) == []


def test_the_skip_link_leads_to_the_content_of_the_same_part(page: Page) -> None:
    open_part(page, "train")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    expect(page.locator("#part-train")).to_be_visible()


def test_focus_is_seen_and_headings_come_in_order(page: Page) -> None:
    for part in PARTS:
        open_part(page, part)
        page.wait_for_load_state("networkidle")
        headings = page.locator(f"h1, #part-{part} :is(h2, h3, h4)")
        levels = headings.evaluate_all("all => all.map((one) => Number(one.tagName[1]))")
        assert levels[:2] == [1, 2]
        assert all(after <= before + 1 for before, after in pairwise(levels))
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_the_results_show_the_figures_of_the_pipeline(page: Page) -> None:
    open_part(page, "results")
    pictures = page.locator("#part-results img")
    expect(pictures.first).to_be_visible()
    assert pictures.count() >= 10
    for index in range(pictures.count()):
        pictures.nth(index).scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    widths = pictures.evaluate_all(
        "all => all.filter((one) => one.checkVisibility()).map((one) => one.naturalWidth)"
    )
    assert all(widths)


def test_a_lab_that_has_ended_is_told(browser: Browser, folder: Path) -> None:
    with lab(folder) as address:
        page = browser.new_page(base_url=address)
        open_part(page, "paint")
        page.wait_for_load_state("networkidle")
    page.evaluate("location.hash = 'train'")
    expect(page.locator("#error")).to_have_text("The lab does not answer: is it still running?")
    page.close()


def test_git_sees_nothing_that_the_lab_did_outside_its_folder(
    address: str, folder: Path, trained: str
) -> None:
    changed = git(folder, "status", "--porcelain", "--untracked-files=all").splitlines()
    assert changed
    assert [
        line for line in changed if not re.search(r" data/(lab|readers)/|__pycache__", line)
    ] == []
