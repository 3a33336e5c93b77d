"""The check of lesson 10 on a new head: other classes, the same backbone."""

from typing import Any

import torch
from torch import Tensor, nn

from .expect import need_function
from .runner import Wrong, check
from .trained_net import moved, need_net, state_of, trained_net


@check("10.1 a new head")
def check_new_head(new_head: Any) -> str:
    """`new_head(model, num_classes) -> model`: `model.fc` is an untrained linear layer for `num_classes` classes."""
    name = need_function(new_head, "new_head(model, num_classes)", nn.Identity(), 4)
    for features, classes, new in ((14, 10, 4), (9, 5, 7), (20, 10, 10)):
        given = trained_net(features, classes)
        before, parts = state_of(given), set(dict(given.named_modules()))
        model = need_net(new_head(given, new), name)
        need_one_linear_head(model, parts, before, new)
        need_old_backbone(model, before)
        need_untrained(model.get_submodule("fc"), before)
        need_logits(model, new)
    return "The features of the old net, a new layer on top that knows nothing yet, and everything free to learn."


def need_one_linear_head(model: nn.Module, parts: set[str], before: dict[str, Tensor], classes: int) -> None:
    """`fc` is one linear layer from the old features to the new classes.

    Raises:
        Wrong: it is something else; the message names what.
    """
    old_classes, features = before["fc.weight"].shape
    if isinstance(model, nn.Sequential):
        raise Wrong(
            "You put the new layer behind the old net. Then it sees the logits of the old classes and not the "
            "features before them. Replace `fc` itself."
        )
    head = getattr(model, "fc", None)
    if isinstance(head, nn.Sequential) and any(
        isinstance(part, nn.Linear) and part.out_features == old_classes for part in head
    ):
        raise Wrong("The old head is still inside the new one: the new layer sees old logits. Take the old layer out.")
    if isinstance(head, nn.Sequential) and any(isinstance(part, nn.Softmax | nn.LogSoftmax) for part in head):
        raise Wrong("There is a softmax in the head. The loss applies one itself: hand it logits.")
    if isinstance(head, nn.Sequential) and sum(isinstance(part, nn.Linear) for part in head) > 1:
        raise Wrong("The head has several linear layers. One is asked for, as in the net it came from.")
    if not isinstance(head, nn.Linear):
        raise Wrong(f"Expected a linear layer as `model.fc`, got {type(head).__name__}.")
    extra = [part for part in dict(model.named_modules()) if part not in parts]
    if extra:
        raise Wrong(f"`model.{extra[0]}` is new, and `forward` never uses it. The net's last layer is called `fc`.")
    if head.in_features != features:
        raise Wrong(
            f"`fc` takes {head.in_features} features, but this backbone makes {features}. Read it from the old layer: "
            "`model.fc.in_features`."
        )
    if head.out_features == old_classes != classes:
        raise Wrong(f"`fc` still has {old_classes} outputs; asked for are {classes}, one a class.")
    if head.out_features != classes:
        raise Wrong(f"`fc` has {head.out_features} outputs; asked for are {classes}, one a class.")
    if head.bias is None:
        raise Wrong("The new head has no bias. No batch norm follows it, so it needs one.")


def need_old_backbone(model: nn.Module, before: dict[str, Tensor]) -> None:
    """All before the head is what it was, and free to learn.

    Raises:
        Wrong: something is not.
    """
    changed = moved(model, before, head=False)
    if changed and all("running" in each or "num_batches" in each for each in changed):
        raise Wrong(
            f"The running statistics have changed ({changed[0]}). Send no images through the net in train mode."
        )
    if changed:
        raise Wrong(f"`{changed[0]}` is not what it was. What the old net has learned is all that it is kept for.")
    frozen = [each for each, parameter in model.named_parameters() if not parameter.requires_grad]
    if frozen:
        raise Wrong(f"`{frozen[0]}` is frozen. Freezing is the next exercise; here everything stays free to learn.")


def need_untrained(head: nn.Module, before: dict[str, Tensor]) -> None:
    """The head's rows are not those of the old classes.

    Raises:
        Wrong: they are.
    """
    weight, old = head.get_parameter("weight"), before["fc.weight"]
    shared = min(len(weight), len(old))
    if torch.equal(weight[:shared], old[:shared]):
        raise Wrong(
            "The new head has the weights of the old classes. Class 3 of yours has nothing to do with class 3 of "
            "theirs: start with a fresh `nn.Linear`."
        )


def need_logits(model: nn.Module, classes: int) -> None:
    """The net runs.

    Raises:
        Wrong: its output is no logits of the new classes.
    """
    with torch.no_grad():
        logits = model(torch.randn(2, 3, 8, 8))
    if not isinstance(logits, Tensor) or logits.shape != (2, classes):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise Wrong(f"For two images the net returns {got}; expected logits (2, {classes}).")
