"""The audit log: in the same transaction, append-only, with nothing secret in it, and for those who manage."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasttrack.db import Database
from fasttrack.db.audit import AuditFilter
from fasttrack.db.windows import Window
from fasttrack.domain.access import OWNER, Permission
from fasttrack.domain.tokens import TokenKind, new_token
from fasttrack.errors import Forbidden, NotFound
from fasttrack.ids import ProjectId, new_id
from fasttrack.workflow.audit import MASK, MOST_BYTES, list_audit, masked, record
from tests.people import CountedDatabase, People, refused


@pytest.fixture
def people(database: Database) -> People:
    return People(database)


async def test_an_entry_says_who_from_where_with_what_and_how_it_was(people: People) -> None:
    ada = await people.user("ada", vision="editor")
    vision, token = await people.project("vision"), new_id()
    caller = await people.caller(ada, token_id=token, origin="203.0.113.7")
    thing = new_id()

    async def work(db: Any) -> None:
        await record(
            db, caller, "pipeline.pause", project=vision, object_kind="pipeline", object_id=thing,
            before={"paused": False}, after={"paused": True},
        )  # fmt: skip

    await people.database.run(work)
    owner = await people.owner()
    [entry] = (await people.database.run(lambda db: list_audit(db, owner, AuditFilter(account=ada.id)))).items
    assert abs((datetime.now(UTC) - entry.at).total_seconds()) < 60
    assert dataclasses.asdict(entry) == {
        "id": entry.id, "at": entry.at, "account_id": ada.id, "account_name": "ada", "token_id": token,
        "origin": "203.0.113.7", "action": "pipeline.pause", "project_id": vision, "object_kind": "pipeline",
        "object_id": str(thing), "before": {"paused": False}, "after": {"paused": True}, "outcome": "done",
    }  # fmt: skip


async def test_what_is_rolled_back_is_not_in_the_log(people: People) -> None:
    owner = await people.owner()

    async def work(db: Any) -> None:
        await record(db, owner, "account.create", object_kind="account", object_id="x")
        raise NotFound

    await refused(people, NotFound, work)


@pytest.mark.parametrize(
    "sql", ["UPDATE audit_entry SET account_name = 'x'", "DELETE FROM audit_entry", "TRUNCATE audit_entry"]
)
async def test_the_log_is_only_ever_added_to(people: People, sql: str) -> None:
    await people.user("ada")
    before = await people.audit()
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only ever added to"):
        async with people.database.transaction() as db:
            await db.execute(sql)
    assert await people.audit() == before != []


async def test_the_log_is_read_by_those_who_manage(people: People) -> None:
    ada = await people.user("ada", vision="admin", text="viewer")
    await people.user("grace", speech="admin", text="admin")
    await people.service("vision", "nightly")
    await people.service("speech", "nightly")
    admin, owner = await people.caller(ada), await people.owner()
    vision, speech, text = [await people.project(n) for n in ("vision", "speech", "text")]

    async def projects(caller: Any, wanted: AuditFilter | None = None, **page: Any) -> list[Any]:
        window = Window(**{"size": 50} | page)
        return [
            e.project_id for e in (await people.database.run(lambda db: list_audit(db, caller, wanted, window))).items
        ]

    assert await projects(admin) == [vision, vision]
    assert await projects(admin, AuditFilter(projects=[vision])) == [vision, vision]
    everything = [speech, vision, text, speech, None, text, vision, None]
    assert await projects(owner) == everything
    assert await projects(owner, size=3) == everything[:3]
    assert await projects(owner, AuditFilter(projects=[speech, text])) == [speech, text, speech, text]
    assert await projects(owner, AuditFilter(action="account.create")) == [speech, vision, None, None]
    assert await projects(owner, AuditFilter(object_kind="account", object_id=str(ada.id))) == [text, vision, None]
    assert await projects(owner, AuditFilter(account=OWNER), size=500) == everything
    for hidden in (speech, ProjectId(new_id())):
        await refused(people, NotFound, lambda db, h=hidden: list_audit(db, admin, AuditFilter(projects=[h])))
    await refused(people, Forbidden, lambda db: list_audit(db, admin, AuditFilter(projects=[text])))
    for nobody in (
        await people.caller(ada, scopes=frozenset({Permission.READ})),
        await people.caller(ada, only_project=text),
        await people.caller(await people.user("alan")),
    ):
        await refused(people, Forbidden, lambda db, n=nobody: list_audit(db, n), "manage a project")


async def test_pages_of_the_log_follow_one_another(people: People) -> None:
    for i in range(7):
        await people.user(f"user-{i}")
    owner = await people.owner()
    seen: list[str] = []
    after = None
    counted = CountedDatabase(people.database)
    while True:
        async with counted.transaction() as db:
            page = await list_audit(db, owner, window=Window(3, after=after))
        seen += [e.after["name"] for e in page.items]
        after = [page.items[-1].id]
        if not page.has_more:
            break
    assert seen == [f"user-{i}" for i in range(6, -1, -1)]
    assert counted.statements == counted.transactions == 3


def test_secrets_are_masked_by_their_name_and_by_their_form() -> None:
    token = new_token(TokenKind.PERSONAL).text
    jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl"

    class Colour(StrEnum):
        RED = "red"

    @dataclasses.dataclass
    class Thing:
        name: str
        api_key: str

    given = {
        "name": "x", "password": "hunter2", "secret": ["a"], "API-Key": "k", "apikey": 7, "token_id": "id", "token": "t",
        "scopes": frozenset({Permission.READ, Permission.EDIT}), "note": f"use {token} or {jwt}", "is_secret": True,
        "url": "postgresql://user:hunter2@db.example/x", "envs": {"HF_HOME": "/x", "A": "hunter2"}, "colour": Colour.RED,
        "thing": Thing("y", "hunter2"), "bytes": b"hunter2", "at": datetime(2026, 1, 1, tzinfo=UTC), "none": None,
        "big": 2**70, "nul": "a\0b", "surrogate": "a\ud800b", "private_key": None, "secrets": {"HUB": "hunter2"},
    }  # fmt: skip
    assert masked(given) == {
        "name": "x", "password": MASK, "secret": MASK, "API-Key": MASK, "apikey": MASK, "token_id": "id", "token": MASK,
        "scopes": ["edit", "read"], "note": "use *** or ***", "is_secret": True,
        "url": "postgresql://***@db.example/x", "envs": {"HF_HOME": MASK, "A": MASK}, "colour": "red",
        "thing": {"name": "y", "api_key": MASK}, "bytes": MASK, "at": "2026-01-01T00:00:00+00:00", "none": None,
        "big": str(2**70), "nul": "ab", "surrogate": "a?b", "private_key": None, "secrets": {"HUB": MASK},
    }  # fmt: skip


def test_what_is_too_long_is_told_by_its_size() -> None:
    assert masked("x" * 5000) == "x" * 2000 + "… (5000 characters)"
    assert len(masked(list(range(10_000)))) == 200
    assert masked({str(i): "y" * 1500 for i in range(100)}).keys() == {"left_out"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=30,
    )
)
def test_whatever_is_written_down_fits_into_the_database(value: Any) -> None:
    text = json.dumps(masked(value))
    assert "\\u0000" not in text
    assert "\\ud8" not in text or masked(value) is not None
    assert len(text) <= 6 * MOST_BYTES
