"""The recorded degradation study: curves by depth and kind of net, one view at a time or all at once."""

from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..history import History
from ..study import Recorded
from .curves import PART, PARTS, Part, draw_error, error_of
from .style import GREY, PLAIN, RESIDUAL, course_style, label, new_figure

DEPTHS = (20, 32, 44, 56)


def depth_and_skip(study: Recorded, *, depth: int = 56, skip: bool = False) -> Figure:
    """Curves of one net over its seeds, training error left, test error right; the 20-layer plain net in grey.

    Args:
        study: the recorded study `mnist5k-degradation`.
        depth: 20, 32, 44 or 56.
        skip: residual (True) or plain.
    """
    name = setting(depth, skip=skip)
    with course_style():
        figure = new_figure(1, 2, height=3.5, sharey=True)
        for axes, part in zip(figure.axes, PARTS, strict=True):
            draw_runs(axes, study.of("plain20"), part, GREY, "plain20")
            draw_runs(axes, study.of(name), part, RESIDUAL if skip else PLAIN, name)
            label(axes, title=PART[part].capitalize(), x="epoch", y=f"{PART[part]} error (%)")
            axes.set_ylim(0, 100)
            axes.legend()
        final = [run.last.train_error for run in study.of(name)]
        message = f"{'Residual' if skip else 'Plain'}, {depth} layers: training error {mean(final):.1f} %"
        figure.suptitle(f"{message} (mean of {len(final)} runs)", x=0.01, ha="left", weight="bold")
        return figure


def depth_and_skip_grid(study: Recorded) -> Figure:
    """The static twin: training error of every depth, plain above and residual below."""
    with course_style():
        figure = new_figure(2, len(DEPTHS), width=8.6, height=4.4, sharex=True, sharey=True)
        for index, axes in enumerate(figure.axes):
            skip, depth = index >= len(DEPTHS), DEPTHS[index % len(DEPTHS)]
            draw_runs(axes, study.of(setting(depth, skip=skip)), "train", RESIDUAL if skip else PLAIN, "mean")
            axes.set_title(f"{'residual' if skip else 'plain'} {depth}", fontsize=11)
            axes.set_ylim(0, 100)
            axes.set_xlabel("epoch" if skip else "")
        for axes in figure.axes[:: len(DEPTHS)]:
            axes.set_ylabel("training error (%)")
        message = f"Depth hurts plain nets and leaves residual nets unharmed ({len(study.seeds)} runs each, mean thick)"
        figure.suptitle(message, x=0.01, ha="left", weight="bold")
        return figure


def setting(depth: int, *, skip: bool) -> str:
    """What the study calls the net."""
    return f"{'resnet' if skip else 'plain'}{depth}"


def draw_runs(axes: Axes, runs: list[History], part: Part, colour: str, name: str) -> None:
    """Every run as a thin line, their mean as a thick one."""
    for run in runs:
        draw_error(axes, run, part, color=colour, lw=0.8, alpha=0.5)
    passes = list(zip(*(run.epochs for run in runs), strict=True))
    means = [mean(error_of(epoch, part) for epoch in epochs) for epochs in passes]
    axes.plot([epochs[0].epoch for epochs in passes], means, color=colour, lw=2.6, label=name)
