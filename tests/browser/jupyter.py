"""JupyterLab as a learner meets it: started by the course's own command, driven with mouse and keyboard."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import nbformat

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "build" / "browser"
WINDOW = (1200, 800)
PATIENCE = 240_000  # milliseconds; machines are shared
ADDRESS = re.compile(r"(http://127\.0\.0\.1:\d+)/lab/tree/00_start_here\.ipynb\?token=(\w+)")
NOTEBOOK = ".jp-NotebookPanel:not(.lm-mod-hidden)"
HARMLESS = "libpng warning: iCCP: known incorrect sRGB profile"  # torchvision 0.21 of scikit-image's photos
TROUBLE = '[data-mime-type="application/vnd.jupyter.error"], [data-mime-type="application/vnd.jupyter.stderr"]'

#: All code cells have been run, or the run has stopped at an error: nothing waits any more.
ALL_DONE = f"""() => {{
  const prompts = [...document.querySelectorAll('{NOTEBOOK} .jp-CodeCell .jp-InputArea-prompt')];
  const texts = prompts.map(each => each.textContent.trim());
  return texts.some(text => /\\d/.test(text)) && !texts.some(text => text.includes('*'));
}}"""


@dataclass(frozen=True)
class Server:
    """A running JupyterLab."""

    address: str  # http://127.0.0.1:8888
    token: str
    folder: Path  # the learner's
    log: Path  # all that it printed


@contextmanager
def serving(home: Path) -> Iterator[Server]:
    """What `make lab` starts, on a learner's folder in `home` and with settings of its own."""
    folder, log = home / "my-course", home / "lab.log"
    configure(home / "jupyter_config_dir")
    command = [sys.executable, "-m", "resnet_edu", "lab", str(folder), "--no-browser", "--port", "0"]
    with (
        log.open("w") as out,
        subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment(home), cwd=home) as server,
    ):
        try:
            found = until(lambda: ADDRESS.search(log.read_text()) or server.poll() is not None, "an address")
            assert isinstance(found, re.Match), log.read_text()
            yield Server(found[1], found[2], folder, log)
        finally:
            server.terminate()  # it ends its kernels first
            try:
                server.wait(timeout=60)
            except subprocess.TimeoutExpired:
                server.kill()


def configure(folder: Path) -> None:
    """Switch off what a teacher's tools add to JupyterLab; a learner does not have them."""
    (folder / "labconfig").mkdir(parents=True)
    added = ("@jupyter/nbgrader", "@jupyter-notebook/lab-extension", "jupyterlab-jupytext")
    page = {"disabledExtensions": dict.fromkeys(added, True)}
    (folder / "labconfig" / "page_config.json").write_text(json.dumps(page))


def environment(home: Path) -> dict[str, str]:
    """A learner's environment: nothing of this test run, no weights but the bundled ones, no settings of this user."""
    mine = ("RESNET_EDU_", "JUPYTER", "IPYTHON", "MPLBACKEND", "CI", "SSH_CONNECTION", "PYTEST")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "TORCH_HOME")
    return kept | {name: str(home / name.lower()) for name in places} | {"PYTHONPATH": str(ROOT)}


def until(asked: Callable[[], T], what: str, *, seconds: float = PATIENCE / 1000) -> T:
    """The first true answer.

    Raises:
        TimeoutError: none came in time.
    """
    deadline = time.monotonic() + seconds
    while not (answer := asked()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} after {seconds:.0f} seconds")
        time.sleep(0.05)
    return answer


@dataclass
class Notebook:
    """A notebook, open in a page of its own; what goes wrong there is noted."""

    page: "Page"
    path: Path
    complaints: list[str] = field(default_factory=list)

    def cell(self, index: int) -> "Locator":
        """A cell by its place in the notebook."""
        return self.page.locator(f"{NOTEBOOK} .jp-Notebook-cell").nth(index)

    def ready(self) -> None:
        """Wait for the kernel."""
        self.page.locator(f"{NOTEBOOK} .jp-Toolbar-kernelName", has_text="Python 3").wait_for(timeout=PATIENCE)
        indicator = self.page.locator(f"{NOTEBOOK} .jp-Notebook-ExecutionIndicator[data-status='idle']")
        indicator.wait_for(state="attached", timeout=PATIENCE)

    def run_all(self) -> None:
        """Run > Run All Cells, and wait."""
        self.choose("Run", "Run All Cells")
        self.page.wait_for_function(ALL_DONE, timeout=PATIENCE)
        self.ready()

    def restart(self) -> None:
        """Kernel > Restart Kernel…, and agree."""
        self.choose("Kernel", "Restart Kernel…")
        with self.page.expect_response(lambda answer: answer.url.partition("?")[0].endswith("/restart")):
            self.page.get_by_role("button", name="Confirm Kernel Restart").click()
        self.ready()

    def choose(self, menu: str, entry: str) -> None:
        """Click an entry of the menu bar."""
        self.page.locator(".lm-MenuBar-itemLabel", has_text=re.compile(f"^{menu}$")).click()
        self.page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{entry}$")).click()

    def trouble(self) -> list[str]:
        """What cells have printed as errors."""
        return [text for text in self.page.locator(TROUBLE).all_text_contents() if text.strip() != HARMLESS]

    def saved(self) -> nbformat.NotebookNode:
        """Ctrl+S, and what is in the file then."""
        with self.page.expect_response(lambda answer: answer.request.method == "PUT" and self.path.name in answer.url):
            self.page.keyboard.press("Control+s")
        return nbformat.read(self.path, as_version=4)

    def picture(self, name: str) -> None:
        """Keep what is on the screen as build/browser/NAME.png."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png")


@contextmanager
def opened(browser: "Browser", server: Server, name: str) -> Iterator[Notebook]:
    """A notebook of the learner's folder in a new window; its kernel is shut down at the end."""
    with browser.new_context(viewport={"width": WINDOW[0], "height": WINDOW[1]}, device_scale_factor=1) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        notebook = Notebook(page, server.folder / name)
        say = notebook.complaints.append
        page.on("console", lambda message: say(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: say(str(error)))
        page.on("response", lambda answer: say(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
        own = (f"{server.address}/", "data:", "blob:")
        page.on("request", lambda asked: None if asked.url.startswith(own) else say(f"asked {asked.url}"))
        page.goto(f"{server.address}/lab/tree/{name}?reset&token={server.token}")
        notebook.ready()
        try:
            yield notebook
        finally:
            known = {"Authorization": f"token {server.token}"}
            for kernel in context.request.get(f"{server.address}/api/kernels", headers=known).json():
                context.request.delete(f"{server.address}/api/kernels/{kernel['id']}", headers=known)
