"""A real JupyterHub with its proxy on this machine: five learners, five seats, each one's own.

The hub reads deploy/demo_config.py: deploy/jupyterhub_config.py with passwords and folders that need no accounts.
"""

import json
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import psutil
import pytest
import requests
from nbformat import v4

from resnet_edu.tools import course

if sys.platform == "win32":
    pytest.skip("JupyterHub does not run on Windows", allow_module_level=True)
for package in ("jupyterhub", "websocket"):
    pytest.importorskip(package, reason="needs the extra `workshop`")

from deploy.classroom import ROOM, CellFailed, Hub, Learner, proxy  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),  # for a machine that is busy with other things; 40 seconds on a quiet one
    pytest.mark.skipif(proxy() is None, reason="needs JupyterHub's proxy; `.ci/proxy` gets it with npm"),
]
NAMES = ("ada", "bob", "chen", "dora", "emil")
NOTE = "# My own note"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with Hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture(scope="module")
def learners(hub: Hub) -> list[Learner]:
    """Five who have a slip and are logged in; ada has worked in her folder before."""
    page = nbformat.read(course.find_lesson("00").path, as_version=4)
    page.cells.insert(0, v4.new_markdown_cell(NOTE))
    mine = home_of(hub, "ada") / "my-course" / "00_start_here.ipynb"
    mine.parent.mkdir(parents=True)
    nbformat.write(page, mine)
    people = hub.hand_out(list(NAMES))
    for person in people:
        assert person.log_in().status_code == 302
    return people


def home_of(hub: Hub, name: str) -> Path:
    return hub.folder / "homes" / name


def first_cells(learner: Learner) -> str:
    """Sit down, run lesson 00 up to the first prediction, and leave a file; what was shown."""
    page = learner.sit_down()
    settings = json.loads(re.findall(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.DOTALL)[0])
    assert settings["news"]["disabled"], "JupyterLab would ask the learner whether it may fetch news"
    with learner.open_kernel("my-course") as kernel:
        shown = [kernel.run(cell) for cell in learner.code_cells("my-course/00_start_here.ipynb")[:4]]
        shown.append(kernel.run("import os, pathlib; print(pathlib.Path.cwd(), os.environ['OMP_NUM_THREADS'])"))
        kernel.run(f"pathlib.Path('secret.txt').write_text('{learner.name} was here')")
    for running in learner.get(f"{learner.seat}/api/kernels").json():
        learner.delete(f"{learner.seat}/api/kernels/{running['id']}")
    return "".join(shown)


def test_a_wrong_password_is_refused(hub: Hub, learners: list[Learner]) -> None:
    for name, password in (
        ("ada", "ada likes wrong words"),
        ("ada", learners[1].password),
        ("nobody", "what a password"),
    ):
        intruder = Learner(hub.url, name, password)
        answer = intruder.log_in()
        assert answer.status_code == 403
        assert "Invalid username or password" in answer.text
        assert intruder.get(f"{hub.url}/hub/api/user").status_code == 403
    assert learners[0].get(f"{hub.url}/hub/api/user").json()["name"] == "ada"


def test_the_class_of_accounts_refuses_a_wrong_password_and_has_no_sign_up(tmp_path: Path) -> None:
    with Hub(tmp_path, ROOM) as hub:
        intruder = Learner(hub.url, "nobody", "what a password")
        answer = intruder.log_in()
        assert answer.status_code == 403
        assert "Invalid username or password" in answer.text
        assert intruder.get(f"{hub.url}/hub/api/user").status_code == 403
        assert intruder.get(f"{hub.url}/hub/signup").status_code == 404
        assert hub.stop() == []


def test_each_runs_the_first_cells_in_a_server_and_folder_of_their_own(hub: Hub, learners: list[Learner]) -> None:
    with ThreadPoolExecutor(2) as pool:  # five kernels at once would take five gigabytes
        shown = list(pool.map(first_cells, learners))
    for learner, text in zip(learners, shown, strict=True):
        folder = home_of(hub, learner.name) / "my-course"
        assert f"{folder} 1\n" in text
        assert "seed       0" in text
        assert "it knows" in text
        assert (folder / "secret.txt").read_text() == f"{learner.name} was here"
        lessons = [lesson.path.name for lesson in course.lessons()]
        assert [name for name in lessons if not (folder / name).is_file()] == []
    servers = [process for process in hub.processes() if "jupyterhub.singleuser" in process.cmdline()]
    assert {process.environ()["JUPYTERHUB_USER"] for process in servers} == set(NAMES)


def test_what_a_learner_has_changed_stays(hub: Hub, learners: list[Learner]) -> None:
    cells = learners[0].contents("my-course/00_start_here.ipynb")["content"]["cells"]
    assert cells[0]["source"] == NOTE


def test_none_can_read_or_run_in_another_ones_seat(hub: Hub, learners: list[Learner]) -> None:
    token = learners[0].post(f"{hub.url}/hub/api/users/ada/tokens", json={}).json()["token"]
    with_token = requests.Session()
    with_token.trust_env = False
    with_token.headers["Authorization"] = f"token {token}"
    mine = with_token.get(f"{learners[0].seat}/api/contents/my-course/secret.txt", timeout=60)
    assert mine.json()["content"] == "ada was here", "or the rest of this test would pass for the wrong reason"
    for learner, other in zip(learners, learners[1:] + learners[:1], strict=True):
        assert learner.contents("my-course/secret.txt")["content"] == f"{learner.name} was here"
        for path in ("api/contents", "api/contents/my-course/secret.txt", "files/my-course/secret.txt", "api/kernels"):
            answer = learner.get(f"{other.seat}/{path}")
            assert answer.status_code in (403, 404), path
            assert "was here" not in answer.text
        assert learner.post(f"{other.seat}/api/kernels", json={"name": "python3"}).status_code in (403, 404)
        assert learner.get(f"{hub.url}/hub/api/users/{other.name}").status_code in (403, 404)
        if other.name != "ada":
            assert with_token.get(f"{other.seat}/api/contents", timeout=60).status_code in (403, 404)
        assert requests.get(f"{other.seat}/api/contents", timeout=60).status_code in (403, 404)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
def test_who_asks_for_too_much_memory_is_told_so_and_goes_on(learners: list[Learner]) -> None:
    with learners[1].open_kernel("my-course") as kernel:
        with pytest.raises(CellFailed, match="MemoryError"):
            kernel.run("much = bytearray(4 * 10**9)")
        assert kernel.run("print(len(bytearray(10**9)))") == "1000000000\n"


def test_stopping_leaves_nothing_behind(hub: Hub, learners: list[Learner]) -> None:
    running = hub.processes()
    assert len(running) >= 2 + len(learners), "hub, proxy, a server each"
    assert hub.stop() == []
    assert hub.process.returncode == 0
    assert [process for process in running if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []
    with pytest.raises(requests.ConnectionError):
        requests.get(hub.url, timeout=10)
