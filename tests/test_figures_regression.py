"""The regression's figures and sentences: what is drawn equals the table, what is said follows from known numbers."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from test_figures_report import check

from stages.figures import doses, regressed, regression, regressors, robustness, verdicts
from stages.figures.regressed import COLUMNS, Regressed
from stages.statistics.thresholds import psychometric

NAN = np.nan


def table(name: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as the plot stage reads them: "" and NaN where a column is not given."""
    texts, numbers = COLUMNS[name]
    empty = dict.fromkeys(texts, "") | dict.fromkeys(numbers, NAN)
    frame = pd.DataFrame([{**empty, **row} for row in rows], columns=[*texts, *numbers])
    return frame.astype(dict.fromkeys(texts, str) | dict.fromkeys(numbers, float))


def coefficient(specification: str, term: str, category: str, estimate: float, error: float = 0.01,
                **more: Any) -> dict[str, Any]:
    """A coefficient with the interval of two errors; one without an error has no interval."""
    ends = {} if error == 0 else {"low": estimate - 2 * error, "high": estimate + 2 * error}
    return {"specification": specification, "reader": "all", "term": term, "category": category,
            "label": f"{term} {category}".strip(), "estimate": estimate, "standard_error": error, "p_holm": 0.0002,
            "least": estimate - 0.5 * error, "most": estimate + 0.25 * error, "least_without": "7",
            "most_without": "9", **ends, **more}


def joint_test(specification: str, term: str, **numbers: float) -> dict[str, Any]:
    return {"specification": specification, "reader": "all", "term": term, "F": 9.0, "df1": 1, "df2": 99,
            "minus_log10_p": 5.0, "adjusted_r2_lost": 0.1, **numbers}


def fit(specification: str, **more: Any) -> dict[str, Any]:
    return {"specification": specification, "reader": "all", "terms": ["noise", "level", "colour"],
            "observations": 5000, "clusters": [100], "regressors": 6, "df": 99, "r2": 0.41, "adjusted_r2": 0.4,
            "predicted_r2": 0.39, "out_of_cluster_r2": 0.38, "references": {"colour": "grey", "digit": "0"},
            "dropped": [], "without_standard_error": [], "cluster_rows": {"least": 50, "mean": 50.0, "most": 50},
            "cluster_leverage": {"mean": 0.06, "most": 0.07, "of": "3"}, "effective_clusters": 88.5,
            "effective_clusters_equal": 61.2,
            "singular_clusters": 0, "lonely_rows": 0, "condition_number": 12.0, "largest_vif": 2.5,
            "fitted_outside": 0.0, "reset": {"F": 4.5, "df1": 2, "df2": 99, "p": 0.013},
            "confirmed_by": ["linearmodels"], "warnings": [], **more}


def study(fits: list[dict[str, Any]] | None = None, cluster: list[str] | None = None, **tables: Any) -> Regressed:
    """A study of two noise types, two readers, colours and digits, with tables replaced."""
    rows = {
        "coefficients": [
            coefficient("full", "constant", "", 0.9), coefficient("full", "noise", "fog", 0.2),
            coefficient("full", "level", "", -0.7), coefficient("full", "colour", "black", -0.04),
            coefficient("full", "digit", "1", 0.01, 0.02, p_holm=0.6), coefficient("full", "digit", "2", 0.0, 0.0),
            coefficient("slopes", "level:noise", "fog", -1.0), coefficient("slopes", "level:noise", "dots", -0.3)],
        "tests": [joint_test("full", "noise"), joint_test("full", "colour"),
                  joint_test("full", "digit", minus_log10_p=0.5),
                  joint_test("slopes", "level:noise", adjusted_r2_lost=0.3)],
        "categories": [
            {"factor": "noise", "category": "fog", "rows": 10, "adjusted_r2": 0.3, "moved": "level", "before": -0.7,
             "after": -0.9, "errors": 20.0, "outside": "level; colour[black]"},
            {"factor": "colour", "category": "grey", "rows": 12, "adjusted_r2": 0.3, "moved": "noise[fog]",
             "before": 0.2, "after": 0.19, "errors": 1.0, "outside": ""}],
        "influence": [{"cluster": "4", "moves": "noise[fog]", "leverage": 0.05, "distance": 0.2, "by_errors": -0.3},
                      {"cluster": "5", "moves": "level", "leverage": 0.06, "distance": 0.3, "by_errors": 0.4}],
        "correlations": [{"a": a, "b": b, "r": 1.0 if a == b else -0.25} for a in ("noise fog", "level")
                         for b in ("noise fog", "level")],
        "added_variables": [{"term": "level", "label": "level", "x": x, "y": -0.7 * x + 0.01, "rows": 5,
                             "line": -0.7 * x} for x in (-0.5, 0.25, 0.5)],
        "marginal_effects": [
            {"model": model, "variable": variable, "category": category, "estimate": value, "low": value - 0.02,
             "high": value + 0.02}
            for model, shift in (("linear", 0.0), ("logit", 0.03))
            for variable, category, value in (("noise", "fog", 0.2 + shift), ("level", "", -0.7 - shift))],
        "thresholds": [
            {"reader": reader, "noise": noise, "share": 0.5, "level": level, "low": low, "high": high}
            for reader, noise, level, low, high in (
                ("noisy", "dots", NAN, 0.7, NAN), ("noisy", "fog", 0.4, 0.3, NAN), ("clean", "dots", 0.0, 0.0, 0.0),
                ("clean", "fog", 0.2, 0.1, 0.25))],
        "curves": [{"reader": reader, "noise": "fog", "guess": 0.1, "lapse": 0.02, "midpoint": 0.4, "steepness": 3.0}
                   for reader in ("noisy", "clean")],
        "dose_response": [
            {"reader": reader, "noise": noise, "level": level, "dose": level,
             "accuracy": 0.95 - level, "exact": 0.9 - level,
             "line": 1.1 - level if reader == "noisy" else NAN, "curve": 0.95 - level}
            for reader in ("noisy", "clean") for noise in ("dots", "fog") for level in (0.0, 0.4, 0.8)]}
    rows["corruption"] = [{"reader": reader, "noise": "dots+fog", "seen": "all", "types": 2, "clean_error": 0.02,
                           "error": error, "ratio": error / 0.3, "ratio_low": error / 0.3, "ratio_high": error / 0.3,
                           "relative": NAN} for reader, error in (("noisy", 0.3), ("clean", 0.45))]
    rows |= tables
    fits_json = {"confidence": 0.95, "dose": "level", "headline": "full", "by_reader": "slopes",
                 "cluster": cluster or ["captcha"], "skipped_readers": {},
                 "errors_by_glyph_too": {"digit": 1.64, "level": 1.0},
                 "fits": fits or [fit("full"), fit("slopes", terms=["level:noise", "colour"])]}
    return Regressed({name: table(name, rows[name]) for name in COLUMNS}, fits_json, "noisy")


def test_the_curve_that_is_drawn_is_the_one_that_was_fitted() -> None:
    right = np.array([[9.0, 8, 3, 1], [10, 7, 4, 2], [9, 9, 5, 0]])
    curve = psychometric(right, np.full((3, 4), 10.0), [0, 0.25, 0.5, 0.75], guess=0.1, draws=100,
                         rng=np.random.default_rng(0))
    levels = np.array([0, 0.1, 0.4, 0.8])
    np.testing.assert_allclose(doses.psychometric(levels, curve.guess, curve.lapse, curve.midpoint, curve.steepness),
                               curve.accuracy(levels))


def test_a_panel_draws_the_observed_means_the_line_and_the_threshold_of_each_reader() -> None:
    tables = study().tables
    figure = doses.draw_dose_response(tables["dose_response"], tables["curves"], tables["thresholds"], "level")
    fog = next(axes for axes in figure.axes if axes.get_title(loc="left") == "fog")
    drawn = {line.get_label(): line.get_ydata() for line in fog.lines}
    np.testing.assert_allclose(np.asarray(drawn["noisy"], float), [0.9, 0.5, 0.1])
    straight = [line for line in fog.lines if line.get_linestyle() == "--" and len(line.get_xdata()) == 3]
    assert any(np.allclose(np.asarray(line.get_ydata(), float), [1.1, 0.7, 0.3]) for line in straight)
    hollow = [tuple(line.get_xydata()[0]) for line in fog.lines if line.get_marker() == "D" and len(line.get_xdata())]
    assert sorted(hollow) == [(pytest.approx(0.2), 0.5), (pytest.approx(0.4), 0.5)]
    assert fog.get_ylim()[1] > 1.1


def test_a_curve_of_level_is_drawn_over_the_mean_dose_of_its_levels() -> None:
    tables = study().tables
    halved = tables["dose_response"].assign(dose=tables["dose_response"]["level"] / 2)
    figure = doses.draw_dose_response(halved, tables["curves"], tables["thresholds"], "rmse")
    fog = next(axes for axes in figure.axes if axes.get_title(loc="left") == "fog")
    smooth = next(line for line in fog.lines if len(line.get_xdata()) == doses.POINTS)
    np.testing.assert_allclose(np.asarray(smooth.get_xdata(), float)[[0, -1]], [0, 0.4])
    assert figure.get_supxlabel() == "RMSE of the rendering"


def test_what_is_not_reached_stands_hollow_at_the_right_edge() -> None:
    axes = doses.draw_thresholds(study().tables["thresholds"], "noisy", 0.8).axes[0]
    hollow = [line for line in axes.lines if line.get_marker() == "o" and line.get_markerfacecolor() == "white"]
    assert [list(line.get_xdata()) for line in hollow] == [[pytest.approx(0.896)]]
    reached = next(line for line in axes.lines if line.get_label() == "noisy")
    assert list(reached.get_xdata()) == [0.4]
    ends = [tuple(segment[:, 0]) for lines in axes.collections for segment in lines.get_segments()]  # type: ignore[attr-defined]
    assert (0.3, pytest.approx(0.896)) in ends
    assert (0.7, pytest.approx(0.896)) in ends
    assert [label.get_text() for label in axes.get_yticklabels()] == ["fog", "dots"]


def test_an_added_variable_has_its_bins_and_a_line_through_the_origin_with_the_coefficient() -> None:
    axes = regressors.draw_added_variables(study().tables["added_variables"]).axes[0]
    line = next(line for line in axes.lines if line.get_color() == regressors.PALETTE[1])
    x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
    np.testing.assert_allclose(y, 100 * -0.7 * x)
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [[-0.5, 36], [0.25, -16.5], [0.5, -34]])


def test_of_very_many_regressors_the_steepest_lines_are_drawn() -> None:
    bins = table("added_variables", [{"term": "digit", "category": str(k), "label": f"digit {k}", "x": x, "y": 0.0,
                                      "rows": 1, "line": k * x} for k in range(50) for x in (-1.0, 1.0)])
    assert regressors.drawn_regressors(bins) == [f"digit {k}" for k in range(50 - regressors.MOST_PANELS, 50)]
    assert "14 regressors with the flattest lines are left out" in regression.about_added_variables(bins)


def test_bins_stray_from_their_line_by_the_root_mean_square_of_their_rows() -> None:
    bins = table("added_variables", [{"label": "a", "x": 0, "y": 0.3, "rows": 1, "line": 0.0},
                                     {"label": "a", "x": 1, "y": 0.1, "rows": 3, "line": 0.0}])
    assert regressors.strays(bins)["a"] == pytest.approx(100 * np.sqrt((0.09 + 3 * 0.01) / 4))


def test_the_heat_map_has_the_correlations_and_their_numbers() -> None:
    figure = regressors.draw_correlations(study().tables["correlations"])
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), [[1, -0.25], [-0.25, 1]])
    assert [text.get_text() for text in axes.texts] == ["−25", "−25"]
    assert "r = −0.25 (noise fog and level)" in regression.about_correlations(study().tables["correlations"])


def test_steadiness_is_the_coefficient_in_points_and_its_moves_in_standard_errors() -> None:
    rows = robustness.steadiness(study().coefficients()).set_index("name")
    assert rows.loc["level, for 0.1", "points"] == pytest.approx(-7)
    assert rows.loc["noise fog", "points"] == pytest.approx(20)
    assert rows.loc["noise fog", ["least_errors", "most_errors"]].tolist() == pytest.approx([-0.5, 0.25])
    assert rows.loc["digit 2", ["low", "high", "least_errors", "most_errors"]].isna().all()
    assert "constant" not in rows.index


def test_the_clusters_that_cause_the_extremes_are_named_in_the_figure() -> None:
    rows = robustness.steadiness(study().coefficients())
    right = robustness.draw_steadiness(rows, "captcha", 0.95, 99).axes[1]
    assert [text.get_text() for text in right.texts] == ["7"] * 4 + ["9"] * 4  # digit 2 has no error
    assert "without one captcha" in right.get_xlabel()


def test_both_models_are_drawn_side_by_side_and_their_largest_difference_is_told() -> None:
    found = study()
    axes = robustness.draw_marginal_effects(found.tables["marginal_effects"]).axes[0]
    drawn = {line.get_label(): list(line.get_xdata()) for line in axes.lines if str(line.get_label())[0] != "_"}
    assert drawn == {"linear probability model": [pytest.approx(20), pytest.approx(-7)],
                     "logit, average effect": [pytest.approx(23), pytest.approx(-7.3)]}
    assert verdicts.about_models(found) == (
        "Linear model and logit differ by at most 0.3 points (level, for 0.1: −7.0 and −7.3); no effect that can be "
        "told from 0 changes its sign, and 0 of 1 effects of the logit lie within the linear interval (a description, "
        "not a test: both are of the same rows).")  # the noise dummies are not to be read alone


def test_a_study_without_a_logit_says_so() -> None:
    effects = study().tables["marginal_effects"]
    linear = effects[effects["model"] == "linear"].to_dict("records")
    found = study(marginal_effects=linear)
    assert "could not be fitted" in verdicts.about_models(found)
    assert len(robustness.draw_marginal_effects(found.tables["marginal_effects"]).axes[0].lines) == 2


def test_the_most_influential_clusters_are_named() -> None:
    axes = robustness.draw_influence(study().tables["influence"], "glyph").axes[0]
    assert [text.get_text() for text in axes.texts] == ["glyph 5", "glyph 4"]
    assert to_rgba(axes.lines[0].get_color()) == to_rgba(robustness.PALETTE[0])
    assert "glyph 5, 0.3: it moves level by 0.40 standard errors" in regression.about_influence(
        study().tables["influence"], "glyph")


def test_the_steepest_and_the_mildest_noise_are_named_with_their_intervals_and_their_share() -> None:
    assert verdicts.about_doses(study()) == (
        "Over all readers together, each 0.1 of level moves the regression's straight line by −10.0 percentage points "
        "(95\u00a0% interval −10.2 to −9.8) under **fog**, the steepest slope (−10.0 were seen on average from clean "
        "to the strongest level), and by −3.0 points (95\u00a0% interval −3.2 to −2.8) under **dots**, the mildest "
        "(−10.0 were seen on average from clean to the strongest level). Without the doses the adjusted R² of 0.400 "
        "would lose 0.300, 75\u00a0% of it.")


def test_without_slopes_of_their_own_no_noise_is_called_the_steepest() -> None:
    found = study(coefficients=[coefficient("full", "level", "", -0.7)])
    assert "so none can be called the steepest" in verdicts.about_doses(found)


def test_a_factor_matters_by_its_joint_test_and_single_effects_are_adjusted() -> None:
    colour, digit = verdicts.about_factors(study())
    assert colour == ("Colour matters (joint F test, p < 0.001): beside grey, black differs most, by −4.0 points "
                      "(95\u00a0% interval −6.0 to −2.0), p < 0.001 after Holm's adjustment for the 5 "
                      "coefficients of this regression (the interval is not adjusted); so adjusted, 1 of 1 differ.")
    assert digit == ("For the character no effect can be told from chance (joint F test, p = 0.316): beside “0” the "
                     "intervals lie between −3.0 and 5.0 points.")


def test_a_factor_without_a_test_is_said_to_be_untested() -> None:
    found = study(tests=[joint_test("full", "colour", F=NAN, minus_log10_p=NAN)])
    assert list(verdicts.about_factors(found)) == ["Whether colour matters could not be tested."]


def test_the_wild_bootstrap_is_told_where_there_is_one() -> None:
    found = study(coefficients=[coefficient("full", "colour", "black", -0.04, p_wild=0.042)])
    assert "wild bootstrap p = 0.042" in next(iter(verdicts.about_factors(found)))


def test_thresholds_are_told_with_intervals_and_what_is_not_reached() -> None:
    assert list(verdicts.about_thresholds(study())) == [
        "`noisy` comes down to 50\u00a0% of the captchas at level 0.40 of fog (95\u00a0% interval 0.30 to beyond "
        "those tested), and within the levels tested not under dots; `clean` is there even without noise."]


def test_no_thresholds_are_no_sentence() -> None:
    assert list(verdicts.about_thresholds(study(thresholds=[]))) == []


def test_leaving_out_is_told_by_the_largest_move_and_by_changed_signs() -> None:
    found = study()
    assert verdicts.about_clusters(found).startswith(
        "Leaving out one captcha at a time moves no coefficient by more than 0.50 standard errors (")
    assert "out of its interval in 1 of 2 cases; most of all, without noise fog, level, for 0.1, goes from −7.0 to " \
           "−9.0 points (20.0 standard errors)" in verdicts.about_categories(found)
    assert "changes its sign" in verdicts.about_categories(found)
    assert "even" not in verdicts.about_categories(found)


@pytest.mark.parametrize(("before", "turns"), [(0.2, True), (0.001, False)])
def test_a_sign_turns_only_where_there_was_one_to_be_told(before: float, turns: bool) -> None:
    row = {"factor": "reader", "category": "a", "rows": 9, "adjusted_r2": 0.1, "moved": "noise[fog]", "before": before,
           "after": -0.1, "errors": (before + 0.1) / 0.01}
    assert ("even changes its sign" in verdicts.about_categories(study(categories=[row]))) is turns


@pytest.mark.parametrize(("change", "expected"), [
    ({"reset": {"F": 9, "df1": 2, "df2": 9, "p": 1e-9}}, "RESET rejects the form as a whole (F = 9, p < 0.001)"),
    ({"reset": {"F": 1, "df1": 2, "df2": 9, "p": 0.4}}, "RESET merely does not reject it (p = 0.400)"),
    ({"fitted_outside": 0.125}, "12.5\u00a0% of the fitted values lie below 0 or above 1"),
    ({"terms": ["noise", "level"]}, "all types share one slope of level"),
    ({"clusters": [12]}, "12 clusters are few"),
])  # fmt: skip
def test_what_cannot_be_concluded_follows_from_the_fit(change: dict[str, Any], expected: str) -> None:
    found = study([fit("full", **change), fit("slopes")])
    assert expected in " ".join(verdicts.unsaid(found, composed=True))


@pytest.mark.parametrize(("cluster", "composed", "told"), [
    (["captcha"], True, True), (["captcha", "glyph"], True, False), (["captcha"], False, False),
])  # fmt: skip
def test_new_handwriting_is_out_of_reach_unless_clustered_by_glyph(cluster: list[str], composed: bool,
                                                                   told: bool) -> None:
    said = " ".join(verdicts.unsaid(study(cluster=cluster), composed=composed))
    assert ("new handwriting" in said) is told
    assert "conditional on the readers as trained" in said


def test_slopes_by_type_make_no_warning_about_dummies() -> None:
    found = study([fit("full", terms=["noise", "level:noise"]), fit("slopes")])
    assert "share one slope" not in " ".join(verdicts.unsaid(found, composed=True))


def test_diagnostics_are_told_in_words_with_each_warning_once() -> None:
    found = study([fit("full", warnings=["digit[4] is weak"]), fit("slopes", warnings=["digit[4] is weak"]),
                   fit("third", warnings=["X is ill"])])
    said = verdicts.diagnosed(found)
    assert sum("Warning: digit 4 is weak. Of all these fits." in one for one in said) == 1
    assert said[-1] == "The other fits with warnings, third, have theirs in `data/regression/fits.json`."
    for part in ("5,000 rows in 100 clusters by captcha (50 rows each)", "0.07 at most (captcha 3)", "G* = 88.5",
                 "condition number 12", "(VIF) 2.5", "of rows left out 0.3900", "F(2, 99) = 4.5, p = 0.013"):
        assert part in " ".join(said)


def test_a_fit_without_warnings_says_so() -> None:
    assert "No rule of thumb was broken in the fits of `full` and `slopes`." in verdicts.diagnosed(study())


def test_the_tables_of_terms_and_categories_hold_their_numbers() -> None:
    html = regression.regression_html(study(), composed=True)
    assert ('<th scope="row">colour</th><td>full</td><td>F(1, 99) = 9.0</td><td>p &lt; 0.001</td><td>0.1000</td>'
            in html["tests"])
    assert '<th scope="row">level × noise</th><td>slopes</td>' in html["tests"]
    assert ('<th scope="row">noise fog</th><td>10</td><td>0.3000</td><td>level, for 0.1</td><td>−7.0 → −9.0</td>'
            "<td>20.0</td><td>2</td>" in html["categories"])


def test_a_study_with_nothing_but_fits_is_reported_without_figures() -> None:
    found = study(**{name: [] for name in COLUMNS})
    assert all(figure is None and said for _, figure, said in regression.draw_regression(found))
    for part in regression.regression_html(found, composed=False).values():
        check(part)
        assert not re.search(r"\bnan\b", part)


@pytest.mark.parametrize(("term", "points"), [("level", 10), ("level:noise", 10), ("noise", 100), ("center(level)", 10),
                                              ("poly(level)", 100), ("colour:noise", 100), ("level:contrast", 1)])
def test_a_number_is_told_for_a_tenth_and_a_category_whole(term: str, points: float) -> None:
    assert regressed.scale(term) == pytest.approx(points)


@pytest.mark.parametrize(("name", "said"), [("noise[gaussian_blur]", "noise gaussian blur"), ("level", "level"),
                                            ("level:noise[fog]", "level × noise fog"), ("digit[;]", "digit ;"),
                                            ("ssim_loss", "SSIM loss"), ("digit[[]", "digit [")])
def test_names_of_coefficients_become_words(name: str, said: str) -> None:
    assert regressed.name_words(name) == said
