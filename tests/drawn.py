"""What is drawn on a figure, as numbers and texts; and a short history to draw."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from resnet_edu.history import Epoch, History
from resnet_edu.plots.style import Figure


def heights(line: Line2D) -> list[float]:
    """The y values that a line goes through."""
    return np.asarray(line.get_ydata()).tolist()


def places(line: Line2D) -> list[float]:
    """The x values that a line goes through."""
    return np.asarray(line.get_xdata()).tolist()


def lines(axes: Axes) -> list[list[float]]:
    return [heights(line) for line in axes.lines]


def bars(axes: Axes) -> list[Rectangle]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def pixels(axes: Axes, number: int = 0) -> np.ndarray:
    """The values of a picture in the axes."""
    return np.asarray(axes.get_images()[number].get_array())


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def title(axes: Axes) -> str:
    """Titles stand on the left, some small ones in the middle."""
    return axes.get_title(loc="left") or axes.get_title(loc="center")


def titles(figure: Figure) -> list[str]:
    return [title(axes) for axes in figure.axes]


def legend(owner: Axes | Figure) -> list[str]:
    """The names in the only legend of axes or figure."""
    found = [owner.get_legend()] if isinstance(owner, Axes) else owner.legends
    assert found[0] is not None
    return [text.get_text() for text in found[0].get_texts()]


def history(*train: float) -> History:
    """Training errors in percent, test errors five points above, losses a tenth."""
    return History([Epoch(i + 1, e / 10, e, e / 10, e + 5, 0.1, 1.0, 100.0) for i, e in enumerate(train)])
