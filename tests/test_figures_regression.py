"""The regression's figures and diagnostics: what is drawn equals the table, what is said follows from known numbers."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from regressed_study import coefficient, fit, study, table

from stages.figures import (
    diagnostic_texts,
    dose_response,
    regression_tables,
    regressors,
    robustness,
)
from stages.figures.coefficients import dose_slopes
from stages.figures.style import PALETTE
from stages.schemas.regress import (
    AddedVariables,
    Categories,
    ClusterInfluence,
    Correlations,
    DoseResponses,
    MarginalEffects,
    Thresholds,
)


def test_an_added_variable_has_its_bins_and_a_line_through_the_origin_with_the_coefficient() -> (
    None
):
    axes = regressors.draw_added_variables(study().tables[AddedVariables]).axes[0]
    line = next(line for line in axes.lines if line.get_color() == PALETTE[1])
    x = np.asarray(line.get_xdata(), float)
    y = np.asarray(line.get_ydata(), float)
    np.testing.assert_allclose(y, 100 * -0.7 * x)
    np.testing.assert_allclose(
        np.asarray(axes.collections[0].get_offsets()), [[-0.5, 36], [0.25, -16.5], [0.5, -34]]
    )


def test_of_very_many_regressors_the_steepest_lines_are_drawn() -> None:
    bins = table(
        "added_variables",
        [
            {
                "term": "digit",
                "category": str(k),
                "label": f"digit {k}",
                "x": x,
                "y": 0.0,
                "rows": 1,
                "line": k * x,
            }
            for k in range(50)
            for x in (-1.0, 1.0)
        ],
    )
    assert regressors.drawn_regressors(bins) == [
        f"digit {k}" for k in range(50 - regressors.MOST_PANELS, 50)
    ]
    assert (
        "14 regressors with the flattest lines are left out"
        in diagnostic_texts.about_added_variables(bins)
    )


def test_bins_stray_from_their_line_by_the_root_mean_square_of_their_rows() -> None:
    bins = table(
        "added_variables",
        [
            {"label": "a", "x": 0, "y": 0.3, "rows": 1, "line": 0.0},
            {"label": "a", "x": 1, "y": 0.1, "rows": 3, "line": 0.0},
        ],
    )
    assert regressors.strays(bins)["a"] == pytest.approx(100 * np.sqrt((0.09 + 3 * 0.01) / 4))


def test_the_heat_map_has_the_correlations_and_their_numbers() -> None:
    figure = regressors.draw_correlations(study().tables[Correlations])
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), [[1, -0.25], [-0.25, 1]])
    assert [text.get_text() for text in axes.texts] == ["−25", "−25"]
    assert "r = −0.25 (noise fog and level)" in diagnostic_texts.about_correlations(
        study().tables[Correlations]
    )


def test_the_jackknife_range_is_the_coefficient_in_points_and_its_moves_in_standard_errors() -> (
    None
):
    rows = robustness.jackknife_ranges(study().coefficients()).set_index("name")
    assert rows.loc["level, for 0.1", "points"] == pytest.approx(-7)
    assert rows.loc["noise fog", "points"] == pytest.approx(20)
    assert rows.loc["noise fog", ["least_errors", "most_errors"]].tolist() == pytest.approx(
        [-0.5, 0.25]
    )
    assert rows.loc["digit 2", ["low", "high", "least_errors", "most_errors"]].isna().all()
    assert "constant" not in rows.index


def test_the_clusters_that_cause_the_extremes_are_named_in_the_figure() -> None:
    rows = robustness.jackknife_ranges(study().coefficients())
    right = robustness.draw_jackknife(rows, "captcha", 0.95, 99).axes[1]
    assert [text.get_text() for text in right.texts] == ["7"] * 4 + [
        "9"
    ] * 4  # digit 2 has no error
    assert "without one captcha" in right.get_xlabel()


def test_the_most_influential_clusters_are_named() -> None:
    axes = robustness.draw_influence(study().tables[ClusterInfluence], "glyph").axes[0]
    assert [text.get_text() for text in axes.texts] == ["glyph 5", "glyph 4"]
    assert to_rgba(axes.lines[0].get_color()) == to_rgba(PALETTE[0])
    assert (
        "glyph 5, 0.3: it changes level by 0.40 standard errors"
        in diagnostic_texts.about_influence(study().tables[ClusterInfluence], "glyph")
    )


@pytest.mark.parametrize(
    ("term", "points"),
    [
        ("level", 10),
        ("level:noise", 10),
        ("noise", 100),
        ("center(level)", 10),
        ("poly(level)", 100),
        ("colour:noise", 100),
        ("noise:center(level)", 10),
        ("level:contrast", 1),
    ],
)
def test_a_number_is_told_for_a_tenth_and_a_category_whole(term: str, points: float) -> None:
    assert regression_tables.scale(term) == pytest.approx(points)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("noise[gaussian_blur]", "noise gaussian blur"),
        ("level", "level"),
        ("level:noise[fog]", "level × noise fog"),
        ("noise:center(level)[fog]", "noise × level fog"),
        ("digit[;]", "digit ;"),
        ("ssim_loss", "SSIM loss"),
        ("digit[[]", "digit ["),
    ],
)
def test_names_of_coefficients_become_words(name: str, said: str) -> None:
    assert regression_tables.name_words(name) == said


def panel(figure: Figure, name: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_title(loc="left") == name)


def points_of(axes: Axes) -> list[list[float]]:
    """The y of every line without a line, such as observed means."""
    return [
        np.asarray(line.get_ydata(), float).tolist()
        for line in axes.lines
        if line.get_linestyle() == "None"
        and line.get_marker() != "D"
        and np.size(line.get_xdata()) == 3
    ]


def test_a_panel_draws_the_observed_accuracy_and_the_straight_line() -> None:
    figure = dose_response.draw_lines(
        study().tables[DoseResponses].assign(dose=lambda rows: rows["level"] / 2), "rmse"
    )
    fog = panel(figure, "fog")
    assert points_of(fog) == [pytest.approx([0.9, 0.5, 0.1])] * 2
    straight = [
        line
        for line in fog.lines
        if line.get_linestyle() == "--" and np.size(line.get_xdata()) == 3
    ]
    assert any(
        np.allclose(np.asarray(line.get_ydata(), float), [1.1, 0.7, 0.3]) for line in straight
    )
    np.testing.assert_allclose(np.asarray(straight[0].get_xdata(), float), [0, 0.2, 0.4])
    assert fog.get_ylim()[1] > 1.1
    assert figure.get_supxlabel() == "RMSE of the rendering"


def test_what_is_not_reached_stands_hollow_at_the_right_edge() -> None:
    thresholds = study().tables[Thresholds]
    axes = dose_response.draw_thresholds(thresholds, ["fog", "dots"], 0.8).axes[0]
    hollow = [
        line
        for line in axes.lines
        if line.get_marker() == "o" and line.get_markerfacecolor() == "white"
    ]
    assert [list(np.asarray(line.get_xdata())) for line in hollow] == [[pytest.approx(0.896)]]
    reached = next(line for line in axes.lines if line.get_label() == "noisy")
    assert list(np.asarray(reached.get_xdata())) == [0.4]
    ends = [tuple(segment[:, 0]) for lines in axes.collections for segment in lines.get_segments()]  # type: ignore[attr-defined]
    assert (0.38, 0.42) in ends
    assert (0.7, pytest.approx(0.896)) in ends
    assert [label.get_text() for label in axes.get_yticklabels()] == ["fog", "dots"]


def test_the_pairs_that_pass_a_threshold_are_counted() -> None:
    assert dose_response.about_thresholds(study().tables[Thresholds]) == (
        "3 of 4 pairs of reader and noise come down to 50\u00a0% of the captchas, 1 of them without any noise; first "
        "under noise is `clean` under fog, at level 0.20 (0.10 to 0.25)."
    )
    assert "no threshold" in dose_response.about_thresholds(study().tables[Thresholds][:0])


def test_both_models_are_drawn_side_by_side() -> None:
    axes = robustness.draw_marginal_effects(study().tables[MarginalEffects]).axes[0]
    drawn = {
        line.get_label(): list(np.asarray(line.get_xdata()))
        for line in axes.lines
        if str(line.get_label())[0] != "_"
    }
    assert drawn == {
        "linear probability model": [pytest.approx(20), pytest.approx(-7)],
        "logit, average effect": [pytest.approx(23), pytest.approx(-7.3)],
    }


def test_leaving_out_is_told_by_the_largest_move_and_is_no_evidence() -> None:
    found = study()
    said = diagnostic_texts.about_clusters(found)
    assert said.startswith(
        "Leaving out one captcha at a time changes no coefficient by more than 0.50 standard "
        "errors ("
    )
    assert "no evidence" in said
    assert "out of its interval in 1 of 2 cases" in diagnostic_texts.about_categories(found)
    assert (
        "without noise fog, level, for 0.1, goes from −7.0 to −9.0 points"
        in diagnostic_texts.about_categories(found)
    )


def test_diagnostics_are_told_in_standard_words_with_each_warning_once() -> None:
    found = study(
        [
            fit("full", warnings=["digit[4] is weak"]),
            fit("slopes", warnings=["digit[4] is weak"]),
            fit("third", warnings=["X is ill"]),
        ]
    )
    said = diagnostic_texts.diagnostics(found)
    assert sum("Warning: digit 4 is weak. Of all these fits." in one for one in said) == 1
    assert (
        said[-1]
        == "The other fits with warnings, third, have theirs in `data/regression/fits.json`."
    )
    for part in (
        "5,000 rows in 100 clusters by captcha (50 rows each)",
        "0.07 at most (captcha 3)",
        "G* = 88.5",
        "condition number 12",
        "(VIF) 2.5",
        "predicted (PRESS) R² 0.3900",
        "leave-one-cluster-out R² 0.3800",
        "F(2, 99) = 4.5, p = 0.013",
    ):
        assert part in " ".join(said)


def test_a_fit_without_warnings_says_so() -> None:
    assert (
        "No rule of thumb was broken in the fits of `full` and `slopes`."
        in diagnostic_texts.diagnostics(study())
    )


def test_the_tables_of_terms_and_categories_hold_their_numbers() -> None:
    tests = [[cell.text for cell in line] for line in diagnostic_texts.tests_table(study()).body]
    assert ["colour", "full", "F(1, 99) = 9.0", "p < 0.001", "0.1000"] in tests
    assert tests[-1][:2] == ["level × noise", "slopes"]
    categories = diagnostic_texts.categories_table(study().tables[Categories]).body
    assert [cell.text for cell in categories[0]] == [
        "noise fog",
        "10",
        "0.3000",
        "level, for 0.1",
        "−7.0 → −9.0",
        "20.0",
        "2",
    ]


def test_slopes_are_those_of_a_centred_dose_as_well() -> None:
    rows = table(
        "coefficients",
        [
            coefficient("slopes", "noise:center(level)", "fog", -1.0),
            coefficient("slopes", "noise", "fog", -0.5),
        ],
    )
    slopes = dose_slopes(rows, ["all"], "slopes", "level")
    assert slopes[["noise", "points"]].to_numpy().tolist() == [["fog", pytest.approx(-10)]]


def test_the_gap_between_the_line_and_what_was_observed_is_told() -> None:
    responses = study().tables[DoseResponses]
    assert (
        "The straight line misses the observed means by at most 20.0 points (`noisy`, dots"
        in dose_response.about_lines(responses)
    )
    assert dose_response.about_lines(responses[:0]) == "No line was fitted."
