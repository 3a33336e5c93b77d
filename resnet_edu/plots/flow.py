"""Signal and gradient through a stack of blocks, and what gates let through."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..probe.flow import Flow, residual_flow
from .style import BLUE, GREEN, GREY, ORANGE, PLAIN, RED, RESIDUAL, course_style, label, new_figure

FLOOR, CEILING = 1e-6, 1e6  # what lies beyond is drawn on the border
GAINS = {0.0: (GREEN, "D", ":"), 0.5: (ORANGE, "^", "--"), 1.0: (BLUE, "o", "-")}


def signal_and_gradient(
    *, depth: int = 20, residual: bool = True, batch_norm: bool = False, gain: float = 1.0
) -> Figure:
    """Size of the signal (left) and of the gradient (right) at each block of an untrained stack.

    Args:
        depth: number of blocks.
        residual: add x in each block.
        batch_norm: normalise F(x).
        gain: factor of F(x); 0 switches the branch off.
    """
    flow = residual_flow(depth, residual=residual, batch_norm=batch_norm, gain=gain)
    with course_style():
        figure = new_figure(1, 2, height=3.4, sharey=True)
        for axes, values, name in zip(figure.axes, flow, ("signal", "gradient"), strict=True):
            draw_flow(axes, values, RESIDUAL if residual else PLAIN, "o" if residual else "s", "-", name)
            label(axes, title=f"{name.capitalize()}: {at_far_end(flow, name):.2g}", x="block", y="size (rms)")
        figure.axes[1].set_ylabel("")
        kind = "ReLU(F(x) + x)" if residual else "ReLU(F(x))"
        norm = "with batch norm" if batch_norm else "without batch norm"
        figure.suptitle(f"{depth} blocks {kind}, gain {gain:g}, {norm}", x=0.01, ha="left", weight="bold")
        return figure


def signal_and_gradient_grid(*, depth: int = 20) -> Figure:
    """The static twin: plain and residual, without and with batch norm, three gains each."""
    columns = [(residual, batch_norm) for batch_norm in (False, True) for residual in (False, True)]
    with course_style():
        figure = new_figure(2, len(columns), width=9.0, height=4.8, sharex=True, sharey=True)
        for index, (residual, batch_norm) in enumerate(columns):
            upper, lower = figure.axes[index], figure.axes[index + len(columns)]
            for gain, (colour, marker, dash) in GAINS.items():
                flow = residual_flow(depth, residual=residual, batch_norm=batch_norm, gain=gain)
                draw_flow(upper, flow.signal, colour, marker, dash, f"gain {gain:g}")
                draw_flow(lower, flow.gradient, colour, marker, dash, f"gain {gain:g}")
            name = f"{'residual' if residual else 'plain'}{', batch norm' if batch_norm else ''}"
            upper.set_title(name, fontsize=11)
            lower.set_xlabel("block")
        figure.axes[0].set_ylabel("signal (rms)")
        figure.axes[len(columns)].set_ylabel("gradient (rms)")
        figure.axes[1].legend(fontsize=8)
        message = "With the addition, a branch that is switched off lets everything pass"
        figure.suptitle(message, x=0.01, ha="left", weight="bold")
        return figure


def carry_by_depth(carried: Mapping[str, Sequence[float]], *, title: str) -> Figure:
    """Share of the first state that is carried on to each layer, one line a kind of layer, logarithmic.

    Args:
        carried: 1 for the input, then one value a layer.
        title: the figure's message.
    """
    looks = ((RED, "s", "-"), (ORANGE, "^", "--"), (GREEN, "D", "-."), (BLUE, "o", "-"))
    with course_style():
        figure = new_figure(height=3.4)
        (axes,) = figure.axes
        for (name, shares), (colour, marker, dash) in zip(carried.items(), looks, strict=False):
            axes.plot(range(len(shares)), shares, color=colour, marker=marker, ls=dash, markersize=4, label=name)
        axes.set_yscale("log")
        label(axes, title=title, x="layer", y="share of x carried on")
        axes.legend()
        return figure


def draw_flow(axes: Axes, values: Sequence[float], colour: str, marker: str, dash: str, name: str) -> None:
    """One line, on a logarithmic axis with fixed ends."""
    inside = [min(max(value, FLOOR), CEILING) for value in values]
    every = max(1, len(values) // 10)
    axes.plot(range(len(values)), inside, color=colour, marker=marker, ls=dash, markevery=every, label=name)
    axes.set_yscale("log")
    axes.set_ylim(FLOOR / 3, CEILING * 3)
    axes.axhline(1, color=GREY, lw=0.8, zorder=0)


def at_far_end(flow: Flow, name: str) -> float:
    """The signal at the output, or the gradient at the input."""
    return flow.signal[-1] if name == "signal" else flow.gradient[0]
