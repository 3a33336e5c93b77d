"""Real photos without a network: all there, all readable."""

from importlib import import_module
from importlib.metadata import Distribution, distribution

import numpy as np
import pytest
from PIL import Image

from resnet_edu import data
from resnet_edu.errors import DatasetUnavailable, UnknownName

module = import_module("resnet_edu.data.sets")  # `data.photos` itself is the function


@pytest.mark.parametrize("name", module.PHOTOS)
def test_a_photo_opens_and_shows_something(name: str) -> None:
    image = Image.open(data.photo(name)).convert("RGB")
    assert min(image.size) >= 200
    assert np.asarray(image).std() > 20


def test_an_unknown_photo_is_refused_with_its_neighbour() -> None:
    with pytest.raises(UnknownName, match=r"photo 'rockets'\. Did you mean 'rocket'\? Known: astronaut"):
        data.photo("rockets")


def test_a_missing_package_costs_its_own_photos_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_scikit_image(name: str) -> Distribution:
        return distribution(name if name != "scikit-image" else "no-such-package")

    monkeypatch.setattr(module, "distribution", without_scikit_image)
    assert {*data.photos()} == {"temple", "flower", "grace_hopper"}
    with pytest.raises(DatasetUnavailable, match=r"chelsea.*pip install .*scikit-image"):
        data.photo("cat")


def test_a_photo_that_a_package_no_longer_ships_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.PHOTOS, "cat", ("scikit-image", "skimage/data/no_such_cat.png"))
    assert "cat" not in data.photos()
    with pytest.raises(
        DatasetUnavailable, match=r"no_such_cat\.png of scikit-image is missing: pip install .*scikit-image"
    ):
        data.photo("cat")
