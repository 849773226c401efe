"""What is beside versions and jobs, on this machine's database and against a server: the same, as in the contract."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fasttrack.db import Database
from fasttrack.db.capacity import write_capacity
from fasttrack.db.projects import ensure_project
from fasttrack.domain.access import Permission
from fasttrack.domain.states import InstanceState
from fasttrack_scheduler.backends.simulated import Script
from tests.cli.command_line import Answer, CommandLine, World
from tests.cli.remote_server import RemoteCommandLine, Server, settled
from tests.engine import Engine
from tests.factories import a_file, an_idle
from tests.people import People

UNKNOWN = "00000000-0000-7000-8000-000000000000"
WHO = "query Who { viewer { name } }"
SHA = hashlib.sha256(WHO.encode()).hexdigest()
LONG = "x" * 65


@pytest.fixture
def files(tmp_path: Path) -> None:
    """Files of pipelines and of operations, some of which are none."""
    (tmp_path / "demo.yaml").write_text(a_file({"a": "", "b": "a", "c": "b"}))
    (tmp_path / "broken.yaml").write_text(a_file({"a": "nobody"}))
    (tmp_path / "who.graphql").write_text(WHO)
    (tmp_path / "wrong.graphql").write_text("{ nothing }")
    (tmp_path / "manifest.json").write_text(json.dumps({SHA: WHO}))
    (tmp_path / "empty.json").write_text("{}")


@pytest.fixture(autouse=True)
def _same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "owner")  # as whoever calls a server on loopback is called


READS: Sequence[tuple[str, ...]] = [
    ("templates",),
    ("templates", "--limit", "1"),
    ("templates", "--search", "TRAIN"),
    ("templates", "--search", "nothing like it"),
    ("templates", "show", "hello"),
    ("templates", "show", "offered"),
    ("templates", "show", "nobody"),
    ("templates", "show", "x" * 300),
    ("templates", "share", "nobody"),
    ("templates", "share", "demo", "--version", "9"),
    ("templates", "share", "demo", "--for", "nobody"),
    ("templates", "share", "later"),
    ("templates", "unshare", "nobody"),
    ("retention", "show"),
    ("retention", "set"),
    ("retention", "set", "--logs-days", "never"),
    ("retention", "set", "--jobs-days", "1"),
    ("operations", "list"),
    ("operations", "add", "wrong.graphql"),
    ("operations", "add", "empty.json"),
    ("operations", "add", "nobody.graphql"),
    ("operations", "remove", "0" * 64),
    ("operations", "remove", "0" * 63),
    ("operations", "remove", SHA, "--everywhere"),
    ("skip", "{job}", "a"),
    ("skip", "{job}", "nobody"),
    ("skip", UNKNOWN, "a"),
    ("pipelines", "create"),
    ("pipelines", "create", "demo"),
    ("pipelines", "create", LONG),
    ("pipelines", "create", "new", "--tag", "a,b"),
    ("pipelines", "create", "new", *(word for n in range(21) for word in ("--tag", f"t{n}"))),
    ("pipelines", "create", "new", "-d", "x" * 2001),
    ("pipelines", "create", "-f", "broken.yaml"),
    ("pipelines", "create", "-f", "demo.yaml", "-t", "hello"),
    ("pipelines", "create", "-t", "nobody"),
    ("pipelines", "create", "-t", UNKNOWN),
    ("pipelines", "copy", "nobody"),
    ("pipelines", "copy", "demo", "--version", "9"),
    ("pipelines", "copy", "demo", "demo"),
    ("pipelines", "rename", "later", "demo"),
    ("pipelines", "rename", "demo", LONG),
    ("pipelines", "rename", "demo", "new", "--expect", "7"),
    ("pipelines", "rename", "old", "new"),
    ("pipelines", "describe", "demo", "x" * 2001),
    ("pipelines", "tag", "demo", "x" * 41),
    ("pipelines", "remake-folder", "nobody"),
    ("pipelines", "archive", "nobody"),
    ("pipelines", "archive", "busy"),
    ("pipelines", "archive", "old"),
    ("pipelines", "archive", "twice"),
    ("pipelines", "restore", "demo"),
    ("pipelines", "restore", "demo", "--expect", "7"),
    ("pipelines", "restore", UNKNOWN),
    ("pipelines", "delete", "demo", "--confirm", "later"),
    ("pipelines", "delete", "busy", "--confirm", "busy"),
    ("pipelines", "delete", "demo", "--confirm", "demo", "--expect", "7"),
]
TEXT_TOO = {"templates", "retention", "operations"}
"""Nouns whose reads are looked at as text as well."""


@pytest.mark.timeout(300)  # a hundred commands
@pytest.mark.parametrize("of_pipelines", [True, False], ids=["pipelines", "others"])
async def test_what_changes_nothing_is_told_byte_for_byte(
    stored: CommandLine, remote: RemoteCommandLine, world: World, files: None, database: Database, of_pipelines: bool
) -> None:
    """On one database, so that even the ids are the same."""
    world.site.script("a", Script(exit_code=3))
    for command in (
        ("publish", "demo.yaml"),
        ("pipelines", "create", "later", "--tag", "nightly", "-d", "Soon."),
        ("pipelines", "copy", "demo", "old"),
        ("pipelines", "archive", "old"),
        ("pipelines", "create", "twice"),
        ("pipelines", "archive", "twice"),
        ("pipelines", "create", "twice"),
        ("pipelines", "archive", "twice"),
        ("pipelines", "copy", "demo", "busy"),
        ("templates", "share", "demo", "--name", "offered", "-d", "Ours."),
        ("retention", "set", "--logs-days", "7"),
        ("operations", "add", "who.graphql"),
    ):
        assert (await stored(*command)).code == 0, command
    done = await stored("run", "demo", "--wait", "--scheduler", "--json")
    assert done.code == 1, done.err
    assert (await stored("run", "busy")).code == 0
    job = done.json["job"]["id"]
    before = await everything(database)
    differences = []
    for command in READS:
        if (command[0] == "pipelines") is not of_pipelines:
            continue
        args = [part.format(job=job) for part in command]
        for form in ((), ("--json",)) if command[0] in TEXT_TOO else (("--json",),):
            here, there = await stored(*args, *form), await remote(*args, *form)
            differences += [(args, form, here, there)] if there != here else []
    assert differences == []
    assert await everything(database) == before


WRITES: Sequence[tuple[str, ...]] = [
    ("pipelines", "create", "later", "--tag", "nlp", "-d", "Soon.", "--key", "k-{project}"),
    ("pipelines", "create", "later", "--tag", "nlp", "-d", "Soon.", "--key", "k-{project}"),
    ("pipelines", "create", "other", "--key", "k-{project}"),
    ("pipelines", "create", "-f", "demo.yaml"),
    ("pipelines", "create", "mine", "-t", "hello", "--tag", "b", "--tag", "a"),
    ("pipelines", "copy", "demo"),
    ("pipelines", "copy", "demo", "train", "--version", "1"),
    ("pipelines", "tag", "train", "x", "y"),
    ("pipelines", "tag", "train", "z", "--remove", "x", "--expect", "2"),
    ("pipelines", "tag", "train", "z", "--expect", "2"),
    ("pipelines", "describe", "train", "It does."),
    ("pipelines", "describe", "train", ""),
    ("pipelines", "rename", "train", "fit", "--expect", "5"),
    ("pipelines", "rename", "fit", "fit"),
    ("pipelines", "remake-folder", "fit"),
    ("pipelines", "archive", "fit", "--expect", "6"),
    ("pipelines", "archive", "fit"),
    ("pipelines", "tag", "fit", "x"),
    ("pipelines", "restore", "fit"),
    ("pipelines", "restore", "fit"),
    ("pipelines", "delete", "fit", "--confirm", "fit"),
    ("pipelines", "delete", "fit", "--confirm", "fit"),
    ("templates", "share", "demo"),
    ("templates", "share", "demo", "--name", "offered", "-d", "Ours.", "--version", "1", "--for", "domain"),
    ("templates", "unshare", "demo"),
    ("templates", "unshare", "demo"),
    ("retention", "set", "--logs-days", "7", "--outputs-days", "forever", "--jobs-days", "forever"),
    ("retention", "show"),
    ("retention", "reset"),
    ("retention", "reset"),
    ("operations", "add", "who.graphql"),
    ("operations", "add", "manifest.json"),
    ("operations", "list"),
    ("operations", "remove", SHA.upper()),
    ("operations", "remove", SHA),
    ("operations", "list"),
    ("run", "demo"),
    ("skip", "{job}", "a", "nobody"),
    ("skip", "{job}", "b", "a", "b"),
    ("skip", "{job}", "b"),
    ("cancel", "{job}"),
    ("skip", "{job}", "c"),
    ("pipelines",),
    ("pipelines", "--archived"),
    ("jobs",),
]


@pytest.mark.timeout(300)  # a hundred commands
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
async def test_what_changes_something_is_told_alike_and_does_the_same(
    stored: CommandLine, remote: RemoteCommandLine, files: None, database: Database, form: tuple[str, ...]
) -> None:
    """In two projects of one database, one each."""
    jobs: dict[str, str] = {}
    for project in ("here", "there"):
        await database.run(lambda db, project=project: ensure_project(db, project))
    for command in WRITES:
        answers = {}
        for cli, project in ((stored, "here"), (remote, "there")):
            if "{job}" in command and project not in jobs:
                listed = await cli("jobs", "--limit", "1", "--json", "--project", project)
                jobs[project] = listed.json["jobs"][0]["id"]
            args = [part.format(job=jobs.get(project), project=project) for part in command]
            answers[project] = settled(await cli(*args, "--project", project, *form))
        assert answers["there"] == answers["here"], command
    async with database.transaction() as db:
        rows = await db.rows(
            """SELECT p.name, e.action, e.before, e.after FROM audit_entry e JOIN project p ON p.id = e.project_id
               WHERE p.name IN ('here', 'there') ORDER BY e.id"""
        )
    written = {name: [_plain(row) for row in rows if row["name"] == name] for name in ("here", "there")}
    assert written["there"] == written["here"]
    assert len(written["here"]) > 20


async def test_resource_groups_are_told_alike_with_parts_of_slots_and_who_uses_them(
    stored: CommandLine, remote: RemoteCommandLine, engine: Engine
) -> None:
    assert await remote("resources") == await stored("resources")
    engine.site.room = 3
    engine.site.script("a", Script(held=True))
    job = await engine.submit(a_file({"a": ""}, a={"resources": {"cpu": 2, "mem": "64m", "cuda.shares": 0.5}}))
    async with engine.scheduling():
        await engine.reached(job, "a", InstanceState.RUNNING)
        capacity = {"cpu": Decimal(8), "mem": Decimal(2**30), "cuda.shares": Decimal("1.5"), "rngd.device": Decimal(2)}
        async with engine.database.transaction() as db:
            await write_capacity(db, "simulated", {"": an_idle(capacity)})
        for form in ((), ("--json",)):
            here, there = await stored("resources", *form), await remote("resources", *form)
            assert there == here
            assert (there.code, "0.5" in there.out, "1.5" in there.out) == (0, True, True)


async def test_operations_for_every_project_need_no_project(
    remote: RemoteCommandLine, stored: CommandLine, files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTTRACK_PROJECT", "nowhere")
    assert (await remote("operations", "add", "who.graphql", "--everywhere")).out == SHA + "\n"
    listed = await remote("operations", "list", "--everywhere", "--json")
    assert [o["sha256"] for o in listed.json["operations"]] == [SHA]
    assert listed == await stored("operations", "list", "--everywhere", "--json")
    assert (await remote("operations", "remove", SHA, "--everywhere")).err == "removed Who\n"
    assert (await remote("operations", "list")).code == 3


async def test_a_pipeline_is_copied_into_another_project(
    remote: RemoteCommandLine, files: None, database: Database
) -> None:
    await database.run(lambda db: ensure_project(db, "vision"))
    await remote("publish", "demo.yaml")
    assert (await remote("pipelines", "copy", "demo", "--to", "vision")).out.startswith("made demo")
    assert [p["name"] for p in (await remote("pipelines", "--project", "vision", "--json")).json["pipelines"]] == [
        "demo"
    ]
    assert (await remote("pipelines", "copy", "demo", "--to", "visoin")).code == 3


async def test_what_a_role_does_not_allow_is_refused_and_changes_nothing(
    remote: RemoteCommandLine, files: None, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await remote("publish", "demo.yaml")
    await remote("operations", "add", "who.graphql")
    people = People(database)
    made = await people.token(await people.user("ada", default="editor"), *Permission)
    monkeypatch.setenv("FASTTRACK_TOKEN", made.secret.text)
    assert (await remote("pipelines", "tag", "demo", "x")).code == 0
    before = (await everything(database))[:-1]  # what is refused is in the audit log
    for command in (
        ("retention", "set", "--logs-days", "7"),
        ("retention", "reset"),
        ("operations", "add", "wrong.graphql"),
        ("operations", "add", "who.graphql", "--everywhere"),
        ("operations", "remove", SHA),
        ("templates", "share", "demo", "--for", "everyone"),
        ("pipelines", "delete", "demo", "--confirm", "demo"),
    ):
        answer = await remote(*command)
        assert (answer.code, answer.out) == (6, ""), (command, answer)
    assert (await everything(database))[:-1] == before


async def test_of_several_archived_ones_the_id_brings_one_back(remote: RemoteCommandLine) -> None:
    ids = []
    for _ in range(2):
        ids.append((await remote("pipelines", "create", "a", "--json")).json["pipeline"]["id"])
        await remote("pipelines", "archive", "a")
    several = await remote("pipelines", "restore", "a")
    assert (several.code, "give the id of one" in several.err) == (2, True)
    assert (await remote("pipelines", "restore", ids[0])).out == "a is back\n"


@pytest.mark.parametrize(
    ("command", "last"),
    [
        (("pipelines", "create", "b"), "made b, empty: publish a file with that name\n"),
        (("pipelines", "copy", "demo"), "made demo-copy\n"),
        (("pipelines", "rename", "demo", "b", "--expect", "1"), "b\n"),
        (("pipelines", "tag", "demo", "x"), "demo [x]\n"),
        (("pipelines", "describe", "demo", "It does.", "--expect", "1"), "demo: It does.\n"),
        (("pipelines", "archive", "demo", "--expect", "1", "--json"), "archived_at"),
        (("pipelines", "delete", "demo", "--confirm", "demo"), "deleted demo; what it leaves on disk"),
        (("operations", "add", "who.graphql"), SHA),
        (("operations", "remove", SHA, "--json"), SHA),
        (("retention", "reset"), "settings"),
        (("templates", "share", "demo"), "is the template demo"),
    ],
)
async def test_an_answer_that_is_lost_is_asked_for_again_and_what_was_asked_is_done_once(
    remote: RemoteCommandLine, server: Server, files: None, database: Database, command: tuple[str, ...], last: str
) -> None:
    await remote("publish", "demo.yaml")
    if "remove" in command:
        await remote("operations", "add", "who.graphql")
    if "reset" in command:
        await remote("retention", "set", "--logs-days", "7")
    before = len(await _audit(database))
    server.way.lose = 1
    answer = await remote(*command)
    assert (answer.code, last in answer.out) == (0, True), answer
    assert server.way.lose == 0
    assert len(await _audit(database)) == before + 1


@pytest.mark.parametrize("command", [("archive",), ("delete", "--confirm", "demo"), ("tag", "x"), ("rename", "b")])
async def test_a_conflict_with_somebody_else_is_told_also_after_a_lost_answer(
    remote: RemoteCommandLine, server: Server, files: None, command: tuple[str, ...]
) -> None:
    await remote("publish", "demo.yaml")
    await remote("pipelines", "describe", "demo", "Somebody was here.")
    server.way.lose = 1
    verb, *more = command
    answer = await remote("pipelines", verb, "demo", *more, "--expect", "1")
    assert (answer.code, "at revision 2, not 1" in answer.err) == (5, True), answer


async def everything(database: Database) -> list[Any]:
    """What none of the reads may change."""
    async with database.transaction() as db:
        return [
            [str(row[0]) for row in await db.rows(f"SELECT t::text FROM {table} t ORDER BY 1")]
            for table in ("pipeline", "template", "stored_operation", "project", "job", "task_instance", "audit_entry")
        ]


async def _audit(database: Database) -> list[Any]:
    async with database.transaction() as db:
        return list(await db.rows("SELECT id FROM audit_entry"))


def _plain(row: Any) -> str:
    """An entry without the ids and times in it, and without the numbers of one sequence for all projects."""
    told = settled(Answer(0, f"{row['action']} {row['before']} {row['after']}", "")).out
    return re.sub(r"'created_at': '[^']*'|'revision': \d+", "", told)
