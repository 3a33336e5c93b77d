"""What the package depends on, and what of it is missing here."""

import tomllib
from importlib import metadata

from packaging.requirements import Requirement

from .. import files


def requirements() -> list[str]:
    """What the package depends on, as pip writes it; from the checkout's pyproject.toml or the installed metadata."""
    root = files.checkout()
    if root is None:
        return [line for line in metadata.requires("resnet-edu") or [] if "extra ==" not in line]
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]


def unmet(lines: list[str]) -> list[str]:
    """Those requirements that are not installed, or in another version, each with what there is."""
    missing = []
    for requirement in map(Requirement, lines):
        if requirement.marker and not requirement.marker.evaluate():
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            version = "none"
        if version == "none" or not requirement.specifier.contains(version, prereleases=True):
            missing.append(f"{requirement.name}{requirement.specifier} (have {version})")
    return missing
