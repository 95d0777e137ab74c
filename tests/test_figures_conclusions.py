"""The answer, the sentences of the regression and how sure they are, on tables whose answer is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from regressed_study import NAN, coefficient, contrast, fit, study, table

from stages.figures import certainty, conclusions, ranking, regression_tables, robustness, visible
from stages.figures.style import PALETTE
from stages.schemas.regress import TABLES, Costs, MarginalEffects, RandomisationTest

PARAMS: Any = SimpleNamespace(
    glyphs=SimpleNamespace(source="digits"),
    noise=SimpleNamespace(types=("gaussian", "gaussian_rgb", "fog"), steps=4),
)


def test_the_answer_names_the_worst_noise_its_cost_and_what_a_run_moves() -> None:
    assert conclusions.answer_text(study(), "noisy captchas") == (
        "`noisy`, trained on noisy captchas, loses half of the captchas from level 0.40 (95\u00a0% interval 0.38 to "
        "0.42) of **fog**. On average **fog** costs most, 50 (48 to 52) of 100 characters, dots least, 10 (8 to 12). "
        "No interval contains another training run."
    )


def test_the_answer_says_where_it_is_open_which_noise_is_first_and_the_sd_between_runs() -> None:
    costs = study().tables[Costs]
    turned = costs.assign(
        cost=[0.5, 0.1] * 3, low=[0.48, 0.08] * 3, high=[0.52, 0.12] * 3, sd_between_runs=0.013
    )
    rows = [
        {
            "reader": "noisy",
            "noise": noise,
            "share": 0.5,
            "level": level,
            "low": level - 0.02,
            "high": level + 0.02,
            "first": first,
        }
        for noise, level, first in (("fog", 0.4, 0.6), ("dots", 0.41, 0.4))
    ]
    said = conclusions.answer_text(study(costs=turned.to_dict("records"), thresholds=rows))
    assert (
        "from level 0.40 (95\u00a0% interval 0.38 to 0.42) of **fog** and level 0.41 (0.39 to 0.43) of **dots**; "
        "which is first is open."
    ) in said
    assert "On average **dots** costs most, 50 (48 to 52) of 100 characters, fog least" in said
    assert said.endswith("SD between runs: 1.3 points.")


def test_the_answer_does_without_thresholds_and_costs() -> None:
    assert "under no noise tested. On average" in conclusions.answer_text(study(thresholds=[]))
    assert "none can be called the worst" in conclusions.answer_text(study(costs=[]))


def test_the_longest_answer_has_at_most_sixty_words() -> None:
    rows = [
        {
            "reader": "noisy",
            "noise": noise,
            "cost": cost,
            "low": cost - 0.001,
            "high": cost + 0.001,
            "sd_between_runs": 0.01,
            "runs": 5,
        }
        for noise, cost in (("salt_and_pepper", 0.5), ("gaussian_hit", 0.1))
    ]
    thresholds = [
        {
            "reader": "noisy",
            "noise": noise,
            "share": 0.75,
            "level": 0.4,
            "low": 0.3,
            "high": NAN,
            "first": 0.5,
        }
        for noise in ("motion_blur", "salt_and_pepper")
    ]
    found = study(costs=rows, thresholds=thresholds)
    assert len(conclusions.answer_text(found, "clean and noisy captchas").split()) <= 60


def test_there_are_at_most_ten_sentences_and_each_is_of_its_own_kind() -> None:
    said = conclusions.conclusions(study())
    assert len(said) <= 10
    for part in (
        "**fog** costs most, 50 (95\u00a0% interval 48 to 52)",
        "**dots** least, 10 (8 to 12).",
        "loses between 40.0 points (from 0",
        "at equal levels fog costs `noisy` most and dots least",
        "`noisy` reads 20 (18 to 22) points more than `clean`",
        "most, grey over black, by 4 (1 to 7) points",
        "adjusted R² 0.400, predicted R² 0.390",
    ):
        assert part in " ".join(said)


def test_where_no_difference_is_found_the_smallest_detectable_and_the_equivalence_bound_are_told() -> (
    None
):
    said = next(one for one in conclusions.conclusions(study()) if one.startswith("Character ("))
    assert said == (
        "Character (all readers): no difference was found. In a single pair 8.4 points would have been "
        "found with a probability of 80\u00a0%; each is equivalent within 6.9 points."
    )


def test_pairs_of_noises_are_told_by_simultaneous_intervals_and_not_by_overlap() -> None:
    pairs = [
        contrast("noise", "dots", "fog", 0.4, 0.01, reader="noisy"),
        contrast("noise", "dots", "lines", -0.02, 0.01, reader="noisy"),
        contrast("noise", "fog", "lines", -0.42, 0.01, reader="noisy"),
    ]
    said = " ".join(conclusions.conclusions(study(contrasts=pairs)))
    assert "2 of the 3 pairs of noises differ in that cost, by simultaneous intervals" in said
    assert "The closest, lines and dots, are 2 (−1 to 5) points apart." in said
    assert "overlap" not in said


def test_a_reader_that_reads_less_is_told_so() -> None:
    pairs = [contrast("reader", "clean", "noisy", 0.1, 0.01)]
    assert "`noisy` reads 10 (8 to 12) points fewer than `clean`" in " ".join(
        conclusions.conclusions(study(contrasts=pairs))
    )


def test_linear_model_and_logit_are_compared_on_all_effects() -> None:
    effects = study().tables[MarginalEffects]
    assert robustness.about_models(effects) == (
        "The logit differs on categories by up to 3.0 points (noise fog: 23.0 instead of 20.0); for 0.1 of level it "
        "gives −7.3 instead of −7.0 points."
    )
    near = effects.assign(estimate=[0.2, -0.7, 0.204, -0.73])
    agreement = "agrees on categories within 0.4 points, as it must in a balanced design"
    assert agreement in robustness.about_models(near)
    linear = effects["model"] == "linear"
    turned = effects.assign(estimate=effects["estimate"].where(linear, -effects["estimate"]))
    sign = "The sign of noise fog and level, for 0.1 differs."
    assert sign in robustness.about_models(turned)
    assert "could not be fitted" in robustness.about_models(effects[linear])


def test_a_randomisation_test_of_colour_is_told_with_its_draws() -> None:
    for p, draws in (
        (0.001, "p = 0.001, the least that 999 permutations can give"),
        (0.25, "p = 0.250 of 999 permutations"),
    ):
        found = study(randomisation=RandomisationTest("colour", 3.0, 999, p))
        assert draws in " ".join(conclusions.conclusions(found))


def sure(found: Any, *, composed: bool = True, runs: dict[str, list[str]] | None = None) -> str:
    return " ".join(
        certainty.how_sure(
            found, PARAMS, runs or {"noisy": ["noisy"], "clean": ["clean"]}, 400, composed
        )
    )


@pytest.mark.parametrize(("cluster", "composed", "part"), [
    (["captcha"], True, "too narrow for other glyphs"),
    (["captcha", "glyph"], True, "the same writers; a new writer is not covered"),
    (["captcha"], False, "their glyphs are unknown"),
])  # fmt: skip
def test_what_the_intervals_hold_of_glyphs_follows_from_the_clusters(
    cluster: list[str], composed: bool, part: str
) -> None:
    assert part in sure(study(cluster=cluster), composed=composed)


def test_intervals_are_for_this_reader_unless_runs_are_clusters() -> None:
    assert "hold for this reader, `noisy` as it was trained" in sure(study())
    assert "--runs 5" in sure(study())
    several = sure(
        study(cluster=["captcha", "glyph", "run"]), runs={"noisy": ["noisy", "noisy_2", "noisy_3"]}
    )
    assert "hold for such readers" in several
    assert "trained 3 times" in several


def test_a_known_sd_between_runs_is_told_in_points_and_standard_errors() -> None:
    costs = study().tables[Costs].assign(sd_between_runs=0.015, runs=5).to_dict("records")
    said = sure(study(costs=costs))
    assert (
        "Over 5 runs of `noisy` the average costs have an SD between runs of 1.5 points, 1.5 times"
        in said
    )


def test_every_noise_of_equal_energy_is_named_and_the_grid_is_told() -> None:
    said = sure(study())
    assert "Only gaussian and gaussian rgb share a scale" in said
    assert "tested at 4 levels" in said


@pytest.mark.parametrize(("change", "expected"), [
    ({"reset": {"F": 9, "df1": 2, "df2": 9, "p": 1e-9}}, "RESET rejects the form as a whole (F = 9, p < 0.001)"),
    ({"reset": {"F": 1, "df1": 2, "df2": 9, "p": 0.4}}, "RESET does not reject it (p = 0.400)"),
    ({"fitted_outside": 0.125}, "12.5\u00a0% of the fitted values lie below 0 or above 1"),
    ({"terms": ["noise", "level"]}, "share one slope of level from level 0 on"),
    ({"clusters": [12]}, "12 clusters are few"),
])  # fmt: skip
def test_what_cannot_be_concluded_follows_from_the_fit(
    change: dict[str, Any], expected: str
) -> None:
    found = study([fit("full", **change), fit("slopes")])
    assert expected in " ".join(certainty.not_concluded(found))


@pytest.mark.parametrize(
    "terms",
    [["noise", "level:noise"], ["noise", "noise:center(level)"], ["noise", "center(level)"]],
)
def test_centred_or_own_slopes_make_no_warning_about_noise_coefficients(terms: list[str]) -> None:
    found = study([fit("full", terms=terms), fit("slopes")])
    assert "share one slope" not in " ".join(certainty.not_concluded(found))


def test_a_run_with_nothing_but_fits_has_an_answer_and_sentences() -> None:
    nothing: dict[str, Any] = {name: [] for name in TABLES}
    found = study(**nothing)
    said = " ".join(
        [
            conclusions.answer_text(found),
            *conclusions.conclusions(found),
            *certainty.not_concluded(found),
        ]
    )
    assert "nan" not in said.lower().split()


# The answer's figure


def test_noises_are_ranked_by_threshold_and_then_by_cost() -> None:
    assert ranking.ranked(study()) == ["fog", "dots"]
    both = [
        {"reader": "noisy", "noise": noise, "share": 0.5, "level": NAN} for noise in ("dots", "fog")
    ]
    assert ranking.ranked(study(thresholds=both)) == ["fog", "dots"]


def test_the_ranking_draws_threshold_and_cost_of_the_report_in_the_colour_of_the_noise() -> None:
    left, right = ranking.draw_ranking(study(), ["dots", "fog"], ["noisy", "clean"], 0.8).axes
    own = [line for line in left.lines if to_rgba(line.get_color()) == to_rgba(PALETTE[1])]
    assert [list(np.asarray(line.get_xdata())) for line in own] == [[0.4]]
    costs = {to_rgba(line.get_color()): list(np.asarray(line.get_xdata())) for line in right.lines}
    assert costs[to_rgba(PALETTE[1])] == [pytest.approx(50)]
    assert costs[to_rgba(PALETTE[0])] == [pytest.approx(10)]
    assert [label.get_text() for label in left.get_yticklabels()] == ["fog", "dots"]
    hollow = [line for line in left.lines if line.get_markerfacecolor() == "white"]
    assert [list(np.asarray(line.get_xdata())) for line in hollow] == [[pytest.approx(1.14 * 0.8)]]


def test_the_levels_are_told_in_order_with_what_is_never_reached() -> None:
    assert ranking.about_ranking(study()) == (
        "`noisy` loses half of the captchas from these levels on: fog 0.40 (0.38 to 0.42); not within the levels "
        "tested under dots. Of the draws, first comes fog in more than 99\u00a0%. A hollow point: never, within the "
        "levels tested. A mark at 0: fewer than half are read whole even without noise (`clean`)."
    )


# Equal visible change


def responses(**doses: list[float]) -> pd.DataFrame:
    """Two noises that lose half at level 0.5 and 0.6, with RMSE as given, by noise."""
    rows = [
        {
            "reader": "r",
            "noise": noise,
            "level": level,
            "rmse": rmse,
            "ssim_loss": level,
            "exact": exact,
        }
        for noise, ends in (("fog", (1.0, 0.0)), ("dots", (1.2, 0.2)))
        for level, rmse, exact in zip((0.0, 1.0), doses[noise], ends, strict=True)
    ]
    return table("dose_response", rows)


def test_half_is_read_off_between_the_levels() -> None:
    rows = responses(fog=[0, 0.5], dots=[0, 0.2])
    assert visible.half_dose(rows[rows["noise"] == "fog"], "rmse") == pytest.approx(0.25)
    assert visible.half_dose(rows[rows["noise"] == "dots"], "level") == pytest.approx(0.7)
    never = rows.assign(exact=0.9)
    assert visible.half_dose(never[never["noise"] == "fog"], "level") == np.inf


@pytest.mark.parametrize(("dots", "changes"), [([0.0, 0.9], False), ([0.0, 0.1], True)])
def test_whether_the_rank_changes_at_equal_visible_change_is_told(
    dots: list[float], changes: bool
) -> None:
    said = visible.about_visible(responses(fog=[0, 0.5], dots=dots), ["fog", "dots"])
    assert ("At equal RMSE: dots and fog" in said) is changes
    assert "At equal 1 − SSIM it is the same." in said


def test_what_would_change_the_answer_is_the_measured_change() -> None:
    turned = visible.in_short(responses(fog=[0, 0.5], dots=[0.0, 0.1]), ["fog", "dots"])
    assert turned == (
        "By RMSE instead of level dots is the worst and fog the mildest; by SSIM fog is the worst and "
        "dots the mildest"
    )
    assert visible.in_short(responses(fog=[0, 0.5], dots=[0.0, 0.1]), ["fog"]) == ""


def test_contrasts_of_costs_have_the_other_sign() -> None:
    pair = regression_tables.negated(study().contrasts("noise", "noisy")).iloc[0]
    assert (pair["a"], pair["b"], pair["difference"]) == ("dots", "fog", -0.4)
    assert [pair["low"], pair["high"]] == pytest.approx([-0.42, -0.38])
    assert [pair["simultaneous_low"], pair["simultaneous_high"]] == pytest.approx([-0.43, -0.37])
    assert pair["probability"] == pytest.approx(0.1)


def test_slopes_need_no_rank_where_one_noise_has_none() -> None:
    found = study(coefficients=[coefficient("full", "level", "", -0.7)])
    assert "by straight lines" not in " ".join(conclusions.conclusions(found))
