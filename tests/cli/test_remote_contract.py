"""The same commands on this machine's database and against a server: the same output, the same exit codes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from fasttrack.db import Database
from fasttrack.db.projects import ensure_project
from fasttrack_scheduler.backends.simulated import Script
from tests.cli.command_line import CommandLine, World, counts
from tests.cli.remote_server import RemoteCommandLine, Server, settled
from tests.factories import a_file

GRAPH = {"a": "", "b": "a", "c": "a", "d": "b c"}
PARAMS = {"params": [{"name": "lr", "type": "number", "default": 0.1}]}
TEXT_TOO = {
    ("pipelines",), ("versions", "demo"), ("diff", "demo", "1", "2"), ("export", "demo"), ("jobs",), ("job", "{job}"),
    ("job", "{job}", "--events"), ("job", "{job}", "--wait"), ("pools", "list"), ("run", "demo", "--dry-run"),
    ("run", "broken.yaml"), ("rerun", "{job}", "--dry-run"), ("cancel", "{job}"), ("publish", "changed.yaml"),
    ("accounts", "list"), ("members", "list"), ("tokens", "list"), ("audit",), ("audit", "--limit", "2"),
}  # fmt: skip
"""Of the reads those that are looked at as text as well."""
UNKNOWN = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
def files(tmp_path: Path) -> None:
    """Pipeline files: of two meanings, of none, with a secret, and with a byte that is no text."""
    (tmp_path / "demo.yaml").write_text(a_file(GRAPH, _top=PARAMS))
    (tmp_path / "changed.yaml").write_text(a_file(GRAPH, _top=PARAMS, b={"command": "echo changed"}))
    (tmp_path / "broken.yaml").write_text(a_file({"a": "nobody", "b": "b"}))
    secret = {"envs": {"TOKEN": "${{ secrets.NOT_THERE }}"}}
    (tmp_path / "secret.yaml").write_text(a_file({"a": ""}, name="secret", a={"environment": {"image": "x"} | secret}))
    (tmp_path / "bytes.yaml").write_bytes(b"name: \xff\n")


@pytest.fixture(autouse=True)
def _same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "owner")  # as whoever calls a server on loopback is called


READS: Sequence[tuple[str, ...]] = [
    ("pipelines",),
    ("pipelines", "--limit", "1"),
    ("pipelines", "--after", "demo"),
    ("pipelines", "--search", "em", "--tag", "nightly"),
    ("pipelines", "--archived"),
    ("versions", "demo"),
    ("versions", "demo", "--limit", "1"),
    ("versions", "demo", "--before", "2"),
    ("versions", "nobody"),
    ("diff", "demo", "1", "2"),
    ("diff", "demo", "1", "1"),
    ("diff", "demo", "1", "--source"),
    ("diff", "demo", "1", "9"),
    ("diff", "nobody", "1", "9"),
    ("export", "demo"),
    ("export", "demo", "--version", "1", "--generation", "25.6"),
    ("export", "{job}"),
    ("export", "nobody"),
    ("export", "demo.yaml"),
    ("jobs",),
    ("jobs", "--limit", "1"),
    ("jobs", "--state", "succeeded", "--state", "failed"),
    ("jobs", "--pipeline", "demo", "--before", "{job}"),
    ("jobs", "--pipeline", "nobody"),
    ("jobs", "--before", UNKNOWN),
    ("job", "{job}"),
    ("job", "{digits}"),
    ("job", "{job}", "--events"),
    ("job", "{job}", "--wait"),
    ("job", UNKNOWN),
    ("job", "0000"),
    ("job", "abc"),
    ("job", "not-an-id!"),
    ("job", ""),
    ("secrets", "list"),
    ("credentials", "list"),
    ("credentials", "personal"),
    ("credentials", "remove"),
    ("credentials", "remove", "--mine"),
    ("credentials", "remove", "--mine", "--account", "ada"),
    ("credentials", "remove", "--account", "nobody"),
    ("pools", "list"),
    ("projects", "list"),
    ("accounts", "list"),
    ("accounts", "create", "ada"),
    ("accounts", "create", "a b"),
    ("accounts", "create", "nightly", "--service"),
    ("accounts", "disable", "nobody"),
    ("accounts", "disable", "default/nobody"),
    ("accounts", "disable", ""),
    ("accounts", "disable", UNKNOWN),
    ("accounts", "disable", "owner"),
    ("accounts", "enable", "ada"),
    ("accounts", "enable", "default/nightly"),
    ("members", "list"),
    ("members", "add", "ada", "viewer"),
    ("members", "add", "nobody", "viewer"),
    ("members", "add", UNKNOWN, "viewer"),
    ("members", "change", "ada", "viewer"),
    ("members", "change", "owner", "viewer"),
    ("members", "change", "default/nobody", "viewer"),
    ("members", "remove", "ada"),
    ("members", "remove", "owner"),
    ("members", "remove", ".."),
    ("tokens", "list"),
    ("tokens", "list", "--account", "default/nightly"),
    ("tokens", "list", "--account", "nobody"),
    ("tokens", "list", "--account", UNKNOWN),
    ("tokens", "create", ""),
    ("tokens", "create", "x", "--account", "nobody"),
    ("tokens", "rotate", UNKNOWN),
    ("tokens", "revoke", UNKNOWN),
    ("audit",),
    ("audit", "--limit", "2"),
    ("audit", "--everywhere"),
    ("audit", "--action", "member.add", "--by", "owner", "--since", "1h", "--until", "2099-01-01"),
    ("audit", "--object", "pipeline", "--outcome", "refused"),
    ("audit", "--object", "secret:"),
    ("audit", "--by", "nobody"),
    ("audit", "--since", "1969-01-01"),
    ("audit", "--before", UNKNOWN),
    ("validate", "demo.yaml", "broken.yaml"),
    ("run", "demo", "--dry-run"),
    ("run", "demo.yaml", "--dry-run", "--skip", "b"),
    ("run", "changed.yaml", "--dry-run"),
    ("run", "nobody"),
    ("run", ".."),
    ("run", "demo", "--version", "7"),
    ("run", "demo", "--param", "lr=fast"),
    ("run", "demo", "--param", "nothing=1"),
    ("run", "demo", "--skip", "nobody"),
    ("run", "broken.yaml"),
    ("run", "secret.yaml"),
    ("run", "bytes.yaml"),
    ("rerun", "{job}", "--dry-run"),
    ("rerun", "{job}", "--from", "failure", "--dry-run"),
    ("rerun", "{job}", "--from", "nobody", "--dry-run"),
    ("rerun", UNKNOWN),
    ("cancel", "{job}"),
    ("cancel", "{job}", UNKNOWN),
    ("pause", "{job}"),
    ("resume", "{job}"),
    ("pause", "--pipeline", "nobody"),
    ("publish", "demo.yaml", "--expect", "7"),
    ("publish", "broken.yaml"),
    ("publish", "changed.yaml"),
    ("restore", "demo", "9"),
    ("restore", "nobody", "1"),
    ("pools", "set", "gpus:x", "1"),
    ("pools", "set", "project", "-1"),
    ("pools", "set", "pool:", "1"),
    ("pools", "delete", "nobody"),
    ("secrets", "delete", "NOBODY"),
]


@pytest.mark.timeout(300)  # a hundred commands
async def test_what_changes_nothing_is_told_byte_for_byte(
    stored: CommandLine, remote: RemoteCommandLine, world: World, files: None, database: Database
) -> None:
    """On one database, so that even the ids are the same."""
    world.site.script("b", Script(exit_code=3))
    assert (await stored("publish", "demo.yaml", "-m", "first")).code == 0
    assert (await stored("publish", "changed.yaml")).code == 0
    assert (await stored("pools", "set", "gpu", "3")).code == 0
    assert (await stored("accounts", "create", "ada", "--display-name", "Ada L.")).code == 0
    assert (await stored("members", "add", "ada", "admin")).code == 0
    assert (await stored("accounts", "create", "nightly", "--service")).code == 0
    assert (await stored("tokens", "create", "ci", "--account", "default/nightly", "--scope", "run")).code == 0
    assert (await stored("tokens", "create", "mine")).code == 0
    done = await stored("run", "demo", "--param", "lr=0.5", "--wait", "--scheduler", "--json")
    assert done.code == 1, done.err
    job = done.json["job"]["id"]
    before = await counts(database)
    differences = []
    for command in READS:
        args = [part.format(job=job, digits=job[-8:]) for part in command]
        for form in ((), ("--json",)) if command in TEXT_TOO else (("--json",),):
            here, there = await stored(*args, *form), await remote(*args, *form)
            if "--dry-run" in args:  # what is only tried has a time of its own
                here, there = settled(here), settled(there)
            differences += [(args, form, here, there)] if there != here else []
    assert differences == []
    assert await counts(database) == before


WRITES: Sequence[tuple[str, ...]] = [
    ("pipelines",),
    ("jobs",),
    ("secrets", "list"),
    ("pools", "list"),
    ("publish", "demo.yaml", "-m", "first", "--expect", "0"),
    ("publish", "demo.yaml", "--expect", "0"),
    ("publish", "changed.yaml"),
    ("restore", "demo", "1"),
    ("restore", "demo", "1"),
    ("run", "demo.yaml"),
    ("run", "changed.yaml", "-m", "again", "--priority", "7", "--skip", "c"),
    ("run", "demo", "--version", "1", "--param", "lr=2", "--key", "k"),
    ("run", "demo", "--version", "1", "--param", "lr=2", "--key", "k"),
    ("run", "demo", "--version", "1", "--param", "lr=3", "--key", "k"),
    ("rerun", "{job}"),
    ("pause", "{job}"),
    ("pause", "{job}", "--stop"),
    ("pause", "--pipeline", "demo"),
    ("resume", "{job}", "--pipeline", "demo"),
    ("cancel", "{job}"),
    ("cancel", "{job}"),
    ("pause", "{job}"),
    ("pools", "set", "gpu", "4"),
    ("pools", "set", "resource_group:default", "0"),
    ("pools", "set", "project", "9"),
    ("pools", "delete", "project"),
    ("pools", "delete", "gpu"),
    ("projects", "create", "vision"),
    ("projects", "create", "vision", "--domain", "research"),
    ("projects", "create", "two\nlines"),
    ("secrets", "set", "TOKEN", "--from-file", "demo.yaml"),
    ("secrets", "set", "1TOKEN", "--from-file", "demo.yaml"),
    ("secrets", "delete", "TOKEN"),
    ("credentials", "personal", "--allow"),
    ("credentials", "personal"),
    ("pipelines",),
    ("versions", "demo"),
    ("jobs",),
    ("pools", "list"),
    ("secrets", "list"),
]


@pytest.mark.timeout(300)  # a hundred commands
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
async def test_what_changes_something_is_told_alike_and_does_the_same(
    stored: CommandLine, remote: RemoteCommandLine, files: None, database: Database, form: tuple[str, ...]
) -> None:
    """In two projects of one database, one each."""
    jobs = {}
    for project in ("here", "there"):
        await database.run(lambda db, project=project: ensure_project(db, project))
    for command in WRITES:
        answers = {}
        for cli, project in ((stored, "here"), (remote, "there")):
            if "{job}" in command:
                listed = await cli("jobs", "--limit", "1", "--json", "--project", project)
                jobs[project] = listed.json["jobs"][0]["id"]
            args = [part.format(job=jobs.get(project)) for part in command]
            answers[project] = settled(await cli(*args, "--project", project, *form))
        assert answers["there"] == answers["here"], command
    async with database.transaction() as db:
        rows = await db.rows(
            """SELECT p.name AS project, count(DISTINCT l.id) AS pipelines, count(DISTINCT v.id) AS versions,
                      count(DISTINCT j.id) AS jobs
               FROM project p LEFT JOIN pipeline l ON l.project_id = p.id
               LEFT JOIN pipeline_version v ON v.pipeline_id = l.id LEFT JOIN job j ON j.project_id = p.id
               WHERE p.name IN ('here', 'there') GROUP BY p.name ORDER BY p.name"""
        )
    here, there = (dict(row) | {"project": ""} for row in rows)
    assert here == there
    assert (here["pipelines"], here["jobs"]) == (1, 3)


async def test_values_of_secrets_go_in_by_standard_input(
    remote: RemoteCommandLine, server: Server, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    import io
    import sys

    class Pipe:
        buffer = io.BytesIO(b"hunter2hunter2\n")

        def isatty(self) -> bool:
            return False

    monkeypatch.setattr(sys, "stdin", Pipe())
    answer = await remote("secrets", "set", "HUB_TOKEN")
    assert (answer.code, answer.err) == (0, "stored secret HUB_TOKEN\n")
    assert ("PUT", "/api/v1/secrets/HUB_TOKEN") in server.way.requests
    assert "hunter2" not in str(server.way.requests) + str(server.way.headers)
    listed = await remote("secrets", "list", "--json")
    assert [s["name"] for s in listed.json["secrets"]] == ["HUB_TOKEN"]
    assert "hunter2" not in listed.out


async def test_a_project_that_is_not_there_is_said(remote: RemoteCommandLine) -> None:
    answer = await remote("jobs", "--project", "nowhere")
    assert (answer.code, answer.out, answer.err) == (3, "", "error: there is no project 'nowhere'\n")


@pytest.mark.parametrize(
    "command",
    [
        ("up",), ("down",), ("scheduler",), ("api",), ("doctor",), ("settings",), ("prune",), ("db", "check"),
        ("db", "upgrade"),
    ],
)  # fmt: skip
async def test_what_is_about_this_machine_is_refused(
    remote: RemoteCommandLine, server: Server, command: tuple[str, ...], tmp_path: Path
) -> None:
    answer = await remote(*command)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        f"error: `fasttrack {' '.join(command)}` is about this machine, and --server names the server {server.url}: "
        "leave that out, or add --local\n"
    )
    assert not (tmp_path / "state").exists()
    assert server.way.requests == []


async def test_a_scheduler_of_ones_own_is_refused_against_a_server(remote: RemoteCommandLine, files: None) -> None:
    answer = await remote("run", "demo.yaml", "--wait", "--scheduler")
    assert (answer.code, answer.err) == (2, "error: a server has schedulers of its own: leave --scheduler out\n")
