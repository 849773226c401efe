"""What every request works with: opened once per process, kept in the application's state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from starlette.requests import HTTPConnection

from fasttrack.clock import Clock, SystemClock
from fasttrack.db import Database, connect
from fasttrack.db.secrets import SecretBox
from fasttrack.doorbell import Doorbell
from fasttrack.errors import InvalidInput
from fasttrack.keyring import Keyring
from fasttrack.settings import Settings
from fasttrack.storage import Sites
from fasttrack.workflow.versions import CompiledVersions


@dataclass(frozen=True)
class Parts:
    """The process's own handles. Nothing here belongs to one request."""

    settings: Settings
    database: Database
    doorbell: Doorbell
    box: SecretBox
    clock: Clock
    kept: dict[type, Any] = field(default_factory=dict, compare=False, repr=False)
    """What a layer above keeps as long as the process lives, by its type."""
    versions: CompiledVersions = field(default_factory=lambda: CompiledVersions(defer=True))
    """Compiled versions; those that are not at hand are compiled with no transaction open."""
    sites: Sites = field(default_factory=Sites)
    """Where logs and files of jobs are read; none is reached unless it is given. Whoever gives it closes it."""

    @classmethod
    def of(cls, connection: HTTPConnection) -> Parts:
        """Those of the application that serves this request or socket."""
        return cast("Parts", connection.app.state.parts)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Parts]:
    """Connected while the block is open.

    :raises InvalidInput: the settings name no database, or no Redis or Valkey.
    """
    if settings.database_url is None or settings.redis_url is None:
        raise InvalidInput(
            "the API needs a database and a Redis or Valkey: set FASTTRACK_DATABASE_URL and FASTTRACK_REDIS_URL, "
            "or use `fasttrack up`, which brings both"
        )
    database = connect(settings.database_url.get_secret_value(), pool_size=settings.database_pool_size)
    doorbell = Doorbell(settings.redis_url.get_secret_value())
    box = SecretBox.from_settings(settings)
    sites = Sites(settings, Keyring(database, box))
    try:
        yield Parts(settings, database, doorbell, box, SystemClock(), sites=sites)
    finally:
        await sites.close()
        await doorbell.close()
        await database.close()
