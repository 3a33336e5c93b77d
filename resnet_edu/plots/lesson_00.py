"""Lesson 00: photos beside what a network says of them."""

from collections.abc import Sequence

import numpy as np

from ..data.pictures import read_photo
from ..prediction import Prediction
from .images import draw_answers
from .style import BLUE, SKY, Figure, course_style, new_figure


@course_style()
def photo_predictions(predictions: Sequence[Prediction], *, title: str) -> Figure:
    """One row a photo: the picture on the left, its best labels as bars with percentages on the right."""
    rows = len(predictions)
    figure, panels = new_figure(rows, 2, height=2.3 * rows + 0.4, width_ratios=(1, 2), title=title)
    for picture, bars, prediction in zip(panels[::2], panels[1::2], predictions, strict=True):
        photo = read_photo(prediction.file)
        photo.thumbnail((400, 400))
        picture.imshow(np.asarray(photo))
        picture.set_axis_off()
        labels, percents = zip(*prediction.top, strict=True)
        draw_answers(bars, labels, percents, [BLUE] + [SKY] * (len(labels) - 1), digits=1)
        bars.set_title(prediction.file.name, fontsize=11)
    return figure
