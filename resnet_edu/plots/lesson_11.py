"""Lesson 11: maps of the evidence beside the photos they belong to."""

from collections.abc import Callable, Mapping, Sequence

from PIL import Image
from torch import Tensor

from .. import probe
from ..models.pretrained import Pretrained
from .images import answers, draw_answers, draw_map, stretched
from .style import BLUE, SKY, Figure, bare, course_style, new_figure

#: What the explorer can draw, by name: a function of model, images and target that returns `(N, H, W)`.
ATTRIBUTIONS: dict[str, Callable[..., Tensor]] = {
    "Grad-CAM, layer 4": lambda model, images, target: probe.grad_cam(model, images, target, layer="layer4"),
    "Grad-CAM, layer 2": lambda model, images, target: probe.grad_cam(model, images, target, layer="layer2"),
    "Integrated Gradients": lambda model, images, target: probe.integrated_gradients(
        model, images, target, steps=16
    ).attribution.sum(dim=1),
    "Occlusion": lambda model, images, target: probe.occlusion(
        model, images, target, window=images.shape[2] // 4, stride=images.shape[2] // 8
    ),
}


@course_style()
def maps_over_photos(
    images: Tensor, maps: Mapping[str, Tensor], *, titles: Sequence[str] | None = None, title: str
) -> Figure:
    """Normalised photos `(N, 3, H, W)` above their titles, beside them one column for each kind of map `(N, H, W)`."""
    rows, columns = len(images), len(maps) + 1
    height = 1.62 * rows + 0.75 + 0.22 * bool(titles) * rows
    figure, panels = new_figure(rows, columns, width=1.75 * columns, height=height, title=title)
    for row, image in enumerate(images):
        photo, *others = panels[row * columns : (row + 1) * columns]
        photo.imshow(stretched(image))
        bare(photo)
        if titles:
            photo.set_xlabel(titles[row], fontsize=10)
        for axes, found in zip(others, maps.values(), strict=True):
            draw_map(axes, image, found[row], signed=bool(found.min() < 0))
    for axes, name in zip(panels, ["photo", *maps], strict=False):
        axes.set_title(name, fontsize=10.5, weight="normal", loc="center")
    return figure


@course_style()
def photo_attribution(network: Pretrained, picture: Image.Image, *, method: str, place: int = 1) -> Figure:
    """A photo in RGB, its three best answers, and where one of `ATTRIBUTIONS` finds evidence for that in this place."""
    image, labels, percents, numbers = answers(network, picture, 3)
    found = ATTRIBUTIONS[method](network.model, image, numbers[place - 1])
    figure, (left, middle, right) = new_figure(1, 3, width=9.0, height=3.2, width_ratios=[1, 1.1, 1])
    left.imshow(stretched(image[0]))
    left.set_title("what the network sees", fontsize=11)
    bare(left)
    draw_answers(middle, labels, percents, [BLUE if number == place else SKY for number in (1, 2, 3)])
    middle.set_title("what it says", fontsize=11)
    draw_map(right, image[0], found[0], signed=not method.startswith("Grad-CAM"))
    right.set_title(f"{method}:\n{labels[place - 1]}", fontsize=11, parse_math=False)
    return figure
