"""Train the bundled `resnet18_cifar10` weights from scratch with the course's own `fit`.

    python assets/weights/pretrain.py FOLDER --out RUN

FOLDER holds `train/CLASS/*.jpg` and `test/CLASS/*.jpg`. The images grow from 32 to 64 pixels, so that most
steps are cheap ones; the learning rate rises, stays, falls to zero, and once more from half its height. Every
stage is saved when it ends, and a second call goes on after the last finished one. At the end the weights are
written in half precision to RUN/resnet18_cifar10.safetensors, with the JSON that `models.pretrained` reads
beside them; both belong in assets/weights.
"""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import resnet_edu as edu
from resnet_edu.data import Data, Split
from resnet_edu.data.sets import resize
from resnet_edu.data.split import channel_statistics
from resnet_edu.models.resnet import DEPTHS, ResNet

COMMON = {"batch_size": 128, "weight_decay": 5e-4, "label_smoothing": 0.1, "augment": ("crop", "flip"), "seed": 0}
STAGES = (  # side of the images, options
    (32, edu.TrainConfig(epochs=8, lr=0.1, schedule="constant", warmup_epochs=1, **COMMON)),
    (48, edu.TrainConfig(epochs=3, lr=0.1, schedule="constant", **COMMON)),
    (64, edu.TrainConfig(epochs=6, lr=0.1, schedule="cosine", **COMMON)),
    (64, edu.TrainConfig(epochs=5, lr=0.05, schedule="cosine", **COMMON)),
)


def read_folder(folder: Path) -> tuple[torch.Tensor, torch.Tensor, tuple[str, ...]]:
    """Images uint8 `(N, 3, 32, 32)`, labels `(N,)` and class names of `folder/CLASS/*.jpg`."""
    classes = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))
    files = [(path, label) for label, name in enumerate(classes) for path in sorted((folder / name).glob("*.jpg"))]
    with ThreadPoolExecutor() as pool:
        pixels = list(pool.map(lambda item: np.asarray(Image.open(item[0]).convert("RGB")), files))
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
    return images, torch.tensor([label for _, label in files]), classes


def load(folder: Path, size: int) -> Data:
    """The data set at one side; the last 1,000 training images in a fixed random order serve as `val`."""
    images, labels, classes = read_folder(folder / "train")
    test_images, test_labels, _ = read_folder(folder / "test")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    train, val = order[:-1000], order[-1000:]
    mean, std = channel_statistics(images[train])
    images, test_images = resize(images, size), resize(test_images, size)
    return Data(
        f"CIFAR-10 (JPEG copy), {size} pixels",
        Split(images[train], labels[train], mean, std),
        Split(images[val], labels[val], mean, std),
        Split(test_images, test_labels, mean, std),
        classes,
        f"CIFAR-10 (JPEG copy), {len(train):,} train · {len(val):,} val · {len(test_labels):,} test",
    )


def main() -> None:
    """Run the stages that are not finished yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    edu.setup(seed=0)
    model = ResNet(*DEPTHS[18], num_classes=10)
    for number, (size, config) in enumerate(STAGES, 1):
        finished = arguments.out / f"stage{number}.safetensors"
        if finished.exists():
            model.load_state_dict(load_file(finished))
            continue
        data = load(arguments.folder, size)
        print(data.source, flush=True)
        history = edu.fit(model, data, config, callbacks=[lambda epoch, _: print(epoch, flush=True)])
        if history.interrupted:
            return
        record = {"config": config.to_dict(), "machine": edu.machine.description(), "mean": data.train.mean}
        record |= {"std": data.train.std, "classes": data.classes, "history": json.loads(history.to_json())}
        finished.with_suffix(".json").write_text(json.dumps(record, indent=1))
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, finished)
    bundle(model, arguments.folder, arguments.out)


def bundle(model: ResNet, folder: Path, out: Path) -> None:
    """Write the weights in half precision, and measure those, as they will be loaded, at three sizes."""
    halves = {name: value.half() if value.is_floating_point() else value for name, value in model.state_dict().items()}
    save_file({name: value.contiguous() for name, value in halves.items()}, out / "resnet18_cifar10.safetensors")
    model.load_state_dict(
        {name: value.float() if value.is_floating_point() else value for name, value in halves.items()}
    )
    errors = {}
    for size in sorted({size for size, _ in STAGES}):
        errors[size] = round(edu.evaluate(model, load(folder, size).test, precision="float32").top1_error, 2)
    stages = [json.loads((out / f"stage{number}.json").read_text()) for number in range(1, len(STAGES) + 1)]
    card = {
        "summary": f"CIFAR-10 (JPEG copy), 10 classes, {errors[64]} % test error at 64 pixels",
        **{key: stages[-1][key] for key in ("classes", "mean", "std")},
        "size": 64,
        "test_error": errors,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seed": 0,
        "stages": [
            {"size": size, **{key: stage[key] for key in ("config", "machine", "history")}}
            for (size, _), stage in zip(STAGES, stages, strict=True)
        ],
    }
    (out / "resnet18_cifar10.json").write_text(json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    main()
