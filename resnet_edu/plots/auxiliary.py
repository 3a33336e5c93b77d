"""What auxiliary heads do to the gradient of the first layer, and what the pixels of a map vote for."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from .style import BLUE, RED, course_style, label, new_figure


def gradient_with_and_without(norms: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, title: str) -> Figure:
    """A pair of points for each seed: the gradient without auxiliary heads, and with them; logarithmic.

    Args:
        norms: by setting, the norms without and with heads, in the same order of seeds.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(width=7.5, height=3.6)
        (axes,) = figure.axes
        for place, (without, with_heads) in enumerate(norms.values()):
            for index, pair in enumerate(zip(without, with_heads, strict=True)):
                x = place + 0.12 * (index - (len(without) - 1) / 2)
                first = place == index == 0
                axes.plot([x, x], pair, color="#BBBBBB", lw=1.5, zorder=1)
                axes.plot(x, pair[0], color=RED, marker="s", ls="", label="without heads" if first else None)
                axes.plot(x, pair[1], color=BLUE, marker="o", ls="", label="with heads" if first else None)
        axes.set_yscale("log")
        axes.set_xticks(range(len(norms)), list(norms))
        axes.set_xlim(-0.5, len(norms) - 0.5)
        label(axes, title=title, x="", y="gradient norm, first layer")
        axes.grid(visible=False, axis="x")
        axes.legend()
        return figure


def votes(image: Tensor, maps: Mapping[str, Tensor], *, title: str) -> Figure:
    """An image and, beside it, what each place of it says for or against some classes.

    Args:
        image: `(H, W)`.
        maps: by class, `(h, w)`; white is zero, red for, blue against, on one scale.
        title: the figure's message.
    """
    maps = {name: values.detach().cpu() for name, values in maps.items()}
    high = max(float(values.abs().max()) for values in maps.values())
    with course_style():
        figure = new_figure(1, 1 + len(maps), width=2.0 * (1 + len(maps)), height=2.75)
        picture, *others = figure.axes
        picture.imshow(image.detach().cpu().numpy(), cmap="gray", interpolation="nearest")
        picture.set_title("image", fontsize=10, loc="center", weight="normal")
        drawn = None
        for axes, (name, values) in zip(others, maps.items(), strict=True):
            drawn = axes.imshow(values.numpy(), cmap="RdBu_r", vmin=-high, vmax=high, interpolation="nearest")
            axes.set_title(f"votes for {name}", fontsize=10, loc="center", weight="normal")
        for axes in figure.axes:
            axes.set_axis_off()
        if drawn is not None:
            figure.colorbar(drawn, ax=others, shrink=0.8, label="vote")
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure
