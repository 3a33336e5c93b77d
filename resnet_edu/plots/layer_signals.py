"""Signal and gradient on their way through a deep net: slopes of activations, layer by layer, the explorer's figure."""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from ..history import History
from ..models.deep import ACTIVATIONS, INIT_STD, Activation, Init, deep_net
from ..probe import LayerSignals, layer_signals
from .style import BLUE, GREEN, GREY, ORANGE, PLAIN, PURPLE, RED, RESIDUAL, SKY, course_style, label, new_figure

LOOKS = (
    (RED, "s", "-"),
    (BLUE, "o", "-"),
    (GREEN, "^", "--"),
    (ORANGE, "D", "-."),
    (PURPLE, "v", ":"),
    (SKY, "P", "-"),
)

QUANTITIES = {
    "signal": ("forward: the signal", "standard deviation of the output"),
    "gradient": ("back: the gradient", "gradient norm at the output"),
    "weight": ("what the weights get", "gradient norm of the weights"),
}

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


def signals_by_layer(
    nets: Mapping[str, LayerSignals], *, quantities: Sequence[str] = ("signal", "gradient"), title: str
) -> Figure:
    """One panel a quantity, one line a net, one point a layer, the loss on the right; logarithmic.

    Args:
        nets: what `probe.layer_signals` returns, by name; at most six.
        quantities: of "signal", "gradient" and "weight", in the order of the panels.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(1, len(quantities), width=max(7.0, 3.1 * len(quantities)), height=4.0)
        for axes, quantity in zip(figure.axes, quantities, strict=True):
            for (name, signals), look in zip(nets.items(), LOOKS, strict=False):
                draw_layers(axes, getattr(signals, quantity), look, name)
            finish(axes, quantity)
        lines, names = figure.axes[0].get_legend_handles_labels()
        figure.legend(
            lines, names, loc="outside lower center", ncols=5 if len(nets) > 4 else 2 if max(map(len, nets)) > 15 else 4
        )
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


def draw_layers(axes: Axes, values: Sequence[float], look: tuple[str, str, str], name: str) -> None:
    """One line over the numbers of the layers; about ten markers, however deep the net."""
    colour, marker, dash = look
    every = max(1, len(values) // 10)
    numbers = range(1, len(values) + 1)
    axes.plot(numbers, values, color=colour, marker=marker, ls=dash, markevery=every, markersize=5, lw=1.8, label=name)


def finish(axes: Axes, quantity: str) -> None:
    """Logarithmic axis, title and labels; at least four powers of ten, so that small changes look small."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 1e-2), max(high, 1e2))
    title, y = QUANTITIES[quantity]
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("layer")
    axes.set_ylabel(y)


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


def errors_by_epoch(histories: Mapping[str, History], *, title: str) -> Figure:
    """Training error over epochs in percent, one line a run; the legend is in the order in which the lines end.

    Args:
        histories: by name, at most six.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(width=8.0, height=3.6)
        (axes,) = figure.axes
        lines = {}
        for (name, history), (colour, marker, dash) in zip(histories.items(), LOOKS, strict=False):
            epochs, errors = [e.epoch for e in history.epochs], [e.train_error for e in history.epochs]
            (lines[name],) = axes.plot(epochs, errors, color=colour, marker=marker, ls=dash)
        order = sorted(histories, key=lambda name: -histories[name].last.train_error)
        figure.legend([lines[name] for name in order], order, loc="outside right center")
        label(axes, title=title, x="epoch", y="training error (%)")
        axes.set_ylim(0, 100)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
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
