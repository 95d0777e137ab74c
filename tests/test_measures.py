"""Realised dose: against definitions written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from stages.captcha.measures import TOGETHER, lumas, rmse, ssim


def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 256, (3, 14, 22, 3), dtype=np.uint8)
    return clean, np.clip(clean + rng.normal(0, 40, clean.shape), 0, 255).astype(np.uint8)


def test_luma_weighs_the_channels() -> None:
    image = np.zeros((1, 8, 9, 3), np.uint8)
    image[0, 2, 3] = [255, 0, 0]
    image[0, 5, 6] = [0, 255, 255]
    found = lumas(image)
    assert found.shape == (1, 8, 9)
    assert found[0, 2, 3] == pytest.approx(0.299, abs=1e-4)
    assert found[0, 5, 6] == pytest.approx(0.701, abs=1e-4)
    assert found.sum() == pytest.approx(1.0, abs=1e-4)


def test_rmse_is_the_root_mean_squared_change_of_luma() -> None:
    clean, noisy = map(lumas, pair())
    expected = [
        np.sqrt(np.mean((a.astype(float) - b) ** 2)) for a, b in zip(clean, noisy, strict=True)
    ]
    np.testing.assert_allclose(rmse(clean, noisy), expected, rtol=1e-5)


def test_identical_images_have_no_error_and_full_similarity() -> None:
    clean = lumas(pair()[0])
    assert rmse(clean, clean).tolist() == [0, 0, 0]
    assert ssim(clean, clean).tolist() == [1, 1, 1]  # exactly: what stays clean is not measured


def test_an_image_is_measured_alike_alone_and_among_many() -> None:
    clean, noisy = (np.concatenate([lumas(images)] * 5) for images in pair())
    assert len(clean) > TOGETHER
    alone = [float(ssim(clean[i : i + 1], noisy[i : i + 1])[0]) for i in range(len(clean))]
    assert ssim(clean, noisy).tolist() == alone


def test_ssim_follows_its_definition_window_by_window() -> None:
    clean, noisy = map(lumas, pair())
    expected = []
    for a, b in zip(clean.astype(float), noisy.astype(float), strict=True):
        values = []
        for top in range(a.shape[0] - 6):
            for left in range(a.shape[1] - 6):
                x = a[top : top + 7, left : left + 7].ravel()
                y = b[top : top + 7, left : left + 7].ravel()
                (vx, cxy), (_, vy) = np.cov(x, y)
                values.append(
                    (2 * x.mean() * y.mean() + 1e-4)
                    * (2 * cxy + 9e-4)
                    / ((x.mean() ** 2 + y.mean() ** 2 + 1e-4) * (vx + vy + 9e-4))
                )
        expected.append(np.mean(values))
    np.testing.assert_allclose(ssim(clean, noisy), expected, atol=1e-4)


def test_an_image_smaller_than_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 7 x 7 px"):
        ssim(np.zeros((1, 6, 30), np.float32), np.zeros((1, 6, 30), np.float32))
