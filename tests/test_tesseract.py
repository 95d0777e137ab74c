"""Tesseract as a reader: what it is given, what becomes of its answer, and how its absence is told."""

from __future__ import annotations

import importlib.util
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stages.reader.alternatives import tesseract
from stages.reader.alternatives.tesseract import (
    LINE,
    MARGIN,
    Tesseract,
    characters_of,
    choose_language,
    require_tesseract,
)
from stages.reader.decoding import to_texts

DIGITS = "0123456789"
PACKAGE = importlib.util.find_spec("pytesseract") is not None
HERE = PACKAGE and shutil.which("tesseract") is not None
needs_tesseract = pytest.mark.skipif(
    not HERE, reason="Tesseract is not here: apt-get install tesseract-ocr, pip install pytesseract"
)
needs_package = pytest.mark.skipif(
    not PACKAGE, reason="pytesseract is not here: pip install pytesseract"
)


def printed(
    text: str,
    ink: tuple[int, int, int] = (0, 0, 0),
    ground: tuple[int, int, int] = (255, 255, 255),
    size: tuple[int, int] = (40, 128),
) -> np.ndarray:
    """One image (H, W, 3) of a text in OpenCV's font."""
    image = np.full((*size, 3), ground, np.uint8)
    cv2.putText(image, text, (12, size[0] - 9), cv2.FONT_HERSHEY_SIMPLEX, 1.0, ink, 2, cv2.LINE_AA)
    return image


def program(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program called tesseract, and nothing else, on the path."""
    path = folder / "tesseract"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_a_missing_program_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for refused in (require_tesseract, lambda: Tesseract(DIGITS, positions=4)):
        with pytest.raises(
            ValueError,
            match=r"tesseract.*: install it \(apt-get install tesseract-ocr; "
            r"pip install pytesseract\) or leave such readers out$",
        ) as error:
            refused()
        assert "\n" not in str(error.value)


def test_a_missing_package_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytesseract", None)
    with pytest.raises(
        ValueError, match=r"^the package pytesseract is missing .*: install it \(apt-get"
    ):
        require_tesseract()


@needs_package
@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            "echo 'tesseract 4.1.1'",
            r"^tesseract: expected version 5.0 or later, got 4.1.1: install it",
        ),
        (
            "echo 'tesseract 3.02'",
            r"^the program tesseract cannot be used \(Invalid tesseract version.*\): install it",
        ),
        ("exit 3", r"^the program tesseract cannot be used \(.*exit status 3.*\): install it"),
    ],
)
def test_a_program_that_is_too_old_or_broken_is_told(
    script: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, script, monkeypatch)
    with pytest.raises(ValueError, match=told) as error:
        require_tesseract()
    assert "\n" not in str(error.value)


@needs_package
def test_the_version_is_that_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "echo 'tesseract 5.7.2'", monkeypatch)
    assert require_tesseract() == "5.7.2"


def write_language(path: Path, characters: str | None) -> None:
    """A traineddata file whose neural engine knows these characters, or which has no such engine."""
    entries = {17: b"network", 23: b"version"}
    if characters is not None:
        lines = [
            "NULL 0 Common 0",
            "Joined 7 0 Latin 1",
            *(f"{one} 5 0 Common 2" for one in characters),
            "",
        ]
        entries[21] = "\n".join([str(len(lines) - 1), *lines]).encode()
    start = 4 + 8 * 24
    places = [-1] * 24
    body = b""
    for number in sorted(entries):
        places[number] = start + len(body)
        body += entries[number]
    path.write_bytes(struct.pack("<i24q", 24, *places) + body)


@pytest.fixture
def languages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four languages that a program lists."""
    for name, characters in {
        "eng": "0123abcd",
        "osd": None,
        "bul": "абвг0123",
        "Cyrillic": "абвгґab",
    }.items():
        write_language(tmp_path / f"{name}.traineddata", characters)
    names = "".join(f"echo {name};" for name in ("Cyrillic", "bul", "eng", "osd"))
    program(
        tmp_path,
        f"""echo 'List of available languages in "{tmp_path}/" (4):'; {names}""",
        monkeypatch,
    )
    return tmp_path


@pytest.mark.parametrize(
    ("alphabet", "language"),
    [
        ("0123", "eng"),
        ("ab", "eng"),
        ("абвг", "bul"),
        ("г1", "bul"),
        ("абвгґ", "Cyrillic"),
        ("аb", "Cyrillic"),
    ],
)
@pytest.mark.usefixtures("languages")
def test_the_language_is_the_first_that_knows_the_alphabet(alphabet: str, language: str) -> None:
    assert choose_language(alphabet) == (language, "")


def test_one_unknown_character_of_many_is_named_and_left_to_fail(languages: Path) -> None:
    write_language(languages / "bul.traineddata", "абвгдежзий0123")
    assert choose_language("абвгдежзийї") == ("bul", "ї")


@pytest.mark.usefixtures("languages")
def test_an_alphabet_that_no_language_knows_is_refused_in_one_line() -> None:
    with pytest.raises(
        ValueError,
        match=r"expected language data that know the alphabet '01ж', but eng, the nearest, "
        r"lacks 'ж': install some that do \(`apt-cache search",
    ) as error:
        choose_language("01ж")
    assert "\n" not in str(error.value)


def test_no_language_at_all_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, """echo 'List of available languages in "/nowhere/" (0):'""", monkeypatch)
    with pytest.raises(ValueError, match=r"but it has no language data at all: install"):
        choose_language(DIGITS)
    program(tmp_path, "echo 'List of languages:'", monkeypatch)
    with pytest.raises(
        ValueError, match=r"expected the folder of its languages, got 'List of languages:': install"
    ):
        choose_language(DIGITS)
    program(tmp_path, "exit 1", monkeypatch)
    with pytest.raises(
        ValueError, match=r"cannot list its languages \(.*exit status 1.*\): install it"
    ):
        choose_language(DIGITS)


@pytest.mark.skipif(
    not HERE or shutil.which("combine_tessdata") is None,
    reason="needs Tesseract and its combine_tessdata (apt-get install tesseract-ocr)",
)
def test_the_characters_of_a_language_are_those_that_tesseracts_own_tool_takes_out(
    tmp_path: Path,
) -> None:
    path = tesseract.language_files()["eng"]
    subprocess.run(
        ["combine_tessdata", "-u", str(path), f"{tmp_path}/eng."], check=True, capture_output=True
    )
    _, *lines = (tmp_path / "eng.lstm-unicharset").read_text(encoding="utf-8").splitlines()
    assert characters_of(path) == {line.split(" ")[0] for line in lines}
    assert set(DIGITS + "AZaz") < characters_of(path)
    assert "ж" not in characters_of(path)


@settings(max_examples=40, deadline=None)
@given(
    arrays.arrays(
        np.uint8,
        st.tuples(st.integers(LINE, LINE + 9), st.integers(3, 60), st.just(3)),
        elements=st.integers(0, 255),
    )
)
def test_a_tall_image_becomes_dark_on_light_with_a_margin_of_its_ground(image: np.ndarray) -> None:
    """Tall ones are not scaled, so that the pixels themselves can be compared."""
    line = tesseract.line_image(image)
    assert line.shape == (image.shape[0] + 2 * MARGIN, image.shape[1] + 2 * MARGIN)
    inner = line[MARGIN:-MARGIN, MARGIN:-MARGIN]
    ground = int(line[0, 0])
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    assert np.array_equal(inner, grey) or np.array_equal(inner, 255 - grey)
    assert inner.mean() <= ground + 1  # a median between two numbers loses its half
    framed = line.copy()
    framed[MARGIN:-MARGIN, MARGIN:-MARGIN] = ground
    assert (framed == ground).all()


@pytest.mark.parametrize(("height", "expected"), [(20, LINE), (28, LINE), (LINE, LINE), (61, 61)])
def test_low_images_are_upscaled_in_proportion_and_high_ones_kept(
    height: int, expected: int
) -> None:
    rows, columns = tesseract.line_image(np.zeros((height, 50, 3), np.uint8)).shape
    assert rows - 2 * MARGIN == expected
    assert columns - 2 * MARGIN == pytest.approx(50 * expected / height, abs=1)


@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        ((0, 0, 0), (255, 255, 255)),
        ((255, 255, 255), (0, 0, 0)),
        ((250, 250, 250), (140, 140, 140)),
        ((10, 10, 10), (110, 110, 110)),
        ((255, 220, 40), (40, 20, 120)),
    ],
)
def test_ink_is_dark_whatever_its_colour_and_its_ground(
    ink: tuple[int, int, int], ground: tuple[int, int, int]
) -> None:
    line = tesseract.line_image(printed("408", ink, ground))
    assert int(line.min()) < int(np.median(line)) - 60
    assert int(line.max()) < int(np.median(line)) + 30


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_a_graymap_is_what_opencv_reads(grey: np.ndarray) -> None:
    decoded = cv2.imdecode(np.frombuffer(tesseract.to_pgm(grey), np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(decoded, grey)


def test_the_ground_is_the_median_of_the_outermost_pixels() -> None:
    grey = np.full((5, 8), 200, np.uint8)
    grey[1:-1, 1:-1] = 3
    grey[0, :4] = 90
    assert tesseract.ground_of(grey) == 200


HOCR = """<div class='ocr_page' id='page_1' title='image "0.pgm"; bbox 0 0 148 60; ppageno 0'>
  <span class='ocrx_word' id='word_1_1' title='bbox 35 16 110 45; x_wconf 0'>
   <span class='ocrx_cinfo' title='x_bboxes 35 16 91 45; x_conf 42.736774'>8</span>
   <span class='ocrx_cinfo' title='x_bboxes 94 20 110 43; x_conf 98.715767'>&amp;</span></span>
  <span class='ocrx_word'><span class='ocrx_cinfo' title='x_bboxes 1 2 3 4; x_conf 100'>&lt;</span></span></div>
 <div class='ocr_page' id='page_2' title='image "1.pgm"; bbox 0 0 128 40; ppageno 1'>
 </div>
 <div class='ocr_page' id='page_3' title='image "2.pgm"; bbox 0 0 128 40; ppageno 2'>
  <span class='ocrx_cinfo' title='x_bboxes 35 16 91 45; x_conf 0.5'>ж</span></div>"""


def test_symbols_are_those_of_the_pages_with_their_confidences() -> None:
    assert tesseract.symbols_of(HOCR) == [
        [("8", pytest.approx(0.42736774)), ("&", pytest.approx(0.98715767)), ("<", 1.0)],
        [],
        [("ж", 0.005)],
    ]


def test_an_image_in_which_nothing_was_read_is_an_empty_row() -> None:
    readings = tesseract.to_readings(tesseract.symbols_of(HOCR), "<&8")
    assert to_texts(readings.labels, "<&8") == ["8&<", "", ""]
    assert readings.lengths.tolist() == [3, 0, 0]
    assert (readings.confidence[1:] == 0).all()
    np.testing.assert_allclose(
        tesseract.reading_probability(readings), [0.42736774 * 0.98715767, 0, 0], rtol=1e-6
    )


@given(
    st.lists(
        st.lists(st.tuples(st.text("01ab ж", max_size=2), st.floats(0, 1.2)), max_size=5),
        max_size=4,
    )
)
def test_readings_hold_the_characters_of_the_alphabet_alone(
    pages: list[list[tuple[str, float]]],
) -> None:
    readings = tesseract.to_readings(pages, "ж01")
    expected = [
        "".join(one for symbol, _ in page for one in symbol if one in "01ж") for page in pages
    ]
    assert to_texts(readings.labels, "ж01") == expected
    assert (
        (readings.confidence > 0) == (readings.labels > 0)
    ).all()  # 0 would say that it was missed
    assert (readings.confidence <= 1).all()
    probability = tesseract.reading_probability(readings)
    for row, share, text in zip(
        readings.confidence.astype(np.float64), probability, expected, strict=True
    ):
        assert share == pytest.approx(np.prod(row[: len(text)]) if text else 0)


@needs_tesseract
def test_it_reads_print_of_any_colour_in_lines_and_alone() -> None:
    reader = Tesseract(DIGITS, positions=4)
    images = [
        printed("4072"),
        printed("318", (255, 255, 255), (0, 0, 0)),
        printed("95", (250, 220, 40), (60, 20, 110)),
        np.full((40, 128, 3), 200, np.uint8),
    ]
    whole = reader.predict(np.stack(images), top=2)
    assert to_texts(whole.readings.labels, DIGITS) == ["4072", "318", "95", ""]
    assert (whole.probability[:3] > 0.5).all()
    assert whole.probability[3] == 0
    assert whole.top[1] == [((4, 2, 9), whole.probability[1])]
    assert whole.top[3] == []
    single = Tesseract(DIGITS, positions=1).read(
        np.stack([printed("5", size=(42, 44)), printed("2", size=(42, 44))])
    )
    assert to_texts(single.labels, DIGITS) == ["5", "2"]


@needs_tesseract
def test_it_says_nothing_outside_the_alphabet() -> None:
    images = printed("S0B8")[None]
    assert set(to_texts(Tesseract(DIGITS, positions=4).read(images).labels, DIGITS)[0]) <= set(
        DIGITS
    )
    letters = 'SOB"'
    assert to_texts(Tesseract(letters, positions=4).read(printed("SOB")[None]).labels, letters) == [
        "SOB"
    ]


@needs_tesseract
def test_many_images_in_one_process_are_read_as_each_in_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(4)
    images = np.stack([printed(str(rng.integers(100, 9999))) for _ in range(9)])
    images = np.clip(images + rng.normal(0, 40, images.shape), 0, 255).astype(np.uint8)
    reader = Tesseract(DIGITS, positions=4)
    together = reader.read(images)
    monkeypatch.setattr(tesseract, "BATCH", 1)
    alone = reader.read(images)
    np.testing.assert_array_equal(together.labels, alone.labels)
    np.testing.assert_array_equal(together.confidence, alone.confidence)
    assert together.lengths.sum() > 9
    none = reader.read(images[:0])
    assert len(none.labels) == len(none.confidence) == 0


@needs_tesseract
def test_the_denoiser_sees_the_images_first() -> None:
    reader = Tesseract(
        DIGITS, positions=4, denoiser=lambda images: np.stack([printed("731")] * len(images))
    )
    assert to_texts(reader.read(np.zeros((2, 40, 128, 3), np.uint8)).labels, DIGITS) == [
        "731",
        "731",
    ]


@needs_package
def test_processes_have_a_thread_each_and_the_environment_comes_back(
    languages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(
        languages,
        """case "$1" in
      --version) echo 'tesseract 5.3.0';;
      --list-langs) echo 'List of available languages in "LANGUAGES/" (1):'; echo eng;;
      *) echo "<div class='ocr_page'><i class='ocrx_cinfo' title='x_conf 90'>$OMP_THREAD_LIMIT</span>" > "$2.hocr";;
    esac""".replace("LANGUAGES", str(languages)),
        monkeypatch,
    )
    reader = Tesseract("0123", positions=4)
    for before in ("3", None):
        monkeypatch.setenv("OMP_THREAD_LIMIT", "3")
        if before is None:
            monkeypatch.delenv("OMP_THREAD_LIMIT")
        assert to_texts(reader.read(np.zeros((1, 8, 9, 3), np.uint8)).labels, "0123") == ["1"]
        assert os.environ.get("OMP_THREAD_LIMIT") == before
    monkeypatch.setattr(tesseract, "cores", lambda: 1)
    with pytest.raises(
        ValueError, match=r"^tesseract: expected 2 pages of hOCR, got 1: install it"
    ):
        reader.read(np.zeros((2, 8, 9, 3), np.uint8))


@needs_package
def test_a_process_that_fails_is_told_in_one_line(
    languages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tesseract, "require_tesseract", lambda: "5.3.0")
    reader = Tesseract("0123", positions=4)
    program(
        languages, "echo 'no language'; echo 'two lines' >&2; echo 'of it' >&2; exit 1", monkeypatch
    )
    with pytest.raises(
        ValueError, match=r"^tesseract failed \(.*two lines of it.*\): install it"
    ) as error:
        reader.read(np.zeros((1, 8, 9, 3), np.uint8))
    assert "\n" not in str(error.value)
