"""The keys of clusters that are stored: each question is a transaction of its own, and nothing is kept in between."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from .db import Database
from .db import credentials as stored
from .db.secrets import SecretBox
from .domain.credentials import HeldSession, Key
from .ids import JobId, PipelineId


class Keyring:
    """`fasttrack.backend_ai.keys.Keys` over the database."""

    def __init__(self, database: Database, box: SecretBox) -> None:
        self._database = database
        self._box = box

    async def of_sessions(self, names: Collection[str]) -> Mapping[str, HeldSession]:
        """As the contract says."""
        if not names:
            return {}
        return await self._database.run(lambda db: stored.sessions_of_credentials(db, names))

    async def bind(self, name: str, *, anew: bool = False) -> Key | None:
        """As the contract says."""
        return await self._database.run(lambda db: stored.bind_session(db, name, anew=anew))

    async def of_jobs(self, jobs: Sequence[JobId]) -> Mapping[JobId, Key]:
        """As the contract says."""
        return await self._database.run(lambda db: stored.keys_of_jobs(db, jobs))

    async def of_pipeline(self, pipeline: PipelineId) -> Key | None:
        """As the contract says."""
        return await self._database.run(lambda db: stored.key_of_pipeline(db, pipeline))

    async def all(self, site: str, *, present: bool = False) -> list[Key]:
        """As the contract says."""
        return await self._database.run(lambda db: stored.list_keys(db, site, present=present))

    async def read(self, key: UUID) -> tuple[str, str] | None:
        """As the contract says. :raises Conflict: it was sealed with another FASTTRACK_SECRET_KEY."""
        return await self._database.run(lambda db: stored.read_key(db, self._box, key))

    async def forget_retired(self) -> list[str]:
        """As the contract says."""
        return await self._database.run(stored.forget_retired_keys)


__all__ = ["Keyring"]
