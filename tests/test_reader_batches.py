"""Batches: every captcha once an epoch, in an order that depends on seed and epoch alone, in bounded memory."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest

from stages.reader import batches as module
from stages.reader.batches import Images, Labels, batches, steps_of

HEIGHT = 3
WIDTH = 5


@dataclass
class Numbered:
    """Renderings whose pixels and label say their number."""

    numbers: list[int]
    longest: int = 2
    reads: list[int] = field(default_factory=list)

    @property
    def labels(self) -> Labels:
        return np.array([[n + 1] * self.longest for n in self.numbers], np.int64).reshape(
            -1, self.longest
        )

    def images(self) -> Images:
        self.reads.append(1)
        return np.array([np.full((HEIGHT, WIDTH, 3), n) for n in self.numbers], np.uint8).reshape(
            -1, HEIGHT, WIDTH, 3
        )


def parts_of(sizes: list[int]) -> list[Numbered]:
    edges = np.cumsum([0, *sizes])
    return [Numbered(list(range(a, b))) for a, b in itertools.pairwise(edges)]


def order(parts: list[Numbered], size: int, seed: int = 1, epoch: int = 1) -> list[int]:
    return [
        int(n)
        for images, _ in batches(parts, size, seed=seed, epoch=epoch)
        for n in images[:, 0, 0, 0]
    ]


@pytest.mark.parametrize("window", [1, 200, 10**6])
@pytest.mark.parametrize(
    ("sizes", "size"), [([5, 0, 7, 9], 4), ([3], 8), ([1, 1, 1], 1), ([30, 2, 5], 6), ([6, 1], 6)]
)
def test_an_epoch_has_every_captcha_once_but_the_last_rest(
    sizes: list[int], size: int, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WINDOW", window)
    parts = parts_of(sizes)
    made = list(batches(parts, size, seed=1, epoch=1))
    seen = [int(n) for images, _ in made for n in images[:, 0, 0, 0]]
    total = sum(sizes)
    assert len(made) == steps_of(parts, size)
    assert len(set(seen)) == len(seen) == (total if total < size else total // size * size)
    assert all(len(images) == min(size, total) for images, _ in made)


@pytest.mark.parametrize("window", [1, 10**6])
def test_an_image_keeps_its_label(window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOW", window)
    parts = [Numbered(list(range(7)), longest=2), Numbered(list(range(7, 12)), longest=3)]
    for images, labels in batches(parts, 5, seed=1, epoch=1):
        numbers = images[:, 0, 0, 0].astype(int)
        assert (labels[:, 0] == numbers + 1).all()
        assert ((labels > 0).sum(axis=1) == np.where(numbers < 7, 2, 3)).all()


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    parts = parts_of([20, 30])
    assert order(parts, 10) == order(parts, 10)
    assert order(parts, 10) != order(parts, 10, epoch=2)
    assert order(parts, 10) != order(parts, 10, seed=2)
    assert order(parts, 10) != sorted(order(parts, 10))


def test_parts_are_read_once_an_epoch_and_not_before_their_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WINDOW", 2 * 10 * HEIGHT * WIDTH * 3)  # two parts
    parts = parts_of([10] * 6)
    stream = batches(parts, 10, seed=1, epoch=1)
    next(stream)
    assert sum(len(part.reads) for part in parts) == 2
    list(stream)
    assert [len(part.reads) for part in parts] == [1] * 6


def test_neighbours_in_a_part_are_torn_apart() -> None:
    first = order(parts_of([50] * 4), 20)[:20]
    assert len({n // 50 for n in first}) > 1
