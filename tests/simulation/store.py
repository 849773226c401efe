"""The product's `Database` on a world's PostgreSQL: transactions that can be slow, cut, killed, or committed in silence.

A transaction is one atomic step, unless the world draws it to be slow: then other processes move between its
statements, and locks, skipped rows and lost updates are those of PostgreSQL itself.
"""

from __future__ import annotations

import re
from contextlib import AbstractAsyncContextManager
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any

import asyncpg

from fasttrack.db import Database
from fasttrack.db.engine import Db, is_transient
from fasttrack.db.tables import metadata
from fasttrack.errors import Unavailable
from fasttrack.ids import session_name

from .loop import Life
from .postgres import CONNECTIONS

if TYPE_CHECKING:
    from .world import World


class SimDatabase(Database):
    """One process's handle on the world's database. `run`, with its tries, is the product's own."""

    def __init__(self, world: World, life: Life | None) -> None:
        self._world = world
        self._life = life

    def transaction(self) -> AbstractAsyncContextManager[Db]:
        return Transaction(self._world, self._life)

    async def close(self) -> None:
        """The connections are the world's."""


class Transaction(AbstractAsyncContextManager[Db]):
    """One transaction of one process."""

    def __init__(self, world: World, life: Life | None) -> None:
        self._world = world
        self.life = life
        self._connection: asyncpg.Connection | None = None
        """Taken with the first statement that needs one."""
        self._is_open = False
        self._is_slow = False
        self._written: set[str] = set()
        """Tables that it may have changed."""
        self._events: list[tuple[Any, ...]] = []

    async def __aenter__(self) -> Db:
        world = self._world
        await world.tick()
        if world.is_database_away() or len(world.transactions) >= CONNECTIONS:
            raise Unavailable("the database cannot be used right now: connection refused")
        self._is_slow = world.faults.is_slow_transaction(self.life)
        self._is_open = True
        world.transactions.append(self)
        return SimDb(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        world = self._world
        if error is not None:
            self.cut()
            if is_transient(error):
                raise Unavailable(f"the database cannot be used right now: {error}") from error
            return
        await world.crash_point(self.life, "before a commit")
        if world.faults.breaks_commit(self.life):
            self.cut()
            raise Unavailable("the database cannot be used right now: the connection was lost")
        self._commit()
        await world.crash_point(self.life, "after a commit")
        if self._written and world.faults.loses_commit(self.life):
            world.saw("commit lost on the way back")
            raise Unavailable("the database cannot be used right now: the connection was lost")
        await world.tick()

    def cut(self) -> None:
        """End it without a commit, as the server does when the client is gone."""
        if self._is_open:
            self._end("ROLLBACK")

    def _commit(self) -> None:
        self._require_open()
        self._end("COMMIT")
        for table in self._written:
            self._world.changes[table] += 1
        self._world.watch.committed(self._events)

    def _end(self, verb: str) -> None:
        if self._connection is not None:
            self._world.postgres.end(self._connection, verb)
        self._connection = None
        self._is_open = False
        self._world.transactions.remove(self)

    def _require_open(self) -> None:
        if not self._is_open:
            raise Unavailable("the database cannot be used right now: terminating connection due to idle transaction")

    async def statement(self, verb: str, sql: str, args: tuple[object, ...]) -> Any:
        world = self._world
        sql = world.mutated(sql).strip()
        if self._is_slow:
            if self.life is not None and world.faults.happens(world.faults.stop_rate):
                world.saw("stopped in a transaction")
                world.stop(self.life, world.random.uniform(0.5, 12))
            await world.tick(slow=True)
        self._require_open()
        if sql == _CLOCK:
            return world.now()
        # Its tables have not changed since it was asked the last time, and nobody holds a lock: the answer is the same.
        is_alone = not self._is_slow and not self._written and world.transactions == [self]
        is_timeless = "now()" not in sql and "clock_timestamp()" not in sql
        key = (verb, sql, repr(args), self._versions(sql)) if is_alone and is_timeless else None
        if key is not None and key in world.answers:
            return world.answers[key]
        if self._connection or key is None or "UPDATE" in sql or not sql.startswith("SELECT"):
            connection = self._begun()
        else:
            connection = world.postgres.idle[-1]  # a read of its own needs no transaction
        answer = world.postgres.wait(getattr(connection, verb)(sql, *args))
        # The answer tells of a statement's last part only.
        has_written = sql.startswith("WITH") or answer not in ("UPDATE 0", "INSERT 0 0", "DELETE 0", [])
        if not sql.startswith("SELECT") and has_written:
            self._written |= tables_of(sql)
        elif key is not None:
            world.answers[key] = answer
        if "INSERT INTO event" in sql and len(args) in _EVENTS:
            self._events += zip(*args[_EVENTS[len(args)]], strict=True)
        if "INSERT INTO job " in sql:
            world.watch.submitted(args[0], args[2])  # type: ignore[arg-type]
        if "INSERT INTO task_instance" in sql:
            world.watch.instances.update({i: (args[0], n) for i, n in zip(args[24], args[25], strict=True)})  # type: ignore[call-overload]
        if "INSERT INTO attempt" in sql:
            for instance, number, until in zip(*(args[n] for n in _FENCES), strict=True):  # type: ignore[call-overload]
                world.watch.fenced(session_name(instance, number), until)
        if answer and sql.startswith("SELECT id FROM job WHERE id = ANY"):
            world.saw("job held by another scheduler")
        return answer

    def _versions(self, sql: str) -> tuple[int, ...]:
        return tuple(self._world.changes[table] for table in sorted(tables_of(sql)))

    def _begun(self) -> asyncpg.Connection:
        postgres = self._world.postgres
        if self._connection is None:
            self._connection = postgres.idle.pop()
            postgres.begin(self._connection, self._world.now())
        elif self._is_slow:
            postgres.move_clock(self._connection, self._world.now())
        return self._connection


@cache
def tables_of(sql: str) -> frozenset[str]:
    """Every table that a statement names."""
    return frozenset(re.findall(r"\w+", sql)) & metadata.tables.keys()


_CLOCK = "SELECT clock_timestamp()"
# Where the arguments of a new job and of a pass have the events, and what tells of fences.
_EVENTS = {6: slice(0, 6), 44: slice(38, 44), 50: slice(33, 39)}
_FENCES = (17, 18, 28)


class SimDb(Db):
    """An open transaction as the product's functions see it."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def rows(self, sql: str, *args: object) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await self._transaction.statement("fetch", sql, args)
        # Without an order, PostgreSQL may give any: the same one each time, so that a seed can be replayed.
        return rows if "ORDER BY" in sql else sorted(rows, key=lambda r: repr(tuple(r)))

    async def row(self, sql: str, *args: object) -> asyncpg.Record | None:
        return await self._transaction.statement("fetchrow", sql, args)

    async def value(self, sql: str, *args: object) -> Any:
        return await self._transaction.statement("fetchval", sql, args)

    async def execute(self, sql: str, *args: object) -> int:
        status = await self._transaction.statement("execute", sql, args)
        return int(status.rsplit(" ", 1)[-1]) if status[-1:].isdigit() else 0
