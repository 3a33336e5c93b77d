"""Lesson 05: signal and gradient on their way through a deep net, and shattered gradients.

Shattered gradients: Balduzzi et al. 2017, https://arxiv.org/abs/1702.08591, figures 1 and 2.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from itertools import product
from typing import Any

import torch
from torch import Tensor

from ..models.deep import ACTIVATIONS, INIT_STD, deep_net
from ..probe import LayerSignals, layer_signals
from .curves import QUANTITIES, draw_layers, finish_layers, looks, powers_of_ten
from .style import GREEN, GREY, ORANGE, PLAIN, RESIDUAL, Figure, course_style, look_of, new_figure

#: How names are written in figures.
NAMES = {"relu": "ReLU", "xavier": "Xavier", "he": "He"}
#: Batch norm and skip in `gradient_flow_grid`, with the colours of their lines.
REPAIRS = {
    "neither": ({}, PLAIN),
    "batch norm": ({"batch_norm": True}, ORANGE),
    "skip": ({"skip": True}, GREEN),
    "batch norm and skip": ({"batch_norm": True, "skip": True}, RESIDUAL),
}


@course_style()
def activation_slopes(*, title: str = "A sigmoid passes back at most a quarter of a gradient") -> Figure:
    """Sigmoid, tanh and ReLU on the left, their derivatives on the right, with the largest slope marked."""
    figure, (left, right) = new_figure(1, 2, title=title)
    for (name, activation), colour in zip(ACTIVATIONS.items(), (PLAIN, RESIDUAL, GREEN), strict=True):
        x = torch.linspace(-5, 5, 401, requires_grad=True)
        values = activation()(x)
        (slope,) = torch.autograd.grad(values.sum(), x)
        look = look_of(colour, marker="", label=NAMES.get(name, name))
        left.plot(x.detach(), values.detach(), **look)
        right.plot(x.detach(), slope, **look)
    right.annotate("¼", (0, 0.25), (1.6, 0.42), color=PLAIN, arrowprops={"arrowstyle": "-", "color": PLAIN})
    left.set_ylim(-1.3, 2.5)
    right.set_ylim(-0.05, 1.1)
    left.set(title="activation", xlabel="input", ylabel="output")
    right.set(title="its slope", xlabel="input", ylabel="slope")
    left.legend()
    return figure


@course_style()
def gradient_flow(images: Tensor, labels: Tensor, *, depth: int = 30, skip: bool = False, **options: Any) -> Figure:
    """Signal, gradient and likeness of inputs in one untrained net, with a ReLU net after He in grey.

    One batch of images, `(N, C, H, W)`, with labels, int64 `(N,)`, goes through a net of at least 4 layers. The options
    `activation`, `init` and `batch_norm` are those of `models.deep_net`.
    """
    reference = measured(images, labels, depth, width=options.setdefault("width", 128))
    net = measured(images, labels, depth, skip=skip, **options)
    share = net.gradient[0] / net.gradient[-2]
    word = "Vanishes" if share < 0.01 else "Explodes" if share > 100 else "Arrives"
    title = f"{word}: the gradient changes by × {net.gradient_factor:.2f} a layer, × {share:.0e} from last to first"
    figure, panels = new_figure(1, 3, width=9.0, height=3.6, title=title)
    for axes, quantity in zip(panels, ("signal", "gradient", "likeness"), strict=True):
        draw_layers(axes, getattr(reference, quantity), GREY, "ReLU, He")
        draw_layers(axes, getattr(net, quantity), RESIDUAL if skip else PLAIN, "this net")
        if quantity in QUANTITIES:
            finish_layers(axes, quantity)
        axes.locator_params(axis="x", nbins=4)  # each tick takes as long as a line
    panels[2].locator_params(axis="y", nbins=4)
    panels[2].set(ylim=(-0.3, 1.05), xlabel="layer", ylabel="mean cosine of two images")
    panels[2].set_title("likeness of the images", fontsize=11)
    panels[0].legend()
    return figure


@lru_cache(maxsize=16)
def measured(images: Tensor, labels: Tensor, depth: int, **options: Any) -> LayerSignals:
    """The signals of a freshly drawn net; the notebook's random numbers are left alone.

    They are kept: the explorer, whose images stay the same, asks for those of the ReLU net at every move.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return layer_signals(deep_net(depth, inputs=images[0].numel(), **options), images, labels)


@course_style()
def gradient_flow_grid(images: Tensor, labels: Tensor) -> Figure:
    """Every activation and init, with batch norm, skip, both and neither, in nets of 30 layers.

    Drawn is the gradient norm as a multiple of the last hidden layer's, for one batch of images, `(N, C, H, W)`, with
    labels, int64 `(N,)`; a line that leaves the panel goes on.
    """
    title = "Batch norm and a skip keep the gradient flat (30 layers)"
    y = "gradient relative to the last hidden layer's"
    figure, panels = new_figure(3, 4, width=9.0, height=6.4, title=title, y=y, sharex=True, sharey=True)
    for axes, (activation, init) in zip(panels, product(ACTIVATIONS, INIT_STD), strict=True):
        for name, (options, colour) in REPAIRS.items():
            net = measured(images, labels, 30, width=64, activation=activation, init=init, **options)
            draw_layers(axes, [gradient / net.gradient[-2] for gradient in net.gradient[:-1]], colour, name)
        axes.axhline(1, color=GREY, lw=1, ls=":")
        powers_of_ten(axes)
        axes.set_ylim(1e-10, 1e10)
        axes.set_title(f"{NAMES.get(activation, activation)}, {NAMES.get(init, init)}", fontsize=11)
    for axes in panels[-4:]:
        axes.set_xlabel("layer")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


@course_style()
def gradient_series(points: Tensor, series: Mapping[str, Tensor], *, title: str) -> Figure:
    """Gradient against input, one panel a net, each divided by its standard deviation: only its shape is of interest.

    The points are `(N,)`, and so are the gradients there; names that begin with "plain" or "residual" have a colour.
    """
    rows = math.ceil(len(series) / 2)
    grid = {"sharex": True, "sharey": True, "x": "input x", "y": "gradient (scaled)"}
    figure, panels = new_figure(rows, 2, width=6.0, height=1.9 * rows + 0.5, title=title, **grid)
    for axes, (name, look) in zip(panels, looks(series).items(), strict=False):
        values = series[name]
        axes.plot(points, (values - values.mean()) / values.std(), color=look["color"], lw=1.1)
        axes.set_title(name, fontsize=11)
        axes.set_ylim(-4, 4)
    for axes in panels[len(series) :]:
        axes.set_axis_off()
    return figure
