"""Answers to the exercises of lesson 03 on the receptive field and on memory."""

import math

import torch

from resnet_edu import checks

from . import Exercise

# --- 03.1 receptive field ---------------------------------------------------------------------------------------


def receptive_field(layers: list[tuple[int, int]]) -> int:
    size, jump = 1, 1
    for kernel, stride in layers:
        size += (kernel - 1) * jump
        jump *= stride
    return size


def receptive_field_stub(layers: list[tuple[int, int]]) -> int:
    raise NotImplementedError("not yet")


def from_the_end(layers):
    size = 1
    for kernel, stride in reversed(layers):
        size = (size - 1) * stride + kernel
    return size


def as_a_sum(layers):
    return 1 + sum((k - 1) * math.prod(s for _, s in layers[:i]) for i, (k, _) in enumerate(layers))


def from_the_end_in_the_wrong_order(layers):
    size = 1
    for kernel, stride in layers:
        size = (size - 1) * stride + kernel
    return size


def own_stride(layers):
    size, jump = 1, 1
    for kernel, stride in layers:
        jump *= stride
        size += (kernel - 1) * jump
    return size


def stride_of_the_layer_before(layers):
    size, before = 1, 1
    for kernel, stride in layers:
        size += (kernel - 1) * before
        before = stride
    return size


def jumps_added(layers):
    size, jump = 1, 1
    for kernel, stride in layers:
        size += (kernel - 1) * jump
        jump += stride - 1
    return size


def every_size(layers):
    return [receptive_field(layers[:i]) for i in range(len(layers) + 1)]


def kernel_not_less_one(layers):
    return 1 + sum(k * math.prod(s for _, s in layers[:i]) for i, (k, _) in enumerate(layers))


RECEPTIVE_FIELD = Exercise(
    checks.check_receptive_field,
    receptive_field,
    receptive_field_stub,
    [
        (lambda layers: 1 + sum(k - 1 for k, _ in layers), "The strides have no effect"),
        (lambda layers: sum(k for k, _ in layers), "You add up the kernels"),
        (own_stride, "own stride before its kernel"),
        (stride_of_the_layer_before, "the layer just before"),
        (jumps_added, "Your steps add up"),
        (lambda layers: receptive_field(layers) - 1, "One too few"),
        (kernel_not_less_one, "one step too many"),
        (from_the_end_in_the_wrong_order, "`reversed`"),
        (lambda layers: max([k for k, _ in layers], default=1), "largest kernel"),
        (lambda layers: layers[-1][0] if layers else 1, "last layer's kernel"),
        (lambda layers: math.prod(k for k, _ in layers), "You multiply the kernels"),
        (lambda layers: math.prod(s for _, s in layers), "That is the jump"),
        (every_size, "You return a list of them"),
        (lambda layers: float(receptive_field(layers)), "got the float"),
        (lambda layers: torch.tensor(receptive_field(layers)), "got a tensor"),
        (lambda layers: receptive_field(layers) + 2, "expected the int"),
        (lambda layers: layers[0][0], "IndexError"),
    ],
    others=(from_the_end, as_a_sum),
)

# --- 03.3 memory of activations ---------------------------------------------------------------------------------


def activation_bytes(stages: list[tuple[int, int]], side: int, batch_size: int = 1) -> int:
    numbers = 0
    for convolutions, channels in stages:
        numbers += convolutions * channels * side * side
        side = side // 2
        numbers += channels * side * side
    return 4 * batch_size * numbers


def activation_bytes_stub(stages: list[tuple[int, int]], side: int, batch_size: int = 1) -> int:
    raise NotImplementedError("not yet")


def variant(each=4, pools=True, before=False, never=False, once=False, power=2, twice=False, image=False, batch=True):
    """The count with one mistake."""

    def count(stages, side, batch_size=1):
        numbers = 3 * side * side if image else 0
        for convolutions, channels in stages:
            if before:
                side = side // 2
            numbers += (1 if once else convolutions) * (2 if twice else 1) * channels * side**power
            if not before and not never:
                side = side // 2
            numbers += channels * side**power if pools else 0
        return each * numbers * (batch_size if batch else 1)

    return count


def every_channel_at_the_full_side(stages, side, batch_size=1):
    return 4 * batch_size * side * side * sum(channels for _, channels in stages)


def the_parameters(stages, side, batch_size=1):
    total, before = 0, 3
    for convolutions, channels in stages:
        for _ in range(convolutions):
            total += channels * before * 9 + channels
            before = channels
    return 4 * total


ACTIVATION_BYTES = Exercise(
    checks.check_activation_bytes,
    activation_bytes,
    activation_bytes_stub,
    [
        (variant(each=1), "You count numbers, not bytes"),
        (variant(each=8), "eight bytes"),
        (variant(batch=False), "The batch size has no effect"),
        (variant(pools=False), "The pooled maps are missing"),
        (variant(once=True), "a single convolution"),
        (variant(never=True), "The side stays as it is"),
        (variant(before=True), "before the convolutions of a stage"),
        (variant(power=1), "You multiply by the side once"),
        (variant(twice=True), "only the one behind the ReLU"),
        (variant(image=True), "You count the image"),
        (every_channel_at_the_full_side, "at the full side"),
        (the_parameters, "These are the parameters"),
        (lambda stages, side, batch_size=1: activation_bytes(stages, side, batch_size) / 2**20, "the float"),
        (lambda stages, side, batch_size=1: activation_bytes(stages, side, batch_size) + 4, "expected the int"),
        (lambda stages, side, batch_size=1: torch.zeros(3), "got a tensor"),
        (lambda stages, side, batch_size=1: stages[99], "IndexError"),
    ],
)

EXERCISES = [RECEPTIVE_FIELD, ACTIVATION_BYTES]
