"""Real photos without a network: all there, all readable."""

from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_edu import data
from resnet_edu.errors import DatasetUnavailable, UnknownName

module = import_module("resnet_edu.data.photos")  # `data.photos` itself is the function


@pytest.mark.parametrize("name", module.PHOTOS)
def test_a_photo_opens_and_shows_something(name: str) -> None:
    image = Image.open(data.photo(name)).convert("RGB")
    assert min(image.size) >= 200
    assert np.asarray(image).std() > 20


def test_an_unknown_photo_is_refused_with_its_neighbour() -> None:
    with pytest.raises(UnknownName, match=r"photo 'rockets'\. Did you mean 'rocket'\? Known: astronaut"):
        data.photo("rockets")


def test_a_package_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "slow_to_import"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert module.package_file("slow_to_import", "__init__.py") == package / "__init__.py"


def test_a_missing_package_costs_its_own_photos_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_scikit_image(name: str) -> ModuleSpec | None:
        return None if name == "skimage" else find_spec(name)

    monkeypatch.setattr(module, "find_spec", without_scikit_image)
    assert {*data.photos()} == {"temple", "flower", "grace_hopper"}
    with pytest.raises(DatasetUnavailable, match=r"skimage.*pip install .*scikit-image"):
        data.photo("cat")


def test_a_photo_that_a_package_no_longer_ships_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.PHOTOS, "cat", ("skimage", "data/no_such_cat.png"))
    assert "cat" not in data.photos()
    with pytest.raises(DatasetUnavailable, match=r"no_such_cat\.png is missing: pip install .*scikit-image"):
        data.photo("cat")
