"""The checks of lesson 11: Grad-CAM, the layer to look at, Integrated Gradients that are complete."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import probe
from .exercise import Call, exercise
from .values import Returns, number, several, tensor, text

Function = Callable[[Tensor], Tensor]


def mean(gradient: Tensor) -> Tensor:
    return gradient.mean(dim=(2, 3), keepdim=True)


def net_and_image(channels: int, cells: tuple[int, int], *, place: int) -> Call:
    """An untrained net with cells of both signs, an image, and the class at this place from the smallest logit up."""
    features = nn.Sequential(nn.Conv2d(3, channels, 3, stride=4, padding=1), nn.Tanh())
    head = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.Tanh(), nn.Flatten())
    head.append(nn.Linear(channels * cells[0] * cells[1], 3))
    for weight in (each for part in (features, head) for each in part.parameters() if each.ndim > 1):
        nn.init.normal_(weight, std=0.5)
    image = torch.randn(1, 3, 4 * cells[0], 4 * cells[1])
    with torch.no_grad():
        return Call(features, head, image, int(head(features(image))[0].argsort()[place]))


@exercise(
    "11.1 Grad-CAM",
    calls=lambda: [net_and_image(4, (4, 4), place=0), net_and_image(4, (4, 4), place=2),
                   net_and_image(6, (3, 5), place=1)],
    returns=tensor("one map (H, W) of the image's side"),
    mistakes={
        "The last ReLU is missing: the map has negative values. What speaks against the class is cut off.":
            {"_combine": lambda m, g: (mean(g) * m).sum(1, True)},
        "The ReLU comes after the enlarging. Cut the small map first, then enlarge it: between a positive and a "
        "negative cell the two differ.": {"_combine": lambda m, g: (mean(g) * m).sum(1, True), "_finish": torch.relu},
        "You add up the gradient over the cells. A channel's weight is the *mean*: `gradient.mean(dim=(2, 3), …)`.":
            {"_combine": lambda m, g: (g.sum(dim=(2, 3), keepdim=True) * m).sum(1, True).relu()},
        "You multiply cell by cell. Grad-CAM first averages the gradient over the cells: one weight for each channel.":
            {"_combine": lambda m, g: (g * m).sum(1, True).relu()},
        "You cut each channel at zero before adding. Then no channel can speak against another: add first, cut after.":
            {"_combine": lambda m, g: (mean(g) * m).relu().sum(1, True)},
        "You drop the negative weights. They stay; only the finished sum is cut at zero.":
            {"_combine": lambda m, g: (mean(g).relu() * m).sum(1, True).relu()},
        "The weights play no part: you add up the maps as they are, so every class gets the same map.":
            {"_combine": lambda m, g: m.sum(1, True).relu()},
        "You differentiate the probability. Take the logit: the softmax mixes in what speaks for other classes.":
            {"_score": lambda logits, target: logits.softmax(1)[0, target]},
        "You differentiate the largest logit. Take that of the class asked about, `target`.":
            {"_score": lambda logits, target: logits.max()},
        'You enlarge in blocks, or pull the outer cells to the border. Use `mode="bilinear"`, without `align_corners`.':
            [{"_mode": "nearest"}, {"_align": True}],
    },
)  # fmt: skip
def grad_cam(
    features: nn.Module, head: nn.Module, image: Tensor, target: int, *,
    _combine: Callable[[Tensor, Tensor], Tensor] = lambda m, g: (mean(g) * m).sum(1, True).relu(),
    _score: Callable[[Tensor, int], Tensor] = lambda logits, target: logits[0, target],
    _finish: Function = torch.clone, _mode: str = "bilinear", _align: bool | None = None,
) -> Tensor:  # fmt: skip
    """Equal to captum's `LayerGradCam`, for several nets, classes and sides."""
    maps = features(image).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(_score(head(maps), target), maps)
    small = _combine(maps.detach(), gradient)  # (1, 1, h, w)
    return _finish(F.interpolate(small, tuple(image.shape[2:]), mode=_mode, align_corners=_align)[0, 0])


def shapes(model: nn.Module, layers: Sequence[str], image: Tensor) -> dict[str, torch.Size]:
    """Channels, height and width of each layer's maps, in the order of `layers`."""
    with probe.activations(model, layers) as seen, torch.no_grad():
        model(image)
    return {name: seen[name].shape[1:] for name in layers}


def fitting(fits: Callable[[torch.Size, int], bool], which: int = -1) -> Callable[..., str]:
    """The last of the layers that fit, or the first."""
    return lambda model, layers, image, cells: [
        name for name, shape in shapes(model, layers, image).items() if fits(shape, cells)
    ][which]


def stages(strides: Sequence[int], channels: Sequence[int]) -> nn.Sequential:
    """Convolutions one after another, `layer1`, `layer2`, …, each with a stride and a number of channels."""
    net = nn.Sequential()
    for index, (stride, before, after) in enumerate(zip(strides, (3, *channels), channels, strict=False), start=1):
        net.add_module(f"layer{index}", nn.Conv2d(before, after, 3, stride, padding=1))
    return net


def layer_calls() -> list[Call]:
    names = ["layer1", "layer2", "layer3", "layer4"]
    net, other = stages((2, 2, 2, 2), (2, 3, 5, 4)), stages((1, 2, 1, 3), (9, 2, 8, 3))
    questions = [(net, names, (64, 64), cells) for cells in (7, 8, 4)]  # sides 32, 16, 8, 4
    questions += [(net, names, (32, 96), 8), (net, names[:3], (96, 48), 7)]  # shorter sides 16, 8, 4, 2; 24, 12, 6
    questions += [(other, names, (24, 24), cells) for cells in (12, 20)]  # 24, 12, 12, 4
    questions += [(other, names, (30, 18), 5)]  # 18, 9, 9, 3
    return [Call(model, layers, torch.randn(1, 3, *side), cells) for model, layers, side, cells in questions]


@exercise(
    "11.2 pick the layer",
    calls=layer_calls,
    returns=text("one of the names in `layers`", among=["layer1", "layer2", "layer3", "layer4"]),
    mistakes={
        "You take the first layer that is fine enough. Take the last, which knows more than edges.":
            fitting(lambda shape, cells: min(shape[1:]) >= cells, 0),
        "You always take the deepest layer. Its map can be as coarse as one cell: ask for the number of cells first.":
            lambda model, layers, image, cells: layers[-1],
        "A map with exactly so many cells is fine enough: `>=`, not `>`.":
            fitting(lambda shape, cells: min(shape[1:]) > cells),
        "You count the cells on the longer side. The shorter one decides what the map can tell apart.":
            fitting(lambda shape, cells: max(shape[1:]) >= cells),
        "You count channels. The side of a map stands in the last two places of its shape.":
            fitting(lambda shape, cells: shape[0] >= cells),
    },
)  # fmt: skip
def pick_layer(model: nn.Module, layers: Sequence[str], image: Tensor, cells: int) -> str:
    """As deep as the map allows, for square and oblong images."""
    return fitting(lambda shape, cells: min(shape[1:]) >= cells)(model, layers, image, cells)


Places = Callable[[int], Tensor]


def slope(f: Function, point: Tensor) -> Tensor:
    """∂f / ∂point for a batch of one."""
    point = point.detach().requires_grad_()
    return torch.autograd.grad(f(point).sum(), point)[0]


def middles(steps: int) -> Tensor:
    return (torch.arange(steps, dtype=torch.float64) + 0.5) / steps


def curved(inputs: int) -> nn.Module:
    """A small function with curves: a batch to one number for each of its items."""
    last = nn.Linear(8, 1)
    nn.init.normal_(last.weight)
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, 8), nn.Tanh(), last, nn.Flatten(0))


def integrated_calls() -> list[Call]:
    cases = [(curved(24), *torch.randn(2, 1, 2, 3, 4), steps) for steps in (1, 2, 3, 8)]
    cases += [(curved(6), *torch.randn(2, 1, 6), 5)]
    cases += [(f, baseline, x, steps) for f, x, baseline, steps in cases[-2:]]  # the way back: the error's sign turns
    return [Call(*case) for case in cases]


PAIR = "two things, `(attribution, error)`: a tensor of the image's shape and one number"


def near_zero(error: Any) -> Tensor:
    return torch.tensor(number(PAIR).clean(error))


@exercise(
    "11.3 completeness",
    calls=integrated_calls,
    returns=several(PAIR, tensor(PAIR), Returns(near_zero, 1e-3)),
    mistakes={
        "You multiply the mean gradient by `x`, or by nothing. Multiply it by the path, `x - baseline`, entry by "
        "entry.": [{"_factor": lambda x, baseline: x}, {"_factor": lambda x, baseline: 1.0}],
        "You add up the gradients. Divide by the number of steps: the mean is asked for.":
            {"_over_steps": lambda gradients: gradients.sum(0)},
        "You take the gradient at the image alone. That is gradient × input; an integral needs the whole way.":
            {"_places": lambda steps: torch.ones(1)},
        "Your points are not the middles of equal pieces, (k + 0.5) / steps, but their beginnings, or go from end to "
        "end.":
            [{"_places": lambda steps: torch.arange(steps) / steps},
             {"_places": lambda steps: torch.linspace(0, 1, steps)}],
        "Your path begins at zero. It should begin at `baseline`.": {"_begin": torch.zeros_like},
        "You drop the sign. With it goes completeness: evidence against the class must count as negative.":
            {"_end": torch.abs},
        "The attribution is right, the error is not. It is the sum of the attribution *minus* the difference f(x) − "
        "f(baseline), and it keeps its sign: too much and too little are two things.":
            [{"_error": lambda total, fx, fb: (fx - fb) - total}, {"_error": lambda total, fx, fb: total - fx},
             {"_error": lambda total, fx, fb: abs(total - (fx - fb))}],
    },
)  # fmt: skip
def integrated_gradients(
    f: Function, x: Tensor, baseline: Tensor, steps: int, *, _begin: Function = torch.clone, _places: Places = middles,
    _over_steps: Function = lambda gradients: gradients.mean(0), _end: Function = torch.clone,
    _factor: Callable[[Tensor, Tensor], Tensor | float] = lambda x, baseline: x - baseline,
    _error: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda total, fx, fb: total - (fx - fb),
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The attribution by the midpoint rule and its error, for 7 nets, baselines and numbers of steps."""
    begin = _begin(baseline)
    gradients = torch.stack([slope(f, begin + float(place) * (x - begin)) for place in _places(steps)])
    attribution = _end(_factor(x, begin) * _over_steps(gradients))
    return attribution, _error(attribution.sum(), f(x).sum(), f(baseline).sum())
