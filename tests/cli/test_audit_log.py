"""`fasttrack audit`: which entries it shows, and how."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fasttrack.db import Database
from fasttrack.workflow.audit import record
from fasttrack_cli.view.changes import change_line
from tests.cli.command_line import CommandLine
from tests.cli.remote_server import RemoteCommandLine
from tests.people import People


@pytest.fixture
def people(database: Database) -> People:
    return People(database)


async def test_the_log_is_read_by_what_whom_and_when(stored: CommandLine, people: People, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary-value")
    ada = await people.user("ada", default="editor")
    await stored("secrets", "set", "HUB", "--from-file", str(secret))
    await stored("secrets", "delete", "HUB")
    await stored("members", "change", "ada", "operator")
    mine = await people.caller(ada)
    [project] = mine.roles
    async with people.database.transaction() as db:
        await record(
            db, mine, "member.add", project=project, object_kind="account", object_id=ada.id, outcome="refused"
        )

    async def actions(*args: str) -> list[str]:
        answer = await stored("audit", *args, "--json")
        assert answer.code == 0, answer
        assert "canary-value" not in answer.out
        return [e["action"] for e in answer.json["entries"]]

    whole = ["member.add", "member.change", "secret.delete", "secret.put", "member.add"]
    assert await actions() == whole
    assert await actions("--everywhere") == [*whole, "account.create"]
    assert await actions("--action", "secret.put") == ["secret.put"]
    assert await actions("--by", "ada") == await actions("--by", str(ada.id)) == ["member.add"]
    assert await actions("--by", "owner", "--action", "member.add") == ["member.add"]
    assert await actions("--object", "secret") == ["secret.delete", "secret.put"]
    assert await actions("--object", "secret:HUB", "--limit", "1") == ["secret.delete"]
    assert await actions("--object", f"account:{ada.id}") == ["member.add", "member.change", "member.add"]
    assert await actions("--outcome", "refused") == ["member.add"]
    assert await actions("--since", "1h") == await actions("--until", "2099-01-01") == whole
    later = datetime.now(UTC) + timedelta(hours=1)
    assert await actions("--since", later.isoformat()) == await actions("--until", "1h") == []
    assert await actions("--project", "default", "--since", f"{later:%Y-%m-%dT%H:%M}") == []
    # 10:00 in Kathmandu is earlier than 10:00 in UTC.
    elsewhere = (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%S")
    assert await actions("--since", f"{elsewhere}+05:45") == whole


async def test_a_person_is_told_what_each_write_changed(
    stored: CommandLine, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "grace")
    await stored("accounts", "create", "ada")
    await stored("members", "add", "ada", "editor")
    await stored("members", "change", "ada", "operator")
    shown = await stored("audit", "--limit", "1")
    head, line = (re.split(" {2,}", row) for row in shown.out.splitlines())
    assert head == ["ID", "AT", "BY", "ACTION", "ON", "FROM", "OUTCOME", "CHANGE"]
    [identifier, _, by, action, thing, origin, outcome, change] = line
    assert (by, action, origin, outcome) == ("grace", "member.change", "command line", "done")
    assert thing.startswith("account:")
    assert change == "ada, role: editor → operator"
    assert shown.err == f"There may be more: --before {identifier}\n"
    rest = await stored("audit", "--before", identifier)
    assert [re.split(" {2,}", row)[-1] for row in rest.out.splitlines()[1:]] == ["ada, role: editor"]
    assert rest.err == ""
    nothing = await stored("audit", "--action", "no.such")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "There are no such entries.\n")


async def test_nobody_plays_with_the_terminal_of_who_reads_the_log(stored: CommandLine, people: People) -> None:
    owner, project = await people.owner(), await people.project("default")
    async with people.database.transaction() as db:
        await record(
            db, owner, "pipeline.update", project=project, object_kind="pipeline", object_id="x\x1b[2J",
            before={"name": "demo", "description": ""}, after={"name": "demo", "description": "\x1b]0;hi\x07\nroot"},
        )  # fmt: skip
    shown = await stored("audit")
    assert len(shown.out.splitlines()) == 2
    assert "\x1b" not in shown.out
    assert "demo, description:  → �]0;hi��root" in shown.out
    [entry] = (await stored("audit", "--json")).json["entries"]
    assert entry["after"]["description"] == "\x1b]0;hi\x07\nroot"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (None, None, ""),
        (None, {"name": "ada", "role": "editor", "email": ""}, "ada, role: editor"),
        ({"name": "ada", "role": "editor"}, None, "ada, role: editor"),
        ({"name": "a", "tags": []}, {"name": "b", "tags": ["x"]}, 'b, name: a → b, tags: [] → ["x"]'),
        ({"slots": 1}, {"slots": None}, "slots: 1 → none"),
        ({"at": None}, {"at": "2026-11-24T09:00:00.123456+00:00"}, "at: none → 2026-11-24T09:00:00Z"),
        (None, {"text": "x" * 50}, f"text: {'x' * 39}…"),
        (None, {f"k{i}": "x" * 35 for i in range(9)}, ", ".join(f"k{i}: {'x' * 35}" for i in range(2)) + ", …"),
        (None, {"k" * 300: 1}, f"{'k' * 39}…: 1"),
        (["odd"], "odd", ""),
    ],
)
def test_a_change_is_said_in_few_words(before: Any, after: Any, says: str) -> None:
    assert change_line(before, after) == says


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("--since", "yesterday"), 2, "--since: 'yesterday' is no time: use 2026-11-24, 2026-11-24T09:00Z, or 12h"),
        (("--until", "0h"), 2, "--until: '0h' is no time"),
        (("--since", "999999d"), 2, "is no time"),
        (("--since", "0001-01-01"), 2, "a time is later than 1970"),
        (("--object", ":x"), 2, "--object: ':x' names no thing: use KIND or KIND:ID, such as `secret:HUB`"),
        (("--object", "secret:"), 2, "names no thing"),
        (("--action", "x" * 201), 2, "--action: what is looked for has at most 200 printable characters"),
        (("--object", "a:\n"), 2, "--object: what is looked for has at most 200 printable characters"),
        (("--outcome", "maybe"), 2, "--outcome"),
        (("--limit", "0"), 2, "--limit"),
        (("--before", "7"), 2, "--before"),
        (("--by", "nobody"), 3, "there is no account nobody"),
        (("--by", ""), 3, "there is no account"),
        (("--project", "vision"), 3, "vision"),
    ],
)
async def test_what_cannot_be_looked_for_is_a_sentence(
    stored: CommandLine, args: tuple[str, ...], code: int, says: str
) -> None:
    answer = await stored("audit", *args)
    assert (answer.code, answer.out) == (code, "")
    assert says in answer.err


async def test_an_admin_reads_the_log_of_the_own_project_on_a_server(
    remote: RemoteCommandLine, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await people.user("ada", default="admin")
    await people.user("grace", vision="admin")
    monkeypatch.setenv("FASTTRACK_TOKEN", (await people.token(ada)).secret.text)
    await remote("members", "remove", "grace")  # is not there to her
    await remote("pools", "set", "gpu", "2")
    for args in ((), ("--everywhere",)):
        seen = (await remote("audit", *args, "--json")).json["entries"]
        assert [(e["account_name"], e["action"]) for e in seen] == [("ada", "limit.set"), ("root", "member.add")]
    assert seen[0]["token_id"] is not None
    assert seen[0]["origin"] == "127.0.0.1"
