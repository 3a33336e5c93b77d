"""Answers to lesson 11: Grad-CAM, the layer to pick, rank correlation."""

from typing import Any

import torch
from scipy.stats import kendalltau, rankdata, spearmanr
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import checks, probe

from . import Exercise

# --- 11.1 Grad-CAM ----------------------------------------------------------------------------------------------


def maps_and_gradient(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> tuple[Tensor, Tensor]:
    maps = features(image)
    (gradient,) = torch.autograd.grad(head(maps)[0, target], maps)
    return maps, gradient


def large(cam: Tensor, image: Tensor, **options: Any) -> Tensor:
    return F.interpolate(cam, image.shape[2:], **{"mode": "bilinear", **options})[0, 0]


def cam(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
    maps, gradient = maps_and_gradient(features, head, image, target)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return large(F.relu((weights * maps).sum(dim=1, keepdim=True)), image)


def cam_stub(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
    raise NotImplementedError("not yet")


def cam_einsum(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
    """Right, without autograd through the features, and detached."""
    with torch.no_grad():
        maps = features(image)
    maps.requires_grad_()
    (gradient,) = torch.autograd.grad(head(maps)[:, target].sum(), [maps])
    small = torch.einsum("c,chw->hw", gradient[0].mean((1, 2)), maps[0]).clamp(min=0)
    return large(small[None, None], image, align_corners=False).detach()


def cam_unscaled(combine: Any) -> Any:
    def answer(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
        maps, gradient = maps_and_gradient(features, head, image, target)
        return large(combine(maps, gradient), image)

    return answer


def weights(gradient: Tensor) -> Tensor:
    return gradient.mean((2, 3), keepdim=True)


def cam_of(number: Any) -> Any:
    def answer(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
        maps = features(image)
        (gradient,) = torch.autograd.grad(number(head(maps), target), maps)
        return large((weights(gradient) * maps).sum(1, keepdim=True).relu(), image)

    return answer


def cam_enlarged(**options: Any) -> Any:
    def answer(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
        maps, gradient = maps_and_gradient(features, head, image, target)
        return large((weights(gradient) * maps).sum(1, keepdim=True).relu(), image, **options)

    return answer


def cam_relu_last(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
    maps, gradient = maps_and_gradient(features, head, image, target)
    return large((weights(gradient) * maps).sum(1, keepdim=True), image).relu()


def cam_scaled(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
    found = cam(features, head, image, target)
    return found / found.max()


def cam_small(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
    maps, gradient = maps_and_gradient(features, head, image, target)
    return (weights(gradient) * maps).sum(1).relu()[0]


def cam_with_batch(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
    return cam(features, head, image, target)[None, None]


def cam_backward(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
    maps = features(image)
    maps.retain_grad()
    head(maps)[0, target].backward()
    return large((weights(maps.grad) * maps).sum(1, keepdim=True).relu(), image)


def cam_as_array(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Any:
    return cam(features, head, image, target).tolist()


GRAD_CAM = Exercise(
    checks.check_grad_cam,
    cam,
    cam_stub,
    [
        (cam_unscaled(lambda m, g: (weights(g) * m).sum(1, keepdim=True)), "The last ReLU is missing"),
        (cam_unscaled(lambda m, g: (weights(g) * m).sum(1, keepdim=True).abs()), "take the absolute value"),
        (cam_relu_last, "ReLU comes after the enlarging"),
        (
            cam_unscaled(lambda m, g: (g.sum((2, 3), keepdim=True) * m).sum(1, keepdim=True).relu()),
            "add up the gradient over the cells",
        ),
        (cam_unscaled(lambda m, g: (weights(g) * m).mean(1, keepdim=True).relu()), "average the weighted maps"),
        (cam_unscaled(lambda m, g: (g * m).sum(1, keepdim=True).relu()), "multiply cell by cell"),
        (cam_unscaled(lambda m, g: (weights(g) * m).relu().sum(1, keepdim=True)), "cut each channel at zero"),
        (cam_unscaled(lambda m, g: (weights(g).relu() * m).sum(1, keepdim=True).relu()), "drop the negative weights"),
        (cam_unscaled(lambda m, g: m.sum(1, keepdim=True).relu()), "every class gets the same map"),
        (cam_unscaled(lambda m, g: m.mean(1, keepdim=True).relu()), "all classes get the same map"),
        (cam_of(lambda logits, target: logits.softmax(1)[0, target]), "differentiate the probability"),
        (cam_of(lambda logits, target: logits.max()), "differentiate the largest logit"),
        (cam_of(lambda logits, target: logits.sum()), "differentiate the sum of all logits"),
        (cam_enlarged(mode="nearest"), "enlarged in blocks"),
        (cam_enlarged(mode="bicubic"), "enlarge bicubically"),
        (cam_enlarged(align_corners=True), "pulls the outer cells"),
        (cam_scaled, "divide by the largest value"),
        (cam_small, "expected a tensor of shape"),
        (cam_with_batch, "Take `[0, 0]` at the end"),
        (cam_backward, "parameters keep gradients"),
        (cam_as_array, "Expected a tensor (H, W)"),
    ],
    others=(cam_einsum,),
)

# --- 11.2 pick the layer ----------------------------------------------------------------------------------------


def sizes(model: nn.Module, layers: list[str], image: Tensor) -> dict[str, torch.Size]:
    with probe.activations(model, layers) as seen:
        model(image)
    return {name: seen[name].shape for name in layers}


def pick(model: nn.Module, layers: list[str], image: Tensor, cells: int) -> str:
    return [name for name, size in sizes(model, layers, image).items() if min(size[2:]) >= cells][-1]


def pick_stub(model: nn.Module, layers: list[str], image: Tensor, cells: int) -> str:
    raise NotImplementedError("not yet")


def pick_backwards(model: nn.Module, layers: list[str], image: Tensor, cells: int) -> str:
    """Right, from the deepest up."""
    found = sizes(model, layers, image)
    return next(name for name in reversed(layers) if found[name][2] >= cells and found[name][3] >= cells)


def picked(fits: Any, which: int = -1) -> Any:
    def answer(model: nn.Module, layers: list[str], image: Tensor, cells: int) -> str:
        found = [name for name, size in sizes(model, layers, image).items() if fits(size, cells)]
        return found[which] if found else layers[0]

    return answer


def pick_nearest(model: nn.Module, layers: list[str], image: Tensor, cells: int) -> str:
    found = sizes(model, layers, image)
    return min(layers, key=lambda name: abs(min(found[name][2:]) - cells))


def pick_size(model: nn.Module, layers: list[str], image: Tensor, cells: int) -> Any:
    return sizes(model, layers, image)[pick(model, layers, image, cells)]


def pick_hook_left(model: nn.Module, layers: list[str], image: Tensor, cells: int) -> str:
    seen: dict[str, Tensor] = {}
    for name in layers:
        model.get_submodule(name).register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    model(image)
    return [name for name in layers if min(seen[name].shape[2:]) >= cells][-1]


def pick_second_from_last(model: nn.Module, layers: list[str], image: Tensor, cells: int) -> str:
    return layers[-2]


PICK_LAYER = Exercise(
    checks.check_pick_layer,
    pick,
    pick_stub,
    [
        (picked(lambda s, c: min(s[2:]) >= c, 0), "first layer that is fine enough"),
        (lambda model, layers, image, cells: layers[-1], "always take the deepest"),
        (picked(lambda s, c: min(s[2:]) > c), "exactly so many cells"),
        (picked(lambda s, c: max(s[2:]) >= c), "on the longer side"),
        (picked(lambda s, c: s[2] * s[3] >= c), "all the cells of the map"),
        (picked(lambda s, c: min(s[2:]) <= c, 0), "*at most* so many"),
        (pick_nearest, "comes closest"),
        (pick_size, "Expected one of the names"),
        (pick_hook_left, "hooks stay on the model"),
        (pick_second_from_last, "expected the str"),
    ],
    others=(pick_backwards,),
)

# --- 11.4 rank correlation --------------------------------------------------------------------------------------


def pearson(a: Any, b: Any) -> float:
    a, b = torch.as_tensor(a).flatten().double(), torch.as_tensor(b).flatten().double()
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / (a.square().sum() * b.square().sum()).sqrt())


def mean_ranks(values: Tensor) -> Tensor:
    flat = values.flatten()
    return (flat[:, None] > flat).sum(1) + ((flat[:, None] == flat).sum(1) + 1) / 2


def rank_correlation(a: Tensor, b: Tensor) -> float:
    return pearson(mean_ranks(a), mean_ranks(b))


def rank_stub(a: Tensor, b: Tensor) -> float:
    raise NotImplementedError("not yet")


def of_scipy(a: Tensor, b: Tensor) -> Any:
    """Right, though by the library."""
    return spearmanr(a.flatten().numpy(), b.flatten().numpy())[0]


def as_tensor(a: Tensor, b: Tensor) -> Tensor:
    """Right, as a tensor without dimensions."""
    return torch.tensor(rank_correlation(a, b))


def ranked(method: str) -> Any:
    return lambda a, b: pearson(rankdata(a.flatten().numpy(), method), rankdata(b.flatten().numpy(), method))


def one_argsort(a: Tensor, b: Tensor) -> float:
    return pearson(a.flatten().argsort(stable=True), b.flatten().argsort(stable=True))


def one_unstable_argsort(a: Tensor, b: Tensor) -> float:
    return pearson(a.flatten().argsort(), b.flatten().argsort())


def two_unstable_argsorts(a: Tensor, b: Tensor) -> float:
    return pearson(a.flatten().argsort().argsort(), b.flatten().argsort().argsort())


def short_formula(a: Tensor, b: Tensor) -> float:
    n, d = a.numel(), mean_ranks(a) - mean_ranks(b)
    return 1 - 6 * float((d * d).sum()) / (n * (n**2 - 1))


def cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.cosine_similarity(mean_ranks(a), mean_ranks(b), dim=0))


def tau(a: Tensor, b: Tensor) -> float:
    tau_b: Any = kendalltau(a.flatten().numpy(), b.flatten().numpy())
    return float(tau_b[0])


RANK = Exercise(
    checks.check_rank_correlation,
    rank_correlation,
    rank_stub,
    [
        (pearson, "the values themselves"),
        (ranked("ordinal"), "by the accident of their place"),
        (two_unstable_argsorts, "Two times `argsort`"),
        (one_argsort, "gives the places of the sorted values"),
        (one_unstable_argsort, "where the smallest value stands"),
        (ranked("dense"), "number the distinct values"),
        (ranked("max"), "share their highest rank"),
        (ranked("min"), "share their lowest rank"),
        (short_formula, "holds without ties only"),
        (cosine, "Take the mean off"),
        (tau, "Kendall's tau"),
        (lambda a, b: rank_correlation(a, -b), "The sign is turned"),
        (lambda a, b: abs(rank_correlation(a, b)), "You drop the sign"),
        (lambda a, b: rank_correlation(a, b) ** 2, "square the correlation"),
        (lambda a, b: rank_correlation(a.abs(), b.abs()), "rank absolute values"),
        (lambda a, b: mean_ranks(a), "Expected one number"),
        (lambda a, b: float("nan"), "divided by zero"),
        (lambda a, b: 0.3, "the values are not"),
    ],
    others=(of_scipy, as_tensor),
)

EXERCISES = [GRAD_CAM, PICK_LAYER, RANK]
