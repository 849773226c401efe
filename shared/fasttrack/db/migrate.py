"""Bring a database to the schema this FastTrack knows, or say how far it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from ..errors import Conflict, Unavailable
from .engine import Database, is_transient

T = TypeVar("T")

# Alembic's context is global to the process, so one migration at a time; between processes a lock in the database.
_ALEMBIC = threading.Lock()


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Where a database's schema stands."""

    current: str | None
    """Its revision; `None` for an empty database."""
    head: str
    """The revision this FastTrack needs."""
    differences: tuple[str, ...] = ()
    """What differs from `tables` although the revision matches."""

    @property
    def is_current(self) -> bool:
        """Whether FastTrack may run on it."""
        return self.current == self.head and not self.differences


async def upgrade(url: str) -> SchemaStatus:
    """Migrate to the newest revision; safe to call from many processes at once, and again.

    :raises Conflict: the database was migrated by a newer FastTrack.
    :raises Unavailable: the database is away.
    """
    status = await check(url, compare=False)
    if status.current != status.head:
        await _in_thread(_upgrade, url)
    return SchemaStatus(status.head, status.head)


async def check(url: str, *, compare: bool = True) -> SchemaStatus:
    """Where the schema stands; with `compare`, every difference from `tables` too. Changes nothing."""
    return await _in_thread(_check, url, compare)


async def is_at_head(database: Database) -> bool:
    """Whether the schema is at the revision this FastTrack needs; cheap enough to be asked every second.

    :raises Unavailable: the database is away.
    """
    async with database.transaction() as db:
        if await db.value("SELECT to_regclass('alembic_version')::text") is None:
            return False
        return bool(await db.value("SELECT version_num FROM alembic_version") == _head())


async def make(url: str, message: str) -> str:
    """Write a new revision from the difference between `tables` and the database; returns its path."""
    return await _in_thread(_make, url, message)


async def _in_thread(function: Callable[..., T], *args: Any) -> T:
    # Alembic is synchronous and starts its own event loop, so it gets a thread of its own.
    try:
        return await asyncio.to_thread(function, *args)
    except Exception as error:
        if is_transient(error):
            raise Unavailable(f"the database cannot be used right now: {error}") from error
        raise


@lru_cache
def _head() -> str | None:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config("")).get_current_head()


def _config(url: str) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "fasttrack.db:migrations")
    config.attributes["url"] = url
    return config


def _upgrade(url: str) -> None:
    from alembic import command

    with _ALEMBIC:
        command.upgrade(_config(url), "head")


def _make(url: str, message: str) -> str:
    from alembic import command

    script = command.revision(_config(url), message=message, autogenerate=True)
    return str(getattr(script, "path", script))


def _check(url: str, compare: bool) -> SchemaStatus:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    from .schema import metadata

    scripts = ScriptDirectory.from_config(_config(url))
    head = scripts.get_current_head()
    assert head is not None

    def look(connection: Connection) -> SchemaStatus:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        current = context.get_current_revision()
        if current is not None and current not in {s.revision for s in scripts.walk_revisions()}:
            raise Conflict(
                f"the database's schema ({current}) was made by a newer FastTrack; upgrade FastTrack, or use another database"
            )
        differences = compare_metadata(context, metadata) if compare and current == head else ()
        return SchemaStatus(current, head, tuple(str(d) for d in differences))

    async def run() -> SchemaStatus:
        engine = create_async_engine(url, poolclass=NullPool)
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(look)
        finally:
            await engine.dispose()

    return asyncio.run(run())
