"""The plot stage, whole, on small synthetic studies; and the templates of `dvc plots`."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pandas as pd
import pytest
import vl_convert
from dvc_render.vega import VegaRenderer
from sklearn.metrics import classification_report
from synthetic_study import write_study
from test_figures_report import check

from stages import artifacts, plot

TEMPLATES = Path(__file__).resolve().parents[1] / "plots" / "templates"
DRAWN = ["added_variables", "answer", "associations", "breakdown", "calibration", "character_accuracy", "class_levels",
         "class_ranking", "class_thresholds", "confusion", "confusion_clean", "confusion_dense", "confusions",
         "correlations", "counts", "dose_response", "drawings", "effects", "exact_match", "glyphs", "influence",
         "learning", "marginal_effects", "mean_maps", "pairs", "pixels", "plane_reader", "plane_vae",
         "plane_vae_classified", "saliency", "saliency_curves", "saliency_drift", "saliency_randomised", "samples",
         "schemes", "separation_reader", "separation_vae", "separation_vae_classified", "slopes", "steadiness", "texts",
         "thresholds", "top_confusions", "unseen", "unseen_glyphs", "unseen_noise", "unseen_scores"]  # fmt: skip


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
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in [*folder.glob("plots/figures/*"), folder / "plots/report.html"]}


def test_every_figure_and_its_data_are_written(study: Path) -> None:
    names = {path.stem for suffix in ("svg", "png") for path in (study / "plots/figures").glob(f"*.{suffix}")}
    assert sorted(names) == DRAWN
    tables = {path.stem for path in (study / "plots/figures").glob("*.csv")}
    assert tables == {"accuracy", "associations", "calibration", "characters", "classification", "colours", "confusion",
                      "counts", "effects", "glyphs", "learning", "pixels", "reliability", "slopes"}


def test_drawing_again_in_one_process_gives_the_same_bytes(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = written(study)
    monkeypatch.setenv("CAPTCHA_WORKERS", "1")
    monkeypatch.chdir(study)
    monkeypatch.setattr("stages.params.refuse_foreign_code", lambda: None)
    plot.main()
    assert written(study) == before


def test_the_report_is_one_page_of_less_than_two_and_a_half_megabytes_that_loads_nothing(study: Path) -> None:
    html = (study / "plots/report.html").read_text(encoding="utf-8")
    assert len(html.encode()) < 2_500_000
    checker = check(html)
    assert all(address.startswith(("#", "data:")) for address in checker.addresses)
    assert "script" not in checker.tags
    assert len(set(checker.ids)) == len(checker.ids)
    assert checker.tags.count("h1") == 1
    assert checker.tags.count("svg") == len(DRAWN)


def test_the_report_tells_the_parameters_and_the_regression(study: Path) -> None:
    html = (study / "plots/report.html").read_text(encoding="utf-8")
    assert '<th scope="row">types</th><td>fog, gaussian_blur</td>' in html
    assert '<table class="regression">' in html
    assert html.count('<table class="compact">') == 4
    assert "What cannot be concluded" in html
    assert "noise.level=0.4" in html


def test_the_answer_holds_the_numbers_of_this_run(study: Path) -> None:
    """The noise that was made the worst is the one that the report names, with the regression's own slope."""
    html = (study / "plots/report.html").read_text(encoding="utf-8")
    coefficients = pd.read_csv(study / "plots/regress/coefficients.csv", dtype={"category": str})
    slope = coefficients[(coefficients["specification"] == "slopes") & (coefficients["reader"] == "noisy")
                         & (coefficients["term"] == "level:noise") & (coefficients["category"] == "fog")].iloc[0]
    assert (f"<strong>Fog</strong> makes the reader <code>noisy</code> fail fastest: every 0.1 of level costs it "
            f"{-10 * slope['estimate']:.1f} percentage points of its characters (95\u00a0% interval "
            f"{-10 * slope['high']:.1f} to {-10 * slope['low']:.1f})") in html


def test_every_reader_has_a_classification_report_and_only_the_headlines_is_open(study: Path) -> None:
    html = (study / "plots/report.html").read_text(encoding="utf-8")
    opened = re.sub(r"<details>.*?</details>", "", html, flags=re.DOTALL)
    for reader in ("noisy", "clean", "dense"):
        caption = f"<caption>Classification report of {reader}, in per cent</caption>"
        assert html.count(caption) == 1
        assert (caption in opened) is (reader == "noisy")
    assert html.count("<details>") == 2
    assert 'id="figure-confusion"' in opened
    assert 'id="figure-confusion_dense"' not in opened
    assert re.findall(r"Figure (\d+)\.", html) == [str(number) for number in range(1, len(DRAWN) + 1)]


def test_the_classification_table_is_scikit_learns_of_the_predictions(study: Path) -> None:
    table = pd.read_csv(study / "plots/figures/classification.csv", dtype={"character": str})
    assert len(table) == 3 * 2 * 11
    for (reader, renderings), rows in table.groupby(["reader", "renderings"]):
        read = artifacts.read_predictions(str(reader), root=study / artifacts.PREDICTIONS).to_pandas()
        read = read[read["level"] == 0] if renderings == "clean" else read
        expected = classification_report(read["truth"], read["guess"].astype(str), labels=list("0123456789"),
                                         output_dict=True, zero_division=0)
        for row in rows.to_dict("records"):
            theirs = expected["macro avg" if row["character"] == "macro" else row["character"]]
            own = [row[name] for name in ("precision", "recall", "f1", "support")]
            assert own == pytest.approx([theirs[name] for name in ("precision", "recall", "f1-score", "support")],
                                        rel=1e-5)


def test_the_accuracy_table_is_what_the_predictions_give(study: Path) -> None:
    table = pd.read_csv(study / "plots/figures/accuracy.csv")
    for row in table.to_dict("records"):
        rows = artifacts.read_predictions(row["reader"], root=study / artifacts.PREDICTIONS).to_pandas()
        cell = rows[(rows["level"] == row["level"]) & (rows["noise"] == (row["noise"] if row["level"] else "none"))]
        assert row["character_accuracy"] == pytest.approx(cell["success"].mean(), rel=1e-5)
        whole = cell.groupby("captcha")[["text", "reading"]].first()
        assert row["exact_match"] == pytest.approx((whole["text"] == whole["reading"]).mean(), rel=1e-5)
        assert row["observations"] == len(cell)
    assert len(table) == 3 * 2 * 3


@pytest.mark.parametrize("options", [
    {"noises": ["shot"], "readers": ["noisy"], "alphabet": "абвгґєії", "lengths": (3, 6),
     "regression": {"cluster": "captcha+text"}},
    {"readers": ["clean", "noisy"], "alphabet": "<$&\"'*`A\\", "composed": False,
     "regression": {"headline": "colours", "by_reader": "main", "dose": "rmse"}},
    {"skills": [2.0, -600.0, 1.0], "alphabet": "01", "captchas": 12, "colours": 1, "levels": [0.8],
     "regression": {"dose": "ssim_loss"}},
], ids=["one reader, one noise, Ukrainian, any length, two ways of clustering",
        "a captcha folder, awkward characters, no slopes by noise type",
        "a reader that reads nothing, one level, one colour"])  # fmt: skip
def test_other_studies_are_reported_as_well(options: dict[str, object], tmp_path: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    write_study(tmp_path, monkeypatch, **options)  # type: ignore[arg-type]
    monkeypatch.setenv("CAPTCHA_WORKERS", "1")
    plot.main()
    html = (tmp_path / "plots/report.html").read_text(encoding="utf-8")
    check(html)
    assert ("there are no glyphs" in html) is (options.get("composed") is False)
    cells = pd.read_csv(tmp_path / "plots/figures/confusion.csv", keep_default_na=False, dtype=str)
    assert set(cells["actual"]) == set(str(options["alphabet"]))
    assert not re.search(r"\bnan\b", html)


def test_a_learning_curve_without_its_columns_is_refused(study: Path, monkeypatch: pytest.MonkeyPatch,
                                                         tmp_path: Path) -> None:
    monkeypatch.setattr(artifacts, "PLOTS", tmp_path)
    artifacts.write_text(tmp_path / "train" / "noisy.csv", "epoch,loss\n1,2\n")
    with pytest.raises(ValueError, match=r"noisy\.csv: expected the columns epoch, train_loss.*got epoch, loss"):
        plot.read_epochs("noisy")


@pytest.mark.parametrize(("template", "table", "x", "y"), [
    ("accuracy", "figures/accuracy", "level", "exact_match"),
    ("accuracy", "figures/accuracy", "level", "character_accuracy"),
    ("coefficients", "figures/slopes", "points", "noise"), ("coefficients", "figures/effects", "points", "label"),
    ("confusion", "figures/confusion", "predicted", "actual"), ("thresholds", "regress/thresholds", "level", "noise"),
    ("dose_response", "regress/dose_response", "dose", "accuracy"),
])  # fmt: skip
def test_a_template_draws_two_revisions(study: Path, template: str, table: str, x: str, y: str) -> None:
    with (study / f"plots/{table}.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))  # texts, as DVC reads them
    renderer = VegaRenderer([{**row, "rev": rev} for rev in ("HEAD", "workspace") for row in rows], table,
                            template=str(TEMPLATES / f"{template}.json"), x=x, y=y, title="A title")
    specification = json.dumps(renderer.get_filled_template())
    assert "<DVC_METRIC" not in specification
    drawn = vl_convert.vegalite_to_svg(specification)
    assert "A title" in drawn
    assert not re.search(r"\bNaN\b", drawn)
    for name in ("HEAD", "workspace", *({row["reader"] for row in rows} if template != "confusion" else ())):
        assert f">{name}<" in drawn
