"""Denoising before reading: images in, images out, each by itself; no method is told which noise there is, or how much.

median     The median of each pixel's 3 x 3 neighbours, by channel (Tukey 1977). It takes out lone pixels whole.
bilateral  A mean of the neighbours, by how near and how alike they are (Tomasi & Manduchi 1998).
nlm        A mean of pixels whose surroundings look alike (non-local means, Buades, Coll & Morel 2005), R, G, B at once.
pca        Every 8 x 8 patch projected on the eigenvectors of clean patches (Muresan & Parks 2003, without shrinkage).
learned    A small convolutional autoencoder that predicts the noise, fitted on pairs (Vincent et al. 2008).

pca and learned have a state: what `fit_pca` and `fit_learned` return, tensors under names that begin with PREFIX.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from stages.reader.batches import Images
from stages.reader.fitting import deterministic, on_cpu
from stages.reader.halves import LossOf, one_thread, replicas
from stages.reader.networks import block, fused
from stages.reader.optimisers import decayed
from stages.reader.reading import BATCH as READ
from stages.reader.reading import cores, to_batch

Image = NDArray[np.uint8]  # (H, W, 3)
Floats = NDArray[np.float32]
State = Mapping[str, Tensor]  # by name; names that do not begin with PREFIX are the reader's
Denoiser = Callable[[Images], Images]

METHODS = ("none", "median", "pca", "nlm", "bilateral", "learned")
PREFIX = "denoiser."

MEDIAN = 3           # px, side of the window; at 5 it eats thin strokes
LEAST = 1.0          # of 255: with less noise than this, nlm and bilateral leave an image as it is
LIKENESS = 6.0       # bilateral: range sigma in standard deviations of the noise; OpenCV adds up three channels, so
                     # this is the 2 of Zhang & Gunturk (2008) for grey noise
NEARNESS = 1.8       # px, bilateral: spatial sigma (Zhang & Gunturk 2008)
STRENGTH = 1.0       # nlm: h in standard deviations of the noise
PATCH, SEARCH = 5, 15  # px, nlm: sides of the surroundings and of where to look for their like
SIDE = 8             # px, pca: of a patch
STRIDE = 4           # px, pca: between the patches that the eigenvectors are found from
VARIANCE = 0.95      # pca: share of the variance of clean patches that is kept

CHANNELS = 16        # learned: of the first layer
BATCH = 16           # learned: pairs a step
EPOCHS = 5
LEARNING_RATE = 0.004  # peak
WEIGHT_DECAY = 0.001
CLEAN = 8            # one image in so many is given clean: what has no noise is to stay as it is
ENOUGH = 1e-3        # mean squared error, full scale = 1 (30 dB), from which getting nearer to clean counts less


@dataclass(frozen=True)
class Pairs:
    """Images under noise and the same without; both (n, H, W, 3)."""

    noisy: Images
    clean: Images


def denoise(images: Images, method: str, state: State | None = None, *,
            device: torch.device | None = None) -> Images:
    """The images (n, H, W, 3) uint8 of any H and W, denoised; the given ones stay as they are.

    Raises ValueError on another shape or type, an unknown method, and a state that is not one of this method.
    """
    return build(method, {} if state is None else state, device=device)(images)


def build(method: str, state: State, *, device: torch.device | None = None) -> Denoiser:
    """The method as a function, its state checked once; `device` (CPU unless told) is where `learned` runs.

    Raises ValueError, one line, on an unknown method or a state that has a tensor missing, unknown, of another shape or
    not finite.
    """
    if method not in METHODS:
        raise ValueError(f"denoise: expected one of {', '.join(METHODS)}, got {method!r}")
    own = {name.removeprefix(PREFIX): tensor for name, tensor in state.items() if name.startswith(PREFIX)}
    if method == "pca":
        return _checked(_by_image(_projection(_eigenvectors(own))))
    if method == "learned":
        return _checked(_by_network(_loaded(own), device or torch.device("cpu")))
    if method == "none" and not own:
        return _checked(np.copy)  # in one piece: to go image by image would take a second a reader
    if own:
        raise ValueError(f"denoise: {method} has no state, got {PREFIX}{min(own)}: fit the reader again")
    changes: Mapping[str, Callable[[Image], Image]] = {
        "median": median, "nlm": non_local_means, "bilateral": bilateral}
    return _checked(_by_image(changes[method]))


def _checked(denoiser: Denoiser) -> Denoiser:
    def checked(images: Images) -> Images:
        if images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape[1:] or images.dtype != np.uint8:
            raise ValueError(f"denoise: images should be (n, H, W, 3) uint8, got {images.shape} {images.dtype}: "
                             "stack RGB bytes")
        return denoiser(images) if len(images) else images.copy()

    return checked


def _by_image(change: Callable[[Image], Image]) -> Denoiser:
    def denoiser(images: Images) -> Images:
        with _one_cv_thread(), ThreadPoolExecutor(cores()) as pool:
            return np.stack(list(pool.map(change, np.ascontiguousarray(images))))

    return denoiser


@contextmanager
def _one_cv_thread() -> Iterator[None]:
    """OpenCV's own threads meet at every small image; here each core has images of its own."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def median(image: Image) -> Image:
    return np.asarray(cv2.medianBlur(image, MEDIAN))


def bilateral(image: Image) -> Image:
    """As strong as the noise that the image shows; unchanged where it shows none."""
    noise = noise_of(image)
    if noise < LEAST:
        return image.copy()
    return np.asarray(cv2.bilateralFilter(image, 7, LIKENESS * noise, NEARNESS))


def non_local_means(image: Image) -> Image:
    """As strong as the noise that the image shows; unchanged where it shows none."""
    noise = noise_of(image)
    if noise < LEAST:
        return image.copy()
    return np.asarray(cv2.fastNlMeansDenoising(image, None, STRENGTH * noise, PATCH, SEARCH))


def noise_of(image: Image) -> float:
    """Standard deviation of the white noise in an image, of 255, as the image alone shows it.

    Immerkær's (1996) difference of two Laplacians, which neither evenness nor a slope of light moves; of its values
    the median and not his mean, for strokes cover less than half of a captcha (Donoho & Johnstone 1994).
    """
    mask = np.outer([1, -2, 1], [1, -2, 1]).astype(np.float32)
    response = cv2.filter2D(image, cv2.CV_32F, mask)
    return float(np.median(np.abs(response))) / (6 * 0.6745)


def fit_pca(images: Images, *, variance: float = VARIANCE) -> dict[str, Tensor]:
    """The state of `pca`: the first eigenvectors (k, 8, 8) of clean images' patches, their mean taken off.

    As many as hold the share `variance` of the patches' variance. The colour planes count as images of their own, so
    that neither polarity nor hue matters. Raises ValueError where there is nothing but even patches.
    """
    if not len(images) or min(images.shape[1:3]) < SIDE:
        raise ValueError(f"denoise: pca needs images of at least {SIDE} x {SIDE} px, got {images.shape}")
    scatter = np.zeros((SIDE**2, SIDE**2))
    for image in images:
        windows = np.lib.stride_tricks.sliding_window_view(image, (SIDE, SIDE), (0, 1))[::STRIDE, ::STRIDE]
        patches = windows.reshape(-1, SIDE**2).astype(np.float64)
        patches -= patches.mean(1, keepdims=True)
        scatter += patches.T @ patches
    values, vectors = np.linalg.eigh(scatter)  # ascending
    share = np.cumsum(values[::-1]) / max(values.sum(), np.finfo(float).tiny)
    if share[-1] < 0.5:
        raise ValueError("denoise: pca needs images with something in them, got even ones")
    kept = min(SIDE**2 - 1, int(np.searchsorted(share, variance)) + 1)
    first = np.ascontiguousarray(vectors[:, ::-1][:, :kept].T, np.float32)
    return {f"{PREFIX}eigenvectors": torch.from_numpy(first.reshape(kept, SIDE, SIDE))}


def _eigenvectors(own: State) -> NDArray[np.float64]:
    vectors = own.get("eigenvectors")
    if set(own) != {"eigenvectors"} or vectors is None or vectors.ndim != 3 or vectors.shape[1:] != (SIDE, SIDE) \
            or not 1 <= len(vectors) < SIDE**2 or not bool(torch.isfinite(vectors).all()):
        raise ValueError(f"denoise: the state of pca should be {PREFIX}eigenvectors, (1 to {SIDE**2 - 1}, {SIDE}, "
                         f"{SIDE}) and finite, got {_shapes(own)}: fit the reader again")
    return vectors.double().cpu().numpy()


def _projection(vectors: NDArray[np.float64]) -> Callable[[Image], Image]:
    """All patches that overlap a pixel, projected and averaged: one convolution with a kernel of 15 x 15."""
    kernel = np.zeros((2 * SIDE - 1, 2 * SIDE - 1))
    for vector in [np.full((SIDE, SIDE), 1 / SIDE), *vectors]:  # the first lets a patch's mean pass
        padded = np.pad(vector, SIDE - 1)
        kernel += np.einsum("ijkl,kl->ij", np.lib.stride_tricks.sliding_window_view(padded, (SIDE, SIDE)), vector)
    kernel /= SIDE**2
    return lambda image: np.asarray(cv2.filter2D(image, cv2.CV_8U, kernel, borderType=cv2.BORDER_REFLECT_101))


class Autoencoder(nn.Module):
    """Images (B, 3, H, W) uint8 to denoised ones, float32, 0 black to 255 white.

    It works on each image less its mean and over its spread, so that brightness and contrast do not matter, and finds
    what to add; the first layer's features go past the narrow part (Mao, Shen & Yang 2016).
    """

    def __init__(self) -> None:
        super().__init__()
        c = CHANNELS
        self.outer = block(3, c, 5, 2)  # (B, c, H / 2, W / 2)
        self.inner = nn.Sequential(
            block(c, 2 * c, 3, 2), block(2 * c, 2 * c), block(2 * c, 2 * c),  # (B, 2c, H / 4, W / 4)
            nn.Conv2d(2 * c, 4 * c, 3, 1, 1), nn.PixelShuffle(2),  # (B, c, H / 2, W / 2)
        )  # fmt: skip
        self.last = nn.Sequential(nn.ReLU(), nn.Conv2d(c, 12, 3, 1, 1), nn.PixelShuffle(2))  # (B, 3, H, W)

    def forward(self, images: Tensor) -> Tensor:
        x = images.float()
        mean = x.mean((2, 3), keepdim=True)
        spread = (x - mean).square().mean((1, 2, 3), keepdim=True).add(6.5).sqrt()  # an even image has none
        height, width = x.shape[2:]
        z = functional.pad((x - mean) / spread, (0, -width % 4, 0, -height % 4), mode="replicate")
        outer = self.outer(z)
        correction = self.last(outer + self.inner(outer))[..., :height, :width]
        result: Tensor = x + spread * correction.float()
        return result


def pairs_of(images: Images, captcha: Sequence[int], condition: Sequence[int], foreground: Sequence[Sequence[str]],
             background: Sequence[str]) -> Pairs:
    """Each noisy rendering beside its captcha's clean one; the columns of a captcha table, condition 0 being clean.

    The two are seldom painted alike, for colour is assigned by rendering: the clean one is repainted in the other's
    colours (#rrggbb). Where foregrounds are unknown (empty) both have those they were found in. Inks that differ by
    character do not tell which pixel is whose: such a rendering makes a pair only in the colours of the clean one.
    Raises ValueError where a captcha has no clean rendering.
    """
    sources = {captcha[i]: i for i in range(len(images)) if condition[i] == 0}
    rows: list[int] = []
    clean: list[Image] = []
    for i in (i for i in range(len(images)) if condition[i] != 0):
        source = sources.get(captcha[i])
        if source is None:
            raise ValueError(f"denoise: captcha {captcha[i]} has no clean rendering to learn from")
        colours = [(background[row], tuple(foreground[row])) for row in (source, i)]
        if colours[0] == colours[1] or not foreground[i]:
            rows, clean = [*rows, i], [*clean, images[source]]
        elif len(set(foreground[source])) == len(set(foreground[i])) == 1:
            ends = [(_rgb(ground), _rgb(inks[0])) for ground, inks in colours]
            rows, clean = [*rows, i], [*clean, _repainted(images[source], *ends)]
    return Pairs(images[rows], np.stack(clean) if clean else images[:0])


def _repainted(image: Image, before: tuple[Floats, Floats], after: tuple[Floats, Floats]) -> Image:
    """An image of one ink in other colours, each a background and an ink; within two of 255 of painting it so."""
    ground, way = before[0], before[1] - before[0]
    ink = np.clip((image - ground) @ way / max(float(way @ way), 1.0), 0, 1)  # (H, W)
    return np.asarray(np.rint(after[0] + ink[..., None] * (after[1] - after[0])), np.uint8)


def _rgb(colour: str) -> Floats:
    return np.array(list(bytes.fromhex(colour.removeprefix("#"))), np.float32)


def fit_learned(pairs: Pairs, *, seed: int, device: torch.device,
                report: Callable[[str], None] = lambda line: None) -> dict[str, Tensor]:
    """The state of `learned`; one line an epoch goes to `report`.

    The loss is the logarithm of each image's mean squared error, as decibels are (Chen et al. 2021): the squared error
    itself would follow the strongest noise and blur all the rest, and the absolute one hardly leaves the identity. The
    same pairs and seed give the same bytes on one machine. Raises ValueError where there are no pairs, or they differ
    in shape.
    """
    if pairs.noisy.shape != pairs.clean.shape or not len(pairs.noisy):
        raise ValueError(f"denoise: learned needs as many noisy images as clean ones of one size, got "
                         f"{pairs.noisy.shape} and {pairs.clean.shape}")
    network = _network(seed).to(device)
    size = min(BATCH, len(pairs.noisy))
    steps = len(pairs.noisy) // size
    optimiser = torch.optim.AdamW(decayed(network.parameters(), WEIGHT_DECAY), LEARNING_RATE, fused=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, EPOCHS * steps + 1)
    with deterministic(), replicas(network, device) as side_by_side:
        side_by_side.train()
        for epoch in range(1, EPOCHS + 1):
            started, loss = time.monotonic(), 0.0
            order = np.random.default_rng((seed, epoch)).permutation(len(pairs.noisy))
            for step in range(steps):
                optimiser.zero_grad()
                loss += side_by_side.backward(_loss(pairs, order[step * size : (step + 1) * size], device), size)
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
                scheduler.step()
            report(f"denoiser: epoch {epoch}/{EPOCHS}, {-10 / math.log(10) * loss / steps:.2f} dB, "
                   f"{time.monotonic() - started:.0f} s")
        side_by_side.gather()
    return {f"{PREFIX}{name}": tensor for name, tensor in on_cpu(network).items()}


def _network(seed: int) -> nn.Module:
    """Weights from the seed, as He et al. (2015); the last layer's are 0, so that it starts as the identity."""
    network, generator = Autoencoder(), torch.Generator().manual_seed(seed)
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    nn.init.zeros_(layers[-1].weight)
    return network.to(memory_format=torch.channels_last)


def _loss(pairs: Pairs, rows: NDArray[np.int64], device: torch.device) -> LossOf:
    """Mean logarithm of the images' squared errors for some of these rows; one in CLEAN is given clean."""
    given, wanted = pairs.noisy[rows], pairs.clean[rows]
    given[::CLEAN] = wanted[::CLEAN]

    def loss(network: nn.Module, part: slice) -> Tensor:
        off = network(to_batch(given[part]).to(device)) - to_batch(wanted[part]).to(device).float()
        result: Tensor = off.div(255).square().mean((1, 2, 3)).add(ENOUGH).log().mean()
        return result

    return loss


def _loaded(own: State) -> nn.Module:
    network = Autoencoder()
    expected = network.state_dict()
    wrong = sorted(set(expected) ^ set(own)) or [
        name for name in expected if expected[name].shape != own[name].shape or expected[name].dtype != own[name].dtype
        or not bool(torch.isfinite(own[name]).all())]
    if wrong:
        raise ValueError(f"denoise: the state is not one of learned ({PREFIX}{wrong[0]} is missing, unknown, of "
                         "another shape or not finite): fit the reader again")
    network.load_state_dict(dict(own))
    return fused(network).to(memory_format=torch.channels_last)


def _by_network(network: nn.Module, device: torch.device) -> Denoiser:
    network = network.to(device)

    def batch(images: Images) -> Images:
        with torch.inference_mode():
            found = network(to_batch(images).to(device)).round().clamp(0, 255).byte()
        return np.ascontiguousarray(found.permute(0, 2, 3, 1).cpu().numpy())

    def denoiser(images: Images) -> Images:
        batches = [images[i : i + READ] for i in range(0, len(images), READ)]
        workers = cores() if device.type == "cpu" else 1
        with one_thread(), ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return np.concatenate(list(pool.map(batch, batches)))

    return denoiser


def _shapes(own: State) -> str:
    return ", ".join(f"{PREFIX}{name} {tuple(tensor.shape)}" for name, tensor in sorted(own.items())) or "nothing"
