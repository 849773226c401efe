"""What every command that touches stored data works with: servers, schema, database, project, secrets, doorbell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fasttrack.db import Database, connect, migrate
from fasttrack.db.projects import ensure_project
from fasttrack.db.secrets import SecretBox
from fasttrack.doorbell import Doorbell
from fasttrack.errors import Conflict
from fasttrack.feed import Feed
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings

from .servers import Addresses, ensure_servers


@dataclass(frozen=True)
class Workbench:
    """Open for the time of one command."""

    settings: Settings
    addresses: Addresses
    database: Database
    project: ProjectId
    box: SecretBox
    doorbell: Doorbell
    feed: Feed


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Workbench]:
    """Servers running, schema current, everything connected; closed again at the end, servers left running.

    The embedded database is migrated by itself; an outside one only by `fasttrack db upgrade`, because others use it.

    :raises Conflict: an outside database has another schema than this FastTrack needs.
    :raises Unavailable: a server cannot be reached or does not start.
    """
    addresses = await ensure_servers(settings)
    if settings.is_embedded:
        await migrate.upgrade(addresses.database_url)
    else:
        status = await migrate.check(addresses.database_url, compare=False)
        if status.current != status.head:
            raise Conflict(
                f"the database's schema is {status.current or 'empty'}, this FastTrack needs {status.head}; "
                "run `fasttrack db upgrade` first"
            )
    database = connect(addresses.database_url, pool_size=settings.database_pool_size)
    doorbell = Doorbell(addresses.redis_url)
    try:
        project = await database.run(lambda db: ensure_project(db, settings.project))
        box = SecretBox.from_settings(settings)
        yield Workbench(settings, addresses, database, project, box, doorbell, Feed(database, project))
    finally:
        await doorbell.close()
        await database.close()
