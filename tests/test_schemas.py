"""The schemas: every column is declared once, with its meaning; files are checked against them on both sides."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from stages import artifacts, schemas
from stages.schemas import explain
from stages.schemas.arrow import arrow_schema
from stages.schemas.captchas import Captchas
from stages.schemas.predict import PredictionDetails, PredictionMetrics, Predictions
from stages.schemas.regress import FormulaVariables
from stages.schemas.table import Column, Number, Table, Text, Whole
from stages.schemas.train import Epochs, TrainingRecord
from stages.schemas.words import EXPLAIN_PARTS

STAGES = Path(__file__).resolve().parents[1] / "stages"
METHODS = {
    "set_index",
    "sort_values",
    "groupby",
    "drop_duplicates",
    "merge",
    "rename",
    "nlargest",
    "nsmallest",
    "pivot",
}  # of a data frame, whose arguments name columns
MAPPINGS = {
    "tables",
    "factors",
    "numbers",
}  # attributes that are mappings by a file's or a variable's name
KEYS: dict[str, set[str]] = {  # keys of something else than a table that are called like a column
    "figures/class_separation_figures.py": {"distance"},  # of what is concluded of a noise
    "figures/page.py": {"kind"},  # of the report's tree
    "figures/study.py": {"test"},  # texts by split
    "grammar.py": {"error"},  # of pydantic's errors
    "lab/experiments.py": {"high", "low", "value"},  # of the page's JSON
    "lab/page_sections.py": {"error"},  # of the page's JSON
    "lab/csv_files.py": {"label"},  # of Kaggle's CSV
    "sources/labelled_captchas.py": {"label"},  # of a folder's CSV
    "sources/kaggle.py": {"label", "test", "train"},  # of Kaggle's CSV, and its files
}


def tables() -> list[type[Table]]:
    """Every table that a module of stages/schemas declares."""
    names = [module.name for module in pkgutil.iter_modules(schemas.__path__)]
    modules = [importlib.import_module(f"stages.schemas.{name}") for name in names]
    found = [
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Table) and kind.__module__ == module.__name__
    ]
    return [kind for kind in found if kind is not Table]


def files() -> list[str]:
    """Every file of stages outside stages/schemas."""
    paths = sorted(path.relative_to(STAGES).as_posix() for path in STAGES.rglob("*.py"))
    return [path for path in paths if not path.startswith("schemas/")]


COLUMNS = {name for kind in tables() for name in kind.names()}


def literals(node: ast.expr) -> Iterator[ast.Constant]:
    """The texts in an index or argument, lists and mappings within it included."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node
    elif isinstance(node, ast.List | ast.Tuple | ast.Set):
        for element in node.elts:
            yield from literals(element)
    elif isinstance(node, ast.Dict):
        for entry in (*node.keys, *node.values):
            if entry is not None:
                yield from literals(entry)


def named(tree: ast.AST) -> Iterator[ast.Constant]:
    """The texts that stand where a column is named."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript):
            of = (
                node.value.attr
                if isinstance(node.value, ast.Attribute)
                else getattr(node.value, "id", "")
            )
            if of not in MAPPINGS | {"Literal"}:
                yield from literals(node.slice)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in METHODS
        ):
            for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                yield from literals(argument)


def columns_in(source: str) -> set[str]:
    """The declared columns that a source names by a text."""
    return {str(node.value) for node in named(ast.parse(source))} & COLUMNS


@pytest.mark.parametrize("path", files())
def test_no_column_is_named_by_a_text(path: str) -> None:
    """`frame[Costs.noise]`, not `frame["noise"]`: outside stages/schemas, a column is named by its attribute."""
    assert columns_in((STAGES / path).read_text(encoding="utf-8")) <= KEYS.get(path, set())


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('frame["noise"]', {"noise"}),
        ('frame[["noise", "level"]]', {"noise", "level"}),
        ('frame.loc[mask, "count"]', {"count"}),
        ('frame.sort_values("level")', {"level"}),
        ('frame.drop_duplicates(["captcha", "condition"])', {"captcha", "condition"}),
        ('frame.groupby(["noise", other], sort=False)', {"noise"}),
        ('frame.merge(other, on="captcha", how="inner")', {"captcha"}),
        ('frame.rename(columns={"truth": "character"})', {"truth", "character"}),
        ('frame.nlargest(3, columns="cost")', {"cost"}),
        ('study.tables["accuracy"]', set()),
        ('x: Literal["level", "rmse"]', set()),
        ("frame[Costs.noise]", set()),
        ('frame["no_column"]', set()),
    ],
)
def test_a_column_named_by_a_text_is_found(source: str, found: set[str]) -> None:
    assert columns_in(source) == found


@pytest.mark.parametrize("kind", tables(), ids=lambda kind: kind.__name__)
def test_a_table_says_what_it_holds_and_what_its_columns_mean(kind: type[Table]) -> None:
    assert kind.__doc__
    assert kind.__doc__ != Table.__doc__
    assert kind.names()
    for name, column in kind.columns.items():
        assert column.meaning, name
        assert column.name == name
        assert getattr(kind, name) == name


def whole_tables() -> list[type[Table]]:
    """The tables that are no part of another; the variables of a formula are no file."""
    parts = {FormulaVariables, *(base for kind in tables() for base in kind.__bases__)}
    return [kind for kind in tables() if kind not in parts]


@pytest.mark.parametrize("kind", whole_tables(), ids=lambda kind: kind.__name__)
def test_every_table_has_a_row_key(kind: type[Table]) -> None:
    assert kind.row_key()


def test_a_table_of_several_has_the_columns_of_each_before_its_own() -> None:
    class First(Table):
        """One."""

        a = Text("a", key=True)

    class Second(Table):
        """Two."""

        b = Whole("b")

    class Both(First, Second):
        """Three."""

        c = Number("c")

    assert Both.names() == ["a", "b", "c"]
    assert Both.row_key() == ["a"]
    assert First.names() == ["a"]


# Files against their schemas


class Scores(Table):
    """What the tests write and read."""

    name = Text("name", key=True)
    share = Number("share, 0 to 1")
    count = Whole("how many")


ROWS = [{"name": "NA", "share": 0.25, "count": 3}, {"name": "1", "share": float("nan"), "count": 0}]


@pytest.mark.parametrize("table", [ROWS, pd.DataFrame(ROWS)], ids=["rows", "frame"])
def test_a_table_comes_back_as_it_was_written(
    tmp_path: Path, table: list[dict[str, object]] | pd.DataFrame
) -> None:
    artifacts.write_table(tmp_path / "scores.csv", Scores, table)
    back = artifacts.read_table(tmp_path / "scores.csv", Scores)
    pd.testing.assert_frame_equal(back, pd.DataFrame(ROWS))


def test_a_table_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    artifacts.write_table(tmp_path / "scores.csv", Scores, [])
    back = artifacts.read_table(tmp_path / "scores.csv", Scores)
    assert list(back.columns) == Scores.names()
    assert len(back) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,share\na,1\n", r"expected the columns name, share, count, got name, share"),
        ("name,share,count,more\na,1,1,1\n", r"got name, share, count, more"),
        (
            "share,name,count\n1,a,1\n",
            r"expected the columns name, share, count, got share, name, count",
        ),
        ("name,share,count\na,much,1\n", r"column share: expected numbers .*'much'"),
        ("name,share,count\na,1,\n", r"column count: expected whole numbers"),
        ("name,share,count\na,1,0.5\n", r"column count: expected whole numbers .*'0.5'"),
        ("name,share,count\na,1,2\nb,1\n", r"is damaged \(a row has not as many cells as"),
        ("name,share,count\na,1,2,3\n", r"is damaged \(a row has not as many cells as"),
    ],
    ids=[
        "a column less",
        "a column more",
        "another order",
        "a text for a number",
        "a whole number missing",
        "a half",
        "a cell less",
        "a cell more",
    ],
)
def test_another_table_is_refused_in_a_line_with_its_file_and_column(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "scores.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=said) as refused:
        artifacts.read_table(tmp_path / "scores.csv", Scores)
    assert str(tmp_path / "scores.csv") in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "columns", [["name", "share"], ["name", "share", "count", "more"], ["share", "name", "count"]]
)
def test_other_columns_are_not_written(tmp_path: Path, columns: list[str]) -> None:
    rows = [dict.fromkeys(columns, 1)]
    for table in (rows, pd.DataFrame(rows)):
        with pytest.raises(
            ValueError, match=r"scores\.csv: expected the columns name, share, count, got "
        ):
            artifacts.write_table(tmp_path / "scores.csv", Scores, table)
    assert list(tmp_path.iterdir()) == []


# Parquet


@pytest.mark.parametrize("kind", tables(), ids=lambda kind: kind.__name__)
def test_every_column_has_a_type_in_parquet(kind: type[Table]) -> None:
    assert arrow_schema(kind, image=12).names == kind.names()


def test_the_schemas_of_the_parquet_tables_stay() -> None:
    """What stands in the files of older versions; raise artifacts.VERSION where it changes."""
    category = "dictionary<values=string, indices=int8, ordered=0>"
    factors = {
        "noise": category,
        "level": "double",
        "colour": category,
        "contrast": "float",
        "rmse": "float",
        "ssim": "float",
    }
    predictions = {
        "captcha": "int32",
        "condition": "int16",
        "position": "int8",
        "text": "string",
        "reading": "string",
        "truth": "string",
        "guess": "string",
        "confidence": "float",
        "success": "bool",
        "glyph": "int32",
    }
    assert types(artifacts.PREDICTION_SCHEMA) == list((predictions | factors).items())
    captchas = artifacts.captcha_schema(2, 3, {"alphabet": "ab", "source": "digits"})
    assert types(captchas) == [
        ("captcha", "int32"),
        ("condition", "int16"),
        ("text", "string"),
        ("glyphs", "list<item: int32>"),
        ("noise", category),
        ("level", "double"),
        ("colour", category),
        ("foreground", "list<item: string>"),
        ("background", "string"),
        ("hue", "list<item: float>"),
        ("saturation", "list<item: float>"),
        ("background_hue", "float"),
        ("background_saturation", "float"),
        ("contrast", "float"),
        ("rmse", "float"),
        ("ssim", "float"),
        ("image", "fixed_size_binary[18]"),
    ]
    assert captchas.metadata == {
        b"version": b"1",
        b"height": b"2",
        b"width": b"3",
        b"alphabet": b"ab",
        b"source": b"digits",
    }
    assert types(artifacts.glyph_schema(28)) == [
        ("label", "string"),
        ("train", "int64"),
        ("validation", "int64"),
        ("test", "int64"),
        ("mean", "fixed_size_binary[784]"),
    ]
    assert (Captchas.row_key(), Predictions.row_key()) == (
        ["captcha", "condition"],
        ["captcha", "condition", "position"],
    )


def types(schema: pa.Schema) -> list[tuple[str, str]]:
    return [(field.name, str(field.type)) for field in schema]


# Records of train and predict


def test_what_a_reader_lacks_stands_in_no_record(tmp_path: Path) -> None:
    external = TrainingRecord(
        validation_character_accuracy=0.5, validation_exact_match=0.25, weights=0
    )
    artifacts.write_metrics(tmp_path / "train.json", external.to_json())
    assert sorted(artifacts.read_json(tmp_path / "train.json")) == [
        "validation_character_accuracy",
        "validation_exact_match",
        "weights",
    ]
    assert artifacts.read_record(tmp_path / "train.json", TrainingRecord) == external


def test_the_exact_match_of_a_noise_is_flat_in_the_file(tmp_path: Path) -> None:
    names = PredictionDetails.__dataclass_fields__
    shares = {name: 0.5 for name in names if name.startswith(("clean_", "macro", "coverage"))}
    details = PredictionDetails(**shares, exact_match_by_noise={"fog": 0.125, "elastic": 0.25})  # type: ignore[arg-type]
    artifacts.write_metrics(tmp_path / "predict.json", details.to_json())
    written = artifacts.read_json(tmp_path / "predict.json")
    assert (written["exact_match_fog"], written["exact_match_elastic"]) == (0.125, 0.25)
    assert "calibration_error" not in written
    assert artifacts.read_record(tmp_path / "predict.json", PredictionDetails) == details


def test_metrics_of_another_version_are_refused(tmp_path: Path) -> None:
    artifacts.write_json(tmp_path / "predict.json", {"exact_match": 0.5, "speed": 1})
    with pytest.raises(
        ValueError, match=r"predict\.json: .*is missing.*speed is unknown"
    ) as refused:
        artifacts.read_record(tmp_path / "predict.json", PredictionMetrics)
    assert "\n" not in str(refused.value)


def test_the_learning_curve_has_the_fields_of_an_epoch() -> None:
    fields = importlib.import_module("stages.reader.fitting").Epoch.__dataclass_fields__
    assert list(fields) == Epochs.names()


def test_a_column_is_the_name_of_its_attribute() -> None:
    assert isinstance(Predictions.columns["truth"], Column)
    assert Predictions.truth == "truth"


def test_every_part_of_explain_has_its_tables_declared() -> None:
    assert tuple(explain.PARTS) == EXPLAIN_PARTS
