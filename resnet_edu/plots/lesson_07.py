"""Lesson 07: blocks drawn from the modules themselves, signal and gradient through a stack, a net as its paths."""

from collections.abc import Mapping, Sequence
from itertools import product
from math import comb, nan

import torch
from matplotlib.axes import Axes
from torch import nn

from ..models.modes import eval_mode
from ..probe.activations import isolated_forward, watch
from ..probe.signals import residual_flow
from .architecture import SHORTCUTS, arrow, text_box
from .curves import powers_of_ten
from .style import BLUE, GREY, ORANGE, PLAIN, RESIDUAL, SKY, Figure, course_style, look_of, new_chart, new_figure

FILL = {nn.Conv2d: SKY, nn.BatchNorm2d: "#E8E8E8", nn.ReLU: ORANGE}
NAMES = {"BatchNorm2d": "batch norm", "PadShortcut": "thin out, add zeros"}
FLOOR, CEILING = 1e-6, 1e6  # of signals and gradients; what lies beyond is drawn on the border


@course_style()
def block_diagrams(blocks: Mapping[str, nn.Module], *, title: str) -> Figure:
    """The modules of the package's blocks from top to bottom, in the order in which they run, and their shortcuts."""
    figure, panels = new_figure(1, len(blocks), width=2.6 * len(blocks), height=4.6, sharey=True, title=title)
    for axes, (name, block) in zip(panels, blocks.items(), strict=True):
        draw_block(axes, *block_parts(block))
        axes.set_title(name, fontsize=11, loc="center")
    return figure


def block_parts(block: nn.Module) -> tuple[list[nn.Module], list[nn.Module] | None]:
    """Modules of the branch in the order in which they run, and those of the shortcut; None without a shortcut."""
    used: list[tuple[str, nn.Module]] = []
    channels = next(module.in_channels for module in block.modules() if isinstance(module, nn.Conv2d))
    with watch(block, None, lambda name, module, _: used.append((name, module))), torch.no_grad(), eval_mode(block):
        isolated_forward(block, torch.zeros(1, channels, 8, 8))
    branch = [module for name, module in used if not name.startswith(SHORTCUTS)]
    around = [module for name, module in used if name.startswith(SHORTCUTS) and not isinstance(module, nn.Identity)]
    return branch, around if any(hasattr(block, name) for name in SHORTCUTS) else None


def words(module: nn.Module) -> str:
    """What to write into a module's box."""
    if isinstance(module, nn.Conv2d):
        stride = "" if module.stride == (1, 1) else f", /{module.stride[0]}"
        return f"{module.kernel_size[0]}×{module.kernel_size[1]}, {module.out_channels}{stride}"
    return NAMES.get(type(module).__name__, type(module).__name__)


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
            circle = {"boxstyle": "circle,pad=0.15", "fc": BLUE, "ec": BLUE}
            axes.text(0, -row, step, ha="center", va="center", weight="bold", color="white", bbox=circle)
            axes.plot([0.2, 1.5, 1.5], [0, 0, -row], color=BLUE, lw=2, solid_joinstyle="round")
            arrow(axes, (1.5, -row), (0.17, -row), colour=BLUE)
            text = "\n".join(map(words, around or [])) or "identity"
            room = {"fc": "white", "ec": BLUE if around else "none", "pad": 3}
            axes.text(1.5, -row / 2, text, ha="center", va="center", fontsize=9, rotation=90, bbox=room)
        else:
            colour = FILL.get(type(step), "white")
            text_box(axes, 0, -row, words(step), size=(1.9, 0.54), colour=colour, fontsize=9)
    arrow(axes, (0, -len(steps) - 0.34), (0, -len(steps) - 0.74))
    axes.text(0, -len(steps) - 1.05, "out", ha="center", va="center", style="italic")


@course_style()
def errors_without(removed: Mapping[str, Mapping[str, float]], whole: Mapping[str, float], *, title: str) -> Figure:
    """Test error without one block, for each block in turn; a broken line marks the whole network, a grey one guessing.

    `removed` is what `probe.block_removal` measured, `whole` the test error of the whole network, both in percent.
    Names of plain nets begin with "plain".
    """
    x, y = "block taken out (stage.block)", "test error (%)"
    figure, axes = new_chart(width=8.4, height=3.6, title=title, x=x, y=y)
    for name, errors in removed.items():
        plain = name.startswith("plain")
        colour, dash = (PLAIN, ":") if plain else (RESIDUAL, "--")
        places = [place - 0.1 * plain for place in range(len(errors))]  # side by side
        axes.vlines(places, whole[name], list(errors.values()), color=colour, lw=1, alpha=0.4)
        axes.plot(places, list(errors.values()), **look_of(colour, ls=""), label=f"{name} less a block")
        axes.axhline(whole[name], color=colour, ls=dash, lw=1, label=f"{name}, whole")
    names = list(next(iter(removed.values())))
    step = max(1, len(names) // 9)  # no more labels than fit
    axes.set_xticks(range(0, len(names), step), [name.removeprefix("layer") for name in names[::step]])
    axes.axhline(90, color=GREY, lw=0.8)
    axes.text(len(names) - 1, 89, "guessing", color=GREY, fontsize=8, ha="right", va="top")
    axes.set_ylim(0, 100)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)
    return figure


@course_style()
def paths_and_lengths(*, blocks: int = 27) -> Figure:
    """Three blocks as their eight paths (left), and how long the paths through more blocks are (right)."""
    title = f"Three blocks are eight paths, and {blocks} blocks are {2**blocks:,}"
    figure, (left, right) = new_figure(1, 2, width=9.0, height=3.9, title=title, width_ratios=(1.25, 1))
    for row, chosen in enumerate(sorted(product((False, True), repeat=3), key=sum)):
        arrow(left, (0, -row), (4.1, -row), colour=GREY)
        for place, through in enumerate(chosen, start=1):
            if through:
                text_box(left, place, -row, f"F{'₁₂₃'[place - 1]}", size=(0.5, 0.6), colour=SKY, fontsize=9)
        left.text(4.9, -row, f"{sum(chosen)}", ha="center", va="center", color=BLUE, weight="bold")
    left.text(4.9, 0.9, "length", ha="center", color=BLUE)
    for x, word in ((-0.15, "x"), (4.3, "+")):
        left.plot([x, x], [0.3, -7.3], color="black", lw=1)
        left.text(x, 0.9, word, ha="center", style="italic")
    left.set(xlim=(-0.4, 5.4), ylim=(-7.6, 1.6))
    left.set_axis_off()
    shares = [100 * comb(blocks, length) / 2**blocks for length in range(blocks + 1)]
    right.bar(range(blocks + 1), shares, color=BLUE)
    right.set(xlabel="length: blocks that the path goes through", ylabel=f"share of the {2**blocks:,} paths (%)")
    right.grid(visible=False, axis="x")
    return figure


@course_style()
def signal_and_gradient(
    *, depth: int = 20, residual: bool = True, batch_norm: bool = False, gain: float = 1.0
) -> Figure:
    """Size of the signal (left) and of the gradient (right) at each block of an untrained stack.

    The options are those of `probe.residual_flow`: blocks, whether x is added and F(x) normalised, factor of F(x).
    """
    flow = residual_flow(depth, residual=residual, batch_norm=batch_norm, gain=gain)
    kind = "ReLU(F(x) + x)" if residual else "ReLU(F(x))"
    norm = "with batch norm" if batch_norm else "without batch norm"
    title = f"{depth} blocks {kind}, gain {gain:g}, {norm}"
    figure, (left, right) = new_figure(1, 2, sharey=True, title=title)
    colour = RESIDUAL if residual else PLAIN
    draw_flow(left, flow.signal, colour, "signal", ls="-")
    draw_flow(right, flow.gradient, colour, "gradient", ls="-")
    left.set(title=f"Signal: {flow.signal[-1]:.2g}", xlabel="block", ylabel="size (rms)")
    right.set(title=f"Gradient: {flow.gradient[0]:.2g}", xlabel="block")
    return figure


def draw_flow(axes: Axes, values: Sequence[float], colour: str, name: str, **look: str) -> None:
    """One line, on a logarithmic axis with fixed ends; where nothing is left at all it ends in a cross."""
    inside = [min(max(value, FLOOR), CEILING) if value else nan for value in values]
    every = max(1, len(values) // 10)
    axes.plot(range(len(values)), inside, **look_of(colour, **look), markevery=every, label=name)
    if gone := [place for place, value in enumerate(values) if not value]:
        axes.plot(gone[0] if gone[-1] == len(values) - 1 else gone[-1], FLOOR, color=colour, marker="X", ms=9, ls="")
    powers_of_ten(axes)
    axes.set(xlim=(-0.05 * len(values), 1.05 * len(values)), ylim=(FLOOR / 3, CEILING * 3))
    axes.axhline(1, color=GREY, lw=0.8, zorder=0)
