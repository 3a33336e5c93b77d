"""A whole run in one dataclass: data, network and training. The same options as a TOML file and on the command line."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args

from torch import nn

from . import models
from .config import TrainConfig, is_whole
from .data import Data, load, names
from .data.folder import is_folder
from .data.pictures import Crop, View
from .data.sets import own_shape, require_known
from .errors import UnknownName

PRETRAINED = ("none", "bundled", "imagenet", "auto")
STEMS = ("auto", "imagenet", "small")
SMALL = 48  # pixels: up to this side the small stem, which throws nothing away, unless the weights want the other

#: What each option means, for --help, and for the comments of a TOML file.
HELP = {
    "data": "Folder CLASS/FILE.jpg or train|val|test/CLASS/FILE.jpg, or the name of a data set.",
    "model": "Name of a network, or a ResNet's depth: 18, 34, 50, 101, 152, 200.",
    "pretrained": "Weights to begin with: none, bundled, imagenet, auto (the better of the two at hand).",
    "frozen": "Train the last layer only, on top of pretrained weights.",
    "stem": "First layer: imagenet (7×7, stride 4 in all), small (3×3), auto (by the size).",
    "x": "Width of the images in pixels.",
    "y": "Height of the images in pixels.",
    "channels": "1 for grey, 3 for colour.",
    "crop": "none squeezes a picture into the frame, center cuts out its middle, objects what a detector finds.",
    "max_megabytes": "Skip larger files.",
    "patience": "Stop early after this many epochs without a lower validation error; 0 never.",
    "top": "Labels to print for each predicted file.",
    "epochs": "Passes over the training images.",
    "batch_size": "Images in one step.",
    "lr": "Highest learning rate; by default 0.1 for sgd (0.02 to fine-tune), 0.001 for adam and adamw.",
    "backbone_lr": "Learning rate of all layers but the last; by default the same.",
    "optimizer": "sgd, adam or adamw.",
    "momentum": "Of sgd.",
    "weight_decay": "Pulls the weights towards 0.",
    "schedule": "Learning rate over the run: one_cycle, cosine, steps, constant.",
    "warmup_epochs": "Let the learning rate rise over this many epochs first.",
    "label_smoothing": "Share of each label that is spread over all classes.",
    "augment": "Any of crop, flip, rotation, colour, separated by commas; off for none.",
    "precision": "auto, bfloat16 or float32.",
    "channels_last": "Memory format of the images.",
    "fused": "Update all weights in one kernel.",
    "seed": "Of the split, the first weights, the order and the augmentation.",
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides a run; see `HELP` for each option.

    Raises:
        UnknownName: a name that does not exist, with the nearest one that does.
        ValueError: a value of another type, a number outside its range, or options that exclude each other.
    """

    data: str
    model: str = "resnet18"
    pretrained: str = "none"
    frozen: bool = False
    stem: str = "auto"
    x: int = 64
    y: int = 64
    channels: int = 3
    crop: str = "none"
    max_megabytes: float = 50.0
    patience: int = 0
    top: int = 3
    training: TrainConfig = field(default_factory=lambda: TrainConfig(epochs=8, batch_size=64))

    def __post_init__(self) -> None:
        model = str(self.model)
        object.__setattr__(self, "model", f"resnet{model}" if model.isdigit() else model)
        for kind, value, known in (
            ("model", self.model, models.available()),
            ("kind of pretrained weights", self.pretrained, PRETRAINED),
            ("stem", self.stem, STEMS),
            ("crop", self.crop, get_args(Crop)),
        ):
            if value not in known:
                raise UnknownName(kind, value, known)
        if not isinstance(self.data, str) or not self.data:
            raise ValueError(f"data must be a folder or one of {', '.join(names())}, got {self.data!r}.")
        need_utf8(self.data)
        if not isinstance(self.frozen, bool):
            raise ValueError(f"frozen must be true or false, got {self.frozen!r}.")
        if not is_whole(self.patience) or self.patience < 0:
            raise ValueError(f"patience must be a whole number of at least 0, got {self.patience!r}.")
        if not is_whole(self.top) or self.top < 1:
            raise ValueError(f"top must be a whole number of at least 1, got {self.top!r}.")
        if self.frozen and self.pretrained == "none":
            raise ValueError("frozen=true needs pretrained weights: frozen random ones learn nothing.")
        if self.pretrained != "none" and self.channels != 3:
            raise ValueError(f"Pretrained weights are for three channels, got channels={self.channels}.")
        if self.pretrained != "none" and self.stem == "small":
            raise ValueError("Pretrained weights are for the stem imagenet, got stem=small. Leave it out.")
        if not is_folder(self.data):
            require_known(self.data)
            if self.x != self.y:
                raise ValueError(f"The images of {self.data} are square, got x={self.x} and y={self.y}.")
            if self.crop != "none":
                raise ValueError(f"The images of {self.data} are cut already, got crop={self.crop}. Leave it out.")
        self.view()  # checks sizes, channels and megabytes

    def view(self) -> View:
        """What every picture is made into, in training and in prediction."""
        crop: Any = self.crop
        return View(self.x, self.y, self.channels, crop, self.max_megabytes)

    def preparation(self) -> tuple[View, int | None]:
        """How one picture is prepared for prediction: its view, and the side to which it is resized after that.

        The images of a data set with a name were resized from the set's own side, some with a border. None: not at all.
        """
        view = self.view()
        if is_folder(self.data) or (own := own_shape(self.data)[0]) == self.x:
            return view, None
        return replace(view, width=own, height=own), self.x

    def load(self) -> Data:
        """The data set. See `data.load` for what can go wrong."""
        crop: Any = self.crop
        seed = self.training.seed
        if is_folder(self.data):
            size, most = (self.x, self.y), self.max_megabytes
            return load(self.data, size=size, channels=self.channels, crop=crop, max_megabytes=most, seed=seed)
        return load(self.data, size=self.x, channels=self.channels, seed=seed)

    def network_options(self) -> dict[str, Any]:
        """What `models.build` is told besides the number of classes."""
        options: dict[str, Any] = {"in_channels": self.channels}
        if "stem" in models.options(self.model):
            small = self.pretrained == "none" and max(self.x, self.y) <= SMALL
            options["stem"] = ("small" if small else "imagenet") if self.stem == "auto" else self.stem
        if self.pretrained != "none" and "transform_input" in models.options(self.model):
            options["transform_input"] = True  # as torchvision trained its GoogLeNet; see `models.pretrained`
        return options

    def network(self, classes: int) -> tuple[nn.Module, models.Pretrained | None]:
        """The network to train, and the pretrained one it comes from, if any.

        Raises:
            ValueError: there is one class only.
        """
        if classes < 2:
            raise ValueError(f"{self.data} has one class only, and there is nothing to tell apart. Add a second one.")
        if self.pretrained == "none":
            return models.build(self.model, num_classes=classes, **self.network_options()), None
        source: Any = self.pretrained
        origin = models.pretrained(self.model, source=source)
        if self.frozen:
            models.freeze(origin.model)
        models.replace_head(origin.model, classes)
        return origin.model, origin

    def to_dict(self) -> dict[str, Any]:
        """Plain values by option, fit for JSON and TOML."""
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "training"}
        return {**own, **self.training.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Recipe":
        """The inverse of `to_dict`; an option left out has its default.

        Raises:
            UnknownName: a key that is no option.
            ValueError: as for `Recipe`; or there is no `data`.
        """
        for key in values:
            if key not in HELP:
                raise UnknownName("option", key, HELP)
        if "data" not in values:
            raise ValueError("The option data is missing: a folder of pictures, or the name of a data set.")
        own = {each.name for each in fields(cls)} - {"training"}
        training = {"epochs": 8, "batch_size": 64, **{key: each for key, each in values.items() if key not in own}}
        if "lr" not in training:
            fine_tuned = values.get("pretrained", "none") != "none" and not values.get("frozen", False)
            training["lr"] = (0.02 if fine_tuned else 0.1) if training.get("optimizer", "sgd") == "sgd" else 0.001
        config = TrainConfig.from_dict(training)
        return cls(**{key: each for key, each in values.items() if key in own}, training=config)

    def to_toml(self) -> str:
        """As a TOML file, one option a line, with what each means."""
        lines = [
            f"{key} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")  # JSON leaves it
            for key, value in self.to_dict().items()
            if value is not None
        ]
        width = max(map(len, lines))
        return "\n".join(f"{line:{width}}  # {HELP[line.split(' ')[0]]}" for line in lines) + "\n"

    @classmethod
    def from_toml(cls, path: Path, **changes: Any) -> "Recipe":
        """Read a TOML file; `changes` come before what stands in it.

        Raises:
            ValueError: no such file, no TOML, or as for `from_dict`.
        """
        return cls.from_dict({**read_toml(path), **changes})


def need_utf8(folder: str | Path) -> None:
    """Refuse a folder whose name cannot be written into a file.

    Raises:
        ValueError: the name holds bytes that are no UTF-8.
    """
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        shown = str(folder).encode(errors="backslashreplace").decode()
        raise ValueError(f"The name of the folder {shown} is not in UTF-8. Rename it.") from error


def normalised_like(data: Data, origin: models.Pretrained) -> Data:
    """The data set with the normalisation that the pretrained network was trained with."""
    mean, std = models.normalisation(origin.transforms)
    parts = {part: replace(getattr(data, part), mean=mean, std=std) for part in ("train", "val", "test")}
    return replace(data, **parts)


def read_toml(path: Path) -> dict[str, Any]:
    """The options in a TOML file.

    Raises:
        ValueError: no such file, or no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"There is no file {path}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML file ({error}).") from error


def option_types() -> dict[str, Any]:
    """The type of each option, in the order of `HELP`."""
    own = {each.name: each.type for each in (*fields(Recipe), *fields(TrainConfig))}
    return {name: own[name] for name in HELP}
