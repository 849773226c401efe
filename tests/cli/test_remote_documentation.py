"""The how-to of servers does what it says: its lines are run as they stand, but for the server's address."""

from __future__ import annotations

import io
import re
import shlex
import sys
from pathlib import Path

import pytest

from fasttrack.db import Database
from fasttrack.domain.access import Permission
from fasttrack.domain.tokens import TokenKind, kind_of
from tests.cli.command_line import CommandLine
from tests.cli.remote_server import Server
from tests.engine import Engine
from tests.factories import a_file
from tests.people import People

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "use-a-server.md"
BLOCKS = [re.sub("^ +", "", block, flags=re.M) for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.S)]


async def test_the_how_to_does_what_it_says(
    cli: CommandLine,
    server: Server,
    engine: Engine,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    people = People(database)
    ada = await people.user("ada", default="editor", vision="admin")
    made = await people.token(ada, *Permission)
    (tmp_path / "token.txt").write_text(made.secret.text)
    (tmp_path / "train.yaml").write_text(a_file({"fit": ""}, name="train"))
    monkeypatch.setenv("FASTTRACK_PROFILES_FILE", str(tmp_path / "profiles.toml"))
    monkeypatch.setenv("HUB_TOKEN", "hunter2hunter2")
    monkeypatch.setenv("CI_PIPELINE_ID", "4711")
    outputs = []
    async with engine.scheduling():
        for line in "".join(BLOCKS).splitlines():
            line = line.replace("https://fasttrack.example", server.url)
            line = line.replace("/run/secrets/fasttrack", str(tmp_path / "token.txt"))
            outputs.append(await typed(cli, line, monkeypatch))
    assert "account   ada, user" in outputs[1]
    assert outputs[2].startswith("published train, version 1")
    assert kind_of((tmp_path / "ci-token.txt").read_text().strip()) is TokenKind.SERVICE
    assert outputs[-1].splitlines()[1].split()[:2] == ["fit", "SUCCEEDED"]
    async with database.transaction() as db:
        assert await db.value("SELECT count(*) FROM job") == 2
        assert await db.value("SELECT name FROM secret") == "HUB_TOKEN"
    written = [(who, action) for who, action, _, _ in await people.audit() if who == "ada"]
    assert written[-4:-2] == [("ada", "account.create"), ("ada", "token.create")]


async def typed(cli: CommandLine, line: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a shell would make of the line: exports, `printenv X |`, `< FILE` and `> FILE`."""
    import os

    if line.startswith("export "):
        for name, value in (pair.split("=", 1) for pair in shlex.split(line)[1:]):
            monkeypatch.setenv(name, value)
        return ""
    piped, _, line = line.rpartition(" | ")
    line, _, into = line.partition(" > ")
    line, _, file = line.partition(" < ")
    text = os.environ[piped.split()[1]] if piped else Path(file).read_text() if file else ""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    words = [os.path.expandvars(word) for word in shlex.split(line)]
    assert words[0] == "fasttrack"
    answer = await cli(*words[1:])
    assert answer.code == 0, (line, answer.err)
    if into:
        Path(into).write_text(answer.out)
    return answer.out
