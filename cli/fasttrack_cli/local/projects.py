"""Projects of the database, with their limits, secrets and retention."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from fasttrack.db import Db
from fasttrack.db.limits import list_limits
from fasttrack.db.projects import list_projects
from fasttrack.db.secrets import list_secrets
from fasttrack.domain.retention import Kind, Retention
from fasttrack.ids import JobId
from fasttrack.workflow import writes
from fasttrack.workflow.projects import create_project
from fasttrack.workflow.retention import read_retention
from fasttrack.workflow.secrets import forget_secret, store_secret

from ..store import Limit, Secret, as_told
from ..workbench import Workbench


class LocalProjects:
    """All of the database."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    async def names(self) -> list[str]:
        """The names of all, in order."""
        return await self._bench.database.run(list_projects)

    async def create(self, name: str, *, domain: str | None) -> None:
        """Make a project."""

        async def work(db: Db) -> None:
            await create_project(db, await self._bench.caller(db), name, domain=domain)

        await self._bench.database.run(work)


class LocalLimits:
    """Of one project."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    async def all(self) -> Sequence[Limit]:
        """The project's limits."""
        found = await self._bench.database.run(lambda db: list_limits(db, self._bench.project))
        return [as_told(Limit, limit) for limit in found]

    async def change(self, scope: str, name: str, slots: int | None) -> None:
        """Set a limit, or remove it."""
        bench = self._bench

        async def work(db: Db) -> Collection[JobId]:
            return await writes.change_limit(db, await bench.caller(db), bench.project, scope, name, slots)

        await bench.doorbell.ring(await bench.database.run(work))


class LocalSecrets:
    """Of one project."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    async def all(self) -> Sequence[Secret]:
        """What there is, by name."""
        found = await self._bench.database.run(lambda db: list_secrets(db, self._bench.project))
        return [as_told(Secret, secret) for secret in found]

    async def put(self, name: str, value: str) -> None:
        """Store a secret."""
        bench = self._bench

        async def work(db: Db) -> None:
            await store_secret(db, await bench.caller(db), bench.box, bench.project, name, value)

        await bench.database.run(work)

    async def delete(self, name: str) -> None:
        """Forget a secret."""

        async def work(db: Db) -> None:
            await forget_secret(db, await self._bench.caller(db), self._bench.project, name)

        await self._bench.database.run(work)


class LocalRetentions:
    """Of one project."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    async def read(self) -> tuple[Retention, frozenset[Kind]]:
        """What holds now."""
        return await self._bench.database.run(self._read)

    async def change(self, changes: Mapping[Kind, str | int]) -> tuple[Retention, frozenset[Kind]]:
        """Give the project figures of its own."""
        return await self._change(changes)

    async def reset(self) -> tuple[Retention, frozenset[Kind]]:
        """Have the settings alone say."""
        return await self._change(None)

    async def _change(self, changes: Mapping[Kind, str | int] | None) -> tuple[Retention, frozenset[Kind]]:
        bench = self._bench

        async def work(db: Db) -> tuple[Retention, frozenset[Kind]]:
            await writes.change_retention(db, await bench.caller(db), bench.project, bench.settings, changes)
            return await self._read(db)

        return await bench.database.run(work)

    async def _read(self, db: Db) -> tuple[Retention, frozenset[Kind]]:
        return await read_retention(db, self._bench.project, self._bench.settings)
