"""Install the course from the folder that this file is in, with no network.

    python install.py [FOLDER]

makes FOLDER (resnet-course, if none is named) with an environment of its own. Needs nothing but Python. `resnet-edu
bundle` puts this file into every bundle.
"""

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
    about = json.loads((HERE / "bundle.json").read_text(encoding="utf-8"))
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    here, there = f"{platform.system()} {platform.machine()}", f"{about['system']} {about['machine']}"
    missing = [name for name in about["wheels"] if not (HERE / "wheels" / name).is_file()]
    if python != about["python"]:
        wanted = about["python"]
        sys.exit(f"These packages are for Python {wanted}, this is {python}. Run: python{wanted} install.py")
    if here != there:
        sys.exit(f"These packages are for {there}, this is {here}. Pack a bundle on a machine like this.")
    if missing:
        sys.exit(f"The folder is not complete, {missing[0]} is missing. Copy it again.")
    target = Path(arguments[0] if arguments else "resnet-course").absolute()
    executable = target / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    print(f"Making {target / '.venv'}", flush=True)
    venv.create(target / ".venv", with_pip=True)
    print(f"Installing {len(about['wheels'])} packages", flush=True)
    offline = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}  # may name an index
    offline["PIP_CONFIG_FILE"] = os.devnull
    wheels = ["--no-index", "--find-links", str(HERE / "wheels"), "--disable-pip-version-check"]
    commands = [["pip", "install", "--quiet", *wheels, "resnet-edu[lab]"]]
    if about["data"]:
        commands.append(["resnet_edu", "fetch", *about["data"], "--mirror", str(HERE / "data")])
    for command in commands:
        if code := subprocess.run([str(executable), "-m", *command], env=offline).returncode:
            sys.exit(code)
    print(f'Done. Begin with: "{executable}" -m resnet_edu lab "{target / "my-course"}"')


if __name__ == "__main__":
    main(sys.argv[1:])
