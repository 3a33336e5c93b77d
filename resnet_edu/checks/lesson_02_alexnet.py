"""The check of lesson 02 on AlexNet: torchvision's names and sizes, and what happens between the layers."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..models import AlexNet as PackagesAlexNet
from .expect import alike, need_module_class
from .explain import kind_of
from .runner import NotYet, Wrong, check

Function = Callable[[Tensor], Tensor]
CONVOLUTIONS = ("features.0", "features.3", "features.6", "features.8", "features.10")
LINEAR = ("classifier.1", "classifier.4", "classifier.6")
LAYERS = (*CONVOLUTIONS, *LINEAR)


def same(x: Tensor) -> Tensor:
    """Nothing happens."""
    return x


def alexnet(
    x: Tensor,
    weights: Mapping[str, Tensor],
    *,
    acts: tuple[Function, ...] = (torch.relu,) * 7,
    pool: Callable[..., Tensor] = F.max_pool2d,
    pools: tuple[int, ...] = (0, 1, 4),
    kernel: int = 3,
    pad: tuple[int, ...] = (2, 2, 1, 1, 1),
    average: bool = True,
    last: Function = same,
    pool_first: bool = False,
    norm: Function = same,
    dropout: tuple[float, float] = (0.0, 0.0),
) -> Tensor:
    """The oracle, on the learner's own weights. The options make wrong variants of it."""
    for i, name in enumerate(CONVOLUTIONS):
        stride = 4 if i == 0 else 1
        x = F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], stride, pad[i])
        if pool_first and i in pools:
            x = acts[i](pool(x, kernel, 2))
            continue
        x = acts[i](x)
        x = norm(x) if i < 2 else x
        x = pool(x, kernel, 2) if i in pools else x
    x = F.adaptive_avg_pool2d(x, 6) if average else x
    x = x.flatten(1)
    for i, name in enumerate(LINEAR):
        x = F.dropout(x, dropout[i]) if i < 2 and dropout[i] else x
        x = F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])
        x = acts[5 + i](x) if i < 2 else last(x)
    return x


R, S, T = torch.relu, same, torch.tanh

#: Options of `alexnet` that make a wrong net, and what to say about it.
MISTAKES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"acts": (T,) * 7}, "Your activations are tanh. AlexNet's are ReLUs: this is where they came into use."),
    ({"acts": (S,) * 7}, "There is no activation at all. Put a ReLU after every layer but the last."),
    ({"acts": (S,) * 5 + (R, R)}, "The ReLUs after the convolutions are missing."),
    ({"acts": (R,) * 5 + (S, S)}, "The ReLUs between the linear layers are missing: three in a row are one."),
    ({"acts": (R, R, S, S, R, R, R)}, "The ReLUs after the third and fourth convolution are missing."),
    ({"acts": (R, R, R, R, S, R, R)}, "The ReLU after the fifth convolution is missing."),
    ({"kernel": 2}, "Your poolings look at 2×2. AlexNet's look at 3×3 with stride 2, so that they overlap."),
    ({"pool": F.avg_pool2d}, "You pool by the average. AlexNet takes the maximum."),
    ({"pools": (0, 1)}, "The pooling after the fifth convolution is missing: the third and last."),
    ({"pools": (1, 4)}, "The pooling after the first convolution is missing."),
    ({"pad": (0, 2, 1, 1, 1)}, "The first convolution has no padding. Torchvision's has 2."),
    ({"pad": (2, 0, 1, 1, 1)}, "The second convolution has no padding. It keeps the side: 2 for a kernel of 5×5."),
    ({"pad": (2, 2, 0, 0, 0)}, "The last three convolutions have no padding. To keep the side, 3×3 needs 1."),
    ({"average": False}, "The average pooling to 6×6 is missing. It does nothing at 224 pixels only."),
    ({"last": R}, "There is a ReLU after the last layer. Logits may be negative: leave it off."),
    ({"last": lambda x: F.softmax(x, dim=1)}, "You end with a softmax. Return the logits: the loss applies it itself."),
    (
        {"norm": lambda x: F.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0)},
        "There is local response normalisation. The paper has it; torchvision's net, which you build here, does not.",
    ),
)  # fmt: skip


@check("02.3 AlexNet")
def check_alexnet(AlexNet: Any) -> str:  # noqa: N803 – the learner's class
    """`AlexNet(num_classes=1000, width=64)`: torchvision's net at width 64; logits of images `(N, 3, H, W)`."""
    signature = "AlexNet(num_classes=1000, width=64)"
    name = need_module_class(AlexNet, signature, 1000, 64)
    need_module_class(AlexNet, signature, num_classes=10, width=2)
    model = AlexNet(num_classes=5, width=2)
    run(model, torch.randn(2, 3, 224, 224), name)
    need_names_and_sizes(model, PackagesAlexNet(num_classes=5, width=2))
    if any(isinstance(module, nn.ReLU) and module.inplace for module in model.modules()):
        raise Wrong("A ReLU works in place. Leave out `inplace=True`: hooks would see the tensor after it.")
    with torch.no_grad():  # larger weights and biases than at the start, so that every step makes a difference
        for parameter in model.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 4
            parameter.normal_(std=1.5 * fan_in**-0.5)
    for side in (224, 191):
        need_same(model, 2 * torch.randn(3, 3, side, side), name)
    need_dropout(model, torch.randn(16, 3, 64, 64), name)
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in AlexNet().parameters())
        wanted = sum(parameter.numel() for parameter in PackagesAlexNet().parameters())
    if count != wanted:
        raise Wrong(
            f"`{name}()` has {count:,} parameters; torchvision's AlexNet has {wanted:,}. Look at your defaults."
        )
    return f"{count:,} parameters under torchvision's names, and the same logits from them."


def run(model: nn.Module, images: Tensor, name: str) -> Tensor:
    """The logits `(N, 5)`.

    Raises:
        NotYet: `forward` returns nothing.
        Wrong: they are no tensor, or of another shape.
    """
    try:
        logits = model(images)
    except Exception as error:
        error.add_note(f"It was built with num_classes=5, width=2 and given images of shape {tuple(images.shape)}.")
        raise
    if logits is None or logits is ...:
        raise NotYet
    if not isinstance(logits, Tensor):
        raise Wrong(f"Expected logits, a tensor of shape (N, 5); `{name}` returns {kind_of(logits)}.")
    if logits.shape != (len(images), 5):
        raise Wrong(f"Expected logits of shape {(len(images), 5)} with num_classes=5, got {tuple(logits.shape)}.")
    return logits


def need_names_and_sizes(model: nn.Module, packages: nn.Module) -> None:
    """The state dicts have the same names and shapes.

    Raises:
        Wrong: they have not.
    """
    mine = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    theirs = {name: tuple(value.shape) for name, value in packages.state_dict().items()}
    if mine == theirs:
        return
    if any(isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d) for module in model.modules()):
        raise Wrong("There is batch norm. It came three years after AlexNet.")
    if "features.0.weight" not in mine:
        raise Wrong(
            f"No parameter is called `features.0.weight`; your first is `{next(iter(mine), 'none')}`. Make the "
            "convolutional part one `self.features = nn.Sequential(…)` that begins with a convolution."
        )
    if list(mine.values()) == list(theirs.values()):
        old, new = next((old, new) for old, new in zip(mine, theirs, strict=True) if old != new)
        raise Wrong(
            f"The layers are right, a name is not: yours is `{old}`, torchvision's `{new}`. In an `nn.Sequential` the "
            "position is the name, and ReLU, pooling and dropout count: the classifier begins with dropout."
        )
    for layer in LAYERS:
        weight, bias = f"{layer}.weight", f"{layer}.bias"
        if weight in mine and bias not in mine:
            raise Wrong(f"`{layer}` has no bias. Every layer of AlexNet has one: batch norm was not there yet.")
        if weight not in mine:
            have = ", ".join(key for key in mine if key.endswith("weight"))
            raise Wrong(f"No parameter is called `{weight}`. Your weights: {have}.")
        if mine[weight] != theirs[weight]:
            raise Wrong(size_message(layer, mine[weight], theirs[weight]))
    raise Wrong(f"Parameters that AlexNet does not have: {', '.join(key for key in mine if key not in theirs)}.")


def size_message(layer: str, mine: tuple[int, ...], theirs: tuple[int, ...]) -> str:
    """What to say about a weight of the wrong size; with width 2, sizes are small."""
    text = f"`{layer}.weight` has shape {mine} with width=2 and num_classes=5, expected {theirs}."
    if layer == "features.0" and mine[0] == 3:
        return f"{text} 96 filters were the paper's, on two GPUs; torchvision's net has 64, so `width` of them."
    if len(mine) == 4 and mine[0] == theirs[0] and 2 * mine[1] == theirs[1]:
        return f"{text} The groups are those of the two GPUs; torchvision's net has none."
    if len(mine) == 4 and mine[2:] != theirs[2:]:
        return f"{text} The kernels are 11×11, 5×5, then three times 3×3."
    if layer == "features.8" and mine[0] == 12:
        return f"{text} That would be 384 filters in the fourth convolution; torchvision's net has 256."
    if layer == "classifier.1" and mine[1] == 8:
        return f"{text} The first linear layer sees 6×6 pixels of every map, not one."
    return text


def need_same(model: nn.Module, images: Tensor, name: str) -> None:
    """In eval mode, the logits are the oracle's.

    Raises:
        Wrong: they are others.
    """
    model.eval()
    weights = dict(model.named_parameters())
    with torch.no_grad():
        # So that there are negative logits, which a ReLU would cut.
        weights["classifier.6.bias"].sub_(alexnet(images, weights).mean())
        logits = run(model, images, name)
        if not torch.equal(logits, run(model, images, name)):
            raise Wrong("Two runs in eval mode differ: dropout is still on. Use `nn.Dropout`, which knows the mode.")
        if alike(logits, alexnet(images, weights)):
            return
        for options, message in MISTAKES:
            try:
                variant = alexnet(images, weights, **options)
            except RuntimeError:  # without the average pooling the sizes may not fit
                continue
            if alike(logits, variant):
                raise Wrong(message)
    raise Wrong(
        f"The layers are right, what happens between them is not (images of {images.shape[-1]} pixels). Convolution "
        "and ReLU five times, pooling 3×3 with stride 2 after the first, second and fifth; average pooling to 6×6; "
        "flatten; dropout, linear and ReLU twice; linear."
    )


def need_dropout(model: nn.Module, images: Tensor, name: str) -> None:
    """In train mode, half of the numbers before the first two linear layers are dropped.

    Raises:
        Wrong: others, or none.
    """
    model.train()
    weights, seed = dict(model.named_parameters()), 7

    def drawn(forward: Callable[[], Tensor]) -> Tensor:
        torch.default_generator.manual_seed(seed)
        with torch.no_grad():
            return forward()

    logits = drawn(lambda: run(model, images, name))
    if alike(logits, drawn(lambda: alexnet(images, weights, dropout=(0.5, 0.5)))):
        return
    if alike(logits, drawn(lambda: alexnet(images, weights))):
        raise Wrong("There is no dropout. Put `nn.Dropout()` before each of the first two linear layers.")
    for options, place in (((0.5, 0.0), "second"), ((0.0, 0.5), "first")):
        if alike(logits, drawn(lambda options=options: alexnet(images, weights, dropout=options))):
            raise Wrong(f"The dropout before the {place} linear layer is missing.")
    shares = {module.p for module in model.modules() if isinstance(module, nn.Dropout)}
    if shares != {0.5}:
        raise Wrong(f"Dropout drops a share of {', '.join(map(str, sorted(shares)))}. In AlexNet it is 0.5.")
    raise Wrong("Dropout is in the wrong place. It stands before the first and before the second linear layer.")
