"""Drawing any part of the captchas of a study, and the sources for it.

`generate` stores the captchas of each split; `train` draws the training captchas of later epochs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stages.artifacts import SPLITS
from stages.captcha.composition import Bases, Layout, compose, draw_glyphs, draw_texts
from stages.captcha.design import ColourDesign, NoiseDesign, bases_from_images, stream
from stages.captcha.folding import Folding, fold
from stages.captcha.glyphs import GlyphSet, normalise_alphabet
from stages.command import progress
from stages.params import Params, unseen_noises
from stages.sources.glyph_sources import load_glyphs
from stages.sources.labelled_captchas import LabelledCaptchas, load_captchas


@dataclass(frozen=True)
class CaptchaStudy:
    """Everything that a worker needs to make any part.

    Epoch 0 is stored. A later epoch has as many captchas, drawn anew; captchas of a folder stay the same, with new
    colours and noise.
    """

    seed: int
    source: str
    folding: Folding  # drawn characters and their labels
    sizes: dict[str, int]  # base captchas by split
    captchas_per_part: int  # base captchas
    layout: Layout
    palette: ColourDesign
    doses: NoiseDesign
    glyphs: GlyphSet | None  # where captchas are composed
    folder: LabelledCaptchas | None  # where they are found

    def parts(self, split: str) -> int:
        return -(-self.sizes[split] // self.captchas_per_part)

    def captchas(self, split: str, part: int) -> NDArray[np.int32]:
        """The numbers (n,) of the captchas of a part, equal in every epoch."""
        first = part * self.captchas_per_part
        return np.arange(
            first, min(first + self.captchas_per_part, self.sizes[split]), dtype=np.int32
        )

    def first(self, split: str, part: int, epoch: int = 0) -> int:
        """The number of captchas of the split drawn before this part; it keeps factors balanced over parts."""
        return epoch * self.sizes[split] + part * self.captchas_per_part


def identity_of(split: str, part: int, epoch: int = 0) -> tuple[str | int, ...]:
    """The identity that the random streams of a part derive from."""
    return (split, part, epoch) if epoch else (split, part)


def prepare(params: Params) -> CaptchaStudy:
    """Read the source and determine the size of each split; `params` needs seed, glyphs, captcha, colour and noise.

    Raises ValueError where the source is missing or does not fit the parameters.
    """
    captcha = params.captcha
    layout = Layout(
        captcha.height,
        captcha.width,
        (captcha.length.min, captcha.length.max),
        (captcha.scale.min, captcha.scale.max),
        captcha.rotation,
        captcha.shear,
        (captcha.gap.min, captcha.gap.max),
        captcha.jitter,
        captcha.fit,
    )
    palette = ColourDesign(
        params.colour.schemes, params.colour.per == "character", params.colour.contrast
    )
    doses = NoiseDesign(
        params.noise.types, params.noise.level, params.noise.steps, unseen_noises(params.noise)
    )
    sizes = {split: getattr(captcha, split) for split in SPLITS}
    folding = fold(normalise_alphabet(params.glyphs.alphabet), captcha.fold, captcha.case)
    glyphs, folder = _sources(params)
    if folder is not None:
        folder = _folded(folder, folding)
        sizes = _available(sizes, folder)
    source = f"folder {captcha.path}" if folder else params.glyphs.source
    return CaptchaStudy(
        params.seed,
        source,
        folding,
        sizes,
        captcha.captchas_per_part,
        layout,
        palette,
        doses,
        glyphs,
        folder,
    )


def _sources(params: Params) -> tuple[GlyphSet | None, LabelledCaptchas | None]:
    glyphs = params.glyphs
    captcha = params.captcha
    rng = stream(params.seed, "pools")
    if captcha.source == "folder":
        if params.colour.per == "character":
            raise ValueError(
                "colour.per: a captcha folder has no characters to colour apart: set it to captcha"
            )
        return None, load_captchas(
            captcha.path,
            alphabet=glyphs.alphabet,
            height=captcha.height,
            width=captcha.width,
            validation=glyphs.validation,
            test=glyphs.test,
            rng=rng,
        )
    return load_glyphs(
        glyphs.source,
        glyphs.path,
        alphabet=glyphs.alphabet,
        emnist_split=glyphs.emnist_split,
        validation=glyphs.validation,
        test=glyphs.test,
        rng=rng,
    ), None


def _folded(folder: LabelledCaptchas, folding: Folding) -> LabelledCaptchas:
    """The captchas with folded labels; all captchas of a label go to the pool of the first: pools share no label.

    Raises ValueError where that leaves a pool empty.
    """
    texts = [folding.text(text) for text in folder.texts]
    _, first, label = np.unique(texts, return_index=True, return_inverse=True)
    pool = folder.pool[first][label]
    empty = [split for i, split in enumerate(SPLITS) if not (pool == i).any()]
    if empty:
        raise ValueError(
            f"captcha.fold, captcha.case: {len(first)} distinct label(s) are left and none for "
            f"{', '.join(empty)}, since the splits share none: add captchas, or fold less"
        )
    return replace(folder, texts=texts, pool=pool)


def _available(sizes: dict[str, int], folder: LabelledCaptchas) -> dict[str, int]:
    """The sizes requested, limited to the captchas of the folder; a limit is logged."""
    held = {split: int((folder.pool == i).sum()) for i, split in enumerate(SPLITS)}
    for split in SPLITS:
        if held[split] < sizes[split]:
            progress(
                f"{split}: the folder holds {held[split]} captchas, fewer than the {sizes[split]} of "
                f"captcha.{split}: taking them all"
            )
    return {split: min(sizes[split], held[split]) for split in SPLITS}


def texts_of(study: CaptchaStudy, split: str, part: int, epoch: int = 0) -> list[str]:
    """The texts of a part's captchas, as labelled (after folding)."""
    if study.folder is not None:
        return [study.folder.texts[row] for row in _rows(study, split, part)]
    return [study.folding.text(text) for text in _drawn_texts(study, split, part, epoch)[0]]


def bases_of(study: CaptchaStudy, split: str, part: int, epoch: int = 0) -> Bases:
    """The base captchas of a part; those of a folder are the same in every epoch."""
    captcha = study.captchas(split, part)
    if study.folder is not None:
        rows = _rows(study, split, part)
        return bases_from_images(
            captcha, [study.folder.texts[row] for row in rows], study.folder.images[rows]
        )
    assert study.glyphs is not None
    texts, rng = _drawn_texts(study, split, part, epoch)
    glyphs = draw_glyphs(
        study.first(split, part, epoch),
        texts,
        study.glyphs.pool_of(split),
        stream=lambda character, number: stream(study.seed, split, "glyphs", character, number),
    )
    bases = compose(captcha, texts, glyphs, study.glyphs.images, study.layout, rng=rng)
    return replace(bases, texts=[study.folding.text(text) for text in texts])


def _rows(study: CaptchaStudy, split: str, part: int) -> NDArray[np.int64]:
    """The rows (n,) of the folder with the captchas of a part."""
    assert study.folder is not None
    pool = np.flatnonzero(study.folder.pool == SPLITS.index(split))
    return stream(study.seed, split, "order").permutation(pool)[study.captchas(split, part)]


def _drawn_texts(
    study: CaptchaStudy, split: str, part: int, epoch: int
) -> tuple[list[str], np.random.Generator]:
    """Texts of drawn characters (before folding), and the random stream that the layout continues."""
    rng = stream(study.seed, *identity_of(split, part, epoch), "layout")
    return draw_texts(
        study.first(split, part, epoch),
        len(study.captchas(split, part)),
        study.folding.drawn,
        study.layout.length,
        rng=rng,
    ), rng
