"""How a module is judged: any style with the same layers passes; what differs, in either mode, is told in words."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu.checks.exercise import Call
from resnet_edu.checks.module import ModuleExercise, module_exercise


@pytest.fixture
def block(monkeypatch: pytest.MonkeyPatch) -> ModuleExercise:
    """The exercise to build two convolutions with a batch norm and a ReLU."""
    monkeypatch.setattr("resnet_edu.checks.exercise.REGISTRY", {})
    check = module_exercise(
        "99.4 block",
        calls=lambda: [Call(3), Call(4)],
        inputs=lambda channels: [(3, channels, 6, 5), (2, channels, 7, 7)],
        mistakes={"There is no ReLU.": lambda block, x: block.second(block.norm(block.first(x)))},
    )
    return check(Block)


class Block(nn.Module):
    """Right in both modes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 4, 3, padding=1, bias=False)
        self.norm, self.relu = nn.BatchNorm2d(4), nn.ReLU()
        self.second = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Any:
        return self.second(self.relu(self.norm(self.first(x))))


class OtherStyle(nn.Module):
    """Layers in another order, by other names; a ReLU in place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.last = nn.Conv2d(4, 2, 1)
        self.stem = nn.Sequential(nn.Conv2d(channels, 4, 3, padding="same", bias=False), nn.BatchNorm2d(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.stem(x), inplace=True))


class WithBias(Block):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.first = nn.Conv2d(channels, 4, 3, padding=1)


class WithParameter(Block):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.scale = nn.Parameter(torch.ones(1))


class OneMore(Block):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.third = nn.Conv2d(4, 4, 1)


def computing(forward: Any) -> type[Block]:
    """The right layers, and something else between them."""
    return type("Block", (Block,), {"forward": forward})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Block, "Right in both modes."),
        (OtherStyle, "Right in both modes."),
        (computing(lambda self, x: self.second(self.norm(self.first(x)))), "There is no ReLU."),
        (computing(lambda self, x: self.second(self.relu(self.first(x)))), "`norm` is defined and not used"),
        (
            computing(lambda self, x: Block.forward(self.norm.eval() and self, x)),  # right in evaluation only
            "what happens between them is not. In train mode",
        ),
        (
            computing(lambda self, x: Block.forward(self, x) + (len(x) == 1)),
            "what happens between them is not. In eval mode, for a tensor of shape (1, 3, 6, 5)",
        ),
        (computing(lambda self, x: Block.forward(self, x.detach())), "no gradient reaches the input"),
        (
            computing(lambda self, x: self.second(self.relu(self.norm(self.first(x))).detach())),
            "no gradient reaches `first.weight`",
        ),
        (computing(lambda self, x: Block.forward(self, x.mul_(1.01))), "changes the tensor it is given"),
        (computing(lambda self, x: Block.forward(self, x)[:, :1]), "got shape (3, 1, 6, 5)"),
        (computing(lambda self, x: (Block.forward(self, x), x)), "Expected a tensor from `Block`, got the tuple"),
        (computing(lambda self, x: Block.forward(self, x).view(7, -1)), "raised RuntimeError"),
        (computing(lambda self, x: None), "Nothing to judge yet."),
        (WithBias, "`first` has a bias, which the batch norm after it cancels."),
        (WithParameter, "`scale` is a parameter outside of any layer."),
        (OneMore, "Your module defines 3 × convolution; it needs 2."),
        (Block(3), "Hand over the class itself, without calling it."),
        (nn.Conv2d, "cannot be called that way"),
    ],
)
def test_what_differs_is_told_in_words(block: ModuleExercise, answer: Any, words: str) -> None:
    assert words in block(answer).message
