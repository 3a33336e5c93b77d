"""Answers to the exercises of lesson 05 on steps: the depth where the first layer stands still, and clipping."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import checks

from . import Exercise

# --- 05.3 where the first layer stops ---------------------------------------------------------------------------


def standstill_depth(build, images, labels, depths, lr=0.1):
    for depth in sorted(depths):
        net = build(depth)
        weight = next(net.parameters())
        before = weight.detach().clone()
        F.cross_entropy(net(images), labels).backward()
        torch.optim.SGD(net.parameters(), lr=lr).step()
        if torch.equal(weight, before):
            return depth
    return None


def standstill_stub(build, images, labels, depths, lr=0.1):
    raise NotImplementedError("not yet")


def standstill_by_hand(build, images, labels, depths, lr=0.1):
    """Right as well: no optimizer, and every depth is looked at."""
    found = []
    for depth in depths:
        net = build(depth)
        weight = next(net.parameters())
        (gradient,) = torch.autograd.grad(F.cross_entropy(net(images), labels), weight)
        if bool((weight - lr * gradient == weight).all()):
            found.append(depth)
    return min(found, default=None)


def walk(still, *, order=sorted, layer=0, rate=lambda lr: lr, found=lambda depth, depths: depth, none=None):
    """One loop with room for mistakes."""

    def wrong(build, images, labels, depths, lr=0.1):
        for depth in order(depths):
            net = build(depth)
            weight = [parameter for parameter in net.parameters() if parameter.ndim > 1][layer]
            before = weight.detach().clone()
            F.cross_entropy(net(images), labels).backward()
            torch.optim.SGD(net.parameters(), lr=rate(lr)).step()
            if still(before, weight.detach(), weight.grad):
                return found(depth, depths)
        return none

    return wrong


def same(before, after, gradient):
    return torch.equal(before, after)


def without_a_copy(build, images, labels, depths, lr=0.1):
    for depth in sorted(depths):
        net = build(depth)
        before = next(net.parameters()).data
        F.cross_entropy(net(images), labels).backward()
        torch.optim.SGD(net.parameters(), lr=lr).step()
        if torch.equal(next(net.parameters()), before):
            return depth
    return None


def without_a_return(build, images, labels, depths, lr=0.1):
    for depth in sorted(depths):
        standstill_depth(build, images, labels, [depth], lr)
    return max(depths)


def last_that_moves(build, images, labels, depths, lr=0.1):
    depths = sorted(depths)
    found = standstill_depth(build, images, labels, depths, lr)
    return None if found is None else depths[depths.index(found) - 1]


STANDSTILL = Exercise(
    checks.check_standstill,
    standstill_depth,
    standstill_stub,
    [
        (without_a_copy, "compare a tensor with itself"),
        (without_a_return, "always return the largest depth"),
        (walk(same, layer=-1), "You watch the last layer"),
        (walk(lambda before, after, gradient: not gradient.any()), "gradient of exactly 0"),
        (walk(lambda before, after, gradient: torch.allclose(before, after)), "`torch.allclose` forgives"),
        (walk(lambda before, after, gradient: bool((before == after).any())), "some weights stand still"),
        (last_that_moves, "last depth at which the first layer still moves"),
        (walk(same, found=lambda depth, depths: depths.index(depth)), "place in the list"),
        (walk(same, order=list), "need not be sorted"),
        (walk(same, rate=lambda lr: 0.1), "learning rate has no effect"),
        (walk(same, rate=lambda lr: 1.0), "lr times the gradient"),
        (walk(same, none=1000), "you return 1000. Expected None"),
        (walk(same, found=lambda depth, depths: depth + 1), "with fewer, some do"),
        (walk(same, found=lambda depth, depths: float(depth)), "Expected one of the depths"),
        (walk(lambda before, after, gradient: 1 / 0), "ZeroDivisionError"),
    ],
    others=(standstill_by_hand,),
)

# --- 05.4 gradient clipping -------------------------------------------------------------------------------------


def norm_of(gradients: list[Tensor]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients]).norm()


def clip(gradients: list[Tensor], max_norm: float) -> list[Tensor]:
    norm = norm_of(gradients)
    return [gradient * min(1.0, max_norm / (float(norm) + 1e-12)) for gradient in gradients]


def clip_stub(gradients: list[Tensor], max_norm: float) -> list[Tensor]:
    raise NotImplementedError("not yet")


def clip_with_if(gradients: list[Tensor], max_norm: float) -> list[Tensor]:
    """Right as well, and free of a division by 0."""
    norm = sum(float((gradient**2).sum()) for gradient in gradients) ** 0.5
    return [gradient / norm * max_norm for gradient in gradients] if norm > max_norm else gradients


def by_factor(factor):
    return lambda gradients, max_norm: [gradient * factor(gradients, max_norm) for gradient in gradients]


def in_place(gradients, max_norm):
    factor = min(1.0, max_norm / float(norm_of(gradients)))
    for gradient in gradients:
        gradient *= factor
    return gradients


def pytorchs_own(gradients, max_norm):
    """In place, on tensors handed over as gradients of parameters."""
    parameters = [nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    nn.utils.clip_grad_norm_(parameters, max_norm)
    return [parameter.grad for parameter in parameters]


def each(gradients, max_norm):
    return [g * min(1.0, max_norm / (float(g.norm()) + 1e-9)) for g in gradients]


CLIP = Exercise(
    checks.check_clip,
    clip,
    clip_stub,
    [
        (each, "each gradient on its own"),
        (lambda gradients, max_norm: [g.clip(-max_norm, max_norm) for g in gradients], "clipping by value"),
        (by_factor(lambda gs, m: m / (float(norm_of(gs)) + 1e-12)), "are made larger"),
        (by_factor(lambda gs, m: min(1.0, m / (sum(float(g.norm()) for g in gs) + 1e-12))), "add up the norms"),
        (by_factor(lambda gs, m: min(1.0, m / (max(float(g.norm()) for g in gs) + 1e-12))), "largest tensor's norm"),
        (by_factor(lambda gs, m: min(1.0, m / (float(norm_of(gs)) ** 2 + 1e-12))), "square root is missing"),
        (by_factor(lambda gs, m: min(1.0, m / (max(float(g.abs().max()) for g in gs) + 1e-12))), "largest number"),
        (by_factor(lambda gs, m: float(norm_of(gs) <= m)), "thrown away"),
        (by_factor(lambda gs, m: 1 / float(norm_of(gs)) if norm_of(gs) > m else 1.0), "The limit is max_norm"),
        (by_factor(lambda gs, m: max(1.0, m / (float(norm_of(gs)) + 1e-12))), "`min` in place of `max`"),
        (by_factor(lambda gs, m: min(1.0, float(norm_of(gs)) / m)), "upside down"),
        (lambda gradients, max_norm: list(gradients), "Nothing is clipped"),
        (by_factor(lambda gs, m: min(1.0, m / float(norm_of(gs))) if norm_of(gs) else torch.nan), "stay zero"),
        (in_place, "changes the gradients it is given"),
        (lambda gradients, max_norm: gradients[:1], "in the same shapes"),
        (lambda gradients, max_norm: norm_of(gradients).item(), "Expected a list of tensors"),
        (by_factor(lambda gs, m: 0.5), "and the same direction"),
        (by_factor(lambda gs, m: 1 // 0), "ZeroDivisionError"),
    ],
    others=(clip_with_if, pytorchs_own),
)

EXERCISES = [STANDSTILL, CLIP]
