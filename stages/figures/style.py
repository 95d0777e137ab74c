"""One look for every figure: palette, markers, lettering, and SVG that comes out the same to the byte."""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image

P = ParamSpec("P")
R = TypeVar("R")

POINTS = 72  # an inch
WIDTH = 7.6  # inches: 547 points of lettering at 8.5
INK = "#1d2430"
MUTED = "#667085"
GRID = "#e4e7ec"
# after Okabe & Ito (2008)
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#a6518a", "#e69f00", "#56b4e9", INK)
GREYS = ("#1d2430", "#7a8494", "#b3bac4", "#4c5565")
MARKERS = "os^DvP*X"
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 2)),
    (0, (1, 1.4)),
    (0, (7, 2, 1.5, 2)),
    (0, (3, 1.2, 1, 1.2, 1, 1.2)),
)
SEQUENTIAL = "Blues"

RC_PARAMS: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: small, selectable, read aloud, in any alphabet
    "svg.hashsalt": "captcha-noise-study",  # else the ids differ from run to run
    "text.parse_math": False,  # a "$" of the alphabet is a character
    # comes with matplotlib, so that the layout is the same everywhere
    "font.family": ["DejaVu Sans"],
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "axes.titlecolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.2,
    "lines.markeredgewidth": 0.6,
    "figure.constrained_layout.use": True,
}


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Run `draw` in the look of the study, and leave matplotlib's own settings as they were."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.rc_context(), warnings.catch_warnings():
            matplotlib.rcdefaults()  # a matplotlibrc of the user changes no byte
            matplotlib.rcParams.update(RC_PARAMS)  # type: ignore[arg-type]
            # A character that DejaVu lacks is measured as a box, but drawn by the font of whoever opens the SVG.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            return draw(*args, **kwargs)

    return drawn


@styled
def svg(figure: Figure) -> str:
    """The figure as SVG text: no date, no ids by chance, pictures with a palette."""
    buffer = io.BytesIO()
    _lay_out(figure)
    figure.savefig(
        buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
    )
    text = buffer.getvalue().decode("utf-8")
    text = text.replace(
        "font-family: 'DejaVu Sans'", "font-family: 'DejaVu Sans', Verdana, sans-serif"
    )
    text = re.sub(r"(data:image/png;base64,)\s*([A-Za-z0-9+/=\s]+)", _with_palette, text)
    # A hundredth of a point is finer than any screen: six decimals would make a third of the file.
    text = re.sub(
        r'\s(?:d|x|y)="[^"]+"', lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), text
    )
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


def _lay_out(figure: Figure) -> None:
    """Settle where everything goes, in the points of an SVG; with its engine left, savefig draws a figure twice."""
    engine = figure.get_layout_engine()
    if engine is not None:
        FigureCanvasSVG(figure)
        figure.dpi = POINTS
        engine.execute(figure)
    # None would ask for it; `styled` resets it
    matplotlib.rcParams["figure.constrained_layout.use"] = False
    figure.set_layout_engine(None)


def _with_palette(embedded: re.Match[str]) -> str:
    picture = Image.open(io.BytesIO(base64.b64decode(embedded[2])))
    return embedded[1] + base64.b64encode(_fewer_colours(picture)).decode("ascii")


def _fewer_colours(picture: Image.Image) -> bytes:
    """As PNG in 256 colours: a third of the size, and no pixel of a sheet is more than about 10 of 255 off.

    Maximum coverage, since the median cut spends its colours on noise and leaves bands in what is smooth.
    """
    buffer = io.BytesIO()
    small = picture.convert("RGB").quantize(
        256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    small.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


@styled
def png(figure: Figure) -> bytes:
    """A figure of `picture_axes` as PNG, two pixels for one of its pictures'."""
    left, right = figure.axes[0].get_xlim()
    canvas = FigureCanvasAgg(figure)
    figure.dpi = 2 * (right - left) / WIDTH
    canvas.draw()  # type: ignore[no-untyped-call]
    return _fewer_colours(Image.fromarray(np.asarray(canvas.buffer_rgba())))  # type: ignore[no-untyped-call]


def picture_axes(figure: Figure, left: float, right: float, bottom: float, top: float) -> Axes:
    """Axes that fill the figure and count in pixels, down from `top` to `bottom`; the figure gets their height."""
    figure.set_layout_engine("none")
    figure.set_size_inches(WIDTH, WIDTH * (bottom - top) / (right - left))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_autoscale_on(False)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    return axes


def words(name: str) -> str:
    """A name of params.yaml as words: gaussian_blur is gaussian blur."""
    return name.replace("_", " ")


def line_style(index: int) -> dict[str, Any]:
    """Colour, marker and dashes of the line number `index`; any two of the first 40 differ without colour, too."""
    marker = MARKERS[index % len(MARKERS)]
    return {
        "color": PALETTE[index % len(PALETTE)],
        "marker": marker,
        "linestyle": DASHES[index % len(DASHES)],
        "markeredgecolor": "white",
        "markersize": 6.0 if marker == "*" else 4.6,
    }


def neutral_style(index: int) -> dict[str, Any]:
    """The look of what is no noise, in figures where every colour is that of one: greys, with markers and dashes."""
    return {**line_style(index), "color": GREYS[index % len(GREYS)]}


def style_of_noise(noise: str, noises: Sequence[str]) -> dict[str, Any]:
    """The look of a noise type in every figure: that of its place in params.yaml."""
    return line_style(noises.index(noise))


def small_multiples(count: int, above: float, each: float) -> tuple[Figure, list[Axes]]:
    """A figure and its `count` panels, in rows of three; the rest of the last row is hidden.

    Rows are `each` inches high, with `above` inches for a legend. Both axes are shared.
    """
    columns = min(3, count)
    rows = -(-count // columns)
    figure = Figure((WIDTH, above + each * rows))
    panels = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel())
    for panel in panels[count:]:
        panel.set_visible(False)
    return figure, panels[:count]


def shared_labels(figure: Figure, x: str = "", y: str = "") -> None:
    """Label the axes that the panels of a figure share."""
    if x:
        figure.supxlabel(x, fontsize=8.5, color=MUTED)
    if y:
        figure.supylabel(y, fontsize=8.5, color=MUTED)


def key_above(figure: Figure, axes: Axes, columns: int) -> None:
    """The legend of the lines of some axes, above all panels."""
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=columns)


def band(axes: Axes, x: ArrayLike, low: ArrayLike, high: ArrayLike, **style: Any) -> None:
    """Intervals as a pale band; `style` has its colour."""
    axes.fill_between(x, low, high, **{"alpha": 0.13, "linewidth": 0, **style})


def percent_axis(axes: Axes, label: str = "") -> None:
    """The y axis from 0 to 100 %, for shares from 0 to 1."""
    axes.set_ylim(-0.02, 1.04)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    if label:
        axes.set_ylabel(label)


def level_ticks(axes: Axes, levels: Sequence[float], label: str = "") -> None:
    """Ticks of the x axis at the levels, or at every second or third where they stand close."""
    step = -(-len(levels) // 6)
    axes.set_xticks(list(levels)[::step], [f"{level:g}" for level in list(levels)[::step]])
    if label:
        axes.set_xlabel(label)


def spread(positions: Sequence[float], distance: float) -> NDArray[np.float64]:
    """Positions moved as little as it takes (order kept) to lie at least `distance` apart, none below 0, and none above
    1 unless there are too many; for the labels of lines."""
    wanted = np.asarray(positions, float)
    order = np.argsort(wanted, kind="stable")
    offsets = np.arange(len(wanted)) * distance
    moved = np.empty(len(wanted))
    moved[order] = (
        np.clip(_increasing(wanted[order] - offsets), 0, max(0.0, 1 - offsets[-1])) + offsets
    )
    return moved


def _increasing(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The non-decreasing sequence nearest to `values` by least squares: pool adjacent violators (Ayer et al., 1955)."""
    pools: list[list[float]] = []  # mean, size
    for value in values.tolist():
        pools.append([value, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, size = pools.pop()
            before = pools[-1]
            before[0] = (before[0] * before[1] + mean * size) / (before[1] + size)
            before[1] += size
    return np.array([mean for mean, size in pools for _ in range(int(size))])


def label_ends(
    axes: Axes,
    x: float | Sequence[float],
    ends: Sequence[float],
    names: Sequence[str],
    distance: float,
) -> None:
    """Write each line's name right of the axes, with a mark to its end at (x, end), at least `distance` of the y axis
    apart."""
    across = [x] * len(ends) if isinstance(x, float) else x
    for place, at, end, name in zip(spread(ends, distance), across, ends, names, strict=True):
        axes.annotate(
            name,
            (at, end),
            xytext=(1.04, place),
            textcoords=("axes fraction", "data"),
            va="center",
            annotation_clip=False,
            fontsize=8,
            arrowprops={
                "arrowstyle": "-",
                "color": MUTED,
                "linewidth": 0.5,
                "shrinkA": 1,
                "shrinkB": 4,
                "relpos": (0, 0.5),
            },
        )
