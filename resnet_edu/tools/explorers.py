"""The explorers on pages without a kernel: states drawn beforehand, and a few lines of script that swap them.

The controls are the browser's own, so keyboards and screen readers work them. Without the script the first state shows.
"""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from html import escape
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import data, models, widgets
from ..data.pictures import View
from ..plots.style import Figure
from ..study import load_study

#: What one control can be set to: by text, the values that it gives to the figure.
Choices = Mapping[str, Mapping[str, Any]]

# Style and script, and between them the place of the figure.
FRAME = Path(__file__).with_name("explorer.html")


def page_of(explorer: widgets.Explorer, choices: Mapping[str, Choices]) -> str:
    """HTML with a control for each name in `choices` and a figure for every combination of what they can be set to."""
    texts = [list(each) for each in choices.values()]
    begin = [
        next((place for place, change in enumerate(each.values()) if change.items() <= explorer.start.items()), 0)
        for each in choices.values()
    ]
    images = []
    for state in product(*(range(len(each)) for each in texts)):
        changes = [list(each.values())[place] for each, place in zip(choices.values(), state, strict=True)]
        figure = explorer.draw(**explorer.start | {name: value for change in changes for name, value in change.items()})
        chosen = ", ".join(f"{name} {each[place]}" for name, each, place in zip(choices, texts, state, strict=True))
        said = escape(": ".join(filter(None, [chosen, figure.get_suptitle()])))
        hidden = "" if list(state) == begin else "hidden "
        key = " ".join(map(str, state))
        images.append(
            f'<img {hidden}data-state="{key}" alt="{said}" width="{figure.page_width}" src="{small(figure)}">'
        )
    controls = "\n".join(map(input_for, choices, texts, begin))
    parts = ["<form>", controls, "</form>", *images, "<figcaption role='status'></figcaption></figure>"]
    return FRAME.read_text(encoding="utf-8").replace("</figure>", "\n".join(["", *parts]))


def input_for(name: str, texts: Sequence[str], place: int) -> str:
    """A slider where the texts are numbers, a menu elsewhere; its value is the place of the text."""
    if len(texts) > 2 and all(text.removesuffix("%").replace(".", "").isdigit() for text in texts):
        slider = f'<input type="range" min="0" max="{len(texts) - 1}" value="{place}" data-values="{"|".join(texts)}">'
        return f"<label>{escape(name)} {slider}<output>{texts[place]}</output></label>"
    options = "".join(
        f'<option value="{number}"{" selected" if number == place else ""}>{escape(text)}</option>'
        for number, text in enumerate(texts)
    )
    return f'<label>{escape(name)} <select autocomplete="off">{options}</select></label>'


def small(figure: Figure) -> str:
    """The figure at the size of the page, as a data URI."""
    packed = io.BytesIO()
    figure.savefig(packed, format="webp", dpi=figure.dpi, pil_kwargs={"quality": 85})
    return "data:image/webp;base64," + base64.b64encode(packed.getvalue()).decode()


def crossed(explorer: widgets.Explorer, **values: Sequence[Any] | None) -> str:
    """The page on which these controls can be set to these values; None stands for all of a menu's."""
    choices = {}
    for name, chosen in values.items():
        made = explorer.controls[name]
        listed = [each if isinstance(each, tuple) else (str(each), each) for each in getattr(made, "options", ())]
        words = {value: text for text, value in listed} or {False: "off", True: "on"}
        choices[made.description] = {
            words.get(value, f"{value:g}" if isinstance(value, float) else str(value)): {name: value}
            for value in (words if chosen is None else chosen)
        }
    return page_of(explorer, choices)


def kernels() -> str:
    """Lesson 01: the menu of kernels in place of nine sliders."""
    return page_of(widgets.kernel_explorer(square("camera")[0]), {"kernel": widgets.PRESETS})


def square(name: str, side: int = 224) -> Tensor:
    """A photo of the course, cut to its middle: uint8 `(3, side, side)`."""
    return torch.tensor(View(side, side).of(data.photo(name))).permute(2, 0, 1)


def augmentations() -> str:
    """Lesson 02: two photos and a digit."""
    digits = data.load("mnist5k", size=28).test
    images = {
        "cat": square("cat", 112),
        "coffee": square("coffee", 112),
        "digit 7": digits.images[digits.labels == 7][0],
    }
    return crossed(widgets.augmentation_explorer(images), name=None, padding=(0, 10, 20, 30), flip=(False, True))


def gradients() -> str:
    """Lesson 05: all activations, initial weights, with and without batch norm and skip."""
    train = data.load("mnist5k", size=16, limit=2000).train
    explorer = widgets.gradient_flow(train.inputs(slice(64)), train.labels[:64])
    return crossed(explorer, activation=None, init=None, batch_norm=(False, True), skip=(False, True))


bundled = partial(models.pretrained, "resnet18", source="bundled")

#: By the name of the explorer, what makes its page.
PAGES: dict[str, Callable[[], str]] = {
    "kernel_explorer": kernels,
    "augmentation_explorer": augmentations,
    "receptive_explorer": lambda: crossed(
        widgets.receptive_explorer(square("cat")), kernel=(3, 5, 7), layers=(1, 2, 3, 5, 8), pool_every=(0, 2)
    ),
    "channel_budget": lambda: crossed(
        widgets.channel_budget(),
        **{"1×1": (16, 64, 192), "3×3 reduce": (32, 96, 192), "5×5 reduce": (8, 16, 64), "kernel": (5, 3)},
    ),
    "gradient_flow": gradients,
    "depth_and_skip": lambda: crossed(
        widgets.depth_and_skip(load_study("mnist5k-degradation")), depth=None, skip=(False, True)
    ),
    "residual_explorer": lambda: crossed(
        widgets.residual_explorer(), depth=None, residual=(False, True), batch_norm=(False, True)
    ),
    "stage_explorer": lambda: crossed(widgets.stage_explorer(), depth=None, width=(32, 64, 128), side=(64, 224)),
    "model_picker": lambda: crossed(
        widgets.model_picker(), gmacs=(1.0, 2.0, 5.0, 10.0, 20.0), million=(15.0, 30.0, 60.0, 150.0)
    ),
    "transfer_explorer": lambda: crossed(
        widgets.transfer_explorer(load_study("mnist5k-transfer")), labels=None, method=None
    ),
    "attribution_explorer": lambda: crossed(
        widgets.attribution_explorer(bundled(), data.photos()), which=None, method=None
    ),
    "naming_explorer": lambda: crossed(
        widgets.naming_explorer(bundled(), data.photos()), which=None, threshold=(0, 25, 50, 75)
    ),
}


@cache
def living(code: str) -> str:
    """HTML for the explorer that a cell makes, drawn once; empty for a cell that makes none."""
    made = [name for name in PAGES if f"edu.widgets.{name}(" in code]
    return "\n".join(PAGES[name]() for name in made)
