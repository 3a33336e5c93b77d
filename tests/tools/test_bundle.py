"""An offline bundle: real pip on small stand-in wheels, with an index that is cut off."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from served import serving
from tiny_sets import publish

from resnet_edu import files
from resnet_edu.tools import bundle, cli, downloads
from resnet_edu.tools.bundle import install as installer
from resnet_edu.tools.bundle.wheels import Package, resolve, run_pip, without_torch

CUT_OFF = "http://127.0.0.1:9/simple"
ECHO = "import sys\nprint('resnet_edu', *sys.argv[1:])\n"


def wheel(folder: Path, name: str, version: str = "1.0", needs: Sequence[str] = (), code: str = "") -> Path:
    """A wheel of one module that prints what it is called with."""
    folder.mkdir(parents=True, exist_ok=True)
    module, info = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
    about = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {need}" for need in needs)]
    files = {
        f"{module}/__init__.py": "",
        f"{module}/__main__.py": code,
        f"{info}/METADATA": "\n".join(["Metadata-Version: 2.1", *about, ""]),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},sha256={digest(text)},{len(text)}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name_inside, text in files.items():
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
    wheel(index, "sympy")
    wheel(index, "numpy", "2.0")
    wheel(index, "numpy", "2.1")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setattr(files, "checkout", lambda: None)
    monkeypatch.chdir(tmp_path)
    return wheel(tmp_path / "dist", "resnet-edu", "0.1.0", ["torch>=2.6", "torchvision", "captum"], ECHO)


def install(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the installer of a bundle as a user would, with an index that cannot be reached."""
    offline = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    command = [sys.executable, str(folder / "install.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**offline, "PIP_INDEX_URL": CUT_OFF, **env})


@pytest.mark.slow
def test_a_bundle_installs_where_no_index_can_be_reached(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["bundle", "stick", "--wheel", str(own)]) == 0
    said, err = capsys.readouterr()
    assert said.splitlines() == [
        "6 packages; torch 2.14.1",
        "The bundle is in stick: 6 wheels, 0.00 GB. There: python install.py",
    ]
    assert err == ""
    names = ["captum-0.9.0", "numpy-2.1", "resnet_edu-0.1.0", "sympy-1.0", "torch-2.14.1", "torchvision-0.29.1"]
    assert sorted(path.name for path in Path("stick/wheels").iterdir()) == [
        f"{name}-py3-none-any.whl" for name in names
    ]
    text = Path("stick/INSTALL.txt").read_text()
    assert "6 packages, torch 2.14.1 among them" in text
    assert f"run:  python{bundle.this_machine()['python']} install.py" in text
    os.rename("stick", "elsewhere")  # a bundle is carried about
    done = install(Path("elsewhere"), "my course")
    assert (done.returncode, done.stderr) == (0, "")
    python = tmp_path / "my course" / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    assert (
        done.stdout.splitlines()[-1]
        == f'Done. Begin with: "{python}" -m resnet_edu lab "{tmp_path / "my course" / "my-course"}"'
    )
    started = subprocess.run([str(python), "-m", "resnet_edu", "lab"], capture_output=True, text=True, check=True)
    assert started.stdout == "resnet_edu lab\n"


@pytest.mark.slow
def test_a_bundle_without_torch_lacks_what_only_torch_needs_and_says_so(own: Path) -> None:
    made = bundle.make_bundle(Path("stick"), torch="none", wheel=own)
    assert made.wheels == [f"{name}-py3-none-any.whl" for name in ("captum-0.9.0", "numpy-2.1", "resnet_edu-0.1.0")]
    assert "torch and torchvision not among them" in Path("stick/INSTALL.txt").read_text()
    bare = subprocess.run(
        [sys.executable, "-I", "-S", "stick/install.py"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert (bare.returncode, bare.stdout) == (2, "")
    assert bare.stderr == (
        "install.py: this bundle has no torch. Install torch and torchvision for this Python, "
        "or pack a bundle with them.\n"
    )


@pytest.mark.slow
def test_a_second_run_brings_it_up_to_date_and_takes_old_wheels_away(own: Path, tmp_path: Path) -> None:
    bundle.make_bundle(Path("stick"), wheel=own)
    wheel(tmp_path / "index", "numpy", "2.2")
    Path("stick/wheels/mine.whl").write_text("mine")
    made = bundle.make_bundle(Path("stick"), wheel=own)
    assert "numpy-2.2-py3-none-any.whl" in made.wheels
    found = {path.name for path in Path("stick/wheels").iterdir()}
    assert found == {*made.wheels, "mine.whl"}
    assert len(made.wheels) == 6


@pytest.mark.slow
def test_data_is_packed_as_a_mirror_and_the_installer_hands_it_on(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving() as served:
        publish(served, monkeypatch)
        packed = "stick", "--wheel", str(own), "--with", "fashion_mnist"
        assert cli.run(["bundle", *packed, "--mirror", "http://127.0.0.1:9"]) == 2
        assert "cannot be reached (Connection refused)" in capsys.readouterr().err
        assert not Path("stick/wheels").exists()
        assert cli.run(["bundle", *packed]) == 0
    assert "fashion_mnist: train-images-idx3-ubyte.gz, " in capsys.readouterr().out
    monkeypatch.setenv("RESNET_EDU_DATA", str(tmp_path / "cache"))
    place, new = downloads.fetch("fashion_mnist", mirror="stick/data")  # what the course's own `fetch` does with it
    assert (place, new) == (tmp_path / "cache", True)
    done = install(Path("stick"))
    assert done.returncode == 0
    assert f"resnet_edu fetch fashion_mnist --mirror {tmp_path / 'stick' / 'data'}\n" in done.stdout


def test_what_only_torch_needs_is_known() -> None:
    needs = {
        "resnet-edu": {"torch", "torchvision", "captum", "pandas"}, "torch": {"sympy", "triton", "jinja2"},
        "torchvision": {"torch", "pillow"}, "captum": {"torch", "numpy"}, "pandas": {"numpy", "not-here"},
        "sympy": {"mpmath"}, "mpmath": set(), "triton": set(), "jinja2": set(), "pillow": set(), "numpy": {"pandas"},
    }  # fmt: skip
    packages = {name: Package("1", frozenset(names)) for name, names in needs.items()}
    assert set(without_torch(packages)) == {"resnet-edu", "captum", "pandas", "numpy"}


def test_the_choice_of_torch_reaches_pip(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def pretend(*arguments: str, **_: object) -> None:
        asked.append(arguments)
        if "--report" in arguments:
            item = {"metadata": {"name": "torch", "version": "2.14.1+cpu"}}
            Path(arguments[arguments.index("--report") + 1]).write_text(json.dumps({"install": [item]}))

    monkeypatch.setattr("resnet_edu.tools.bundle.wheels.run_pip", pretend)
    monkeypatch.setattr(bundle, "run_pip", pretend)
    bundle.make_bundle(Path("stick"), torch="cpu", wheel=own)
    assert [arguments[0] for arguments in asked] == ["install", "wheel"]
    assert all("https://download.pytorch.org/whl/cpu" in arguments for arguments in asked)
    assert "torch==2.14.1+cpu" in asked[1]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that `bundle` says where it does not work."""
    assert cli.run(["bundle", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err[:12], err.count("\n")) == ("", "resnet-edu: ", 1)
    return err[12:-1]


def test_an_installed_course_says_what_it_needs(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "stick") == (
        "An installed resnet-edu cannot pack itself. Name the wheel that it was installed from: "
        f"--wheel {bundle.EXAMPLE}, or run this in a clone."
    )
    assert not Path("stick").exists()


def test_bad_input_is_told_before_anything_is_made(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        refused(capsys, "stick", "--wheel", "no.whl")
        == f"no.whl is no wheel of resnet-edu, a file such as {bundle.EXAMPLE}."
    )
    assert refused(capsys, "stick", "--with", "cifar").startswith("Unknown download 'cifar'. Did you mean 'cifar10'?")
    assert (
        refused(capsys, "stick", "--torch", "gpu")
        == "Unknown choice of torch 'gpu'. Did you mean 'cpu'? Known: cpu, default, none."
    )
    Path("file").write_text("")
    assert refused(capsys, "file") == "file is a file. Name a folder; it is made if missing."
    assert not Path("stick").exists()


def test_a_folder_with_other_files_is_refused(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos").mkdir()
    Path("photos/cat.jpg").write_text("cat")
    assert refused(capsys, "photos", "--wheel", str(own)) == (
        "Nothing was written: photos holds other files: cat.jpg. Name a new folder, or add --force: what would be "
        "replaced is then kept beside it, dated."
    )
    assert [path.name for path in Path("photos").iterdir()] == ["cat.jpg"]


def test_what_pip_cannot_find_is_told(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "index" / "sympy-1.0-py3-none-any.whl").unlink()
    told = refused(capsys, "stick", "--wheel", str(own))
    assert (
        told
        == "pip install failed: No matching distribution found for sympy. Is this machine online, with pip installed?"
    )
    assert not Path("stick").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"python": "2.7"}, "these packages are for Python 2.7, this is"),
        ({"machine": "vax"}, " vax, this is "),
        ({"wheels": ["a.whl"]}, "the folder is not complete, a.whl is missing. Copy it again."),
    ],
)
def test_an_installer_on_the_wrong_machine_ends_in_one_line(tmp_path: Path, changes: dict, told: str) -> None:
    about = bundle.this_machine() | {"torch": "2.6", "data": [], "wheels": []} | changes
    (tmp_path / "bundle.json").write_text(json.dumps(about))
    script = Path(bundle.__file__).with_name("install.py")
    (tmp_path / "install.py").write_bytes(script.read_bytes())
    done = subprocess.run([sys.executable, "install.py"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert told in done.stderr
    assert not (tmp_path / "resnet-course").exists()


NO_PIP = subprocess.CalledProcessError(1, ["python", "-m", "ensurepip"])


@pytest.mark.parametrize("error", [NO_PIP, OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("before", [False, True])
def test_half_an_environment_is_not_taken_for_a_whole_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    before: bool,
) -> None:
    folder, create, asked = tmp_path / ".venv", venv.create, []

    def without_pip(place: Path, *, with_pip: bool) -> None:
        asked.append(with_pip)
        create(place)
        if len(asked) == 1:
            raise error

    monkeypatch.setattr(venv, "create", without_pip)
    if before:  # made on another system, for example
        folder.mkdir()
        (folder / "mine.txt").write_text("mine")
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else SystemExit) as ended:
        installer.make_environment(folder)
    told = capsys.readouterr().err
    if isinstance(ended.value, SystemExit):
        assert ended.value.code == 2
        assert told.startswith(f"install.py: {folder} cannot be made ({error}). On Debian")
    assert [path.name for path in tmp_path.iterdir()] == ([".venv"] if before else [])
    assert installer.make_environment(folder).is_file()
    assert asked == [True, True]
    assert not before or (folder / "mine.txt").read_text() == "mine"


def test_pip_is_the_one_of_this_python(own: Path, tmp_path: Path) -> None:
    found = resolve(own, tmp_path / "report.json")
    assert {name: package.version for name, package in found.items() if name in ("resnet-edu", "numpy", "torch")} == {
        "resnet-edu": "0.1.0",
        "numpy": "2.1",
        "torch": "2.14.1",
    }
    assert len(found) == 6
    with pytest.raises(ValueError, match="pip nonsense failed"):
        run_pip("nonsense")
