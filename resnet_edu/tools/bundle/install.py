"""Install the course from the folder that this file lies in, with no network.

    python install.py [FOLDER]

makes FOLDER (resnet-course, if none is named) with an environment of its own. Needs nothing but Python.
"""

import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import venv
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(arguments: list[str]) -> None:
    """Check that the bundle fits, install it, put data and weights into this user's caches."""
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return
    about = json.loads((HERE / "bundle.json").read_text(encoding="utf-8"))
    check(about)
    target = Path(arguments[0] if arguments else "resnet-course").absolute()
    python = make_environment(target / ".venv") if about["torch"] else Path(sys.executable)
    print(f"Installing {len(about['wheels'])} packages", flush=True)
    # A user's own settings for pip may name an index: this must not ask one.
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    quiet["PIP_CONFIG_FILE"] = os.devnull
    wheels = ["--no-index", "--find-links", str(HERE / "wheels"), "--disable-pip-version-check"]
    run([str(python), "-m", "pip", "install", "--quiet", *wheels, "resnet-edu"], quiet)
    if about["data"]:
        run([str(python), "-m", "resnet_edu", "fetch", *about["data"], "--mirror", str(HERE / "data")], quiet)
    print(f'Done. Begin with: "{python}" -m resnet_edu lab "{target / "my-course"}"')


def check(about: dict) -> None:
    """End with one line if the wheels are for another Python or machine."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if python != about["python"]:
        wanted = about["python"]
        fail(f"these packages are for Python {wanted}, this is {python}. Run: python{wanted} install.py")
    here, there = f"{platform.system()} {platform.machine()}", f"{about['system']} {about['machine']}"
    if here != there:
        fail(f"these packages are for {there}, this is {here}. Pack a bundle on a machine like this.")
    if missing := [name for name in about["wheels"] if not (HERE / "wheels" / name).is_file()]:
        fail(f"the folder is not complete, {missing[0]} is missing. Copy it again.")
    if not about["torch"] and not (importlib.util.find_spec("torch") and importlib.util.find_spec("torchvision")):
        fail("this bundle has no torch. Install torch and torchvision for this Python, or pack a bundle with them.")


def make_environment(folder: Path) -> Path:
    """A virtual environment, unless it is there; its Python."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.is_file():
        print(f"Making {folder}", flush=True)
        new = not folder.exists()
        try:
            venv.create(folder, with_pip=True)
        except BaseException as error:  # an interrupt too: half an environment would pass for a whole one next time
            if new:
                shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # where a folder was before, the rest may be somebody's work
                python.unlink()
            if isinstance(error, (OSError, subprocess.CalledProcessError)):
                fail(f"{folder} cannot be made ({error}). On Debian and Ubuntu first: apt install python3-venv")
            raise
    return python


def run(command: list[str], environment: dict[str, str]) -> None:
    """Run a step, and end with its exit code if it fails; what it says is on the screen."""
    code = subprocess.run(command, env=environment).returncode
    if code:
        sys.exit(code)


def fail(message: str) -> None:
    """One line on stderr, exit code 2."""
    print(f"install.py: {message}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
