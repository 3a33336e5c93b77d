"""The explorers: a few lines each around a figure of `plots`, redrawn while a control is moved.

Each takes what its figure takes. Beside each stands its static twin for pages without a kernel: `Explorer.twin`, or a
figure that shows more at a glance. They work with ipywidgets 7.7, which Colab has, and with 8.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache, partial
from html import escape
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import ipywidgets
import numpy as np
import torch
from ipywidgets import Checkbox, Dropdown, FloatSlider, IntSlider, SelectionSlider, ToggleButtons, ValueWidget
from PIL import Image
from torch import Tensor

from . import plots
from .data.pictures import read_photo
from .errors import UnreadablePicture
from .models import Pretrained
from .models.deep import INIT_STD
from .models.googlenet import INCEPTIONS
from .plots.lesson_01 import KERNELS
from .plots.lesson_06 import DEPTHS
from .plots.lesson_10 import LABELS, METHODS
from .plots.lesson_11 import ATTRIBUTIONS
from .plots.lesson_12 import look_at, named_looks
from .plots.style import Figure, course_style
from .study import Recorded

__all__ = [
    "Explorer", "attribution_explorer", "augmentation_explorer", "channel_budget", "depth_and_skip", "gradient_flow",
    "kernel_explorer", "model_picker", "naming_explorer", "receptive_explorer", "residual_explorer", "stage_explorer",
    "transfer_explorer",
]  # fmt: skip

PLACES = ("top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right")
PRESETS: dict[str, dict[str, int]] = {
    name: dict(zip(PLACES, weights, strict=True)) for name, weights in KERNELS.items()
}
KINDS = [("plain", False), ("residual", True)]
SLOW = 0.3  # seconds: who waits longer is told
HIDDEN = "<span role='status' style='position: absolute; left: -10000px'>{}</span>"  # read aloud, not seen
#: ipywidgets writes a name beside a slider or a row of buttons and gives them none that a screen reader could say.
SCRIPT = Path(__file__).with_name("control_names.html").read_text(encoding="utf-8")
NAMES = ({"output_type": "display_data", "data": {"text/html": SCRIPT}, "metadata": {}},)
IMAGE = "<img alt='{}' width='{}' style='max-width: 100%' src='data:image/png;base64,{}'>"


class Explorer(ipywidgets.VBox):
    """Controls in a grid, and below them the figure that `draw` makes of their values, each by its keyword.

    A dragged slider sends its next value when the last one is drawn, so that moves never queue up. The `columns` are in
    the words of CSS; what is `above` stands above the grid. "working…" is shown where the drawing before was slow.
    What was drawn lately is kept, so that the way back is quick. Finding the axes' places takes matplotlib half of its
    time: they are found once for all values of the controls that `relayout` names; None names all controls.
    """

    def __init__(
        self,
        draw: Callable[..., Figure],
        controls: Mapping[str, Any],
        *,
        columns: str = "repeat(auto-fill, minmax(22em, 1fr))",
        above: Sequence[ipywidgets.Widget] = (),
        relayout: Sequence[str] | None = None,
    ) -> None:
        self.draw, self.controls, self.seconds = draw, controls, 0.0
        self.relayout, self.places = controls if relayout is None else relayout, {}
        self.waiting, self.drawn = False, {}
        self.start = {name: each.value for name, each in controls.items()}
        self.picture = lru_cache(maxsize=64)(self.draw_picture)
        self.said = ipywidgets.HTML()  # one line above the controls
        self.image = ipywidgets.HTML()  # not its Image, which has no words for those who do not see it
        self.failure = ipywidgets.Output()  # a traceback is shown here, and the names' script runs
        layout = {"grid_template_columns": columns, "grid_gap": "0 1em"}
        grid = ipywidgets.GridBox(list(controls.values()), layout=layout)
        super().__init__([ipywidgets.HBox([*above, self.said]), grid, self.image, self.failure])
        for each in controls.values():
            each.observe(self.redraw, "value")
        self.redraw()

    def redraw(self, _: object = None) -> None:
        """Draw what the controls choose, unless it is drawn already."""
        state = {name: each.value for name, each in self.controls.items()}
        if self.waiting or state == self.drawn:
            return
        self.said.value = "working…" if self.seconds > SLOW else ""
        self.failure.outputs = NAMES
        with self.failure:
            self.image.value, title = self.picture(*state.values())
            self.drawn = state
            self.said.value = HIDDEN.format(escape(title))

    def draw_picture(self, *values: Any) -> tuple[str, str]:
        """The picture for these values of the controls, and its message, else the values."""
        started = monotonic()
        state = dict(zip(self.controls, values, strict=True))
        figure, chosen = self.draw(**state), (f"{self.controls[name].description} {state[name]}" for name in state)
        parts: list[Any] = [*figure.axes, *figure.texts]
        needs = tuple(state[name] for name in self.relayout)
        if needs in self.places:
            figure.set_layout_engine("none")
            for part, place in zip(parts, self.places[needs], strict=True):
                part.set_position(place)
        message, png = figure.get_suptitle() or ", ".join(chosen), b64encode(figure.png()).decode()
        self.places[needs] = [part.get_position() for part in parts]
        self.seconds = monotonic() - started
        return IMAGE.format(escape(message), figure.page_width, png), message

    @contextmanager
    def one_drawing(self) -> Iterator[None]:
        """Change several controls, and draw once, when all are changed."""
        self.waiting = True
        yield
        self.waiting, self.drawn = False, {}
        self.picture.cache_clear()  # a photo of the same name may be another
        self.places.clear()
        self.redraw()

    @course_style()
    def twin(self, states: Mapping[str, Mapping[str, Any]]) -> Figure:
        """The explorer's figure in a few of its settings, each under its name, for pages without a kernel.

        A state has the values of the controls that differ from how they begin.
        """
        figures = {name: self.draw(**self.start | dict(state)) for name, state in states.items()}
        width, height = next(iter(figures.values())).get_size_inches()
        whole, share = Figure(figsize=(width, (height + 0.4) * len(figures))), 1 / len(figures)
        for place, (name, figure) in enumerate(figures.items()):
            axes = whole.add_axes((0, 1 - (place + 1) * share, 1, share * height / (height + 0.4)))
            axes.imshow(np.asarray(Image.open(BytesIO(figure.png()))), aspect="auto")
            axes.set_axis_off()
            axes.set_title(f"▸ {name}", x=0.01, weight="normal")
        return whole


def control(kind: type[ValueWidget], name: str, tip: str, options: Any = None, **settings: Any) -> Any:
    """A control with its name beside it, and a tooltip that says what it changes."""
    settings |= {} if options is None else {"options": options}
    style = {"description_width": "7em"} | ({"button_width": "auto"} if kind is ToggleButtons else {})
    made = kind(description=name, style=style, layout={"width": "auto", "display": "flex"}, **settings)
    made.set_trait("tooltip" if made.has_trait("tooltip") else "description_tooltip", tip)  # the latter: ipywidgets 7
    return made


def kernel_explorer(image: Tensor) -> Explorer:
    """Lesson 01: nine sliders, a menu that sets them, and what they make of a photo."""
    start = "vertical edges"
    menu = control(Dropdown, "start from", "sets all nine weights", list(PRESETS), value=start)
    sliders = {
        place: control(IntSlider, place, f"weight at the {place}", value=weight, min=-8, max=8)
        for place, weight in PRESETS[start].items()
    }

    def draw(**kernel: int) -> Figure:
        return plots.kernel_effect(image, torch.tensor(list(kernel.values())).view(3, 3))

    explorer = Explorer(draw, sliders, columns="repeat(3, 1fr)", above=[menu], relayout=())

    def take_preset(_: object) -> None:
        if menu.value and PRESETS[menu.value] != explorer.drawn:
            with explorer.one_drawing():
                for place, weight in PRESETS[menu.value].items():
                    sliders[place].value = weight

    def name_kernel(_: object) -> None:
        if not explorer.waiting:  # moved by hand; the menu is empty then, so that any kernel can be chosen
            menu.value = next((name for name, preset in PRESETS.items() if preset == explorer.drawn), None)

    menu.observe(take_preset, "value")
    for slider in sliders.values():
        slider.observe(name_kernel, "value")
    return explorer


def augmentation_explorer(images: Mapping[str, Tensor]) -> Explorer:
    """Lesson 02: seven views of an image, shifted and mirrored."""

    def draw(name: str, padding: int, flip: bool, seed: int) -> Figure:
        pixels = round(padding * images[name].shape[-1] / 100)
        return plots.augmented_views(images[name], padding=pixels, flip=flip, seed=seed)

    controls = {
        "name": control(Dropdown, "image", "which image is augmented", list(images)),
        "padding": control(IntSlider, "padding %", "black border, in percent of the side", value=10, max=30),
        "flip": control(Checkbox, "flip", "mirror every other view", value=True, indent=False),
        "seed": control(IntSlider, "seed", "seed of the random numbers", value=0, max=20),
    }
    return Explorer(draw, controls, relayout=["name"])


def receptive_explorer(image: Tensor) -> Explorer:
    """Lesson 03: the window of one number, layer by layer."""
    pooling = [("never", 0), ("after every one", 1), ("after every two", 2), ("after every three", 3)]
    controls = {
        "kernel": control(SelectionSlider, "kernel", "side of every kernel, in pixels", [1, 3, 5, 7, 11], value=3),
        "layers": control(IntSlider, "layers", "number of convolutions", value=3, min=1, max=8),
        "first_stride": control(ToggleButtons, "first stride", "stride of the first convolution", [1, 2, 4]),
        "pool_every": control(Dropdown, "pooling", "where a 2×2 pooling stands", pooling),
    }
    return Explorer(partial(plots.receptive_growth, image), controls, relayout=["kernel", "first_stride", "pool_every"])


def channel_budget() -> Explorer:
    """Lesson 04: what an inception block costs, with 3a to begin with."""
    in_channels, *start = INCEPTIONS["3a"]
    names = ("1×1", "3×3 reduce", "3×3", "5×5 reduce", "5×5", "pool proj")
    controls = {
        name: control(IntSlider, name, f"channels of {name}", value=value, min=8, max=most, step=8)
        for name, value, most in zip(names, start, (384, 192, 384, 192, 128, 192), strict=True)
    }
    third = [("5×5, paper", 5), ("3×3, torchvision", 3)]
    controls["kernel"] = control(ToggleButtons, "third", "kernel of the third branch", third)

    def draw(kernel: int, **sizes: int) -> Figure:
        return plots.channel_budget((in_channels, *sizes.values()), kernel=kernel)

    return Explorer(draw, controls, relayout=["kernel"])


def gradient_flow(images: Tensor, labels: Tensor) -> Explorer:
    """Lesson 05: signal and gradient of an untrained net of 64 units a layer; twin: `plots.gradient_flow_grid`."""
    functions = [("sigmoid", "sigmoid"), ("tanh", "tanh"), ("ReLU", "relu")]
    starts = [(name.capitalize(), name) for name in INIT_STD]
    switch = [("without", False), ("with", True)]
    controls = {
        "activation": control(ToggleButtons, "activation", "the function behind every layer", functions),
        "init": control(ToggleButtons, "init", "spread of the initial weights", starts, value="xavier"),
        "batch_norm": control(ToggleButtons, "batch norm", "in front of every activation", switch),
        "skip": control(ToggleButtons, "skip", "add the input of every layer to its output", switch),
        "depth": control(IntSlider, "depth", "layers with weights", value=30, min=5, max=50, step=5),
    }
    return Explorer(partial(plots.gradient_flow, images[:64], labels[:64], width=64), controls, relayout=())


def depth_and_skip(study: Recorded) -> Explorer:
    """Lesson 06: the recorded degradation study, one net at a time."""
    controls = {
        "depth": control(SelectionSlider, "depth", "layers with weights", DEPTHS, value=56),
        "skip": control(ToggleButtons, "block", "with or without the addition", KINDS),
    }
    return Explorer(partial(plots.depth_and_skip, study), controls, relayout=())


def residual_explorer() -> Explorer:
    """Lesson 07: an untrained stack of blocks, with and without addition."""
    controls = {
        "depth": control(SelectionSlider, "blocks", "number of blocks", [5, 10, 20, 50], value=20),
        "residual": control(ToggleButtons, "addition", "add x in every block", KINDS, value=True),
        "batch_norm": control(Checkbox, "batch norm on F", "normalise F(x)", value=False, indent=False),
        "gain": control(FloatSlider, "gain of F", "factor of F(x); 0 switches it off", value=1.0, max=2, step=0.25),
    }
    return Explorer(plots.signal_and_gradient, controls, relayout=())


def stage_explorer() -> Explorer:
    """Lesson 08: where a ResNet's parameters and multiply-adds sit."""
    sides = [32, 64, 96, 128, 224, 320, 448]
    controls = {
        "depth": control(SelectionSlider, "depth", "layers with weights", [18, 34, 50, 101, 152], value=34),
        "width": control(SelectionSlider, "width", "filters of the stem", [8, 16, 32, 64, 128], value=64),
        "side": control(SelectionSlider, "side", "side of the image, in pixels", sides, value=224),
    }
    return Explorer(plots.stage_table, controls, relayout=())


def model_picker() -> Explorer:
    """Lesson 09: the best net within a budget, on ImageNet."""
    controls = {
        "gmacs": control(FloatSlider, "GMACs ≤", "most billion multiply-adds", value=5.0, min=0.5, max=20, step=0.5),
        "million": control(FloatSlider, "million ≤", "most million parameters", value=60.0, min=5, max=150, step=5),
    }
    return Explorer(partial(plots.model_picker, plots.published_nets()), controls, relayout=())


def transfer_explorer(study: Recorded) -> Explorer:
    """Lesson 10: the recorded study of transfer, one method at a time; twin: `plots.transfer_grid`."""
    controls = {
        "labels": control(SelectionSlider, "labels", "labelled images a class", LABELS, value=10),
        "method": control(Dropdown, "method", "how the net is trained", list(METHODS), value="fine-tuned"),
    }
    return Explorer(partial(plots.transfer_view, study), controls, relayout=())


def attribution_explorer(network: Pretrained, photos: Mapping[str, Path]) -> Explorer:
    """Lesson 11: where a network finds its evidence in a photo, also your own."""
    answers = [("first", 1), ("second", 2), ("third", 3)][: len(network.categories)]
    controls = {
        "method": control(Dropdown, "method", "how the evidence is looked for", list(ATTRIBUTIONS)),
        "place": control(ToggleButtons, "answer", "which answer is asked about", answers),
    }
    return photo_explorer(lambda _, photo, **state: plots.photo_attribution(network, photo, **state), photos, controls)


def naming_explorer(network: Pretrained, photos: Mapping[str, Path]) -> Explorer:
    """Lesson 12: a network's answer to a photo, how sure it is, and where it looked; twin: `plots.named_photos`."""
    most = min(5, len(network.categories))
    controls = {
        "top": control(IntSlider, "labels", "how many answers are shown", value=min(3, most), min=1, max=most),
        "threshold": control(IntSlider, "threshold %", "a lower best answer is not sure", value=50, max=100, step=5),
    }
    look = partial(look_at, network, top=most)  # once for each photo; the sliders only draw
    return photo_explorer(lambda name, seen, **state: named_looks({name: seen}, **state), photos, controls, look)


def photo_explorer(
    draw: Callable[..., Figure],
    photos: Mapping[str, Path],
    controls: Mapping[str, ValueWidget],
    look: Callable[[Image.Image], Any] = lambda photo: photo,
) -> Explorer:
    """An explorer of a list of photos, which uploaded ones join; a file that cannot be read is answered by one line.

    The function that draws is called with a photo's name, with what `look` makes of the photo when it is first chosen,
    and with the values of the controls.
    """
    seen = {name: cache(partial(look, read_photo(path))) for name, path in photos.items()}
    upload = ipywidgets.FileUpload(accept="image/*", description="your photo")
    which = control(Dropdown, "photo", "which photo is looked at", list(seen))
    shown = {"which": which, **controls}
    relayout = [name for name in shown if name in ("which", "top")]  # another shape, more labels
    explorer = Explorer(
        lambda which, **state: draw(which, seen[which](), **state), shown, above=[upload], relayout=relayout
    )

    def take(_: object) -> None:
        if not (files := upload.value):
            return
        explorer.said.value = "working…"
        for trait in {"value", "data", "metadata"} & {*upload.traits()}:  # or the saved notebook would hold the photo
            upload.set_trait(trait, type(getattr(upload, trait))())
        try:
            name, picture = uploaded(files)
        except UnreadablePicture as error:
            explorer.said.value = escape(str(error))
            return
        seen[name] = cache(partial(look, picture))
        with explorer.one_drawing():
            which.options = list(seen)
            which.value = name

    upload.observe(take, "value")
    return explorer


def uploaded(files: Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]]) -> tuple[str, Image.Image]:
    """Name and picture of the last file that a `FileUpload` brought: by name in ipywidgets 7, in a row in 8."""
    rows = [{"name": name, **file} for name, file in files.items()] if isinstance(files, Mapping) else files
    name = Path(str(rows[-1]["name"])).name or "upload"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "upload"
        path.write_bytes(bytes(rows[-1]["content"]))
        try:
            return name, read_photo(path)
        except UnreadablePicture as error:
            raise UnreadablePicture(name, error.reason) from error
