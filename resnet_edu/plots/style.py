"""One look for every figure of the course: size, colours, markers, and the style sheet behind them.

The palette is that of Okabe and Ito (https://jfly.uni-koeln.de/color/), which people with any kind of colour
vision tell apart; each colour has a marker and a dash of its own as well, so that a grey print still reads.
"""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import figure as mpl_figure, font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

#: Fonts with Chinese, Japanese and Korean letters, as Linux, Windows and macOS bring them.
FALLBACKS = (
    "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans CJK SC", "Malgun Gothic", "Yu Gothic", "Microsoft YaHei",
    "Apple SD Gothic Neo", "Hiragino Sans", "PingFang SC", "Arial Unicode MS",
)  # fmt: skip
STYLE_SHEET = Path(__file__).with_name("resnet_edu.mplstyle")
SHARPNESS = 2  # pixels of the PNG for each pixel on the page, for screens that have them

BLUE, ORANGE, GREEN, PURPLE, SKY, RED, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#6E6E6E",
)  # fmt: skip
PLAIN, RESIDUAL = RED, BLUE  # the same two colours in every figure that compares the two

COLOURS = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY)  # in the order in which lines take them


@contextmanager
def course_style() -> Iterator[None]:
    """The style sheet within this context, or this function, only; the learner's own settings stay as they are."""
    with mpl.rc_context(settings()):
        yield


@cache
def settings() -> mpl.RcParams:
    """The style sheet, and behind its font those of this machine that have letters it lacks, for names everywhere."""
    here = {font.name for font in font_manager.fontManager.ttflist}
    sheet = mpl.rc_params_from_file(STYLE_SHEET, use_default_template=False)
    sheet["font.family"] = ["sans-serif", *(name for name in FALLBACKS if name in here)]
    return sheet


class Figure(mpl_figure.Figure):
    """A figure that a notebook shows by itself, whichever matplotlib backend is set, and that no window holds."""

    def png(self) -> bytes:
        """The picture, with `SHARPNESS` pixels for each pixel on the page."""
        picture, canvas, dpi = BytesIO(), FigureCanvasAgg(self), self.dpi
        self.set_dpi(SHARPNESS * dpi)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # two lines for each; a box will do
            canvas.draw()  # lays out and draws; `savefig` would go through all artists a second time
        pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        pixels.save(picture, "PNG", compress_level=1)  # hardly larger than with more effort, in half the time
        self.set_dpi(dpi)
        return picture.getvalue()

    @property
    def page_width(self) -> int:
        """Its natural width on the page, in pixels."""
        return round(self.get_figwidth() * self.dpi)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        return self.png(), {"width": self.page_width}


def new_figure(
    rows: int,
    columns: int,
    *,
    width: float = 7.0,
    height: float = 3.4,
    title: str = "",
    x: str = "",
    y: str = "",
    **grid: Any,
) -> tuple[Figure, list[Axes]]:
    """A figure of so many inches with `rows × columns` axes, and these axes row by row.

    The title and the names of the axes, with their units, are those of all axes; `grid` goes to `Figure.subplots`.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.subplots(rows, columns, squeeze=False, **grid)
    for text, write in ((title, headline), (x, Figure.supxlabel), (y, Figure.supylabel)):
        if text:
            write(figure, text)
    return figure, figure.axes


def new_chart(*, title: str, x: str = "", y: str = "", width: float = 7.0, height: float = 3.4) -> tuple[Figure, Axes]:
    """A figure with a single pair of axes, and these axes; title and names belong to them."""
    figure, (axes,) = new_figure(1, 1, width=width, height=height)
    axes.set(title=title, xlabel=x, ylabel=y)
    return figure, axes


def headline(figure: Figure, title: str) -> None:
    """The figure's message, over all its axes."""
    figure.suptitle(title, x=0.01, ha="left", weight="bold")


def look_of(colour: str, **changes: Any) -> dict[str, Any]:
    """How a line of this colour is drawn: each has its marker and its dash."""
    number = (*COLOURS, GREY).index(colour)
    dash = ("-", "--", "-.", ":", "-", "--", ":")[number]
    return {"color": colour, "marker": "os^DvP "[number], "ls": dash} | changes


def name_rows(axes: Axes, names: Iterable[str]) -> None:
    """The names of horizontal bars, the first at the top, without grid lines along them."""
    names = list(names)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def bare(axes: Axes, *, edge: str | None = None) -> None:
    """No ticks, no grid; a thin frame of colour `edge`, or none."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=edge is not None, color=edge or "none", linewidth=0.8)
