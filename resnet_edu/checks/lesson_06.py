"""The checks of lesson 06: the plain block, the line that repairs it, the construction, and six curves to read."""

from collections.abc import Callable
from contextlib import ExitStack
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from ..history import History
from ..models.cifar import CifarNet, PlainBlock as PackagePlainBlock, ResidualBlock, extend_with_identity as construct
from ..study import load_study
from .exercise import Call, exercise
from .module import module_exercise
from .result import NotYet, Wrong, kind_of
from .values import Returns, seen

R = torch.relu

# --- 06.1 plain block -------------------------------------------------------------------------------------------

SHORTCUT = "You add x: this is a residual block already. The plain block has no shortcut."
PLAIN_MISTAKES = {
    SHORTCUT:
        [lambda m, x: R(m.branch(x) + x), lambda m, x: R(m.branch(x) + x) if m.keeps else R(m.branch(x))],
    "You add x after the last ReLU. The plain block has no shortcut at all.":
        [lambda m, x: R(m.branch(x)) + x, lambda m, x: R(m.branch(x)) + x if m.keeps else R(m.branch(x))],
    "The ReLU comes before the batch norm. The paper's order is convolution, batch norm, ReLU.":
        lambda m, x: m.bn2(R(m.conv2(m.bn1(R(m.conv1(x)))))),
    "Batch norm and ReLU come before the convolutions. That is the pre-activation of 2016; here they follow.":
        {"_forward": lambda m, x: m.conv2(R(m.bn2(m.conv1(R(m.bn1(x)))))), "_norm_first": True},
    "The batch norms come before the convolutions. Each follows its convolution.":
        {"_forward": lambda m, x: R(m.conv2(m.bn2(R(m.conv1(m.bn1(x)))))), "_norm_first": True},
    "The last ReLU is missing.":
        lambda m, x: m.branch(x),
    "The ReLU between the two halves is missing: without it, two convolutions are no more than one.":
        lambda m, x: R(m.bn2(m.conv2(m.bn1(m.conv1(x))))),
    "Neither ReLU is used.":
        lambda m, x: m.bn2(m.conv2(m.bn1(m.conv1(x)))),
    "Neither batch norm is used.":
        lambda m, x: R(m.conv2(R(m.conv1(x)))),
    "The second batch norm is not used.":
        lambda m, x: R(m.conv2(R(m.bn1(m.conv1(x))))),
    "The first batch norm is not used.":
        lambda m, x: R(m.bn2(m.conv2(R(m.conv1(x))))),
    "Only the first half is used: convolution, batch norm, ReLU come twice.":
        lambda m, x: R(m.bn1(m.conv1(x))),
}  # fmt: skip


@module_exercise(
    "06.1 plain block",
    calls=lambda: [Call(4, 4), Call(4, 8, 2), Call(3, 5, stride=1)],
    inputs=lambda in_channels, channels, stride: [(3, in_channels, 8, 6), (2, in_channels, 5, 7)],
    mistakes=PLAIN_MISTAKES,
)
class PlainBlock(PackagePlainBlock):
    """Convolution, batch norm, ReLU, twice; shapes, values and gradients are right, in train and in eval mode."""

    def __init__(
        self, in_channels: int, channels: int, stride: int = 1, *, _norm_first: bool = False, _forward: Any = None
    ) -> None:
        super().__init__(in_channels, channels, stride)
        self.keeps, self.other = stride == 1 and in_channels == channels, _forward
        if _norm_first:
            self.bn1 = nn.BatchNorm2d(in_channels)

    def branch(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self, x) if self.other else self.relu2(self.branch(x))


# --- 06.2 repair plain-56 ---------------------------------------------------------------------------------------

REPAIR_MISTAKES = {
    "Nothing is added: the block is still plain. One line before the last ReLU is missing.":
        lambda m, x: R(m.branch(x)),
    "You added x after the ReLU. In the paper the ReLU comes after the addition.":
        lambda m, x: R(m.branch(x)) + m.shortcut(x),
    "You add x before the second batch norm, which then rescales the identity. Add it after.":
        lambda m, x: R(m.bn2(m.conv2(m.half(x)) + m.shortcut(x))),
    "The last ReLU is missing: it comes after the addition.":
        lambda m, x: m.branch(x) + m.shortcut(x),
    "You subtract x. The block is F(x) + x.":
        lambda m, x: R(m.branch(x) - m.shortcut(x)),
    "You multiply by x. The block is F(x) + x.":
        lambda m, x: R(m.branch(x) * m.shortcut(x)),
    "You add `out` to itself. What is added is the block's input, x.":
        lambda m, x: R(2 * m.branch(x)),
    "You take the mean of F(x) and x. The identity passes whole: F(x) + x.":
        lambda m, x: R((m.branch(x) + m.shortcut(x)) / 2),
    "You add ReLU(x). The identity passes as it is.":
        lambda m, x: R(m.branch(x) + m.shortcut(R(x))),
    "You add the output of the first half. What is added is the block's input, x.":
        lambda m, x: R(m.bn2(m.conv2(h := m.half(x))) + h),
    "You add x in the middle, before the first ReLU. The shortcut goes around both convolutions.":
        lambda m, x: R(m.bn2(m.conv2(R(m.bn1(m.conv1(x)) + m.shortcut(x))))),
    "You add x in the middle, after the first ReLU. The shortcut goes around both convolutions.":
        lambda m, x: R(m.bn2(m.conv2(m.half(x) + m.shortcut(x)))),
    "x is added twice. Once is enough.":
        lambda m, x: R(m.branch(x) + 2 * m.shortcut(x)),
    "Right where the shape stays. Where the block halves the side and doubles the channels, x does not fit: add "
    "`self.shortcut(x)` in place of x.":
        [lambda m, x: R(m.branch(x) + x), lambda m, x: R(m.branch(x) + x if m.keeps else m.branch(x))],
    "The repair brings new parameters. Then one could say that the net is better because it is larger. The shortcut of "
    "option A has none.":
        {"_option": "B"},
}  # fmt: skip


@module_exercise(
    "06.2 repair plain-56",
    calls=lambda: [Call(4, 4), Call(4, 8, 2)],
    inputs=lambda in_channels, channels, stride: [(3, in_channels, 8, 6), (2, in_channels, 12, 4)],
    names=True,
    mistakes=REPAIR_MISTAKES,
)
class RepairedBlock(ResidualBlock):
    """F(x) + x, then the ReLU: with this one line plain-56 becomes ResNet-56, with as many parameters."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1, *, _option: Any = "A") -> None:
        super().__init__(in_channels, channels, stride, _option)
        self.keeps = stride == 1

    def half(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.relu1(self.bn1(self.conv1(x)))

    def branch(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.half(x)))


# --- 06.3 identity extension ------------------------------------------------------------------------------------


def images_for(net: nn.Module) -> Tensor:
    """The same images every time, with as many channels as the net takes."""
    conv = next(part for part in net.modules() if isinstance(part, nn.Conv2d))
    return torch.randn(4, conv.in_channels, 12, 8, generator=torch.Generator().manual_seed(1))


def look(net: nn.Module) -> dict[str, Any]:
    """What a deep net is judged by; the new blocks' weights are free, as long as they let everything pass."""
    images, layers = images_for(net), list[nn.Module]()
    with ExitStack() as hooks, torch.no_grad():
        for part in net.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                hooks.callback(part.register_forward_pre_hook(lambda part, _: layers.append(part)).remove)
        logits = net.eval()(images)
    net.zero_grad(set_to_none=True)
    loss = net.train()(images).square().sum()
    if loss.requires_grad:
        loss.backward()
    return {
        "layers with weights": len(layers),
        "layers that are used again": len(layers) - len(set(layers)),
        "residual blocks": sum(isinstance(part, ResidualBlock) for part in net.modules()),
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "parameters that are frozen or get no gradient": sum(p.grad is None for p in net.parameters()),
        "logits in eval mode": logits,
    }


def built(
    change: Callable[[CifarNet, list[PackagePlainBlock]], object] = lambda deep, new: None,
    *, exact: bool = True, copied: Callable[[str], bool] = lambda name: True, **options: Any,
) -> Callable[[CifarNet, int], nn.Module]:  # fmt: skip
    """The construction with something forgotten, or changed at its end: `change` gets the net and its new blocks."""

    def extend(shallow: CifarNet, depth: int) -> nn.Module:
        weight, blocks = shallow.conv1.weight, len(shallow.layer1)
        deep = CifarNet(depth, width=weight.shape[0], in_channels=weight.shape[1], **{"residual": False, **options})
        state = {name: value for name, value in shallow.state_dict().items() if copied(name)}
        deep.load_state_dict(state, strict=False)
        new: Any = [block for stage in (deep.layer1, deep.layer2, deep.layer3) for block in stage[blocks:]]
        for conv, norm in [pair for block in new for pair in ((block.conv1, block.bn1), (block.conv2, block.bn2))]:
            nn.init.dirac_(conv.weight)
            nn.init.constant_(norm.weight, (1 + norm.eps) ** 0.5 if exact else 1.0)
        change(deep, new)
        return deep

    return extend


def set_convolutions(value: Callable[[Tensor], object]) -> Callable[[CifarNet, list[PackagePlainBlock]], None]:
    return lambda deep, new: [value(conv.weight) for block in new for conv in (block.conv1, block.conv2)] and None  # pyright: ignore[reportReturnType]


def with_identities(deep: CifarNet, new: list[PackagePlainBlock]) -> None:
    for stage in (deep.layer1, deep.layer2, deep.layer3):
        for name, block in stage.named_children():
            if block in new:
                setattr(stage, name, nn.Identity())


def one_block(deep: CifarNet, new: list[PackagePlainBlock]) -> None:
    for stage in (deep.layer1, deep.layer2, deep.layer3):
        own = [name for name, block in stage.named_children() if block in new]
        for name in own[1:]:
            setattr(stage, name, stage.get_submodule(own[0]))


EXTENSION_MISTAKES = {
    "The net you return still has as many layers with weights as the shallow net. Build a new net of the asked depth "
    "from real blocks. An `nn.Identity` has no weights, so nothing of it could be trained.":
        [lambda shallow, depth: shallow, built(with_identities)],
    "The deep net is residual. The argument is about plain nets: `CifarNet(depth, residual=False, …)`.":
        built(lambda deep, new: [nn.init.zeros_(block.bn2.weight) for block in new], residual=True),
    "A layer is used more than once. Every layer of a deeper net has weights of its own.":
        built(one_block),
    "Some weights are frozen (`requires_grad` is False). All of the deep net must be free to learn.":
        built(lambda deep, new: deep.requires_grad_(False)),
    "The running statistics of the shallow net are not copied. They are buffers, not parameters: `state_dict()` has "
    "both.":
        built(copied=lambda name: "running" not in name),
    "The outputs differ: `linear` of the shallow net is not in the deep one. Copy all of its weights.":
        built(copied=lambda name: not name.startswith("linear")),
    "The new convolutions are all zeros, so nothing passes. In a plain net they must pass x on.":
        built(set_convolutions(nn.init.zeros_)),
    "The outputs differ: a new convolution is no identity. Its kernel is 1 at the centre of the filter's own channel "
    "and 0 elsewhere, for both convolutions of a block; see `nn.init.dirac_`.":
        [lambda shallow, depth: fresh_blocks(shallow, depth), built(set_convolutions(nn.init.ones_))],
    "Nearly: the outputs agree, but not to 1e-05. Batch norm divides by the root of running_var + eps, so each of the "
    "new ones shrinks its input a little. Choose running_var or weight so that it cancels.":
        built(exact=False),
}  # fmt: skip


def fresh_blocks(shallow: CifarNet, depth: int) -> CifarNet:
    """The shallow net's weights, and new blocks as they are made."""
    weight = shallow.conv1.weight
    deep = CifarNet(depth, residual=False, width=weight.shape[0], in_channels=weight.shape[1])
    deep.load_state_dict(shallow.state_dict(), strict=False)
    return deep


@torch.no_grad()
def plain_net(depth: int, channels: int) -> CifarNet:
    """A small plain net whose batch norms have seen data, with logits that are not small."""
    net = CifarNet(depth, residual=False, width=4, in_channels=channels)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.uniform_(0.7, 1.4)
            module.bias.uniform_(-0.2, 0.6)
    nn.init.normal_(net.get_parameter("linear.weight"), std=1.0)
    for _ in range(10):
        net(torch.randn(8, channels, 12, 8))
    return net


@torch.no_grad()
def need_plain(answer: Callable[..., Any]) -> None:
    """No way around a convolution: with one of them set to zero, all images get the same logits; nothing is shared."""
    shallow = plain_net(8, 1)
    deep = answer(shallow, 14).eval()
    if {p.data_ptr() for p in shallow.parameters()} & {p.data_ptr() for p in deep.parameters()}:
        raise Wrong("The two nets share weights, so training one would change the other. Copy the values.")
    for layer in (part for part in deep.modules() if isinstance(part, nn.Conv2d)):
        weight = layer.weight.clone()
        layer.weight.zero_()
        logits = deep(images_for(deep))
        layer.weight.copy_(weight)
        if not torch.allclose(logits, logits[:1].expand_as(logits), rtol=1e-4, atol=1e-4):
            raise Wrong(
                "There is a shortcut in the deep net: with one convolution set to zero, the image still gets through. "
                "A plain net has none."
            )


@exercise(
    "06.3 identity extension",
    calls=lambda: [Call(plain_net(8, 1), 14), Call(plain_net(14, 3), 26), Call(plain_net(8, 1), 56)],
    returns=seen("the deep net, an `nn.Module`", nn.Module, look, tolerance=1e-5),
    mistakes=EXTENSION_MISTAKES,
    finally_=need_plain,
)
def extend_with_identity(shallow: CifarNet, depth: int) -> nn.Module:
    """Same outputs at 14, 26 and 56 layers, and every weight can be trained.

    So a deep net at least as good exists; the question is whether SGD finds it.
    """
    return construct(shallow, depth, images=images_for(shallow))


# --- 06.4 read six curves ---------------------------------------------------------------------------------------

#: The right answers. Reading on spoils the exercise.
KEY = {
    "A": "overfitting",
    "B": "learning rate too low",
    "C": "degradation",
    "D": "labels shuffled",
    "E": "healthy",
    "F": "learning rate too high",
}

#: For each diagnosis, what a panel would show, and what the one that has it does show.
SIGNS = {
    "overfitting": (
        "overfitting would show a training error near zero and a test error well above it",
        "the training error goes to zero, the test error stays far above it, yet well below chance",
    ),
    "learning rate too low": (
        "with too low a rate both errors would fall smoothly and hardly get anywhere",
        "both errors creep down without a jump and are still high at the end",
    ),
    "degradation": (
        "degradation would show two depths, the deeper net with the higher training error",
        "there are two nets, and the deeper one is worse on the training set as well",
    ),
    "labels shuffled": (
        "with shuffled labels the test error would stay at chance, 90 %, while the training error falls",
        "the training error falls, but the test error stays at guessing among ten digits",
    ),
    "healthy": (
        "a healthy run would end with both errors low and close together",
        "both errors end low and close together",
    ),
    "learning rate too high": (
        "with too high a rate the errors would jump, or never leave chance",
        "the training error itself does not come down",
    ),
}


def compared(answer: Any) -> dict[str, str]:
    """The diagnoses, if all are right; else each wrong one is told by what its panel would show."""
    if not isinstance(answer, dict):
        raise Wrong(f"Expected a dict from letter to diagnosis, got {kind_of(answer)}.")
    if unknown := [key for key in answer if key not in KEY]:
        raise Wrong(f"The panels are called A to F; {unknown[0]!r} is none of them.")
    missing = [letter for letter in KEY if answer.get(letter) in (None, ..., "")]
    if missing == list(KEY):
        raise NotYet
    if missing:
        raise Wrong(f"No diagnosis yet for {', '.join(missing)}.")
    read = {letter: " ".join(str(answer[letter]).lower().split()) for letter in KEY}
    for letter, words in read.items():
        if words not in SIGNS:
            nearest = get_close_matches(words, SIGNS, n=1)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
            known = ", ".join(sorted(SIGNS))
            raise Wrong(f"{letter}: {answer[letter]!r} is no diagnosis.{hint} Choose from: {known}.")
    mixed_up = [
        f"{letter}: {SIGNS[words][0]}. Here {SIGNS[KEY[letter]][1]}."
        for letter, words in read.items()
        if words != KEY[letter]
    ]
    if mixed_up:
        raise Wrong("\n".join([f"{len(KEY) - len(mixed_up)} of {len(KEY)} are right.", *mixed_up]))
    return read


@exercise("06.4 read six curves", calls=lambda: [Call()], returns=Returns(compared), mistakes={})
def read_curves() -> dict[str, str]:
    """All six. The training error tells degradation from overfitting: look at it first."""
    return dict(KEY)


def six_curves() -> dict[str, dict[str, History]]:
    """The six panels of the exercise, from the recorded study "six-curves": the runs of each by net, A to F.

    Raises:
        ValueError: the study is not recorded; the message has the command that makes it.
    """
    study = load_study("six-curves")
    panels: dict[str, dict[str, History]] = {letter: {} for letter in KEY}
    letters = {diagnosis: letter for letter, diagnosis in KEY.items()}
    for label, setting in study.settings.items():
        (run,) = study.of(label)
        panels[letters[label.split(":")[0]]][setting["model"]] = run
    return panels
