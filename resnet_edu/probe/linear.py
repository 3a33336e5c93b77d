"""What a frozen layer knows: its features of every image, computed once, and the best linear head on them.

The idea of a linear probe at every layer is that of Alain and Bengio 2016, https://arxiv.org/abs/1610.01644.
"""

import json
from collections.abc import Sequence

import torch
from safetensors import safe_open
from torch import Tensor, nn, optim
from torch.nn import functional as F

from .. import files, machine
from ..data.batches import evaluation_batches
from ..data.split import Split
from ..models.modes import eval_mode
from .activations import activations


def layer_features(model: nn.Module, split: Split, layers: Sequence[str], *, places: int = 1) -> dict[str, Tensor]:
    """One vector per image from each layer: its output, averaged over `places × places` parts of the map.

    The model runs in evaluation mode, keeps its own, and ends on `machine.device()`. The layers put out
    `(N, channels, H, W)`; one place is global average pooling.

    Returns:
        By layer, float32 `(N, channels · places²)`, on the CPU.
    """
    device = machine.device()
    model.to(device)
    found: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    with eval_mode(model), torch.no_grad(), machine.autocast(device, "auto", split.images.shape):
        for images, _ in evaluation_batches(split.to(device)):
            with activations(model, layers) as seen:
                model(images)
            for layer in layers:
                found[layer].append(F.adaptive_avg_pool2d(seen[layer].float(), places).flatten(1).cpu())
    return {layer: torch.cat(parts) for layer, parts in found.items()}


def linear_head(features: Tensor, labels: Tensor, num_classes: int, *, weight_decay: float = 1e-3) -> nn.Linear:
    """The linear classifier with the least cross-entropy on these features, found with all of them at once.

    Multinomial logistic regression by L-BFGS on features `(N, F)` with labels int64 `(N,)`. Inside, every feature is
    brought to mean 0 and spread 1; the layer that is returned takes the features as they are.

    Args:
        weight_decay: factor on the sum of the squared weights, for features of spread 1.
    """
    mean, std = features.mean(dim=0), features.std(dim=0) + 0.01 * features.std()
    head = nn.Linear(features.shape[1], num_classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    scaled = (features - mean) / std
    optimizer = optim.LBFGS(head.parameters(), max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(head(scaled), labels) + weight_decay * head.weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)  # type: ignore[arg-type]
    with torch.no_grad():  # W (x - mean) / std + b, written as one layer
        head.weight.div_(std)
        head.bias.sub_(head.weight @ mean)
    return head


def clothing_features() -> tuple[dict[str, dict[str, Tensor]], tuple[str, ...]]:
    """What the bundled ResNet-18 makes of 1,713 photos of clothing; see `assets/features/extract.py`.

    Returns:
        By part ("train" with 100 photos per class, "val", "test"): "labels" int64 `(N,)`; the averaged maps of each
        stage, "layer1" to "layer4", float32 `(N, channels)`; as baselines "colour" `(N, 3)`, a photo's mean, and
        "untrained" `(N, 128)`, stage 2 of a net with random weights. Then the names of the ten classes.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    with safe_open(files.assets() / "features" / "clothing.safetensors", "pt") as file:
        for key in file.keys():  # noqa: SIM118, it is no dict
            part, _, name = key.partition(".")
            value = file.get_tensor(key)
            parts.setdefault(part, {})[name] = value.long() if name == "labels" else value.float()
        return parts, tuple(json.loads(file.metadata()["classes"]))
