"""Lesson 07: blocks drawn from the modules themselves, and signal and gradient through a stack of them."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from torch import nn

from ..models.modes import eval_mode
from ..probe.activations import isolated_forward, watch
from ..probe.signals import residual_flow
from .architecture import SHORTCUTS, arrow, text_box
from .curves import draw_lines, powers_of_ten
from .style import BLUE, GREEN, GREY, ORANGE, PLAIN, RESIDUAL, SKY, Figure, course_style, look_of, new_chart, new_figure

FILL = {nn.Conv2d: SKY, nn.BatchNorm2d: "#E8E8E8", nn.ReLU: ORANGE}
NAMES = {"BatchNorm2d": "batch norm", "PadShortcut": "thin out, add zeros"}
FLOOR, CEILING = 1e-6, 1e6  # of signals and gradients; what lies beyond is drawn on the border
GAINS = {0.0: GREEN, 0.5: ORANGE, 1.0: BLUE}


@course_style()
def block_diagrams(blocks: Mapping[str, nn.Module], *, title: str) -> Figure:
    """Each block's modules from top to bottom in the order in which they run, the shortcut beside them.

    Args:
        blocks: plain or residual blocks of the package, by the name to write above them.
    """
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
            arrow(axes, (1.5, -row), (0.3, -row), colour=BLUE)
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

    Args:
        removed: what `probe.block_removal` measured, by network; percent. Names of plain nets begin with "plain".
        whole: test error of the whole network, by network; percent.
    """
    x, y = "block taken out (stage.block)", "test error (%)"
    figure, axes = new_chart(height=3.6, title=title, x=x, y=y)
    for name, errors in removed.items():
        colour, dash = (PLAIN, ":") if name.startswith("plain") else (RESIDUAL, "--")
        draw_lines(axes, {f"{name} less a block": list(errors.values())}, colours=[colour], ls="-")
        axes.axhline(whole[name], color=colour, ls=dash, lw=1, label=f"{name}, whole")
    names = list(next(iter(removed.values())))
    step = max(1, len(names) // 9)  # no more labels than fit
    axes.set_xticks(range(0, len(names), step), [name.removeprefix("layer") for name in names[::step]])
    axes.axhline(90, color=GREY, lw=0.8)
    axes.text(len(names) - 1, 89, "guessing", color=GREY, fontsize=8, ha="right", va="top")
    axes.set_ylim(0, 100)
    axes.legend(loc="center right", fontsize=8)
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


@course_style()
def signal_and_gradient_grid() -> Figure:
    """The static twin: plain and residual, without and with batch norm, three gains each."""
    columns = [(residual, batch_norm) for batch_norm in (False, True) for residual in (False, True)]
    title = "With the addition, a branch that is switched off lets everything pass"
    figure, panels = new_figure(2, 4, width=9.0, height=4.8, sharex=True, sharey=True, title=title, x="block")
    for upper, lower, (residual, batch_norm) in zip(panels[:4], panels[4:], columns, strict=True):
        for gain, colour in GAINS.items():
            flow = residual_flow(20, residual=residual, batch_norm=batch_norm, gain=gain)
            draw_flow(upper, flow.signal, colour, f"gain {gain:g}")
            draw_flow(lower, flow.gradient, colour, f"gain {gain:g}")
        upper.set_title(f"{'residual' if residual else 'plain'}{', batch norm' if batch_norm else ''}", fontsize=11)
    panels[0].set_ylabel("signal (rms)")
    panels[4].set_ylabel("gradient (rms)")
    panels[1].legend(fontsize=8)
    return figure


def draw_flow(axes: Axes, values: Sequence[float], colour: str, name: str, **look: str) -> None:
    """One line, on a logarithmic axis with fixed ends."""
    inside = [min(max(value, FLOOR), CEILING) for value in values]
    every = max(1, len(values) // 10)
    axes.plot(range(len(values)), inside, **look_of(colour, **look), markevery=every, label=name)
    powers_of_ten(axes)
    axes.set_ylim(FLOOR / 3, CEILING * 3)
    axes.axhline(1, color=GREY, lw=0.8, zorder=0)
