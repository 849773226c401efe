"""The page about access says what the code does."""

from __future__ import annotations

import json
import re
import shlex
from hashlib import sha256
from pathlib import Path

from fasttrack.domain.access import PERMISSIONS, Permission, Role
from fasttrack.settings import Settings
from fasttrack.workflow.tokens import DEFAULT_LIFETIME, LONGEST_LIFETIME, MOST_LIVE
from fasttrack_api.problems import STATUS
from tests.cli.command_line import CommandLine
from tests.cli.conftest import cli, environment, stored

__all__ = ["cli", "environment", "stored"]

PAGE = (Path(__file__).parents[3] / "docs" / "capabilities" / "api-access.md").read_text()


def roles_table() -> str:
    """The table of roles as the page must have it."""
    head = ["| Role | " + " | ".join(f"`{p}`" for p in Permission) + " |", "|---" * (len(Permission) + 1) + "|"]
    rows = [
        f"| `{role}` | " + " | ".join("yes" if p in PERMISSIONS[role] else "–" for p in Permission) + " |"
        for role in Role
    ]
    return "\n".join([*head, *rows])


def test_the_table_of_roles_is_the_one_that_is_enforced() -> None:
    match = re.search(r"<!-- roles -->\n(.*)\n<!-- /roles -->", PAGE, re.S)
    assert match is not None
    assert match[1] == roles_table()


def test_the_figures_and_codes_are_those_of_the_code() -> None:
    assert f"{DEFAULT_LIFETIME.days} days unless given, {LONGEST_LIFETIME.days} at most" in PAGE
    assert f"{MOST_LIVE} live ones" in PAGE
    codes = dict(re.findall(r"^\| (\d{3}) \| `([A-Z_]+)`", PAGE, re.M))
    assert codes.items() <= {(str(status), kind.code) for kind, status in STATUS.items()}
    for name in re.findall(r"FASTTRACK_([A-Z_]+)", PAGE):
        assert name.lower() in Settings.model_fields, name


async def test_its_commands_run(stored: CommandLine, tmp_path: Path) -> None:
    text = "{ viewer { name } }"
    (tmp_path / "portal").mkdir()
    (tmp_path / "portal" / "operations.json").write_text(json.dumps({sha256(text.encode()).hexdigest(): text}))
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.S)
    commands = [line for block in blocks for line in block.splitlines() if line.startswith("fasttrack ")]
    assert len(commands) == 14
    for line in commands:
        answer = await stored(*shlex.split(line)[1:])
        assert answer.code == 0, (line, answer)
