"""Receptive fields: published numbers, and the gradient experiment on random nets."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given, settings, strategies as st
from oracle import measured_receptive_field, on_meta
from torch import nn

from resnet_edu.probe import ReceptiveField, receptive_field


def pixels(row: ReceptiveField, position: int = 0) -> tuple[int, int]:
    """First and last pixel that the output at `position` sees, padding included."""
    first = round(row.start + position * row.jump - (row.size - 1) / 2)
    return first, first + row.size - 1


@pytest.mark.parametrize(
    ("name", "layer", "size"),
    [("alexnet", "12", 195), ("vgg16", "30", 212)],  # Araujo et al. 2019, table of sizes
)
def test_published_sizes(name: str, layer: str, size: int) -> None:
    rows = {row.name: row for row in receptive_field(on_meta(name).get_submodule("features"), (3, 224, 224))}
    assert (rows[layer].size, rows[layer].jump) == (size, 32)


def test_stacks_of_small_kernels_see_as_much_as_one_large() -> None:
    def field(*kernels: int) -> tuple[int, int, float]:
        row = receptive_field(nn.Sequential(*(nn.Conv2d(1, 1, k) for k in kernels)), (1, 20, 20))[-1]
        return row.size, row.jump, row.start

    assert field(3, 3) == field(5) == (5, 1, 2.0)
    assert field(3, 3, 3) == field(7) == (7, 1, 3.0)


def test_after_the_global_mean_every_layer_sees_what_all_positions_saw() -> None:
    chain = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    final, pool, _, last = receptive_field(chain, (3, 32, 32))
    assert (pool.size, pool.side) == (final.size + (final.side - 1) * final.jump, 1)
    assert pixels(last) == pixels(pool) == (pixels(final)[0], pixels(final, final.side - 1)[1])


SIDE = 41


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
    st.builds(lambda kernel: nn.Conv2d(2, 2, kernel, padding="same"), odd(5)),
    st.just(nn.Sigmoid()),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(layers, min_size=1, max_size=4))
def test_the_gradient_sees_what_the_recurrence_says(stack: list[nn.Module]) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), *stack)
    try:
        side = model(torch.zeros(1, 1, SIDE, SIDE)).shape[-1]
    except (RuntimeError, ValueError):  # the map became smaller than a kernel, or one pixel before a batch norm
        assume(False)
        return
    row = receptive_field(nn.Sequential(model, nn.Identity()), (1, SIDE, SIDE))[-1]
    first, last = pixels(row, side // 2)
    assume(first >= 0 and last < SIDE)  # a window that leaves the image is cut off, at once or layer by layer
    measured = measured_receptive_field(model, (1, SIDE, SIDE))
    assert row.side == side
    assert measured.columns == (first, last)
    assert measured.rows == (first, last)


def test_a_window_over_the_border_is_cut_there() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 5, padding=2))
    row = receptive_field(model, (1, 9, 9))[0]
    assert pixels(row) == (-2, 2)
    assert measured_receptive_field(model, (1, 9, 9), position=(0, 8)).rows == (0, 2)
    assert measured_receptive_field(model, (1, 9, 9), position=(0, 8)).columns == (6, 8)


def test_what_cannot_be_followed_is_refused() -> None:
    for layer in (nn.ConvTranspose2d(1, 1, 2, stride=2), nn.GroupNorm(1, 1), nn.AdaptiveAvgPool2d(3)):
        with pytest.raises(ValueError, match=rf"Cannot follow .* {type(layer).__name__}, which puts out \(1, 1, "):
            receptive_field(nn.Sequential(layer), (1, 8, 8))
    with pytest.raises(ValueError, match=r"expected \(C, H, W\)"):
        receptive_field(nn.Linear(4, 4), (4,))
    with pytest.raises(ValueError, match="The model is a ResNet, and its layers need not follow each other"):
        receptive_field(on_meta("resnet18"), (3, 64, 64))
