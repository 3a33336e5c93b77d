"""Real photos that come with other packages: something to look at without a network."""

from contextlib import suppress
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

#: Packages that are installed under another name than they are imported by.
DISTRIBUTIONS = {"skimage": "scikit-image", "sklearn": "scikit-learn"}


def install(package: str) -> str:
    """The command that installs a package anew, under the name the registry knows it by."""
    return f"pip install --force-reinstall {DISTRIBUTIONS.get(package, package)}"


def package_file(package: str, place: str) -> Path:
    """A file that a package ships, found without importing the package (scikit-learn alone takes a second).

    Raises:
        DatasetUnavailable: the package is not installed, or this version of it ships no such file.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DatasetUnavailable(f"The package {package}, which ships the data, is missing: {install(package)}")
    path = Path(spec.submodule_search_locations[0]) / place
    if not path.is_file():
        raise DatasetUnavailable(f"{path} is missing: {install(package)}")
    return path


def photo(name: str) -> Path:
    """The file of one photo.

    Raises:
        UnknownName: no photo of this name.
        DatasetUnavailable: the package that ships it is missing.
    """
    if name not in PHOTOS:
        raise UnknownName("photo", name, PHOTOS)
    return package_file(*PHOTOS[name])


def photos() -> dict[str, Path]:
    """The photos whose package ships them on this machine, by name."""
    found = {}
    for name in PHOTOS:
        with suppress(DatasetUnavailable):
            found[name] = photo(name)
    return found
