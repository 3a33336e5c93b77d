"""The studies of the course, by name."""

from dataclasses import replace
from pathlib import Path

from .. import files
from ..config import TrainConfig
from ..errors import UnknownName
from .recording import Recorded, Setting, Study, read_recorded
from .transfer import transfer


def degradation() -> Study:
    """Plain and residual nets of 20, 32, 44 and 56 layers on mnist5k: the live experiment of lesson 06, five times."""
    config = TrainConfig(epochs=6, batch_size=64, lr=0.1, augment=())
    images = {"name": "mnist5k", "size": 16, "limit": 2000}
    names = [f"{kind}{depth}" for kind in ("plain", "resnet") for depth in (20, 32, 44, 56)]
    settings = {name: Setting(name, {"width": 8, "in_channels": 1}, images, config) for name in names}
    return Study("mnist5k-degradation", "Degradation on mnist5k", settings, range(5))


def six_curves() -> Study:
    """Six learning curves, each with another ailment (or none): the reading exercise of lesson 06."""
    config = TrainConfig(epochs=12, batch_size=64, lr=0.05, augment=(), schedule="constant")
    falling = replace(config, schedule="cosine", lr=0.1)
    images, net = {"name": "mnist5k", "size": 16, "limit": 2000}, {"width": 8, "in_channels": 1}
    settings = {
        "healthy: shallow": Setting("resnet20", net, images, falling),
        "healthy: deep": Setting("resnet56", net, images, falling),
        "overfitting": Setting("resnet20", net, {**images, "limit": 60}, replace(config, batch_size=20, lr=0.02)),
        "learning rate too high": Setting("resnet20", net, images, replace(config, lr=20.0)),
        "learning rate too low": Setting("resnet20", net, images, replace(config, lr=3e-4)),
        "labels shuffled": Setting("resnet20", net, images, config, shuffle_labels=True),
        "degradation: shallow": Setting("plain20", net, images, falling),
        "degradation: deep": Setting("plain56", net, images, falling),
    }
    return Study("six-curves", "Six learning curves to read", settings, [0])


def cifar10() -> Study:
    """The paper's experiment at its own size: plain and residual nets of 20 and 56 layers, ten epochs each.

    The images are the JPEG copy of CIFAR-10, as `train/CLASS/*.jpg` and `test/CLASS/*.jpg`. 5,000 of the 50,000
    training images are set aside, as in section 4.2 of He et al. 2015, https://arxiv.org/abs/1512.03385.
    """
    config = TrainConfig(epochs=10, batch_size=128, lr=0.1, augment=("crop", "flip"))
    images = {"name": "~/.cache/resnet-edu/cifar10-jpeg", "size": 32, "channels": 3}
    names = ("plain20", "resnet20", "resnet56", "plain56")
    settings = {name: Setting(name, {"num_classes": 10}, images, config) for name in names}
    return Study("cifar10-jpeg", "Degradation on CIFAR-10 (JPEG copy)", settings, range(3))


#: Every study of the course, by name.
STUDIES: dict[str, Study] = {study.name: study for study in (degradation(), six_curves(), cifar10(), transfer())}


def find_study(name: str) -> Study:
    """A study by name.

    Raises:
        UnknownName: there is none.
    """
    if name not in STUDIES:
        raise UnknownName("study", name, STUDIES)
    return STUDIES[name]


def load_study(name: str, folder: Path | None = None) -> Recorded:
    """Read a recorded study, from `assets/runs` by default.

    Raises:
        UnknownName: nothing is recorded under this name, and no study of the course has it.
        ValueError: nothing is recorded yet, with the command that does it; or the record is damaged.
    """
    folder = folder or files.assets() / "runs"
    if not (folder / f"{name}.json").is_file():
        find_study(name)
        raise ValueError(f"No study {name!r} is recorded in {folder}. Make it with: resnet-edu study {name}")
    return read_recorded(name, folder)
