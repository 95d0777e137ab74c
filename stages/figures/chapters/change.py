"""How to change the study, its parameters, and the glossary."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter

from stages.figures.figure import (
    Chapter,
    ChapterPart,
    Definitions,
    ReportTable,
    heads,
    pairs_table,
    row,
)
from stages.figures.glossary import GLOSSARY
from stages.figures.report import flat_metrics
from stages.figures.study import Study

SECTIONS = ("glyphs", "captcha", "colour", "noise", "regression", "explain", "plot")
NEXT = [
    ("What if noise stopped at level 0.4?", "`dvc exp run -S noise.level=0.4`"),
    ("Other noises", "`dvc exp run -S 'noise.types=[lines,curves,dots]'`"),
    (
        "Real handwriting: MNIST",
        "`dvc exp run -S glyphs.source=mnist -S glyphs.path=path/to/mnist`",
    ),
    ("The measured change instead of the level", "`dvc exp run -S regression.dose=rmse`"),
    ("Go back to this study", "`git checkout params.yaml dvc.lock metrics plots && dvc checkout`"),
]
MORE_RECIPES = [
    (
        "Three strengths, two at a time",
        "`dvc exp run --queue -S 'noise.level=0.2,0.4,0.6'\ndvc queue start -j 2`",
    ),
    (
        "The whole study drawn anew, captchas too",
        "`dvc exp run --queue -S 'seed=range(1,6)'\ndvc queue start`",
    ),
    ("Compare all experiments", "`dvc exp show`"),
    ("What changed, against the last commit", "`dvc metrics diff\ndvc plots diff`"),
    ("Keep an experiment", "`dvc exp apply NAME`"),
]


def _runs_recipe(study: Study) -> Iterator[Definitions]:
    """All recipes; that of the training runs names the readers of this study."""
    runs = (
        "How far does another training run move the numbers?",
        f"`dvc exp run $(python -m experiments.runs {' '.join(study.runs)} --runs 5)`",
    )
    yield Definitions([runs, *MORE_RECIPES], "recipes")


def _parameters(study: Study) -> Iterator[ChapterPart]:
    """All parameters, one table per section; those of the readers side by side."""
    yield pairs_table("params.yaml", {"seed": str(study.params.seed)})
    for section in SECTIONS:
        yield pairs_table(section, dict(flat_metrics(vars(getattr(study.params, section)))))
    readers = {
        name: dict(flat_metrics(vars(reader))) for name, reader in study.params.readers.items()
    }
    keys = list(next(iter(readers.values())))
    yield ReportTable(
        "readers",
        heads(*readers),
        [row(key, *map(itemgetter(key), readers.values())) for key in keys],
        kind="parameters",
    )


def _glossary(study: Study) -> Iterator[Definitions]:
    interval = f"{100 * study.confidence:g} %"
    terms = [(term, meaning.format(interval=interval)) for term, (meaning, _) in GLOSSARY.items()]
    yield Definitions(terms, "glossary")


CHAPTER = Chapter(
    "report",
    "next",
    "What to try next?",
    "`dvc exp run -S` changes a parameter in `params.yaml` and makes what depends on it anew; the last command goes "
    "back.",
    (Definitions(NEXT, "recipes"),),
)
CHANGE = Chapter(
    "details",
    "change",
    "How is the study changed?",
    "More commands. Only what depends on a change is made again.",
    (_runs_recipe,),
)
PARAMETERS = Chapter(
    "details",
    "parameters",
    "Which parameters did this run have?",
    "All of `params.yaml`, the one file that describes the experiment.",
    (_parameters,),
)
WORDS = Chapter("details", "glossary", "What do the words mean?", "", (_glossary,))
