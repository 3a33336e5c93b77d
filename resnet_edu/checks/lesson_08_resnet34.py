"""The check of lesson 08 on ResNet-34: torchvision's names and shapes, then the values that the same weights give."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..models import BasicBlock, ResNet
from .block import randomise
from .expect import alike, difference, need_module_class
from .explain import kind_of
from .runner import NotYet, Wrong, check

SIGNATURE = "ResNet34(num_classes=1000, in_channels=3)"
BLOCKS = (3, 4, 6, 3)

Shapes = Mapping[str, tuple[int, ...]]


def same(x: Tensor) -> Tensor:
    """No change."""
    return x


def mean(x: Tensor) -> Tensor:
    """Global average pooling: `(N, C, H, W)` to `(N, C)`."""
    return x.mean(dim=(2, 3))


def pooled(x: Tensor) -> Tensor:
    """The stem's max pooling."""
    return F.max_pool2d(x, 3, 2, 1)


@torch.no_grad()
def resnet34(
    net: ResNet,
    x: Tensor,
    *,
    stem: tuple[int, int] = (2, 3),
    activation: Callable[[Tensor], Tensor] = torch.relu,
    pool: Callable[[Tensor], Tensor] = pooled,
    strides: tuple[int, ...] = (1, 2, 2, 2),
    reduce: Callable[[Tensor], Tensor] = mean,
    last: Callable[[Tensor], Tensor] = same,
) -> Tensor:
    """The oracle, on a net of the package in eval mode. The options make wrong variants of it."""
    x = pool(activation(net.bn1(F.conv2d(x, net.conv1.weight, None, *stem))))
    for name, stride in zip(("layer1", "layer2", "layer3", "layer4"), strides, strict=True):
        for index, block in enumerate(net.get_submodule(name).children()):
            assert isinstance(block, BasicBlock)
            if not index:
                block.conv1.stride = (stride, stride)
            if block.downsample is not None:
                projection = block.downsample[0]
                assert isinstance(projection, nn.Conv2d)
                projection.stride = (stride, stride)
            x = block(x)
    return last(net.fc(reduce(x)))


#: Options of `resnet34` that make a wrong net with the right weights, and what to say about it.
MISTAKES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"pool": same}, "The max pooling of the stem is missing: the stages work on maps of twice the side."),
    ({"activation": same}, "The ReLU of the stem is missing. It stands between `bn1` and the max pooling."),
    (
        {"pool": lambda x: F.max_pool2d(x, 2)},
        "The max pooling has windows of 2×2. It has 3×3 with stride 2 and padding 1, so that windows overlap.",
    ),
    ({"pool": lambda x: F.max_pool2d(x, 3, 2)}, "The max pooling has no padding. From 112 pixels it must lead to 56."),
    ({"pool": lambda x: F.avg_pool2d(x, 3, 2, 1)}, "The stem pools by the average. It takes the maximum."),
    ({"stem": (2, 0)}, "The first convolution has no padding. A 7×7 kernel takes 3, so that 224 pixels become 112."),
    ({"stem": (1, 3)}, "The first convolution has stride 1. It has stride 2: 224 pixels become 112."),
    ({"strides": (1, 1, 1, 1)}, "No stage halves the side. The first block of stages 2, 3 and 4 has stride 2."),
    ({"strides": (1, 2, 2, 1)}, "The last stage does not halve the side. It has stride 2 as stages 2 and 3 have."),
    ({"reduce": lambda x: x.amax(dim=(2, 3))}, "You end in a global max pooling. ResNet takes the average."),
    (
        {"last": lambda x: x.softmax(dim=1)},
        "You end with a softmax. Return the logits: cross-entropy applies the softmax itself.",
    ),
    ({"last": torch.relu}, "A ReLU follows the last layer. Logits may be negative: leave it off."),
)


@check("08.2 ResNet-34")
def check_resnet34(ResNet34: Any) -> str:  # noqa: N803 – the learner's class
    """`ResNet34(num_classes=1000, in_channels=3)`: images `(N, C, H, W)` to logits, with torchvision's names."""
    name = need_module_class(ResNet34, SIGNATURE, num_classes=7, in_channels=1)
    need_module_class(ResNet34, SIGNATURE)
    net, images = ResNet34(num_classes=7, in_channels=1), torch.randn(2, 1, 32, 64)
    wanted = package_net(num_classes=7, in_channels=1)
    try:
        need_logits(net(images), 7, name)
    except NotImplementedError:
        raise
    except RuntimeError as error:  # shapes do not fit: the names and sizes of the weights tell more
        need_shapes(net, wanted)
        if "1024x1 and" in str(error):  # maps of 1×1, taken for rows
            raise Wrong("`fc` gets (N, 512, 1, 1), and takes (N, 512): `.flatten(1)` is missing in front.") from None
        if "size is too small" in str(error) or "mat1 and mat2" in str(error):
            raise Wrong(
                "The pooling at the end is made for one side of the image only; here its maps are 1×2. "
                "`nn.AdaptiveAvgPool2d(1)` takes any."
            ) from None
        error.add_note(f"It was given images of shape {tuple(images.shape)}.")
        raise
    need_shapes(net, wanted)
    need_defaults(ResNet34, name)
    randomise(net)
    wanted.load_state_dict(net.state_dict())
    with torch.no_grad():
        got, right = net.eval()(images), resnet34(wanted.eval(), images)
        if not alike(got, right):
            for options, message in MISTAKES:
                if alike(got, resnet34(wanted, images, **options)):
                    raise Wrong(message)
            raise Wrong(f"All weights fit, what happens between them does not. In eval mode: {difference(got, right)}")
        resnet34(wanted, images)  # puts its strides right again
        if not alike(net.train()(images), wanted.train()(images), tolerance=1e-3):
            raise Wrong(
                "In eval mode the logits are right, in train mode not. Is there a dropout or a frozen batch norm?"
            )
    return "218 names as torchvision has them, 21,797,672 parameters with its defaults, and the same logits."


def package_net(*, num_classes: int, in_channels: int) -> ResNet:
    """The package's ResNet-34 without values: they will be the learner's."""
    with torch.device("meta"):
        net = ResNet(BasicBlock, BLOCKS, num_classes=num_classes, in_channels=in_channels)
    return net.to_empty(device="cpu")


def need_logits(out: object, classes: int, name: str) -> None:
    """Logits of two images.

    Raises:
        NotYet: nothing is returned.
        Wrong: it is something else.
    """
    if out is None or out is ...:
        raise NotYet
    if not isinstance(out, Tensor):
        raise Wrong(f"Expected logits, a tensor of shape (N, num_classes), from `{name}`; got {kind_of(out)}.")
    if out.shape == (2, 1000):
        raise Wrong("`num_classes` is ignored: asked for 7 classes, the net returns 1000 logits.")
    if out.shape != (2, classes):
        raise Wrong(f"Expected logits of shape {(2, classes)} for two images, got {tuple(out.shape)}.")


def shapes_of(net: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of all parameters and buffers by name."""
    return {key: tuple(value.shape) for key, value in net.state_dict().items()}


def need_shapes(net: nn.Module, reference: nn.Module) -> None:
    """Every parameter and buffer has the reference's name and shape.

    Raises:
        Wrong: one has not; the likeliest cause is named.
    """
    got, wanted = shapes_of(net), shapes_of(reference)
    if got != wanted:
        raise Wrong(likely_fault(got, wanted))


def likely_fault(got: Shapes, wanted: Shapes) -> str:
    """Why names and shapes are not torchvision's."""
    if sorted(got.values()) == sorted(wanted.values()):
        at = next(mine for mine in got if mine not in wanted)
        lacking = next(key for key in wanted if key not in got)
        return f"All layers have the right size, but `{at}` has another name at torchvision: its first is `{lacking}`."
    if "layer1.0.conv3.weight" in got:
        return "The blocks are bottlenecks, with which 3, 4, 6, 3 make ResNet-50. ResNet-34 has `BasicBlock`s."
    blocks = tuple(len({key.split(".")[1] for key in got if re.match(rf"layer{n}\.\d+\.", key)}) for n in (1, 2, 3, 4))
    if all(blocks) and blocks != BLOCKS:
        alias = " That is ResNet-18." if blocks == (2, 2, 2, 2) else f" That makes {2 + 2 * sum(blocks)} layers."
        return f"The stages have {blocks} blocks; a ResNet-34 has {BLOCKS}.{alias}"
    if any("layer1.0.downsample" in key for key in got):
        return (
            "The first stage projects its shortcut. Max pooling has halved the side already: stride 1 and 64 channels."
        )
    stem = got.get("conv1.weight", ())
    if len(stem) == 4 and stem[1] != wanted["conv1.weight"][1]:
        return f"`in_channels` is ignored: asked for {wanted['conv1.weight'][1]}, `conv1` takes {stem[1]}."
    if len(stem) == 4 and stem[2:] != (7, 7):
        return f"`conv1` has a kernel of {stem[2]}×{stem[3]}. The stem of the paper has 7×7."
    if "conv1.bias" in got:
        return "`conv1` has a bias, which the batch norm behind it takes off again. Write `bias=False`."
    if "bn1.weight" not in got and "conv1.weight" in got:
        return "There is no `bn1`. Every convolution of a ResNet is followed by a batch norm, the first one too."
    if (head := got.get("fc.weight", wanted["fc.weight"])) != wanted["fc.weight"]:
        features = "" if head[1:] == (512,) else " After the global average pooling there are 512 features."
        return f"`fc` has a weight of shape {head}, expected {wanted['fc.weight']}.{features}"
    for key in wanted:
        if key in got and got[key] != wanted[key]:
            return f"`{key}` has shape {got[key]}, expected {wanted[key]}: the stages have 64, 128, 256, 512 filters."
    missing, more = [key for key in wanted if key not in got], [key for key in got if key not in wanted]
    words = [f"{what} `{keys[0]}`" for what, keys in (("lacks", missing), ("has, unlike torchvision's,", more)) if keys]
    return f"The net {' and '.join(words)}."


def need_defaults(ResNet34: Callable[..., nn.Module], name: str) -> None:  # noqa: N803 – the learner's class
    """Without arguments: 1000 classes, three channels.

    Raises:
        Wrong: something else.
    """
    with torch.device("meta"):  # names and shapes without memory
        shapes, wanted = shapes_of(ResNet34()), shapes_of(ResNet(BasicBlock, BLOCKS))
    if shapes != wanted:
        raise Wrong(
            f"`{name}()` without arguments should have 1000 classes and 3 channels: {likely_fault(shapes, wanted)}"
        )
