"""A real PostgreSQL for a world of virtual time: statements run to their end at once, and its clock is the world's.

Connections live on a loop of their own that runs only while a statement does, so nothing of the virtual loop happens
in between. The functions that tell the database's time are put before PostgreSQL's own in the search path and read a
setting that each transaction brings along.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import datetime
from typing import Any, TypeVar

import asyncpg

from fasttrack.db.engine import _set_json_codec

T = TypeVar("T")

CONNECTIONS = 8
_CLOCK = """
CREATE SCHEMA IF NOT EXISTS sim;
CREATE OR REPLACE FUNCTION sim.now() RETURNS timestamptz STABLE LANGUAGE sql
    AS $$ SELECT current_setting('sim.now')::timestamptz $$;
CREATE OR REPLACE FUNCTION sim.clock_timestamp() RETURNS timestamptz STABLE LANGUAGE sql
    AS $$ SELECT current_setting('sim.clock')::timestamptz $$;
"""
_SESSION = {
    "search_path": "sim, pg_catalog, public",
    "timezone": "UTC",
    "jit": "off",
    # Whoever holds the lock is another process of the world, which does not move while we wait.
    "lock_timeout": "5ms",
    "synchronous_commit": "off",
}
_KEPT = ("alembic_version", "audit_entry", "feed_head")


class _Unhurried(selectors.DefaultSelector):
    """Asks the system only when there is nothing else to do: one statement is under way, and its answer can wait."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return [] if timeout is not None and timeout <= 0 else super().select(timeout)


class Postgres:
    """Connections to one database, used by one world after the other."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.SelectorEventLoop(_Unhurried())
        self._url = url.replace("+asyncpg", "")
        self.idle = [self.wait(self._connect()) for _ in range(CONNECTIONS + 1)]  # one for checks
        first = self.idle[0]
        self.wait(first.execute(_CLOCK))
        tables = [r["tablename"] for r in self.wait(first.fetch(_TABLES))]
        for table in tables:
            # What a vacuum leaves behind changes the order of rows, and its locks come out of nowhere.
            self.wait(first.execute(f'ALTER TABLE "{table}" SET (autovacuum_enabled = off)'))
        self._emptied = ", ".join(f'"{t}"' for t in tables if t not in _KEPT)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run the work to its end; the caller's own loop, if it has one, stands still."""
        running = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            return self._loop.run_until_complete(work)
        finally:
            asyncio._set_running_loop(running)

    def empty(self) -> None:
        """Make it as new."""
        first = self.idle[0]
        self.wait(first.execute(f"TRUNCATE {self._emptied} CASCADE; UPDATE feed_head SET pos = 0"))

    def begin(self, connection: asyncpg.Connection, now: datetime) -> None:
        """Begin a transaction at that moment."""
        time = now.isoformat()
        self.wait(connection.execute(f"BEGIN; SELECT set_config('sim.now', '{time}', true), {_set_clock(time)}"))

    def move_clock(self, connection: asyncpg.Connection, now: datetime) -> None:
        """In a transaction, time has passed."""
        self.wait(connection.execute(f"SELECT {_set_clock(now.isoformat())}"))

    def end(self, connection: asyncpg.Connection, verb: str) -> None:
        """COMMIT or ROLLBACK; the connection can be used again."""
        self.wait(connection.execute(verb))
        self.idle.append(connection)

    def rows(self, sql: str, *args: object) -> list[asyncpg.Record]:
        """Ask outside of any world: for checks."""
        return self.wait(self.idle[0].fetch(sql, *args))

    def close(self) -> None:
        """Let go of the database."""
        for connection in self.idle:
            self.wait(connection.close())
        self._loop.close()

    async def _connect(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(self._url, server_settings=_SESSION, statement_cache_size=500)
        await _set_json_codec(connection)
        return connection


_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"


def _set_clock(time: str) -> str:
    return f"set_config('sim.clock', '{time}', true)"
