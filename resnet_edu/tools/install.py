"""Install the course from the folder that this file is in, with no network.

    python install.py [FOLDER]

makes FOLDER (resnet-course, if none is named) with an environment of its own. Needs nothing but Python. `resnet-edu
bundle` puts this file into every bundle.
"""

import importlib.util
import json
import os
import platform
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(arguments: list[str]) -> None:
    """Check that the bundle fits, install it, put data and weights into this user's caches."""
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return
    about = json.loads((HERE / "bundle.json").read_text(encoding="utf-8"))
    if problem := misfit(about):
        sys.exit(f"install.py: {problem}")
    target = Path(arguments[0] if arguments else "resnet-course").absolute()
    python = Path(sys.executable)
    if about["torch"]:
        print(f"Making {target / '.venv'}", flush=True)
        python = target / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        venv.create(target / ".venv", with_pip=True, clear=not python.is_file())
    print(f"Installing {len(about['wheels'])} packages", flush=True)
    # A user's own settings for pip may name an index: this must not ask one.
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    quiet["PIP_CONFIG_FILE"] = os.devnull
    wheels = ["--no-index", "--find-links", str(HERE / "wheels"), "--disable-pip-version-check"]
    commands = [["pip", "install", "--quiet", *wheels, "resnet-edu[lab]"]]
    if about["data"]:
        commands.append(["resnet_edu", "fetch", *about["data"], "--mirror", str(HERE / "data")])
    for command in commands:
        if code := subprocess.run([str(python), "-m", *command], env=quiet).returncode:
            sys.exit(code)
    print(f'Done. Begin with: "{python}" -m resnet_edu lab "{target / "my-course"}"')


def misfit(about: dict) -> str:
    """Why these packages cannot be installed here, or nothing."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    here, there = f"{platform.system()} {platform.machine()}", f"{about['system']} {about['machine']}"
    missing = [name for name in about["wheels"] if not (HERE / "wheels" / name).is_file()]
    if python != about["python"]:
        wanted = about["python"]
        return f"these packages are for Python {wanted}, this is {python}. Run: python{wanted} install.py"
    if here != there:
        return f"these packages are for {there}, this is {here}. Pack a bundle on a machine like this."
    if missing:
        return f"the folder is not complete, {missing[0]} is missing. Copy it again."
    if not about["torch"] and not (importlib.util.find_spec("torch") and importlib.util.find_spec("torchvision")):
        return "this bundle has no torch. Install torch and torchvision for this Python, or pack a bundle with them."
    return ""


if __name__ == "__main__":
    main(sys.argv[1:])
