"""`fasttrack accounts`, `members` and `tokens`."""

from __future__ import annotations

import getpass

import pytest

from fasttrack.db import Database
from fasttrack.domain.tokens import TokenKind, kind_of
from fasttrack.ids import ProjectId
from fasttrack.workflow.tokens import caller_of_bearer, find_bearer
from tests.cli.command_line import CommandLine
from tests.people import People, utc_now


async def test_from_nothing_to_a_program_that_may_run(stored: CommandLine, database: Database) -> None:
    made = await stored("accounts", "create", "nightly", "--service", "--role", "editor")
    assert (made.code, made.out) == (0, "default/nightly\n")
    token = await stored("tokens", "create", "ci", "--account", "default/nightly", "--scope", "read", "--scope", "run")
    assert token.code == 0
    text = token.out.strip()
    assert kind_of(text) is TokenKind.SERVICE
    assert text not in token.err
    assert "of default/nightly, valid until" in token.err
    async with database.transaction() as db:
        caller = caller_of_bearer(await find_bearer(db, text), origin="", now=utc_now())
    assert (caller.name, sorted(caller.scopes)) == ("default/nightly", ["read", "run"])
    entries = await People(database).audit()
    assert [(who, action) for who, action, _, _ in entries] == [
        (getpass.getuser(), "account.create"),
        (getpass.getuser(), "token.create"),
    ]


async def test_tokens_are_listed_renewed_and_revoked(stored: CommandLine) -> None:
    made = (await stored("tokens", "create", "ci", "--days", "3", "--json")).json
    assert set(made) == {"token", "secret"}
    old = made["token"]["id"]
    renewed = (await stored("tokens", "rotate", old, "--overlap-hours", "1", "--json")).json
    listed = (await stored("tokens", "list", "--json")).json["tokens"]
    assert [(t["id"], t["rotated_to"]) for t in listed] == [
        (renewed["token"]["id"], None),
        (old, renewed["token"]["id"]),
    ]
    assert made["secret"] not in str(listed)
    assert renewed["secret"] not in str(listed)
    again = await stored("tokens", "rotate", old)
    assert (again.code, again.out) == (5, "")
    assert "rotated already" in again.err
    assert (await stored("tokens", "revoke", old)).err == "revoked ci of owner\n"
    table = (await stored("tokens", "list")).out.splitlines()
    assert table[0].split() == ["TOKEN", "NAME", "SCOPES", "ENDS", "LAST", "USED", "STATE"]
    assert [line.split()[-1] for line in table[1:]] == ["-", "revoked"]


async def test_people_become_members_and_the_last_admin_stays(stored: CommandLine, project: ProjectId) -> None:
    assert (await stored("accounts", "create", "ada", "--display-name", "Ada L.", "--email", "a@b.c")).out == "ada\n"
    assert (await stored("members", "add", "ada", "admin")).out == "ada: admin\n"
    refused = await stored("members", "change", "ada", "viewer")
    assert (refused.code, "last admin" in refused.err) == (5, True)
    await stored("accounts", "create", "grace")
    await stored("members", "add", "grace", "admin")
    assert (await stored("members", "change", "ada", "viewer")).out == "ada: viewer\n"
    listed = (await stored("members", "list", "--json")).json["members"]
    assert [(m["name"], m["role"]) for m in listed] == [("ada", "viewer"), ("grace", "admin")]
    assert (await stored("members", "remove", "ada")).err == "removed ada\n"
    assert [line.split()[:2] for line in (await stored("members", "list")).out.splitlines()] == [
        ["MEMBER", "ROLE"],
        ["grace", "admin"],
    ]


async def test_accounts_are_disabled_and_enabled(stored: CommandLine) -> None:
    await stored("accounts", "create", "ada")
    assert (await stored("accounts", "disable", "ada")).out == "ada: disabled\n"
    assert (await stored("accounts", "enable", "ada")).out == "ada: as a member\n"
    last = await stored("accounts", "disable", "owner")
    assert (last.code, last.err) == (5, "error: owner is the last superadmin; make another one first\n")
    listed = (await stored("accounts", "list", "--json")).json["accounts"]
    assert [(a["name"], a["is_superadmin"], a["disabled_at"]) for a in listed] == [
        ("ada", False, None),
        ("owner", True, None),
    ]


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("accounts", "create", "a b"), 2, "cannot be a name"),
        (("accounts", "create", "x", "--service", "--superadmin"), 2, "cannot be a superadmin"),
        (("accounts", "disable", "nobody"), 3, "there is no account nobody"),
        (("members", "add", "nobody", "viewer"), 3, "there is no account nobody"),
        (("members", "add", "owner", "king"), 2, "'king' is not a role; the roles are viewer, editor, operator, admin"),
        (("members", "remove", "owner"), 3, "is no member"),
        (("tokens", "create", "x", "--scope", "all"), 2, "a scope is one of read, edit, run"),
        (("tokens", "create", "x", "--days", "0"), 2, "--days"),
        (("tokens", "create", "x", "--account", "nobody"), 3, "there is no account nobody"),
        (("tokens", "revoke", "00000000-0000-0000-0000-000000000009"), 3, "there is no such token"),
        (("tokens", "revoke", "abc"), 2, "for 'ID'"),
    ],
)
async def test_what_cannot_be_is_a_sentence_and_changes_nothing(
    stored: CommandLine, database: Database, args: tuple[str, ...], code: int, says: str
) -> None:
    answer = await stored(*args)
    assert (answer.code, answer.out) == (code, "")
    assert says in answer.err
    assert await People(database).audit() == []


async def test_a_token_can_be_for_stored_operations_only(stored: CommandLine, database: Database) -> None:
    made = (await stored("tokens", "create", "portal", "--stored-operations-only", "--json")).json
    assert made["token"]["stored_only"] is True
    async with database.transaction() as db:
        caller = caller_of_bearer(await find_bearer(db, made["secret"]), origin="", now=utc_now())
    assert caller.is_stored_only
    assert "stored operations only" in (await stored("tokens", "list")).out
