"""The check of lesson 10 on freezing: train for a few steps, and look what has moved."""

from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

from .expect import alike, need_function
from .runner import Wrong, check
from .trained_net import moved, need_net, state_of, trained_net


@check("10.2 freeze properly")
def check_freeze_backbone(freeze_backbone: Any) -> str:
    """`freeze_backbone(model) -> model`: whatever training follows, it changes `fc` and nothing else.

    The check calls no `train()` or `eval()` of its own after it.
    """
    name = need_function(freeze_backbone, "freeze_backbone(model)", nn.Identity())
    for training in (True, False):
        given = trained_net().train(training)
        images = torch.randn(24, 3, 8, 8)
        wanted = features(given, images)
        before = state_of(given)
        model = need_net(freeze_backbone(given), name)
        need_kept(model, before)
        need_some_head(model)
        if not alike(features(model, images, as_it_is=False), wanted):
            raise Wrong("In evaluation mode the net no longer gives what it gave before. Take nothing out of it.")
        train(model, images)
        need_unmoved(model, before)
        alone, together = features(model, images[:2], as_it_is=True), features(model, images, as_it_is=True)[:2]
        if not alike(alone, together):
            raise Wrong(
                "The running statistics rest, but the batch norms still normalise by the batch at hand: an image's "
                "features depend on the images beside it. Put the backbone into evaluation mode."
            )
    return "Five steps of training with weight decay: `fc` has moved, every weight and statistic before it has not."


@torch.no_grad()
def features(model: nn.Module, images: Tensor, *, as_it_is: bool = False) -> Tensor:
    """What arrives at the head, in evaluation mode or in whichever mode each module has; statistics stay."""
    modes, state = {module: module.training for module in model.modules()}, state_of(model)
    found: list[Tensor] = []
    hook = model.get_submodule("fc").register_forward_pre_hook(lambda _, args: found.append(args[0]))
    if not as_it_is:
        model.eval()
    model(images)
    hook.remove()
    for module, mode in modes.items():
        module.training = mode
    if as_it_is:
        model.load_state_dict(state)
    return found[0]


def train(model: nn.Module, images: Tensor) -> None:
    """Five steps on whatever may still learn, in the mode the net is in."""
    labels = torch.arange(len(images)) % 10
    free = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = optim.SGD(free, lr=0.1, momentum=0.9, weight_decay=0.01)
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()


def need_kept(model: nn.Module, before: dict[str, Tensor]) -> None:
    """Freezing itself changes no value.

    Raises:
        Wrong: something has changed.
    """
    changed = [*moved(model, before, head=False), *moved(model, before, head=True)]
    if changed:
        raise Wrong(f"`{changed[0]}` has another value, or is gone, right after the call. Freezing changes no value.")


def need_some_head(model: nn.Module) -> None:
    """The head may learn.

    Raises:
        Wrong: it is frozen.
    """
    head = [parameter.requires_grad for parameter in model.get_submodule("fc").parameters()]
    rest = [parameter.requires_grad for name, parameter in model.named_parameters() if not name.startswith("fc.")]
    if not any(head) and all(rest):
        raise Wrong("You freeze the head and let the backbone learn. It is the other way round.")
    if not any(head) and not any(rest):
        raise Wrong("Everything is frozen, `fc` too, so there is nothing left to train. Free the head again.")
    if not all(head):
        raise Wrong("A part of the head is frozen: weight and bias of `fc` both learn.")


def need_unmoved(model: nn.Module, before: dict[str, Tensor]) -> None:
    """After training only the head has moved.

    Raises:
        Wrong: something else has; the message says what was forgotten.
    """
    names = moved(model, before, head=False)
    statistics = [name for name in names if "running" in name or "num_batches" in name]
    weights = [name for name in names if name not in statistics]
    all_weights = [name for name, _ in model.named_parameters() if not name.startswith("fc.")]
    if len(weights) == len(all_weights):
        raise Wrong(
            "Every weight of the backbone has moved. Evaluation mode stops the statistics, not the gradients: set "
            "`requires_grad = False` as well."
            if not statistics
            else "After five steps the whole backbone has moved: it is not frozen at all."
        )
    norms = [name for name in all_weights if ".bn" in f".{name}"]
    if weights and set(weights) <= set(norms):
        raise Wrong(f"`{weights[0]}` has moved. Batch norms have weights too, and they must rest as the others do.")
    if weights and all(name.endswith("bias") for name in weights):
        raise Wrong(f"`{weights[0]}` has moved. Freeze the biases as well as the weights.")
    if weights and not any(name.startswith("layer") for name in weights):
        raise Wrong(f"`{weights[0]}` has moved. The stem, before the stages, belongs to the backbone.")
    if weights:
        raise Wrong(f"`{weights[0]}` has moved. Go through `model.parameters()`, so that no layer is left out.")
    if statistics:
        raise Wrong(
            f"All weights rest, but `{statistics[0]}` has moved: `requires_grad = False` does not stop a batch norm "
            "in train mode from replacing its statistics. Put the backbone into evaluation mode."
        )
    if not moved(model, before, head=True):
        raise Wrong("Nothing has moved, the head neither.")
