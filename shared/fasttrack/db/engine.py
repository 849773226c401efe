"""Connections and transactions: the one place that begins, commits and tries again.

SQLAlchemy keeps the pool and the schema; statements go to asyncpg as they are written, prepared and cached by it. The
hot path is a handful of set-based statements per pass, and nothing may stand between them and the wire (measured: the
ORM flush and the cursor layer cost more than the statements).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg
import orjson
from sqlalchemy import event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ..errors import Unavailable

T = TypeVar("T")

TRIES = 5
# serialization, deadlock, lock timeout, admin shutdown, crash shutdown, cannot connect now, too many connections, not
# accepting connections, read-only (after a failover), left idle in a transaction (a process that was stopped), disk full
_TRANSIENT = {"40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300", "55000", "25006", "25P03", "53100"}

_SESSION = {
    "application_name": "fasttrack",
    "timezone": "UTC",
    # A client that hangs in a transaction holds row locks: the server ends it.
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "10s",
    "statement_timeout": "60s",
    "jit": "off",  # our statements are short; compiling them costs more than it saves
}


class Db:
    """One open transaction. Functions of `fasttrack.db` and `fasttrack.workflow` take it first and never commit."""

    __slots__ = ("_connection",)

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def rows(self, sql: str, *args: object) -> list[asyncpg.Record]:
        """All rows of the answer."""
        return await self._connection.fetch(sql, *args)  # type: ignore[no-any-return]

    async def row(self, sql: str, *args: object) -> asyncpg.Record | None:
        """The first row, or `None`."""
        return await self._connection.fetchrow(sql, *args)

    async def value(self, sql: str, *args: object) -> Any:
        """The first column of the first row, or `None`."""
        return await self._connection.fetchval(sql, *args)

    async def execute(self, sql: str, *args: object) -> int:
        """Run a statement; how many rows it touched."""
        status = await self._connection.execute(sql, *args)
        return int(status.rsplit(" ", 1)[-1]) if status[-1:].isdigit() else 0


def columns(values: Sequence[object], names: Sequence[str]) -> list[list[Any]]:
    """One list per attribute, as `unnest` takes them."""
    return [[getattr(v, name) for v in values] for name in names]


class Database:
    """A pool of connections to one PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Db]:
        """A transaction that commits when the block ends and rolls back when it raises.

        :raises Unavailable: the database is away, or another transaction was in the way; nothing was committed unless
            the commit's answer itself was lost. `run` tries again by itself.
        """
        try:
            async with self._engine.connect() as connection:
                driver = (await connection.get_raw_connection()).driver_connection
                assert driver is not None
                has_begun = False
                try:
                    async with driver.transaction():
                        has_begun = True
                        yield Db(driver)
                except BaseException as error:
                    # A cancellation may cut off BEGIN, COMMIT or ROLLBACK themselves. Whoever had the connection next
                    # would be inside that transaction, and what it commits would never be.
                    is_open = not has_begun or driver.is_closed() or driver.is_in_transaction()
                    if is_open or isinstance(error, asyncpg.InternalClientError):
                        await connection.invalidate()
                    raise
        except Exception as error:
            if is_transient(error):
                raise Unavailable(f"the database cannot be used right now: {_first_line(error)}") from error
            raise

    async def run(self, work: Callable[[Db], Awaitable[T]], *, tries: int = TRIES) -> T:
        """Run `work` in a transaction, as a whole again after a transient fault, at most `tries` times.

        `work` must bear being run again after its commit was lost on the way back: it reads before it writes.

        :raises Unavailable: every try failed.
        """
        for attempt in range(1, tries + 1):
            try:
                async with self.transaction() as db:
                    return await work(db)
            except Unavailable:
                if attempt == tries:
                    raise
                await asyncio.sleep(random.uniform(0.5, 1.0) * 0.05 * 2**attempt)  # noqa: S311
        raise AssertionError("unreachable")

    @property
    def in_use(self) -> int:
        """Connections that a transaction has right now."""
        return int(self._engine.pool.checkedout())  # type: ignore[attr-defined]

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


def connect(url: str, *, pool_size: int = 8) -> Database:
    """A database handle for a `postgresql+asyncpg://` address; connects when first used."""
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=30,
        connect_args={"server_settings": _SESSION, "timeout": 10},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _speak_json(connection: Any, _record: object) -> None:
        connection.run_async(_set_json_codec)

    @event.listens_for(engine.sync_engine, "checkout")
    def _refuse_dead(connection: Any, _record: object, _proxy: object) -> None:
        # Ended by the server while nobody used it, and then probably not the only one: make new ones.
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError

    return Database(engine)


async def _set_json_codec(driver: asyncpg.Connection) -> None:
    await driver.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        # 1 is the version byte of the binary form of jsonb.
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda data: orjson.loads(memoryview(data)[1:]),
    )


def is_transient(error: BaseException) -> bool:
    """Whether the same work may succeed later: decided by SQLSTATE, since error classes differ between layers."""
    if isinstance(error, Unavailable):
        return False
    # SQLAlchemy's own layers wrap the driver's error, which says most.
    orig = getattr(error, "orig", None)
    if (driver := getattr(orig, "__cause__", None)) is not None and is_transient(driver):
        return True
    state = getattr(error, "sqlstate", None) or getattr(orig, "sqlstate", None)
    if state is not None:
        return state in _TRANSIENT or state.startswith("08")
    # InternalClientError: the server ended the connection just when a statement was about to be sent.
    if getattr(error, "connection_invalidated", False):
        return True
    return isinstance(error, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError | TimeoutError) or (
        type(error).__module__.startswith("sqlalchemy.exc")
        and type(error).__name__ in ("TimeoutError", "InterfaceError")
    )


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).split("\n")[0]
