"""People, programs and their tokens, for tests of who may do what."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from fasttrack.clock import SystemClock
from fasttrack.db import Database, Db
from fasttrack.db.accounts import Account, load_standing
from fasttrack.db.engine import Database as RealDatabase
from fasttrack.db.projects import ensure_project
from fasttrack.domain.access import Caller, Permission, Role
from fasttrack.errors import FastTrackError
from fasttrack.ids import ProjectId
from fasttrack.workflow.accounts import caller_of, create_service_account, create_user
from fasttrack.workflow.members import add_member
from fasttrack.workflow.owner import local_caller
from fasttrack.workflow.tokens import CreatedToken, create_token


class CountedDatabase(RealDatabase):
    """A database that counts its transactions and their statements."""

    def __init__(self, real: Database) -> None:
        self.real = real
        self.transactions = 0
        self.statements = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Db]:
        self.transactions += 1
        async with self.real.transaction() as db:
            yield _CountedDb(db, self)

    async def close(self) -> None:
        await self.real.close()


class _CountedDb(Db):
    def __init__(self, db: Db, counter: CountedDatabase) -> None:
        super().__init__(db._connection)
        self._counter = counter

    async def rows(self, sql: str, *args: object) -> list[Any]:
        self._counter.statements += 1
        return await super().rows(sql, *args)

    async def row(self, sql: str, *args: object) -> Any:
        self._counter.statements += 1
        return await super().row(sql, *args)

    async def value(self, sql: str, *args: object) -> Any:
        self._counter.statements += 1
        return await super().value(sql, *args)

    async def execute(self, sql: str, *args: object) -> int:
        self._counter.statements += 1
        return await super().execute(sql, *args)

    __slots__ = ("_counter",)


class People:
    """What a test does with accounts, in few words."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def owner(self) -> Caller:
        """The machine's owner."""
        return await self.database.run(lambda db: local_caller(db, "root"))

    async def project(self, name: str) -> ProjectId:
        """A project."""
        return await self.database.run(lambda db: ensure_project(db, name))

    async def user(self, name: str, *, superadmin: bool = False, email: str = "", **roles: str) -> Account:
        """A person with roles: `user("ada", vision="editor")`."""
        owner = await self.owner()
        account = await self.database.run(
            lambda db: create_user(db, owner, name, email=email, is_superadmin=superadmin)
        )
        for project, role in roles.items():
            found = await self.project(project)
            await self.database.run(
                lambda db, found=found, role=role: add_member(db, owner, found, account.id, Role(role))
            )
        return account

    async def service(self, project: str, name: str, role: str = "editor") -> Account:
        """A service account."""
        owner, found = await self.owner(), await self.project(project)
        return await self.database.run(lambda db: create_service_account(db, owner, found, project, name, Role(role)))

    async def caller(self, account: Account, **changes: Any) -> Caller:
        """The account as a caller, at this moment."""
        async with self.database.transaction() as db:
            standing = await load_standing(db, account.id)
        assert standing is not None
        return caller_of(standing, **changes)

    async def token(self, account: Account, *scopes: Permission, **more: Any) -> CreatedToken:
        """A token of the account."""
        owner = await self.owner()
        more.setdefault("now", SystemClock().now())
        async with self.database.transaction() as db:
            return await create_token(
                db, owner, name="test", account=account.id, scopes=scopes or tuple(Permission), **more
            )

    async def audit(self) -> list[tuple[str, str, Any, Any]]:
        """The audit log, oldest first: account, action, before, after."""
        async with self.database.transaction() as db:
            rows = await db.rows("SELECT account_name, action, before, after FROM audit_entry ORDER BY id")
        return [(r["account_name"], r["action"], r["before"], r["after"]) for r in rows]


async def entries(database: Database) -> list[dict[str, Any]]:
    """The audit log, oldest first, without what differs from run to run."""
    async with database.transaction() as db:
        rows = await db.rows(
            """SELECT account_name, origin, action, project_id, object_kind, object_id, before, after, outcome
               FROM audit_entry ORDER BY id"""
        )
    return [dict(r) for r in rows]


def utc_now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


async def refused(
    people: People, kind: type[FastTrackError], work: Callable[[Db], Awaitable[Any]], says: str | None = None
) -> None:
    """The work is refused, and nothing is changed and nothing written down."""
    before = await everything(people)
    with pytest.raises(kind, match=says):
        await people.database.run(work)
    assert await everything(people) == before


async def everything(people: People) -> list[Any]:
    async with people.database.transaction() as db:
        return [
            [tuple(r) for r in await db.rows(f"SELECT * FROM {table} ORDER BY 1, 2")]
            for table in ("account", "member", "domain_admin", "token", "audit_entry", "project")
        ]
