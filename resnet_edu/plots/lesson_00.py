"""Photos beside what a network says of them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ..data.pictures import read_photo
from ..predict import Prediction
from .style import BLUE, SKY, course_style, new_figure


def photo_predictions(predictions: Sequence[Prediction], *, title: str = "What the network says") -> Figure:
    """One row a photo: the picture on the left, its best labels as bars with percentages on the right."""
    with course_style():
        rows = len(predictions)
        figure = new_figure(rows, 2, width=7.0, height=2.3 * rows + 0.4, width_ratios=(1, 2))
        for row, prediction in enumerate(predictions):
            picture, bars = figure.axes[2 * row], figure.axes[2 * row + 1]
            photo = read_photo(prediction.file)
            photo.thumbnail((400, 400))
            picture.imshow(np.asarray(photo))
            picture.set_axis_off()
            labels = [label for label, _ in prediction.top]
            percents = [percent for _, percent in prediction.top]
            places = range(len(labels))
            bars.barh(places, percents, color=[BLUE] + [SKY] * (len(labels) - 1))
            for place, percent in zip(places, percents, strict=True):
                bars.text(percent + 1.5, place, f"{percent:.1f} %", va="center", fontsize=10)
            bars.set_yticks(places, labels)
            bars.invert_yaxis()
            bars.set_xlim(0, 118)
            bars.set_xticks([0, 50, 100], ["0 %", "50 %", "100 %"])
            bars.grid(False)
            bars.set_title(prediction.file.name, fontsize=11)
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure
