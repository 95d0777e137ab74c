"""The regress stage: known effects are found again, every file is whole and stable, bad input is named."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from stages import artifacts, params, regress
from stages.schemas.regress import TABLES, Coefficients, Correlations, Costs, Fits
from stages.statistics import oracles, runs
from stages.statistics.regression import Regression, estimate

ROOT = Path(__file__).resolve().parents[1]
READERS = {
    "noisy": 0.0,
    "clean": -0.15,
    "dense": -0.05,
}  # what each adds to the probability of success
SLOPES = {"gaussian": -0.3, "fog": -0.1}
COLOURS = {"black_on_white": 0.0, "grey": -0.05}
LEVELS = (0.25, 0.5, 0.75)
BASE = 0.88


@cache
def predict(
    reader: str,
    *,
    captchas: int = 120,
    levels: tuple[float, ...] = LEVELS,
    digits: str = "012",
    T: int = 4,
    colours: tuple[str, ...] = tuple(COLOURS),
    glyph: int | None = None,
    seed: int = 0,
) -> pa.Table:
    """A prediction table in which success follows a linear probability model; a captcha's rows err together."""
    rng = np.random.default_rng([3, captchas])  # the design is the same for every reader
    luck = np.random.default_rng([4, seed, *reader.encode()])
    doses = [("none", 0.0), *((noise, level) for noise in SLOPES for level in levels)]
    columns: dict[str, list[Any]] = {name: [] for name in artifacts.PREDICTION_SCHEMA.names}
    for captcha in range(captchas):
        text = "".join(rng.choice(list(digits), T))
        shared = rng.uniform(-0.06, 0.06)
        colour = colours[captcha % len(colours)]
        for condition, (noise, level) in enumerate(doses):
            for position, truth in enumerate(text):
                chance = (
                    BASE
                    + READERS[reader]
                    + COLOURS[colour]
                    + SLOPES.get(noise, 0) * level
                    - 0.02 * position
                    + 0.03 * (truth == "1")
                    + shared
                )
                success = bool(luck.random() < chance)
                row = {
                    "captcha": captcha,
                    "condition": condition,
                    "position": position,
                    "text": text,
                    "reading": text,
                    "truth": truth,
                    "guess": truth if success else "",
                    "confidence": 0.5,
                    "success": success,
                    "glyph": 7 * captcha % 60 + position if glyph is None else glyph,
                    "noise": noise,
                    "level": level,
                    "colour": colour,
                    "contrast": -1.0,
                    "rmse": level,
                    "ssim": 1 - level,
                }
                for name, value in row.items():
                    columns[name].append(value)
            columns["reading"][-len(text) :] = ["".join(columns["guess"][-len(text) :])] * len(text)
    return pa.table(
        [pa.array(columns[field.name]).cast(field.type) for field in artifacts.PREDICTION_SCHEMA],
        schema=artifacts.PREDICTION_SCHEMA,
    )


def replace(table: pa.Table, name: str, values: Any) -> pa.Table:
    i = table.column_names.index(name)
    return table.set_column(
        i, table.schema.field(i), pa.array(values).cast(table.schema.field(i).type)
    )


class Study:
    """A folder with predictions, and the stage run in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.tree: Any = params.load_yaml(ROOT / "params.yaml")
        monkeypatch.chdir(folder)
        monkeypatch.setattr(
            regress, "read", lambda *sections: params.Selected(params.parse(self.tree), sections)
        )

    def write(self, **tables: pa.Table) -> None:
        """The prediction tables; params.yaml names just their readers, the first as the reference."""
        reader = next(iter(self.tree["readers"].values()))
        self.tree["readers"] = {
            name: {**reader, "channels": 8 + i} for i, name in enumerate(tables)
        }
        first = next(iter(tables))
        for section in (
            self.tree["regression"]["references"],
            self.tree["plot"],
            self.tree["explain"],
        ):
            section["reader"] = first
        for name, table in tables.items():
            with artifacts.prediction_writer(artifacts.PREDICTIONS / f"{name}.parquet") as writer:
                writer.write_table(table, row_group_size=700)

    def refused(self, pattern: str) -> None:
        with pytest.raises(ValueError, match=pattern):
            regress.main()
        assert not (self.folder / "metrics").exists()

    def rows(self, specification: str, reader: str = "all") -> dict[str, dict[str, str]]:
        with (self.folder / "plots/regress/coefficients.csv").open(encoding="utf-8") as file:
            return {
                row["term"] + (f"[{row['category']}]" if row["category"] else ""): row
                for row in csv.DictReader(file)
                if (row["specification"], row["reader"]) == (specification, reader)
            }

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.folder / f"plots/regress/{name}.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def fits(self) -> Any:
        return json.loads((self.folder / "data/regression/fits.json").read_text(encoding="utf-8"))

    def metrics(self) -> dict[str, float]:
        metrics: dict[str, float] = json.loads(
            (self.folder / "metrics/regress.json").read_text(encoding="utf-8")
        )
        return metrics

    def outputs(self) -> dict[str, bytes]:
        files = [
            path
            for folder in ("data/regression", "plots", "metrics")
            for path in Path(folder).rglob("*.*")
        ]
        return {str(path): path.read_bytes() for path in files}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    return Study(tmp_path, monkeypatch)


def test_known_effects_lie_in_their_intervals(study: Study) -> None:
    study.tree["regression"]["confidence"] = (
        0.999  # of twenty intervals at 0.95 one misses as a rule
    )
    study.write(**{name: predict(name, captchas=200) for name in READERS})
    regress.main()
    rows = study.rows("slopes")
    truth = {
        "noise:level[gaussian]": -0.3,
        "noise:level[fog]": -0.1,
        "noise[gaussian]": -0.15,
        "noise[fog]": -0.05,
        "colour[grey]": -0.05,
        "digit[1]": 0.03,
        "digit[2]": 0.0,
        "position[2]": -0.02,
        "position[4]": -0.06,
        "reader[clean]": -0.15,
        "reader[dense]": -0.05,
        "constant": BASE,
    }
    for name, value in truth.items():
        assert float(rows[name]["low"]) < value < float(rows[name]["high"]), name
        assert float(rows[name]["standard_error"]) < 0.04  # wide intervals hold anything
    assert set(truth) | {"position[3]"} == set(rows)
    assert float(study.rows("main")["level"]["estimate"]) == pytest.approx(-0.2, abs=0.05)
    for reader in READERS:
        own = study.rows("slopes", reader)
        assert (
            float(own["noise:level[gaussian]"]["low"])
            < -0.3
            < float(own["noise:level[gaussian]"]["high"])
        )
        assert "reader[clean]" not in own


def test_metrics_are_few_flat_and_those_of_the_tables(study: Study) -> None:
    study.write(**{name: predict(name) for name in READERS})
    regress.main()
    metrics = study.metrics()
    assert set(metrics) == {
        "adjusted_r2",
        "predicted_r2",
        "observations",
        "cost_fog",
        "cost_gaussian",
    }
    assert metrics["observations"] == 3 * 120 * 7 * 4
    own = study.rows("slopes", "noisy")
    assert metrics["cost_fog"] == pytest.approx(-float(own["noise[fog]"]["estimate"]), rel=1e-5)
    assert metrics["predicted_r2"] < metrics["adjusted_r2"]


def test_a_cost_is_clean_accuracy_less_the_mean_under_noise_whatever_the_formula(
    study: Study,
) -> None:
    study.write(noisy=predict("noisy"), clean=predict("clean"))
    frame = predict("clean").select(["noise", "success"]).to_pandas()
    means = frame.groupby(frame["noise"].astype(str))["success"].mean()
    for formula in ("noise + noise:center(dose) + reader + colour", "noise + dose:noise + reader"):
        study.tree["regression"]["specifications"]["slopes"] = formula
        regress.main()
        rows = {(row["reader"], row["noise"]): row for row in study.table("costs")}
        assert set(rows) == {
            (reader, noise) for reader in ("all", "noisy", "clean") for noise in SLOPES
        }
        for noise in SLOPES:
            assert float(rows["clean", noise]["cost"]) == pytest.approx(
                means["none"] - means[noise], abs=2e-6
            )
        gaussian = rows["clean", "gaussian"]
        assert (gaussian["rank"], gaussian["rank_low"], gaussian["rank_high"]) == ("1", "1", "1")
        assert float(gaussian["low"]) < float(gaussian["cost"]) < float(gaussian["high"])
        assert float(gaussian["first"]) > 0.99


def test_without_noise_in_the_formula_there_are_no_costs_and_a_line_says_so(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    study.tree["regression"]["specifications"]["slopes"] = "colour + reader"
    study.write(noisy=predict("noisy"), clean=predict("clean"))
    regress.main()
    assert (
        "regression.by_reader: slopes has no term noise: no costs of noise types"
        in capsys.readouterr().out
    )
    assert (
        Path("plots/regress/costs.csv").read_text(encoding="utf-8")
        == ",".join(Costs.names()) + "\n"
    )
    assert set(study.metrics()) == {"adjusted_r2", "predicted_r2", "observations"}


def test_contrasts_are_differences_of_coefficients_with_wider_bounds_for_all_pairs(
    study: Study,
) -> None:
    study.write(noisy=predict("noisy"), clean=predict("clean"), dense=predict("dense"))
    regress.main()
    rows = {
        (row["factor"], row["reader"], row["a"], row["b"]): row for row in study.table("contrasts")
    }
    own = study.rows("slopes")
    one = rows["reader", "all", "clean", "dense"]
    assert float(one["difference"]) == pytest.approx(
        float(own["reader[clean]"]["estimate"]) - float(own["reader[dense]"]["estimate"]), abs=1e-6
    )
    assert (
        rows["reader", "all", "noisy", "clean"]["standard_error"]
        == own["reader[clean]"]["standard_error"]
    )
    assert (
        float(one["simultaneous_low"])
        < float(one["low"])
        < float(one["high"])
        < float(one["simultaneous_high"])
    )
    assert not any("none" in (key[2], key[3]) for key in rows)
    alone = rows["noise", "noisy", "fog", "gaussian"]  # a single pair is its own family
    assert float(alone["simultaneous_low"]) == pytest.approx(float(alone["low"]), rel=1e-4)
    assert {key[1] for key in rows} == {"all", *READERS}
    assert {key[0] for key in rows if key[1] == "noisy"} == {"noise", "colour", "digit", "position"}


def test_the_specifications_stand_side_by_side_and_each_reader_has_its_slopes(study: Study) -> None:
    study.write(noisy=predict("noisy"), clean=predict("clean"))
    regress.main()
    fits = study.fits()["fits"]
    assert [(fit["specification"], fit["reader"]) for fit in fits] == [
        *((name, "all") for name in study.tree["regression"]["specifications"]),
        ("slopes", "noisy"),
        ("slopes", "clean"),
        *((name, "all") for name in study.tree["regression"]["checks"]),
    ]
    assert {tuple(fit["clusters"]) for fit in fits} == {(120, 63)}  # over readers and conditions
    assert fits[0]["terms"] == ["noise", "level", "colour", "digit"]
    assert fits[1]["references"] == {
        "noise": "none",
        "colour": "black_on_white",
        "digit": "0",
        "position": "1",
        "reader": "noisy",
    }
    assert fits[2]["observations"] == 120 * 7 * 4
    assert [fit["specification"] for fit in fits if fit["confirmed_by"]] == [
        "slopes"
    ]  # the headline
    assert [fit["specification"] for fit in fits if fit["dropped"]] == [
        "saturated"
    ]  # three levels draw no cubic
    for suffix in ("md", "tex", "json"):
        table = Path(f"plots/regress/table.{suffix}").read_text(encoding="utf-8")
        assert "(4) slopes" in table
        assert "(5)" not in table
        assert "Beside the table, interacted" in table


def test_the_table_has_six_columns_at_most_and_names_what_it_leaves_out(study: Study) -> None:
    names = [f"r{i}" for i in range(6)]
    study.write(**{name: predict("clean", captchas=40, seed=i) for i, name in enumerate(names)})
    regress.main()
    table = Path("plots/regress/table.md").read_text(encoding="utf-8")
    assert "(6) slopes" in table
    assert "(7)" not in table
    assert (
        "Not shown for want of room, but in coefficients.csv: slopes of r4, slopes of r5." in table
    )


def test_both_libraries_confirm_every_column(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def confirmed(*given: Any, **more: Any) -> Regression:
        return estimate(*given, **more | {"confirm": True})

    monkeypatch.setattr(regress, "estimate", confirmed)
    study.write(**{name: predict(name) for name in READERS})
    regress.main()
    fits = study.fits()["fits"]
    assert len(fits) == 4 + len(READERS)
    assert all(fit["confirmed_by"] == ["linearmodels", "statsmodels"] for fit in fits)


def test_the_coefficients_of_the_csv_stand_in_the_json_too(study: Study) -> None:
    study.write(noisy=predict("noisy"))
    regress.main()
    for fit in study.fits()["fits"]:
        rows = study.rows(fit["specification"], fit["reader"]).values()
        assert [
            {name: str(value) for name, value in row.items()} for row in fit["coefficients"]
        ] == list(rows)


def test_a_specification_is_added_by_one_line(study: Study) -> None:
    study.tree["regression"]["specifications"]["mine"] = "poly(rmse, 2) + digit*colour"
    study.write(noisy=predict("noisy"), clean=predict("clean"))
    regress.main()
    assert {
        "constant",
        "poly(rmse)[order 1]",
        "poly(rmse)[order 2]",
        "digit[1]",
        "digit[2]",
        "colour[grey]",
        "digit:colour[1 × grey]",
        "digit:colour[2 × grey]",
    } == set(study.rows("mine"))


def test_the_measured_dose_takes_the_place_of_the_level(study: Study) -> None:
    table = predict("noisy")
    half = [level / 2 for level in table["level"].to_pylist()]
    study.write(noisy=replace(table, "rmse", half))
    regress.main()
    nominal = study.rows("slopes")
    study.tree["regression"]["dose"] = "rmse"
    regress.main()
    measured = study.rows("slopes")
    ratio = float(measured["noise:rmse[gaussian]"]["estimate"]) / float(
        nominal["noise:level[gaussian]"]["estimate"]
    )
    assert ratio == pytest.approx(2, rel=1e-5)
    assert (
        measured["noise[gaussian]"]["estimate"] == nominal["noise[gaussian]"]["estimate"]
    )  # the average cost


def test_what_denoising_is_worth_is_a_paired_difference(study: Study) -> None:
    study.write(
        noisy=predict("noisy"), denoised=predict("clean")
    )  # of which the second reads 15 points less
    study.tree["readers"]["denoised"] = {**study.tree["readers"]["denoised"], "denoise": "median"}
    study.tree["regression"]["specifications"]["mine"] = "noise + denoise + denoise:noise"
    regress.main()
    rows = study.rows("mine")
    assert {"denoise[median]", "denoise:noise[median × fog]"} <= set(rows)
    assert float(rows["denoise[median]"]["low"]) < -0.15 < float(rows["denoise[median]"]["high"])


def test_every_leave_one_out_has_its_rows(study: Study) -> None:
    study.write(noisy=predict("noisy"), clean=predict("clean"))
    regress.main()
    row = study.rows("main")["level"]
    assert float(row["least"]) < float(row["estimate"]) < float(row["most"])
    assert {int(row["least_without"]), int(row["most_without"])} <= set(range(120))
    left_out = {(row["factor"], row["category"]) for row in study.table("categories")}
    assert left_out == {
        *(("noise", name) for name in ("none", *SLOPES)),
        *(("colour", name) for name in COLOURS),
        *(("digit", name) for name in "012"),
        *(("position", str(i)) for i in range(1, 5)),
        ("reader", "noisy"),
        ("reader", "clean"),
    }
    assert {row["term"] for row in study.table("tests") if row["specification"] == "slopes"} == {
        "noise",
        "noise:level",
        "colour",
        "digit",
        "position",
        "reader",
    }
    assert len(study.table("influence")) == 120
    assert len(study.table("correlations")) == (len(study.rows("slopes")) - 1) ** 2
    assert {row["label"] for row in study.table("added_variables")} == {
        row["label"] for row in study.rows("slopes").values() if row["term"] != "constant"
    }


def test_linear_and_logit_effects_stand_side_by_side(study: Study) -> None:
    study.write(noisy=predict("noisy"), clean=predict("clean"))
    regress.main()
    effects = {
        (row["model"], row["variable"], row["category"]): float(row["estimate"])
        for row in study.table("marginal_effects")
    }
    assert effects["linear", "reader", "clean"] == pytest.approx(
        float(study.rows("slopes")["reader[clean]"]["estimate"]), rel=1e-5
    )
    assert effects["logit", "reader", "clean"] == pytest.approx(
        effects["linear", "reader", "clean"], abs=0.02
    )
    assert {key[1:] for key in effects if key[0] == "logit"} == {
        key[1:] for key in effects if key[0] == "linear"
    }
    for noise in SLOPES:  # of cells that exist: at the levels that noisy rows have
        assert effects["linear", "noise", noise] == pytest.approx(
            float(study.rows("slopes")[f"noise[{noise}]"]["estimate"]), rel=1e-4
        )
        assert effects["logit", "noise", noise] == pytest.approx(
            effects["linear", "noise", noise], abs=0.005
        )


def test_dose_and_response_are_means_of_the_rows(study: Study) -> None:
    table = predict("noisy")
    study.write(noisy=table)
    regress.main()
    rows = {(row["noise"], float(row["level"])): row for row in study.table("dose_response")}
    assert set(rows) == {(noise, level) for noise in SLOPES for level in (0.0, *LEVELS)}
    frame = table.select(["noise", "level", "success"]).to_pandas()
    fog = frame[(frame["noise"] == "fog") & (frame["level"] == 0.5)]["success"]
    assert float(rows["fog", 0.5]["accuracy"]) == pytest.approx(fog.mean(), abs=1e-5)
    assert int(rows["fog", 0.5]["rows"]) == len(fog)
    whole = table.filter((pc.field("noise") == "fog") & (pc.field("level") == 0.5)).to_pandas()
    assert float(rows["fog", 0.5]["exact"]) == pytest.approx(
        (whole["text"] == whole["reading"]).mean(), abs=1e-5
    )
    assert float(rows["fog", 0.5]["rmse"]) == float(rows["fog", 0.5]["ssim_loss"]) == 0.5
    slope = float(study.rows("slopes", "noisy")["noise:level[fog]"]["estimate"])
    lines = [float(rows["fog", level]["line"]) for level in (0.0, *LEVELS)]
    np.testing.assert_allclose(
        np.diff(lines)[1:], 0.25 * slope, atol=1e-5
    )  # clean is not on the line


def write_runs(study: Study, runs: int, **readers: str) -> None:
    """Entries a, a_2, ... of each reader; the runs of a reader read alike but for chance."""
    tables = {
        f"{name}_{run + 1}" if run else name: (name, run) for name in readers for run in range(runs)
    }
    study.write(
        **{entry: predict(readers[name], seed=run) for entry, (name, run) in tables.items()}
    )
    for entry, (name, run) in tables.items():
        study.tree["readers"][entry] = {**study.tree["readers"][name], "seed": run}


def test_thresholds_and_areas_are_of_whole_captchas(study: Study) -> None:
    study.write(**{name: predict(name) for name in ("noisy", "clean")})
    regress.main()
    rows = study.table("thresholds")
    assert list(rows[0]) == [
        "reader",
        "noise",
        "share",
        "level",
        "low",
        "high",
        "reached",
        "first",
        "sd_between_runs",
        "runs",
    ]
    assert {row["sd_between_runs"] + row["runs"] for row in rows} == {""}
    half = {(row["reader"], row["noise"]): row for row in rows if row["share"] == "0.5"}
    assert (
        0
        < float(half["noisy", "gaussian"]["level"])
        < float(half["noisy", "fog"]["level"] or "inf")
    )
    first = {noise: float(half["noisy", noise]["first"]) for noise in SLOPES}
    assert first["gaussian"] > first["fog"] > 0  # clean captchas are hardly read better than half
    assert sum(first.values()) < 1  # in some draws they are not
    assert (
        float(half["clean", "gaussian"]["level"]) == float(half["clean", "gaussian"]["first"]) == 0
    )
    found = next(
        row for row in study.table("areas") if (row["reader"], row["noise"]) == ("noisy", "fog")
    )
    shown = study.table("dose_response")
    exact = [
        float(row["exact"]) for row in shown if (row["reader"], row["noise"]) == ("noisy", "fog")
    ]
    levels = [0.0, *LEVELS]
    assert float(found["area"]) == pytest.approx(np.trapezoid(exact, levels) / levels[-1], abs=1e-5)
    assert float(found["low"]) < float(found["area"]) < float(found["high"])


def test_training_runs_are_pooled_in_few_clusters_with_the_wild_bootstrap_beside(
    study: Study,
) -> None:
    write_runs(study, 5, a="clean")
    study.tree["regression"]["cluster"] = "run"
    regress.main()
    fit = study.fits()["fits"][0]
    assert (fit["clusters"], fit["df"]) == ([5], 4)
    assert study.fits()["runs"] == {"a": ["a", "a_2", "a_3", "a_4", "a_5"]}
    assert any("5 clusters by run are few" in warning for warning in fit["warnings"])
    row = study.rows("main")["level"]
    assert 0 < float(row["p_wild"]) <= 1
    assert "wild cluster bootstrap" in Path("plots/regress/table.md").read_text(encoding="utf-8")
    assert {row["reader"] for row in study.table("costs")} == {"all", "a"}


def test_runs_of_readers_add_their_variance_and_have_few_degrees_of_freedom(study: Study) -> None:
    write_runs(study, 3, a="clean", b="dense")
    regress.main()
    without = study.rows("slopes")
    study.tree["regression"]["cluster"] = "captcha+glyph+run"
    regress.main()
    within = study.rows("slopes")
    assert study.fits()["cluster"] == ["captcha", "glyph", "run"]
    assert {fit["df"] for fit in study.fits()["fits"]} == {2}
    assert set(within) == set(without)
    assert "reader[b]" in within
    for name, row in within.items():
        assert float(row["standard_error"]) >= 0.99999 * float(without[name]["standard_error"])
        assert (row["sd_between_runs"], row["runs"]) == (without[name]["sd_between_runs"], "3")
    assert "V(run) − V(captcha × run)" in Path("plots/regress/table.md").read_text(encoding="utf-8")


def test_the_spread_between_runs_is_that_of_the_runs_own_regressions(study: Study) -> None:
    write_runs(study, 3, a="clean")
    regress.main()
    row = study.rows("slopes", "a")["noise[fog]"]
    cost = study.table("costs")[-1]
    contrast = next(
        row
        for row in study.table("contrasts")
        if row["factor"] == "colour" and row["reader"] == "a"
    )
    digit = study.rows("slopes", "a")["colour[grey]"]
    assert (
        contrast["sd_between_runs"] == digit["sd_between_runs"]
    )  # it is compared with the reference
    below = [row for row in study.table("thresholds") if float(row["level"] or "inf") == 0]
    assert (
        below
    )  # where clean captchas are read no better, the level is a bound and not 0 in every run
    assert {row["sd_between_runs"] for row in below} == {""}
    alone = []
    for run in range(3):
        study.write(a=predict("clean", seed=run))
        regress.main()
        assert study.rows("slopes", "a")["noise[fog]"]["sd_between_runs"] == ""
        alone.append(
            [
                float(study.rows("slopes", "a")["noise[fog]"]["estimate"]),
                float(study.table("costs")[-1]["cost"]),
            ]
        )
    spread = np.std(alone, axis=0, ddof=1)
    assert [float(row["sd_between_runs"]), float(cost["sd_between_runs"])] == pytest.approx(
        spread.tolist(), rel=1e-3
    )


def test_runs_of_a_like_study_are_taken_from_its_file_and_those_of_another_are_not(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    study.write(noisy=predict("noisy"), clean=predict("clean"))
    regress.main()
    assert "experiments/runs.json is not there: no standard deviation" in capsys.readouterr().out
    parsed = params.parse(study.tree)
    formulas = dict(parsed.regression.specifications) | {
        "main": "noise"
    }  # another formula of that name
    estimates = {
        runs.coefficient(name, "all", "noise", "fog"): (0.1, 0.2, 0.6)
        for name in ("main", "slopes")
    }
    record = runs.run_estimates(
        runs.PerRun(estimates, formulas, "level", asdict(parsed.regression.references)),
        runs.compared(parsed, params.runs_of(parsed.readers)),
    )
    artifacts.write_record(Path("experiments/runs.json"), record)
    study.tree["captcha"]["test"] += 1
    study.tree["readers"]["clean"]["precision"] = "fp32"
    regress.main()
    row = study.rows("slopes")["noise[fog]"]
    assert float(row["sd_between_runs"]) == pytest.approx(np.std([0.1, 0.2, 0.6], ddof=1))
    assert row["runs"] == "3"
    assert (
        study.rows("main")["noise[fog]"]["runs"] == study.rows("slopes")["constant"]["runs"] == ""
    )
    assert "In square brackets" in Path("plots/regress/table.json").read_text(encoding="utf-8")
    study.tree["regression"]["references"]["digit"] = (
        "1"  # coefficients are against another category
    )
    regress.main()
    assert study.rows("slopes")["noise[fog]"]["runs"] == ""
    study.tree["regression"]["references"]["digit"] = "0"
    study.tree["readers"]["clean"]["epochs"] += 1
    regress.main()
    assert (
        "experiments/runs.json is of other glyphs, captchas, colours, noises or readers"
        in capsys.readouterr().out
    )
    assert study.rows("slopes")["noise[fog]"]["runs"] == ""
    artifacts.write_json(Path("experiments/runs.json"), {"estimates": []})
    with pytest.raises(
        ValueError, match=r"expected what `python -m experiments\.runs --collect` writes"
    ):
        regress.main()


def test_glyphs_that_are_unknown_leave_captchas_as_clusters_and_a_line(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    study.write(noisy=predict("noisy", glyph=-1))
    regress.main()
    assert (
        "the glyphs are unknown, so rows are clustered by captcha without glyph"
        in capsys.readouterr().out
    )
    assert (study.fits()["cluster"], study.fits()["cluster_asked"]) == (
        ["captcha"],
        ["captcha", "glyph"],
    )
    assert "clustered by captcha, CV3" in Path("plots/regress/table.md").read_text(encoding="utf-8")


def test_what_readers_are_may_stand_in_a_formula(study: Study) -> None:
    study.write(noisy=predict("noisy"), clean=predict("clean"), dense=predict("dense"))
    study.tree["readers"]["clean"]["train_on"] = "clean"
    study.tree["readers"]["dense"]["architecture"] = "dense"
    study.tree["regression"]["specifications"]["mine"] = "noise + train_on + architecture"
    regress.main()
    rows = study.rows("mine")
    assert {"train_on[clean]", "architecture[dense]"} < set(rows)
    assert float(rows["train_on[clean]"]["low"]) < -0.15 < float(rows["train_on[clean]"]["high"])


def test_colour_is_tested_by_dealing_it_again(study: Study) -> None:
    study.write(noisy=predict("noisy"), clean=predict("clean"))
    regress.main()
    found = study.fits()["randomisation"]
    assert (found["factor"], found["draws"]) == ("colour", 999)
    assert found["p"] < 0.05  # grey is read 5 points less
    study.write(noisy=predict("noisy", colours=("grey",)))
    study.tree["regression"]["references"]["colour"] = "grey"
    regress.main()
    assert study.fits()["randomisation"] is None


def test_errors_may_cluster_two_ways(study: Study) -> None:
    table = predict("noisy")
    study.write(noisy=table)
    errors = {}
    for way in ("captcha", "glyph", "captcha+glyph"):
        study.tree["regression"]["cluster"] = way
        regress.main()
        errors[way] = {
            name: float(row["standard_error"]) for name, row in study.rows("main").items()
        }
    counts = [len(set(table[column].to_pylist())) for column in ("captcha", "glyph")]
    assert study.fits()["fits"][0]["clusters"] == counts
    assert study.fits()["fits"][0]["df"] == min(counts) - 1
    for name, error in errors["captcha+glyph"].items():
        assert error >= 0.99999 * max(errors["captcha"][name], errors["glyph"][name])
    assert "clustered by captcha and glyph" in Path("plots/regress/table.md").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("way", ["text", "condition", "noise", "colour", "digit", "reader"])
def test_errors_may_cluster_by_any_column(study: Study, way: str) -> None:
    study.tree["regression"]["cluster"] = way
    study.write(**{name: predict(name) for name in READERS})
    regress.main()
    column = {"digit": "truth"}.get(way, way)
    count = 3 if way == "reader" else len(set(predict("noisy")[column].to_pylist()))
    assert study.fits()["fits"][0]["clusters"] == [count]


def test_corruption_errors_tell_seen_noise_from_unseen(study: Study) -> None:
    study.tree["noise"].update(types=list(SLOPES), unseen="fog")
    study.write(noisy=predict("noisy"), clean=predict("clean"))
    study.tree["readers"]["clean"] = {**study.tree["readers"]["clean"], "train_on": "clean"}
    regress.main()
    rows = {(row["reader"], row["noise"]): row for row in study.table("corruption")}
    assert set(rows) == {
        (reader, noise)
        for reader in ("noisy", "clean")
        for noise in ("fog", "gaussian", "fog+gaussian")
    }
    assert [rows["noisy", noise]["seen"] for noise in ("fog", "gaussian", "fog+gaussian")] == [
        "none",
        "all",
        "some",
    ]
    assert {rows["clean", noise]["seen"] for noise in ("fog", "gaussian")} == {"none"}
    study.tree["readers"]["clean"]["denoise"] = "learned"
    regress.main()
    assert [row["seen"] for row in study.table("corruption") if row["reader"] == "clean"] == [
        "none",
        "all",
        "some",
    ]
    assert (rows["noisy", "fog"]["ratio"], rows["noisy", "fog"]["ratio_low"]) == ("1.0", "1.0")
    own, base = (float(rows[reader, "fog"]["error"]) for reader in ("clean", "noisy"))
    assert float(rows["clean", "fog"]["ratio"]) == pytest.approx(own / base, rel=1e-4)


def test_a_library_that_disagrees_stops_the_stage(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.write(noisy=predict("noisy"))
    honest = oracles.linearmodels
    monkeypatch.setattr(
        oracles,
        "linearmodels",
        lambda X, y, cluster: (honest(X, y, cluster)[0] + 1e-6, honest(X, y, cluster)[1]),
    )
    study.refused(
        "regression slopes, all: the coefficient of constant is .* here and .* by linearmodels"
    )


def test_the_same_predictions_give_the_same_bytes(study: Study) -> None:
    study.write(noisy=predict("noisy"), clean=predict("clean"))
    regress.main()
    first = study.outputs()
    regress.main()
    assert len(first) == 18
    assert study.outputs() == first
    assert all(content.endswith(b"\n") and b"\r" not in content for content in first.values())


def test_a_leftover_file_of_another_reader_is_ignored_and_named(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    study.write(noisy=predict("noisy"), old=predict("clean"))
    study.write(noisy=predict("noisy"))
    regress.main()
    assert (
        "data/predictions/old.parquet is of no reader in params.yaml: ignored"
        in capsys.readouterr().out
    )
    assert study.metrics()["observations"] == 120 * 7 * 4


def test_one_reader_and_one_colour_are_dropped_with_a_line(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    study.write(noisy=predict("noisy", colours=("grey",)))
    regress.main()
    said = capsys.readouterr().out
    assert "colour has one value in this run (grey): dropped from main" in said
    assert (
        "reader has one value in this run (noisy): dropped from slopes; interacted; saturated"
        in said
    )
    assert study.fits()["fits"][1]["dropped"] == [
        {"term": "reader", "reason": "has one value in this run (noisy)"},
        {"term": "colour", "reason": "has one value in this run (grey)"},
    ]
    assert "Left out: reader, which has one value" in Path("plots/regress/table.json").read_text(
        encoding="utf-8"
    )
    assert study.rows("slopes", "noisy")


def test_one_level_a_noise_drops_level_and_keeps_the_costs(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    study.write(noisy=predict("noisy", levels=(0.6,)), clean=predict("clean", levels=(0.6,)))
    regress.main()
    said = capsys.readouterr().out
    assert "[stage] level has one value in this run (0.6): dropped from main" in said
    assert (
        "[stage] noise:level has one value in this run (0.6): dropped from slopes; interacted"
        in said
    )
    assert "level" not in study.rows("main")
    assert not any("level" in name for name in study.rows("slopes"))
    assert {"cost_fog", "cost_gaussian"} <= set(study.metrics())


def test_a_reader_that_never_fails_has_no_regression_of_its_own(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    perfect = predict("clean")
    study.write(noisy=predict("noisy"), clean=replace(perfect, "success", [True] * len(perfect)))
    regress.main()
    assert (
        "reader clean read every character right: no regression of its own"
        in capsys.readouterr().out
    )
    assert study.fits()["skipped_readers"] == {"clean": "read every character right"}
    assert not study.rows("slopes", "clean")
    assert "cost_fog" in study.metrics()
    assert float(study.rows("slopes")["reader[clean]"]["estimate"]) > 0


def test_effects_without_error_are_named_and_have_no_interval(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    table = predict("noisy", levels=(0.5,))
    noises = table["noise"].cast(pa.string()).to_pylist()
    study.write(
        noisy=replace(table, "success", [noise != "fog" for noise in noises])
    )  # a perfect fit
    regress.main()
    assert "all clusters agree exactly on constant" in capsys.readouterr().out
    assert (
        study.metrics()["adjusted_r2"]
        == study.metrics()["predicted_r2"]
        == study.metrics()["cost_fog"]
        == 1
    )
    assert {row["model"] for row in study.table("marginal_effects")} == {
        "linear"
    }  # it is separated: no logit
    row = study.rows("slopes")["noise[fog]"]
    assert (row["estimate"], row["standard_error"], row["t"], row["low"]) == ("-1.0", "0.0", "", "")
    cost = next(row for row in study.table("costs") if row["noise"] == "fog")
    assert (cost["standard_error"], cost["low"], cost["rank"], cost["first"]) == (
        "0.0",
        "",
        "1",
        "1.0",
    )


def test_positions_stand_in_the_order_of_numbers(study: Study) -> None:
    study.write(noisy=predict("noisy", captchas=20, T=11))
    regress.main()
    positions = [name for name in study.rows("slopes") if name.startswith("position")]
    assert positions == [f"position[{i}]" for i in range(2, 12)]


def test_errors_may_cluster_by_glyph(study: Study) -> None:
    study.tree["regression"]["cluster"] = "glyph"
    table = predict("noisy")
    study.write(noisy=table)
    regress.main()
    assert study.fits()["fits"][0]["clusters"] == [len(set(table["glyph"].to_pylist()))]
    assert "clustered by glyph" in Path("plots/regress/table.md").read_text(encoding="utf-8")


def test_glyph_clusters_of_a_captcha_folder_are_refused(study: Study) -> None:
    study.tree["regression"]["cluster"] = "glyph"
    study.write(noisy=predict("noisy", glyph=-1))
    study.refused(
        "the glyph of some rows is unknown, as it is in a captcha folder: set it to captcha"
    )


def test_an_unknown_variable_of_a_formula_is_refused_with_what_there_is(study: Study) -> None:
    study.tree["regression"]["specifications"]["mine"] = "noise + font"
    study.write(noisy=predict("noisy"))
    study.refused(
        r"regression\.specifications\.mine: no variable 'font': there are level, rmse, .*noise, .*dose"
    )


def test_collinear_terms_are_refused_by_name(study: Study) -> None:
    study.tree["regression"]["specifications"]["mine"] = "level + rmse + noise"
    study.write(noisy=predict("noisy"))  # whose rmse is the level
    study.refused(
        r"regression mine, all: X has 5 columns but rank 4 \(rmse = a combination of level\)"
    )


def test_an_empty_cell_of_a_product_is_dropped_with_a_line(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    table = predict("noisy")
    study.tree["regression"]["specifications"]["mine"] = "noise + colour + colour:noise"
    study.write(noisy=table.filter((pc.field("noise") != "fog") | (pc.field("colour") != "grey")))
    regress.main()
    assert "colour:noise has no rows for grey × fog: dropped from mine" in capsys.readouterr().out
    assert "colour:noise[grey × gaussian]" in study.rows("mine")


def test_an_unknown_reference_is_refused_with_the_list(study: Study) -> None:
    study.tree["regression"]["references"]["digit"] = "7"
    study.write(noisy=predict("noisy"))
    study.refused(
        r"regression\.references\.digit: '7' does not occur in the predictions, which have 0, 1, 2"
    )


def test_outcomes_that_are_all_equal_are_refused(study: Study) -> None:
    table = predict("noisy")
    study.write(noisy=replace(table, "success", [False] * len(table)))
    study.refused(
        "regression main, all: the outcome is 0 in every row: there is nothing to explain"
    )


def test_one_captcha_is_refused(study: Study) -> None:
    study.write(noisy=predict("noisy", captchas=1, digits="01", T=6))
    study.refused("all rows are in one cluster")


def test_a_missing_prediction_file_is_refused(study: Study) -> None:
    study.write(noisy=predict("noisy"), clean=predict("clean"))
    (artifacts.PREDICTIONS / "clean.parquet").unlink()
    study.refused(r"data/predictions/clean\.parquet is missing")


def test_a_missing_column_is_refused(study: Study) -> None:
    study.write(noisy=predict("noisy"))
    path = artifacts.PREDICTIONS / "noisy.parquet"
    pa.parquet.write_table(pa.parquet.read_table(path).drop_columns(["level"]), path)
    study.refused(r"data/predictions/noisy\.parquet.*\blevel\b")


def test_an_empty_cell_is_refused(study: Study) -> None:
    table = predict("noisy")
    study.write(noisy=replace(table, "level", [None, *table["level"].to_pylist()[1:]]))
    study.refused("level should have a value in every row")


def test_a_table_without_rows_is_refused(study: Study) -> None:
    study.write(noisy=predict("noisy").slice(0, 0))
    study.refused(r"noisy\.parquet has no rows")


def test_two_readers_of_different_test_sets_are_refused(study: Study) -> None:
    study.write(noisy=predict("noisy"), clean=predict("clean", captchas=119))
    study.refused(r"clean\.parquet is of other test characters than noisy\.parquet")


def test_a_reader_called_all_is_refused(study: Study) -> None:
    study.write(all=predict("noisy"))
    study.refused(r"readers\.all: this name stands for all readers together")


def test_without_a_regression_of_the_references_reader_no_metric_is_a_cost_and_a_line_says_so(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    perfect = predict("clean")
    study.write(clean=replace(perfect, "success", [True] * len(perfect)), noisy=predict("noisy"))
    regress.main()
    assert (
        capsys.readouterr().out.count("clean has no regression of its own: no metrics cost_*") == 1
    )
    assert {row["reader"] for row in study.table("costs")} >= {"noisy"}
    assert set(study.metrics()) == {"adjusted_r2", "predicted_r2", "observations"}


def test_every_table_is_read_by_its_schema_and_has_one_row_per_key(study: Study) -> None:
    study.write(noisy=predict("noisy"), clean=predict("clean"))
    regress.main()
    for name, kind in TABLES.items():
        table = artifacts.read_table(regress.FOLDER / f"{name}.csv", kind)
        assert len(table), name
        assert not table.duplicated(kind.row_key()).any(), name
    fits = artifacts.read_record(artifacts.REGRESSION / "fits.json", Fits)
    rows = [row for fit in fits.fits for row in fit.coefficients]
    assert all(list(row) == Coefficients.names() for row in rows)
    assert len(rows) == len(artifacts.read_table(regress.FOLDER / "coefficients.csv", Coefficients))


def test_rows_of_other_columns_are_not_written(study: Study) -> None:
    with pytest.raises(ValueError, match="expected the columns a, b, r, got a, b"):
        regress.write_tables(
            {
                kind: [{"a": "x", "b": "y"}] if kind is Correlations else []
                for kind in TABLES.values()
            }
        )
