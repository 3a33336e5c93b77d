"""Lesson 07: blocks drawn from the modules themselves, signal and gradient through a stack of them."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import nn

from ..models.modes import eval_mode
from ..probe.activations import watch
from ..probe.isolation import isolated_forward
from ..probe.signals import Flow, residual_flow
from .architecture import arrow
from .style import BLUE, GREEN, GREY, ORANGE, PLAIN, RED, RESIDUAL, SKY, course_style, label, new_figure

AROUND = ("downsample", "shortcut")  # what the blocks of the package call their shortcut
FILL = {nn.Conv2d: SKY, nn.BatchNorm2d: "#E8E8E8", nn.ReLU: ORANGE}


def block_diagrams(blocks: Mapping[str, nn.Module], *, title: str) -> Figure:
    """Each block's modules from top to bottom in the order in which they run, the shortcut beside them.

    Args:
        blocks: plain or residual blocks of the package, by the name to write above them.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(1, len(blocks), width=2.6 * len(blocks), height=4.6, sharey=True)
        for axes, (name, block) in zip(figure.axes, blocks.items(), strict=True):
            branch, around = block_parts(block)
            draw_block(axes, branch, around)
            axes.set_title(name, fontsize=11, loc="center")
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


def block_parts(block: nn.Module) -> tuple[list[nn.Module], list[nn.Module] | None]:
    """Modules of the branch in the order in which they run, and those of the shortcut; None without a shortcut."""
    used: list[tuple[str, nn.Module]] = []
    channels = next(module.in_channels for module in block.modules() if isinstance(module, nn.Conv2d))
    with watch(block, None, lambda name, module, _: used.append((name, module))), torch.no_grad(), eval_mode(block):
        isolated_forward(block, torch.zeros(1, channels, 8, 8))
    branch = [module for name, module in used if not name.startswith(AROUND)]
    around = [module for name, module in used if name.startswith(AROUND) and not isinstance(module, nn.Identity)]
    return branch, around if any(hasattr(block, name) for name in AROUND) else None


def words(module: nn.Module) -> str:
    """What to write into a module's box."""
    if isinstance(module, nn.Conv2d):
        stride = "" if module.stride == (1, 1) else f", /{module.stride[0]}"
        return f"{module.kernel_size[0]}×{module.kernel_size[1]}, {module.out_channels}{stride}"
    known = {"BatchNorm2d": "batch norm", "PadShortcut": "thin out, add zeros"}
    return known.get(type(module).__name__, type(module).__name__)


def draw_block(axes: Axes, branch: list[nn.Module], around: list[nn.Module] | None) -> None:
    """One block: x at the top, the branch below it, the shortcut to its right, the output at the bottom."""
    axes.set_axis_off()
    axes.set_xlim(-1.1, 2.0)
    axes.set_ylim(-11.6, 0.6)
    steps: list[nn.Module | str] = [*branch]
    if around is not None:  # the addition comes before a last ReLU, or last of all
        steps.insert(len(branch) - isinstance(branch[-1], nn.ReLU), "+")
    axes.text(0, 0, "x", ha="center", va="center", style="italic")
    for row, step in enumerate(steps, start=1):
        arrow(axes, (0, -row + 0.72), (0, -row + 0.34))
        if isinstance(step, str):
            axes.text(0, -row, "+", ha="center", va="center", weight="bold", color="white",
                      bbox={"boxstyle": "circle,pad=0.15", "fc": BLUE, "ec": BLUE})  # fmt: skip
            draw_shortcut(axes, around or [], row)
        else:
            axes.add_patch(FancyBboxPatch((-0.95, -row - 0.27), 1.9, 0.54, boxstyle="round,pad=0.03",
                                          fc=FILL.get(type(step), "white"), ec=GREY))  # fmt: skip
            axes.text(0, -row, words(step), ha="center", va="center", fontsize=9)
    arrow(axes, (0, -len(steps) - 0.34), (0, -len(steps) - 0.74))
    axes.text(0, -len(steps) - 1.05, "out", ha="center", va="center", style="italic")


def draw_shortcut(axes: Axes, around: list[nn.Module], row: int) -> None:
    """A line from x to the addition, with what stands on it."""
    axes.plot([0.2, 1.5, 1.5], [0, 0, -row], color=BLUE, lw=2, solid_joinstyle="round")
    arrow(axes, (1.5, -row), (0.3, -row), colour=BLUE)
    text = "\n".join(map(words, around)) or "identity"
    axes.text(1.5, -row / 2, text, ha="center", va="center", fontsize=9, rotation=90,
              bbox={"fc": "white", "ec": BLUE if around else "none", "pad": 3})  # fmt: skip


def errors_without(removed: Mapping[str, Mapping[str, float]], whole: Mapping[str, float], *, title: str) -> Figure:
    """Test error without one block, for each block in turn; a broken line marks the whole network, a grey one guessing.

    Args:
        removed: what `probe.block_removal` measured, by network; percent. Names of plain nets begin with "plain".
        whole: test error of the whole network, by network; percent.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(height=3.6)
        (axes,) = figure.axes
        for name, errors in removed.items():
            colour, marker = (PLAIN, "s") if name.startswith("plain") else (RESIDUAL, "o")
            axes.plot(
                range(len(errors)), list(errors.values()), color=colour, marker=marker, label=f"{name} less a block"
            )
            dashes = ":" if name.startswith("plain") else "--"
            axes.axhline(whole[name], color=colour, ls=dashes, lw=1, label=f"{name}, whole")
        names = list(next(iter(removed.values())))
        step = max(1, len(names) // 9)  # no more labels than fit
        axes.set_xticks(range(0, len(names), step), [name.removeprefix("layer") for name in names[::step]])
        axes.axhline(90, color=GREY, lw=0.8)
        axes.text(len(names) - 1, 89, "guessing", color=GREY, fontsize=8, ha="right", va="top")
        axes.set_ylim(0, 100)
        label(axes, title=title, x="block taken out (stage.block)", y="test error (%)")
        axes.legend(loc="center right", fontsize=8)
        return figure


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
