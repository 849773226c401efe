"""How-tos name only what exists, and stay short; the glossary has one line for each word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOW_TOS = sorted((ROOT / "docs" / "how-to").glob("add-*.md"))
PAGES = [
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
    ROOT / "docs" / "glossary.md",
    ROOT / "examples" / "README.md",
]
# In code style, with a slash or an ending of ours, relative to the top of the tree, and no placeholder in it.
PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]*\.(?:py|md|toml|lock|example))`")
TARGET = re.compile(r"`make ([a-z]+)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def paths_in(page: Path) -> set[str]:
    return set(PATH.findall(re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    assert {path for path in paths_in(page) if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.M))
    assert set(TARGET.findall(page.read_text())) <= targets


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_there_are_how_tos_and_they_name_files() -> None:
    assert len(HOW_TOS) >= 6
    assert all(len(paths_in(page)) >= 2 for page in HOW_TOS)


@pytest.mark.parametrize("page", HOW_TOS, ids=name_of)
def test_a_how_to_is_ten_sentences(page: Path) -> None:
    steps = re.findall(r"^(\d+)\. [A-Z`].*\.$", page.read_text(), re.M)
    assert steps == [str(n) for n in range(1, 11)]


def test_the_glossary_has_each_word_once() -> None:
    rows = re.findall(
        r"^\| ([a-z][a-z ]+) \| ([A-Z].*\.) \| (.+) \|$", (ROOT / "docs" / "glossary.md").read_text(), re.M
    )
    words = [word for word, _, _ in rows]
    assert len(words) == len(set(words))
    assert {
        "pipeline", "version", "task", "pipeline job", "task instance", "attempt", "compute session", "resource group",
        "folder", "schedule", "occurrence", "trigger", "event", "feed", "endpoint", "delivery",
    } <= set(words)  # fmt: skip
