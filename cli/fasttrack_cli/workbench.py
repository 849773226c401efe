"""What every command that touches stored data works with: servers, schema, database, project, secrets, doorbell."""

from __future__ import annotations

import getpass
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from fasttrack.clock import SystemClock
from fasttrack.db import Database, Db, connect, migrate
from fasttrack.db.projects import ensure_project, find_project
from fasttrack.db.secrets import SecretBox
from fasttrack.domain.access import Caller
from fasttrack.doorbell import Doorbell
from fasttrack.errors import Conflict, NotFound
from fasttrack.feed import Feed
from fasttrack.ids import ProjectId
from fasttrack.keyring import Keyring
from fasttrack.settings import Settings
from fasttrack.workflow.owner import local_caller
from fasttrack_scheduler.backends import make_backend
from fasttrack_scheduler.backends.base import SessionBackend
from fasttrack_scheduler.service import Scheduler

from .presence import SCHEDULER, SERVERS, Presence, anyone_present, present
from .servers import Addresses, ensure_servers
from .servers.state_dir import open_state_dir

DEFAULT_PROJECT = "default"
"""The one project that need not be made."""


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
    presence: Presence | None = None
    """This command's share in the embedded servers; `None` when there are none."""

    @property
    def by(self) -> str:
        """Who is typing."""
        return user_name()

    async def caller(self, db: Db) -> Caller:
        """Who is typing, as the owner of this FastTrack."""
        return await local_caller(db, self.by)

    @property
    def keyring(self) -> Keyring:
        """The keys of clusters that are stored."""
        return Keyring(self.database, self.box)

    def backend(self) -> SessionBackend:
        """The session backend of the settings, not started yet."""
        return make_backend(self.settings.backend, self.settings, SystemClock(), self.keyring)

    @asynccontextmanager
    async def scheduling(self) -> AsyncIterator[Scheduler]:
        """A scheduler of this process runs while the block does. Sessions go on when it ends."""
        backend = self.backend()
        scheduler = Scheduler(self.settings, self.database, backend, self.box, self.doorbell)
        with sharing(self.settings, SCHEDULER):
            async with scheduler.running():
                yield scheduler


@asynccontextmanager
async def opened(settings: Settings, *, any_project: bool = False) -> AsyncIterator[Workbench]:
    """Servers running, schema current, everything connected; closed again at the end, servers left running.

    :param any_project: for a command that works in no project of its own.

    The embedded database is migrated by itself; an outside one only by `fasttrack db upgrade`, because others use it.

    :raises NotFound: there is no such project.
    :raises Conflict: an outside database has another schema than this FastTrack needs.
    :raises Unavailable: a server cannot be reached or does not start.
    """
    with sharing(settings, SERVERS) as presence:
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
            name = DEFAULT_PROJECT if any_project else settings.project
            project = await database.run(lambda db: _project(db, name))
            box = SecretBox.from_settings(settings)
            feed = Feed(database, project)
            yield Workbench(settings, addresses, database, project, box, doorbell, feed, presence)
        finally:
            await doorbell.close()
            await database.close()


async def _project(db: Db, name: str) -> ProjectId:
    if name == DEFAULT_PROJECT:
        return await ensure_project(db, name)
    found = await find_project(db, name)
    if found is None:
        raise NotFound(f"there is no project {name}; `fasttrack projects create {name}` makes it")
    return found


@contextmanager
def sharing(settings: Settings, what: str) -> Iterator[Presence | None]:
    """Be seen by other commands of this state directory, where something of it is shared."""
    if settings.database_url is not None and settings.redis_url is not None:
        yield None
        return
    with present(open_state_dir(settings.state_dir), what) as presence:
        yield presence


def require_backend(settings: Settings) -> None:
    """Pass if the session backend of the settings exists. :raises InvalidInput: it does not."""
    make_backend(settings.backend, settings, SystemClock())


def is_scheduler_running(settings: Settings) -> bool | None:
    """Whether some command of this state directory schedules; `None` with an outside database: it cannot be told."""
    return anyone_present(settings.state_dir, SCHEDULER) if settings.is_embedded else None


def user_name() -> str:
    """The name of the user, or `unknown` where the system has none for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
