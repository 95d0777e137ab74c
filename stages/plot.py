"""Draw the figures and write the report.

Reads   data/captchas/train (texts), data/captchas/test, data/glyphs.parquet, data/predictions/<name>.parquet,
        data/regression/fits.json, data/explain, metrics/predict/<name>.json, plots/predict/<name>.json,
        plots/train/<name>.csv and <name>.json, plots/regress/*.csv and table.json, plots/explain/<part>/*.csv
Writes  plots/figures/*.svg, *.png and *.csv, plots/report.json, plots/report.html, plots/details.html
Params  seed, glyphs, captcha, colour, noise, reader_defaults, readers, regression, explain, plot
        (the report shows them all)
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from stages import artifacts
from stages.captcha.glyphs import SIDE
from stages.command import die_with_parent, progress, run, worker_count
from stages.figures.chapters.contents import CHAPTERS, QUESTIONS
from stages.figures.conclusions import answer_text
from stages.figures.figure import PAGES, Figure
from stages.figures.page import render
from stages.figures.pixels import luma_statistics
from stages.figures.publication import publication_table
from stages.figures.regression_tables import Regressed
from stages.figures.report import Rendered, figures_in, tree_of
from stages.figures.study import Explained, Study, pool_runs
from stages.figures.style import png, svg
from stages.params import Params, read, runs_of
from stages.schemas.captchas import Captchas, Condition, Measures
from stages.schemas.explain import ARRAYS, PARTS, PartNote
from stages.schemas.figures import FIGURE_TABLES, Learning, PixelChanges
from stages.schemas.predict import Answers, PredictionDetails, PredictionMetrics, Predictions
from stages.schemas.record import Record
from stages.schemas.regress import TABLES, Fits, Publication
from stages.schemas.train import Epochs, TrainingRecord

R = TypeVar("R", bound=Record)

FIGURES = artifacts.PLOTS / "figures"
REGRESS = artifacts.PLOTS / "regress"
OBSERVED = [*Answers.names(), *Condition.names()]
DRAWN = [
    Captchas.captcha,
    Captchas.condition,
    Captchas.text,
    *Condition.names(),
    Captchas.rmse,
    Captchas.ssim,
]


def main() -> None:
    params = read("seed", "glyphs", "captcha", "colour", "noise", "reader_defaults", "readers", "regression",
                  "explain", "plot")  # fmt: skip
    study = load_report_study(params)
    progress(f"{len(study.observations)} readers, {len(study.measured)} test characters each")
    for name, table in study.tables.items():
        artifacts.write_table(FIGURES / f"{name}.csv", FIGURE_TABLES[name], table)
    chapters = [(chapter, chapter.parts(study)) for chapter in CHAPTERS]
    figures = [figure for _, parts in chapters for figure in figures_in(parts)]
    rendered = {}
    with in_parallel(draw_explained, study.explained) as explained:
        own = draw_all((figure for figure in figures if figure.source == "study"), study)
        for drawing in (*own, *explained()):
            write_figure(drawing)
            rendered[drawing.name] = drawing
    answer = answer_text(study.regressed, study.learned)
    tree = tree_of(study, chapters, rendered, answer, QUESTIONS)
    artifacts.write_json(artifacts.PLOTS / "report.json", artifacts.rounded(tree))
    drawings = {name: drawing.svg for name, drawing in rendered.items() if drawing.svg is not None}
    for page, name in PAGES.items():
        artifacts.write_text(artifacts.PLOTS / name, render(page, tree, drawings))


@contextmanager
def in_parallel(
    work: Callable[[Explained], list[Rendered]], explained: Explained
) -> Iterator[Callable[[], list[Rendered]]]:
    """A function that returns the result of `work`, meanwhile computed in a second process if there is a core."""
    if worker_count() == 1:
        yield partial(work, explained)
        return
    try:
        with ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), initializer=die_with_parent
        ) as executor:
            yield executor.submit(work, explained).result
    except BrokenProcessPool:
        raise ValueError("a worker process died (out of memory?): set CAPTCHA_WORKERS=1") from None


def draw_explained(explained: Explained) -> list[Rendered]:
    """The figures of the stage explain, which are constants of the chapters."""
    fixed = (part for chapter in CHAPTERS for part in chapter.content if isinstance(part, Figure))
    return draw_all((figure for figure in fixed if figure.source == "explained"), explained)


def draw_all(figures: Iterable[Figure], source: Study | Explained) -> list[Rendered]:
    return [draw(figure, source) for figure in figures]


def draw(figure: Figure, source: Study | Explained) -> Rendered:
    finding = figure.finding(source)
    drawing = figure.draw(source) if figure.when(source) else None
    if drawing is None:
        progress(f"figure {figure.name}: nothing to draw")
        return Rendered(figure.name, finding, None, None)
    progress(f"figure {figure.name}")
    return Rendered(figure.name, finding, svg(drawing), png(drawing) if figure.picture else None)


def write_figure(drawing: Rendered) -> None:
    if drawing.png is not None:
        artifacts.write_bytes(FIGURES / f"{drawing.name}.png", drawing.png)
    elif drawing.svg is not None:
        artifacts.write_text(FIGURES / f"{drawing.name}.svg", drawing.svg)


def load_report_study(params: Params) -> Study:
    """Everything that the figures need; runs of one reader are pooled here, and nowhere else."""
    entries = list(params.readers)
    runs = runs_of(params.readers)
    first, alphabet = first_test_part()
    explained = read_explained(params, alphabet)
    observations = pool_runs(
        runs, {name: artifacts.read_predictions(name, OBSERVED).to_pandas() for name in entries}
    )
    reader = next(name for name, those in runs.items() if params.plot.reader in those)
    texts = observations[reader].drop_duplicates(Predictions.captcha)[Predictions.text].tolist()
    return Study(
        params=params,
        alphabet=alphabet,
        runs=runs,
        observations=observations,
        first=first,
        measured=artifacts.read_predictions(reader, Measures.names()).to_pandas(),
        texts={"train": train_texts(), "test": texts},
        glyphs=artifacts.read_glyphs(SIDE).to_pandas(),
        regressed=read_regressed(reader),
        learning=pd.concat([read_epochs(name) for name in entries], ignore_index=True),
        trained=records_of(entries, artifacts.PLOTS / "train", TrainingRecord),
        metrics=records_of(entries, artifacts.METRICS / "predict", PredictionMetrics),
        details=records_of(entries, artifacts.PLOTS / "predict", PredictionDetails),
        explained=explained,
        regression_table=publication_table(
            artifacts.read_record(REGRESS / "table.json", Publication)
        ),
    )


def records_of(names: Iterable[str], folder: Path, kind: type[R]) -> dict[str, R]:
    return {name: artifacts.read_record(folder / f"{name}.json", kind) for name in names}


def read_explained(params: Params, alphabet: str) -> Explained:
    """The artifacts of the parts in `explain.parts`; those of other parts are named and ignored."""
    name_leftovers(params.explain.parts)
    tables: dict[str, pd.DataFrame] = {}
    notes: dict[str, str] = {}
    arrays: dict[str, Any] = {}
    for part, kinds in PARTS.items():
        if part not in params.explain.parts:
            notes[part] = f"`explain.parts` in params.yaml does not name {part}"
            continue
        data = artifacts.EXPLAIN / part
        if note := artifacts.read_record(data / "note.json", PartNote).text:
            notes[part] = note
        for name, kind in kinds.items():
            path = artifacts.PLOTS / "explain" / part / f"{name}.csv"
            if path.exists():
                tables[name] = artifacts.read_table(path, kind)
        if (data / "arrays.npz").exists():
            arrays[part] = artifacts.read_arrays(data / "arrays.npz", ARRAYS[part])
    return Explained(
        tables,
        notes,
        alphabet,
        params.explain.reader,
        params.regression.confidence,
        tuple(params.noise.types),
        **arrays,
    )


def name_leftovers(parts: Sequence[str]) -> None:
    """Report artifacts of `explain` that belong to none of these parts."""
    for folder in (artifacts.EXPLAIN, artifacts.PLOTS / "explain"):
        left = sorted(path.name for path in folder.glob("*") if path.name not in parts)
        if left:
            names = ", ".join(left)
            progress(
                f"{folder}: ignored, since explain.parts does not name it: {names}; remove what is left over"
            )


def first_test_part() -> tuple[pd.DataFrame, str]:
    """The renderings of the first test part and the alphabet: enough pictures, however large the study is."""
    table = artifacts.read_captchas(artifacts.part_path("test", 0))
    images = artifacts.images_of(table)
    means, spreads = luma_statistics(images)
    added = {
        Captchas.image: list(images),
        PixelChanges.luma_mean: means,
        PixelChanges.luma_sd: spreads,
    }
    return table.select(DRAWN).to_pandas().assign(**added), artifacts.alphabet_of(table.schema)


def train_texts() -> list[str]:
    """The texts of the training captchas, one per captcha."""
    texts: list[str] = []
    for path in artifacts.parts_of("train"):
        part = artifacts.read_captchas(path, [Captchas.captcha, Captchas.text]).to_pandas()
        texts += part.drop_duplicates(Captchas.captcha)[Captchas.text].tolist()
    return texts


def read_regressed(reader: str) -> Regressed:
    """The artifacts of the stage regress; `reader` is that of the report's headline."""
    tables = {
        kind: artifacts.read_table(REGRESS / f"{name}.csv", kind) for name, kind in TABLES.items()
    }
    return Regressed(
        tables, artifacts.read_record(artifacts.REGRESSION / "fits.json", Fits), reader
    )


def read_epochs(name: str) -> pd.DataFrame:
    """One row per epoch; none for a reader that was not trained here."""
    epochs = artifacts.read_table(artifacts.PLOTS / "train" / f"{name}.csv", Epochs)
    return epochs.assign(**{Learning.reader: name})[Learning.names()]


if __name__ == "__main__":
    run(main)
