"""One look for every figure of the course: size, colours, markers, and the style sheet behind them.

The palette is that of Okabe and Ito (https://jfly.uni-koeln.de/color/), which people with any kind of colour
vision tell apart; lines differ in marker and dash as well, so that a grey print still reads.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Fonts with Chinese, Japanese and Korean letters, as Linux, Windows and macOS bring them.
FALLBACKS = (
    "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans CJK SC", "Malgun Gothic", "Yu Gothic", "Microsoft YaHei",
    "Apple SD Gothic Neo", "Hiragino Sans", "PingFang SC", "Arial Unicode MS",
)  # fmt: skip
STYLE_SHEET = Path(__file__).with_name("resnet_edu.mplstyle")

BLUE, ORANGE, GREEN, PURPLE, SKY, RED, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#6E6E6E",
)  # fmt: skip
PLAIN, RESIDUAL = RED, BLUE  # the same two colours in every figure that compares the two


@contextmanager
def course_style() -> Iterator[None]:
    """The style sheet within this context only; the learner's own settings stay as they are."""
    with mpl.rc_context(fname=STYLE_SHEET):
        mpl.rcParams["font.family"] = families()
        yield


@cache
def families() -> list[str]:
    """The style's font, and behind it those of this machine that have letters it lacks, for names of all countries."""
    here = {font.name for font in font_manager.fontManager.ttflist}
    return ["sans-serif", *(name for name in FALLBACKS if name in here)]


def without_glyph(text: str) -> str:
    """The letters of a text that no font of the figures has, each once; they are drawn as boxes."""
    files = [font_manager.findfont(font_manager.FontProperties(family=[name])) for name in families()]
    fonts = [font_manager.get_font(file) for file in files]
    letters = dict.fromkeys(each for each in text if each.isprintable())
    return "".join(each for each in letters if not any(font.get_char_index(ord(each)) for font in fonts))


class CourseFigure(Figure):
    """A figure that a notebook shows by itself, whichever matplotlib backend is set, and that no window holds."""

    def _repr_png_(self) -> bytes:
        """PNG at the style's resolution."""
        picture = BytesIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # two lines for each; a box will do
            self.savefig(picture, format="png", dpi=self.dpi)
        return picture.getvalue()


def new_figure(rows: int = 1, columns: int = 1, *, width: float = 7.0, height: float = 3.4, **grid: object) -> Figure:
    """A figure with `rows × columns` axes.

    Args:
        rows: axes from top to bottom.
        columns: axes from left to right.
        width: of the whole figure, in inches.
        height: likewise.
        grid: passed on to `Figure.subplots`, for example `sharey=True`.
    """
    figure = CourseFigure(figsize=(width, height), layout="constrained")
    figure.subplots(rows, columns, squeeze=False, **grid)  # type: ignore[arg-type]
    return figure


def label(axes: Axes, *, title: str, x: str, y: str) -> None:
    """Title (the figure's message) and both axes' names with their units."""
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
