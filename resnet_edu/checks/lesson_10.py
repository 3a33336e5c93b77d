"""The checks of lesson 10: freezing."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

from .exercise import Call, exercise
from .result import Wrong
from .trained_net import trained_net
from .values import seen

# --- 10.2 freeze properly ---------------------------------------------------------------------------------------


def frozen(model: nn.Module, part: Callable[[str], bool] = lambda name: not name.startswith("fc.")) -> nn.Module:
    """The same network, with the gradients off in the parts whose name says so."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad = not part(name)
    return model


def values_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of everything that a network has learned; that batches are counted harms nobody."""
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


FREEZE_MISTAKES = {
    "After five steps the whole backbone has moved: it is not frozen at all.":
        [lambda m: m, lambda m: m.train()],
    "Every weight of the backbone has moved. Evaluation mode stops the statistics, not the gradients: set "
    "`requires_grad = False` as well.":
        lambda m: m.eval(),
    "All weights rest, but the running statistics have moved: `requires_grad = False` does not stop a batch norm in "
    "train mode from replacing them. Put the backbone into evaluation mode.":
        [lambda m: frozen(m), lambda m: frozen(m).train()],
    "Everything is frozen, `fc` too, so there is nothing left to train. Free the head again.":
        lambda m: frozen(m, lambda name: True).eval(),
    "You freeze the head and let the backbone learn. It is the other way round.":
        lambda m: frozen(m, lambda name: name.startswith("fc.")).eval(),
    "A part of the head is frozen: weight and bias of `fc` both learn.":
        [lambda m: frozen(m, lambda name: name != "fc.weight").eval(),
         lambda m: frozen(m, lambda name: name != "fc.bias").eval()],
    "A weight of a batch norm has moved. Batch norms have weights too, and they must rest as the others do.":
        lambda m: frozen(m, lambda name: not name.startswith("fc.") and "bn" not in name).eval(),
    "A bias has moved. Freeze the biases as well as the weights.":
        lambda m: frozen(m, lambda name: name.endswith("weight") and name != "fc.weight").eval(),
    "`conv1.weight` has moved. The stem, before the stages, belongs to the backbone.":
        lambda m: frozen(m, lambda name: name.startswith("layer")).eval(),
    "A weight of the stages has moved. Go through `model.parameters()`, so that no layer is left out.":
        lambda m: frozen(m, lambda name: not name.startswith(("layer", "fc."))).eval(),
    "The running statistics rest, but the batch norms still normalise by the batch at hand: an image's features depend "
    "on the images beside it. Put the backbone into evaluation mode.":
        [lambda m: norms(frozen(m).train(), momentum=0.0),
         lambda m: norms(frozen(m).train(), track_running_stats=False)],
}  # fmt: skip


@exercise(
    "10.2 freeze properly",
    calls=lambda: [Call(trained_net().train(mode)) for mode in (True, False)],
    returns=seen("the network", nn.Module, five_steps),
    may_change=("model",),
    mistakes=FREEZE_MISTAKES,
)
def freeze_backbone(model: nn.Module) -> nn.Module:
    """Five steps of training with weight decay: `fc` has moved, every weight and statistic before it has not."""
    return frozen(model).eval()
