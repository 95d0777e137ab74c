"""The classification reports and the tables of the readers: what they say, and what they do without."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages.figures.classification_figures import (
    about_classification,
    alphabet_labels,
    classification_report,
    classification_table,
    macro_of,
)
from stages.figures.figure import ReportTable
from stages.figures.reader_table import (
    Described,
    calculated,
    means_table,
    nature_table,
    scores_table,
)
from stages.schemas.figures import Classification
from stages.schemas.predict import PredictionDetails, PredictionMetrics
from stages.schemas.train import TrainingRecord

UKRAINIAN = "АБВГҐДЕЄЖЗИІЇЙКЛМНОПРСТУФХЦЧШЩЬЮЯ"


def observed(truth: str, guess: str, level: float = 0.0, *, each: int = 2) -> pd.DataFrame:
    """Characters in captchas of `each`; a blank in `guess` is a character that was missed."""
    return pd.DataFrame(
        {
            "captcha": np.arange(len(truth)) // each,
            "level": level,
            "truth": list(truth),
            "guess": [one.strip() for one in guess],
            "glyph": np.arange(len(truth)),
        }
    )


def texts(table: ReportTable, *, foot: bool = False) -> list[list[str]]:
    return [[cell.text for cell in line] for line in (table.foot if foot else table.body)]


def metrics() -> PredictionMetrics:
    shares = ("character_accuracy", "exact_match", "clean_character_accuracy", "clean_exact_match")
    ends = (("", 0.5), ("_low", 0.4), ("_high", 0.625))
    return PredictionMetrics(**{f"{name}{end}": value for name in shares for end, value in ends})


def details(**others: object) -> PredictionDetails:
    needed = [
        field.name
        for field in fields(PredictionDetails)
        if field.default is MISSING and field.default_factory is MISSING
    ]
    return PredictionDetails(**(dict.fromkeys(needed, 0.5) | others))  # type: ignore[arg-type]


def test_characters_become_their_place_in_the_alphabet_and_a_missed_one_zero() -> None:
    assert alphabet_labels(pd.Series(["b", "", "ж", "a"]), "abж").tolist() == [2, 0, 3, 1]
    assert alphabet_labels(pd.Series(["b", "", "a"], dtype="category"), "abж").tolist() == [2, 0, 1]


def test_all_and_clean_renderings_are_told_apart() -> None:
    rows = pd.concat([observed("abab", "abab"), observed("abab", "ab b", 0.8)])
    table = classification_table({"r": rows}, "ab")
    assert list(table.columns) == Classification.names()
    assert table["renderings"].tolist() == ["all"] * 3 + ["clean"] * 3
    assert macro_of(table, "r")["recall"] == pytest.approx((0.75 + 1) / 2)
    assert macro_of(table, "r")["accuracy"] == 7 / 8
    assert macro_of(table, "r", "clean")["f1"] == 1
    assert table["support"].tolist() == [4, 4, 8, 2, 2, 4]
    assert table["f1_low"].notna().tolist() == [False, False, True] * 2  # of the means alone


def test_without_a_clean_rendering_there_is_one_set() -> None:
    table = classification_table({"r": observed("abab", "abab", 0.4)}, "ab")
    assert set(table["renderings"]) == {"all"}
    assert [cell.scope for cell in classification_report(table, "r").head[0]] == ["", "colgroup"]


def test_a_report_has_a_line_for_each_of_33_letters_and_one_for_the_means() -> None:
    table = classification_table({"r": observed(UKRAINIAN, UKRAINIAN[:-1] + "А")}, UKRAINIAN)
    report = classification_report(table, "r")
    assert [cells[0] for cells in texts(report)] == [*UKRAINIAN]
    assert [cells[0] for cells in texts(report, foot=True)] == ["macro mean"]
    assert (
        texts(report)[-1].count("0.0") == 6
    )  # precision, recall and F1 of what was never read right, in both sets
    assert report.body[0][3].bar == "66.7"


def test_the_best_and_the_worst_character_are_told() -> None:
    rows = observed("aabbab" * 10, "aabbaa" * 10)
    said = about_classification(classification_table({"r": rows}, "abc"), "r")
    assert (
        "from 80.0\u00a0% for “b” to 85.7\u00a0% for “a”. 1 of the 3 characters never occur" in said
    )
    assert re.search(r"is 55\.2\u00a0% \(95\u00a0% interval \d\d\.\d to \d\d\.\d\u00a0%\)", said)


def test_the_interval_is_of_the_confidence_that_is_named() -> None:
    observations = {"r": observed("aabbab" * 10, "aabbaa" * 10)}
    wide, narrow = (
        macro_of(classification_table(observations, "abc", confidence), "r")
        for confidence in (0.95, 0.8)
    )
    assert wide["f1_low"] < narrow["f1_low"] < narrow["f1"] < narrow["f1_high"] < wide["f1_high"]
    text = about_classification(classification_table(observations, "abc", 0.8), "r", 0.8)
    assert "(80\u00a0% interval" in text


def test_of_a_single_captcha_no_interval_is_told() -> None:
    table = classification_table({"r": observed("ab", "a ")}, "ab")
    assert "interval" not in about_classification(table, "r")
    assert means_table(table, {"r": None}).body[0][3].small == ""


def test_a_reader_that_reads_nothing_is_reported_with_zeros() -> None:
    table = classification_table({"r": observed("abab", "    ")}, "ab")
    assert macro_of(table, "r")[["precision", "recall", "f1"]].tolist() == [0, 0, 0]
    said = about_classification(table, "r")
    assert "is 0.0\u00a0%" in said
    assert "from" not in said
    assert not re.search(r"\bnan\b", str(texts(classification_report(table, "r"))) + said)


def test_the_tables_of_the_readers_tell_what_each_is_and_reads() -> None:
    table = classification_table(
        {"net": observed("abab", "abab"), "tree": observed("abab", "abaa")}, "ab"
    )
    reached: dict[str, Any] = {"validation_character_accuracy": 0.5, "validation_exact_match": 0.25}
    net = TrainingRecord(weights=12345, best_epoch=3, epochs=5, arithmetic="fp32 on x", **reached)
    tree = TrainingRecord(weights=56, best_epoch=1, epochs=1, **reached)
    read = details(calibration_error=0.0321, arithmetic="bf16 on x")
    runs = {
        "net": Described("ctc", "both", "median", net, metrics(), read),
        "tree": Described("knn", "clean", "none", tree, metrics(), details()),
    }
    assert texts(nature_table(runs)) == [
        ["net", "ctc", "12,345", "clean and noisy captchas", "median", "3 of 5"],
        ["tree", "knn", "56", "clean captchas only", "none", "–"],
    ]
    assert calculated(runs) == ["Trained in fp32 on x (net).", "Read in bf16 on x (net)."]
    scores = scores_table(runs)
    assert texts(scores) == [
        ["net", *["50.0\u00a0%"] * 4, "3.2\u00a0%"],
        ["tree", *["50.0\u00a0%"] * 4, "–"],
    ]
    assert {cell.small for line in scores.body for cell in line[1:5]} == {"40.0 to 62.5\u00a0%"}
    assert texts(means_table(table, runs))[0][:3] == ["net", "100.0\u00a0%", "100.0\u00a0%"]
