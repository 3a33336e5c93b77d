"""Answers to the exercises of lesson 04 on 1×1 convolutions, the cost of a branch, and the loss."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_edu import checks
from resnet_edu.models import GoogLeNetOutputs

from . import Exercise

# --- 04.1 mix pixels --------------------------------------------------------------------------------------------


def mix_pixels(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return (x.permute(0, 2, 3, 1) @ weight.T + bias).permute(0, 3, 1, 2)


def mix_pixels_stub(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    raise NotImplementedError("not yet")


def mix_flat(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    out = weight @ x.flatten(2) + bias[:, None]
    return out.reshape(len(x), len(weight), *x.shape[2:])


def mix_by_einsum(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.einsum("nchw,kc->nkhw", x, weight) + bias[:, None, None]


def mix_by_loop(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.stack([(x * row[:, None, None]).sum(1) + b for row, b in zip(weight, bias, strict=True)], 1)


def cut_across(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return (x.reshape(n, h * w, c) @ weight.T + bias).permute(0, 2, 1).reshape(n, len(weight), h, w)


def not_brought_back(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return (x.permute(0, 2, 3, 1) @ weight.T + bias).reshape(len(x), len(weight), *x.shape[2:])


def turned(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    out = (x.permute(0, 3, 2, 1) @ weight.T + bias).permute(0, 3, 1, 2)
    return out.reshape(len(x), len(weight), *x.shape[2:])


MIX_PIXELS = Exercise(
    checks.check_mix_pixels,
    mix_pixels,
    mix_pixels_stub,
    [
        (cut_across, "neighbours of one channel"),
        (not_brought_back, "do not move with it"),
        (turned, "have changed places on the way"),
        (lambda x, weight, bias: mix_pixels(x, weight, 0 * bias), "bias is missing"),
        (lambda x, weight, bias: mix_pixels(x, weight, x.shape[1] * bias), "once per input channel"),
        (lambda x, weight, bias: mix_pixels(x, weight / x.shape[1], bias), "average over the input channels"),
        (lambda x, weight, bias: mix_pixels(x[:, :1], weight[:, :1], bias), "Only the first input channel"),
        (lambda x, weight, bias: mix_pixels(x[:1], weight, bias).repeat(len(x), 1, 1, 1), "first one's result"),
        (lambda x, weight, bias: mix_pixels(x, weight[:1].repeat(len(weight), 1), bias), "mix of the first"),
        (lambda x, weight, bias: mix_pixels(x.mean((2, 3), True).expand_as(x), weight, bias), "All pixels come out"),
        (lambda x, weight, bias: mix_pixels(x, weight.softmax(1), bias), "shares that add up to 1"),
        (lambda x, weight, bias: mix_pixels(x, weight, bias).clamp(min=0), "Negative values are gone"),
        (lambda x, weight, bias: F.conv2d(x, weight[:, :, None, None], bias), "PyTorch's own convolution"),
        (lambda x, weight, bias: mix_pixels(x.detach(), weight, bias), "the gradient of argument 1"),
        (lambda x, weight, bias: x.permute(0, 2, 3, 1) @ weight.T + bias, "expected a tensor of shape"),
    ],
    others=(mix_flat, mix_by_einsum, mix_by_loop),
)

# --- 04.5 total loss --------------------------------------------------------------------------------------------


def total_loss(outputs: Any, labels: Tensor, weight: float = 0.3) -> Tensor:
    if isinstance(outputs, Tensor):
        return F.cross_entropy(outputs, labels)
    main, *auxiliary = (F.cross_entropy(logits, labels) for logits in outputs)
    return main + weight * sum(auxiliary)


def total_loss_stub(outputs: GoogLeNetOutputs | Tensor, labels: Tensor, weight: float = 0.3) -> Tensor:
    raise NotImplementedError("not yet")


def total_loss_by_field(outputs, labels, weight=0.3):
    if not isinstance(outputs, tuple):
        outputs = (outputs,)
    scale = torch.tensor([1.0, weight, weight][: len(outputs)])
    return (
        torch.stack([-logits.log_softmax(1)[range(len(labels)), labels].mean() for logits in outputs]) * scale
    ).sum()


def wrong_loss(formula, criterion=F.cross_entropy):
    def loss(outputs, labels, weight=0.3):
        if isinstance(outputs, Tensor):
            return criterion(outputs, labels)
        return formula(*(criterion(logits, labels) for logits in outputs), weight)

    return loss


def right(main, second, first, weight):
    return main + weight * (second + first)


def on_tuples_only(outputs, labels, weight=0.3):
    return total_loss(GoogLeNetOutputs(outputs.logits, outputs.aux_logits2, outputs.aux_logits1), labels, weight)


TOTAL_LOSS = Exercise(
    checks.check_total_loss,
    total_loss,
    total_loss_stub,
    [
        (wrong_loss(lambda m, s, f, w: m + s + f), "all three losses count in full"),
        (wrong_loss(lambda m, s, f, w: m), "auxiliary losses are missing"),
        (wrong_loss(lambda m, s, f, w: m + w * s), "`aux_logits1` is missing"),
        (wrong_loss(lambda m, s, f, w: m + w * f), "`aux_logits2` is missing"),
        (wrong_loss(lambda m, s, f, w: w * (m + s + f)), "to the main loss too"),
        (wrong_loss(lambda m, s, f, w: m + w * (s + f) / 2), "average the two"),
        (wrong_loss(lambda m, s, f, w: (1 - 2 * w) * m + w * (s + f)), "need not add up to 1"),
        (wrong_loss(lambda m, s, f, w: (m + w * (s + f)) / (1 + 2 * w)), "sum of the weights"),
        (wrong_loss(lambda m, s, f, w: (m + w * (s + f)) / 3), "number of heads"),
        (wrong_loss(lambda m, s, f, w: m + 0.3 * (s + f)), "so that another one can be tried"),
        (wrong_loss(lambda m, s, f, w: m + w * (s + w * f)), "gets the weight twice"),
        (wrong_loss(right, lambda x, y: F.cross_entropy(x.softmax(1), y)), "applies its own"),
        (wrong_loss(right, lambda x, y: F.cross_entropy(x, y, reduction="sum")), "up over the batch"),
        (wrong_loss(right, F.nll_loss), "expects logarithms"),
        (wrong_loss(lambda m, s, f, w: m + w * (s + f).item()), "does not reach every head"),
        (on_tuples_only, "In eval mode the net returns the logits alone"),
        (lambda outputs, labels, weight=0.3: float(total_loss(outputs, labels, weight)), "a tensor with one number"),
    ],
    others=(total_loss_by_field,),
)

EXERCISES = [MIX_PIXELS, TOTAL_LOSS]
