"""Lesson 10: choose a method and a number of labels, and see what the recorded runs gave."""

from functools import partial

import ipywidgets

from .. import plots
from ..plots.lesson_10 import LABELS, LOOK
from ..study import Recorded
from .explorer import explorer


def transfer_explorer(study: Recorded) -> ipywidgets.VBox:
    """The recorded study of transfer, one method at a time; its static twin is `plots.transfer_grid`.

    Args:
        study: as for `plots.transfer_view`.
    """
    labels = ipywidgets.SelectionSlider(options=LABELS, value=10, description="labels", continuous_update=False)
    method = ipywidgets.ToggleButtons(options=list(LOOK), value="fine-tuned", description="method")
    return explorer(partial(plots.transfer_view, study), labels=labels, method=method)
