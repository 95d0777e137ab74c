"""Maps and their measures, against captum, sums over all CTC paths, and maps whose quality is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from captum.attr import IntegratedGradients, NoiseTunnel, Occlusion, Saliency
from scipy.stats import spearmanr

from stages.captcha.noise.canvas import background
from stages.insight import gradient_saliency, saliency
from stages.insight.faithfulness import (
    curve_area,
    ends_of,
    mass_share,
    measure,
    replacement_curves,
    shares,
    spearman,
    spearman_within,
)
from stages.insight.faithfulness_tables import (
    CaptchaBootstrap,
    saliency_headlines,
    summarise,
    summarise_curves,
    summarise_randomised,
)
from stages.insight.glyph_masks import glyph_masks, ink_map, mean_maps
from stages.insight.gradient_saliency import LogPosterior, SaliencyEffort, contrast_of
from stages.insight.saliency import METHODS, explain, locate
from stages.insight.weight_randomisation import cascade, randomised_maps
from stages.reader.alternatives.external import ExternalReader
from stages.reader.decoding import Readings
from stages.reader.inference import NetworkReader, to_batch
from stages.reader.networks import build_network, initialise
from stages.reader.protocol import TextPrediction

HEIGHT = 20
WIDTH = 36
ALPHABET = "012"
CPU = torch.device("cpu")
QUICK = SaliencyEffort(steps=4, samples=2, window=8, stride=8)


def a_reader(architecture: str = "ctc", seed: int = 0) -> NetworkReader:
    network = build_network(
        architecture, alphabet_size=3, height=HEIGHT, width=WIDTH, channels=4, positions=2
    )
    initialise(network, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():  # as sure as if it had learned
        logits = network.eval()(to_batch(pictures(3)[0]))
        network.classifier.weight.mul_(3 / logits.std((0, 1)).mean())  # type: ignore[union-attr, operator]
    return NetworkReader(network, precision="fp32", device=CPU, temperature=1.5)


def pictures(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """n images of two dark bars on a light ground, and texts (n, 2)."""
    rng = np.random.default_rng(seed)
    images = np.full((n, HEIGHT, WIDTH, 3), 230, np.uint8)
    for image in images:
        for left in (6, 21):
            image[4:15, left + rng.integers(0, 3) : left + 6] = rng.integers(0, 80, 3)
    return images, np.array([[1, 2], [3, 3], [2, 1]])[np.arange(n) % 3]


class Brightness(ExternalReader):
    """An outside reader that says 1 as surely as its left half is dark, then 2."""

    def predict(self, images: np.ndarray, top: int = 0) -> TextPrediction:
        dark = (255 - images[:, :, : WIDTH // 2]).mean((1, 2, 3)) / 255
        confidence = np.stack([dark, np.full(len(images), 0.5)], 1).astype(np.float32)
        labels = np.tile(np.array([[1, 2]]), (len(images), 1))
        probability = np.prod(confidence, 1).astype(np.float64)
        return TextPrediction(Readings(labels, confidence), probability, [[]] * len(images))


@pytest.mark.parametrize("architecture", ["ctc", "heads", "dense"])
def test_integrated_gradients_add_up_to_what_the_ink_changes(architecture: str) -> None:
    reader = a_reader(architecture)
    images, texts = pictures(3)
    found = explain(
        reader,
        images,
        texts,
        np.array([0, 1, 0]),
        seed=0,
        methods=["integrated_gradients"],
        effort=SaliencyEffort(steps=200),
    )
    contrast, ground = contrast_of(images, standardised=True)
    told = LogPosterior(reader.network, reader.temperature)
    where = torch.from_numpy(found.targets.column), torch.from_numpy(found.targets.label)
    gained = told(contrast, ground, *where) - told(0 * contrast, ground, *where)
    sums = found.maps["integrated_gradients"].sum(axis=(1, 2))
    assert np.abs(gained.numpy()).min() > 0.01
    np.testing.assert_allclose(sums, gained.numpy(), rtol=0.05, atol=2e-3)
    assert found.residual is not None
    np.testing.assert_allclose(found.residual, np.abs(sums / gained.numpy() - 1), atol=2e-3)


def test_contrast_and_ground_add_up_to_what_the_network_gets() -> None:
    reader = a_reader()
    (images, texts) = pictures(3)
    targets = locate(reader, images, texts, np.array([1, 0, 1]))
    contrast, ground = contrast_of(images, standardised=True)
    told = LogPosterior(reader.network, reader.temperature)(
        contrast, ground, torch.from_numpy(targets.column), torch.from_numpy(targets.label)
    )
    np.testing.assert_allclose(told.exp().numpy(), targets.posterior, rtol=1e-4)
    contrast, ground = contrast_of(images)
    np.testing.assert_allclose((contrast + ground).permute(0, 2, 3, 1).numpy(), images)


def test_smooth_gradients_are_those_of_captums_noise_tunnel() -> None:
    reader = a_reader()
    (images, _) = pictures(1)
    told = LogPosterior(reader.network, 1.0)
    contrast, ground = contrast_of(images, standardised=True)
    where = ground, torch.tensor([2]), torch.tensor([1])
    own = gradient_saliency.smooth_gradient(
        told,
        contrast,
        where,
        SaliencyEffort(samples=6, spread=0.1),
        torch.Generator().manual_seed(3),
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        captums = NoiseTunnel(Saliency(told)).attribute(
            contrast.clone().requires_grad_(),
            nt_samples=6,
            abs=False,
            additional_forward_args=where,
            stdevs=0.1 * float(contrast.max() - contrast.min()),
        )
    torch.testing.assert_close(own, captums, rtol=1e-4, atol=1e-6)


def test_integrated_gradients_are_captums() -> None:
    reader = a_reader()
    (images, _) = pictures(2)
    told = LogPosterior(reader.network, 1.0)
    contrast, ground = contrast_of(images, standardised=True)
    where = ground, torch.tensor([2, 1]), torch.tensor([1, 3])
    own = contrast * gradient_saliency.path_gradient(told, contrast, where, 5)
    captums, delta = IntegratedGradients(told).attribute(
        contrast.clone().requires_grad_(),
        additional_forward_args=where,
        n_steps=5,
        return_convergence_delta=True,
    )
    torch.testing.assert_close(own, captums.detach(), rtol=1e-4, atol=1e-6)
    gained = told(contrast, *where) - told(0 * contrast, *where)
    found = gradient_saliency.unexplained(told, contrast, where, own)
    np.testing.assert_allclose(found, (delta / gained).abs().detach(), rtol=1e-2)


@pytest.mark.parametrize(("window", "stride"), [(4, 4), (8, 7), (5, 3)])
def test_occlusion_is_captums_with_squares_that_overlap_or_are_cut_off(
    window: int, stride: int
) -> None:
    reader = a_reader()
    (images, texts) = pictures(2)
    targets = locate(reader, images, texts, np.array([0, 1]))

    def told(shown: torch.Tensor) -> torch.Tensor:
        pictures = shown.permute(0, 2, 3, 1).contiguous().numpy().astype(np.uint8)
        return torch.from_numpy(np.log(saliency.posterior(reader, pictures, targets)))

    ground = torch.from_numpy(background(images))[:, :, None, None].float()
    captums = Occlusion(told).attribute(
        to_batch(images).float(),
        sliding_window_shapes=(3, window, window),
        strides=(3, stride, stride),
        baselines=ground.expand(-1, -1, HEIGHT, WIDTH),
    )
    own = saliency.occlusion_maps(
        reader, images, targets, SaliencyEffort(window=window, stride=stride)
    )
    np.testing.assert_allclose(own, captums.mean(1).numpy(), atol=1e-4)


def test_a_map_is_of_its_own_row_and_seed_alone() -> None:
    reader = a_reader()
    (images, texts) = pictures(3)
    position = np.array([0, 1, 1])
    all_rows = explain(reader, images, texts, position, seed=5, effort=QUICK)
    again = explain(reader, images, texts, position, seed=5, effort=QUICK)
    assert set(all_rows.maps) == set(METHODS)
    alone = explain(reader, images[2:], texts[2:], position[2:], seed=5, effort=QUICK)
    for method, maps in all_rows.maps.items():
        assert maps.shape == (3, HEIGHT, WIDTH)
        np.testing.assert_array_equal(maps, again.maps[method])
        if method != "smooth_grad":
            np.testing.assert_allclose(maps[2:], alone.maps[method], rtol=1e-3, atol=1e-4)


def test_occlusion_is_the_fall_of_the_log_posterior_under_each_square() -> None:
    reader = a_reader()
    (images, texts) = pictures(1)
    targets = locate(reader, images, texts, np.array([0]))
    maps = saliency.occlusion_maps(reader, images, targets, SaliencyEffort(window=4, stride=4))
    for top, left in ((4, 8), (12, 20)):
        covered = images.copy()
        covered[:, top : top + 4, left : left + 4] = background(images)[0]
        fall = np.log(targets.posterior) - np.log(saliency.posterior(reader, covered, targets))
        np.testing.assert_allclose(maps[0, top : top + 4, left : left + 4], fall[0], atol=1e-4)


def test_a_reader_without_gradients_is_occluded_only_and_says_so() -> None:
    images, texts = pictures(2)
    reader = Brightness()
    found = explain(
        reader, images, np.tile([[1, 2]], (2, 1)), np.array([0, 0]), seed=0, effort=QUICK
    )
    assert set(found.maps) == {"occlusion"}
    assert "no gradients" in found.note
    ink = ink_map(images) > 0
    assert (
        found.maps["occlusion"][:, :, :16].sum(axis=(1, 2)) > 0.01
    ).all()  # its ink makes the half dark
    assert np.abs(found.maps["occlusion"][:, :, 24:]).max() == 0
    assert ink[:, :, 24:].any()
    missed = explain(reader, images, texts[[1, 1]], np.array([0, 0]), seed=0, effort=QUICK)
    assert not missed.targets.read_right.any()
    assert np.abs(missed.maps["occlusion"]).max() == 0


@pytest.mark.parametrize(("change", "message"), [
    ({"methods": ["gradcam"]}, "expected some of"), ({"position": np.array([0, 2])}, "position of row 1"),
    ({"effort": SaliencyEffort(window=21, stride=5)}, "a window of at most 20 px"),
    ({"effort": SaliencyEffort(stride=20)}, "a stride of at most"), ({"position": np.array([0])}, "as many texts"),
])  # fmt: skip
def test_bad_input_is_told_in_one_line(change: dict[str, object], message: str) -> None:
    images, texts = pictures(2)
    asked = {"position": np.array([0, 1]), "seed": 0, **change}
    with pytest.raises(ValueError, match=message) as told:
        explain(a_reader(), images, texts, **asked)  # type: ignore[arg-type]
    assert "\n" not in str(told.value)


def test_a_perfect_map_beats_the_controls_and_its_opposite_loses() -> None:
    images, _ = pictures(4)
    own = np.zeros(images.shape[:3], bool)
    own[:, 4:15, 6:12] = True  # the left bar

    def score(shown: np.ndarray, rows: np.ndarray) -> np.ndarray:
        same = (shown == images[rows]).all(axis=3)
        return np.asarray(((same & own[rows]).sum(axis=(1, 2)) / own[rows].sum(axis=(1, 2))) ** 2)

    rng = np.random.default_rng(0)
    ends = ends_of(score, images)
    areas = {
        name: [
            curve_area(curve).mean()
            for curve in replacement_curves(score, images, maps, 12, ends, rng=rng)
        ]
        for name, maps in {
            "perfect": own.astype(np.float32),
            "opposite": -own.astype(np.float32),
            "random": rng.random(own.shape).astype(np.float32),
        }.items()
    }
    assert areas["perfect"][0] < areas["random"][0] < areas["opposite"][0]
    assert areas["perfect"][1] > areas["random"][1] > areas["opposite"][1]


def test_curves_start_and_end_with_the_picture_and_its_ground_and_follow_the_order() -> None:
    images, _ = pictures(2)
    maps = (
        np.random.default_rng(0)
        .permutation(2 * HEIGHT * WIDTH)
        .reshape(2, HEIGHT, WIDTH)
        .astype(np.float32)
    )
    seen: list[np.ndarray] = []

    def score(shown: np.ndarray, rows: np.ndarray) -> np.ndarray:
        seen.append(shown)
        means: np.ndarray = shown.mean(axis=(1, 2, 3))
        return means

    gone, come = replacement_curves(
        score, images, maps, 3, ends_of(score, images), rng=np.random.default_rng(0)
    )
    ground = np.broadcast_to(background(images)[:, None, None], images.shape)
    np.testing.assert_array_equal(seen[0], images)
    np.testing.assert_array_equal(seen[1], ground)
    np.testing.assert_array_equal(gone[:, 0], come[:, -1])
    np.testing.assert_array_equal(gone[:, -1], seen[1].mean(axis=(1, 2, 3)))
    count = round(shares(3)[1] * HEIGHT * WIDTH)
    for i in range(2):
        first = maps[i] >= np.sort(maps[i].ravel())[-count]
        np.testing.assert_array_equal(seen[2][i], np.where(first[..., None], ground[i], images[i]))


def test_the_area_is_the_trapezoids_with_both_ends() -> None:
    np.testing.assert_allclose(
        curve_area(np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])), [1.0, 0.125]
    )


def test_all_mass_on_the_glyph_is_one_and_even_mass_is_chance() -> None:
    masks = np.zeros((3, 5, 8), bool)
    masks[:, 1:3, 2:5] = True
    maps = np.stack([masks[0] * 2.0, np.ones((5, 8)), -np.ones((5, 8))]).astype(np.float32)
    np.testing.assert_allclose(mass_share(maps, masks), [1, masks[0].mean(), np.nan])


def test_likeness_is_scipys_and_zeros_that_two_maps_share_do_not_count_within() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 3, 7, 11)).round(1).astype(np.float32)
    expected = [
        spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(spearman(first, second), expected)
    masks = np.zeros(first.shape, bool)
    masks[:, 2:6, 3:5] = True
    a = np.abs(first) * masks
    b = np.abs(second) * masks
    assert spearman(a, b).min() > 0.8
    within = [spearmanr(x[m], y[m]).statistic for x, y, m in zip(a, b, masks, strict=True)]
    np.testing.assert_allclose(spearman_within(a, b, masks), within)


def test_each_glyph_gets_its_own_columns_with_or_without_places() -> None:
    images, _ = pictures(3)
    lengths = np.full(3, 2)
    for places in (None, np.tile([9.0, 24.0], (3, 1))):
        masks = glyph_masks(images, lengths, places)
        strong = ink_map(images) > 0
        np.testing.assert_array_equal(masks.any(axis=1), strong)
        assert not masks[:, 0, :, 16:].any()
        assert not masks[:, 1, :, :16].any()
    assert not glyph_masks(np.full((1, 5, 9, 3), 7, np.uint8), np.array([2])).any()


def test_an_interval_resamples_captchas_and_few_have_none() -> None:
    rng = np.random.default_rng(0)
    own = rng.normal(size=30)
    bootstrap = CaptchaBootstrap(confidence=0.95, draws=4000, seed=0)
    repeated = np.repeat(own, 5)
    value, low, high, captchas, note = bootstrap.mean(repeated, np.repeat(np.arange(30), 5))
    assert (captchas, note) == (30, "")
    assert value == pytest.approx(own.mean())
    assert (high - low) / 2 == pytest.approx(
        1.96 * own.std() / 30**0.5, rel=0.1
    )  # copies tell nothing new
    few = bootstrap.mean(own[:4], np.arange(4))
    assert np.isnan(few[1:3]).all()
    assert few[4] == "4 captcha(s): too few for an interval"
    none = bootstrap.mean(np.array([np.nan]), np.zeros(1, int))
    assert none[3:] == (0, "no character to measure")


def test_the_whole_account_pairs_each_map_with_the_controls() -> None:
    reader = a_reader()
    images, texts = pictures(20)
    noisy = np.clip(images + np.random.default_rng(0).normal(0, 30, images.shape), 0, 255).astype(
        np.uint8
    )
    both = np.concatenate([images, noisy])
    words = np.concatenate([texts, texts])
    position = np.arange(40) % 2
    found = explain(
        reader, both, words, position, seed=0, effort=QUICK, methods=["input_x_gradient"]
    )
    masks = np.tile(glyph_masks(images, np.full(20, 2)), (2, 1, 1, 1))[np.arange(40), position]
    frame = pd.DataFrame(
        {
            "captcha": np.arange(40) % 20,
            "noise": ["none"] * 20 + ["gaussian"] * 20,
            "level": [0.0] * 20 + [0.4] * 20,
            "position": position,
            "character": "1",
        }
    )
    rows, curves = measure(found, reader, frame, masks, np.arange(40) % 20, steps=3, seed=0)
    assert len(rows) == 3 * 40
    assert rows.loc[rows["level"] == 0, "drift"].isna().all()
    assert rows.loc[~rows["read_right"], "deletion"].isna().all()
    assert rows.loc[rows["read_right"], "deletion"].notna().all()
    bootstrap = CaptchaBootstrap(confidence=0.9, draws=50, seed=0)
    table = summarise(rows, bootstrap)
    one = table[(table["noise"] == "gaussian") & (table["measure"] == "insertion_over_ink")].iloc[0]
    own, ink = (
        rows[(rows["method"] == name) & (rows["noise"] == "gaussian")]["insertion"].to_numpy()
        for name in ("input_x_gradient", "ink")
    )
    assert one["value"] == pytest.approx(np.nanmean(own - ink), nan_ok=True)
    drawn = randomised_maps(found, reader, frame["captcha"].to_numpy(), masks, effort=QUICK, seed=0)
    layers = summarise_randomised(drawn, bootstrap)
    assert drawn["layers"].max() == 7
    assert drawn["spearman"].median() < 0.9 < drawn["whole"].max()
    numbers = saliency_headlines(table, layers, found.residual)
    assert np.isfinite(list(numbers.values())).all()
    assert numbers["saliency_input_x_gradient_mass"] > numbers["saliency_mass_chance"]
    told = summarise_curves(curves, bootstrap)
    assert set(told["share"]) == set(shares(3))


def test_the_cascade_draws_one_more_layer_each_time_from_the_last_and_leaves_the_reader_alone() -> (
    None
):
    reader = a_reader()
    before = {name: tensor.clone() for name, tensor in reader.network.state_dict().items()}
    changed = []
    for _, other in cascade(reader, generator=torch.Generator().manual_seed(0)):
        state = other.network.state_dict()
        changed.append(
            {
                name
                for name in before
                if name.endswith("weight") and not state[name].equal(before[name])
            }
        )
    assert all(len(some) == i for i, some in enumerate(changed, 1))
    assert changed[0] == {"classifier.weight"}
    assert all(tensor.equal(before[name]) for name, tensor in reader.network.state_dict().items())


def test_a_mean_map_is_aligned_to_the_glyph_wherever_it_stands() -> None:
    masks = np.zeros((2, 20, 36), bool)
    masks[0, 3:13, 4:10] = masks[1, 8:18, 22:28] = True
    found = mean_maps(masks.astype(np.float32), masks, ["7", "7"], 30)
    values, glyph, count = found["7"]
    assert count == 2
    np.testing.assert_allclose(values, glyph)
    assert set(np.unique(glyph)) == {0, 1}  # one lies over the other
    assert mean_maps(np.ones((1, 4, 5), np.float32), np.zeros((1, 4, 5), bool), ["1"], 8) == {}
