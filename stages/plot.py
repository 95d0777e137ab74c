"""Draw the figures and write the report.

Reads   data/captchas/train (texts), data/captchas/test, data/glyphs.parquet, data/predictions/<name>.parquet,
        data/regression/fits.json, plots/regress/*.csv and table.html, plots/train/<name>.csv,
        metrics/predict/<name>.json, metrics/train/<name>.json, data/explain, plots/explain/*.csv
Writes  plots/figures/*.svg, *.png and *.csv, plots/report.html
Params  seed, glyphs, captcha, colour, noise, readers, regression, explain, plot (the report shows them all)
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from stages import artifacts
from stages.command import die_with_parent, progress, run, worker_count
from stages.figures import captions, findings, wording
from stages.figures.accuracy import (
    accuracy_by,
    accuracy_by_level,
    draw_answer,
    draw_breakdown,
    draw_levels,
    paired_gain,
)
from stages.figures.associations import associations, draw_associations
from stages.figures.calibration import about_calibration, calibration, draw_calibration, reliability
from stages.figures.classification import about_classification, classification_report, classification_table, macro_of
from stages.figures.coefficients import dose_slopes, draw_effects, draw_slopes, factor_effects
from stages.figures.confusion import confusion_table, draw_confusion
from stages.figures.counts import SIDE, count_characters, draw_counts, draw_mean_glyphs
from stages.figures.explained import Drawn, Explained, draw_explained, parse_table
from stages.figures.learning import COLUMNS as EPOCHS
from stages.figures.learning import draw_learning
from stages.figures.pixels import draw_pixels, luma_statistics, pixels_by_level
from stages.figures.readers import Described, readers_tables, share
from stages.figures.regressed import COLUMNS as REGRESSED
from stages.figures.regressed import NUMBERS, Regressed
from stages.figures.regression import draw_regression, regression_html
from stages.figures.report import (
    Chapter,
    Fold,
    Plate,
    Tile,
    bullets,
    definitions,
    flattened,
    page,
    paragraphs,
    parameters_tables,
    scrolling,
)
from stages.figures.samples import MOST_COLUMNS, chosen_levels, draw_sheet
from stages.figures.style import png, svg, words
from stages.params import read
from stages.reader.calibration import calibration_by_group, reliability_curve

FIGURES = artifacts.PLOTS / "figures"
OBSERVED = ["captcha", "condition", "position", "text", "reading", "truth", "guess", "success", "noise", "level",
            "colour", "confidence", "glyph"]  # fmt: skip
MEASURED = ["contrast", "rmse", "ssim"]
PICTURES = ("samples", "schemes", "glyphs", "saliency", "mean_maps", "drawings", "unseen_glyphs")  # PNG, others SVG
DESIGNED = ["noise", "level", "colour", "character", "position"]  # level goes with noise, since clean is level 0


@dataclass(frozen=True)
class Run:
    """What the stages before have made, as tables."""

    params: Any
    alphabet: str
    observations: Mapping[str, pd.DataFrame]  # by reader, see figures.accuracy
    measured: pd.DataFrame  # contrast, rmse and ssim of the rows of the headline's reader
    first: pd.DataFrame  # renderings of the first test part, with `image` (H, W, 3), luma_mean and luma_sd
    texts: Mapping[str, list[str]]  # of the captchas, by split
    glyphs: pd.DataFrame  # label, count by split, mean; no rows for a captcha folder
    regressed: Regressed
    learning: pd.DataFrame
    metrics: Mapping[str, Mapping[str, Any]]  # of predict, by reader
    trained: Mapping[str, Mapping[str, Any]]  # metrics of train, by reader
    explained: Explained
    regression_table: str  # HTML

    @property
    def reader(self) -> str:
        return str(self.params.plot.reader)

    @property
    def confidence(self) -> float:
        return float(self.params.regression.confidence)


@dataclass(frozen=True)
class RenderedFigure:
    """A figure as it is written."""

    name: str
    found: str  # what it found
    svg: str | None  # None where there is nothing to draw
    png: bytes | None  # of a picture, which is a file of this kind


def main() -> None:
    result = load(read("seed", "glyphs", "captcha", "colour", "noise", "readers", "regression", "explain", "plot"))
    progress(f"{len(result.observations)} readers, {len(result.measured)} test characters each")
    tables = tabulate(result)
    for name, table in tables.items():
        text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
        artifacts.write_text(FIGURES / f"{name}.csv", text)
    plates = {}
    with in_parallel(explained_drawings, result.explained) as explained:
        own = [rendered(drawn) for drawn in draw(result, tables)]
        for reader, drawings in ((result.reader, own), (result.explained.reader, explained())):
            for drawing in drawings:
                plates[drawing.name] = plate(result, drawing, reader=reader)
                progress(f"figure {drawing.name}")
    artifacts.write_text(artifacts.PLOTS / "report.html", report(result, tables, plates))


@contextmanager
def in_parallel(work: Callable[[Explained], list[RenderedFigure]],
                explained: Explained) -> Iterator[Callable[[], list[RenderedFigure]]]:
    """A function that gives what `work` makes: in a process of its own, meanwhile, where there is a core for it."""
    if worker_count() == 1:
        yield partial(work, explained)
        return
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=die_with_parent) as pool:
            yield pool.submit(work, explained).result
    except BrokenProcessPool:
        raise ValueError("a worker process died (out of memory?): set CAPTCHA_WORKERS=1") from None


def explained_drawings(explained: Explained) -> list[RenderedFigure]:
    return [rendered(drawn) for drawn in draw_explained(explained)]


def rendered(drawn: Drawn) -> RenderedFigure:
    name, figure, found = drawn
    if figure is None:
        return RenderedFigure(name, found, None, None)
    return RenderedFigure(name, found, svg(figure), png(figure) if name in PICTURES else None)


def load(params: Any) -> Run:
    names = list(params.readers)
    first, alphabet = first_test_part()
    regressed = Regressed({name: read_regressed(name) for name in REGRESSED},
                          artifacts.read_json(artifacts.REGRESSION / "fits.json"), params.plot.reader)
    observations = {name: artifacts.read_predictions(name, OBSERVED).to_pandas() for name in names}
    return Run(
        params, alphabet, observations, artifacts.read_predictions(params.plot.reader, MEASURED).to_pandas(), first,
        {"train": train_texts(),
         "test": observations[names[0]].drop_duplicates("captcha")["text"].tolist()},
        pq.read_table(artifacts.GLYPHS).to_pandas(), regressed,
        pd.concat([read_epochs(name) for name in names], ignore_index=True),
        {name: artifacts.read_json(artifacts.METRICS / "predict" / f"{name}.json") for name in names},
        {name: artifacts.read_json(artifacts.METRICS / "train" / f"{name}.json") for name in names},
        read_explained(params, alphabet), (artifacts.PLOTS / "regress" / "table.html").read_text(encoding="utf-8"))


def read_explained(params: Any, alphabet: str) -> Explained:
    tables = {path.stem: parse_table(path.stem, path.read_text(encoding="utf-8"))
              for path in sorted((artifacts.PLOTS / "explain").glob("*.csv"))}
    with np.load(artifacts.EXPLAIN / "pictures.npz", allow_pickle=False) as pictures:
        return Explained(tables, dict(pictures), artifacts.read_json(artifacts.EXPLAIN / "notes.json"), alphabet,
                         params.explain.reader, params.regression.confidence)


def first_test_part() -> tuple[pd.DataFrame, str]:
    """The renderings of the first test part, and the alphabet: enough to look at, however large the study."""
    table = artifacts.read_captchas(artifacts.part_path("test", 0))
    images = artifacts.images_of(table)
    means, spreads = luma_statistics(images)
    frame = table.select(["captcha", "condition", "text", "noise", "level", "colour", "rmse", "ssim"]).to_pandas()
    return (frame.assign(image=list(images), luma_mean=means, luma_sd=spreads), artifacts.alphabet_of(table.schema))


def train_texts() -> list[str]:
    """The texts of the training captchas, one a captcha."""
    texts: list[str] = []
    for path in artifacts.parts_of("train"):
        part = artifacts.read_captchas(path, ["captcha", "text"]).to_pandas()
        texts += part.drop_duplicates("captcha")["text"].tolist()
    return texts


def read_regressed(name: str) -> pd.DataFrame:
    """A table of the regress stage; a character such as "NA" stays a text, a number that is not there is NaN."""
    path, (texts, numbers) = artifacts.PLOTS / "regress" / f"{name}.csv", REGRESSED[name]
    kinds = dict.fromkeys(texts, str) | dict.fromkeys(numbers, float)
    if not path.stat().st_size:  # without a row there is no header either
        return pd.DataFrame(columns=[*texts, *numbers]).astype(kinds)
    return pd.read_csv(path, keep_default_na=False, usecols=[*texts, *numbers], dtype=kinds,
                       na_values={name: [""] for name in numbers})


def read_epochs(name: str) -> pd.DataFrame:
    """One row an epoch; none for a reader that learned nothing here."""
    path = artifacts.PLOTS / "train" / f"{name}.csv"
    epochs = pd.read_csv(path)
    missing = [column for column in EPOCHS if column not in epochs]
    if missing:
        raise ValueError(f"{path}: expected the columns {', '.join(EPOCHS)}, got {', '.join(epochs.columns)}: run "
                         f"`dvc repro -f train@{name}`")
    return epochs[EPOCHS].assign(reader=name).astype(dict.fromkeys(EPOCHS[1:], float) | {"epoch": int})


def tabulate(result: Run) -> dict[str, pd.DataFrame]:
    """All that the figures draw; each becomes a CSV of this name."""
    observations, confidence, noises = result.observations, result.confidence, result.params.noise.types
    renamed = {name: rows.rename(columns={"truth": "character"}) for name, rows in observations.items()}
    own, coefficients = renamed[result.reader].join(result.measured), result.regressed.tables["coefficients"]
    return {
        "accuracy": accuracy_by_level(observations, noises, confidence),
        "characters": accuracy_by("character", renamed, result.alphabet, confidence),
        "colours": accuracy_by("colour", observations, result.params.colour.schemes, confidence),
        "confusion": confusion_table(observations, result.alphabet),
        "classification": classification_table(observations, result.alphabet),
        "slopes": dose_slopes(coefficients, list(observations), result.regressed.by_reader, result.regressed.dose),
        "effects": factor_effects(coefficients, result.regressed.fits["headline"]),
        "learning": result.learning[["reader", *EPOCHS]],
        "reliability": reliability(observations, reliability_curve),
        "calibration": calibration(observations, calibration_by_group),
        "counts": count_characters(result.texts, result.alphabet),
        "glyphs": result.glyphs.drop(columns="mean"),
        "pixels": pixels_by_level(result.first, own.drop_duplicates(["captcha", "condition"]), noises),
        "associations": associations(own[[*DESIGNED, *MEASURED]]),
    }


def draw(result: Run, tables: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, Figure | None, str]]:
    """Every figure of the report: its name, the drawing, and what it found."""
    reader, confidence, levels = result.reader, result.confidence, tables["accuracy"]
    rival = rival_of(result)
    compared = {name: f"learned from {findings.LEARNS[result.params.readers[name].learns_from]}"
                for name in (reader, *([rival.name] if rival else []))}
    yield "answer", draw_answer(levels, compared), captions.about_halves(levels, reader)
    yield "samples", *draw_samples(result)
    yield "schemes", *draw_schemes(result)
    for measure, column in (("character", "character_accuracy"), ("exact", "exact_match")):
        yield column, draw_levels(levels, measure, guess_rate(result, measure)), \
            captions.about_levels(levels, reader, column)
    broken_down = [("character", tables["characters"]), ("colour", tables["colours"])]
    yield "breakdown", draw_breakdown(broken_down), captions.about_breakdown(broken_down, reader)
    cells = tables["confusion"]
    yield "confusion", draw_confusion(cells[cells["reader"] == reader], result.alphabet), \
        captions.about_confusion(cells, reader)
    slopes, effects, references = tables["slopes"], tables["effects"], result.regressed.headline["references"]
    yield "slopes", None if slopes.empty else draw_slopes(slopes, reader, result.regressed.dose), \
        captions.about_slopes(slopes, confidence)
    yield "effects", None if effects.empty else draw_effects(effects, references), \
        captions.about_effects(effects, references, confidence)
    yield from draw_regression(result.regressed)
    yield "learning", draw_learning(tables["learning"]) if len(tables["learning"]) else None, \
        captions.about_learning(tables["learning"])
    metrics, groups = result.metrics[reader], tables["calibration"]
    own = groups["reader"] == reader
    yield "calibration", draw_calibration(tables["reliability"], groups) if own.any() else None, \
        about_calibration(groups, reader, metrics, result.trained[reader].get("temperature", 1.0)) if own.any() else \
        f"`{reader}` read no character at all, so it had no confidence in any."
    yield from draw_exploration(result, tables)


def draw_exploration(result: Run, tables: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, Figure | None, str]]:
    yield "counts", draw_counts(tables["counts"]), captions.about_counts(tables["counts"])
    means = result.glyphs["mean"]
    if len(means):
        pictures = np.stack([np.frombuffer(mean, np.uint8).reshape(SIDE, SIDE) for mean in means])
        totals = result.glyphs[list(artifacts.SPLITS)].sum(axis=1)
        yield "glyphs", draw_mean_glyphs(pictures, result.glyphs["label"].tolist(), totals.tolist()), \
            captions.about_glyphs(result.glyphs)
    else:
        yield "glyphs", None, "These captchas were found, not composed, so there are no glyphs to lay over each other."
    yield "pixels", draw_pixels(tables["pixels"]), captions.about_pixels(tables["pixels"])
    apart = [name for name in DESIGNED if name != "level"]
    yield "associations", draw_associations(tables["associations"]), \
        captions.about_associations(tables["associations"], apart)


def draw_samples(result: Run) -> tuple[Figure, str]:
    """The first test captcha under every noise, and how many of the pictures were read."""
    shown = result.first[result.first["captcha"] == result.first["captcha"].iloc[0]]
    clean = shown[shown["level"] == 0].head(1)
    levels = chosen_levels(sorted(set(shown["level"]) - {0.0}))
    noisy = shown[shown["level"].isin(levels)]
    rows = [(words(noise), pd.concat([clean, noisy[noisy["noise"] == noise].sort_values("level")]))
            for noise in result.params.noise.types]
    return sheet(result, rows, ["clean", *(f"level {level:g}" for level in levels)])


def draw_schemes(result: Run) -> tuple[Figure, str]:
    """Some clean captchas of each colour scheme."""
    clean = result.first[result.first["level"] == 0]
    rows = []
    for scheme in result.params.colour.schemes:
        chosen = clean[clean["colour"] == scheme].drop_duplicates("captcha").head(result.params.plot.samples)
        rows += [(words(scheme) if start == 0 else "", chosen[start:start + MOST_COLUMNS])
                 for start in range(0, len(chosen), MOST_COLUMNS)]
    return sheet(result, rows, [])


def sheet(result: Run, rows: Sequence[tuple[str, pd.DataFrame]], columns: Sequence[str]) -> tuple[Figure, str]:
    """A sheet of renderings in named rows with what was read beneath, and how many were read right."""
    own = result.observations[result.reader]
    own = own[own["captcha"] <= result.first["captcha"].max()].drop_duplicates(["captcha", "condition"])
    readings = dict(zip(zip(own["captcha"], own["condition"], strict=True), own["reading"], strict=True))
    keys = [list(zip(row["captcha"], row["condition"], strict=True)) for _, row in rows]
    unread = [key for line in keys for key in line if key not in readings]
    if unread:
        raise ValueError(f"{artifacts.PREDICTIONS / result.reader}.parquet has no reading of captcha {unread[0][0]}, "
                         f"condition {unread[0][1]}: run `dvc repro -f predict@{result.reader}`")
    read_as = [[readings[key] for key in line] for line in keys]
    right = [[reading == text for reading, text in zip(line, row["text"], strict=True)]
             for line, (_, row) in zip(read_as, rows, strict=True)]
    pictures, names = [row["image"].tolist() for _, row in rows], [name for name, _ in rows]
    figure = draw_sheet(pictures, names, columns, read_as, right)
    return figure, f"`{result.reader}` reads {sum(map(sum, right))} of these {sum(map(len, right))} pictures."


def rival_of(result: Run) -> findings.Rival | None:
    """The reader to compare the headline's with, and the difference on noisy captchas."""
    kinds = {name: (reader.architecture, reader.learns_from) for name, reader in result.params.readers.items()}
    name = findings.rival_of(result.reader, kinds)
    own = result.observations[result.reader]
    if name is None:
        return None
    gain = paired_gain(own, result.observations[name], result.confidence)
    return findings.Rival(name, kinds[name][1], gain)


def guess_rate(result: Run, measure: str) -> float:
    """What blind guessing gets, of characters or of whole captchas (of known length)."""
    if measure == "character":
        return 1 / len(result.alphabet)
    return float(np.mean([len(result.alphabet) ** -float(len(text)) for text in result.texts["test"]]))


def plate(result: Run, drawing: RenderedFigure, kind: str = "", reader: str = "") -> Plate:
    """Write the figure and set it into its words, those of its `kind` where it is one of several."""
    title, shows = wording.SHOWS[kind or drawing.name]
    shows = shows.format(interval=f"{100 * result.confidence:g} %", reader=reader or result.reader,
                         first=f"{result.first['captcha'].nunique():,}", dose=NUMBERS[result.regressed.dose],
                         cluster=result.regressed.cluster)
    if drawing.png is not None:
        artifacts.write_bytes(FIGURES / f"{drawing.name}.png", drawing.png)
    elif drawing.svg is not None:
        artifacts.write_text(FIGURES / f"{drawing.name}.svg", drawing.svg)
    return Plate(drawing.name, title, shows, drawing.found, drawing.svg)


def other_readers(result: Run, tables: Mapping[str, pd.DataFrame]) -> list[Fold]:
    """Confusion matrix and classification report of every reader but the headline's, folded away."""
    cells, classes, folds = tables["confusion"], tables["classification"], []
    for reader in result.observations:
        if reader != result.reader:
            matrix = draw_confusion(cells[cells["reader"] == reader], result.alphabet)
            drawing = rendered((f"confusion_{reader}", matrix, captions.about_confusion(cells, reader)))
            drawn = plate(result, drawing, "confusion", reader)
            macro = macro_of(classes, reader)
            told = (f"`{reader}`: confusion matrix and classification report (it reads "
                    f"{findings.percent(macro['accuracy'])} of the characters; macro F1 "
                    f"{findings.percent(macro['f1'])})")
            folds.append(Fold(told, [drawn, *classified(classes, reader)]))
    return folds


def classified(classes: pd.DataFrame, reader: str) -> list[str]:
    return [classification_report(classes, reader), paragraphs([about_classification(classes, reader)])]


def report(result: Run, tables: Mapping[str, pd.DataFrame], plates: Mapping[str, Plate]) -> str:
    reader, confidence = result.reader, result.confidence
    own = result.observations[reader]
    answer = findings.answer(tables["accuracy"], tables["slopes"], reader, rival_of(result),
                             float(own.loc[own["level"] > 0, "success"].mean()), tables["characters"],
                             tables["colours"], confidence, result.regressed.dose)
    doubts = findings.uncertain(tables["slopes"], reader, tables["characters"], own["captcha"].nunique(),
                                own["condition"].nunique(), result.params.seed, confidence)
    html = {
        **regression_html(result.regressed, composed=len(result.glyphs) > 0),
        "uncertain": bullets(doubts),
        "regression": scrolling(result.regression_table, "Table of the regressions"),
        "readers": readers_tables(described(result), tables["classification"]),
        "classification": "".join(classified(tables["classification"], reader)),
        "parameters": parameters_tables(*parameters_of(result.params)),
        "change": definitions(wording.RECIPES, "recipes"),
        "glossary": definitions(((term, meaning.format(interval=f"{100 * confidence:g} %"))
                                 for term, meaning in wording.GLOSSARY), "glossary"),
    }
    parts: dict[str, Sequence[Plate | Fold | str]] = {name: [drawn] for name, drawn in plates.items()}
    parts |= {name: [told] for name, told in html.items()} | {"others": other_readers(result, tables)}
    chapters = [Chapter(anchor, title, lead, [part for name in wording.CONTENT[anchor] for part in parts.get(name, [])])
                for anchor, (title, lead) in wording.LEADS.items()]
    return page(answer, tiles_of(result, tables), chapters)


def tiles_of(result: Run, tables: Mapping[str, pd.DataFrame]) -> list[Tile]:
    reader, metrics = result.reader, result.metrics[result.reader]
    halves = findings.halves(tables["accuracy"], reader)
    tiles = [Tile(*share(metrics, "clean_exact_match"), f"of the clean captchas are read whole by {reader}"),
             Tile(*share(metrics, "exact_match"), f"of the captchas under all conditions are read whole by {reader}")]
    if halves and halves[0][0] > 0:
        level, noise = halves[0]
        tiles.append(Tile(f"{level:.2f}", f"level of {words(noise)}",
                          f"brings {reader} below half of the captchas: no noise needs less"))
    own = result.observations[reader]
    tiles.append(Tile(f"{own['captcha'].nunique():,} × {own['condition'].nunique()}", "captchas × conditions",
                      f"read by {len(result.observations)} reader{'s' * (len(result.observations) > 1)}"))
    return tiles


def described(result: Run) -> dict[str, Described]:
    return {name: Described(reader.architecture, reader.learns_from, reader.denoise, result.trained[name],
                            result.metrics[name]) for name, reader in result.params.readers.items()}


def parameters_of(params: Any) -> tuple[dict[str, list[tuple[str, str]]], dict[str, list[tuple[str, str]]]]:
    """All parameters by section, and those of the readers by reader."""
    sections = {"params.yaml": [("seed", str(params.seed))]}
    for section in ("glyphs", "captcha", "colour", "noise", "regression", "explain", "plot"):
        sections[section] = list(flattened(vars(getattr(params, section))))
    return sections, {name: list(flattened(vars(reader))) for name, reader in params.readers.items()}


if __name__ == "__main__":
    run(main)
