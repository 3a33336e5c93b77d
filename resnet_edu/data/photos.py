"""Real photos that come with other packages: something to look at without a network."""

from importlib.util import find_spec
from pathlib import Path

from ..errors import DatasetUnavailable, UnknownName

#: Photo by name: the package that ships it and where in the package it lies.
PHOTOS = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "camera": ("skimage", "data/camera.png"),
    "cat": ("skimage", "data/chelsea.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "temple": ("sklearn", "datasets/images/china.jpg"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "grace_hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
}


def package_folder(package: str) -> Path:
    """Where a package is installed, found without importing it (scikit-learn alone takes a second).

    Raises:
        DatasetUnavailable: the package is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DatasetUnavailable(f"The package {package!r}, which ships the data, is missing: pip install {package}.")
    return Path(spec.submodule_search_locations[0])


def photo(name: str) -> Path:
    """The file of one photo.

    Raises:
        UnknownName: no photo of this name.
    """
    if name not in PHOTOS:
        raise UnknownName("photo", name, PHOTOS)
    package, place = PHOTOS[name]
    return package_folder(package) / place


def photos() -> dict[str, Path]:
    """The photos whose package ships them on this machine, by name."""
    return {name: photo(name) for name in PHOTOS if photo(name).is_file()}
