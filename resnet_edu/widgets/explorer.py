"""The wiring that all explorers share: controls above, the figure they choose below."""

from collections.abc import Callable

import ipywidgets
from IPython.display import display
from matplotlib.figure import Figure


def explorer(draw: Callable[..., Figure], **controls: ipywidgets.ValueWidget) -> ipywidgets.VBox:
    """Redraw a figure whenever a control changes.

    Args:
        draw: a plain function of the controls' values, called with one keyword a control.
        controls: ipywidgets by keyword, in the order they stand above the figure.
    """

    def show(**state: object) -> None:
        display(draw(**state))

    return ipywidgets.VBox([*controls.values(), ipywidgets.interactive_output(show, controls)])
