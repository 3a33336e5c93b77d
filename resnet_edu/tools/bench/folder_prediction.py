"""Naming a folder of 10,000 small JPEGs: `predict` beside a plain ImageFolder and DataLoader script.

Both sides get the same files, the same network and the same cores, and must give the same answers. The script is that
of the tutorials (https://docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html), written with care:
batches of 64, inference mode, and the better of no workers and two.

How much can be won depends on the network. With ResNet-18 at 64×64 the convolutions take most of the time on either
side; with a network that fits small pictures, reading them counts as much.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from ... import data, machine, models
from ...config import TrainConfig
from ...data.pictures import View, read_photo
from ...data.split import Data, Split, channel_statistics
from ...models.pretrained import PhotoTransforms, Pretrained, pretrained
from ...predict import loaded, predict
from ...run import Preprocessing
from ...train import fit
from .measured import Measured, ratio, take_turns

WORKERS, BATCH = (0, 2), 64  # of the plain script
TOP = 3  # labels a file, as `resnet-edu predict` prints them
SIDE = 32  # pixels


def measure_folder_prediction(
    rounds: int, *, folder: Path | None = None, pictures: int = 10_000, say: Callable[[str], None]
) -> dict[str, Any]:
    """Pictures a second of the plain script and of `predict`, for two networks, and of the loading alone.

    Args:
        rounds: measurements of each number, in turns.
        folder: `CLASS/FILE.jpg`, of which the first `pictures` are used; by default crops of the course's photos,
            written into a temporary folder.
        pictures: how many.
        say: is told what is being measured.

    Returns:
        A row for each network and what it does: the rates of both sides, ours over the better plain one, and how far
        the answers are from each other.

    Raises:
        ValueError: the folder holds fewer pictures.
    """
    machine.use_own_cores()
    machine.keep_freed_memory()  # as `predict` does; the plain script gains from it too
    with TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        root = folder or write_crops(Path(temporary), pictures)
        rows: list[dict[str, Any]] = []
        for name, network in networks(root).items():
            say(f"{name}: {pictures:,} pictures, predict and the plain script")
            rows += [{"network": name, **row} for row in measure_network(network, root, pictures, rounds)]
    return {"pictures": pictures, "rows": rows}


def networks(root: Path) -> dict[str, Pretrained]:
    """The bundled ResNet-18, which sees 64×64 pixels, and a ResNet-20 for 32×32, trained to tell the folders apart."""
    return {"ResNet-18 at 64×64": pretrained(source="bundled"), "ResNet-20 at 32×32": trained_on(root)}


def trained_on(root: Path) -> Pretrained:
    """A ResNet-20 (He et al. 2015) after two epochs of 2,000 of the pictures."""
    view = View(SIDE, SIDE, crop="none")
    folders = sorted(folder for folder in root.iterdir() if folder.is_dir())
    files = {folder: sorted(folder.glob("*.jpg"))[: 2_000 // len(folders)] for folder in folders}
    labels = torch.tensor([label for label, some in enumerate(files.values()) for _ in some])
    pixels = np.stack([view.of(file) for some in files.values() for file in some])  # (N, H, W, C)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    split, names = Split(images, labels, *channel_statistics(images)), tuple(folder.name for folder in folders)
    torch.manual_seed(0)
    model = models.build("resnet20", num_classes=len(names))
    fit(model, Data("pictures", split, split, split, names, "a folder"), TrainConfig(epochs=2, batch_size=64))
    return Pretrained(model, names, Preprocessing(view, split.mean, split.std), "trained for the bench", view.read)


def measure_network(network: Pretrained, root: Path, pictures: int, rounds: int) -> list[dict[str, Any]]:
    """Loading alone, then from files to percentages, and whether these agree; in bfloat16 too where there are units."""
    plain = ImageFolder(str(root), plain_transform(network))
    if len(plain) < pictures:
        raise ValueError(f"{root} holds {len(plain)} pictures, {pictures} are needed.")
    files = [Path(name) for name, _ in plain.samples[:pictures]]
    chosen = Subset(plain, range(pictures))
    answers: dict[str, Tensor] = {}  # (N, classes), percentages

    def load_plainly(workers: int) -> None:
        for _ in DataLoader(chosen, batch_size=BATCH, num_workers=workers):
            pass

    def load() -> None:
        for _ in loaded(network, files, None):
            pass

    def ask_plainly(workers: int) -> None:
        answers["plain"] = plain_script(network, DataLoader(chosen, batch_size=BATCH, num_workers=workers))

    def ask(precision: str) -> None:
        predict(network, files, top=TOP, precision=precision)

    def ask_for_all(precision: str) -> Tensor:
        predictions = predict(network, files, top=len(network.categories), precision=precision)
        rows = [dict(each.top) for each in predictions]
        return torch.tensor([[row[label] for label in network.categories] for row in rows])

    fast = ["bfloat16"] if machine.precision(machine.device()) == torch.bfloat16 else []
    loading = {f"plain, {n} workers": partial(load_plainly, n) for n in WORKERS} | {"loading": load}
    asking = {f"plain, {n} workers": partial(ask_plainly, n) for n in WORKERS}
    asking |= {name: partial(ask, name) for name in ("float32", *fast)}
    rows = compared(loading, pictures, rounds) + compared(asking, pictures, rounds)
    ours = {name: ask_for_all(name) for name in ("float32", *fast)}  # not timed: nobody prints all of them
    return [row | distance(ours.get(row["what"]), answers["plain"]) for row in rows]


def plain_script(network: Pretrained, batches: DataLoader[Any]) -> Tensor:
    """Percentages `(N, classes)`, as everybody writes it."""
    device = machine.device()
    model = network.model.to(device).eval()
    with torch.inference_mode():
        return torch.cat([model(images.to(device)).softmax(dim=1).cpu() * 100 for images, _ in batches])


def plain_transform(network: Pretrained) -> v2.Compose:
    """The network's own preprocessing, in torchvision's words."""
    ours: Any = network.transforms
    if isinstance(ours, PhotoTransforms):
        frame = [v2.Resize(ours.size, antialias=True), v2.CenterCrop(ours.size)]
    else:
        frame = [v2.Resize((ours.view.height, ours.view.width), antialias=True)]
    scaled = v2.ToDtype(torch.float32, scale=True)
    return v2.Compose([v2.ToImage(), *frame, scaled, v2.Normalize(list(ours.mean), list(ours.std)), v2.ToPureTensor()])


def compared(sides: dict[str, Callable[[], None]], pictures: int, rounds: int) -> list[dict[str, Any]]:
    """A row for each of our sides, beside the better of the plain ones."""

    def timed(work: Callable[[], None]) -> Callable[[], float]:
        def rate() -> float:
            start = time.perf_counter()
            work()
            return pictures / (time.perf_counter() - start)

        return rate

    rates = take_turns({name: timed(work) for name, work in sides.items()}, rounds)
    best = max((name for name in sides if name.startswith("plain")), key=lambda name: median(rates[name]))
    return [
        {
            "what": name,
            "plain": Measured("pictures/s", rates[best]).to_dict(),
            "ours": Measured("pictures/s", rates[name]).to_dict(),
            "ratio": ratio(f"{name} / {best}", rates[name], rates[best]).to_dict(),
        }
        for name in sides
        if not name.startswith("plain")
    ]


def distance(answers: Tensor | None, others: Tensor) -> dict[str, Any]:
    """How many best labels differ, and the largest difference of a percentage; nothing of loading alone."""
    if answers is None:
        return {"other_labels": None, "largest_difference": None}
    return {
        "other_labels": int((answers.argmax(dim=1) != others.argmax(dim=1)).sum()),
        "largest_difference": (answers - others).abs().max().item(),
    }


def write_crops(folder: Path, pictures: int) -> Path:
    """`PHOTO/NNNNN.jpg`: as many crops of 32×32 pixels as asked for, from the photos of the course in turn."""
    generator = torch.Generator().manual_seed(0)
    photos = {name: read_photo(path) for name, path in data.photos().items()}
    for name in photos:
        (folder / name).mkdir()
    for number in range(pictures):
        name, photo = list(photos.items())[number % len(photos)]
        x, y = (int(torch.randint(side - 2 * SIDE, (), generator=generator)) for side in photo.size)
        crop = photo.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=(x, y, x + 2 * SIDE, y + 2 * SIDE))
        crop.save(folder / name / f"{number:05}.jpg", quality=90)
    return folder
