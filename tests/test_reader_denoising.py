"""Denoising: each image by itself, without being told the noise; noise goes, clean images stay."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import safetensors.torch
import torch
from drawn_captchas import draw
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stages.captcha.noise import apply
from stages.reader.alternatives import denoising_autoencoder, patch_projection
from stages.reader.alternatives.denoising import build_denoiser, denoise, noise_of
from stages.reader.alternatives.denoising_autoencoder import Pairs, fit_learned, pairs_of
from stages.reader.alternatives.denoising_state import PREFIX
from stages.reader.alternatives.patch_projection import fit_pca
from stages.reader.architectures import DENOISERS
from stages.reader.inference import BATCH as READ

Images = NDArray[np.uint8]
CPU = torch.device("cpu")


def drawn(n: int, seed: int) -> Images:
    """Captchas (n, 32, 72, 3) of two digits, every other one light on dark and reddish."""
    rng = np.random.default_rng(seed)
    images = np.stack([draw("".join(rng.choice(list("0123456789"), 2)), rng) for _ in range(n)])
    images[1::2] = 255 - images[1::2] // np.array([1, 2, 2], np.uint8)
    return images


def noisy(clean: Images, noise: str, level: float, seed: int = 5) -> Images:
    return apply(noise, clean, level, rng=np.random.default_rng(seed))


def psnr(images: Images, clean: Images) -> float:
    """Peak signal-to-noise ratio, dB, as the mean squared error of all images gives it."""
    return float(10 * np.log10(255**2 / max(np.square(images.astype(float) - clean).mean(), 1e-6)))


@pytest.fixture(scope="module")
def states() -> Mapping[str, Mapping[str, torch.Tensor]]:
    clean = drawn(180, 1)
    pairs = Pairs(
        np.concatenate([noisy(clean, "gaussian", level, i) for i, level in enumerate((0.2, 0.35))]),
        np.concatenate([clean] * 2),
    )
    return {
        **{method: {} for method in DENOISERS},
        "pca": fit_pca(clean),
        "learned": fit_learned(pairs, seed=1, device=CPU),
    }


States = Mapping[str, Mapping[str, torch.Tensor]]


@pytest.mark.parametrize("method", DENOISERS)
@pytest.mark.parametrize(
    ("height", "width"), [(32, 72), (40, 128), (33, 71), (9, 14), (1, 5), (3, 1)]
)
def test_images_of_any_size_keep_their_shape(
    states: States, method: str, height: int, width: int
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    before = images.copy()
    images.flags.writeable = False  # as those of a captcha table are
    found = denoise(images, method, states[method])
    assert found.shape == images.shape
    assert found.dtype == np.uint8
    assert np.array_equal(images, before)
    assert not np.shares_memory(found, images)


@pytest.mark.parametrize("method", DENOISERS)
def test_no_images_give_none(states: States, method: str) -> None:
    assert denoise(np.zeros((0, 9, 14, 3), np.uint8), method, states[method]).shape == (0, 9, 14, 3)


@pytest.mark.parametrize("method", DENOISERS)
def test_each_image_is_denoised_by_itself(states: States, method: str) -> None:
    images = noisy(drawn(READ + 7, 2), "gaussian", 0.2)
    order = np.random.default_rng(3).permutation(len(images))
    together = build_denoiser(method, states[method])(images)
    apart = denoise(images[order], method, states[method])
    alone = denoise(images[4:5], method, states[method])
    off = 1 if method == "learned" else 0  # sums of another batch may round another way
    assert np.abs(together[order].astype(int) - apart).max() <= off
    assert np.abs(together[4:5].astype(int) - alone).max() <= off


@pytest.mark.parametrize("method", DENOISERS)
def test_the_same_images_give_the_same_bytes(states: States, method: str) -> None:
    images = noisy(drawn(20, 2), "gaussian_rgb", 0.3)
    assert np.array_equal(
        denoise(images, method, states[method]), denoise(images, method, states[method])
    )


@pytest.mark.parametrize("method", DENOISERS)
def test_an_even_image_stays_as_it_is(states: States, method: str) -> None:
    images = np.tile(np.array([0, 130, 255], np.uint8), (2, 20, 30, 1))
    assert np.abs(denoise(images, method, states[method]).astype(int) - images).max() <= (
        method == "learned"
    )


@pytest.mark.parametrize(
    ("method", "least"),
    [("none", 100), ("nlm", 100), ("bilateral", 100), ("median", 21), ("pca", 22), ("learned", 25)],
)
def test_clean_images_stay_nearly_as_they_are(states: States, method: str, least: float) -> None:
    clean = drawn(60, 4)
    assert psnr(denoise(clean, method, states[method]), clean) > least


@pytest.mark.parametrize(
    ("method", "noise", "level", "gain"),
    [
        ("median", "salt_and_pepper", 0.2, 4),
        ("nlm", "gaussian", 0.2, 4),
        ("bilateral", "gaussian", 0.2, 3),
        ("pca", "gaussian", 0.2, 3),
        ("learned", "gaussian", 0.2, 5),
        ("learned", "gaussian", 0.35, 5),
        ("nlm", "uniform", 0.3, 3),
        ("pca", "speckle", 0.3, 3),
    ],
)
def test_noise_goes(states: States, method: str, noise: str, level: float, gain: float) -> None:
    """In decibels, on captchas that nothing was fitted on."""
    clean = drawn(60, 4)
    images = noisy(clean, noise, level)
    assert psnr(denoise(images, method, states[method]), clean) > psnr(images, clean) + gain


@pytest.mark.parametrize("sigma", [2.0, 10.0, 30.0])
def test_the_noise_of_an_image_is_found_from_it_alone(sigma: float) -> None:
    """Grey, so that nothing is clipped, with a slope of light that is no noise."""
    slope = np.linspace(100, 150, 128)[None, :, None]
    image = (
        np.rint(slope + np.random.default_rng(1).normal(0, sigma, (40, 128, 3)))
        .clip(0, 255)
        .astype(np.uint8)
    )
    assert noise_of(image) == pytest.approx(sigma, rel=0.1)


def test_the_median_is_that_of_the_nine_neighbours() -> None:
    image = np.random.default_rng(2).integers(0, 256, (1, 7, 11, 3), dtype=np.uint8)
    found = denoise(image, "median")
    for y in range(1, 6):
        for x in range(1, 10):
            expected = np.median(image[0, y - 1 : y + 2, x - 1 : x + 2].reshape(9, 3), axis=0)
            assert np.array_equal(found[0, y, x], expected)


def test_pca_is_the_mean_of_all_projected_patches(states: States) -> None:
    """Against projecting one patch after the other, where all patches of a pixel lie inside."""
    image = noisy(drawn(1, 6), "gaussian_rgb", 0.1)
    basis = states["pca"][f"{PREFIX}eigenvectors"].double().numpy().reshape(-1, 64)
    total = np.zeros(image.shape[1:])
    count = np.zeros(image.shape[1:])
    for y in range(32 - 7):
        for x in range(72 - 7):
            patch = image[0, y : y + 8, x : x + 8].reshape(64, 3).astype(float)
            mean = patch.mean(axis=0)
            total[y : y + 8, x : x + 8] += (basis.T @ (basis @ (patch - mean)) + mean).reshape(
                8, 8, 3
            )
            count[y : y + 8, x : x + 8] += 1
    inside = np.s_[7:-7, 7:-7]
    expected = np.clip((total / count)[inside], 0, 255)
    assert np.abs(denoise(image, "pca", states["pca"])[0][inside] - expected).max() <= 0.51


def test_the_eigenvectors_are_those_of_the_covariance_of_centred_patches() -> None:
    images = drawn(3, 7)
    patches = np.array(
        [
            image[y : y + 8, x : x + 8, c].ravel() - image[y : y + 8, x : x + 8, c].mean()
            for image in images
            for y in range(0, 25, patch_projection.STRIDE)
            for x in range(0, 65, patch_projection.STRIDE)
            for c in range(3)
        ]
    )
    _, sizes, vectors = np.linalg.svd(patches, full_matrices=False)
    basis = fit_pca(images, variance=0.9)[f"{PREFIX}eigenvectors"].double().numpy().reshape(-1, 64)
    share = np.cumsum(sizes**2) / np.sum(sizes**2)
    assert len(basis) == np.flatnonzero(share >= 0.9)[0] + 1
    assert np.allclose(basis.T @ basis, vectors[: len(basis)].T @ vectors[: len(basis)], atol=1e-5)


@given(st.floats(0.3, 0.99))
@settings(max_examples=10, deadline=None)
def test_more_variance_never_takes_fewer_eigenvectors(variance: float) -> None:
    images = drawn(3, 7)
    fewer, more = (
        len(fit_pca(images, variance=v)[f"{PREFIX}eigenvectors"])
        for v in (variance, variance + 0.009)
    )
    assert fewer <= more


@pytest.mark.parametrize("method", ["pca", "learned"])
def test_a_state_survives_its_file(states: States, method: str) -> None:
    stored = {**states[method], "classifier.weight": torch.zeros(3)}  # beside the reader's own
    images = noisy(drawn(5, 8), "gaussian", 0.3)
    loaded = safetensors.torch.load(safetensors.torch.save(stored))
    assert np.array_equal(denoise(images, method, loaded), denoise(images, method, states[method]))
    assert all(name.startswith(PREFIX) for name in states[method])


def test_the_learned_denoiser_is_small(states: States) -> None:
    assert sum(tensor.numel() for tensor in states["learned"].values()) <= 60_000


def test_fitting_depends_on_pairs_and_seed_alone() -> None:
    clean = drawn(40, 1)
    pairs = Pairs(noisy(clean, "gaussian", 0.2), clean)
    kept = pairs.noisy.copy()
    torch.manual_seed(5)
    first = fit_learned(pairs, seed=1, device=CPU)
    torch.manual_seed(6)
    again = fit_learned(pairs, seed=1, device=CPU)
    other = fit_learned(pairs, seed=2, device=CPU)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    assert np.array_equal(pairs.noisy, kept)


def test_progress_is_told_in_one_line_an_epoch() -> None:
    lines: list[str] = []
    fit_learned(Pairs(drawn(3, 1), drawn(3, 1)), seed=1, device=CPU, report=lines.append)
    assert len(lines) == denoising_autoencoder.EPOCHS
    assert lines[0].startswith("denoiser: epoch 1/")


def paint(ink: NDArray[np.float64], foreground: str, background: str) -> Images:
    ends = [
        np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
        for colour in (foreground, background)
    ]
    painted: Images = np.rint(ends[1] + ink[..., None] * (ends[0] - ends[1])).astype(np.uint8)
    return painted


def test_pairs_have_the_colours_of_the_noisy_rendering() -> None:
    ink = np.rint(np.random.default_rng(0).random((2, 9, 14)) * 255) / 255
    colours = [
        ("#101010", "#f0d0c0"),
        ("#ffee00", "#202060"),
        ("#ffffff", "#000000"),
        ("#000000", "#ffffff"),
    ]
    images = np.stack([paint(ink[i // 2], *colour) for i, colour in enumerate(colours)])
    images[1::2] = noisy(images[1::2], "gaussian", 0.2)
    pairs = pairs_of(
        images, [7, 7, 8, 8], [0, 3, 0, 1], [[f, f] for f, _ in colours], [b for _, b in colours]
    )
    assert np.array_equal(pairs.noisy, images[1::2])
    expected = np.stack([paint(ink[i], *colours[2 * i + 1]) for i in range(2)])
    assert np.abs(pairs.clean.astype(int) - expected).max() <= 2


def test_pairs_without_known_colours_are_taken_as_they_are() -> None:
    images = drawn(3, 1)
    pairs = pairs_of(images, [1, 1, 1], [1, 0, 2], [[]] * 3, ["#ffffff"] * 3)
    assert np.array_equal(pairs.noisy, images[[0, 2]])
    assert np.array_equal(pairs.clean, images[[1, 1]])


def test_a_captcha_of_several_inks_makes_a_pair_only_where_its_colours_are_kept() -> None:
    images = drawn(4, 1)
    inks = ["#ff0000", "#00ff00"]
    foreground = [inks, ["#000000"] * 2, inks, inks]
    ground = ["#000000", "#ffffff", "#000000", "#000000"]
    pairs = pairs_of(images, [1, 1, 2, 2], [0, 1, 0, 1], foreground, ground)
    assert np.array_equal(pairs.noisy, images[[3]])
    assert np.array_equal(pairs.clean, images[[2]])


def test_a_noisy_rendering_without_a_clean_one_is_refused() -> None:
    with pytest.raises(ValueError, match="captcha 4 has no clean rendering"):
        pairs_of(drawn(2, 1), [3, 4], [0, 1], [[]] * 2, ["#ffffff"] * 2)


def test_an_unknown_method_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        ValueError, match="expected one of none, median, pca, nlm, bilateral, learned, got 'wiener'"
    ):
        build_denoiser("wiener", {})


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((4, 9, 3), np.uint8),
        np.zeros((1, 4, 9, 1), np.uint8),
        np.zeros((1, 4, 9, 3), np.float32),
        np.zeros((1, 0, 9, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(images: Images) -> None:
    with pytest.raises(
        ValueError, match=r"images should be \(n, H, W, 3\) uint8, got .*: stack RGB bytes"
    ):
        denoise(images, "median")


@pytest.mark.parametrize(
    ("method", "state", "message"),
    [
        ("pca", {}, "should be denoiser.eigenvectors, .* got nothing"),
        (
            "pca",
            {f"{PREFIX}eigenvectors": torch.zeros(5, 8, 7)},
            r"got denoiser.eigenvectors \(5, 8, 7\)",
        ),
        ("pca", {f"{PREFIX}eigenvectors": torch.full((5, 8, 8), torch.nan)}, "and finite"),
        ("pca", {f"{PREFIX}eigenvectors": torch.zeros(64, 8, 8)}, "1 to 63"),
        (
            "median",
            {f"{PREFIX}eigenvectors": torch.zeros(5, 8, 8)},
            "median has no state, got denoiser.eigenvectors",
        ),
        ("learned", {}, "the state is not one of learned"),
    ],
)
def test_a_state_of_another_method_or_shape_is_refused(
    method: str, state: dict[str, torch.Tensor], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        build_denoiser(method, state)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", [lambda t: t[:1], lambda t: t.double(), lambda t: t * torch.nan])
def test_damaged_weights_are_refused(states: States, damage: object) -> None:
    state = dict(states["learned"])
    name = min(state)
    state[name] = damage(state[name])  # type: ignore[operator]
    with pytest.raises(
        ValueError, match=f"{name} is missing, unknown, of another shape or not finite"
    ):
        build_denoiser("learned", state)


def test_nothing_to_fit_on_is_refused() -> None:
    with pytest.raises(ValueError, match="pca needs images of at least 8 x 8 px"):
        fit_pca(drawn(1, 1)[:, :7])
    with pytest.raises(ValueError, match="pca needs images with something in them"):
        fit_pca(np.full((2, 9, 14, 3), 9, np.uint8))
    with pytest.raises(ValueError, match="learned needs as many noisy images as clean ones"):
        fit_learned(Pairs(drawn(2, 1), drawn(3, 1)), seed=1, device=CPU)
