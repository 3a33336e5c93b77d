"""Answers to the exercises of lesson 04 on the inception block and the average head."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import checks, models
from resnet_edu.models.googlenet import ConvBlock

from . import Exercise

# --- 04.3 inception block ---------------------------------------------------------------------------------------


class Block(nn.Module):
    def __init__(
        self, in_channels: int, one: int, three_reduced: int, three: int, five_reduced: int, five: int, pool: int
    ) -> None:
        super().__init__()
        self.branch1 = ConvBlock(in_channels, one, 1)
        self.branch2 = nn.Sequential(ConvBlock(in_channels, three_reduced, 1), ConvBlock(three_reduced, three, 3))
        self.branch3 = nn.Sequential(ConvBlock(in_channels, five_reduced, 1), ConvBlock(five_reduced, five, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), ConvBlock(in_channels, pool, 1))

    def parts(self, x: Tensor) -> list[Tensor]:
        return [self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)]

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(self.parts(x), 1)


class Stub(nn.Module):
    def __init__(
        self, in_channels: int, one: int, three_reduced: int, three: int, five_reduced: int, five: int, pool: int
    ) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError("not yet")


def changed(name: str, **parts):
    """A block with other branches, each made from the sizes by its name."""

    class Changed(Block):
        def __init__(
            self, in_channels: int, one: int, three_reduced: int, three: int, five_reduced: int, five: int, pool: int
        ) -> None:
            super().__init__(in_channels, one, three_reduced, three, five_reduced, five, pool)
            for branch, make in parts.items():
                setattr(self, branch, make(in_channels, one, three_reduced, three, five_reduced, five, pool))

    Changed.__name__ = name
    return Changed


def pooling(*args, kind: type[nn.Module] = nn.MaxPool2d):
    return lambda i, a, b3, b, c5, c, d: nn.Sequential(kind(*args), ConvBlock(i, d, 1))


class OtherOrder(Block):
    def forward(self, x: Tensor) -> Tensor:
        one, three, five, pool = self.parts(x)
        return torch.cat([one, five, three, pool], 1)


class OtherDimension(Block):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(self.parts(x))


class Added(Block):
    def forward(self, x: Tensor) -> Tensor:
        one, three, five, pool = self.parts(x)
        return one + three + five + pool


class Chained(Block):
    def forward(self, x: Tensor) -> Tensor:
        one = self.branch1(x)
        three = self.branch2(one)
        return torch.cat([one, three, self.branch3(three), self.branch4(x)], 1)


class NoFourth(Block):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(self.parts(x)[:3], 1)


class NotPooled(Block):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([*self.parts(x)[:3], self.branch4[1](x)], 1)


class Averaged(Block):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(self.parts(x), 1) / 4


class Detached(Block):
    def forward(self, x: Tensor) -> Tensor:
        one, three, five, pool = self.parts(x)
        return torch.cat([one, three.detach(), five, pool], 1)


class OtherNames(Block):
    def __init__(
        self, in_channels: int, one: int, three_reduced: int, three: int, five_reduced: int, five: int, pool: int
    ) -> None:
        super().__init__(in_channels, one, three_reduced, three, five_reduced, five, pool)
        self.pooled = self.branch4
        del self.branch4

    def parts(self, x: Tensor) -> list[Tensor]:
        return [self.branch1(x), self.branch2(x), self.branch3(x), self.pooled(x)]


class Bare(nn.Sequential):
    """A convolution without batch norm, its name as in the block."""

    def __init__(self, in_channels: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.add_module("0", nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2))
        self.add_module("1", nn.ReLU())


def at(*places):
    """Channels taken from the sizes by their places, and a kernel."""
    return [lambda *sizes, place=place: (sizes[place[0]], sizes[place[1]], place[2]) for place in places]


def two(first, second):
    return lambda *sizes: nn.Sequential(ConvBlock(*first(*sizes)), ConvBlock(*second(*sizes)))


INCEPTION = Exercise(
    checks.check_inception,
    Block,
    Stub,
    [
        (OtherOrder, "in another order"),
        (OtherDimension, "another dimension"),
        (Added, "You add the branches up"),
        (Chained, "All four branches begin with x"),
        (NoFourth, "the pooling branch is not in the stack"),
        (NotPooled, "does not use its pooling"),
        (Averaged, "divide by the number of branches"),
        (Detached, "the gradient that reaches the input"),
        (OtherNames, "There is no `branch4`"),
        (changed("PoolStride", branch4=pooling(3, None, 1)), "has stride 3"),
        (changed("NoPadding", branch4=pooling(3, 1)), "has padding 0"),
        (changed("AveragePool", branch4=pooling(3, 1, 1, kind=nn.AvgPool2d)), "fourth branch takes averages"),
        (
            changed("NotProjected", branch4=lambda i, a, b3, b, c5, c, d: nn.MaxPool2d(3, 1, 1)),
            "passes on all",
        ),
        (
            changed(
                "ProjectedFirst",
                branch4=lambda i, a, b3, b, c5, c, d: nn.Sequential(ConvBlock(i, d, 1), nn.MaxPool2d(3, 1, 1)),
            ),
            "convolves first and pools then",
        ),
        (changed("Papers", branch3=two(*at((0, 4, 1), (4, 5, 5)))), "the 5×5 kernel of the paper"),
        (changed("NotReduced", branch2=lambda i, a, b3, b, *_: ConvBlock(i, b, 3)), "`branch2` is one convolution"),
        (changed("ReducedByThree", branch2=two(*at((0, 2, 3), (2, 3, 3)))), "kernel of `branch2.0.conv.weight` is 3×3"),
        (changed("ReducedAfter", branch2=two(*at((0, 3, 3), (3, 3, 1)))), "`branch2.0.conv.weight` has shape"),
        (changed("WithoutNorm", branch1=lambda i, a, b3, b, c5, c, d: Bare(i, a, 1)), "build each branch from"),
    ],
    others=(models.Inception,),
)  # fmt: skip

# --- 04.4 average head ------------------------------------------------------------------------------------------


class Head(nn.Module):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.mean((2, 3)))

    def votes(self, x: Tensor) -> Tensor:
        return self.fc(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class HeadStub(nn.Module):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError("not yet")

    def votes(self, x: Tensor) -> Tensor:
        raise NotImplementedError("not yet")


class HeadByVotes(Head):
    def forward(self, x: Tensor) -> Tensor:
        return self.votes(x).mean((2, 3))

    def votes(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.fc.weight[:, :, None, None], self.fc.bias)


class HeadByModules(Head):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(x).flatten(1))


def forward(name: str, formula):
    """A head with another `forward`."""
    return type(name, (Head,), {"forward": formula})


def votes(name: str, formula):
    """A head with other `votes`."""
    return type(name, (Head,), {"votes": formula})


class Flattened(Head):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes)
        self.fc = nn.Linear(channels * 7 * 7, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(1))


class TwoLayers(Head):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes)
        self.hidden = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.hidden(x.mean((2, 3))))


class OtherName(Head):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes)
        self.last = self.fc
        del self.fc

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x.mean((2, 3)))


class NoVotes(nn.Module):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.mean((2, 3)))


AVERAGE_HEAD = Exercise(
    checks.check_average_head,
    Head,
    HeadStub,
    [
        (forward("Sum", lambda self, x: self.fc(x.sum((2, 3)))), "adds the pixels up"),
        (forward("Maximum", lambda self, x: self.fc(x.amax((2, 3)))), "largest pixel"),
        (forward("First", lambda self, x: self.fc(x[:, :, 0, 0])), "the first pixel only"),
        (forward("Middle", lambda self, x: self.fc(x[:, :, x.shape[2] // 2, x.shape[3] // 2])), "middle pixel only"),
        (forward("OverBatch", lambda self, x: self.fc(x.mean((0, 2, 3))).repeat(len(x), 1)), "over the batch too"),
        (forward("Relu", lambda self, x: self.fc(x.mean((2, 3))).clamp(min=0)), "cuts off negative logits"),
        (forward("Softmax", lambda self, x: self.fc(x.mean((2, 3))).softmax(1)), "`forward` returns probabilities"),
        (forward("NoBias", lambda self, x: x.mean((2, 3)) @ self.fc.weight.T), "leaves the bias of `fc` out"),
        (forward("OneMean", lambda self, x: self.fc(x.mean(3).flatten(1))), "number a channel is left"),
        (forward("ChangesInput", lambda self, x: self.fc(x.mul_(1.5).mean((2, 3)))), "changes the tensor"),
        (Flattened, "so it fits maps of one side"),
        (TwoLayers, "more parameters than those of `fc`"),
        (OtherName, "Expected the linear layer as"),
        (NoVotes, "Expected a method `votes(x)`"),
        (votes("VotesNoBias", lambda self, x: Head.votes(self, x) - self.fc.bias[:, None, None]), "Give it to every"),
        (votes("Shares", lambda self, x: Head.votes(self, x) / x[0, 0].numel()), "so that the *sum*"),
        (votes("VotesSoftmax", lambda self, x: Head.votes(self, x).softmax(1)), "probabilities of each pixel"),
        (votes("VotesRelu", lambda self, x: Head.votes(self, x).clamp(min=0)), "Leave negative votes in"),
        (
            votes("Turned", lambda self, x: Head.votes(self, x.mT).reshape(len(x), 3, *x.shape[2:])),
            "rows and columns",
        ),
        (
            votes("Reshaped", lambda self, x: self.fc(x.permute(0, 2, 3, 1)).reshape(len(x), 3, *x.shape[2:])),
            "classes are the last dimension",
        ),
        (
            votes("Same", lambda self, x: self(x)[:, :, None, None].expand(-1, -1, *x.shape[2:])),
            "logits of the whole image",
        ),
        (votes("ChannelsLast", lambda self, x: self.fc(x.permute(0, 2, 3, 1))), "expected a tensor of shape"),
    ],
    others=(HeadByVotes, HeadByModules),
)  # fmt: skip

EXERCISES = [INCEPTION, AVERAGE_HEAD]
