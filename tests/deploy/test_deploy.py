"""What is in deploy/, .binder/ and .devcontainer/: options that exist, files that exist, numbers that agree."""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
CONFIGS = ("jupyterhub_config.py", "docker_config.py", "demo_config.py")
unix = pytest.mark.skipif(sys.platform == "win32", reason="for a server that runs Unix")


@pytest.fixture(autouse=True)
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The class's names, in the current folder, as the Docker configuration wants them."""
    monkeypatch.chdir(tmp_path)
    Path("names.txt").write_text("teacher\nada\n")


def config(name: str) -> Any:
    """A configuration as JupyterHub loads it."""
    loader = pytest.importorskip("traitlets.config.loader")
    return loader.PyFileConfigLoader(name, path=str(DEPLOY)).load_config()


@unix
@pytest.mark.parametrize("name", CONFIGS)
def test_every_option_exists_and_takes_its_value(name: str) -> None:
    pytest.importorskip("jupyterhub", reason="needs the extra `workshop`")
    from dockerspawner import DockerSpawner
    from firstuseauthenticator import FirstUseAuthenticator
    from jupyterhub.app import JupyterHub
    from jupyterhub.auth import Authenticator, PAMAuthenticator
    from jupyterhub.spawner import SimpleLocalProcessSpawner, Spawner

    classes = JupyterHub, Spawner, DockerSpawner, SimpleLocalProcessSpawner
    known = {found.__name__: found for found in (*classes, Authenticator, PAMAuthenticator, FirstUseAuthenticator)}
    found = config(name)
    for section, options in found.items():
        assert [option for option in options if option not in known[section].class_trait_names(config=True)] == []
    ada = SimpleNamespace(name="ada", escaped_name="ada", id=1, settings={}, url="/user/ada")
    for spawner in (DockerSpawner(user=ada, config=found), SimpleLocalProcessSpawner(user=ada, config=found)):
        assert spawner.mem_limit == 3 << 30
        assert spawner.environment["OMP_NUM_THREADS"] == "1"
    if name == "docker_config.py":
        door = FirstUseAuthenticator(config=found)
        assert (door.allowed_users, door.allow_all, door.create_users) == ({"teacher", "ada"}, False, False)


@unix
@pytest.mark.parametrize(("gigabytes", "seats"), [(64, 31), (8, 3), (1, 1)])
def test_the_hub_starts_no_more_seats_than_the_memory_can_serve(
    gigabytes: int, seats: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=gigabytes * 10**9))
    assert config("jupyterhub_config.py").JupyterHub.active_server_limit == seats


@unix
def test_a_class_is_closed_and_only_the_demonstration_takes_any_name() -> None:
    room, docker, demo = map(config, CONFIGS)
    for found in (room, docker, demo):
        assert found.JupyterHub.bind_url.startswith("http://127.0.0.1:")
        assert found.Spawner.disable_user_config
    assert "allow_all" not in room.Authenticator
    assert "allow_all" not in docker.Authenticator
    for found in (room, docker):
        assert not any("allow_root" in option for option in found.Spawner.args)


@unix
def test_image_configuration_and_chart_agree() -> None:
    steps = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    chart, room, docker = yaml.safe_load((DEPLOY / "values.yaml").read_text("utf-8")), *map(config, CONFIGS[:2])
    seat = chart["singleuser"]
    assert f"CMD {json.dumps(docker.DockerSpawner.cmd)}\n" in steps
    assert seat["cmd"] == docker.DockerSpawner.cmd == [Path(room.Spawner.cmd[0]).name]
    assert seat["storage"]["homeMountPath"] == docker.DockerSpawner.notebook_dir
    assert (seat["memory"]["limit"], seat["defaultUrl"]) == (room.Spawner.mem_limit, room.Spawner.default_url)
    assert chart["hub"]["config"]["JupyterHub"]["authenticator_class"] == docker.JupyterHub.authenticator_class
    assert chart["hub"]["config"]["FirstUseAuthenticator"]["create_users"] is False
    assert set(chart["hub"]["config"]["Authenticator"]["admin_users"]) == docker.Authenticator.admin_users
    assert chart["proxy"]["https"]["enabled"], "passwords travel"
    copied = [source for line in re.findall(r"^COPY (.*)$", steps, re.MULTILINE) for source in line.split()[:-1]]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert {f"!{name}" for name in copied} == {line for line in ignored if line.startswith("!")}
