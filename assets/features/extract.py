"""What the bundled ResNet-18 makes of photos of clothing, so that lesson 10 can train on them without the photos.

    resnet-edu fetch clothing
    python assets/features/extract.py

For 100 training photos per class, drawn with seed 0, and all of `val` and `test`: the output of each stage, averaged
over its map; as baselines the mean colour, and stage 2 of a net with random weights, its batch norms set on the photos.
The photos are the "clothing dataset (small)" by A. Grigorev and 32 contributors, free for any use:
https://github.com/alexeygrigorev/clothing-dataset-small
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import resnet_edu as edu
from resnet_edu.data.split import PARTS
from resnet_edu.recipe import normalised_like

STAGES = ("layer1", "layer2", "layer3", "layer4")
LABELS = 100  # per class


def drawn(labels: Tensor) -> Tensor:
    """Indices of the first `LABELS` photos of each class in a random order."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return torch.cat([order[labels[order] == label][:LABELS] for label in range(int(labels.max()) + 1)])


@torch.no_grad()
def untrained(images: Tensor) -> nn.Module:
    """A ResNet-18 with random weights, the running statistics of which are those of some images `(N, 3, H, W)`."""
    torch.manual_seed(0)
    model = edu.models.build("resnet18").train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain average over the batches
    for batch in images.split(100):
        model(batch)
    return model.eval()


def main() -> None:
    """Write `clothing.safetensors` beside this script."""
    network = edu.models.pretrained("resnet18", source="bundled")
    side = network.transforms.size
    photos = normalised_like(edu.data.load("clothing", size=side), network)
    random, found = untrained(photos.train.inputs(drawn(photos.train.labels))), dict[str, Tensor]()
    for part in PARTS:
        split = getattr(photos, part)
        split = split.subset(drawn(split.labels)) if part == "train" else split
        found[f"{part}.labels"] = split.labels.to(torch.uint8)
        found[f"{part}.colour"] = split.images.float().mean(dim=(2, 3)).half() / 255
        for stage, features in edu.probe.layer_features(network.model, split, STAGES).items():
            found[f"{part}.{stage}"] = features.half()
        found[f"{part}.untrained"] = edu.probe.layer_features(random, split, ["layer2"])["layer2"].half()
    about = {"classes": json.dumps(photos.classes), "network": network.source, "size": str(side)}
    save_file(found, Path(__file__).with_name("clothing.safetensors"), metadata=about)


if __name__ == "__main__":
    main()
