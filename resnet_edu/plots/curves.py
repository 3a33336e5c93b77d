"""Learning curves, and the pictures of the degradation experiment."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from ..history import History
from .style import BLUE, GREEN, GREY, ORANGE, PLAIN, PURPLE, RED, RESIDUAL, SKY, course_style, label, new_figure

if TYPE_CHECKING:
    import pandas

LINES = (
    (BLUE, "o", "-"),
    (RED, "s", "--"),
    (GREEN, "^", "-."),
    (ORANGE, "D", ":"),
    (PURPLE, "v", "-"),
    (SKY, "P", "--"),
)


def learning_curves(histories: Mapping[str, History], *, title: str = "Learning curves") -> Figure:
    """Training error on the left, test error on the right, one line a run, in percent over epochs."""
    with course_style():
        figure = new_figure(1, 2, height=3.3, sharey=True)
        for axes, part in zip(figure.axes, ("train", "test"), strict=True):
            for (name, history), (colour, marker, dash) in zip(histories.items(), LINES * 3, strict=False):
                epochs = [epoch.epoch for epoch in history.epochs]
                errors = [getattr(epoch, f"{part}_error") for epoch in history.epochs]
                axes.plot(epochs, errors, color=colour, marker=marker, linestyle=dash, label=name)
            label(
                axes,
                title=f"{part}ing" if part == "train" else part,
                x="epoch",
                y=f"{part}{'ing' * (part == 'train')} error (%)",
            )
            axes.set_ylim(bottom=0)
        figure.axes[0].legend()
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


def degradation(histories: Mapping[str, History], *, title: str = "Deeper, yet worse on the training set") -> Figure:
    """Training and test error of plain nets on the left, of residual nets on the right (He et al. 2015, figure 6).

    Args:
        histories: by name; names that begin with "plain" go left, all others right. Within a panel the first is
            drawn thin (shallow), the last thick (deep).
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(1, 2, height=3.6, sharey=True)
        groups = [[n for n in histories if n.startswith("plain")], [n for n in histories if not n.startswith("plain")]]
        for axes, names, colour, kind in zip(
            figure.axes, groups, (PLAIN, RESIDUAL), ("Plain nets", "Residual nets"), strict=True
        ):
            for name, weight, marker in zip(names, widths(len(names)), "oD^s", strict=False):
                epochs = histories[name].epochs
                steps = [epoch.epoch for epoch in epochs]
                axes.plot(
                    steps,
                    [e.train_error for e in epochs],
                    color=colour,
                    lw=weight,
                    marker=marker,
                    label=f"{name}, training",
                )
                axes.plot(
                    steps,
                    [e.test_error for e in epochs],
                    color=colour,
                    lw=weight,
                    ls=":",
                    alpha=0.75,
                    label=f"{name}, test",
                )
            label(axes, title=kind, x="epoch", y="error (%)")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.set_ylim(0, 100)
            axes.legend()
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


def widths(count: int) -> list[float]:
    """Line widths from thin (shallow) to thick (deep)."""
    return [1.4 + 1.8 * i / max(1, count - 1) for i in range(count)]


def depth_sweep(last: "pandas.DataFrame", *, part: str = "train", title: str | None = None) -> Figure:
    """Error after the last epoch against depth, one dot a run, a line through the means.

    Args:
        last: one row a run with columns `setting` (such as plain20 or resnet56), `seed` and `{part}_error`.
        part: "train" or "test".
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(height=3.8)
        (axes,) = figure.axes
        for kind, colour, marker in (("plain", PLAIN, "s"), ("resnet", RESIDUAL, "o")):
            rows = last[last["setting"].str.startswith(kind)]
            depth = rows["setting"].str.removeprefix(kind).astype(int)
            errors = rows[f"{part}_error"]
            axes.scatter(depth, errors, color=colour, marker=marker, s=26, alpha=0.55, linewidths=0)
            means = errors.groupby(depth).mean()
            name = "plain" if kind == "plain" else "residual"
            axes.plot(means.index, means.to_numpy(), color=colour, marker=marker, markersize=9, label=f"{name}, mean")
            axes.set_xticks(sorted(means.index))
        seeds = last["seed"].nunique()
        word = "training" if part == "train" else "test"
        message = title or f"Each layer more makes the plain net worse: {word} error, {seeds} seeds"
        label(axes, title=message, x="depth (layers with weights)", y=f"{word} error after the last epoch (%)")
        axes.set_ylim(bottom=0)
        axes.legend()
        return figure


def six_curves(curves: "pandas.DataFrame", *, order: Sequence[str] = "ABCDEF") -> Figure:
    """Six unnamed panels to read, training error solid and test error dotted; two nets in one panel are thin and thick.

    Args:
        curves: columns `curve` (A to F), `net`, `epoch`, `train_error`, `test_error`.
        order: which panel comes where.
    """
    with course_style():
        figure = new_figure(2, 3, width=8.4, height=5.0, sharey=True)
        for axes, name in zip(figure.axes, order, strict=True):
            panel = curves[curves["curve"] == name]
            nets = list(dict.fromkeys(panel["net"]))
            for net, weight, colour in zip(nets, widths(len(nets)), (BLUE, ORANGE), strict=False):
                rows = panel[panel["net"] == net]
                suffix = f", {net}" if len(nets) > 1 else ""
                axes.plot(rows["epoch"], rows["train_error"], color=colour, lw=weight, label=f"training{suffix}")
                axes.plot(rows["epoch"], rows["test_error"], color=colour, lw=weight, ls=":", label=f"test{suffix}")
            axes.axhline(90, color=GREY, lw=1, ls=(0, (1, 3)))
            label(axes, title=name, x="epoch", y="error (%)")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.set_ylim(0, 100)
            axes.legend(fontsize=8, loc="center right" if len(nets) > 1 else "best")
        return figure
