"""Lesson 05: choose activation, initial weights, depth, batch norm and skip, and see whether the gradient arrives."""

from functools import partial

import ipywidgets
from torch import Tensor

from .. import plots
from ..models.deep import INIT_STD
from .explorer import explorer


def gradient_flow(images: Tensor, labels: Tensor) -> ipywidgets.VBox:
    """Signal and gradient of an untrained net; the static twin is `plots.gradient_flow_grid`.

    Args:
        images: one batch, `(N, C, H, W)`.
        labels: class numbers, int64 `(N,)`.
    """
    buttons = ipywidgets.ToggleButtons
    return explorer(
        partial(plots.gradient_flow, images, labels),
        activation=buttons(
            options=[("sigmoid", "sigmoid"), ("tanh", "tanh"), ("ReLU", "relu")], description="activation"
        ),
        init=buttons(options=[(name.capitalize(), name) for name in INIT_STD], value="xavier", description="init"),
        batch_norm=buttons(options=[("without", False), ("with", True)], description="batch norm"),
        skip=buttons(options=[("without", False), ("with", True)], description="skip"),
        depth=ipywidgets.IntSlider(30, 5, 50, 5, description="depth", continuous_update=False),
    )
