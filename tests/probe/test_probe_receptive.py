"""Receptive fields: published numbers, and the gradient experiment on random nets."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given, settings, strategies as st
from oracle import measured_receptive_field, on_meta
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu.models.cifar import CifarNet
from resnet_edu.probe import receptive_field
from resnet_edu.probe.receptive import ReceptiveField


def last_map(rows: list[ReceptiveField]) -> ReceptiveField:
    """The last layer that still has places."""
    return [row for row in rows if row.side > 1][-1]


@pytest.mark.parametrize(
    ("name", "side", "layer", "size", "jump"),
    [
        # Araujo et al. 2019, table of sizes: AlexNet 195, VGG-16 212. ResNets: by hand, 7 + 4 + Σ 2 · jump.
        ("alexnet", 224, "features.12", 195, 32),
        ("vgg16", 224, "features.30", 212, 32),
        ("resnet18", 224, "layer4.1.relu2", 435, 32),
        ("resnet50", 224, "layer4.2.relu3", 427, 32),
        ("plain20", 32, "layer3.2.relu2", 81, 4),
        ("resnet20", 32, "layer3.2.relu2", 81, 4),
        ("lenet5", 32, "conv3", 32, 4),
    ],
)
def test_published_sizes(name: str, side: int, layer: str, size: int, jump: int) -> None:
    rows = {row.name: row for row in receptive_field(on_meta(name), (3, side, side))}
    assert (rows[layer].size, rows[layer].jump) == (size, jump)


def test_stacks_of_small_kernels_see_as_much_as_one_large() -> None:
    def field(*kernels: int) -> tuple[int, int, float]:
        row = receptive_field(nn.Sequential(*(nn.Conv2d(1, 1, k) for k in kernels)), (1, 20, 20))[-1]
        return row.size, row.jump, row.start

    assert field(3, 3) == field(5) == (5, 1, 2.0)
    assert field(3, 3, 3) == field(7) == (7, 1, 3.0)


def test_after_the_global_mean_every_layer_sees_what_all_positions_saw() -> None:
    rows = receptive_field(CifarNet(20), (3, 32, 32))
    final, pool = last_map(rows), rows[-2]
    assert pool.kind == "AdaptiveAvgPool2d"
    assert (pool.size, pool.side) == (final.size + (final.side - 1) * final.jump, 1)
    assert rows[-1].pixels(0) == (final.pixels(0)[0], final.pixels(final.side - 1)[1])


SIDE = 41


class Residual(nn.Module):
    """x + branch(x), the identity subsampled as in option A where the branch strides."""

    def __init__(self, kernel: int, layers: int, stride: int) -> None:
        super().__init__()
        strides = [stride] + [1] * (layers - 1)
        self.branch = nn.Sequential(*(nn.Conv2d(2, 2, kernel, s, padding=kernel // 2) for s in strides), nn.ReLU())
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x) + F.avg_pool2d(x, 1, self.stride)


class Branches(nn.Module):
    """Paths of several kernels and a pooling, concatenated and mixed again."""

    def __init__(self, kernels: list[int]) -> None:
        super().__init__()
        self.paths = nn.ModuleList(nn.Conv2d(2, 1, k, padding=k // 2) for k in kernels)
        self.mix = nn.Conv2d(len(kernels) + 2, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.max_pool2d(x, 3, stride=1, padding=1)
        return F.relu(self.mix(torch.cat([*(path(x) for path in self.paths), pooled], dim=1)))


def odd(limit: int) -> st.SearchStrategy[int]:
    return st.integers(0, (limit - 1) // 2).map(lambda i: 2 * i + 1)


def convolution(kernel: int, stride: int, padding: int, dilation: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 2, kernel, stride, padding, dilation), nn.BatchNorm2d(2), nn.ReLU())


def pooling(kind: Callable[..., nn.Module], kernel: int, stride: int, padding: int, ceil: bool) -> nn.Module:
    return kind(kernel, stride, min(padding, kernel // 2), ceil_mode=ceil)


layers = st.one_of(
    st.builds(convolution, st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2)),
    st.builds(
        pooling, st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]), st.integers(2, 3), st.integers(1, 2),
        st.integers(0, 1), st.booleans(),
    ),
    st.builds(Residual, odd(5), st.integers(1, 2), st.integers(1, 2)),
    st.builds(Branches, st.lists(odd(5), min_size=1, max_size=3)),
    st.builds(lambda kernel: nn.Conv2d(2, 2, kernel, padding="same"), odd(5)),
    st.just(nn.Sigmoid()),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(layers, min_size=1, max_size=4))
def test_the_gradient_sees_what_the_recurrence_says(stack: list[nn.Module]) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), *stack)
    try:
        side = model(torch.zeros(1, 1, SIDE, SIDE)).shape[-1]
    except RuntimeError:  # the map became smaller than a kernel
        assume(False)
        return
    row = receptive_field(nn.Sequential(model, nn.Identity()), (1, SIDE, SIDE))[-1]
    first, last = row.pixels(side // 2)
    assume(first >= 0 and last < SIDE)  # a window that leaves the image is cut off, at once or layer by layer
    measured = measured_receptive_field(model, (1, SIDE, SIDE))
    assert row.side == side
    assert measured.columns == (first, last)
    assert measured.rows == (first, last)


@pytest.mark.parametrize("layer", ["layer1.2.relu2", "layer2.0.relu2", "layer2.2.bn1"])
@pytest.mark.parametrize("residual", [True, False])
def test_the_courses_nets_measured(layer: str, residual: bool) -> None:
    model = CifarNet(20, residual=residual, width=2)
    row = next(row for row in receptive_field(model, (3, 80, 80)) if row.name == layer)
    measured = measured_receptive_field(model, (3, 80, 80), layer=layer)
    assert measured.columns == row.pixels(row.side // 2)
    assert measured.seen.sum() == row.size**2


def test_a_window_over_the_border_is_cut_there() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 5, padding=2))
    row = receptive_field(model, (1, 9, 9))[0]
    assert row.pixels(0) == (-2, 2)
    assert measured_receptive_field(model, (1, 9, 9), position=(0, 8)).rows == (0, 2)
    assert measured_receptive_field(model, (1, 9, 9), position=(0, 8)).columns == (6, 8)


def test_what_cannot_be_followed_is_refused() -> None:
    with pytest.raises(ValueError, match="conv_transpose2d"):
        receptive_field(nn.ConvTranspose2d(1, 1, 2, stride=2), (1, 8, 8))
    with pytest.raises(ValueError, match=r"expected \(C, H, W\)"):
        receptive_field(nn.Linear(4, 4), (4,))

    class Gate(nn.Module):
        """Each channel times a number made from its mean, as in squeeze and excitation."""

        def forward(self, x: Tensor) -> Tensor:
            return x * x.mean(dim=(2, 3), keepdim=True)

    for layer in (Gate(), nn.GroupNorm(1, 1)):
        with pytest.raises(ValueError, match=r"no receptive field|Cannot follow"):
            receptive_field(nn.Sequential(layer, nn.Identity()), (1, 8, 8))

    class Clash(nn.Module):
        """Two paths whose windows move over the image at different strides."""

        def forward(self, x: Tensor) -> Tensor:
            return F.avg_pool2d(x, 5, 1) + F.avg_pool2d(x, 2)

    with pytest.raises(ValueError, match="different strides meet: jump 1, side 4, jump 2, side 4"):
        receptive_field(nn.Sequential(Clash(), nn.Identity()), (1, 8, 8))
