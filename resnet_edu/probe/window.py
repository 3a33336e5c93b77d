"""Follow a window of input pixels through every operation of a network, branches included.

`WindowMode` watches each torch function that runs and works out, from the windows of its inputs and its
options, the window of its output. It sees functions (`torch.cat`, `x + y`, `F.pad`) as well as modules.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from torch import Tensor
from torch.overrides import TorchFunctionMode


class Window(NamedTuple):
    """Along one axis, position i of a tensor depends on the pixels first + i · jump … last + i · jump.

    `side` is the number of positions: 1 for a flat tensor, which has no place left.
    """

    first: int
    last: int
    jump: int
    side: int

    def slide(self, *, kernel: int, stride: int, padding: int, dilation: int, side: int) -> "Window":
        """A kernel's window over this one: convolution and pooling."""
        first = self.first - padding * self.jump
        last = self.last + (dilation * (kernel - 1) - padding) * self.jump
        return Window(first, last, self.jump * stride, side)

    def whole(self, side: int = 1) -> "Window":
        """All positions taken together, seen alike by each of `side` positions."""
        return Window(self.first, self.last + (self.side - 1) * self.jump, 0, side)


def join(windows: Iterable[Window]) -> Window:
    """The smallest window that holds all: where paths meet.

    Raises:
        ValueError: the paths move over the image at different strides, so no regular window holds them.
    """
    windows = list(windows)
    side, jump = max(window.side for window in windows), max(window.jump for window in windows)
    if side == 1:
        return Window(min(w.first for w in windows), max(w.last for w in windows), jump, 1)
    # What every position sees alike (jump 0, or a single number for the whole map) must be in the first and the last.
    fixed = [window for window in windows if window.side == 1 or window.jump == 0]
    moving = [window for window in windows if window not in fixed]
    if len({(window.jump, window.side) for window in moving}) > 1:
        raise ValueError(
            f"Paths with different strides meet: {', '.join(f'jump {w.jump}, side {w.side}' for w in moving)}. "
            "A receptive field is defined where they agree."
        )
    jump = moving[0].jump if moving else 0
    first = min([w.first for w in moving] + [w.first - (side - 1) * jump for w in fixed])
    return Window(first, max(w.last for w in windows), jump, side)


#: Functions that use the whole map for each number they put out.
WHOLE_MAP = {"group_norm", "instance_norm", "layer_norm", "rms_norm"}

#: Functions after which a position no longer means the same place, though the side may be the same.
LOSES_PLACE = {
    "conv_transpose2d", "interpolate", "upsample", "grid_sample", "permute", "transpose", "swapaxes", "movedim", "flip",
    "roll", "rot90", "matmul", "bmm", "einsum", "scaled_dot_product_attention", "multi_head_attention_forward",
    "cumsum", "fold", "pixel_shuffle", "sort",
}  # fmt: skip


class WindowMode(TorchFunctionMode):
    """While active, notes the window of every tensor that descends from the images.

    Args:
        images: `(N, C, H, W)`; their own window is the single pixel.
        axis: -1 for the width, -2 for the height.
    """

    def __init__(self, images: Tensor, *, axis: int) -> None:
        super().__init__()
        self.axis = axis
        self.noted: dict[int, tuple[Tensor, Window]] = {}  # by id; the tensor is kept, so that no other gets its id
        self.note(images, Window(0, 0, 1, images.shape[axis]))

    def note(self, tensor: Tensor, window: Window) -> None:
        """Remember a tensor's window."""
        self.noted[id(tensor)] = (tensor, window)

    def window(self, value: object) -> Window | None:
        """The window noted for a tensor, None for anything else."""
        return self.noted[id(value)][1] if id(value) in self.noted else None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Called by torch in place of each function."""
        kwargs = kwargs or {}
        before = [window for window in map(self.window, flat((*args, *kwargs.values()))) if window is not None]
        result = func(*args, **kwargs)
        for tensor in flat([result]):
            if isinstance(tensor, Tensor) and before:
                self.note(tensor, self.after(func.__name__, before, args, kwargs, tensor))
        return result

    def after(self, name: str, before: list[Window], args: Any, kwargs: Any, result: Tensor) -> Window:
        """The window after one function."""
        side = result.shape[self.axis] if result.ndim == 4 else 1
        window = join(before)
        if name == "conv2d":
            stride, padding, dilation = options(args, kwargs, 3, stride=1, padding=0, dilation=1)
            kernel = (kwargs["weight"] if "weight" in kwargs else args[1]).shape[self.axis]
            return self.slide(window, kernel, stride, padding, dilation, side)
        if name in ("max_pool2d", "avg_pool2d"):
            kernel, stride, padding = options(args, kwargs, 1, kernel_size=1, stride=None, padding=0)
            dilation = options(args, kwargs, 4, dilation=1)[0] if name == "max_pool2d" else 1
            return self.slide(window, kernel, stride or kernel, padding, dilation, side)
        if name.startswith("adaptive_") and side > 1:
            if window.side % side:
                return window.whole(side)
            return self.slide(window, window.side // side, window.side // side, 0, 1, side)
        if name == "pad" and result.ndim == 4:
            before_first = (args[1] if len(args) > 1 else kwargs["pad"])[-2 * (self.axis + 1) :][:1]
            return self.slide(window, 1, 1, before_first[0] if before_first else 0, 1, side)
        if name == "__getitem__" and result.ndim == 4 and all(isinstance(i, slice) for i in args[1]):
            taken = (*args[1], *[slice(None)] * (4 - len(args[1])))[self.axis]
            start, _, step = taken.indices(window.side)
            return self.slide(window, 1, step, -start, 1, side)
        if name in WHOLE_MAP:
            return join([window, window.whole()])
        if result.ndim != 4 or (side == 1 and window.side > 1):  # flattened, or a mean over the whole axis
            return window.whole()
        if name in LOSES_PLACE or side != window.side or (name == "linear" and result.ndim == 4):
            raise ValueError(
                f"Cannot follow the receptive field through {name!r}, which puts out {tuple(result.shape)}."
            )
        return window

    def slide(self, window: Window, kernel: Any, stride: Any, padding: Any, dilation: Any, side: int) -> Window:
        """`Window.slide` with options as torch takes them: a number, a pair, or padding by name."""
        kernel, stride, dilation = (self.along(value) for value in (kernel, stride, dilation))
        if isinstance(padding, str):
            padding = dilation * (kernel - 1) // 2 if padding == "same" else 0
        return window.slide(kernel=kernel, stride=stride, padding=self.along(padding), dilation=dilation, side=side)

    def along(self, value: Any) -> int:
        """An option for this axis: of a pair (height, width) the one that belongs to it."""
        if isinstance(value, int):
            return value
        return value[self.axis] if len(value) > 1 else value[0]


def flat(values: Iterable[Any]) -> Iterable[Any]:
    """The values themselves, and those inside lists and tuples."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from flat(value)
        else:
            yield value


def options(args: Any, kwargs: Any, first: int, **defaults: Any) -> list[Any]:
    """Values of consecutive arguments, from position `first`, whether given by place, by name or not at all."""
    return [
        args[first + i] if len(args) > first + i else kwargs.get(name, default)
        for i, (name, default) in enumerate(defaults.items())
    ]
