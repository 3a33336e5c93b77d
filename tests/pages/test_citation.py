"""CITATION.cff: valid by the rules of the Citation File Format 1.2.0 that it uses, and of this version."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import resnet_edu

ROOT = Path(__file__).resolve().parents[2]
# https://github.com/citation-file-format/citation-file-format/blob/1.2.0/schema-guide.md
REQUIRED = {"authors", "cff-version", "message", "title"}
TEXTS = {"abstract", "cff-version", "date-released", "doi", "license", "message", "title", "type", "url", "version"}
ENTITY = {"address", "city", "country", "email", "name", "orcid", "website"}
PERSON = {"affiliation", "email", "family-names", "given-names", "orcid", "website"}


def faults(citation: dict[str, Any]) -> list[str]:
    """What a validator would refuse."""
    found = [f"{key} is missing" for key in REQUIRED - {*citation}]
    found += [f"{key} is unknown" for key in {*citation} - TEXTS - {"authors", "keywords"}]
    found += [f"{key} is no text" for key in TEXTS & {*citation} if not isinstance(citation[key], str)]
    found += ["type is software or dataset"] * (citation.get("type", "software") not in ("software", "dataset"))
    found += ["cff-version is another"] * (citation.get("cff-version") != "1.2.0")
    for author in citation.get("authors", []):
        if not ({*author} <= ENTITY and "name" in author) and not ({*author} <= PERSON and author):
            found.append(f"author {author}")
    words = citation.get("keywords", [])
    if len({*words}) != len(words) or not all(isinstance(word, str) for word in words):
        found.append("keywords are different texts")
    return found


@pytest.fixture
def citation() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_it_is_valid_and_of_this_version(citation: dict[str, Any]) -> None:
    assert faults(citation) == []
    assert citation["version"] == resnet_edu.__version__
    assert citation["license"] == "MIT"


@pytest.mark.parametrize(
    "change",
    [
        {"title": None}, {"cff-version": "1.1.0"}, {"licence": "MIT"}, {"type": "course"}, {"version": 0.1},
        {"authors": [{"names": "me"}]}, {"keywords": ["a", "a"]},
    ],
)  # fmt: skip
def test_what_a_validator_would_refuse_is_found(citation: dict[str, Any], change: dict[str, Any]) -> None:
    assert faults({**citation, **change})
