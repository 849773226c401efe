"""docs/how-to/first-pipeline.md is run from top to bottom, on servers of its own, as a person would type it."""

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

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "first-pipeline.md"
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


def blocks() -> Iterator[Block]:
    page, at = PAGE.read_text(), 0
    for found in BLOCK.finditer(page):
        names = FILE_NAME.findall(page[at : found.start()])
        yield Block(found[1], found[2], names[-1] if names else "")
        at = found.end()


YAML = [block for block in blocks() if block.kind == "yaml"]


@pytest.mark.parametrize("number", range(len(YAML)))
def test_each_file_of_the_page_validates_without_a_word(number: int) -> None:
    assert YAML[number].file
    _, _, warnings = spec.load_pipeline(YAML[number].text)
    assert warnings == ()


def test_there_are_ten_steps() -> None:
    assert re.findall(r"^## (\d+)\. ", PAGE.read_text(), re.M) == [str(n) for n in range(1, 11)]


@pytest.mark.usefixtures("folders_at_pipeline")
def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    """Every file is saved, every command is run in order; all succeed, and print what the page shows."""
    page = list(blocks())
    state = tmp_path / "state"
    own = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "FASTTRACK_STATE_DIR": str(state)}
    own |= {"PYTHONPATH": str(PAGE.parents[2]), "COLUMNS": "120"}
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
    assert len(shown) == 3
    assert [text for text, _ in shown] == [output for _, output in shown]
