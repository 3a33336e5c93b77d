"""A whole run in one dataclass: data, network and training. The same options as a TOML file and on the command line.

What is left out follows from the pictures, see `prepare`: a small folder needs other values than a large one.
"""

import json
import math
import os
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args

import torch
from PIL import Image
from torch import nn

from . import machine, models, probe
from .config import TrainConfig, use_plain_numbers
from .data import Data, load, names
from .data.batches import evaluation_batches, steps_per_epoch
from .data.pictures import Crop, View
from .data.sets import holds_files, is_path, own_shape
from .data.split import PARTS, Split
from .errors import check_known, enough_memory
from .models.modes import eval_mode
from .models.pretrained import BUNDLED
from .train import fit

PRETRAINED = ("none", "bundled", "imagenet", "auto")
SMALL = 48  # pixels: up to this side the small stem, which throws nothing away, unless the weights want the other
SIDE = 64  # pixels, of photos for a network that begins from scratch
UPDATES = 300  # at least, however few the pictures
EPOCHS = 8  # at least, however many
LARGEST_BATCH, SMALLEST_BATCH = 64, 4
HEAD_DECAY = 0.03  # of the fitted last layer: less sure of a few pictures, it spoils the features less afterwards


def option(meaning: str, default: Any = None) -> Any:
    """An option and what it means. None: it is decided by `prepare`, or for most of training by `TrainConfig`."""
    return field(default=default, metadata={"help": meaning})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides a run; see `HELP` for each option. A `ValueError` says what cannot be, and why."""

    data: str = field(
        metadata={"help": "Folder of pictures by class, perhaps in train, val and test; or a data set's name."}
    )
    model: str = option("Name of a network, or a ResNet's depth: 18, 34, 50, 101, 152, 200.", "resnet18")
    pretrained: str | None = option(
        "Weights to begin with: none, bundled, imagenet, auto; auto for photos with resnet18."
    )
    frozen: bool = option("Train the last layer only, on top of pretrained weights.", False)
    x: int | None = option("Width of the images in pixels; by default what the weights are used to, else 64.")
    y: int | None = option("Height of the images in pixels; by default the width.")
    channels: int = option("1 for grey, 3 for colour.", 3)
    crop: str = option("center keeps the middle, none squeezes it all in, objects keeps what is detected.", "center")
    max_megabytes: float = option("Skip files larger than this.", 50.0)
    epochs: int | None = option("Passes over the training images; by default 8, or more to reach 300 updates.")
    batch_size: int | None = option("Images per update; by default a tenth of the training images, from 4 to 64.")
    lr: float | None = option("Highest learning rate; only the last layer's if backbone_lr is set.")
    backbone_lr: float | None = option("Learning rate of all layers but the last, for fine-tuning.")
    optimizer: str = option("sgd, adam or adamw.", "sgd")
    momentum: float | None = option("Momentum, for sgd only.")
    weight_decay: float | None = option("Pulls the weights towards 0.")
    schedule: str | None = option("Learning rate over the run: one_cycle, cosine, steps, constant.")
    warmup_epochs: float | None = option("Let the learning rate rise over this many epochs first.")
    label_smoothing: float | None = option("Share of each label that is spread over all classes.")
    augment: Sequence[str] | None = option("A list of crop, resized_crop, flip, rotation; [] for none.")
    precision: str | None = option("auto, bfloat16 or float32.")
    seed: int = option("Of the split, the first weights, the order and the augmentation.", 0)

    def __post_init__(self) -> None:
        use_plain_numbers(self)
        if isinstance(self.data, os.PathLike):
            object.__setattr__(self, "data", os.path.join(".", os.path.expanduser(self.data)))
        model = str(self.model)
        object.__setattr__(self, "model", f"resnet{model}" if model.isdigit() else model)
        for kind, value, known in (
            ("model", self.model, models.available()),
            ("kind of pretrained weights", self.pretrained or "none", PRETRAINED),
            ("crop", self.crop, get_args(Crop)),
        ):
            check_known(kind, known, value)
        if not isinstance(self.data, str) or not self.data:
            raise ValueError(f"data must be a folder or one of {', '.join(names())}, got {self.data!r}.")
        if not isinstance(self.frozen, bool):
            raise ValueError(f"frozen must be true or false, got {self.frozen!r}.")
        wants_weights = self.pretrained not in (None, "none")
        if self.pretrained == "none" and self.frozen:
            raise ValueError("frozen needs pretrained weights: random ones know nothing.")
        if wants_weights and self.channels != 3:
            raise ValueError(f"Pretrained weights are for three channels, got channels={self.channels}.")
        if not is_path(self.data):
            check_known("data set or folder", names(), self.data)
        if not holds_files(self.data):
            if self.x != self.y and None not in (self.x, self.y):
                raise ValueError(f"The images of {self.data} are square, got x={self.x} and y={self.y}.")
            if self.crop != "center":
                raise ValueError(f"The images of {self.data} are cut already, got crop={self.crop}. Leave it out.")
        self.view()  # checks sizes, channels and megabytes
        augment = self.training.augment  # checks all options of training
        object.__setattr__(self, "augment", None if self.augment is None else augment)

    @property
    def training(self) -> TrainConfig:
        """The options of training; what is left out has the default of `TrainConfig`."""
        given = [each.name for each in fields(TrainConfig) if getattr(self, each.name, None) is not None]
        return TrainConfig(**dict[str, Any](epochs=EPOCHS) | {name: getattr(self, name) for name in given})

    def or_else(self, **values: Any) -> "Recipe":
        """The recipe with these values for the options that are left out."""
        return replace(self, **{name: each for name, each in values.items() if getattr(self, name) is None})

    def view(self) -> View:
        """What every picture is made into, in training and in prediction."""
        crop: Any = self.crop
        either = next((side for side in (self.x, self.y) if side is not None), SIDE)
        width, height = (either if side is None else side for side in (self.x, self.y))
        return View(width, height, self.channels, crop, self.max_megabytes, models.detected_box)

    def prediction_view(self) -> tuple[View, int | None]:
        """How one picture is prepared for prediction: its view, and the side to which it is resized then, if at all.

        The images of a data set with a name were resized from the set's own side, some with a border.
        """
        view = self.view()
        if holds_files(self.data) or (own := own_shape(self.data)[0]) == self.x:
            return view, None
        return replace(view, width=own, height=own), self.x

    def load(self) -> Data:
        """The data set. See `data.load` for what can go wrong."""
        view, more = self.view(), {}
        if holds_files(self.data):
            more = {"size": (view.width, view.height), "crop": view.crop, "max_megabytes": view.max_megabytes}
            more["find"] = view.find
        return load(self.data, **{"size": view.width, "channels": view.channels, "seed": self.seed, **more})

    def network_options(self) -> dict[str, Any]:
        """What `models.build` is told besides the number of classes."""
        options: dict[str, Any] = {"in_channels": self.channels}
        known = models.options(self.model)
        if "stem" in known:
            small = self.pretrained in (None, "none") and max(self.x or SIDE, self.y or SIDE) <= SMALL
            options["stem"] = "small" if small else "imagenet"
        if self.pretrained not in (None, "none") and "transform_input" in known:
            options["transform_input"] = True  # as torchvision trained its GoogLeNet; see `models.pretrained`
        return options

    def to_dict(self) -> dict[str, Any]:
        """Plain values by option, fit for JSON and TOML."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**values, "augment": None if self.augment is None else list(self.augment)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Recipe":
        """The inverse of `to_dict`; an option left out has its default, and one that does not exist is refused."""
        check_known("option", HELP, *values)
        if "data" not in values:
            raise ValueError("The option data is missing: a folder of pictures, or the name of a data set.")
        return cls(**values)

    def to_toml(self) -> str:
        """As a TOML file, one option a line, with what each means."""
        lines = {
            key: f"{key} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")  # JSON leaves it
            for key, value in self.to_dict().items()
            if value is not None
        }
        width = max(map(len, lines.values()))
        return "\n".join(f"{line:{width}}  # {HELP[key]}" for key, line in lines.items()) + "\n"

    @classmethod
    def from_toml(cls, path: Path | str, **changes: Any) -> "Recipe":
        """Read a TOML file; `changes` come before what stands in it."""
        return cls.from_dict({**read_toml(Path(os.path.expanduser(path))), **changes})


#: What each option means, for the comments of a TOML file.
HELP: dict[str, str] = {each.name: each.metadata["help"] for each in fields(Recipe)}


@dataclass(frozen=True)
class Prepared:
    """All that a run begins with."""

    recipe: Recipe  # with every option decided
    data: Data  # the pictures, normalised as the network wants them
    model: nn.Module  # before any training
    weights: str | None  # whose weights it has, in one line; None for random ones
    pictures: dict[str, Any]  # what tells these pictures, cut in this way, from others

    def plan(self) -> dict[str, Any]:
        """What was found and what will be done, as plain values; `classes` are counts by class and part."""
        training, images, names = self.recipe.training, len(self.data.train), self.data.classes
        counts = {part: getattr(self.data, part).labels.bincount(minlength=len(names)).tolist() for part in PARTS}
        classes = {name: {part: counts[part][label] for part in PARTS} for label, name in enumerate(names)}
        notes = list(self.data.notes)
        most, least = (pick(classes, key=lambda name: classes[name]["train"]) for pick in (max, min))
        if (times := classes[most]["train"] / classes[least]["train"]) >= 3:
            notes.append(f"{most} has {times:.0f} times as many pictures as {least}: look at each class's error.")
        if "flip" in training.augment:
            notes.append("Pictures are mirrored at random: leave flip out of --augment if left and right matter.")
        return {
            "data": self.data.source,
            "notes": notes,
            "weights": self.weights,
            "classes": classes,
            "size": [self.recipe.x, self.recipe.y],
            "images": images,
            "batch_size": training.batch_size,
            "epochs": training.epochs,
            "updates": training.epochs * steps_per_epoch(images, training.batch_size),
        }

    def minutes(self) -> float:
        """About how long training takes here, by three updates of a copy of the network, which also find what fails."""
        training, train = self.recipe.training, self.data.train
        count = min(len(train), 3 * training.batch_size)
        labels = torch.arange(count) % len(self.data.classes)  # any: `fit` wants several, and the time is the same
        few = replace(train.subset(torch.arange(count)), labels=labels)
        trial = replace(self.data, train=few, val=few.subset(torch.arange(1)), test=few.subset(torch.arange(1)))
        short = replace(training, epochs=1, warmup_epochs=0.0)
        with enough_memory(training.batch_size):
            history = fit(deepcopy(self.model), trial, short, title="measuring the speed")
        if history.interrupted:
            raise KeyboardInterrupt
        return history.seconds / len(few) * len(train) * training.epochs / 60


def prepare(recipe: Recipe) -> Prepared:
    """Load the pictures, decide what the recipe leaves open, and make the network.

    * Photos begin with a ResNet-18's pretrained weights, at the side in pixels that these are used to. The new
      last layer is fitted to them first; then all of it is trained, the last layer at a higher rate than the others
      (Kumar et al. 2022, https://arxiv.org/abs/2202.10054). Each picture is cut out and mirrored at random.
    * A batch is at most a tenth of the pictures, and there are at least 300 updates. With small batches the rates are
      lower in proportion (Goyal et al. 2017, https://arxiv.org/abs/1706.02677).
    * Pretrained batch norms stay as they are: a batch measures mean and variance worse than many photos have.
    """
    photos, colour = holds_files(recipe.data), recipe.channels == 3
    known = recipe.model in BUNDLED or recipe.frozen
    recipe = recipe.or_else(pretrained="auto" if photos and colour and known else "none")
    source: Any = recipe.pretrained
    origin = None if source == "none" else models.pretrained(recipe.model, source=source)
    if origin:
        source = "imagenet" if len(origin.categories) == 1000 else "bundled"  # the same again, when it is resumed
        side = origin.transforms(Image.new("RGB", (SIDE, SIDE))).shape[-1]
    else:
        side = SIDE if photos else own_shape(recipe.data)[0]
    recipe = replace(recipe, pretrained=source).or_else(x=recipe.y or side, y=recipe.x or side)
    data = recipe.load()
    images, classes = len(data.train), len(data.classes)
    if classes < 2:
        raise ValueError(f"{recipe.data} has only one class, so there is nothing to tell apart. Add a second one.")
    tenth = max(SMALLEST_BATCH, min(LARGEST_BATCH, images // 10))
    recipe = recipe.or_else(batch_size=tenth if photos else LARGEST_BATCH)
    recipe = recipe.or_else(**defaults_of_training(recipe, photos))
    steps = steps_per_epoch(images, recipe.training.batch_size)
    recipe = recipe.or_else(epochs=max(EPOCHS, math.ceil(UPDATES / steps)))
    pictures = fingerprint(data)
    torch.manual_seed(recipe.seed)
    if not origin:
        model = models.build(recipe.model, num_classes=classes, **recipe.network_options())
        return Prepared(recipe, data, model, None, pictures)
    data = normalised_like(data, origin)
    for module in origin.model.modules():
        if recipe.frozen or isinstance(module, nn.BatchNorm2d):
            models.freeze(module)
    models.replace_head(origin.model, classes)
    return Prepared(recipe, data, origin.model, origin.source, pictures)


def defaults_of_training(recipe: Recipe, photos: bool) -> dict[str, Any]:
    """Rates and augmentation for what is trained: from scratch, a last layer, or a whole pretrained network."""
    sgd, whole = recipe.optimizer == "sgd", recipe.pretrained != "none" and not recipe.frozen
    augment = ("resized_crop", "flip") if photos else ("crop",) if recipe.data == "mnist5k" else ("crop", "flip")
    if whole and recipe.lr is None:
        rate = (0.01 if sgd else 0.001) * min(1, recipe.training.batch_size / LARGEST_BATCH)
        return {"lr": rate, "backbone_lr": 0.3 * rate, "augment": augment}
    return {"lr": 0.1 if sgd else 0.001, "augment": augment}


def fit_head(model: nn.Module, split: Split, *, precision: str = "auto") -> None:
    """Give the network the last layer that suits its features of these images best, without touching the features."""
    name, old = models.head_of(model)
    model.set_submodule(name, nn.Identity())
    device = machine.device()
    model.to(device)
    with eval_mode(model), torch.no_grad(), machine.autocast(device, precision, split.images.shape):
        features = [model(images).float().cpu() for images, _ in evaluation_batches(split.to(device))]  # (N, F) each
    classes: Any = old.out_features
    new = probe.linear_head(torch.cat(features), split.labels, classes, weight_decay=HEAD_DECAY)
    model.set_submodule(name, new.to(device))


def normalised_like(data: Data, origin: models.Pretrained) -> Data:
    """The data set with the normalisation that the pretrained network was trained with."""
    mean, std = models.normalisation(origin.transforms)
    parts = {part: replace(getattr(data, part), mean=mean, std=std) for part in PARTS}
    return replace(data, **parts)


def fingerprint(data: Data) -> dict[str, Any]:
    """What tells these pictures, cut in this way, from others; as it stands in `network.json`."""
    return {
        "classes": list(data.classes),
        "images": {part: len(getattr(data, part)) for part in PARTS},
        "brightness": {"mean": list(data.train.mean), "std": list(data.train.std)},
    }


def changes(before: Mapping[str, Any], pictures: Mapping[str, Any]) -> str:
    """In what the pictures differ from what `network.json` says: "images, brightness"; empty if they are the same."""
    return ", ".join(key for key, value in pictures.items() if before.get(key, value) != value)


def read_toml(path: Path) -> dict[str, Any]:
    """The options in a TOML file; a folder of pictures is looked for from the file's own folder on."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Windows' editor puts a mark before the text
    except FileNotFoundError as error:
        raise ValueError(f"There is no file {path}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML file ({error}).") from error
    data = values.get("data")
    if isinstance(data, str) and (is_path(data) or (data not in names() and (path.parent / data).is_dir())):
        values["data"] = str(path.absolute().parent / os.path.expanduser(data))
    return values
