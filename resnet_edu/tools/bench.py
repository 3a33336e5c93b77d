"""How fast this machine trains and predicts, beside what everybody writes: `resnet-edu bench`.

What is compared takes turns, in each round in the other order, so that a slow moment of the machine meets all sides.
Every number is the median of several rounds, quoted with the lowest and the highest.

The other side of `fit` is the loop of https://docs.pytorch.org/tutorials/beginner/blitz/cifar10_tutorial.html, written
with care: the images are in memory, and two workers prepare the batches and live on between epochs. The other side of
`predict` is an `ImageFolder` with a `DataLoader`, the better of no workers and two.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from rich.console import Group
from rich.table import Table
from torch import Tensor, nn, optim
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from .. import data, machine, models
from ..config import TrainConfig
from ..data.pictures import read_photo
from ..data.split import Split
from ..errors import UnknownName
from ..models.pretrained import Pretrained, pretrained
from ..prediction import predict
from ..probe.summary import summary
from ..studies import STUDIES
from ..study import train_once
from ..train import fit

SIDE = 2048  # of the matrices: large enough for the full rate; three of them fit a cache of 32 MB in bfloat16
WORKERS = 2  # of the plain side, as in the tutorial
CROP = 32  # pixels, of the pictures that are predicted


@dataclass(frozen=True)
class Workload:
    """A network, its images and a batch."""

    title: str
    model: str
    side: int = 32
    channels: int = 3
    batch: int = 128

    def build(self) -> nn.Module:
        """The network, with the same first weights each time."""
        torch.manual_seed(0)
        return models.build(self.model, num_classes=10, in_channels=self.channels)

    def images(self) -> data.Data:
        """The digits of mnist5k at this size. What they show does not matter here."""
        return data.load("mnist5k", size=self.side, channels=self.channels)

    def config(self) -> TrainConfig:
        """One epoch of SGD with momentum, crops and flips; the learning rate stays the same."""
        return TrainConfig(epochs=1, batch_size=self.batch, lr=0.01, schedule="constant", augment=("crop", "flip"))

    def operations(self) -> float:
        """Of a training step for one image: two for each multiply-add, and backward costs twice the forward pass."""
        return 3 * 2 * summary(self.build(), (self.channels, self.side, self.side)).macs


WORKLOADS = (
    Workload("LeNet-5", "lenet5", channels=1),
    Workload("ResNet-20", "resnet20"),
    Workload("ResNet-56", "resnet56"),
    Workload("ResNet-18 at 64", "resnet18", side=64, batch=64),
)


def measure(
    parts: Sequence[str] = (), *, rounds: int = 5, quick: bool = False, say: Callable[[str], None] = lambda part: None
) -> dict[str, Any]:
    """Measure some of `PARTS`, all by default, in plain values; `quick` takes shorter slices and fewer pictures."""
    for name in parts:
        if name not in PARTS:
            raise UnknownName("part of the bench", name, PARTS)
    chosen = [name for name in PARTS if name in parts or not parts]
    threads = machine.use_own_cores()
    precision = str(machine.precision(machine.device())).removeprefix("torch.")
    record: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {**machine.description(), "threads": threads, "precision": precision},
        "settings": {"parts": chosen, "repeats": rounds, "quick": quick},
    }
    for name in chosen:
        say(f"measuring {name}")
        record[name] = PARTS[name](rounds, quick)
    return record


def measured(unit: str, values: Sequence[float]) -> dict[str, Any]:
    """A number with its spread."""
    return {"unit": unit, "median": median(values), "low": min(values), "high": max(values)}


def ratio(above: Sequence[float], below: Sequence[float]) -> dict[str, Any]:
    """The quotients of values that were measured in the same rounds."""
    return measured("times", [one / other for one, other in zip(above, below, strict=True)])


def shown(number: Mapping[str, Any]) -> str:
    """For example `613 (598–640)`; three digits count."""
    decimals = 0 if number["median"] >= 100 else 1 if number["median"] >= 10 else 2
    middle, low, high = (f"{number[name]:,.{decimals}f}" for name in ("median", "low", "high"))
    return f"{middle} ({low}–{high})"


def take_turns(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Let each side measure itself once a round, every other round in reverse; the values of each."""
    values: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides)[:: 1 if number % 2 == 0 else -1]:
            values[name].append(sides[name]())
    return values


def matrix_product_rate(
    *, side: int = 1024, repeats: int = 7, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> float:
    """Products of two square matrices, in 10⁹ operations a second: how busy the machine is; the median, warmed up."""
    left, right = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        torch.mm(left, right)
        if left.device.type != "cpu":
            torch.accelerator.synchronize()
        times.append(time.perf_counter() - start)
    return 2 * side**3 / median(times[1:]) / 1e9


def measure_limits(rounds: int) -> dict[str, Any]:
    rate = partial(matrix_product_rate, side=SIDE, repeats=3, device=machine.device())
    sides = {name: partial(rate, dtype=getattr(torch, name)) for name in ("float32", "bfloat16")}
    return {name: measured("GFLOP/s", values) for name, values in take_turns(sides, rounds).items()}


def measure_training(rounds: int, *, seconds: float, workloads: Sequence[Workload] = WORKLOADS) -> list[dict[str, Any]]:
    """Every workload, one after the other; within each the plain loop, `fit` and matrix products take turns."""
    here = machine.device()
    limit = partial(matrix_product_rate, side=SIDE, repeats=3, dtype=machine.precision(here), device=here)
    found = []
    for workload in workloads:
        plain, own = (slice_of(loop(workload), workload.batch, seconds) for loop in (plain_loop, fit_loop))
        rates = take_turns({"plain": plain, "matrix": limit, "fit": own}, rounds)
        gigaflops = workload.operations() / 1e9
        share = [100 * gigaflops * rate / most for rate, most in zip(rates["fit"], rates["matrix"], strict=True)]
        found.append(
            {
                "title": workload.title,
                "batch": workload.batch,
                "gflop_per_image": gigaflops,
                "plain": measured("images/s", rates["plain"]),
                "fit": measured("images/s", rates["fit"]),
                "ratio": ratio(rates["fit"], rates["plain"]),
                "share": measured("% of the matrix products", share),
            }
        )
    return found


def slice_of(train: Callable[[int], float], batch: int, seconds: float) -> Callable[[], float]:
    """Trains for about so many seconds, in whole batches, and returns images a second; it is warm by then."""
    train(batch)
    images = batch * max(1, round(train(batch) * seconds / batch))
    train(images)
    return lambda: train(images)


def fit_loop(workload: Workload) -> Callable[[int], float]:
    """Trains on so many images by `fit`, from the start again where there are fewer; returns images a second."""
    model, images, config = workload.build(), workload.images(), workload.config()
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


def plain_loop(workload: Workload, *, workers: int = WORKERS) -> Callable[[int], float]:
    """The same as the tutorials teach it: Dataset, transforms, DataLoader, float32, one loop."""
    config, device = workload.config(), machine.device()
    model = workload.build().to(device)
    pictures = Pictures(workload.images().train, config.augment)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), config.lr, momentum=config.momentum, weight_decay=config.weight_decay)

    @cache
    def batches(count: int) -> DataLoader[tuple[Tensor, int]]:
        part = Subset(pictures, [index % len(pictures) for index in range(count)])
        return DataLoader(part, workload.batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0)

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


def measure_verdict() -> dict[str, Any]:
    """Seconds to train both nets of lesson 06's experiment, plain-20 and plain-56, by each of their epochs."""
    nets = [STUDIES["mnist5k-degradation"].settings[name] for name in ("plain20", "plain56")]
    shallow, deep = (train_once(net, seed=0)[0].epochs for net in nets)
    seconds = [len(shallow) * (one.seconds + other.seconds) for one, other in zip(shallow, deep, strict=True)]
    return {"nets": ["plain20", "plain56"], "epochs": len(shallow), "seconds": measured("s", seconds)}


def measure_prediction(rounds: int, *, pictures: int) -> dict[str, Any]:
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
        plain = {f"plain, {n} workers": partial(plain_script, network, folder, n) for n in (0, WORKERS)}
        ours = {f"predict in {name}": partial(own, files, name) for name in ("float32", "auto")}
        rates = take_turns({name: partial(timed, name, side) for name, side in (plain | ours).items()}, rounds)
    best = max(plain, key=lambda name: median(rates[name]))
    rows = [
        {
            "what": name,
            "rate": measured("pictures/s", rates[name]),
            "ratio": ratio(rates[name], rates[best]),
            "other_labels": sum(one != other for one, other in zip(labels[name], labels[best], strict=True)),
        }
        for name in (best, *ours)
    ]
    return {"network": "bundled ResNet-18", "pictures": pictures, "rows": rows}


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


def screen(record: Mapping[str, Any]) -> Group:
    here = record["machine"]
    about = (
        f"{here['cpu']}, {here['cores']} cores, {here['memory_gb']} GB; torch {here['torch']} on {here['device']}, "
        f"{here['threads']} threads, {here['precision']}\nmedian (lowest–highest) of {record['settings']['repeats']}\n"
    )
    tables = []
    if limits := record.get("limits"):
        rows = [[name, shown(number)] for name, number in limits.items()]
        tables.append(columns(["limits", "GFLOP/s"], rows))
    if training := record.get("training"):
        titles = ["training", "plain loop, images/s", "fit", "fit / plain", "% of the limit"]
        keys = ("plain", "fit", "ratio", "share")
        tables.append(columns(titles, [[each["title"], *(shown(each[key]) for key in keys)] for each in training]))
    if verdict := record.get("verdict"):
        told = f"plain-56 worse than plain-20, {verdict['epochs']} epochs"
        tables.append(columns(["verdict", "seconds"], [[told, shown(verdict["seconds"])]]))
    if found := record.get("prediction"):
        titles = [f"{found['pictures']:,} pictures", "a second", "times", "other labels"]
        rows = [[r["what"], shown(r["rate"]), shown(r["ratio"]), str(r["other_labels"])] for r in found["rows"]]
        tables.append(columns(titles, rows))
    return Group(about, *tables)


def columns(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table without lines; all columns but the first are numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), caption="")
    for number, title in enumerate(titles):
        table.add_column(title, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    return table


#: Measures one part, by the number of rounds and whether it should be quick.
PARTS: dict[str, Callable[[int, bool], Any]] = {
    "limits": lambda rounds, quick: measure_limits(rounds),
    "training": lambda rounds, quick: measure_training(rounds, seconds=0.25 if quick else 1.0),
    "verdict": lambda rounds, quick: measure_verdict(),
    "prediction": lambda rounds, quick: measure_prediction(rounds, pictures=1_000 if quick else 10_000),
}
