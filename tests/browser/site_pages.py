"""The site, built once for all tests that look at it, and its pages taken apart."""

import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "docs" / "site" / "build.py"
_kept: list[tempfile.TemporaryDirectory] = []


@cache
def built() -> Path:
    """The folder of the finished site; every warning of Sphinx has ended the build."""
    _kept.append(tempfile.TemporaryDirectory())
    out = Path(_kept[0].name) / "site"
    command = [sys.executable, str(BUILD), str(out), "--dead"]  # the explorers have tests of their own
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return out


@dataclass
class Page(HTMLParser):
    """What a page holds and what it asks for."""

    path: Path
    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)  # <a href>
    loaded: list[str] = field(default_factory=list)  # what the browser fetches by itself
    pictures: list[dict[str, str]] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note ids, links, pictures, and everything with a source."""
        found = {name: value or "" for name, value in attrs}
        self.ids.update(filter(None, (found.get("id"), found.get("name"))))
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag == "link" and found.get("rel") not in ("next", "prev", "index", "search", "canonical"):
            self.loaded.append(found["href"])
        if tag == "img":
            self.pictures.append(found)
        self.loaded += [found[name] for name in ("src", "srcset", "poster", "data") if name in found]

    def handle_data(self, data: str) -> None:
        """Gather the words."""
        self.text += data


@cache
def pages() -> dict[str, Page]:
    """Every page of the site by its path, such as `docs/security.html`."""
    site = built()
    return {
        path.relative_to(site).as_posix(): Page(path)
        for path in sorted(site.rglob("*.html"))
        if "_static" not in path.parts
    }
