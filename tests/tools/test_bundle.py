"""An offline bundle: real pip on small stand-in wheels, with an index that is cut off."""

import base64
import hashlib
import json
import os
import platform
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from served import serving
from tiny_sets import publish

from resnet_edu import files
from resnet_edu.tools import bundle, cli, fetch

CUT_OFF = "http://127.0.0.1:9/simple"
ECHO = "import sys\nprint('resnet_edu', *sys.argv[1:])\n"
OWN_NEEDS = ["torch>=2.6", "torchvision", "captum", "jupyterlab ; extra == 'lab'"]


def wheel(folder: Path, name: str, version: str = "1.0", needs: Sequence[str] = (), code: str = "") -> Path:
    """A wheel of one module that prints what it is called with."""
    folder.mkdir(parents=True, exist_ok=True)
    module, info = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
    about = [
        f"Name: {name}",
        f"Version: {version}",
        "Provides-Extra: lab",
        *(f"Requires-Dist: {need}" for need in needs),
    ]
    contents = {
        f"{module}/__init__.py": "",
        f"{module}/__main__.py": code,
        f"{info}/METADATA": "\n".join(["Metadata-Version: 2.1", *about, ""]),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},sha256={digest(text)},{len(text)}" for path, text in contents.items()]
    contents[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name_inside, text in contents.items():
            archive.writestr(name_inside, text)
    return path


def digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The course's wheel, a stand-in; all that pip can find is a folder of other stand-ins."""
    index = tmp_path / "index"
    wheel(index, "torch", "2.14.1", ["sympy"])
    wheel(index, "torchvision", "0.29.1", ["torch"])
    wheel(index, "captum", "0.9.0", ["torch", "numpy"])
    for name, version in (("sympy", "1.0"), ("jupyterlab", "4.2"), ("numpy", "2.0"), ("numpy", "2.1")):
        wheel(index, name, version)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setattr(files, "checkout", lambda: None)
    monkeypatch.chdir(tmp_path)
    return wheel(tmp_path / "dist", "resnet-edu", "0.1.0", OWN_NEEDS, ECHO)


def install(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the installer of a bundle as a user would, with an index that cannot be reached."""
    offline = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    command = [sys.executable, str(folder / "install.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**offline, "PIP_INDEX_URL": CUT_OFF, **env})


@pytest.mark.slow
def test_a_bundle_installs_where_no_index_can_be_reached_and_is_brought_up_to_date(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["bundle", "stick", "--wheel", str(own)]) == 0
    said = capsys.readouterr().out
    assert said == "The bundle is in stick: 7 wheels, 0.00 GB. There: see INSTALL.txt\n"
    names = ["captum-0.9.0", "jupyterlab-4.2", "numpy-2.1", "resnet_edu-0.1.0", "sympy-1.0", "torch-2.14.1"]
    wheels = [f"{name}-py3-none-any.whl" for name in (*names, "torchvision-0.29.1")]
    assert sorted(path.name for path in Path("stick/wheels").iterdir()) == wheels
    text = Path("stick/INSTALL.txt").read_text()
    assert "torch: 2.14.1" in text
    assert f"python{sys.version_info.major}.{sys.version_info.minor} install.py" in text
    wheel(tmp_path / "index", "numpy", "2.2")
    assert "numpy-2.2-py3-none-any.whl" in bundle.make_bundle(Path("stick"), wheel=own)["wheels"]
    assert not Path("stick/wheels/numpy-2.1-py3-none-any.whl").exists()
    os.rename("stick", "elsewhere")  # a bundle is carried about
    done = install(Path("elsewhere"), "my course")
    assert (done.returncode, done.stderr) == (0, "")
    python = tmp_path / "my course" / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    last = f'Done. Begin with: "{python}" -m resnet_edu lab "{tmp_path / "my course" / "my-course"}"'
    assert done.stdout.splitlines()[-1] == last
    started = subprocess.run([str(python), "-m", "resnet_edu", "lab"], capture_output=True, text=True, check=True)
    assert started.stdout == "resnet_edu lab\n"


@pytest.mark.slow
def test_data_is_packed_as_a_mirror_and_the_installer_hands_it_on(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = "--wheel", str(own), "--with", "fashion_mnist"
    with serving() as served:
        publish(served, monkeypatch)
        assert cli.run(["bundle", "stick", *packed]) == 0
    assert cli.run(["bundle", "other", *packed]) == 2
    assert "cannot be reached (Connection refused)" in capsys.readouterr().err
    assert not Path("other/wheels").exists()
    monkeypatch.setenv("RESNET_EDU_DATA", str(tmp_path / "cache"))
    place, new = fetch.fetch("fashion_mnist", mirror="stick/data")  # what the course's own `fetch` does with it
    assert (place, new) == (tmp_path / "cache", True)
    done = install(Path("stick"))
    assert done.returncode == 0
    assert f"resnet_edu fetch fashion_mnist --mirror {tmp_path / 'stick' / 'data'}\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["stick"], "An installed resnet-edu cannot pack itself. Name the wheel that it was installed from: "),
        (["stick", "--wheel", "no.whl"], "no.whl is no wheel of resnet-edu, a file such as "),
        (["stick", "--with", "cifar"], "Unknown download 'cifar'. Did you mean 'cifar10'?"),
        (["stick", "--torch", "gpu"], "Invalid value for '--torch'"),
        (["file"], "file is a file. Name a folder; it is made if missing."),
        (["photos"], "Nothing was written: photos holds other files. Name a new folder."),
    ],
)
@pytest.mark.usefixtures("own")
def test_bad_input_is_told_before_anything_is_made(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    Path("file").write_text("")
    Path("photos").mkdir()
    Path("photos/cat.jpg").write_text("cat")
    assert cli.run(["bundle", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"resnet-edu: {told}")
    assert not Path("stick").exists()
    assert [path.name for path in Path("photos").iterdir()] == ["cat.jpg"]


def test_what_pip_cannot_find_is_told(own: Path, tmp_path: Path) -> None:
    (tmp_path / "index" / "sympy-1.0-py3-none-any.whl").unlink()
    with pytest.raises(ValueError, match=r"pip wheel failed: No matching distribution found for sympy\. Is this"):
        bundle.make_bundle(Path("stick"), wheel=own)
    assert not Path("stick").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"python": "2.7"}, "These packages are for Python 2.7, this is"),
        ({"machine": "vax"}, " vax, this is "),
        ({"wheels": ["a.whl"]}, "The folder is not complete, a.whl is missing. Copy it again."),
    ],
)
def test_an_installer_on_the_wrong_machine_ends_in_one_line(tmp_path: Path, changes: dict, told: str) -> None:
    here = {"python": f"{sys.version_info.major}.{sys.version_info.minor}", "system": platform.system()}
    about = {**here, "machine": platform.machine(), "torch": "2.6", "data": [], "wheels": []} | changes
    (tmp_path / "bundle.json").write_text(json.dumps(about))
    (tmp_path / "install.py").write_bytes(Path(bundle.__file__).with_name("install.py").read_bytes())
    done = install(tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert told in done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
