"""Lesson 01: nine sliders are a 3×3 kernel; the photo beside them shows what it does."""

import ipywidgets
import torch
from IPython.display import clear_output, display
from torch import Tensor

from .. import plots


def kernel_explorer(image: Tensor) -> ipywidgets.VBox:
    """Nine sliders, a menu that sets them, and the photo they make; the static twin is `plots.kernel_gallery`.

    Args:
        image: `(H, W)`, 0 to 255.
    """
    start = "vertical edges"
    preset = ipywidgets.Dropdown(options=list(plots.KERNELS), value=start, description="start from")
    narrow = ipywidgets.Layout(width="200px")
    sliders = [
        ipywidgets.IntSlider(value, -8, 8, layout=narrow, continuous_update=False) for value in plots.KERNELS[start]
    ]
    output = ipywidgets.Output()

    def redraw(_: object = None) -> None:
        weights = torch.tensor([slider.value for slider in sliders]).view(3, 3)
        with output:
            clear_output(wait=True)
            display(plots.kernel_effect(image, weights))

    def take_preset(_: object) -> None:
        for slider, value in zip(sliders, plots.KERNELS[str(preset.value)], strict=True):
            slider.unobserve(redraw, "value")  # nine moves, one drawing
            slider.value = value
            slider.observe(redraw, "value")
        redraw()

    for slider in sliders:
        slider.observe(redraw, "value")
    preset.observe(take_preset, "value")
    redraw()
    rows = [ipywidgets.HBox(sliders[row : row + 3]) for row in (0, 3, 6)]
    return ipywidgets.VBox([preset, *rows, output])
