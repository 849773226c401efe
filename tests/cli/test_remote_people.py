"""Accounts, members and tokens of a server: as on its machine, within what the caller may, whatever becomes of answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from fasttrack.db import Database
from fasttrack.db.projects import ensure_project
from fasttrack.domain.access import Permission
from fasttrack.ids import ProjectId
from fasttrack.workflow.tokens import caller_of_bearer, find_bearer
from tests.cli.command_line import Answer, CommandLine
from tests.cli.remote_server import RemoteCommandLine, Server, settled
from tests.people import People, everything, utc_now

WRITES: Sequence[tuple[str, ...]] = [
    ("members", "list"),
    ("accounts", "create", "ada-{project}", "--display-name", "Ada L.", "--email", "ada@example.com"),
    ("accounts", "create", "ada-{project}"),
    ("accounts", "create", "root-{project}", "--superadmin"),
    ("accounts", "create", "nightly", "--service", "--role", "viewer", "--display-name", "At night"),
    ("accounts", "create", "nightly", "--service"),
    ("accounts", "disable", "ada-{project}"),
    ("accounts", "disable", "ada-{project}"),
    ("tokens", "create", "laptop", "--account", "ada-{project}"),
    ("accounts", "enable", "ada-{project}"),
    ("accounts", "disable", "{project}/nightly"),
    ("accounts", "enable", "{project}/nightly"),
    ("members", "add", "ada-{project}", "admin"),
    ("members", "add", "ada-{project}", "admin"),
    ("members", "change", "ada-{project}", "viewer"),
    ("members", "change", "{project}/nightly", "admin"),
    ("members", "change", "ada-{project}", "operator"),
    ("members", "list"),
    ("members", "remove", "ada-{project}"),
    ("members", "remove", "ada-{project}"),
    ("members", "remove", "{project}/nightly"),
    ("tokens", "create", "laptop", "--account", "ada-{project}", "--days", "366"),
    ("tokens", "create", "ci", "--account", "{project}/nightly", "--scope", "run", "--scope", "read", "--days", "1"),
    ("tokens", "create", "narrow", "--account", "ada-{project}", "--only-this-project", "--stored-operations-only"),
    ("tokens", "list", "--account", "ada-{project}"),
    ("tokens", "rotate", "{token}", "--overlap-hours", "1"),
    ("tokens", "rotate", "{token}"),
    ("tokens", "list", "--account", "{project}/nightly"),
    ("tokens", "revoke", "{token}"),
    ("tokens", "revoke", "{token}"),
    ("tokens", "list", "--account", "{project}/nightly"),
    ("audit", "--object", "token"),
    ("audit", "--action", "member.change"),
]


@pytest.fixture(autouse=True)
def _same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "owner")  # as whoever calls a server on loopback is called


@pytest.fixture
def people(database: Database) -> People:
    return People(database)


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
async def test_what_changes_people_is_told_alike_and_does_the_same(
    stored: CommandLine, remote: RemoteCommandLine, database: Database, form: tuple[str, ...]
) -> None:
    """In two projects of one database, one each; their names are as long, so that lines end at the same place."""
    tokens = {}
    for project in ("here", "away"):
        await database.run(lambda db, project=project: ensure_project(db, project))
    for command in WRITES:
        answers = {}
        for cli, project in ((stored, "here"), (remote, "away")):
            if "{token}" in command and project not in tokens:
                listed = await cli("tokens", "list", "--account", f"{project}/nightly", "--json")
                tokens[project] = listed.json["tokens"][0]["id"]
            args = [part.format(project=project, token=tokens.get(project)) for part in command]
            answers[project] = _as_of(project, settled(await cli(*args, "--project", project, *form)))
        assert answers["away"] == answers["here"], command
    async with database.transaction() as db:
        rows = await db.rows(
            """SELECT p.name, array_agg(e.action || ' ' || e.outcome ORDER BY e.id) AS actions
               FROM audit_entry e JOIN project p ON p.id = e.project_id
               WHERE p.name IN ('here', 'away') GROUP BY p.name ORDER BY p.name"""
        )
    assert [r["name"] for r in rows] == ["away", "here"]
    assert rows[0]["actions"] == rows[1]["actions"]
    assert rows[0]["actions"][-1] == "token.revoke done"


def _as_of(project: str, answer: Answer) -> Answer:
    out, err = (text.replace(f"-{project}", "-IT").replace(f"{project}/", "IT/") for text in (answer.out, answer.err))
    out = out.replace("command line", "WHERE").replace("127.0.0.1", "WHERE")
    return Answer(answer.code, out, err)


async def test_a_token_is_told_once_and_works(
    remote: RemoteCommandLine, server: Server, people: People, project: ProjectId
) -> None:
    await people.service("default", "nightly")
    made = await remote("tokens", "create", "ci", "--account", "default/nightly", "--scope", "read")
    assert made.code == 0, made.err
    text = made.out.strip()
    assert text not in made.err + str(server.way.requests) + str(server.way.headers)
    async with people.database.transaction() as db:
        caller = caller_of_bearer(await find_bearer(db, text), origin="", now=utc_now())
    assert (caller.name, caller.scopes, caller.only_project) == ("default/nightly", {Permission.READ}, project)
    assert text not in (await remote("tokens", "list", "--account", "default/nightly", "--json")).out


async def test_without_a_name_this_project_is_the_servers_own(
    remote: RemoteCommandLine, people: People, project: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And never all: a token for more than was asked for is the one mistake that nobody sees."""
    made = await remote("tokens", "create", "narrow", "--only-this-project", "--json")
    assert made.json["token"]["only_project"] == str(project)
    ada = await people.user("ada", vision="admin")
    monkeypatch.setenv("FASTTRACK_TOKEN", (await people.token(ada)).secret.text)
    before = await everything(people)
    nowhere = await remote("tokens", "create", "narrow", "--only-this-project")
    assert (nowhere.code, nowhere.out) == (3, "")
    assert nowhere.err.endswith(" has no project of its own for you: name one with --project\n")
    assert await everything(people) == before
    there = await remote("tokens", "create", "narrow", "--only-this-project", "--project", "vision", "--json")
    assert there.json["token"]["only_project"] == str(await people.project("vision"))


async def test_what_the_caller_may_not_is_the_servers_sentence(
    remote: RemoteCommandLine, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await people.user("ada", default="editor")
    await people.user("grace", default="admin")
    robot = await people.service("default", "nightly")
    of_robot = await people.token(robot)
    monkeypatch.setenv("FASTTRACK_TOKEN", (await people.token(ada, Permission.READ, Permission.RUN)).secret.text)
    needs_manage = "error: this needs the permission manage in the project, which ada does not have\n"
    for_superadmins = "error: this is for superadmins, with a token that is not for one project alone\n"
    stored = {
        name: (await everything(people))[table] for table, name in enumerate(("account", "member", "domain", "token"))
    }
    for args, code, says in (
        (("accounts", "create", "alan"), 6, for_superadmins),
        (("accounts", "create", "weekly", "--service"), 6, needs_manage),
        (("accounts", "disable", "grace"), 6, for_superadmins),
        (("accounts", "disable", "default/nightly"), 6, needs_manage),
        (("members", "add", "grace", "viewer"), 6, needs_manage),
        (("members", "remove", "grace"), 6, needs_manage),
        (("tokens", "list", "--account", "default/nightly"), 6, needs_manage),
        (("tokens", "create", "x"), 6, "error: the token that you came with has not the scope manage, and cannot make tokens\n"),
        (("tokens", "revoke", str(of_robot.token.id)), 3, "error: there is no such token\n"),
        (("audit",), 6, needs_manage),
        (("audit", "--everywhere"), 6, "error: the audit log is for those who manage a project\n"),
        (("audit", "--project", "vision"), 3, "error: there is no project 'vision'\n"),
    ):  # fmt: skip
        refused = await remote(*args)
        assert (refused.code, refused.out, refused.err) == (code, "", says), args
        as_json = await remote(*args, "--json")
        assert (as_json.code, as_json.json["error"]["message"]) == (code, says.removeprefix("error: ").rstrip()), args
    after = {
        name: (await everything(people))[table] for table, name in enumerate(("account", "member", "domain", "token"))
    }
    assert [row[:2] for row in after["token"]] == [row[:2] for row in stored["token"]]  # one was used meanwhile
    assert {**after, "token": None} == {**stored, "token": None}
    assert [a["name"] for a in (await remote("accounts", "list", "--json")).json["accounts"]] == [
        "ada", "default/nightly", "grace",
    ]  # fmt: skip


async def test_an_address_that_is_not_ones_own_to_see_is_none(
    remote: RemoteCommandLine, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await people.user("ada", email="ada@example.com", default="viewer")
    await people.user("grace", email="grace@example.com", default="viewer")
    monkeypatch.setenv("FASTTRACK_TOKEN", (await people.token(ada)).secret.text)
    listed = (await remote("accounts", "list", "--json")).json["accounts"]
    assert [(a["name"], a["email"]) for a in listed] == [("ada", "ada@example.com"), ("grace", None)]
    rows = [line.split() for line in (await remote("accounts", "list")).out.splitlines()[1:]]
    assert [(row[0], row[-1]) for row in rows] == [("ada", "ada@example.com"), ("grace", "-")]


async def test_an_admin_finds_people_by_name_to_make_them_members(
    remote: RemoteCommandLine, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await people.user("ada", default="admin")
    await people.user("grace")
    await people.service("vision", "nightly")
    monkeypatch.setenv("FASTTRACK_TOKEN", (await people.token(ada)).secret.text)
    assert (await remote("members", "add", "grace", "viewer")).out == "grace: viewer\n"
    foreign = await remote("members", "add", "vision/nightly", "viewer")
    assert (foreign.code, foreign.err) == (3, "error: there is no account vision/nightly\n")
    hidden = await remote("accounts", "disable", "vision/nightly")
    assert (hidden.code, hidden.err) == (3, "error: there is no account vision/nightly\n")


@pytest.mark.parametrize("what", ["create", "rotate"])
async def test_a_lost_answer_never_makes_a_second_token(
    remote: RemoteCommandLine, server: Server, people: People, what: str
) -> None:
    """Nobody knows the text of the one that may have been made: it is told how to be rid of it."""
    old = (await remote("tokens", "create", "old", "--json")).json["token"]["id"]
    seen = len(server.way.requests)
    server.way.lose = 1
    args = ("tokens", "create", "new") if what == "create" else ("tokens", "rotate", old)
    answer = await remote(*args, "--json")
    error = answer.json["error"]
    assert (answer.code, error["code"], error["retryable"]) == (4, "UNSETTLED", False)
    assert error["message"] == (
        f"{server.url} did not tell whether the token was made; if it was, nobody knows its text. See `fasttrack tokens "
        "list`, and revoke what was made before you ask again"
    )
    assert len(server.way.requests) == seen + 1
    made = (await remote("tokens", "list", "--json")).json["tokens"]
    assert [t["name"] for t in made] == ["new" if what == "create" else "old", "old"]
    server.way.refusals = [(503, {"Retry-After": "0"})]  # the database went away, before the commit or after it
    assert (await remote(*args)).code == 4
    assert len(server.way.requests) == seen + 3
    assert len((await remote("tokens", "list", "--json")).json["tokens"]) == 2


async def test_a_token_is_asked_for_again_when_the_server_was_busy(remote: RemoteCommandLine, server: Server) -> None:
    server.way.refusals = [(429, {"Retry-After": "0"})]
    assert (await remote("tokens", "create", "ci")).code == 0
    assert len((await remote("tokens", "list", "--json")).json["tokens"]) == 1


async def test_a_lost_answer_about_people_is_settled_by_asking_again(
    remote: RemoteCommandLine, server: Server, people: People
) -> None:
    """What is there already is one's own doing, if it is as it was asked for, and a conflict if it is not."""
    for args, says in (
        (("accounts", "create", "ada", "--email", "ada@example.com"), "ada"),
        (("accounts", "create", "nightly", "--service", "--role", "viewer"), "default/nightly"),
        (("members", "add", "ada", "editor"), "ada: editor"),
        (("members", "change", "ada", "viewer"), "ada: viewer"),
        (("accounts", "disable", "default/nightly"), "default/nightly: disabled"),
        (("members", "remove", "ada"), "removed ada"),
    ):
        server.way.lose = 1
        answer = await remote(*args)
        assert (answer.code, answer.out + answer.err) == (0, f"{says}\n"), args
        assert server.way.lose == 0
    assert [action for _, action, _, _ in await people.audit()] == [
        "account.create", "account.create", "member.add", "member.change", "account.disable", "member.remove",
    ]  # fmt: skip
    await remote("members", "add", "ada", "editor")
    before = await everything(people)
    for args, says in (
        (("accounts", "create", "ada"), "there is an account ada already"),
        (("accounts", "create", "nightly", "--service", "--role", "admin"), "has a service account nightly already"),
        (("members", "add", "ada", "admin"), "ada is a member already"),
    ):
        server.way.lose = 1
        answer = await remote(*args)
        assert (answer.code, answer.out) == (5, "")
        assert says in answer.err
    assert await everything(people) == before


async def test_long_lists_are_read_to_their_end(
    remote: RemoteCommandLine, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fasttrack_cli.remote.listing._PAGE", 2)
    for name in ("ada", "alan", "grace"):
        await people.token(await people.user(name, default="viewer"))
        await remote("tokens", "create", name)
    assert [a["name"] for a in (await remote("accounts", "list", "--json")).json["accounts"]] == [
        "ada", "alan", "grace", "owner",
    ]  # fmt: skip
    assert len((await remote("members", "list", "--json")).json["members"]) == 3
    assert [t["name"] for t in (await remote("tokens", "list", "--json")).json["tokens"]] == ["grace", "alan", "ada"]
    whole = (await remote("audit", "--everywhere", "--json")).json["entries"]
    assert (await remote("audit", "--everywhere", "--limit", "5", "--json")).json["entries"] == whole[:5]
    assert len(whole) == 12
    page = await remote("audit", "--everywhere", "--limit", "5", "--before", whole[4]["id"], "--json")
    assert page.json["entries"] == whole[5:10]


async def test_nothing_of_this_machine_is_touched(remote: RemoteCommandLine, tmp_path: Path) -> None:
    for args in (("accounts", "list"), ("members", "list"), ("tokens", "create", "ci"), ("audit",)):
        assert (await remote(*args)).code == 0
    assert not (tmp_path / "state").exists()
