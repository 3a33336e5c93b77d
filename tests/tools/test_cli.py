import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resnet_edu import __version__, files, study
from resnet_edu.config import TrainConfig
from resnet_edu.study import Setting, Study
from resnet_edu.tools import cli, doctor, lab, rehearse
from resnet_edu.tools.course import Lesson
from resnet_edu.tools.doctor import Finding
from resnet_edu.tools.rehearse import Cell, Rehearsal

COMMANDS = {
    "Learn": ["lab", "doctor", "fetch"],
    "Teach": ["rehearse", "export", "bundle", "bench", "study"],
    "Your photos": ["train", "evaluate", "predict"],
}


def rehearsal(lesson: Lesson, out: Path, *failed: Cell) -> Rehearsal:
    cells, page = (Cell(1, 1.0, "import os"), *failed), str(out / f"{lesson.name}.html")
    return Rehearsal(lesson.name, lesson.title, 30.0, 0.5, cells, page)


@pytest.fixture
def rehearsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lessons that `rehearse` was asked for; 06 fails, nothing is executed."""
    names: list[str] = []

    def pretend(lesson: Lesson, out: Path) -> Rehearsal:
        names.append(f"{lesson.path.parent.name}/{lesson.name}")
        failed = [Cell(2, 0.1, "assert False", "AssertionError: no")] if lesson.number == "06" else []
        return rehearsal(lesson, out, *failed)

    monkeypatch.setattr(rehearse, "rehearse", pretend)
    return names


@pytest.mark.parametrize("command", [name for names in COMMANDS.values() for name in names])
def test_every_command_explains_itself_with_examples(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert cli.run([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Usage: resnet-edu {command}" in text
    assert f"Examples:\n   resnet-edu {command}" in re.sub(" +\n", "\n", text)
    assert not re.search(r"<\w+>|<\w+[|\[]|TEXT|BOOLEAN", text), "a type of Python's"


def test_alone_it_lists_its_commands_by_whom_they_are_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for group, names in COMMANDS.items():
        [start] = [number for number, line in enumerate(lines) if line.startswith(f"╭─ {group} ─")]
        [*shown] = [line.split()[1] for line in lines[start + 1 :] if re.match(r"│ \w", line)][: len(names)]
        assert shown == names


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_shell_completes_a_recipes_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    monkeypatch.setenv("_RESNET_EDU_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_CWORD", "2")
    monkeypatch.setenv("COMP_WORDS" if shell == "bash" else "_TYPER_COMPLETE_ARGS", "resnet-edu train --mod")
    with pytest.raises(SystemExit):
        cli.run([])
    assert "--model" in capsys.readouterr().out


def test_it_knows_its_version_without_torch_and_the_libraries_of_its_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert (cli.run(["--version"]), capsys.readouterr().out) == (0, f"resnet-edu {__version__}\n")
    code = "import sys; from resnet_edu.__main__ import main; sys.argv[1:] = ['--version']; main()"
    code += "; print([name for name in ('torch', 'typer', 'rich') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=lab.lab_environment())
    assert (done.stdout, done.stderr) == (f"resnet-edu {__version__}\n[]\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["labb"], "No such command 'labb'"),
        (["lab", "--prot", "1"], "No such option: --prot"),
        (["lab", "--port", "many"], "Invalid value for '--port'"),
        (["lab", "mine", "--port", "70000"], "Invalid value for '--port'"),
        (["lab", "--lesson", "06_degredation"], "Unknown lesson '06_degredation'. Did you mean '06_degradation'?"),
        (["lab", "file"], "file is a file. Name a folder; it is made if missing."),
        (["lab", "file/mine"], "Not a directory: file/mine. Choose another place, or change its permissions."),
        (["rehearse", "7"], "Unknown lesson '7'. Known: 01_lenet, 06_degradation."),
        (["bench", "--quik"], "No such option: --quik"),
        (["fetch"], "Missing argument 'NAME'"),
        (["fetch", "cifar100"], "Unknown download 'cifar100'. Did you mean 'cifar10'?"),
        (["fetch", "resnet18", "resnet20"], "Unknown download 'resnet20'."),
        (["fetch", "cifar10", "--to", "new", "--mirror", "nowhere"], "mirror must begin with http:// or https://"),
        (["fetch", "cifar10", "--to", "file"], "cifar10 cannot be"),
        (["study", "--seeds", "0"], "Invalid value for '--seeds'"),
    ],
)
@pytest.mark.usefixtures("served", "rehearsed")
def test_bad_input_is_one_line_and_exit_code_2(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    Path("file").write_text("")
    assert cli.run(arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"resnet-edu: {message}")
    assert err.count("\n") == 1
    assert out == ""
    assert not Path("mine").exists()


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "resnet-edu: interrupted.\n"),
        (ValueError("a\n  b"), 2, "resnet-edu: a b\n"),
        (OSError(28, "No space left on device", "x.csv"), 2, "resnet-edu: No space left on device: x.csv\n"),
        (OSError("odd"), 2, "resnet-edu: odd\n"),
        (ModuleNotFoundError("No jinja"), 2, f"resnet-edu: No jinja. Get it with: {sys.executable} -m pip install"),
    ],
)
def test_whatever_a_command_raises_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    def broken() -> None:
        raise error

    monkeypatch.setattr(doctor, "diagnose", broken)
    assert cli.run(["doctor"]) == code
    assert capsys.readouterr().err.startswith(line)


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "diagnose", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.run(["doctor"])


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warn", 0), ("fail", 1)])
def test_doctor_ends_with_a_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: Any, code: int
) -> None:
    finding = Finding("disk", status, "1 GB", "Make room.")
    monkeypatch.setattr(doctor, "diagnose", lambda: [finding])
    assert cli.run(["doctor"]) == code
    text = capsys.readouterr().out
    assert "Make room." in text
    assert ("The course cannot run here: see disk." if code else "The course can run here.") in text
    assert cli.run(["doctor", "--json"]) == code
    expected = {"name": "disk", "status": status, "found": "1 GB", "advice": "Make room."}
    assert json.loads(capsys.readouterr().out) == [expected]


def test_rehearse_goes_on_after_a_failure_and_names_the_cell(
    home: Path, rehearsed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["rehearse", "6", "1"]) == 1
    assert rehearsed == ["solutions/06_degradation", "solutions/01_lenet"]
    out, err = capsys.readouterr()
    assert "resnet-edu: 06_degradation, cell 2, 'assert False': AssertionError: no\n" in err
    assert "1.00" in out  # minutes of both
    assert "profile quick.\nThe pages are in build/rehearsal.\n" in out


def test_rehearse_takes_all_lessons_in_their_order(home: Path, rehearsed: list[str]) -> None:
    assert cli.run(["rehearse", "--json", "--out", "pages"]) == 1
    assert rehearsed == ["solutions/01_lenet", "solutions/06_degradation"]


@pytest.fixture
def tiny_study(monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study of one small net and 20 images, the only one there is."""
    config = TrainConfig(epochs=1, batch_size=10, augment=())
    images = {"name": "mnist5k", "size": 16, "limit": 20}
    setting = Setting("plain20", {"width": 2, "in_channels": 1}, images, config)
    tiny = Study("tiny", "One small net", {"plain20": setting}, range(3))
    monkeypatch.setattr(study, "known_studies", lambda: {"tiny": tiny})
    return tiny


@pytest.mark.usefixtures("tiny_study")
def test_study_runs_records_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["study", "tiny", "--seeds", "1", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "tiny.csv").read_text().count("plain20,0,") == 1
    assert "  plain20, seed 0: test error " in capsys.readouterr().out
    assert cli.run(["study", "--seeds", "2", "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "seed 1" in text
    assert "seed 0" not in text
    assert cli.run(["study", "tinny"]) == 2
    assert capsys.readouterr().err == "resnet-edu: Unknown study 'tinny'. Did you mean 'tiny'? Known: tiny.\n"
    assert cli.run(["study", "--list", "--out", str(tmp_path)]) == 0
    assert [cell.strip() for cell in capsys.readouterr().out.splitlines()[3].split("│")][1:5] == [
        "tiny",
        "One small net",
        "3",
        "2",
    ]


def test_the_list_of_studies_counts_what_follows_from_the_first_runs(
    tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (setting,) = tiny_study.settings.values()
    more = {"longer": replace(setting, config=replace(setting.config, epochs=2)), "wider": setting}
    tiny = replace(tiny_study, seeds=[0], then=lambda recorded: more if recorded.epochs else {}, later=[0, 1])
    monkeypatch.setattr(study, "known_studies", lambda: {"tiny": tiny})

    def listed() -> list[str]:
        assert cli.run(["study", "--list", "--out", str(tmp_path)]) == 0
        return [cell.strip() for cell in capsys.readouterr().out.splitlines()[3].split("│")][3:5]

    assert listed() == ["1, then more", "0"]
    train, done = study.train_once, []

    def interrupted(*given: Any, **more: Any) -> Any:
        history, found = train(*given, **more)
        history.interrupted = len(done) == 2
        done.append(given)
        return history, found

    with monkeypatch.context() as patched:
        patched.setattr(study, "train_once", interrupted)
        assert cli.run(["study", "--out", str(tmp_path)]) == 130, "a stop among the later runs is one too"
    capsys.readouterr()
    assert listed() == ["5", "2"]


def test_a_study_without_its_pictures_does_not_stop_the_others(
    tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ((label, setting),) = tiny_study.settings.items()
    lost = replace(tiny_study, name="lost", settings={label: replace(setting, data={"name": f"{tmp_path}/nowhere"})})
    monkeypatch.setattr(study, "known_studies", lambda: {"lost": lost, "tiny": tiny_study})
    assert cli.run(["study", "--out", str(tmp_path / "runs")]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert {file.name for file in (tmp_path / "runs").iterdir()} == {"tiny.csv", "tiny.json"}


def test_a_study_that_is_interrupted_ends_with_130(
    tiny_study: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(study, "run_study", lambda *_, **__: study.Recorded("tiny"))
    assert cli.run(["study", "tiny", "--out", str(tmp_path)]) == 130


# What the shell hands over and the screen takes


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names that are no text")
@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_a_file_whose_name_is_not_utf8_is_named(tmp_path: Path, encoding: str) -> None:
    picture = os.path.join(os.fsencode(tmp_path), b"caf\xe9.png")
    shutil.copy(files.assets() / "images" / "degradation.png", os.fsdecode(picture))
    command = [sys.executable, "-m", "resnet_edu", "predict", "bundled", picture, "--json"]
    environment = {**lab.lab_environment(), "PYTHONIOENCODING": encoding}  # strict, as it is outside of the C locale
    done = subprocess.run(command, capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    (row,) = json.loads(done.stdout)
    assert os.fsencode(row["file"]) == picture
    assert len(row["top"]) == 3


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_a_real_interrupt_ends_it_in_one_line(tmp_path: Path) -> None:
    pretend = "doctor.diagnose = lambda: print('on', flush=True) or time.sleep(200)"
    heard = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # a shell's background jobs begin without it
    code = f"import signal, time; {heard}; from resnet_edu.tools import cli, doctor; {pretend}; cli.main()"
    command = [sys.executable, "-c", code, "doctor"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=lab.lab_environment(), **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=200)
    assert (process.returncode, err) == (130, "resnet-edu: interrupted.\n")


@pytest.mark.slow
def test_python_m_resnet_edu_is_the_command() -> None:
    command = [sys.executable, "-m", "resnet_edu", "lab", "--prot"]
    done = subprocess.run(command, capture_output=True, text=True, env=lab.lab_environment())
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
