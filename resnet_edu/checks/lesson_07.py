"""The checks of lesson 07: residual blocks, the paths they open, and what a net does without one of them."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from itertools import accumulate
from math import comb
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..models import BasicBlock, Bottleneck as PackageBottleneck, CifarNet, PadShortcut, ResidualBlock, ResNet
from .exercise import Call, exercise
from .module import module_exercise
from .values import listed, mapping, number, seen, tensor

R = torch.relu


def values_and_freedom(model: nn.Module) -> dict[str, Any]:
    """All that "leave everything else as it is" means."""
    free = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    return {**model.state_dict(), "requires_grad": free}


@exercise(
    "07.1 start as the identity",
    calls=lambda: [
        Call(ResNet(BasicBlock, (2, 2, 1, 2), width=4, num_classes=3)),
        Call(ResNet(PackageBottleneck, (2, 1, 2, 1), width=4, num_classes=3, stem="small")),
    ],
    returns=seen("the network", nn.Module, values_and_freedom),
    may_change=("model",),
    mistakes={
        "Nothing has changed. The biases of the batch norms are 0 already: it is the last one's *weight* that scales "
        "F.": {"_layers": []},
        "That is the batch norm of the shortcut: it stands last in the block's list of modules, but not in the branch. "
        "Now x is blocked where the shape changes, and the branches are as they were.":
            {"_layers": ["downsample.1"], "_where": lambda name: name[5:] in ("2.0", "3.0", "4.0")},
        "You zeroed all batch norms of the branch. Then the last one sees nothing but zeros, gets no gradient, and the "
        "branch never wakes up. Zero the last one only.": {"_layers": ["bn1", "bn2", "bn{}"]},
        "You zeroed the first batch norm of the branch. Take the last: nothing comes after it but the addition.":
            {"_layers": ["bn1"]},
        "A bottleneck has three batch norms: its last one is `bn3`.": {"_layers": ["bn2"]},
        "You zeroed the last convolution. That switches the branch off too, but the last batch norm was meant.":
            {"_layers": ["conv{}"]},
        "You left out the blocks that change the shape. Their branch is to start at zero as well.":
            {"_layers": ["bn{}"], "_where": lambda name: not name.endswith(".0")},
    },
)  # fmt: skip
def start_as_identity(
    model: nn.Module, *, _layers: Sequence[str] = ("bn{}",), _where: Callable[[str], bool] = lambda name: True
) -> nn.Module:
    """Every branch is switched off, in basic blocks and in bottlenecks, and nothing else has changed."""
    for name, block in model.named_modules():
        if isinstance(block, BasicBlock | PackageBottleneck) and _where(name):
            last = 3 if isinstance(block, PackageBottleneck) else 2
            for layer in _layers:
                nn.init.zeros_(block.get_parameter(f"{layer.format(last)}.weight"))
    return model


@module_exercise(
    "07.2 bottleneck with a projection",
    calls=lambda: [Call(16, 4), Call(6, 4, 1), Call(24, 6, stride=2)],
    inputs=lambda in_channels, channels, stride: [(3, in_channels, 8, 6), (2, in_channels, 5, 7)],
    own_relus=True,
    mistakes={
        "Nothing is added: F(x) alone comes out.": lambda m, x: R(m.branch(x)),
        "F(x) and what you add to it have different shapes. Where the stride is 2 or the input doesn't have 4 · "
        "channels, fit x to F(x) with a 1×1 convolution and a batch norm.": {"_shortcut": "none"},
        "Where the shape stays, x needs no projection. Leave it as it is: it costs nothing.": {"_shortcut": "always"},
        "The shortcut's batch norm is missing. Put one after its 1×1 convolution, too.": {"_norm": False},
        "The shortcut's convolution should be 1×1: it mixes channels and looks at no neighbours.": {"_around": 3},
        "You keep all 4 · channels throughout. The first convolution goes *down* to `channels`.": {"_down": 1},
        "The stride belongs in the 3×3 convolution: a 1×1 with stride 2 would skip three pixels in four.":
            {"_stride_first": True},
        "You added x after the ReLU. In the paper the ReLU comes after the addition.":
            lambda m, x: R(m.branch(x)) + m.around(x),
        "The last ReLU is missing: it comes after the addition.": lambda m, x: m.branch(x) + m.around(x),
        "A ReLU cuts off what the shortcut brings. Add it as it is: the ReLU comes after the addition.":
            lambda m, x: R(m.branch(x) + R(m.around(x))),
        "The ReLU before the 3×3 convolution is not used.": lambda m, x: R(m.end(m.bn1(m.conv1(x))) + m.around(x)),
    },
)  # fmt: skip
class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 and the identity: shapes, values and gradients are right, with and without a projection."""

    def __init__(
        self, in_channels: int, channels: int, stride: int = 1, *, _shortcut: str = "where needed", _down: int = 4,
        _stride_first: bool = False, _norm: bool = True, _around: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        out, inner = 4 * channels, 4 * channels // _down
        first, second = (stride, 1) if _stride_first else (1, stride)
        self.conv1 = nn.Conv2d(in_channels, inner, 1, first, bias=False)
        self.conv2 = nn.Conv2d(inner, inner, 3, second, 1, bias=False)
        self.conv3 = nn.Conv2d(inner, out, 1, bias=False)
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(inner), nn.BatchNorm2d(inner), nn.BatchNorm2d(out)
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.around: nn.Module = nn.Identity()
        needed = stride == 2 or in_channels != out
        if _shortcut == "always" or (needed and _shortcut != "none"):
            projection = nn.Conv2d(in_channels, out, _around, stride, _around // 2, bias=False)
            self.around = nn.Sequential(projection, nn.BatchNorm2d(out) if _norm else nn.Identity())

    def end(self, x: Tensor) -> Tensor:
        return self.bn3(self.conv3(self.relu2(self.bn2(self.conv2(x)))))

    def branch(self, x: Tensor) -> Tensor:
        return self.end(self.relu1(self.bn1(self.conv1(x))))

    def forward(self, x: Tensor) -> Tensor:
        return self.relu3(self.branch(x) + self.around(x))


def padded(x: Tensor, before: int, behind: int) -> Tensor:
    return F.pad(x, (0, 0, 0, 0, before, behind))


def halves(x: Tensor, channels: int) -> Tensor:
    """New channels around those of x, whatever its side."""
    return padded(x, (channels - x.shape[1]) // 2, (channels - x.shape[1] + 1) // 2)


def thinned(x: Tensor) -> Tensor:
    return x[:, :, ::2, ::2]


@exercise(
    "07.3 option A",
    calls=lambda: [Call(torch.randn(n, c, h, w), out) for n, c, h, w, out in
                   ((2, 4, 8, 6, 8), (3, 3, 5, 7, 8), (2, 2, 4, 4, 6), (1, 4, 3, 3, 4))],
    returns=tensor(),
    gradients=True,
    mistakes={
        "The side is not halved, or the rows alone are thinned out. Take every second row and every second column: "
        "`x[:, :, ::2, ::2]`.": [halves, lambda x, c: halves(x[:, :, ::2], c)],
        "The channels are missing: pad with zeros up to `out_channels`.": lambda x, c: thinned(x),
        "All the zeros come after the old channels. The paper leaves the place open; this course puts half of them in "
        "front, as the published weights need it.": lambda x, c: padded(thinned(x), 0, c - x.shape[1]),
        "Nearly: where the number of new channels is odd, the one that is left over goes at the end.":
            lambda x, c: padded(thinned(x), (c - x.shape[1] + 1) // 2, (c - x.shape[1]) // 2),
        "You average four pixels. Option A takes one of them as it is.":
            lambda x, c: halves(F.avg_pool2d(x, 2, ceil_mode=True), c),
        "You begin with the second pixel. Begin with the first: `::2`, not `1::2`.":
            lambda x, c: halves(x[:, :, 1::2, 1::2], c),
        "The new channels repeat the old ones. They are zeros: nothing is invented.":
            lambda x, c: thinned(x[:, torch.arange(c) % x.shape[1]]),
    },
)  # fmt: skip
def option_a(x: Tensor, out_channels: int) -> Tensor:
    """Every second row and column, zeros in the new channels: x passes without a parameter, its gradient as well."""
    return PadShortcut(x.shape[1], out_channels)(x)


def paths(blocks: int) -> list[int]:
    return [comb(blocks, length) for length in range(blocks + 1)]


@exercise(
    "07.4 path lengths",
    calls=lambda: [Call(n) for n in (1, 2, 3, 5, 9, 27, 54)],
    returns=listed("a list of whole numbers", number("a list of whole numbers", tolerance=1e-12)),
    mistakes={
        "A length is missing. The shortest path passes by every block, so it has length 0; the longest goes through "
        "all.": [lambda n: paths(n)[1:], lambda n: paths(n)[:-1]],
        "Those are shares of all paths. Return how many there are: do not divide by 2ⁿ.":
            lambda n: [count / 2**n for count in paths(n)],
        "You count the paths of this length *or less*. Count those of exactly this length.":
            lambda n: list(accumulate(paths(n))),
        "You double at each length. 2ᵏ counts all paths through k blocks, whatever their length.":
            lambda n: [2**k for k in range(n + 1)],
        "You count layers. The length is the number of blocks that a path goes through.":
            lambda n: [0 if k % 2 else comb(n, k // 2) for k in range(2 * n + 1)],
    },
)  # fmt: skip
def path_lengths(blocks: int) -> list[int]:
    """The binomial coefficients, for 1 to 54 blocks: 27 blocks have 134,217,728 paths, most of medium length."""
    return paths(blocks)


def remains(block: ResidualBlock) -> nn.Module:
    return nn.Sequential(block.shortcut, nn.ReLU())


def silenced(block: ResidualBlock) -> ResidualBlock:
    block = deepcopy(block)
    nn.init.zeros_(block.bn2.weight)
    return block


def trained_nets() -> list[Call]:
    """Nets whose batch norms have weights and biases as after a training, and something to measure."""
    nets = [CifarNet(14, shortcut="B", width=4, in_channels=1).eval(), CifarNet(20, width=4, in_channels=1).eval()]
    for module in (module for net in nets for module in net.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.uniform_(module.weight, 0.3, 1.0)
        nn.init.normal_(module.bias)
    images = torch.randn(6, 1, 8, 8)
    return [Call(net, lambda model: model(images).square().mean().item()) for net in nets]


@exercise(
    "07.5 take a block out",
    calls=trained_nets,
    returns=mapping("a dictionary from names to numbers", number("one number for each block")),
    mistakes={
        "You measure the whole net each time. The block is still there: `model.set_submodule(name, …)` puts something "
        "else in its place.": {"_rest": lambda block: block},
        "A block's last ReLU stays. What remains is the shortcut *and* the ReLU after the addition.":
            {"_rest": lambda block: block.shortcut},
        "The branch still adds its last batch norm's bias: with a weight of zero, F(x) is the bias and not 0.":
            {"_rest": silenced},
        "You return how much is lost. Return what `measure` says about the net without the block.":
            {"_result": lambda found, whole: {name: value - whole for name, value in found.items()}},
        "The first block of each stage is missing. Its shortcut changes the shape and can stand alone as well.":
            {"_result": lambda found, whole: {name: value for name, value in found.items() if name[-2:] != ".0"}},
        "The keys are numbers. Take the blocks' names, as `model.named_modules()` gives them.":
            {"_result": lambda found, whole: dict(enumerate(found.values()))},
    },
)  # fmt: skip
def block_removal(
    model: nn.Module, measure: Callable[[nn.Module], float], *, _rest: Callable[[ResidualBlock], nn.Module] = remains,
    _result: Callable[[dict[str, float], float], Mapping[str, float]] = lambda found, whole: found,
) -> Mapping[str, float]:  # fmt: skip
    """Right for nets with shortcuts A and B, and the net is whole again at the end."""
    found = {}
    for name, block in list(model.named_modules()):
        if isinstance(block, ResidualBlock):
            model.set_submodule(name, _rest(block))
            found[name] = measure(model)
            model.set_submodule(name, block)
    return _result(found, measure(model))
