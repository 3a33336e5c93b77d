"""How fast this machine trains and predicts, beside what everybody writes: `resnet-edu bench`.

What is compared takes turns, in each round in the other order, so that a slow moment of the machine meets all sides.
Every number is the median of several rounds, quoted with the lowest and the highest.

The other side of `fit` is the loop of https://docs.pytorch.org/tutorials/beginner/blitz/cifar10_tutorial.html, written
with care: the images are in memory, and two workers prepare the batches and live on between epochs. The other side of
`predict` is an `ImageFolder` with a `DataLoader`, the better of no workers and two.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from rich.table import Table
from torch import Tensor, nn, optim
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from .. import data, machine, models
from ..config import TrainConfig
from ..data.pictures import read_photo
from ..data.split import Split
from ..models.pretrained import Pretrained, pretrained
from ..prediction import predict
from ..probe.summary import summary
from ..train import fit

SIDE = 2048  # of the matrices: large enough for the full rate; three of them fit a cache of 32 MB in bfloat16
WORKERS = 2  # of the plain side, as in the tutorial
CROP = 32  # pixels, of the pictures that are predicted
# The networks that are trained, with the side of their images in pixels, the channels, and the images in a batch.
WORKLOADS = (("lenet5", 32, 1, 128), ("resnet20", 32, 3, 128), ("resnet56", 32, 3, 128), ("resnet18", 64, 3, 64))


def measure(*, quick: bool = False, say: Callable[[str], None] = lambda part: None) -> dict[str, Any]:
    """The machine, and a row for each number, in plain values; `quick` takes shorter slices and fewer of them."""
    machine.use_own_cores()
    rounds, threads = 3 if quick else 5, torch.get_num_threads()
    precision = str(machine.precision(machine.device())).removeprefix("torch.")
    rows = []
    for part, measured in (
        ("limits", partial(measure_limits, rounds)),
        ("training", partial(measure_training, rounds, seconds=0.25 if quick else 1.0)),
        ("lesson 06", measure_verdict),
        ("prediction", partial(measure_prediction, rounds, pictures=1_000 if quick else 10_000)),
    ):
        say(f"measuring {part}")
        rows += [{"part": part, **each} for each in measured()]
    here = {**machine.description(), "threads": threads, "precision": precision}
    return {"date": datetime.now(UTC).date().isoformat(), "machine": here, "rounds": rounds, "rows": rows}


def row(what: str, unit: str, values: Sequence[float], beside: Sequence[float] = ()) -> dict[str, Any]:
    """A number with its spread, and its ratio to what was measured `beside` it: the median of the rounds' quotients."""
    ratio = median(one / other for one, other in zip(values, beside, strict=True)) if beside else None
    numbers = {"median": median(values), "low": min(values), "high": max(values), "ratio": ratio}
    return {"what": what, "unit": unit, **numbers}


def take_turns(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Let each side measure itself once a round, every other round in reverse; the values of each."""
    values: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides)[:: 1 if number % 2 == 0 else -1]:
            values[name].append(sides[name]())
    return values


def matrix_product_rate(dtype: torch.dtype) -> float:
    """Products of two square matrices, in 10⁹ operations a second; the median of three, warmed up."""
    left, right = (torch.rand(SIDE, SIDE, device=machine.device()).to(dtype) for _ in range(2))
    times = []
    for _ in range(4):
        start = time.perf_counter()
        torch.mm(left, right)
        if left.device.type != "cpu":
            torch.accelerator.synchronize()
        times.append(time.perf_counter() - start)
    return 2 * SIDE**3 / median(times[1:]) / 1e9


def measure_limits(rounds: int) -> list[dict[str, Any]]:
    """Matrix products in float32, and in bfloat16 where there are units for it; without them one takes minutes."""
    dtypes = torch.float32, machine.precision(machine.device())
    sides = {str(dtype).removeprefix("torch."): partial(matrix_product_rate, dtype) for dtype in dtypes}
    return [row(name, "GFLOP/s", values) for name, values in take_turns(sides, rounds).items()]


def measure_training(
    rounds: int, *, seconds: float, workloads: Sequence[tuple[str, int, int, int]] = WORKLOADS
) -> list[dict[str, Any]]:
    """Every workload, one after the other; within each the plain loop, `fit` and matrix products take turns."""
    limit = partial(matrix_product_rate, machine.precision(machine.device()))
    rows = []
    for name, side, channels, batch in workloads:
        images = data.load("mnist5k", size=side, channels=channels)  # what they show does not matter here
        config = TrainConfig(epochs=1, batch_size=batch, lr=0.01, schedule="constant", augment=("crop", "flip"))
        model = models.build(name, num_classes=10, in_channels=channels)
        # of a training step for one image: two for each multiply-add, and backward costs twice the forward pass
        gigaflops = 3 * 2 * summary(model, (channels, side, side)).macs / 1e9
        loops = (loop(deepcopy(model), images, config) for loop in (plain_loop, fit_loop))
        plain, own = (slice_of(train, batch, seconds) for train in loops)
        rates = take_turns({"plain": plain, "matrix": limit, "fit": own}, rounds)
        share = [100 * gigaflops * rate / most for rate, most in zip(rates["fit"], rates["matrix"], strict=True)]
        rows += [
            row(f"{name}, plain loop", "images/s", rates["plain"]),
            row(f"{name}, fit", "images/s", rates["fit"], rates["plain"]),
            row(f"{name}, fit", "% of the limit", share),
        ]
    return rows


def slice_of(train: Callable[[int], float], batch: int, seconds: float) -> Callable[[], float]:
    """Trains for about so many seconds, in whole batches, and returns images a second; it is warm by then."""
    train(batch)
    images = batch * max(1, round(train(batch) * seconds / batch))
    train(images)
    return lambda: train(images)


def fit_loop(model: nn.Module, images: data.Data, config: TrainConfig) -> Callable[[int], float]:
    """Trains on so many images by `fit`, from the start again where there are fewer; returns images a second."""
    few = images.val.subset(torch.arange(2))

    def train(count: int) -> float:
        part = images.train.subset(torch.arange(count) % len(images.train))
        return fit(model, replace(images, train=part, val=few), config).last.images_per_second

    return train


class Pictures(Dataset[tuple[Tensor, int]]):
    """Images in memory; each is a PIL image until it is asked for."""

    def __init__(self, split: Split, augment: Sequence[str]) -> None:
        self.images = split.images.permute(0, 2, 3, 1).squeeze(-1).numpy()  # (N, H, W, C), or (N, H, W) for grey
        self.labels = split.labels.tolist()
        side = split.images.shape[-1]
        moves = {"crop": transforms.RandomCrop(side, padding=side // 8), "flip": transforms.RandomHorizontalFlip()}
        normalise = transforms.Normalize(split.mean, split.std)
        self.transform = transforms.Compose([*(moves[name] for name in augment), transforms.ToTensor(), normalise])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]  # pyright: ignore[reportReturnType]


def plain_loop(
    model: nn.Module, images: data.Data, config: TrainConfig, *, workers: int = WORKERS
) -> Callable[[int], float]:
    """The same as the tutorials teach it: Dataset, transforms, DataLoader, float32, one loop."""
    pictures, device = Pictures(images.train, config.augment), machine.device()
    model.to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), config.lr, momentum=config.momentum, weight_decay=config.weight_decay)

    @cache
    def batches(count: int) -> DataLoader[tuple[Tensor, int]]:
        part = Subset(pictures, [index % len(pictures) for index in range(count)])
        return DataLoader(part, config.batch_size, shuffle=True, num_workers=workers, persistent_workers=workers > 0)

    def train(count: int) -> float:
        model.train()
        loader, start = batches(count), time.perf_counter()
        for inputs, labels in loader:
            inputs, labels = inputs.to(device), labels.to(device)
            optimizer.zero_grad()
            loss = criterion(model(inputs), labels)
            loss.backward()
            optimizer.step()
            loss.item()  # the tutorial adds it to its running loss
        return count / (time.perf_counter() - start)

    return train


def measure_verdict() -> list[dict[str, Any]]:
    """Seconds to train both nets of lesson 06's experiment, plain-20 and plain-56, by each of their epochs."""
    images = data.load("mnist5k", size=16, limit=2000)
    config = TrainConfig(epochs=6, batch_size=64, augment=())
    nets = [models.build(name, width=8, in_channels=1) for name in ("plain20", "plain56")]
    shallow, deep = (fit(net, images, config).epochs for net in nets)
    seconds = [config.epochs * (one.seconds + other.seconds) for one, other in zip(shallow, deep, strict=True)]
    return [row("plain20 and plain56", "s", seconds)]


def measure_prediction(rounds: int, *, pictures: int) -> list[dict[str, Any]]:
    """Pictures a second from files to labels, with the bundled ResNet-18, and how many labels differ."""
    network = pretrained(source="bundled")
    labels: dict[str, list[str]] = {}

    def timed(name: str, label_all: Callable[[], list[str]]) -> float:
        start = time.perf_counter()
        labels[name] = label_all()
        return pictures / (time.perf_counter() - start)

    def own(files: Sequence[Path], precision: str) -> list[str]:
        return [each.top[0][0] for each in predict(network, files, top=1, precision=precision)]

    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        files = write_crops(Path(folder), pictures)
        plain = {f"plain script, {n} workers": partial(plain_script, network, folder, n) for n in (0, WORKERS)}
        ours = {f"predict, {name}": partial(own, files, name) for name in ("float32", "auto")}
        rates = take_turns({name: partial(timed, name, side) for name, side in (plain | ours).items()}, rounds)
    best = max(plain, key=lambda name: median(rates[name]))
    rows = [row(best, "pictures/s", rates[best])]
    for name in ours:
        differ = sum(one != other for one, other in zip(labels[name], labels[best], strict=True))
        rows.append(row(name, "pictures/s", rates[name], rates[best]))
        rows.append(row(name, f"other of {pictures:,}", [differ]))
    return rows


def plain_script(network: Pretrained, folder: str, workers: int) -> list[str]:
    """The best label of each file, as everybody writes it."""
    device = machine.device()
    model = network.model.to(device).eval()
    loader = DataLoader(ImageFolder(folder, network.transforms), batch_size=64, num_workers=workers)
    with torch.inference_mode():
        best = torch.cat([model(images.to(device)).argmax(dim=1).cpu() for images, _ in loader])
    return [network.categories[index] for index in best.tolist()]


def write_crops(folder: Path, pictures: int) -> list[Path]:
    """`PHOTO/NNNNN.jpg`: as many crops as asked for, from the photos of the course in turn; sorted."""
    generator = torch.Generator().manual_seed(0)
    photos = [(name, read_photo(path)) for name, path in data.photos().items()]
    for number in range(pictures):
        name, photo = photos[number % len(photos)]
        (folder / name).mkdir(exist_ok=True)
        x, y = (int(torch.randint(side - 2 * CROP, (), generator=generator)) for side in photo.size)
        crop = photo.resize((CROP, CROP), Image.Resampling.BILINEAR, box=(x, y, x + 2 * CROP, y + 2 * CROP))
        crop.save(folder / name / f"{number:05}.jpg", quality=90)
    return sorted(folder.rglob("*.jpg"))


def screen(record: Mapping[str, Any]) -> Table:
    """The rows as one table, below what the machine is."""
    here = record["machine"]
    about = (
        f"{here['cpu']}, {here['cores']} cores, {here['memory_gb']} GB; torch {here['torch']} on {here['device']}, "
        f"{here['threads']} threads, {here['precision']}; {record['rounds']} rounds"
    )
    table = Table("", "", "", title=about, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("median (low–high)", justify="right")
    table.add_column("ratio", justify="right")
    for each in record["rows"]:
        ratio = "" if each["ratio"] is None else f"{each['ratio']:.2f}"
        table.add_row(each["part"], each["what"], each["unit"], with_range(each), ratio)
    return table


def with_range(number: Mapping[str, Any]) -> str:
    """For example `613 (598–640)`; three digits count."""
    decimals = 0 if number["median"] >= 100 else 1 if number["median"] >= 10 else 2
    middle, low, high = (f"{number[name]:,.{decimals}f}" for name in ("median", "low", "high"))
    return f"{middle} ({low}–{high})"
