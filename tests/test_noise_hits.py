"""Noises by the share of the pixels they hit: how many, which, and how far each is changed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from stages.captcha.noise import Images, apply

HEIGHT = 90
WIDTH = 140
ON_BLACK = stats.norm.expect(
    lambda z: min(max(z, 0), 1) ** 2
)  # mean square of a normal deviate, clipped; 0.258


def flat(value: int, n: int = 2) -> Images:
    return np.full((n, HEIGHT, WIDTH, 3), value, np.uint8)


def noisy(name: str, clean: Images, level: float, seed: int = 3) -> Images:
    return apply(name, clean, level, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("level", [0.001, 0.1, 0.37, 1.0])
def test_an_impulse_hits_exactly_its_share_of_the_pixels_of_every_image(level: float) -> None:
    hit = (noisy("impulse", flat(100), level) != 100).all(axis=3)
    np.testing.assert_array_equal(hit.sum(axis=(1, 2)), round(level * HEIGHT * WIDTH))
    assert (hit[0] != hit[1]).any() == (level < 1)


def test_an_impulse_is_black_or_white_evenly() -> None:
    out = noisy("impulse", flat(100), 0.5)
    struck = out[(out != 100).all(axis=3)]
    assert set(struck.ravel().tolist()) == {0, 255}
    assert stats.binomtest(int((struck[:, 0] == 255).sum()), len(struck)).pvalue > 0.001


def test_a_gaussian_hit_adds_a_standard_normal_before_clipping() -> None:
    change = noisy("gaussian_hit", flat(128), 1.0)[..., 0].ravel() / 255
    edges = np.array([0, 0.1, 0.3, 0.5, 0.7, 0.9, 1]) + 0.5 / 255
    expected = stats.norm.cdf(edges[:-1] - 128 / 255)
    np.testing.assert_allclose(
        [(change < edge).mean() for edge in edges[:-1]], expected, atol=0.012
    )
    assert (change == 1).mean() == pytest.approx(stats.norm.sf(127 / 255), abs=0.012)


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize(("name", "each"), [("impulse", 0.5), ("gaussian_hit", ON_BLACK)])
def test_the_energy_of_a_hit_is_that_measured_in_the_project_they_come_from(
    name: str, each: float, value: int
) -> None:
    change = (noisy(name, flat(value), 0.4).astype(float) - value) / 255
    assert np.square(change).mean() / 0.4 == pytest.approx(each, rel=0.04)
    assert pytest.approx(0.258, abs=5e-4) == ON_BLACK


@pytest.mark.parametrize("name", ["impulse", "gaussian_hit"])
def test_the_pixels_of_a_lower_level_are_hit_at_a_higher_one_to_the_same_colour(name: str) -> None:
    clean = np.random.default_rng(0).integers(0, 256, (2, HEIGHT, WIDTH, 3), dtype=np.uint8)
    before = clean
    for level in (0.1, 0.4, 0.7, 1.0):
        out = noisy(name, clean, level)
        struck = (before != clean).any(axis=3)
        np.testing.assert_array_equal(out[struck], before[struck])
        assert (out != clean).any(axis=3).sum() > struck.sum()
        before = out


@pytest.mark.parametrize("name", ["impulse", "gaussian_hit"])
def test_all_channels_change_alike(name: str) -> None:
    out = noisy(name, flat(90), 0.6)
    np.testing.assert_array_equal(out, out[..., :1].repeat(3, axis=3))
    tinted = flat(90)
    tinted[..., 1] += 40
    change = noisy(name, tinted, 0.6).astype(int) - tinted
    inside = ((noisy(name, tinted, 0.6) > 0) & (noisy(name, tinted, 0.6) < 255)).all(axis=3)
    np.testing.assert_array_equal(change[inside], change[inside][:, :1].repeat(3, axis=1))
