"""The classification reports and the tables of the readers: what they say, and what they do without."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from test_figures_report import check

from stages.figures.classification import (
    COLUMNS,
    about_classification,
    classification_report,
    classification_table,
    labels,
    macro_of,
)
from stages.figures.readers import Described, readers_tables, share

UKRAINIAN = "АБВГҐДЕЄЖЗИІЇЙКЛМНОПРСТУФХЦЧШЩЬЮЯ"


def observed(truth: str, guess: str, level: float = 0.0, *, each: int = 2) -> pd.DataFrame:
    """Characters in captchas of `each`; a blank in `guess` is a character that was missed."""
    return pd.DataFrame({"captcha": np.arange(len(truth)) // each, "level": level, "truth": list(truth),
                         "guess": [one.strip() for one in guess], "glyph": np.arange(len(truth))})


def predicted(**others: float) -> dict[str, float]:
    shares = ("character_accuracy", "exact_match", "clean_character_accuracy", "clean_exact_match")
    return {f"{name}{end}": value for name in shares
            for end, value in (("", 0.5), ("_low", 0.4), ("_high", 0.625))} | others


def test_characters_become_their_place_in_the_alphabet_and_a_missed_one_zero() -> None:
    assert labels(pd.Series(["b", "", "ж", "a"]), "abж").tolist() == [2, 0, 3, 1]
    assert labels(pd.Series(["b", "", "a"], dtype="category"), "abж").tolist() == [2, 0, 1]


def test_all_and_clean_renderings_are_told_apart() -> None:
    rows = pd.concat([observed("abab", "abab"), observed("abab", "ab b", 0.8)])
    table = classification_table({"r": rows}, "ab")
    assert list(table.columns) == COLUMNS
    assert table["renderings"].tolist() == ["all"] * 3 + ["clean"] * 3
    assert macro_of(table, "r")["recall"] == pytest.approx((0.75 + 1) / 2)
    assert macro_of(table, "r")["accuracy"] == 7 / 8
    assert macro_of(table, "r", "clean")["f1"] == 1
    assert table["support"].tolist() == [4, 4, 8, 2, 2, 4]
    assert table["f1_low"].notna().tolist() == [False, False, True] * 2  # of the means alone


def test_without_a_clean_rendering_there_is_one_set() -> None:
    table = classification_table({"r": observed("abab", "abab", 0.4)}, "ab")
    assert set(table["renderings"]) == {"all"}
    assert classification_report(table, "r").count("colgroup") == 1


def test_a_report_has_a_line_for_each_of_33_letters_and_one_for_the_means() -> None:
    table = classification_table({"r": observed(UKRAINIAN, UKRAINIAN[:-1] + "А")}, UKRAINIAN)
    html = classification_report(table, "r")
    check(html)
    lines = re.findall(r'<tr><th scope="row">(.*?)</th>', html)
    assert lines == [*UKRAINIAN, "macro mean"]
    last = html[html.index('<th scope="row">Я</th>'):html.index("</tbody>")]
    assert last.count(">0.0<") == 6  # precision, recall and F1 of what was never read right, in both sets


def test_the_best_and_the_worst_character_are_told() -> None:
    rows = observed("aabbab" * 10, "aabbaa" * 10)
    said = about_classification(classification_table({"r": rows}, "abc"), "r")
    assert "from 80.0\u00a0% for “b” to 85.7\u00a0% for “a”. 1 of the 3 characters never occur" in said
    assert re.search(r"is 55\.2\u00a0% \(95\u00a0% interval \d\d\.\d to \d\d\.\d\u00a0%\)", said)


def test_of_a_single_captcha_no_interval_is_told() -> None:
    table = classification_table({"r": observed("ab", "a ")}, "ab")
    assert "interval" not in about_classification(table, "r")
    html = readers_tables({"r": Described("ctc", "clean", "none", {}, predicted())}, table)
    assert not re.search(r"\bnan\b", html)


def test_a_reader_that_reads_nothing_is_reported_with_zeros() -> None:
    table = classification_table({"r": observed("abab", "    ")}, "ab")
    assert macro_of(table, "r")[["precision", "recall", "f1"]].tolist() == [0, 0, 0]
    said = about_classification(table, "r")
    assert "is 0.0\u00a0%" in said
    assert "from" not in said
    assert not re.search(r"\bnan\b", classification_report(table, "r") + said)


def test_the_tables_of_the_readers_tell_what_each_is_and_reads() -> None:
    table = classification_table({"net": observed("abab", "abab"), "tree": observed("abab", "abaa")}, "ab")
    trained = {"weights": 12345, "best_epoch": 3, "epochs": 5, "arithmetic": "fp32 on x"}
    html = readers_tables({
        "net": Described("ctc", "both", "median", trained,
                         predicted(calibration_error=0.0321) | {"arithmetic": "bf16 on x"}),
        "tree": Described("knn", "clean", "none", {"best_epoch": 1, "epochs": 1}, predicted())}, table)
    check(html)
    assert ('<th scope="row">net</th><td>ctc</td><td>12,345</td><td>clean and noisy captchas</td><td>median</td>'
            "<td>3 of 5</td>") in html
    assert ('<th scope="row">tree</th><td>knn</td><td>–</td><td>clean captchas only</td><td>none</td>'
            "<td>–</td>") in html
    assert "<p>Trained in fp32 on x (net). Read in bf16 on x (net).</p>" in html
    scores = html[html.index("Share read right"):]
    assert scores.count("<td>50.0\u00a0%<br><small>40.0 to 62.5\u00a0%</small></td>") == 8
    net, tree = scores.split('<th scope="row">tree</th>')
    assert net.count("<td>100.0\u00a0%</td>") == 2  # macro precision and recall
    assert "<td>3.2\u00a0%</td></tr>" in net
    assert "<td>–</td></tr>" in tree


def test_a_share_is_told_with_its_interval() -> None:
    assert share({"x": 0.25, "x_low": 0.2, "x_high": 0.3}, "x") == ("25.0\u00a0%", "20.0 to 30.0\u00a0%")
