"""What stands in deploy/, .binder/ and .devcontainer/: options that exist, files that exist, numbers that agree."""

import asyncio
import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
PAGE = ROOT / "docs" / "jupyterhub.md"
CONFIGS = ("jupyterhub_config.py", "docker_config.py", "demo_config.py")
HERE = sys.platform != "win32"
unix = pytest.mark.skipif(not HERE, reason="for a server that runs Unix")


def read(name: str, folder: Path = DEPLOY) -> str:
    return (folder / name).read_text(encoding="utf-8")


def config(name: str) -> Any:
    """A configuration as JupyterHub loads it."""
    loader = pytest.importorskip("traitlets.config.loader")
    return loader.PyFileConfigLoader(name, path=str(DEPLOY)).load_config()


def values() -> dict[str, Any]:
    return yaml.safe_load(read("values.yaml"))


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, each on one line, in their order."""
    lines = [line for line in read("Dockerfile").splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\s*\n\s*", "", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


# ---------------------------------------------------------------- JupyterHub's configurations


@unix
@pytest.mark.parametrize("name", CONFIGS)
def test_every_option_exists_and_takes_its_value(name: str) -> None:
    hub = pytest.importorskip("jupyterhub", reason="needs the extra `workshop`")
    from dockerspawner import DockerSpawner
    from jupyterhub.app import JupyterHub
    from jupyterhub.auth import Authenticator, PAMAuthenticator
    from jupyterhub.spawner import SimpleLocalProcessSpawner, Spawner

    from deploy.slips import SlipAuthenticator

    assert hub.__version__
    classes = (JupyterHub, Spawner, DockerSpawner, SimpleLocalProcessSpawner, Authenticator, PAMAuthenticator)
    known = {found.__name__: found for found in (*classes, SlipAuthenticator)}
    found = config(name)
    for section, options in found.items():
        unknown = [option for option in options if option not in known[section].class_trait_names(config=True)]
        assert unknown == [], section
    assert PAMAuthenticator(config=found).blocked_users == {"root"}
    ada = SimpleNamespace(name="ada", escaped_name="ada", id=1, settings={}, url="/user/ada")
    for spawner in (DockerSpawner(user=ada, config=found), SimpleLocalProcessSpawner(user=ada, config=found)):
        assert spawner.mem_limit == 3 << 30
        assert spawner.cpu_limit == 1
    with pytest.raises(Exception, match="not a valid memory"):
        SimpleLocalProcessSpawner(mem_limit="much")  # so the lines above could fail


@unix
@pytest.mark.parametrize(("gigabytes", "seats"), [(64, 31), (8, 3), (1, 1)])
def test_the_hub_starts_no_more_seats_than_the_memory_can_serve(
    gigabytes: int, seats: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=gigabytes * 10**9))
    assert config("jupyterhub_config.py").JupyterHub.active_server_limit == seats


@unix
def test_a_class_is_closed_and_the_demonstration_is_for_this_machine_alone() -> None:
    room, docker, demo = map(config, CONFIGS)
    for found in (room, docker, demo):
        assert found.JupyterHub.bind_url.startswith("http://127.0.0.1:")
    assert room.JupyterHub.authenticator_class == "pam"
    assert "allow_all" not in room.Authenticator
    assert docker.JupyterHub.authenticator_class == "slips.SlipAuthenticator"
    assert demo.JupyterHub.spawner_class == "simple"
    for found in (room, docker):
        assert not any("allow_root" in option for option in found.Spawner.args)
        assert found.JupyterHub.spawner_class != "simple"
    assert any("allow_root" in option for option in demo.Spawner.args) == (os.geteuid() == 0)


@unix
def test_a_seat_may_take_what_the_hungriest_lesson_took() -> None:
    peaks = {run["lesson"]: run["peak_memory_gb"] for run in json.loads(read("rehearsal.json", ROOT / "docs"))}
    limit = config("jupyterhub_config.py").Spawner.mem_limit
    assert limit == "3G"
    assert max(peaks.values()) * 1e9 < 3 << 30


# ---------------------------------------------------------------- Docker


def test_the_image_is_pinned_has_no_root_and_copies_what_exists() -> None:
    steps = instructions()
    words = {word for word, _ in steps}
    assert words <= {"FROM", "RUN", "WORKDIR", "COPY", "USER", "EXPOSE", "CMD"}, "no ADD, no secrets in ENV or ARG"
    [base] = [rest for word, rest in steps if word == "FROM"]
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", base)
    runs = [rest for word, rest in steps if word == "RUN"]
    for run in runs:
        assert not re.search(r"\b(curl|wget|sudo)\b", run)
        assert "apt-get install" not in run or ("--no-install-recommends" in run and "rm -rf /var/lib/apt/lists" in run)
        assert "pip install" not in run or "--no-cache-dir" in run
    ignored = read("Dockerfile.dockerignore").splitlines()
    copied = [source for word, rest in steps if word == "COPY" for source in rest.split()[:-1]]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert {f"!{name}" for name in copied} == {line for line in ignored if line.startswith("!")}
    assert "*" in ignored
    assert [rest for word, rest in steps if word == "USER"] == ["jovyan"]
    assert steps.index(("USER", "jovyan")) > max(steps.index(("RUN", run)) for run in runs)


@unix
def test_image_configuration_and_chart_agree() -> None:
    steps, docker, chart = instructions(), config("docker_config.py"), values()
    [command] = [json.loads(rest) for word, rest in steps if word == "CMD"]
    assert docker.DockerSpawner.cmd == chart["singleuser"]["cmd"] == command
    assert command == ["python", "-m", "resnet_edu.tools.seat"]
    [useradd] = [rest for word, rest in steps if "useradd" in rest]
    assert "--uid 1000 --gid 100 jovyan" in useradd, "the numbers that Zero to JupyterHub gives a seat"
    home = chart["singleuser"]["storage"]["homeMountPath"]
    assert list(docker.DockerSpawner.volumes.values()) == [home]
    assert docker.DockerSpawner.notebook_dir == home == steps[-3][1]
    assert f"-t {docker.DockerSpawner.image} " in read("Dockerfile")


# ---------------------------------------------------------------- Zero to JupyterHub


@unix
def test_the_chart_says_what_the_configuration_says() -> None:
    chart, room, docker = values(), config("jupyterhub_config.py"), config("docker_config.py")
    seat, limits = chart["singleuser"], room.Spawner
    assert set(chart) <= {"hub", "proxy", "singleuser", "cull", "prePuller", "scheduling", "ingress", "debug"}
    assert seat["defaultUrl"] == limits.default_url
    assert seat["startTimeout"] == limits.start_timeout
    assert seat["memory"] == {"guarantee": "2G", "limit": limits.mem_limit}
    assert seat["cpu"]["limit"] == limits.cpu_limit
    assert f"--MappingKernelManager.cull_idle_timeout={chart['cull']['timeout']}" in limits.args
    assert chart["hub"]["config"]["JupyterHub"]["authenticator_class"] == docker.JupyterHub.authenticator_class
    mounted = {file["mountPath"] for file in chart["hub"]["extraFiles"].values()}
    folder = chart["hub"]["extraEnv"]["PYTHONPATH"]
    assert mounted == {f"{folder}/slips.py", chart["hub"]["config"]["SlipAuthenticator"]["slips"]}
    assert set(chart["hub"]["config"]["Authenticator"]["admin_users"]) == docker.Authenticator.admin_users
    assert chart["proxy"]["https"]["enabled"], "passwords travel"


# ---------------------------------------------------------------- one server


def test_the_unit_starts_the_configuration_and_outlives_one_kernel() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[method-assign]
    unit.read_string(read("jupyterhub.service"))
    service = unit["Service"]
    assert service["ExecStart"].endswith("/deploy/jupyterhub_config.py")
    assert service["OOMPolicy"] == "continue"
    assert service["UMask"] == "0077"
    assert service["WorkingDirectory"] == f"/var/lib/{service['StateDirectory']}"


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A folder of programs that only write down how they were called, in place of a server's own."""
    tools = tmp_path / "bin"
    tools.mkdir()
    log = tmp_path / "calls"
    log.touch()
    bodies = {
        "id": 'case "$*" in -u) echo "${AS:-0}" ;; taken) exit 0 ;; *) exit 1 ;; esac',
        "getent": "exit 2",
        "groupadd": "",
        "useradd": "",
        "chpasswd": f'cat >>"{tmp_path}/passwords"',
    }
    for name, body in bodies.items():
        path = tools / name
        note = "" if name in ("id", "getent") else f'echo "{name} $*" >>"{log}"'
        path.write_text(f"#!/bin/sh\n{note}\n{body}\n")
        path.chmod(0o755)
    return tools


def accounts(server: Path, names: bytes, **environment: str) -> subprocess.CompletedProcess[str]:
    (server.parent / "names.txt").write_bytes(names)
    path = f"{server}{os.pathsep}{os.environ['PATH']}"
    command = ["sh", str(DEPLOY / "accounts.sh"), str(server.parent / "names.txt")]
    return subprocess.run(command, env={**os.environ, "PATH": path, **environment}, capture_output=True, text=True)


@unix
def test_each_name_gets_an_account_a_closed_home_and_a_password_of_its_own(server: Path) -> None:
    done = accounts(server, b"ada\r\nbob-2\n\n")
    assert (done.returncode, done.stderr) == (0, "")
    slips = dict(line.split("\t") for line in done.stdout.splitlines())
    assert list(slips) == ["ada", "bob-2"]
    assert all(re.fullmatch(r"[a-z2-9]{12}", password) for password in slips.values())
    assert slips["ada"] != slips["bob-2"]
    assert (server.parent / "passwords").read_text() == "".join(f"{name}:{word}\n" for name, word in slips.items())
    calls = (server.parent / "calls").read_text().splitlines()
    assert calls[:2] == ["groupadd learners", "groupadd teachers"]
    options = "--create-home --key HOME_MODE=0700 --groups learners --shell /bin/bash"
    assert [call for call in calls if call.startswith("useradd")] == [f"useradd {options} {name}" for name in slips]
    assert not any(word in call for call in calls for word in slips.values()), "a password on a command line is public"


@unix
@pytest.mark.parametrize(
    ("names", "environment", "line"),
    [
        (b"ada\nAda Lovelace\n", {}, "not a name for an account"),
        (b"ada\n../etc\n", {}, "not a name for an account"),
        (b"ada\nbob\nada\n", {}, "twice"),
        (b"ada\ntaken\n", {}, "taken has an account here already"),
        (b"\n \n", {}, "has no names"),
        (b"ada\n", {"AS": "1000"}, "only root can make accounts"),
    ],
)
def test_names_that_cannot_be_used_stop_it_before_anything_is_made(
    server: Path, names: bytes, environment: dict[str, str], line: str
) -> None:
    done = accounts(server, names, **environment)
    assert done.returncode == 2
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert (server.parent / "calls").read_text() == ""


@unix
def test_slips_open_the_door_to_their_owners_alone(tmp_path: Path) -> None:
    pytest.importorskip("jupyterhub", reason="needs the extra `workshop`")
    from deploy.slips import SlipAuthenticator, write_slips

    path = tmp_path / "slips.json"
    made = write_slips(["ada", "bob"], path)
    assert write_slips(["ada", "chen"], path).keys() == {"chen"}, "ada keeps her slip"
    assert path.stat().st_mode & 0o077 == 0
    assert not any(password in path.read_text() for password in made.values())
    door = SlipAuthenticator(slips=str(path))

    def knock(name: str, password: str) -> str | None:
        return asyncio.run(door.authenticate(None, {"username": name, "password": password}))

    assert knock("ada", made["ada"]) == knock("Ada", made["ada"]) == "ada"
    for name, password in (("ada", made["bob"]), ("ada", ""), ("nobody", made["ada"]), ("nobody", "")):
        assert knock(name, password) is None
    before = path.read_bytes()
    with pytest.raises(ValueError, match="Ada Lovelace"):
        write_slips(["dora", "Ada Lovelace"], path)
    assert path.read_bytes() == before


# ---------------------------------------------------------------- Binder, dev container


def test_binder_installs_the_course_and_its_settings() -> None:
    folder = ROOT / ".binder"
    lines = [line for line in read("requirements.txt", folder).splitlines() if line and not line.startswith("#")]
    assert {Requirement(line).name for line in lines if not line.startswith("--")} == {"torch", "torchvision"}
    assert [line for line in lines if line.startswith("--")] == [
        "--extra-index-url https://download.pytorch.org/whl/cpu"
    ]
    assert re.fullmatch(r"python-3\.\d+\n", read("runtime.txt", folder))
    build = read("postBuild", folder)
    assert build.startswith("#!/bin/sh\n")
    assert "set -eu" in build
    for path in re.findall(r"resnet_edu/[\w/.]+", build):
        assert (ROOT / path).is_file(), path
    if HERE:
        assert os.access(folder / "postBuild", os.X_OK), "Binder runs it only if it is executable"


@unix
def test_binder_prepares_a_copy_of_the_lessons(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    fake = tools / "python"
    fake.write_text(
        f'#!/bin/sh\necho "$*" >>"{tmp_path}/calls"\ncase "$*" in *sys.prefix*) echo "{tmp_path}" ;; esac\n'
    )
    fake.chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    subprocess.run([ROOT / ".binder" / "postBuild"], cwd=ROOT, env={**os.environ, "PATH": path}, check=True)
    settings = tmp_path / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    assert settings.read_bytes() == (ROOT / "resnet_edu" / "tools" / "lab_settings" / "overrides.json").read_bytes()
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0].endswith("install --no-cache-dir .")
    statement = calls[-1].removeprefix("-c ")
    compile(statement, "postBuild", "exec")
    assert "prepare(Path(" in statement


def test_the_dev_container_installs_what_make_test_needs() -> None:
    container = json.loads(read("devcontainer.json", ROOT / ".devcontainer"))
    known = {"name", "image", "hostRequirements", "features", "containerEnv", "postCreateCommand", "forwardPorts"}
    assert set(container) <= known | {"portsAttributes", "customizations"}
    assert re.fullmatch(r"mcr\.microsoft\.com/devcontainers/python:3\.\d+-\w+", container["image"])
    command, target = container["postCreateCommand"].split()
    assert command == "make"
    assert f"\n{target}:" in read("Makefile", ROOT)
    assert all(re.fullmatch(r"[\w.-]+(/[\w.-]+)+:\d+", feature) for feature in container["features"])
    editor = container["customizations"]["vscode"]
    assert all(re.fullmatch(r"[\w-]+\.[\w-]+", name) for name in editor["extensions"])
    assert editor["settings"]["python.defaultInterpreterPath"] == ".venv/bin/python"
    assert set(container["portsAttributes"]) == {str(port) for port in container["forwardPorts"]}
    assert int(container["hostRequirements"]["memory"].removesuffix("gb")) >= 8


# ---------------------------------------------------------------- all of them


FILES = [
    path
    for folder in (DEPLOY, ROOT / ".binder", ROOT / ".devcontainer")
    for path in sorted(folder.iterdir())
    if path.is_file()
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_knows_one_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(root|work|Users|home/(?!jovyan))", text)
    assert text.endswith("\n")
    assert len(text.splitlines()) <= 250


@unix
@pytest.mark.skipif(not shutil.which("sh"), reason="needs a shell")
@pytest.mark.parametrize("name", ["deploy/accounts.sh", ".binder/postBuild", ".ci/proxy"])
def test_shell_scripts_are_well_formed(name: str) -> None:
    done = subprocess.run(["sh", "-n", str(ROOT / name)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@unix
def test_the_page_says_what_was_measured_and_leads_to_files_that_exist() -> None:
    for package in ("requests", "websocket"):
        pytest.importorskip(package, reason="needs the extra `workshop`")
    from deploy import rehearse_class

    page = PAGE.read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", page) if "://" not in link]
    assert [link for link in links if link and not (PAGE.parent / link).exists()] == []
    for name in re.findall(r"`deploy/([\w./]+)`", page):
        assert (DEPLOY / name).exists(), name
    if not rehearse_class.RECORD.exists():
        pytest.skip("no record of a class yet: python deploy/rehearse_class.py --seats 4 --json docs/seats.json")
    record = json.loads(rehearse_class.RECORD.read_text(encoding="utf-8"))
    assert rehearse_class.filled(page, record) == page, "run: python deploy/rehearse_class.py --fill"
    assert [row["lesson"][:2] for row in record["lessons"]] == ["00", "06", "12"]
    assert rehearse_class.filled(page, {**record, "lessons": []}) != page, "the page has no place for the tables"
