"""Lesson 05: signal and gradient on their way through a deep net, and shattered gradients.

Shattered gradients: Balduzzi et al. 2017, https://arxiv.org/abs/1702.08591, figures 1 and 2.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..models.deep import ACTIVATIONS, INIT_STD, Activation, Init, deep_net
from ..probe import LayerSignals, layer_signals
from .curves import LOOKS, QUANTITIES, draw_layers, finish
from .style import GREEN, GREY, ORANGE, PLAIN, RED, RESIDUAL, course_style, label, new_figure

#: How names are written in figures.
NAMES = {"relu": "ReLU", "xavier": "Xavier", "he": "He"}
#: Batch norm and skip in the grid, with the looks of their lines.
REPAIRS = (
    ("neither", {}, PLAIN, "s", "-"),
    ("batch norm", {"batch_norm": True}, ORANGE, "D", "--"),
    ("skip", {"skip": True}, GREEN, "^", "-."),
    ("batch norm and skip", {"batch_norm": True, "skip": True}, RESIDUAL, "o", "-"),
)


def activation_slopes(*, title: str = "A sigmoid passes back at most a quarter of a gradient") -> Figure:
    """Sigmoid, tanh and ReLU on the left, their derivatives on the right, with the largest slope marked."""
    x = torch.linspace(-5, 5, 401)
    with course_style():
        figure = new_figure(1, 2, height=3.4)
        left, right = figure.axes
        for (name, activation), (colour, _, dash) in zip(ACTIVATIONS.items(), LOOKS, strict=False):
            points = x.clone().requires_grad_()
            values = activation()(points)
            (slope,) = torch.autograd.grad(values.sum(), points)
            left.plot(x, values.detach(), color=colour, ls=dash, label=NAMES.get(name, name))
            right.plot(x, slope, color=colour, ls=dash, label=NAMES.get(name, name))
        right.annotate(
            "¼", (0, 0.25), (1.6, 0.42), fontsize=13, color=RED, arrowprops={"arrowstyle": "-", "color": RED}
        )
        left.set_ylim(-1.3, 2.5)
        right.set_ylim(-0.05, 1.1)
        label(left, title="activation", x="input", y="output")
        label(right, title="its slope", x="input", y="slope")
        left.legend()
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


def gradient_flow(
    images: Tensor,
    labels: Tensor,
    *,
    depth: int = 30,
    activation: Activation = "sigmoid",
    init: Init = "xavier",
    batch_norm: bool = False,
    skip: bool = False,
    seed: int = 0,
) -> Figure:
    """Signal, gradient and the weights' gradient of one untrained net, with a ReLU net after He in grey.

    Args:
        images: one batch, `(N, C, H, W)`.
        labels: class numbers, int64 `(N,)`.
        depth: layers with weights, at least 4.
        activation: as in `models.deep_net`.
        init: likewise.
        batch_norm: likewise.
        skip: likewise.
        seed: of the initial weights.
    """
    inputs = images[0].numel()
    reference = measured(images, labels, depth, seed, inputs=inputs)
    net = measured(
        images, labels, depth, seed, inputs=inputs, activation=activation, init=init, batch_norm=batch_norm, skip=skip
    )
    with course_style():
        figure = new_figure(1, 3, width=9.0, height=3.6)
        for axes, quantity in zip(figure.axes, QUANTITIES, strict=True):
            draw_layers(axes, getattr(reference, quantity), (GREY, "", ":"), "ReLU, He")
            draw_layers(axes, getattr(net, quantity), (RESIDUAL if skip else PLAIN, "o", "-"), "this net")
            finish(axes, quantity)
        figure.axes[0].legend()
        figure.suptitle(verdict(net), x=0.01, ha="left", weight="bold")
        return figure


def measured(images: Tensor, labels: Tensor, depth: int, seed: int, **options: object) -> LayerSignals:
    """The signals of a freshly drawn net; the notebook's random numbers are left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return layer_signals(deep_net(depth, **options), images, labels)  # type: ignore[arg-type]


def verdict(net: LayerSignals) -> str:
    """In one line, what becomes of the gradient on its way from the last hidden layer to the first."""
    share, factor = net.gradient[0] / net.gradient[-2], net.gradient_factor
    word = "Vanishes" if share < 0.01 else "Explodes" if share > 100 else "Arrives"
    return f"{word}: the gradient changes by × {factor:.2f} a layer, × {share:.0e} from last to first"


def gradient_flow_grid(images: Tensor, labels: Tensor, *, depth: int = 30, width: int = 64, seed: int = 0) -> Figure:
    """The static twin: every activation and init, with batch norm, skip, both and neither.

    Drawn is the gradient norm as a multiple of the last hidden layer's; a line that leaves the panel goes on.

    Args:
        images: one batch, `(N, C, H, W)`.
        labels: class numbers, int64 `(N,)`.
        depth: layers with weights.
        width: units a layer.
        seed: of the initial weights.
    """
    with course_style():
        figure = new_figure(3, 4, width=9.0, height=6.4, sharex=True, sharey=True)
        cells = [(activation, init) for activation in ACTIVATIONS for init in INIT_STD]
        for axes, (activation, init) in zip(figure.axes, cells, strict=True):
            for name, options, colour, marker, dash in REPAIRS:
                net = measured(
                    images, labels, depth, seed, inputs=images[0].numel(), width=width,
                    activation=activation, init=init, **options,
                )  # fmt: skip
                relative = [gradient / net.gradient[-2] for gradient in net.gradient[:-1]]
                draw_layers(axes, relative, (colour, marker, dash), name)
            axes.axhline(1, color=GREY, lw=1, ls=":")
            axes.set_yscale("log")
            axes.set_ylim(1e-10, 1e10)
            axes.set_title(f"{NAMES.get(activation, activation)}, {NAMES.get(init, init)}", fontsize=11)
        for axes in figure.axes[::4]:
            axes.set_ylabel("relative gradient")
        for axes in figure.axes[-4:]:
            axes.set_xlabel("layer")
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        message = f"Batch norm and a skip together stay flat, whatever else you choose ({depth} layers)"
        figure.suptitle(message, x=0.01, ha="left", weight="bold")
        return figure


def losses_by_step(losses: Mapping[str, Iterable[float]], *, title: str) -> Figure:
    """Training loss over steps, logarithmic; a run whose loss stops being a number ends in a cross.

    Args:
        losses: one value a step, by name of the run.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(height=3.4)
        (axes,) = figure.axes
        for (name, values), (colour, _, dash) in zip(losses.items(), LOOKS, strict=False):
            run = list(values)
            kept = [value for value in run if math.isfinite(value)]
            axes.plot(range(1, len(kept) + 1), kept, color=colour, ls=dash, lw=1.6, label=name)
            if len(kept) < len(run):
                axes.plot(len(kept), kept[-1], color=colour, marker="x", markersize=12, mew=3, ls="")
        axes.set_yscale("log")
        label(axes, title=title, x="step", y="training loss")
        axes.legend()
        return figure


def colour_of(name: str) -> str:
    """Plain and residual nets have their colours in every figure, noise is grey."""
    for start, colour in (("plain", PLAIN), ("residual", RESIDUAL), ("white", GREY), ("brown", GREY)):
        if name.startswith(start):
            return colour
    return GREEN


def gradient_series(points: Tensor, series: Mapping[str, Tensor], *, columns: int = 3, title: str) -> Figure:
    """Gradient against input, one panel a net, each divided by its standard deviation: only its shape is of interest.

    Args:
        points: the inputs, `(N,)`.
        series: gradients at the points, `(N,)`, by name; a name that begins with "plain" or "residual" has its colour.
        columns: panels side by side.
        title: the figure's message.
    """
    rows = -(-len(series) // columns)
    with course_style():
        figure = new_figure(rows, columns, width=3 * columns, height=1.9 * rows + 0.5, sharex=True, sharey=True)
        for axes in figure.axes[len(series) :]:
            axes.set_axis_off()
        for axes, (name, values) in zip(figure.axes, series.items(), strict=False):
            axes.plot(points, (values - values.mean()) / values.std(), color=colour_of(name), lw=1.1)
            axes.set_title(name, fontsize=11)
            axes.set_ylim(-4, 4)
        for axes in figure.axes[::columns]:
            axes.set_ylabel("gradient (scaled)")
        for axes in figure.axes[-columns:]:
            axes.set_xlabel("input x")
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


def autocorrelations(curves: Mapping[str, Tensor], lags: Sequence[int], *, title: str) -> Figure:
    """Autocorrelation against lag: the mean over the nets as a line, plus and minus its standard error as a band.

    Args:
        curves: `(lags, nets)` by name; colours as in `gradient_series`, the second of a colour is dashed.
        lags: distances in grid steps.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(height=4.0)
        (axes,) = figure.axes
        seen: dict[str, int] = {}
        for name, values in curves.items():
            colour = colour_of(name)
            rank = seen[colour] = seen.get(colour, 0) + 1
            mean, error = values.mean(dim=1), values.std(dim=1) / values.shape[1] ** 0.5
            marker, dash = (("o", "-"), ("s", "--"))[(rank - 1) % 2]
            axes.plot(lags, mean, color=colour, marker=marker, ls=dash, markevery=2, label=name)
            axes.fill_between(lags, mean - error, mean + error, color=colour, alpha=0.2, lw=0)
        axes.axhline(0, color=GREY, lw=1, ls=":")
        label(axes, title=title, x="distance of the two inputs (grid steps)", y="autocorrelation of the gradient")
        axes.set_ylim(-0.1, 1.05)
        axes.legend(ncols=2, fontsize=9)
        return figure
