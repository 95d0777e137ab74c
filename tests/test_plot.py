"""The plot stage, whole, on small synthetic studies; and the templates of `dvc plots`."""

from __future__ import annotations

import csv
import json
import re
import shutil
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import vl_convert
from dvc_render.vega import VegaRenderer
from ruamel.yaml import YAML
from sklearn.metrics import classification_report
from synthetic_study import write_study
from test_figures_report import check

from stages import artifacts, plot
from stages.figures.chapters.contents import CHAPTERS
from stages.figures.figure import Figure
from stages.figures.numbers import estimate_text, points_text
from stages.schemas.figures import FIGURE_TABLES

ROOT = Path(__file__).resolve().parents[1]


def names_on(page: str) -> set[str]:
    """The figures that chapters of a page name themselves."""
    chapters = [chapter.content for chapter in CHAPTERS if chapter.page == page]
    return {part.name for content in chapters for part in content if isinstance(part, Figure)}


FIRST = sorted(names_on("report"))
# Here chapters make two more, one for each other reader, and there is nothing to draw of neighbours.
OTHERS = sorted({*names_on("details"), "confusion_clean", "confusion_dense"} - {"neighbours"})
WORDS = 1250  # a minute has about 240 of them (Brysbaert 2019): five minutes


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three readers and two noise types, plotted."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        write_study(folder, patch)
        patch.setenv("CAPTCHA_WORKERS", "2")
        plot.main()
    return folder


def written(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in [
            *folder.glob("plots/figures/*"),
            *folder.glob("plots/*.html"),
            folder / "plots/report.json",
        ]
    }


def test_every_figure_and_its_data_are_written(study: Path) -> None:
    names = {
        path.stem
        for suffix in ("svg", "png")
        for path in (study / "plots/figures").glob(f"*.{suffix}")
    }
    assert sorted(names) == sorted([*FIRST, *OTHERS])
    tables = {path.stem for path in (study / "plots/figures").glob("*.csv")}
    assert tables == set(FIGURE_TABLES)


@pytest.mark.parametrize("name", FIGURE_TABLES)
def test_the_data_of_a_figure_are_as_declared_with_one_row_per_key(study: Path, name: str) -> None:
    kind = FIGURE_TABLES[name]
    table = artifacts.read_table(study / f"plots/figures/{name}.csv", kind)
    assert not table.duplicated(kind.row_key()).any()


def test_drawing_again_in_one_process_gives_the_same_bytes(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = written(study)
    monkeypatch.setenv("CAPTCHA_WORKERS", "1")
    monkeypatch.chdir(study)
    monkeypatch.setattr("stages.params.refuse_foreign_code", lambda: None)
    plot.main()
    assert written(study) == before


def test_the_first_page_is_small_and_loads_nothing(study: Path) -> None:
    for page, figures, most in (("report", FIRST, 1_000_000), ("details", OTHERS, 2_500_000)):
        html = (study / f"plots/{page}.html").read_text(encoding="utf-8")
        assert len(html.encode()) < most
        checker = check(html)
        assert all(
            address.startswith(("#", "data:", "details.html", "report.html"))
            for address in checker.addresses
        )
        assert "script" not in checker.tags
        assert len(set(checker.ids)) == len(checker.ids)
        assert checker.tags.count("h1") == 1
        assert checker.tags.count("svg") == len(figures)
        assert re.findall(r"Figure (\d+)\.", html) == [
            str(number) for number in range(1, len(figures) + 1)
        ]
        assert sorted(re.findall(r'<figure id="figure-(\w+)"', html)) == sorted(figures)


def test_every_address_leads_to_a_part_of_either_page(study: Path) -> None:
    pages = {
        name: check((study / "plots" / name).read_text(encoding="utf-8"))
        for name in ("report.html", "details.html")
    }
    for name, checker in pages.items():
        for address in checker.addresses:
            page, _, anchor = address.partition("#")
            assert not anchor or page not in ("", *pages) or anchor in pages[page or name].ids, (
                address
            )


def test_the_first_page_is_read_in_five_minutes(study: Path) -> None:
    """Prose alone: no table, command or contents, and nothing that is folded away."""
    html = (study / "plots/report.html").read_text(encoding="utf-8")
    for tag in ("style", "svg", "table", "nav", "details", "code", "footer"):
        html = re.sub(rf"<{tag}\b.*?</{tag}>", " ", html, flags=re.DOTALL)
    assert 300 < len(re.sub(r"<[^>]+>", " ", html).split()) < WORDS


def test_the_pages_say_what_the_json_says(study: Path) -> None:
    tree = artifacts.read_json(study / "plots/report.json")
    pages = {
        page: (study / f"plots/{page}.html").read_text(encoding="utf-8")
        for page in ("report", "details")
    }
    for chapter in tree["chapters"]:
        assert (
            f'<h2 id="{chapter["anchor"]}">' in pages[chapter["page"]]
            or chapter["anchor"] == "answer"
        )
    for name, figure in tree["figures"].items():
        assert figure["finding"]
        assert figure["file"] is None or (study / "plots/figures" / figure["file"]).is_file(), name
        assert figure["file"] is None or len(figure["alternative"]) > len(figure["title"]) + 20
        for table in figure["numbers"]:
            assert (study / table).is_file(), table
    assert len(tree["answer"].split()) <= 60
    assert 5 <= len(tree["findings"]["regression"]) <= 10


def test_the_report_tells_the_parameters_and_the_regression(study: Path) -> None:
    details = (study / "plots/details.html").read_text(encoding="utf-8")
    assert '<th scope="row">types</th><td>fog, gaussian_blur</td>' in details
    assert "What cannot be concluded" in details
    first = (study / "plots/report.html").read_text(encoding="utf-8")
    assert first.count('<table class="regression">') == 1
    assert "noise.level=0.4" in first
    assert "git checkout params.yaml dvc.lock metrics plots &amp;&amp; dvc checkout" in first


def test_no_difference_is_told_from_two_intervals(study: Path) -> None:
    said = json.dumps(artifacts.read_json(study / "plots/report.json")).lower()
    for claim in (
        "overlap",
        "do not meet",
        "intervals meet",
        "same glyphs, ",
        "by more than chance",
        "fails fastest",
    ):
        assert claim not in said


def test_the_answer_holds_the_numbers_of_this_run(study: Path) -> None:
    """The noise that was made the worst is the one that the report names, with its threshold and cost."""
    answer = artifacts.read_json(study / "plots/report.json")["answer"]
    thresholds = (
        pd.read_csv(study / "plots/regress/thresholds.csv")
        .query("reader == 'noisy' and noise == 'fog' and share == 0.5")
        .iloc[0]
    )
    cost = (
        pd.read_csv(study / "plots/regress/costs.csv")
        .query("reader == 'noisy' and noise == 'fog'")
        .iloc[0]
    )
    level = estimate_text(
        thresholds["level"], thresholds["low"], thresholds["high"], explained="95\u00a0% interval"
    )
    assert f"loses half of the captchas from level {level} of **fog**" in answer
    assert f"**fog** costs most, {points_text(cost, 'cost')} of 100 characters" in answer


def test_every_reader_has_a_classification_report_and_only_the_reports_is_open(study: Path) -> None:
    html = (study / "plots/details.html").read_text(encoding="utf-8")
    opened = re.sub(r"<details.*?</details>", "", html, flags=re.DOTALL)
    for reader in ("noisy", "clean", "dense"):
        caption = f"<caption>Classification report of {reader}, in per cent</caption>"
        assert html.count(caption) == 1
        assert (caption in opened) is (reader == "noisy")
    assert 'id="figure-confusion"' in opened
    assert 'id="figure-confusion_dense"' not in opened


def test_runs_of_a_reader_are_pooled_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study(
        tmp_path, monkeypatch, readers=("noisy", "noisy_2", "clean"), noises=("fog",), captchas=12
    )
    monkeypatch.setenv("CAPTCHA_WORKERS", "1")
    plot.main()
    accuracy = pd.read_csv("plots/figures/accuracy.csv")
    assert set(accuracy["reader"]) == {"noisy", "clean"}
    runs = [artifacts.read_predictions(name).to_pandas() for name in ("noisy", "noisy_2")]
    both = pd.concat(runs)
    clean = accuracy[(accuracy["reader"] == "noisy") & (accuracy["level"] == 0)].iloc[0]
    assert clean["character_accuracy"] == pytest.approx(
        both.loc[both["level"] == 0, "success"].mean(), rel=1e-5
    )
    assert clean["observations"] == (both["level"] == 0).sum()
    whole = [run[run["level"] == 0].drop_duplicates("captcha") for run in runs]
    exact = pd.concat(whole)
    assert clean["exact_match"] == pytest.approx(
        (exact["text"] == exact["reading"]).mean(), rel=1e-5
    )
    tree = artifacts.read_json(Path("plots/report.json"))
    between = (
        pd.read_csv("plots/regress/costs.csv").query("reader == 'noisy'")["sd_between_runs"].iloc[0]
    )
    assert tree["answer"].endswith(f"SD between runs: {100 * between:.1f} points.")
    assert set(pd.read_csv("plots/figures/learning.csv")["reader"]) == {"noisy", "noisy_2", "clean"}


def test_the_classification_table_is_scikit_learns_of_the_predictions(study: Path) -> None:
    table = pd.read_csv(study / "plots/figures/classification.csv", dtype={"character": str})
    assert len(table) == 3 * 2 * 11
    for (reader, renderings), rows in table.groupby(["reader", "renderings"]):
        read = artifacts.read_predictions(
            str(reader), root=study / artifacts.PREDICTIONS
        ).to_pandas()
        read = read[read["level"] == 0] if renderings == "clean" else read
        expected = classification_report(
            read["truth"],
            read["guess"].astype(str),
            labels=list("0123456789"),
            output_dict=True,
            zero_division=0,
        )
        for row in rows.to_dict("records"):
            theirs = expected["macro avg" if row["character"] == "macro" else row["character"]]
            own = [row[name] for name in ("precision", "recall", "f1", "support")]
            assert own == pytest.approx(
                [theirs[name] for name in ("precision", "recall", "f1-score", "support")], rel=1e-5
            )


def test_the_accuracy_table_is_what_the_predictions_give(study: Path) -> None:
    table = pd.read_csv(study / "plots/figures/accuracy.csv")
    for row in table.to_dict("records"):
        rows = artifacts.read_predictions(
            row["reader"], root=study / artifacts.PREDICTIONS
        ).to_pandas()
        cell = rows[
            (rows["level"] == row["level"])
            & (rows["noise"] == (row["noise"] if row["level"] else "none"))
        ]
        assert row["character_accuracy"] == pytest.approx(cell["success"].mean(), rel=1e-5)
        whole = cell.groupby("captcha")[["text", "reading"]].first()
        assert row["exact_match"] == pytest.approx(
            (whole["text"] == whole["reading"]).mean(), rel=1e-5
        )
        assert row["observations"] == len(cell)
    assert len(table) == 3 * 2 * 3


@pytest.mark.parametrize("options", [
    {"noises": ["shot"], "readers": ["noisy"], "alphabet": "абвгґєії", "lengths": (3, 6),
     "regression": {"cluster": "captcha+text"}},
    {"readers": ["clean", "noisy"], "alphabet": "<$&\"'*`A\\", "composed": False,
     "regression": {"headline": "main", "by_reader": "main", "dose": "rmse"}},
    {"skills": [2.0, -600.0, 1.0], "alphabet": "01", "captchas": 12, "colours": 1, "levels": [0.8],
     "regression": {"dose": "ssim_loss"}},
], ids=["one reader, one noise, Ukrainian, any length, two ways of clustering",
        "a captcha folder, awkward characters, no slopes by noise type",
        "a reader that reads nothing, one level, one colour"])  # fmt: skip
def test_other_studies_are_reported_as_well(
    options: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study(tmp_path, monkeypatch, **options)  # type: ignore[arg-type]
    monkeypatch.setenv("CAPTCHA_WORKERS", "1")
    plot.main()
    html = "".join(
        (tmp_path / "plots" / name).read_text(encoding="utf-8")
        for name in ("report.html", "details.html")
    )
    check(html)
    assert ("there are no glyphs" in html) is (options.get("composed") is False)
    cells = pd.read_csv(tmp_path / "plots/figures/confusion.csv", keep_default_na=False, dtype=str)
    assert set(cells["actual"]) == set(str(options["alphabet"]))
    assert not re.search(r"\bnan\b", html)


def test_a_missing_table_of_explain_is_refused(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(study, folder)
    (folder / "plots/explain/characters/class_levels.csv").unlink()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("stages.params.refuse_foreign_code", lambda: None)
    with pytest.raises(ValueError, match=r"class_levels\.csv is missing: run `dvc repro`"):
        plot.main()


def test_a_learning_curve_without_its_columns_is_refused(
    study: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(artifacts, "PLOTS", tmp_path)
    artifacts.write_text(tmp_path / "train" / "noisy.csv", "epoch,loss\n1,2\n")
    with pytest.raises(
        ValueError, match=r"noisy\.csv: expected the columns epoch, train_loss.*got epoch, loss"
    ):
        plot.read_epochs("noisy")


PIPELINE = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
PLOTS = {
    name: one
    for entry in PIPELINE["plots"]
    if isinstance(entry, dict)  # the other entries are pictures
    for name, one in entry.items()
}


def fields_of(template: Any, x: str, y: str) -> tuple[set[str], set[str], set[str]]:
    """The fields that a template computes, those it computes them from, and those it draws or filters by."""
    computed: set[str] = set()
    sources: set[str] = set()
    drawn: set[str] = set()
    for key, value in (
        template.items() if isinstance(template, dict) else [("", one) for one in template]
    ):
        if isinstance(value, dict | list):
            for found, more in zip((computed, sources, drawn), fields_of(value, x, y), strict=True):
                found |= more
            continue
        text = str(value).replace("<DVC_METRIC_X>", x).replace("<DVC_METRIC_Y>", y)
        named = {a or b for a, b in re.findall(r"datum(?:\.(\w+)|\['([^']+)'\])", text)}
        if key == "as":
            computed.add(text)
        elif key == "calculate":
            sources |= named
        elif key in ("field", "filter", "test"):
            drawn |= {text} if key == "field" else named
    return computed, sources, drawn


@pytest.mark.parametrize("name", PLOTS)
def test_a_template_draws_two_revisions(study: Path, name: str) -> None:
    """Each plot as dvc.yaml has it."""
    plot_of = PLOTS[name]
    ((path, y),) = plot_of["y"].items()
    with (study / path).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))  # texts, as DVC reads them
    template = json.loads((ROOT / plot_of["template"]).read_text(encoding="utf-8"))
    computed, sources, fields = fields_of(template, plot_of["x"], y)
    assert {plot_of["x"], y} <= sources | fields
    assert sources | (fields - computed) <= {*rows[0], "rev"}
    labels = {key: plot_of[key] for key in ("title", "x_label", "y_label")}
    renderer = VegaRenderer(
        [{**row, "rev": rev} for rev in ("HEAD", "workspace") for row in rows],
        name,
        template=str(ROOT / plot_of["template"]),
        x=plot_of["x"],
        y=y,
        **labels,
    )
    specification = json.dumps(renderer.get_filled_template())
    assert "<DVC_METRIC" not in specification
    drawn = vl_convert.vegalite_to_svg(specification)
    assert not re.search(r"\bNaN\b", drawn)
    readers = {row["reader"] for row in rows} if name != "confusion" else set()
    for text in (plot_of["title"], "HEAD", "workspace", *readers):
        assert f">{escape(text, quote=False)}<" in drawn
