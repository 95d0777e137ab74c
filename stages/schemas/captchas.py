"""Schemas of the captcha table and the glyph table, the outputs of `generate`."""

from __future__ import annotations

from stages.schemas.table import Image, Number, Several, Table, Text, Whole


class Condition(Table):
    """The noise, level and colour scheme of a rendering."""

    noise = Text("noise type, `none` where clean", arrow="category")
    level = Number("dose of the noise, 0 to 1; 0 where clean")
    colour = Text("colour scheme", arrow="category")


class Measures(Table):
    """Measurements of the pixels of a rendering."""

    contrast = Number(
        "luma of the foreground less that of the background, -1 to 1", arrow="float32"
    )
    rmse = Number(
        "root mean squared change of luma from the clean rendering, full scale = 1", arrow="float32"
    )
    ssim = Number("structural similarity to the clean rendering, at most 1", arrow="float32")


class Factors(Condition, Measures):
    """The columns of a rendering that the rows of predictions repeat."""


class Rendering(Table):
    """The captcha and condition of a rendering, with its text and glyphs."""

    captcha = Whole("number of the captcha in its split, from 0", key=True, arrow="int32")
    condition = Whole("number of the condition, from 0, the clean one", key=True, arrow="int16")
    text = Text("the characters of the captcha")
    glyphs = Several(
        "id of each character's glyph in the source; empty for a captcha folder",
        arrow="list<int32>",
    )


class Palette(Table):
    """The colours of a rendering; empty lists where a captcha of a folder has its original colours."""

    foreground = Several("#rrggbb of each character")
    background = Text("#rrggbb")
    hue = Several("hue of each character, degrees", arrow="list<float32>")
    saturation = Several("saturation of each character, 0 to 1", arrow="list<float32>")
    background_hue = Number("hue of the background, degrees", arrow="float32")
    background_saturation = Number("saturation of the background, 0 to 1", arrow="float32")


class Picture(Table):
    """The pixels of a rendering."""

    image = Image("(H, W, 3) uint8, 0 black to 255 white; height and width stand in the metadata")


class Captchas(Rendering, Condition, Palette, Measures, Picture):
    """data/captchas/<split>/part-<i>.parquet: one row per rendering of a captcha under a condition."""


class GlyphCounts(Table):
    """plots/figures/glyphs.csv: the number of glyphs of each character, by split."""

    label = Text("character", key=True)
    train = Whole("glyphs of the training captchas")
    validation = Whole("glyphs of the validation captchas")
    test = Whole("glyphs of the test captchas")


class MeanGlyphs(GlyphCounts):
    """data/glyphs.parquet: one row per character that is drawn; none for a captcha folder."""

    mean = Image("mean glyph (28, 28) uint8, ink 255 on 0")
