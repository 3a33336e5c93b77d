"""Answers to the exercises of lesson 08 on one stage, on a loss for several heads and on weights trained elsewhere."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import checks
from resnet_edu.models import BasicBlock, PlainBlock

from . import Exercise

Tensors = dict[str, Tensor]
Weights = dict[str, float] | None

# --- 08.1 stage -------------------------------------------------------------------------------------------------


def stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(in_channels, channels, stride)
    return nn.Sequential(first, *(BasicBlock(channels, channels) for _ in range(blocks - 1)))


def stage_stub(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    raise NotImplementedError("not yet")


def stage_in_a_loop(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    """Right, with the shape carried along."""
    layers = nn.Sequential()
    for _ in range(blocks):
        layers.append(BasicBlock(in_channels, channels, stride))
        in_channels, stride = channels, 1
    return layers


def every_stride(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    return nn.Sequential(*(BasicBlock(channels if i else in_channels, channels, stride) for i in range(blocks)))


def no_stride(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    return stage(in_channels, channels, blocks, 1)


def last_stride(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    strides = [1] * (blocks - 1) + [stride]
    return nn.Sequential(*(BasicBlock(channels if i else in_channels, channels, s) for i, s in enumerate(strides)))


def same_input(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    return nn.Sequential(*(BasicBlock(in_channels, channels, 1 if i else stride) for i in range(blocks)))


def growing(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    sizes = [in_channels, *(channels * 2**i for i in range(blocks))]
    return nn.Sequential(*(BasicBlock(sizes[i], sizes[i + 1], 1 if i else stride) for i in range(blocks)))


def one_too_few(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    return stage(in_channels, channels, blocks, stride)[: max(1, blocks - 1)]


def one_too_many(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    return stage(in_channels, channels, blocks + 1, stride)


def shared(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(in_channels, channels, stride), *[BasicBlock(channels, channels)] * (blocks - 1))


def copies(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    one = BasicBlock(channels, channels)
    return nn.Sequential(BasicBlock(in_channels, channels, stride), *(copy.deepcopy(one) for _ in range(blocks - 1)))


def as_list(in_channels: int, channels: int, blocks: int, stride: int) -> list[nn.Module]:
    return list(stage(in_channels, channels, blocks, stride))


def as_module_list(in_channels: int, channels: int, blocks: int, stride: int) -> nn.ModuleList:
    return nn.ModuleList(stage(in_channels, channels, blocks, stride))


def with_relu(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    return nn.Sequential(*stage(in_channels, channels, blocks, stride), nn.ReLU())


def plain(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        *(PlainBlock(channels if i else in_channels, channels, 1 if i else stride) for i in range(blocks))
    )


STAGE = Exercise(
    checks.check_stage,
    stage,
    stage_stub,
    [
        (every_stride, "it halves the side"),
        (no_stride, "has the stride 2, so"),
        (last_stride, "The last block of"),
        (same_input, "Only the first block takes `in_channels`"),
        (growing, "All blocks of a stage put out"),
        (one_too_few, "one is missing or more"),
        (one_too_many, "is one of them"),
        (shared, "share their weights"),
        (copies, "copies of one"),
        (as_list, "whose parameters no optimizer would find"),
        (as_module_list, "cannot be called"),
        (with_relu, "Besides the blocks the stage has ReLU"),
        (plain, "The stage is made of PlainBlock"),
    ],
    others=(stage_in_a_loop,),
)

# --- 08.3 multi-head loss ---------------------------------------------------------------------------------------


def loss(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    weights = weights or {}
    return sum(
        (weights.get(head, 1.0) * F.cross_entropy(out, labels[head]) for head, out in outputs.items()), torch.zeros(())
    )


def loss_stub(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    raise NotImplementedError("not yet")


def loss_with_modules(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    """Right, with nn.CrossEntropyLoss and a loop over the labels."""
    total, criterion = torch.tensor(0.0), nn.CrossEntropyLoss()
    for head, target in labels.items():
        weight = 1.0 if weights is None or head not in weights else weights[head]
        total = total + weight * criterion(outputs[head], target)
    return total


def unweighted(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    return loss(outputs, labels)


def mean_of_heads(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    return loss(outputs, labels, weights) / len(outputs)


def shares(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    total = sum((weights or {}).get(head, 1.0) for head in outputs)
    return loss(outputs, labels, weights) / total


def unnamed_dropped(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    weights = dict.fromkeys(outputs, 1.0) if weights is None else weights
    return sum((w * F.cross_entropy(outputs[head], labels[head]) for head, w in weights.items()), torch.zeros(()))


def first_only(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    head = next(iter(outputs))
    return (weights or {}).get(head, 1.0) * F.cross_entropy(outputs[head], labels[head])


def overwritten(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    total = torch.zeros(())
    for head, out in outputs.items():
        total = (weights or {}).get(head, 1.0) * F.cross_entropy(out, labels[head])
    return total


def by_position(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    pairs = zip(outputs.items(), labels.values(), strict=True)
    return sum(((weights or {}).get(h, 1.0) * F.cross_entropy(out, y) for (h, out), y in pairs), torch.zeros(()))


def softmaxed(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    return loss({head: F.softmax(out, dim=1) for head, out in outputs.items()}, labels, weights)


def likelihood(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    return sum(
        ((weights or {}).get(h, 1.0) * F.nll_loss(out, labels[h]) for h, out in outputs.items()), torch.zeros(())
    )


def over_images(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    return loss(outputs, labels, weights) * 5


def product(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    total = torch.ones(())
    for head, out in outputs.items():
        total = total * (weights or {}).get(head, 1.0) * F.cross_entropy(out, labels[head])
    return total


def worst(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    return torch.stack([loss({head: out}, labels, weights) for head, out in outputs.items()]).max()


def regression(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    total = torch.zeros(())
    for head, out in outputs.items():
        target = torch.eye(out.shape[1])[labels[head]]
        total = total + (weights or {}).get(head, 1.0) * (out - target).square().mean()
    return total


def as_number(outputs: Tensors, labels: Tensors, weights: Weights = None) -> float:
    return loss(outputs, labels, weights).item()


def as_dict(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensors:
    return {head: F.cross_entropy(out, labels[head]) for head, out in outputs.items()}


def per_image(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    return torch.stack([F.cross_entropy(out, labels[h], reduction="none") for h, out in outputs.items()]).sum(dim=0)


def cut_off(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    first = next(iter(outputs))
    return loss({head: out if head == first else out.detach() for head, out in outputs.items()}, labels, weights)


LOSS = Exercise(
    checks.check_multi_head_loss,
    loss,
    loss_stub,
    [
        (unweighted, "The weights are ignored"),
        (mean_of_heads, "the mean over the heads"),
        (shares, "divide by the sum of the weights"),
        (unnamed_dropped, "falls out of the sum"),
        (first_only, "Only the first head"),
        (overwritten, "Only the last head"),
        (by_position, "paired by position"),
        (softmaxed, "a softmax before the cross-entropy"),
        (likelihood, "expects log-probabilities"),
        (over_images, "add up over the images"),
        (product, "multiply the losses"),
        (worst, "only the largest loss"),
        (regression, "the squared error"),
        (as_number, "A plain number has no gradient"),
        (as_dict, "An optimizer needs one number"),
        (per_image, "not averaged over the images"),
        (cut_off, "the gradient at head"),
    ],
    others=(loss_with_modules,),
)

# --- 08.4 weights trained elsewhere -----------------------------------------------------------------------------


def cut(state: Tensors) -> Tensors:
    if not all(key.startswith("module.") for key in state):
        return dict(state)
    return {key.removeprefix("module."): value for key, value in state.items()}


def split(model: nn.Module, state: Tensors, head: str) -> tuple[Tensors, list[str]]:
    """What fits, and the names that do not; a ValueError where one of them is the trunk's."""
    own = model.state_dict()
    fitting = {key: value for key, value in state.items() if key in own and value.shape == own[key].shape}
    rest = sorted((own.keys() | state.keys()) - fitting.keys())
    if others := [key for key in rest if not key.startswith(f"{head}.")]:
        raise ValueError(f"The trunk does not fit: {others}")
    return fitting, rest


def load(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    fitting, rest = split(model, cut(state), head)
    model.load_state_dict(fitting, strict=False)
    return rest


def load_stub(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    raise NotImplementedError("not yet")


def load_by_copying(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    """Right, tensor by tensor."""
    fitting, rest = split(model, cut(state), head)
    own = model.state_dict()
    for key, value in fitting.items():
        own[key].copy_(value)
    return rest


def silent(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    own = model.state_dict()
    fitting = {key: value for key, value in state.items() if key in own and value.shape == own[key].shape}
    model.load_state_dict(fitting, strict=False)
    return sorted((own.keys() | state.keys()) - fitting.keys())


def head_handed_in(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    missing, unexpected = model.load_state_dict(cut(state), strict=False)
    return sorted([*missing, *unexpected])


def replaced(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    state = {key.replace("module.", ""): value for key, value in state.items()}
    own = model.state_dict()
    fitting = {key: value for key, value in state.items() if key in own and value.shape == own[key].shape}
    model.load_state_dict(fitting, strict=False)
    return sorted((own.keys() | state.keys()) - fitting.keys())


def stripped(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    fitting, rest = split(model, {key.lstrip("module."): value for key, value in state.items()}, head)
    model.load_state_dict(fitting, strict=False)
    return rest


def parameters_only(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    fitting, rest = split(model, cut(state), head)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key in fitting:
                parameter.copy_(fitting[key])
    return rest


def never_the_head(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    fitting, rest = split(model, cut(state), head)
    model.load_state_dict({k: v for k, v in fitting.items() if not k.startswith("fc.")}, strict=False)
    return rest


def lenient(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    return silent(model, cut(state), head)


def lenient_about_more(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    own, state = model.state_dict(), cut(state)
    return sorted({*load(model, {k: v for k, v in state.items() if k in own or k.startswith("fc.")}, head)})


def lenient_about_shapes(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    own, state = model.state_dict(), cut(state)
    if others := [key for key in own.keys() ^ state.keys() if not key.startswith("fc.")]:
        raise ValueError(f"names differ: {others}")
    return silent(model, state, head)


def sloppy_head(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    own, state = model.state_dict(), cut(state)
    fitting = {key: value for key, value in state.items() if key in own and value.shape == own[key].shape}
    rest = sorted((own.keys() | state.keys()) - fitting.keys())
    if others := [key for key in rest if not key.startswith(head)]:
        raise ValueError(f"the trunk does not fit: {others}")
    model.load_state_dict(fitting, strict=False)
    return rest


def too_late(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    rest = lenient(model, state, head)
    if any(not key.startswith(f"{head}.") for key in rest):
        raise ValueError("the trunk does not fit")
    return rest


def other_error(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    try:
        return load(model, state, head)
    except ValueError as error:
        raise KeyError("trunk") from error


def does_not_say_which(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    try:
        return load(model, state, head)
    except ValueError:
        raise ValueError("no") from None


def fc_whatever_was_asked(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    return load(model, state)


def says_nothing(model: nn.Module, state: Tensors, head: str = "fc") -> None:
    load(model, state, head)


def all_is_well(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    load(model, state, head)
    return []


def what_was_loaded(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    rest = load(model, state, head)
    return [key for key in model.state_dict() if key not in rest]


def with_prefix(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    prefix = "module." if all(key.startswith("module.") for key in state) else ""
    return [prefix + key for key in load(model, state, head)]


def one_side(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    return [key for key in load(model, state, head) if key in model.state_dict()]


def unsorted(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    return load(model, state, head)[::-1]


def as_set(model: nn.Module, state: Tensors, head: str = "fc") -> set[str]:
    return set(load(model, state, head))


def shares_memory(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    fitting, rest = split(model, cut(state), head)
    model.load_state_dict(fitting, strict=False, assign=True)
    return rest


def pops(model: nn.Module, state: Tensors, head: str = "fc") -> list[str]:
    fitting, rest = split(model, cut(state), head)
    for key in list(state):
        if "fc." in key:
            state.pop(key)
    model.load_state_dict(fitting, strict=False)
    return rest


WEIGHTS: list[tuple[Any, str]] = [
    (silent, "nothing was loaded at all"),
    (head_handed_in, "refuses a head of another shape"),
    (replaced, "Cut the first seven characters off"),
    (stripped, "which it should load"),
    (parameters_only, "are buffers, not parameters"),
    (never_the_head, "left out although it fits"),
    (lenient, "A trunk with a layer missing is accepted"),
    (lenient_about_more, "A trunk with a layer too many is accepted"),
    (one_side, "Only a part is reported"),
    (lenient_about_shapes, "A trunk with a layer of another shape is accepted"),
    (sloppy_head, "A layer that begins with the head's letters"),
    (too_late, "The error comes too late"),
    (other_error, "raises KeyError for weights"),
    (does_not_say_which, "does not say which name"),
    (fc_whatever_was_asked, "Take the name from the argument"),
    (says_nothing, "returns nothing"),
    (all_is_well, "You report that all is well"),
    (what_was_loaded, "the names that were loaded"),
    (with_prefix, "still have the prefix"),
    (unsorted, "not sorted"),
    (as_set, "returned as a set"),
    (shares_memory, "shares memory with the state"),
    (pops, "changes the dictionary it is given"),
]

LOAD = Exercise(checks.check_load_trunk, load, load_stub, WEIGHTS, others=(load_by_copying,))

EXERCISES = [STAGE, LOSS, LOAD]
