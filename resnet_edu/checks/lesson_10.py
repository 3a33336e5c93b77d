"""The checks of lesson 10: a new head, freezing, parameter groups, and how many labels are enough."""

import math
import random
from collections.abc import Callable, Mapping
from statistics import mean
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

from ..models import BasicBlock, ResNet
from .exercise import Call, Variant, exercise
from .module import randomise
from .result import Wrong, kind_of
from .values import Returns, need, number, plain, seen


@torch.no_grad()
def trained_net(width: int = 2, num_classes: int = 10) -> ResNet:
    """A small ResNet with 8 · width features; batch norms that have seen data, and large weights in the head."""
    net = ResNet(BasicBlock, (1, 1, 1, 1), width=width, num_classes=num_classes, stem="small").eval()
    randomise(net)
    for parameter in net.fc.parameters():
        parameter.add_(10)
    return net


def is_head(name: str) -> bool:
    return name.startswith("fc.")


def is_backbone(name: str) -> bool:
    return not is_head(name)


@torch.no_grad()
def anatomy(net: nn.Module) -> dict[str, Any]:
    """What one sees of a network: its layers and sizes, its values before the head, and whether the head is new."""
    try:
        logits = f"of shape {tuple(net.eval()(torch.randn(2, 3, 8, 8)).shape)}"
    except RuntimeError:
        logits = "none, the layers do not fit together"
    values = net.state_dict()
    head = [value for name, value in values.items() if is_head(name)]
    return {
        "layers": {name: type(part).__name__ for name, part in net.named_modules() if name},
        "size": {name: str(tuple(value.shape)) for name, value in values.items()},
        "before the head, where nothing changes":
            {name: parameter for name, parameter in net.named_parameters() if not is_head(name)},
        "running statistics (send no images through the net in train mode)": dict(net.named_buffers()),
        "free to learn": {name: parameter.requires_grad for name, parameter in net.named_parameters()},
        "weights of the old classes in the head": sum(int((value > 5).sum()) for value in head),
        "logits of two images": logits,
    }  # fmt: skip


def with_head(net: Any, head: nn.Module, name: str = "fc") -> nn.Module:
    setattr(net, name, head)
    return net


def linear(net: Any, num_classes: int, **options: Any) -> nn.Linear:
    return nn.Linear(net.fc.in_features, num_classes, **options)


@exercise(
    "10.1 a new head",
    calls=lambda: [Call(trained_net(2, 10), 4), Call(trained_net(1, 5), 7), Call(trained_net(3, 10), 10)],
    returns=seen("the network", nn.Module, anatomy),
    may_change=("model",),
    mistakes={
        "You put the new layer after the old one. Then it sees the logits of the old classes and not the features "
        "before them. Replace `fc` itself.":
            [lambda m, n: nn.Sequential(m, nn.Linear(m.fc.out_features, n)),
             lambda m, n: with_head(m, nn.Sequential(m.fc, nn.Linear(m.fc.out_features, n)))],
        "There is a softmax in the head. The loss applies one itself: hand it logits.":
            [lambda m, n: with_head(m, nn.Sequential(linear(m, n), nn.Softmax(1))),
             lambda m, n: with_head(m, nn.Sequential(linear(m, n), nn.LogSoftmax(1)))],
        "The new layer is there, and `forward` never uses it. The net's last layer is called `fc`.":
            [lambda m, n: with_head(m, linear(m, n), "head"), lambda m, n: with_head(m, linear(m, n), "classifier")],
        "`fc` takes 512 features, but these backbones make others. Read the number from the old layer: "
        "`model.fc.in_features`.": lambda m, n: with_head(m, nn.Linear(512, n)),
        "`fc` still has as many outputs as before. Give it one for each of the new classes.":
            [lambda m, n: m, lambda m, n: with_head(m, linear(m, m.fc.out_features))],
        "`fc` has no bias. No batch norm follows it, so it needs one.":
            lambda m, n: with_head(m, linear(m, n, bias=False)),
        "The backbone is frozen. Freezing is the next exercise; here everything stays free to learn.":
            [lambda m, n: with_head(m.requires_grad_(False), linear(m, n)),
             lambda m, n: with_head(m, linear(m, n)).requires_grad_(False)],
        "You return the head alone. Return the whole network, with the head in it.": linear,
    },
)  # fmt: skip
def new_head(model: Any, num_classes: int) -> nn.Module:
    """The features of the old net, a new layer on top that knows nothing yet, and everything free to learn."""
    return with_head(model, linear(model, num_classes))


Curve = dict[int, list[float]]


def curve_calls() -> list[Call]:
    curve = {5: [33.0, 29.0], 10: [19.0, 22.0], 20: [12.5, 11.5], 50: [6.0, 7.0], 100: [4.5, 3.5]}
    shuffled = {labels: curve[labels] for labels in (100, *random.sample([5, 10, 20, 50], 4))}
    bumpy = {1: [80.0, 82.0, 78.0], 3: [50.0, 44.0, 56.0], 9: [55.0, 51.0, 50.0], 27: [30.0] * 3, 81: [31.0] * 3}
    pairs = [(curve, 19.0), (curve, 20.5), (shuffled, 7.5), (shuffled, 21.0), (curve, 2.0), (curve, 60.0)]
    return [Call(*pair) for pair in [*pairs, (bumpy, 51.0), (bumpy, 30.5), (bumpy, 52.0), (bumpy, 45.0)]]


@exercise(
    "10.2 how many labels",
    calls=curve_calls,
    returns=number("a number of labels, or `float('inf')`"),
    mistakes={
        "You take the first number of labels that is low enough, but with more labels the error goes up again. From "
        "your answer on it has to stay low.":
            lambda curve, error: min((n for n, errors in curve.items() if mean(errors) <= error), default=math.inf),
        "You judge by a single draw: the luckiest, the unluckiest or the first. Take the mean of the draws.":
            [{"_of_draws": min}, {"_of_draws": max}, {"_of_draws": lambda errors: errors[0]}],
        "A mean that lies exactly at the limit counts as well: `<=`, not `<`.":
            {"_of_draws": lambda errors: mean(errors) + 1e-9},
        "You return the largest number of labels that is enough. Return the smallest.":
            {"_pick": lambda curve, enough: max(enough)},
        "You take the numbers in the order of the dict, which need not be sorted.":
            {"_pick": lambda curve, enough: next(labels for labels in curve if labels in enough)},
        "The comparison is turned around: a low error is good, so it must be at most `error`.":
            lambda curve, error: min((n for n, errors in curve.items() if mean(errors) >= error), default=math.inf),
        "You return the position in the curve, or the error there. Return the number of labels.":
            [{"_pick": lambda curve, enough: sorted(curve).index(enough[0])},
             {"_pick": lambda curve, enough: mean(curve[enough[0]])}],
        "When no number of labels is enough, you return the largest, or 0 or -1. Return `float('inf')`.":
            [{"_none": max}, {"_none": lambda curve: 0}, {"_none": lambda curve: -1}],
    },
)  # fmt: skip
def labels_needed(
    curve: Curve, error: float, *, _of_draws: Callable[[list[float]], float] = mean,
    _pick: Callable[[Curve, list[int]], float] = lambda curve, enough: enough[0],
    _none: Callable[[Curve], float] = lambda curve: math.inf,
) -> float:  # fmt: skip
    """Right, for curves in any order, curves with a bump, means exactly at the limit, and limits out of reach."""
    numbers = sorted(curve)
    above = [place for place, labels in enumerate(numbers) if _of_draws(curve[labels]) > error]
    enough = numbers[max(above, default=-1) + 1 :]
    return _pick(curve, enough) if enough else _none(curve)


def frozen(model: nn.Module, part: Callable[[str], bool] = is_backbone) -> nn.Module:
    """The same network, with the gradients off in the parts whose name says so."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad = not part(name)
    return model


def values_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items() if not name.endswith("batches_tracked")}


def norms(model: nn.Module, **settings: Any) -> nn.Module:
    """The same network, with other settings of its batch norms."""
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            vars(part).update(settings)
    return model


def five_steps(model: nn.Module) -> dict[str, Any]:
    """What one sees of a frozen network: its values at once, what may learn, and its values after five steps.

    The network stays in the mode it is in. Weight decay moves whatever the optimizer holds.
    """
    if not hasattr(model, "fc"):
        raise Wrong("`freeze_backbone` returns only a part. Return the whole network, with the head `fc` in it.")
    at_once = values_of(model)
    free = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    optimizer = optim.SGD(free.values() or [torch.zeros(1)], lr=0.1, momentum=0.9, weight_decay=0.01)
    images, labels = torch.randn(24, 3, 8, 8), torch.arange(24) % 10
    for _ in range(5 if free else 0):
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    learns = {name: "learns" if name in free else "rests" for name, _ in model.named_parameters()}
    return {
        "right after the call (freezing changes no value)": at_once,
        "what may learn": learns,
        "after five steps of training": values_of(model),
    }


@exercise(
    "10.3 freeze properly",
    calls=lambda: [Call(trained_net().train(mode)) for mode in (True, False)],
    returns=seen("the network", nn.Module, five_steps),
    may_change=("model",),
    mistakes={
        "After five steps the whole backbone has moved: it is not frozen at all.": [lambda m: m, lambda m: m.train()],
        "Every weight of the backbone has moved. Evaluation mode stops the statistics, not the gradients: set "
        "`requires_grad = False` as well.": lambda m: m.eval(),
        "All weights rest, but the running statistics have moved: `requires_grad = False` does not stop a batch norm "
        "in train mode from replacing them. Put the backbone into evaluation mode.":
            [lambda m: frozen(m), lambda m: frozen(m).train()],
        "You freeze the head and let the backbone learn. It is the other way round.":
            lambda m: frozen(m, is_head).eval(),
        "Everything before `fc` is frozen, and so is `fc` or a part of it. Its weight and bias should both learn: "
        "unfreeze them.":
            [lambda m: frozen(m, lambda name: True).eval(),
             lambda m: frozen(m, lambda name: name != "fc.weight").eval(),
             lambda m: frozen(m, lambda name: name != "fc.bias").eval()],
        "Some weights of the backbone have moved. Stem, stages and batch norms all belong to it: go through "
        "`model.parameters()`, so that no layer is left out.":
            [lambda m: frozen(m, lambda name: not is_head(name) and "bn" not in name).eval(),
             lambda m: frozen(m, lambda name: name.startswith("layer")).eval(),
             lambda m: frozen(m, lambda name: name.startswith(("conv1", "bn1"))).eval()],
        "The running statistics rest, but the batch norms still normalise by the batch at hand: an image's features "
        "depend on the images beside it. Put the backbone into evaluation mode.":
            [lambda m: norms(frozen(m).train(), momentum=0.0),
             lambda m: norms(frozen(m).train(), track_running_stats=False)],
    },
)  # fmt: skip
def freeze_backbone(model: nn.Module) -> nn.Module:
    """Five steps of training with weight decay: `fc` has moved, every weight and statistic before it has not."""
    return frozen(model).eval()


@torch.no_grad()
def numbered_net(*frozen: str) -> ResNet:
    """A net in which every parameter holds its own number, by which it is known again."""
    net = trained_net()
    for index, (name, parameter) in enumerate(net.named_parameters()):
        parameter.fill_(index).requires_grad_(name not in frozen)
    return net


def rates_of(groups: Any) -> dict[str, str]:
    """For each parameter by name, the rates at which an optimizer would train it."""
    fits = isinstance(groups, list | tuple) and all(isinstance(group, Mapping) for group in groups)
    need(fits, "a list of dicts, which is handed over to the optimizer", groups)
    names, rates = [name for name, _ in trained_net().named_parameters()], dict[str, list[str]]()
    for group in groups:
        if "params" not in group or "lr" not in group:
            raise Wrong(f"Each group needs the keys 'params' and 'lr'; yours has {', '.join(map(repr, group))}.")
        members = group["params"]
        for member in [members] if isinstance(members, Tensor) else members:
            if not isinstance(member, nn.Parameter):
                raise Wrong(f"'params' holds {kind_of(member)}. The optimizer needs the model's parameters themselves.")
            rates.setdefault(names[int(member.flatten()[0])], []).append(f"at the rate {plain(group['lr']):g}")
    return {name: " and ".join(sorted(each)) for name, each in rates.items()}


def need_the_models_own(answer: Callable[..., Any]) -> None:
    """The groups hold the parameters themselves, no copies."""
    net = numbered_net()
    optimizer = optim.SGD(answer(net, 0.1, 0.01))
    if {each for group in optimizer.param_groups for each in group["params"]} != set(net.parameters()):
        raise Wrong("'params' holds copies. Training them would leave the model as it is.")


def frozen_or_not(**options: Any) -> list[Variant]:
    return [options, options | {"_frozen": True}]


@exercise(
    "10.4 parameter groups",
    calls=lambda: [
        Call(numbered_net(), 0.01, 0.001),
        Call(numbered_net("conv1.weight"), 0.03, 0.02),
        Call(numbered_net("fc.weight"), 0.2, 0.1),
        Call(numbered_net("fc.weight", "fc.bias"), 0.2, 0.1),
    ],
    returns=Returns(rates_of),
    mistakes={
        "The head is in two groups, which an optimizer refuses. `model.parameters()` has the head in it: leave it out "
        "of the backbone.": frozen_or_not(_backbone=lambda name: True),
        "Frozen parameters (`requires_grad` is False) are in a group. Leave them out.": {"_frozen": True},
        "The rates are swapped: the head is new and gets `head_lr`, the backbone gets `backbone_lr`.":
            frozen_or_not(_head=is_backbone, _backbone=is_head),
        "Everything has the same rate. The head gets `head_lr`, the backbone gets `backbone_lr`.":
            [*frozen_or_not(_head=lambda name: True, _backbone=lambda name: False),
             *frozen_or_not(_head=lambda name: False, _backbone=lambda name: True)],
        "The head is in no group, so it would never learn.": frozen_or_not(_head=lambda name: False),
        "The backbone is in no group. That freezes it; here it learns too, at its own rate.":
            frozen_or_not(_backbone=lambda name: False),
        "The biases are in no group. They learn too.": frozen_or_not(_part=lambda name: not name.endswith("bias")),
    },
    last_question=need_the_models_own,
)  # fmt: skip
def parameter_groups(
    model: nn.Module, head_lr: float, backbone_lr: float, *, _head: Any = is_head, _backbone: Any = is_backbone,
    _part: Any = lambda name: True, _frozen: bool = False,
) -> list[dict[str, Any]]:  # fmt: skip
    """Every parameter that may learn is in one group, the head at its own rate, and frozen ones are left out."""
    named = [(name, p) for name, p in model.named_parameters() if _part(name) and (p.requires_grad or _frozen)]
    return [
        {"params": [p for name, p in named if _backbone(name)], "lr": backbone_lr},
        {"params": [p for name, p in named if _head(name)], "lr": head_lr},
    ]
