"""Cells of captchas whose characters have fixed places, and the features of a cell for classical readers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from stages.captcha import glyphs

CELL = glyphs.SIDE  # px, height and width of a cell after resampling
SIDE = 14  # features per row and per column of the cell
FEATURES = SIDE**2
FAINT = 0.1  # of the darkest ink: fainter ink does not count for the place and slant of a character
SLANT = 1.0  # px per px, the largest slant that is corrected


def features(images: Tensor, positions: int) -> Tensor:
    """Upright, centred cells of images (B, 3, H, W) uint8, standardised: (B * positions, F) float32.

    Each cell is an equal share of the width. A blank cell is all zeros. Polarity (black on white or the reverse) does
    not matter.
    """
    ink = cells_of(images, positions).flatten(0, 1)  # (m, 28, 28)
    x = functional.avg_pool2d(upright(ink)[:, None], CELL // SIDE).flatten(1)
    x = x - x.mean(1, keepdim=True)
    return (x * x.square().mean(1, keepdim=True).add(1e-8).rsqrt()).float()


def cells_of(images: Tensor, positions: int) -> Tensor:
    """Ink, 0 to 1, of each cell resampled to 28 x 28 by area averaging: (B, positions, 28, 28) float64.

    Ink is the distance of luma from the median of the image's border, in the direction that dominates the cell. Luma in
    whole thousandths gives the same bits for the inverted image.
    """
    height, width = images.shape[2:]
    thousandths = torch.tensor(
        [299.0, 587.0, 114.0], dtype=torch.float64, device=images.device
    )  # ITU-R BT.601
    luma = (images.double() * thousandths[:, None, None]).sum(1)  # (B, H, W)
    border = (
        torch.cat([luma[:, 0], luma[:, -1], luma[:, 1:-1, 0], luma[:, 1:-1, -1]], 1).sort(1).values
    )
    middle = border.shape[1] // 2  # of an even number
    contrast = luma - border[:, middle - 1 : middle + 1].mean(1)[:, None, None]
    down = _averaging(height, CELL).to(luma)
    across = _averaging(width, positions * CELL).to(luma)
    cells = (down @ contrast @ across.T).view(-1, CELL, positions, CELL).transpose(1, 2)
    side = torch.where(cells.sum((2, 3), keepdim=True) < 0, -1.0, 1.0)
    ink: Tensor = (cells * side).clamp(min=0) / 255_000
    return ink


def _averaging(size: int, out: int) -> Tensor:
    """Matrix (out, size) whose rows average equal intervals of `size` pixels."""
    ends = torch.arange(out + 1, dtype=torch.float64) * size / out
    pixel = torch.arange(size, dtype=torch.float64)
    shared = torch.minimum(ends[1:, None], pixel + 1) - torch.maximum(ends[:-1, None], pixel)
    return shared.clamp(min=0) * out / size


def upright(ink: Tensor) -> Tensor:
    """Ink (m, 28, 28), centred on its centre of mass and deskewed by a shear along the rows.

    The slant is the regression of x on y, from second moments (LeCun et al. 1998).
    """
    place = torch.arange(CELL, dtype=ink.dtype, device=ink.device) - (CELL - 1) / 2
    mass = (ink - FAINT * ink.amax((1, 2), keepdim=True)).clamp(min=0)
    mass = mass / mass.sum((1, 2), keepdim=True).clamp(min=1e-9)
    x, y = ((mass * axis).sum((1, 2))[:, None, None] for axis in (place, place[:, None]))
    dx = place - x
    dy = place[:, None] - y
    slant = (mass * dx * dy).sum((1, 2)) / (mass * dy.square()).sum((1, 2)).clamp(min=1e-9)
    turn = torch.zeros(
        len(ink), 2, 3, dtype=ink.dtype, device=ink.device
    )  # -1 to 1 is the cell's breadth
    turn[:, 0, 0] = turn[:, 1, 1] = 1
    turn[:, 0, 1] = slant.clamp(-SLANT, SLANT)
    turn[:, 0, 2] = x[:, 0, 0] / (CELL / 2)
    turn[:, 1, 2] = y[:, 0, 0] / (CELL / 2)
    grid = functional.affine_grid(turn, [len(ink), 1, CELL, CELL], align_corners=False)
    sampled: Tensor = functional.grid_sample(ink[:, None], grid, align_corners=False)[:, 0]
    return sampled
