"""The variational autoencoder: its losses against closed forms and sampling, what it learns, and that it repeats."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from stages.insight.autoencoder import (
    GlyphAutoencoder,
    active_units,
    divergence,
    draw_latent,
    fit_autoencoder,
    latent_means,
    losses_table,
    prior_samples,
    reconstruction_loss,
    reconstructions,
    to_ink,
)

Glyphs = NDArray[np.uint8]
Ints = NDArray[np.int64]


def bars(each: int, seed: int = 0) -> tuple[Glyphs, Ints]:
    """Upright bars and level ones, of random place and ink: two classes that any autoencoder learns."""
    rng = np.random.default_rng(seed)
    images = np.zeros((2 * each, 28, 28), np.uint8)
    labels = np.arange(2 * each) % 2
    for image, label in zip(images, labels, strict=True):
        place = rng.integers(4, 22)
        ink = rng.integers(150, 256)
        if label:
            image[place : place + 3, 4:24] = ink
        else:
            image[4:24, place : place + 3] = ink
    return images, labels


@pytest.fixture(scope="module")
def fitted() -> GlyphAutoencoder:
    return fit_autoencoder(*bars(96), latent=3, epochs=25, seed=1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_the_divergence_is_that_of_torch_s_normal_distributions(seed: int, latent: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mean, log_variance = torch.randn(2, 3, latent, dtype=torch.float64, generator=generator) * 2
    own, prior = (
        torch.distributions.Normal(*pair)
        for pair in (
            (mean, (log_variance / 2).exp()),
            (torch.zeros_like(mean), torch.ones_like(mean)),
        )
    )
    expected = torch.distributions.kl_divergence(own, prior).sum(1)
    torch.testing.assert_close(divergence(mean, log_variance), expected)
    assert (expected >= 0).all()


def test_the_divergence_has_the_half_and_both_terms() -> None:
    one = torch.ones(1, 1)
    assert divergence(0 * one, 0 * one).item() == 0
    assert divergence(3 * one, 0 * one).item() == pytest.approx(4.5)
    assert divergence(0 * one, np.log(4) * one).item() == pytest.approx((4 - 1 - np.log(4)) / 2)


def test_the_reconstruction_loss_is_a_log_likelihood_summed_over_pixels() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (4, 784))
    logits = rng.normal(size=(4, 784))
    expected = -stats.bernoulli.logpmf(x, 1 / (1 + np.exp(-logits))).sum(1)
    found = reconstruction_loss(torch.from_numpy(logits), torch.from_numpy(x).double())
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)


def test_draws_have_the_mean_and_variance_asked_for() -> None:
    mean = torch.tensor([[-1.0, 2.0]])
    log_variance = torch.tensor([[0.5, -1.0]])
    z = draw_latent(
        mean.expand(40_000, 2),
        log_variance.expand(40_000, 2),
        generator=torch.Generator().manual_seed(0),
    )
    torch.testing.assert_close(z.mean(0), mean[0], atol=0.03, rtol=0)
    torch.testing.assert_close(z.var(0).log(), log_variance[0], atol=0.04, rtol=0)


def test_the_elbo_is_loss_and_divergence_at_the_mean_or_at_a_draw(fitted: GlyphAutoencoder) -> None:
    x = to_ink(bars(3, 5)[0])
    with torch.inference_mode():
        mean, log_variance = fitted.encode(x)
        loss, apart = fitted.elbo(x)
        drawn, same = fitted.elbo(x, generator=torch.Generator().manual_seed(2))
        z = draw_latent(mean, log_variance, generator=torch.Generator().manual_seed(2))
        torch.testing.assert_close(loss, reconstruction_loss(fitted.decode(mean), x))
        torch.testing.assert_close(drawn, reconstruction_loss(fitted.decode(z), x))
    assert loss.shape == apart.shape == (6,)
    assert torch.equal(apart, same)
    assert torch.equal(apart, divergence(mean, log_variance))


def test_the_elbo_bounds_the_evidence(fitted: GlyphAutoencoder) -> None:
    """Importance sampling (Burda et al. 2016) with many draws is nearer to log p(x), and above the bound."""
    draws = 300
    x = to_ink(bars(2, 7)[0]).repeat(draws, 1)
    with torch.inference_mode():
        mean, log_variance = fitted.encode(x)
        z = draw_latent(mean, log_variance, generator=torch.Generator().manual_seed(0))
        ratio = torch.from_numpy(
            stats.norm.logpdf(z) - stats.norm.logpdf(z, mean, (log_variance / 2).exp())
        ).sum(1)
        weights = (ratio - reconstruction_loss(fitted.decode(z), x)).view(draws, 4)
        bounds = (
            -torch.stack(fitted.elbo(x, generator=torch.Generator().manual_seed(1)))
            .sum(0)
            .view(draws, 4)
        )
    error = bounds.std(0) / draws**0.5 + weights.std(0) / draws**0.5
    assert (bounds.mean(0) < weights.logsumexp(0) - np.log(draws)).all()
    assert (
        (weights.mean(0) - bounds.mean(0)).abs() < 4 * error
    ).all()  # the divergence is what draws say it is


def test_what_it_learned_it_draws_again_and_tells_apart(fitted: GlyphAutoencoder) -> None:
    images, labels = bars(20, 9)
    drawn = reconstructions(fitted, images)
    assert drawn.shape == images.shape
    assert drawn.dtype == np.uint8
    off = np.square(drawn.astype(float) - images).mean()
    assert off < 0.5 * np.square(images - images.mean(0)).mean()
    with torch.inference_mode():
        guess = fitted.classify(torch.from_numpy(latent_means(fitted, images))).argmax(1)
    assert (guess.numpy() == labels).mean() > 0.9


def test_the_latent_space_is_in_use(fitted: GlyphAutoencoder) -> None:
    means = latent_means(fitted, bars(50, 3)[0])
    assert 2 <= active_units(means) <= 3
    assert active_units(np.zeros((9, 4))) == 0
    assert active_units(np.arange(9)[:, None] * np.array([[0.0, 1.0, 0.02]])) == 1


def digest(network: GlyphAutoencoder) -> str:
    return hashlib.sha256(
        b"".join(tensor.numpy().tobytes() for tensor in network.state_dict().values())
    ).hexdigest()


def test_the_same_seed_gives_the_same_bytes_whatever_the_global_seed() -> None:
    images, labels = bars(33)
    digests = []
    for seed, disturbance in ((1, 0), (1, 99), (2, 0)):
        torch.manual_seed(disturbance)
        digests.append(digest(fit_autoencoder(images, labels, latent=2, epochs=2, seed=seed)))
    assert digests[0] == digests[1] != digests[2]


def test_training_draws_nothing_from_the_global_generator() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fit_autoencoder(bars(8)[0], latent=2, epochs=1, seed=0)
    assert torch.equal(before, torch.get_rng_state())


def test_each_epoch_is_reported() -> None:
    lines: list[str] = []
    fit_autoencoder(bars(8)[0], latent=2, epochs=3, seed=0, report=lines.append)
    assert [line.split(",")[0] for line in lines] == [
        f"autoencoder: epoch {i}/3" for i in (1, 2, 3)
    ]


def test_glyphs_of_another_batch_give_the_same_means_as_alone(fitted: GlyphAutoencoder) -> None:
    images = bars(10)[0]
    np.testing.assert_allclose(
        latent_means(fitted, images)[:3], latent_means(fitted, images[:3]), atol=1e-4
    )


def test_the_prior_draws_glyphs_from_its_generator(fitted: GlyphAutoencoder) -> None:
    first, second = (
        prior_samples(fitted, 5, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0)
    )
    assert first.shape == (5, 28, 28)
    assert np.array_equal(first, second)
    assert not np.array_equal(
        first, prior_samples(fitted, 5, generator=torch.Generator().manual_seed(1))
    )


def test_a_log_variance_is_never_so_large_that_its_exponent_overflows(
    fitted: GlyphAutoencoder,
) -> None:
    with torch.inference_mode():
        apart = fitted.elbo(1e6 * torch.ones(2, 784))[1]
        assert (fitted.encode(1e6 * torch.ones(2, 784))[1].abs() <= 6).all()
    assert torch.isfinite(apart).all()


def test_losses_rise_under_noise_with_an_interval_around_the_mean(fitted: GlyphAutoencoder) -> None:
    images = bars(20, 4)[0]
    noisy = np.random.default_rng(0).integers(0, 256, images.shape, dtype=np.uint8)
    table = losses_table(
        fitted, {("none", 0.0): images, ("static", 0.5): noisy}, rng=np.random.default_rng(0)
    )
    assert list(table["noise"]) == ["none", "static"]
    assert table["reconstruction"].is_monotonic_increasing
    for name in ("reconstruction", "divergence"):
        assert (table[f"{name}_low"] < table[name]).all()
        assert (table[name] < table[f"{name}_high"]).all()
    with torch.inference_mode():
        assert table["reconstruction"][0] == pytest.approx(
            float(fitted.elbo(to_ink(images))[0].mean()), rel=1e-5
        )
    alone = losses_table(fitted, {("none", 0.0): images[:1]}, rng=np.random.default_rng(0))
    assert alone[["reconstruction_low", "divergence_high"]].isna().all(axis=None)


@pytest.mark.parametrize(("change", "said"), [
    ({"latent": 0}, "latent should be 1 to 512, got 0"), ({"epochs": 0}, "epochs should be 1"),
    ({"labels": np.zeros(3, np.int64)}, "a label, int64 from 0, for each of 4 glyphs"),
    ({"labels": np.full(4, -1)}, "from 0"), ({"images": np.zeros((0, 28, 28), np.uint8)}, "at least one glyph"),
    ({"images": np.zeros((4, 28, 27), np.uint8)}, r"glyphs \(n, 28, 28\) uint8, got \(4, 28, 27\)"),
    ({"images": np.zeros((4, 28, 28), np.float32)}, "float32"),
])  # fmt: skip
def test_bad_input_is_told_in_one_line(change: dict[str, object], said: str) -> None:
    arguments: dict[str, object] = {
        "images": np.zeros((4, 28, 28), np.uint8),
        "latent": 2,
        "epochs": 1,
        "seed": 0,
    }
    with pytest.raises(ValueError, match=said) as raised:
        fit_autoencoder(**{**arguments, **change})  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_without_labels_there_is_no_classifier() -> None:
    with pytest.raises(ValueError, match="fitted without labels"):
        GlyphAutoencoder(2).classify(torch.zeros(1, 2))
