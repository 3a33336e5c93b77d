"""All that `resnet-edu fetch` can get, by name: data sets, ImageNet weights, the script that shows slides.

Slides are shown by reveal.js (https://revealjs.com, MIT licence). It comes once from its npm package, is checked, and
kept out of git: in a checkout in `assets/reveal.js/`, from where every wheel that is built takes it along.
"""

import shutil
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from .. import files
from ..data import sets
from ..data.download import File, fetch_file
from ..errors import DatasetUnavailable, check_known
from ..models.pretrained import DETECTOR, fetch_imagenet, imagenet_download, imagenet_file, imagenet_names

REVEAL, REVEAL_VERSION = "reveal.js", "6.0.2"
REVEAL_PACKAGE = File(
    f"{REVEAL}-{REVEAL_VERSION}.tgz",
    (f"https://registry.npmjs.org/{REVEAL}/-/{REVEAL}-{REVEAL_VERSION}.tgz",),
    "sha256:2f0c20bfb02447a198a1ebe8a8c097a5437d035caa38f2820bf4ba887a3eac91",
)
REVEAL_FILES = {"dist/reveal.js": "reveal.js", "dist/reveal.css": "reveal.css", "LICENSE": "LICENSE"}


def require_known(names: Iterable[str], *, slides: bool = True) -> None:
    """Refuse a name that nothing goes by, before anything is fetched."""
    data = [name for name, known in sets.SETS.items() if known.files]
    known = [*data, *imagenet_names(), DETECTOR, *([REVEAL] if slides else [])]
    check_known("download", known, *names)


def fetch(name: str, to: Path | None = None, *, mirror: str | None = None) -> tuple[Path, bool]:
    """Get one of them, unless it is there already."""
    if name == REVEAL:
        return fetch_reveal(to, mirror=mirror)
    if name in sets.SETS:
        folder = to or files.data_folder()
        return folder, sets.fetch(name, folder, mirror=mirror)
    return imagenet_file(name, to), fetch_imagenet(name, to, mirror=mirror)


def fetch_packed(name: str, folder: Path) -> list[Path]:
    """Put the files of a data set or of weights, as their home server has them, into a folder: a mirror for `fetch`."""
    packed = sets.SETS[name].files if name in sets.SETS else (imagenet_download(name),)
    if name not in sets.SETS and imagenet_file(name).is_file() and not (folder / packed[0].name).exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(imagenet_file(name), folder / packed[0].name)  # it is checked below
    for file in packed:
        fetch_file(file, folder)
    return [folder / file.name for file in packed]


def fetch_reveal(to: Path | None = None, *, mirror: str | None = None) -> tuple[Path, bool]:
    folder = (to or (files.assets() if files.checkout() else files.data_folder())) / REVEAL
    if is_complete(folder):
        return folder, False
    with tempfile.TemporaryDirectory() as scratch:
        fetch_file(REVEAL_PACKAGE, Path(scratch), mirror=mirror)
        with tarfile.open(Path(scratch) / REVEAL_PACKAGE.name) as tar:
            for member, name in REVEAL_FILES.items():
                file = tar.extractfile(f"package/{member}")
                assert file is not None, "the digest says so"
                files.write_atomically(folder / name, file.read())
    files.write_atomically(folder / "VERSION", REVEAL_VERSION.encode())
    return folder, True


def find_reveal() -> Path:
    """The folder that holds reveal.js: the course's own assets, or the cache."""
    for folder in (files.assets() / REVEAL, files.data_folder() / REVEAL):
        if is_complete(folder):
            return folder
    raise DatasetUnavailable(f"Slides need {REVEAL}, which is not here. While online, run: resnet-edu fetch {REVEAL}")


def is_complete(folder: Path) -> bool:
    """Whether all files of reveal.js are there, in the version that is wanted."""
    stamp, names = folder / "VERSION", REVEAL_FILES.values()
    return stamp.is_file() and stamp.read_text() == REVEAL_VERSION and all((folder / name).is_file() for name in names)
