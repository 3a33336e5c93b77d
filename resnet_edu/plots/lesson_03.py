"""Lesson 03: how the window of one number grows from layer to layer, and where a network's costs sit."""

from collections.abc import Mapping
from typing import NamedTuple

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from torch import Tensor, nn

from ..probe.receptive import ReceptiveField, receptive_field
from ..probe.summary import LayerSummary, Summary
from .images import bare, frame
from .style import BLUE, GREY, ORANGE, course_style, new_figure

#: Positions of a row that are drawn one by one; more become a bar.
MOST_DOTS = 40
#: The settings of the static twin, by title.
SETTINGS = {
    "one 5×5": {"kernel": 5, "layers": 1},
    "two 3×3": {"kernel": 3, "layers": 2},
    "one 7×7": {"kernel": 7, "layers": 1},
    "three 3×3": {"kernel": 3, "layers": 3},
    "four 3×3, pooling after two": {"kernel": 3, "layers": 4, "pool_every": 2},
    "four 3×3, first stride 2": {"kernel": 3, "layers": 4, "first_stride": 2},
}


class Row(NamedTuple):
    """One layer on the way from the image to a single number.

    `field` is what one of its positions sees; `needed` are the positions of it that the single number at the end needs.
    """

    name: str
    field: ReceptiveField
    needed: int


def conv_stack(*, kernel: int = 3, layers: int = 3, first_stride: int = 1, pool_every: int = 0) -> nn.Sequential:
    """Convolutions without padding, each with one filter, and a 2×2 max pooling after every `pool_every` of them."""
    net = nn.Sequential()
    for index in range(1, layers + 1):
        net.append(nn.Conv2d(1, 1, kernel, stride=first_stride if index == 1 else 1))
        if pool_every and index % pool_every == 0:
            net.append(nn.MaxPool2d(2))
    return net


def rows_of(net: nn.Sequential) -> list[Row]:
    """The image and every layer, first to last; sizes and jumps from `probe.receptive_field`."""
    steps = [(along(module.kernel_size), along(module.stride)) for module in net]  # type: ignore[arg-type]
    needed = [1]
    for kernel, stride in reversed(steps):
        needed.insert(0, (needed[0] - 1) * stride + kernel)
    fields = receptive_field(net, (1, needed[0], needed[0]))  # an image just large enough for one number
    rows = [Row("image", ReceptiveField("image", "image", size=1, jump=1, start=0.0, side=needed[0]), needed[0])]
    for (kernel, stride), field, count in zip(steps, fields, needed[1:], strict=True):
        kind = "pool" if field.kind == "MaxPool2d" else "conv"
        rows.append(Row(f"{kind} {kernel}×{kernel}" + (f" /{stride}" if stride > 1 else ""), field, count))
    return rows


def along(option: int | tuple[int, ...]) -> int:
    """A layer's option along one axis."""
    return option if isinstance(option, int) else option[0]


def receptive_growth(
    image: Tensor, *, kernel: int = 3, layers: int = 3, first_stride: int = 1, pool_every: int = 0
) -> Figure:
    """On the left the pixels that one number needs, layer by layer; on the right the windows laid on a photo.

    Args:
        image: `(H, W)` or `(3, H, W)`, 0 to 255.
        kernel: side of every kernel.
        layers: number of convolutions.
        first_stride: stride of the first of them; the others have 1.
        pool_every: a 2×2 max pooling after every so many convolutions; 0 for none.
    """
    net = conv_stack(kernel=kernel, layers=layers, first_stride=first_stride, pool_every=pool_every)
    rows = rows_of(net)
    with course_style():
        figure = new_figure(1, 2, width=9.0, height=4.2, width_ratios=[1.5, 1])
        left, right = figure.axes
        draw_cone(left, rows)
        draw_windows(right, image, rows)
        size, jump = rows[-1].field.size, rows[-1].field.jump
        plural = "s" if jump > 1 else ""
        message = f"One number sees {size}×{size} pixels; its neighbour's window lies {jump} pixel{plural} on"
        figure.suptitle(message, x=0.01, ha="left", weight="bold")
        return figure


def receptive_growth_grid() -> Figure:
    """The static twin: six stacks, each with the pixels that its last number needs."""
    with course_style():
        figure = new_figure(3, 2, width=9.0, height=8.4)
        for axes, (title, setting) in zip(figure.axes, SETTINGS.items(), strict=True):
            rows = rows_of(conv_stack(**setting))
            draw_cone(axes, rows)
            axes.set_title(f"{title}: {rows[-1].field.size} pixels", fontsize=11)
        message = "Two 3×3 see what one 5×5 sees; pooling and strides widen the steps"
        figure.suptitle(message, x=0.01, ha="left", weight="bold")
        return figure


def colour_of(index: int, rows: list[Row]) -> tuple[float, ...]:
    """Dark for the first layer, bright for the last; the same for all readers' eyes."""
    return colormaps["viridis"](0.85 * index / max(1, len(rows) - 1))


def draw_cone(axes: Axes, rows: list[Row]) -> None:
    """The image at the bottom, the single number at the top; dots are positions, pixels run from left to right."""
    half = (rows[0].needed - 1) / 2
    for index, row in enumerate(rows):
        reach = (row.needed - 1) / 2 * row.field.jump
        if index:
            below = (rows[index - 1].needed - 1) / 2 * rows[index - 1].field.jump
            corners = [(-below, index - 1), (below, index - 1), (reach, index), (-reach, index)]
            axes.add_patch(Polygon(corners, closed=True, fc=colour_of(index, rows), alpha=0.18, lw=0))
        colour = colour_of(index, rows)
        if row.needed <= MOST_DOTS:
            places = [-reach + i * row.field.jump for i in range(row.needed)]
            axes.plot(
                places, [index] * row.needed, ls="", marker="s", markersize=5 if row.needed <= 20 else 3, color=colour
            )
        else:
            axes.plot([-reach, reach], [index, index], lw=5, color=colour, solid_capstyle="butt")
        if index:
            text = f"sees {row.field.size}, jump {row.field.jump}"
            axes.text(half * 1.12 + 0.6, index, text, va="center", fontsize=9)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlim(-half - 0.8, half * 1.9 + 1)
    axes.set_xticks([])
    axes.grid(visible=False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xlabel(f"{rows[0].needed} pixels of the image", loc="left")


def draw_windows(axes: Axes, image: Tensor, rows: list[Row]) -> None:
    """The window of each layer's middle position, around the middle of the photo."""
    height, width = image.shape[-2:]
    pixels = image if image.ndim == 2 else image.movedim(0, -1)
    axes.imshow(pixels.numpy(), vmin=0, vmax=255)
    for index, row in enumerate(rows):
        if index:
            size = row.field.size
            corner = (width / 2 - size / 2 - 0.5, height / 2 - size / 2 - 0.5)
            colour = colour_of(index, rows)
            axes.add_patch(Rectangle(corner, size, size, fill=False, ec=colour, lw=2))
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    bare(axes, edge=GREY)
    inside = rows[-1].field.size <= min(height, width)
    axes.set_title(
        f"on a photo of {height}×{width}" if inside else f"larger than a photo of {height}×{width}", fontsize=11
    )


def seen_pixels(maps: Mapping[str, Tensor], *, title: str) -> Figure:
    """Size of a gradient at each pixel, largest set to 1, with a frame around the pixels where it is not zero.

    Args:
        maps: `(H, W)` each, not negative, by the name of the net.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(1, len(maps), width=2.4 * len(maps), height=3.1)
        for axes, (name, sizes) in zip(figure.axes, maps.items(), strict=True):
            axes.imshow((sizes / sizes.max()).numpy(), cmap="viridis", vmin=0, vmax=1)
            rows, columns = (sizes > 0).any(dim=1).nonzero(), (sizes > 0).any(dim=0).nonzero()
            side = int(rows.max() - rows.min()) + 1
            frame(axes, float(rows.min()), float(columns.min()), side, ORANGE)
            axes.set_title(f"{name}\n{side}×{int(columns.max() - columns.min()) + 1} pixels", fontsize=11)
            bare(axes)
        figure.colorbar(figure.axes[0].images[0], ax=figure.axes, label="size of the gradient, largest = 1", shrink=0.7)
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


POOLINGS = ("MaxPool2d", "AvgPool2d")


class NamedLayer(NamedTuple):
    """A layer with weights, called as the papers call it: `conv3_2` is the second of stage 3, `fc6` a linear one."""

    name: str
    row: LayerSummary

    @property
    def is_linear(self) -> bool:
        """Whether it is a linear layer."""
        return self.row.kind == "Linear"


def named_layers(costs: Summary) -> list[NamedLayer]:
    """The layers with weights that ran, in order; each pooling begins a new stage, and linear layers go on counting.

    Args:
        costs: what `probe.summary` says about a network that is one chain of layers.
    """
    layers: list[NamedLayer] = []
    stage, index = 1, 0
    for row in costs.rows:
        if row.kind in POOLINGS:
            stage, index = stage + 1, 0
        elif row.kind == "Conv2d":
            index += 1
            layers.append(NamedLayer(f"conv{stage}_{index}", row))
        elif row.kind == "Linear":
            layers.append(NamedLayer(f"fc{stage}", row))
            stage += 1
    return layers


def layer_costs(costs: Summary, *, title: str) -> Figure:
    """Parameters, numbers put out and multiply-adds of each layer with weights, from the first at the top.

    Args:
        costs: what `probe.summary` returns for one image.
        title: the figure's message.
    """
    layers = named_layers(costs)
    colours = [ORANGE if layer.is_linear else BLUE for layer in layers]
    quantities = {
        "parameters (millions)": [layer.row.parameters / 1e6 for layer in layers],
        "numbers put out (millions)": [layer.row.activation_bytes / 4e6 for layer in layers],
        "multiply-adds (billions)": [layer.row.macs / 1e9 for layer in layers],
    }
    with course_style():
        figure = new_figure(1, 3, width=9.0, height=0.22 * len(layers) + 1.5, sharey=True)
        for axes, (quantity, values) in zip(figure.axes, quantities.items(), strict=True):
            axes.barh([layer.name for layer in layers], values, color=colours)
            linear = sum(value for value, layer in zip(values, layers, strict=True) if layer.is_linear)
            axes.set_title(f"linear layers: {share(linear, sum(values))}", fontsize=11, color="#8A5A00")
            axes.set_xlabel(quantity)
            axes.grid(visible=False, axis="y")
        figure.axes[0].invert_yaxis()
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


def share(part: float, whole: float) -> str:
    """A share in percent, with one decimal where it is small."""
    percent = 100 * part / whole
    return f"{percent:.0f} %" if percent >= 1 else f"{percent:.1g} %"
