"""Synthetic input of explain and plot: the artifacts of a small study, made without drawing or training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from ruamel.yaml import YAML

from stages import artifacts, explain, params, regress
from stages.explanations.inputs import Inputs
from stages.reader.networks import initialise
from stages.reader_files import Description, write_reader
from stages.schemas.explain import PARTS
from stages.schemas.predict import PredictionDetails
from stages.schemas.train import Epochs, TrainingRecord

ROOT = Path(__file__).resolve().parents[1]
# px
HEIGHT = 12
WIDTH = 30


def write_study(
    folder: Path,
    patch: pytest.MonkeyPatch,
    *,
    noises: Sequence[str] = ("fog", "gaussian_blur"),
    readers: Sequence[str] = ("noisy", "clean", "dense"),
    alphabet: str = "0123456789",
    lengths: tuple[int, int] = (4, 4),
    captchas: int = 40,
    composed: bool = True,
    seed: int = 0,
    colours: int = 4,
    skills: Sequence[float] = (3.0, 2.3, 1.6),
    levels: Sequence[float] = (0.4, 0.8),
    regression: Mapping[str, Any] | None = None,
    architecture: str = "heads",
    explained: bool = True,
) -> None:
    """Write params.yaml and the artifacts of all stages before plot into `folder`, and change into it.

    `skills` are the readers' log odds without noise; `regression` replaces parameters of that section. The files of the
    first reader have a network with random weights, used for saliency only: the predictions are synthetic. Without
    `explained`, the artifacts of the explain stage are missing.
    """
    patch.chdir(folder)
    patch.setattr(
        params, "refuse_foreign_code", lambda: None
    )  # the code is here, the study is there
    rng = np.random.default_rng(seed)
    tree = write_params(noises, readers, alphabet, colours, levels, regression or {}, composed)
    grid = [("none", 0.0), *((noise, level) for noise in noises for level in levels)]
    characters = list(alphabet) * 4  # so that each occurs in the test split, at any size
    texts: list[str] = []
    while len(texts) < captchas or characters:
        length = int(rng.integers(lengths[0], lengths[1] + 1))
        texts.append(
            "".join(
                characters.pop() if characters else str(rng.choice(list(alphabet)))
                for _ in range(length)
            )
        )
    schemes = tree["colour"]["schemes"]
    for split, few in (("train", texts[:6]), ("validation", texts[6:36])):
        pairs = captcha_table(
            few, [("none", 0.0), (noises[0], 0.3)], schemes, alphabet, composed, rng
        )
        artifacts.write_captchas(artifacts.part_path(split, 0), pairs, part=0, parts=1)
    test = captcha_table(texts, grid, schemes, alphabet, composed, rng)
    half = len(texts) // 2 * len(grid)
    for part, rows in enumerate((test[:half], test[half:])):
        artifacts.write_captchas(artifacts.part_path("test", part), rows, part=part, parts=2)
    for skill, reader in enumerate(readers):
        write_predictions(reader, test.drop_columns(["image"]), alphabet, skills[skill], rng)
        write_records(reader, skill)
    write_glyphs(alphabet if composed else "", rng)
    write_network(readers[0], architecture, alphabet, max(map(len, texts)))
    regress.main()
    if explained:
        explain_all()


def explain_all() -> None:
    """Every part of the stage explain, in one process."""
    inputs = Inputs(params.read("seed", "glyphs", "captcha", "regression", "explain"))
    for part in PARTS:
        explain.explain_part(part, inputs)


def write_params(
    noises: Sequence[str],
    readers: Sequence[str],
    alphabet: str,
    colours: int,
    levels: Sequence[float],
    regression: Mapping[str, Any],
    composed: bool,
) -> Any:
    yaml = YAML()
    tree = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    tree["glyphs"].update(
        alphabet=alphabet, source="digits" if set(alphabet) <= set("0123456789") else "fonts"
    )
    tree["captcha"]["source"] = "composed" if composed else "folder"
    tree["colour"]["schemes"] = tree["colour"]["schemes"][:colours]
    tree["noise"].update(types=list(noises), steps=len(levels), level=max(levels))
    tree["readers"] = {name: reader_of(tree["readers"], name) for name in readers}
    tree["regression"].update({"draws": 100, **regression})
    tree["regression"]["references"].update(
        digit=alphabet[0], reader=readers[0], colour=tree["colour"]["schemes"][0]
    )
    tree["explain"].update(reader=readers[0], captchas=3, latent=2, epochs=1, draws=50)
    tree["plot"]["reader"] = readers[0]
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(tree, file)
    return tree


def reader_of(readers: Any, name: str) -> Any:
    """The parameters of a reader; noisy_2 is a second training run of noisy."""
    first, _, run = name.rpartition("_")
    return readers[name] if name in readers else {**readers[first], "seed": int(run)}


def captcha_table(
    texts: Sequence[str],
    grid: Sequence[tuple[str, float]],
    schemes: Sequence[str],
    alphabet: str,
    composed: bool,
    rng: np.random.Generator,
) -> pa.Table:
    """Every text under every condition of the grid. The images are noise that is brighter at higher levels."""
    schema = artifacts.captcha_schema(HEIGHT, WIDTH, {"alphabet": alphabet, "source": "synthetic"})
    rows: list[dict[str, Any]] = []
    for captcha, text in enumerate(texts):
        for condition, (noise, level) in enumerate(grid):
            rows.append(
                {
                    "captcha": captcha,
                    "condition": condition,
                    "text": text,
                    "noise": noise,
                    "level": level,
                    "glyphs": [10 * alphabet.index(one) + captcha % 7 for one in text]
                    if composed
                    else [],
                    "colour": schemes[(captcha + condition) % len(schemes)],
                    "foreground": ["#000000"],
                    "background": "#ffffff",
                    "hue": [0.0],
                    "saturation": [0.0],
                    "background_hue": 0.0,
                    "background_saturation": 0.0,
                    "contrast": rng.uniform(-1, 1),
                    "rmse": level / 2,
                    "ssim": 1 - level / 2,
                }
            )
    images = rng.integers(0, 100, (len(rows), HEIGHT, WIDTH, 3))
    images += np.array([round(100 * row["level"]) for row in rows])[:, None, None, None]
    arrays = [
        artifacts.images_array(images.astype(np.uint8))
        if field.name == "image"
        else pa.array([row[field.name] for row in rows]).cast(field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def write_predictions(
    reader: str, captchas: pa.Table, alphabet: str, skill: float, rng: np.random.Generator
) -> None:
    """Write predictions with more errors at higher levels, most under the first noise type, and some misses."""
    rows = []
    first = next(noise for noise in captchas["noise"].to_pylist() if noise != "none")
    for row in captchas.to_pylist():
        log_odds = skill - row["level"] * (5 if row["noise"] == first else 2)
        wrong = rng.random(len(row["text"])) > 1 / (1 + np.exp(-log_odds))
        guesses = [
            str(rng.choice(["", *alphabet.replace(truth, "")])) if fails else truth
            for truth, fails in zip(row["text"], wrong, strict=True)
        ]
        for position, (truth, guess) in enumerate(zip(row["text"], guesses, strict=True)):
            rows.append(
                {
                    **row,
                    "position": position,
                    "reading": "".join(guesses),
                    "truth": truth,
                    "guess": guess,
                    "confidence": 0.5,
                    "success": truth == guess,
                    "glyph": row["glyphs"][position] if row["glyphs"] else -1,
                }
            )
    arrays = [
        pa.array([row[field.name] for row in rows]).cast(field.type)
        for field in artifacts.PREDICTION_SCHEMA
    ]
    with artifacts.prediction_writer(artifacts.PREDICTIONS / f"{reader}.parquet") as writer:
        writer.write_table(pa.Table.from_arrays(arrays, schema=artifacts.PREDICTION_SCHEMA))


def write_network(reader: str, architecture: str, alphabet: str, positions: int) -> None:
    """Write the files of an untrained reader."""
    description = Description(architecture, alphabet, HEIGHT, WIDTH, 4, positions)
    network = initialise(description.build(), generator=torch.Generator().manual_seed(0))
    write_reader(artifacts.READERS / reader, description, network.state_dict(), {})


def write_records(reader: str, skill: int) -> None:
    """Write metrics and learning curve of a reader."""
    metrics: dict[str, Any] = {}
    for name in (
        "character_accuracy",
        "exact_match",
        "clean_character_accuracy",
        "clean_exact_match",
    ):
        share = 0.9 - 0.1 * skill
        metrics.update({name: share, f"{name}_low": share - 0.02, f"{name}_high": share + 0.02})
    artifacts.write_metrics(artifacts.METRICS / "predict" / f"{reader}.json", metrics)
    needed = [
        field.name
        for field in fields(PredictionDetails)
        if field.default is MISSING and field.default_factory is MISSING
    ]
    said = dict.fromkeys(needed, 0.3) | {
        "calibration_error": 0.04,
        "brier_score": 0.1,
        "coverage_99_low": 0.2,
        "coverage_99_high": 0.4,
    }
    details = PredictionDetails(**said, arithmetic="fp32 on x86_64 AVX2")  # type: ignore[arg-type]
    artifacts.write_metrics(artifacts.PLOTS / "predict" / f"{reader}.json", details.to_json())
    trained = TrainingRecord(
        temperature=1.5,
        weights=1234 + skill,
        epochs=3,
        best_epoch=2,
        validation_character_accuracy=0.8,
        validation_exact_match=0.65,
    )
    artifacts.write_metrics(artifacts.PLOTS / "train" / f"{reader}.json", trained.to_json())
    curve = [
        dict(
            zip(
                Epochs.names(),
                (epoch, 2 / epoch, 2.2 / epoch, 1 - 0.4 / epoch, 1 - 0.7 / epoch),
                strict=True,
            )
        )
        for epoch in (1, 2, 3)
    ]
    artifacts.write_table(artifacts.PLOTS / "train" / f"{reader}.csv", Epochs, curve)


def write_glyphs(alphabet: str, rng: np.random.Generator) -> None:
    means = [rng.integers(0, 256, 784, dtype=np.uint8).tobytes() for _ in alphabet]
    table = pa.table(
        {
            "label": pa.array(list(alphabet), pa.string()),
            **{
                split: pa.array([9 + i for i in range(len(alphabet))], pa.int64())
                for split in artifacts.SPLITS
            },
            "mean": pa.array(means, pa.binary(784)),
        }
    )
    with artifacts.replacing(artifacts.GLYPHS) as temporary:
        pq.write_table(table, temporary)
