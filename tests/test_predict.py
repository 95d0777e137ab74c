"""The predict stage: its table against what was drawn, its metrics against the table, its errors."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from drawn_captchas import ALPHABET, HEIGHT, WIDTH, drawn_part, write_split
from sklearn.metrics import precision_recall_fscore_support

from stages import artifacts, predict
from stages.reader.alternatives import tesseract
from stages.reader.alternatives.external import ExternalReader
from stages.reader.decoding import Readings, encode
from stages.reader.fitting import Schedule, fit
from stages.reader.networks import initialise
from stages.reader.precision import arithmetic, choose_precision
from stages.reader.protocol import TextPrediction
from stages.reader_files import Description, write_reader
from stages.statistics.calibration import expected_calibration_error
from stages.statistics.proportions import clustered_proportion

DESCRIPTION = Description("ctc", ALPHABET, HEIGHT, WIDTH, 8, 3)


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """A reader that learned a little: some of its guesses are right, some wrong, some of another length."""
    schedule = Schedule(
        epochs=2,
        patience=2,
        batch=16,
        learning_rate=0.01,
        weight_decay=0.01,
        precision="fp32",
        seed=1,
    )
    network = initialise(DESCRIPTION.build(), generator=torch.Generator().manual_seed(1))
    part = drawn_part(850, 1, ALPHABET)
    return fit(
        network, [part], [drawn_part(50, 2, ALPHABET)], schedule, device=torch.device("cpu")
    ).weights


@pytest.fixture
def study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: dict[str, torch.Tensor]
) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["predict", "small"])
    write_split("test", 40, parts=3, conditions=3)
    write_reader(artifacts.READERS / "small", DESCRIPTION, weights, {})
    return tmp_path


def predicted() -> pd.DataFrame:
    predict.main()
    return artifacts.read_predictions("small").to_pandas()


@pytest.mark.usefixtures("study")
def test_the_table_has_one_row_for_each_true_character() -> None:
    table = predicted()
    rows = []
    for path in artifacts.parts_of("test"):
        for row in artifacts.read_captchas(path).drop_columns(["image"]).to_pylist():
            rows += [
                {**row, "position": i, "truth": character, "glyph": row["glyphs"][i]}
                for i, character in enumerate(row["text"])
            ]
    expected = pd.DataFrame(rows)
    assert len(table) == len(expected)
    for column in (
        "captcha",
        "condition",
        "position",
        "text",
        "truth",
        "glyph",
        "noise",
        "level",
        "colour",
        "contrast",
        "rmse",
        "ssim",
    ):
        assert table[column].tolist() == expected[column].tolist(), column
    assert not table.duplicated(["captcha", "condition", "position"]).any()


@pytest.mark.usefixtures("study")
def test_guess_confidence_and_success_agree_with_the_reading() -> None:
    table = predicted()
    assert (table["success"] == (table["guess"] == table["truth"])).all()
    assert 0.2 < table["success"].mean() < 1
    missed = table["guess"] == ""
    assert missed.any()
    assert (table.loc[missed, "confidence"] == 0).all()
    assert table.loc[~missed, "confidence"].between(1e-6, 1).all()
    for _, rows in table.groupby(["captcha", "condition"]):
        text = rows["text"].iloc[0]
        reading = rows["reading"].iloc[0]
        assert (rows["reading"] == reading).all()
        if len(text) == len(reading):
            assert "".join(rows["guess"]) == reading
        elif len(text) > len(reading):
            assert len(text) - (rows["guess"] == "").sum() <= len(reading)


@pytest.mark.usefixtures("study")
def test_the_metrics_and_details_are_those_of_the_table() -> None:
    table = predicted()
    metrics, details = (
        json.loads(Path(f"{folder}/predict/small.json").read_text())
        for folder in ("metrics", "plots")
    )
    whole = table.groupby(["captcha", "condition"], as_index=False).first()
    whole["exact"] = whole["text"] == whole["reading"]
    glyphs = table.pivot_table(
        "glyph", ["captcha", "condition"], "position", fill_value=-1
    ).to_numpy(int)
    clean, none = (rows["noise"].to_numpy() == "none" for rows in (table, whole))
    shares = {
        "character_accuracy": (table["success"], table["captcha"], table["glyph"]),
        "exact_match": (whole["exact"], whole["captcha"], glyphs),
        "clean_character_accuracy": (
            table["success"][clean],
            table["captcha"][clean],
            table["glyph"][clean],
        ),
        "clean_exact_match": (whole["exact"][none], whole["captcha"][none], glyphs[none]),
    }
    expected = {
        f"{name}{end}": value
        for name, rows in shares.items()
        for end, value in zip(
            ("", "_low", "_high"), clustered_proportion(*map(np.asarray, rows)), strict=True
        )
    }
    assert len(expected) == 12
    assert metrics == pytest.approx(expected, rel=1e-5)
    assert metrics["clean_exact_match"] > metrics["exact_match"]
    expected = {}
    expected["exact_match_gaussian"] = whole.loc[whole["noise"] == "gaussian", "exact"].mean()
    for prefix, rows in (("", table), ("clean_", table[table["noise"] == "none"])):
        precision, recall, f1, _ = precision_recall_fscore_support(
            rows["truth"].astype(str),
            rows["guess"].astype(str),
            labels=list(ALPHABET),
            average="macro",
            zero_division=0,
        )
        expected |= {
            f"{prefix}macro_precision": precision,
            f"{prefix}macro_recall": recall,
            f"{prefix}macro_f1": f1,
        }
        assert details.pop(f"{prefix}macro_f1_low") < f1 <= details.pop(f"{prefix}macro_f1_high")
    read = table[table["confidence"] > 0]
    expected["calibration_error"] = expected_calibration_error(read["confidence"], read["success"])
    expected["brier_score"] = np.square(read["confidence"] - read["success"]).mean()
    cpu = torch.device("cpu")
    assert details.pop("arithmetic") == arithmetic(choose_precision("auto", cpu), cpu)
    assert (
        0
        <= details.pop("coverage_99_low")
        <= details.pop("coverage_99")
        <= details.pop("coverage_99_high")
        <= 1
    )
    assert details == pytest.approx(expected, rel=1e-5)


def test_the_temperature_of_a_reader_changes_confidences_and_no_reading(
    study: Path, weights: dict[str, torch.Tensor]
) -> None:
    plain = predicted()
    write_reader(
        study / artifacts.READERS / "small", replace(DESCRIPTION, temperature=3.0), weights, {}
    )
    warm = predicted()
    pd.testing.assert_frame_equal(warm.drop(columns="confidence"), plain.drop(columns="confidence"))
    read = plain["guess"] != ""
    assert (warm.loc[read, "confidence"] < plain.loc[read, "confidence"]).all()


class Stubborn(ExternalReader):
    """An outside reader: "07", nothing and "0" in turn, surely."""

    def predict(self, images: np.ndarray, top: int = 0) -> TextPrediction:
        labels = np.resize([[1, 8], [0, 0], [1, 0]], (len(images), 2)).astype(np.int64)
        return TextPrediction(
            Readings(labels, np.where(labels > 0, 0.5, 0).astype(np.float32)),
            np.resize([0.25, 0.0, 0.5], len(images)),
            [[] for _ in images],
        )


def test_an_outside_reader_keeps_the_contract_and_what_it_does_not_read_fails(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_reader(
        study / artifacts.READERS / "small", replace(DESCRIPTION, architecture="tesseract"), {}, {}
    )
    monkeypatch.setattr(tesseract, "Tesseract", lambda *given, **more: Stubborn())
    table = predicted()
    renderings = table.groupby(["captcha", "condition"], sort=False)
    assert renderings.ngroups == 120
    silent = table[table["reading"] == ""]
    assert silent.groupby(["captcha", "condition"]).ngroups == 40
    assert not silent["success"].any()
    assert (silent["guess"] == "").all()
    assert (silent["confidence"] == 0).all()
    for i, ((_, rows), reading) in enumerate(
        zip(renderings, np.resize(["07", "", "0"], 120), strict=True)
    ):
        assert (rows["reading"] == reading).all(), i
    assert table["success"].any()
    metrics = json.loads(Path("metrics/predict/small.json").read_text())
    assert metrics["character_accuracy"] == pytest.approx(table["success"].mean(), rel=1e-5)
    assert metrics["exact_match"] == pytest.approx(
        (renderings["text"].first() == renderings["reading"].first()).mean()
    )


@pytest.mark.usefixtures("study")
def test_predicting_twice_gives_the_same_bytes() -> None:
    files = [
        Path("data/predictions/small.parquet"),
        Path("metrics/predict/small.json"),
        Path("plots/predict/small.json"),
    ]
    predict.main()
    first = [file.read_bytes() for file in files]
    predict.main()
    assert [file.read_bytes() for file in files] == first


@pytest.mark.usefixtures("study")
def test_parts_are_read_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    read = artifacts.read_captchas
    to_part = predict.predict_part
    monkeypatch.setattr(
        artifacts, "read_captchas", lambda *given: steps.append("read") or read(*given)
    )
    monkeypatch.setattr(
        predict, "predict_part", lambda *given: steps.append("predict") or to_part(*given)
    )
    predict.main()
    assert steps == ["read", "predict"] * 3


def test_a_captcha_folder_has_no_glyph_ids() -> None:
    assert predict.glyph_ids([[], [5, 6]], encode(["12", "34"], "1234")).tolist() == [
        [-1, -1],
        [5, 6],
    ]


def test_readings_longer_than_any_text_fit_the_table(captcha_table: pa.Table) -> None:
    labels = encode(captcha_table["text"].to_pylist(), ALPHABET)
    long = Readings(np.ones((6, 5), np.int64), np.full((6, 5), 0.5, np.float32))
    table = predict.prediction_table(
        captcha_table, labels, long, labels, np.ones(labels.shape, np.float32), ALPHABET
    )
    assert table["reading"].to_pylist() == ["00000"] * 12
    assert table.schema.equals(artifacts.PREDICTION_SCHEMA)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"alphabet": "9876543210"},
            "the reader knows the alphabet '9876543210' but the captchas have '0123456789'",
        ),
        (
            {"height": 33},
            "the reader takes images of 33 x 72 px but the captchas have 32 x 72: train it again",
        ),
    ],
)
def test_a_reader_of_other_captchas_is_refused(
    change: dict[str, object], message: str, study: Path, weights: dict[str, torch.Tensor]
) -> None:
    write_reader(artifacts.READERS / "small", replace(DESCRIPTION, **change), weights, {})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        predict.main()
    assert not list((study / "data/predictions").iterdir())


def test_a_missing_reader_is_told(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["predict", "large"])
    with pytest.raises(
        ValueError, match="there is no trained reader 'large'; run `dvc repro train@large`"
    ):
        predict.main()
    monkeypatch.setattr(sys, "argv", ["predict"])
    with pytest.raises(ValueError, match="takes the name of one reader, got ''"):
        predict.main()
    shutil.rmtree(study / "data/readers")
    monkeypatch.setattr(sys, "argv", ["predict", "small"])
    with pytest.raises(ValueError, match="there is no trained reader 'small'"):
        predict.main()


def test_a_missing_or_truncated_part_leaves_no_table(study: Path) -> None:
    part = artifacts.part_path("test", 2)
    content = part.read_bytes()
    part.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="is damaged"):
        predict.main()
    assert not list((study / "data/predictions").iterdir())
    part.unlink()
    with pytest.raises(ValueError, match="is missing"):
        predict.main()
    assert not list((study / "data/predictions").iterdir())
