"""The recorded degradation study: curves by depth and kind of net, one view at a time or all at once."""

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import GREY, PLAIN, RESIDUAL, course_style, label, new_figure

if TYPE_CHECKING:
    import pandas


def depth_and_skip(epochs: "pandas.DataFrame", *, depth: int = 56, skip: bool = False) -> Figure:
    """Curves of one net over its seeds, training error left, test error right; the 20-layer plain net in grey.

    Args:
        epochs: one row per run and epoch, with columns `setting`, `seed`, `epoch`, `train_error`, `test_error`.
        depth: 20, 32, 44 or 56.
        skip: residual (True) or plain.
    """
    name = f"{'resnet' if skip else 'plain'}{depth}"
    with course_style():
        figure = new_figure(1, 2, height=3.5, sharey=True)
        for axes, part in zip(figure.axes, ("train", "test"), strict=True):
            draw_runs(axes, epochs, "plain20", part, GREY)
            draw_runs(axes, epochs, name, part, RESIDUAL if skip else PLAIN)
            word = "training" if part == "train" else "test"
            label(axes, title=word.capitalize(), x="epoch", y=f"{word} error (%)")
            axes.set_ylim(0, 100)
            axes.legend()
        final = epochs[epochs["setting"] == name].groupby("seed").tail(1)["train_error"]
        message = f"{'Residual' if skip else 'Plain'}, {depth} layers: training error {final.mean():.1f} %"
        figure.suptitle(f"{message} (mean of {len(final)} runs)", x=0.01, ha="left", weight="bold")
        return figure


def depth_and_skip_grid(epochs: "pandas.DataFrame") -> Figure:
    """The static twin: training error of every depth, plain above and residual below."""
    depths = (20, 32, 44, 56)
    with course_style():
        figure = new_figure(2, 4, width=8.6, height=4.4, sharex=True, sharey=True)
        for index, axes in enumerate(figure.axes):
            skip, depth = divmod(index, 4)
            draw_runs(axes, epochs, f"{'resnet' if skip else 'plain'}{depths[depth]}", "train", (PLAIN, RESIDUAL)[skip])
            axes.set_title(f"{'residual' if skip else 'plain'} {depths[depth]}", fontsize=11)
            axes.set_ylim(0, 100)
            if skip:
                axes.set_xlabel("epoch")
            if depth == 0:
                axes.set_ylabel("training error (%)")
        runs = epochs["seed"].nunique()
        message = f"Depth hurts plain nets and leaves residual nets unharmed ({runs} runs each, mean thick)"
        figure.suptitle(message, x=0.01, ha="left", weight="bold")
        return figure


def draw_runs(axes: Axes, epochs: "pandas.DataFrame", name: str, part: str, colour: str) -> None:
    """Every run as a thin line, their mean as a thick one."""
    rows = epochs[epochs["setting"] == name]
    for _, run in rows.groupby("seed"):
        axes.plot(run["epoch"], run[f"{part}_error"], color=colour, lw=0.8, alpha=0.5)
    mean = rows.groupby("epoch")[f"{part}_error"].mean()
    axes.plot(mean.index, mean.to_numpy(), color=colour, lw=2.6, label=name)
