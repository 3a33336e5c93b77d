from importlib import metadata

import pytest

from resnet_edu import files
from resnet_edu.tools.requirements import requirements, unmet


def test_the_requirements_are_those_of_the_package() -> None:
    lines = requirements()
    assert "captum>=0.9,<0.10" in lines
    assert not [line for line in lines if line.startswith("pytest")]


def test_an_installed_package_knows_its_requirements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "checkout", lambda: None)
    monkeypatch.setattr(metadata, "requires", lambda name: ["torch>=2.6", "pytest>=8.2; extra == 'test'"])
    assert requirements() == ["torch>=2.6"]


def test_missing_and_outdated_packages_are_named() -> None:
    assert unmet(["rich>=13.7", "no-such-package>=1", "rich>=999", "rich"]) == [
        "no-such-package>=1 (have none)",
        f"rich>=999 (have {metadata.version('rich')})",
    ]


def test_another_systems_packages_are_not_missed() -> None:
    assert unmet(["no-such-package; sys_platform == 'plan9'"]) == []
