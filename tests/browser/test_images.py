"""The pictures of the course in a browser that README shows: all there, small, and in their true size."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .images import CHOSEN, LARGEST, SHOWN, shrink
from .jupyter import WINDOW


@pytest.mark.parametrize("name", CHOSEN)
def test_a_picture_is_small_and_shows_the_whole_window(name: str) -> None:
    path = SHOWN / f"{name}.png"
    assert path.stat().st_size <= LARGEST
    with Image.open(path) as picture:
        assert picture.size == WINDOW


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(256, size=(800, 1200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    with pytest.raises(ValueError, match=r"bytes, 150000 are allowed. Take a smaller window"):
        shrink(tmp_path / "noise.png", tmp_path / "out.png")
