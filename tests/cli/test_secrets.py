"""`fasttrack secrets`: values go in and never come out."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from fasttrack.db import Database
from fasttrack.db.secrets import SecretBox, read_secrets
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from tests.cli.command_line import CommandLine, counts

VALUE = "open-sesame-1001"


def typed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


async def value_of(database: Database, project: ProjectId, tmp_path: Path, name: str) -> str | None:
    box = SecretBox.from_settings(Settings(state_dir=tmp_path / "state"))
    async with database.transaction() as db:
        return (await read_secrets(db, box, project, [name])).get(name)


async def test_a_value_from_standard_input_loses_one_line_break(
    stored: CommandLine, monkeypatch: pytest.MonkeyPatch, database: Database, project: ProjectId, tmp_path: Path
) -> None:
    typed(monkeypatch, f"{VALUE}\n\n".encode())
    answer = await stored("secrets", "set", "TOKEN")
    assert (answer.code, answer.out, answer.err) == (0, "", "stored secret TOKEN\n")
    assert await value_of(database, project, tmp_path, "TOKEN") == f"{VALUE}\n"


async def test_a_file_is_taken_as_it_stands(
    stored: CommandLine, database: Database, project: ProjectId, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(f"{VALUE}\n")
    answer = await stored("secrets", "set", "TOKEN", "--from-file", "key", "--json")
    assert answer.json == {"name": "TOKEN", "stored": True}
    assert await value_of(database, project, tmp_path, "TOKEN") == f"{VALUE}\n"


async def test_values_are_never_printed(stored: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, VALUE.encode())
    answers = [
        await stored("secrets", "set", "TOKEN", "--debug"),
        await stored("secrets", "list"),
        await stored("secrets", "list", "--json"),
        await stored("settings", "--json"),
    ]
    assert all(VALUE not in a.out + a.err for a in answers)
    assert answers[1].out.splitlines()[1].split()[0] == "TOKEN"
    [listed] = answers[2].json["secrets"]
    assert set(listed) == {"name", "updated_by", "updated_at"}


async def test_a_deleted_secret_is_gone(stored: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, VALUE.encode())
    await stored("secrets", "set", "TOKEN")
    assert (await stored("secrets", "delete", "TOKEN")).code == 0
    again = await stored("secrets", "delete", "TOKEN")
    assert (again.code, again.err) == (3, "error: there is no secret named TOKEN\n")
    assert (await stored("secrets", "list", "--json")).json == {"secrets": []}


async def test_what_cannot_be_a_secret_is_refused(
    stored: CommandLine, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    refusals = [
        ("1ST", b"x", "cannot name a secret"),
        ("A B", b"x", "cannot name a secret"),
        ("TOKEN", b"", "standard input is empty"),
        ("TOKEN", b"\n", "standard input is empty"),
        ("TOKEN", b"a\x00b", "the character NUL"),
        ("TOKEN", b"\xff\xfe", "is not text in UTF-8"),
        ("TOKEN", b"x" * (64 * 1024 + 1), "is longer than 64 KiB"),
    ]
    for name, data, says in refusals:
        typed(monkeypatch, data)
        answer = await stored("secrets", "set", name)
        assert (answer.code, answer.out) == (2, ""), data[:10]
        assert says in answer.err
    assert (await counts(database))["secret"] == 0


async def test_a_file_that_is_not_there_is_code_3(stored: CommandLine) -> None:
    assert (await stored("secrets", "set", "TOKEN", "--from-file", "nowhere")).code == 3
