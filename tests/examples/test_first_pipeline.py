"""Pages that show a pipeline are run from top to bottom, on servers of their own, as a person would type them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from fasttrack import spec

ROOT = Path(__file__).parents[2]
FIRST_PIPELINE = ROOT / "docs" / "how-to" / "first-pipeline.md"
PAGES = [FIRST_PIPELINE, ROOT / "README.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
FILE_NAME = re.compile(r"`([\w-]+\.yaml)`")


@dataclass
class Block:
    """A piece of the page that is not prose."""

    kind: str
    """`yaml`: a file, to be saved; `sh`: commands; `text`: what the commands before print at their end."""
    text: str
    file: str
    """The file that the prose before names last."""


def blocks(path: Path) -> Iterator[Block]:
    page, at = path.read_text(), 0
    for found in BLOCK.finditer(page):
        names = FILE_NAME.findall(page[at : found.start()])
        yield Block(found[1], found[2], names[-1] if names else "")
        at = found.end()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_each_file_of_a_page_validates_without_a_word(page: Path) -> None:
    files = [block for block in blocks(page) if block.kind == "yaml"]
    assert files
    for block in files:
        assert block.file
        assert spec.load_pipeline(block.text)[2] == ()


def test_there_are_ten_steps() -> None:
    assert re.findall(r"^## (\d+)\. ", FIRST_PIPELINE.read_text(), re.M) == [str(n) for n in range(1, 11)]


@pytest.mark.usefixtures("folders_at_pipeline")
@pytest.mark.parametrize(("path", "answers"), list(zip(PAGES, (3, 0), strict=True)), ids=[p.name for p in PAGES])
def test_a_page_does_what_it_says(path: Path, answers: int, tmp_path: Path) -> None:
    """Every file is saved, every command is run in order; all succeed, and print what the page shows."""
    page = list(blocks(path))
    state = tmp_path / "state"
    own = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "FASTTRACK_STATE_DIR": str(state)}
    own |= {"PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.examples.shell"],
            input=json.dumps([asdict(block) for block in page]),
            cwd=tmp_path,
            env=own,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        subprocess.run([Path(sys.executable).with_name("fasttrack"), "down"], env=own, capture_output=True, check=True)
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout)
    shown = [(block.text, outputs[n - 1]) for n, block in enumerate(page) if block.kind == "text"]
    assert len(shown) == answers
    assert [text for text, _ in shown] == [output for _, output in shown]
