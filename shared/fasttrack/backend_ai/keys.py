"""Which key each thing on a cluster is reached with, and a gateway for each key: its limit of requests is its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol
from uuid import UUID

import structlog

from ..domain.credentials import HeldSession, Key
from ..errors import FastTrackError, Unavailable
from ..ids import JobId, PipelineId
from ..settings import Settings
from .cluster import gateway_of, site_of
from .gateway import Gateway
from .signing import Keypair

log = structlog.get_logger()


class Keys(Protocol):
    """What is stored of keys. What is not told of is reached with the key of the settings."""

    async def of_sessions(self, names: Collection[str]) -> Mapping[str, HeldSession]:
        """The keys of these sessions."""

    async def bind(self, name: str, *, anew: bool = False) -> Key | None:
        """The key to make a session with, which is then its own; `anew`: the present one, whatever it had."""

    async def of_jobs(self, jobs: Sequence[JobId]) -> Mapping[JobId, Key]:
        """The present keys of what these jobs run with."""

    async def of_pipeline(self, pipeline: PipelineId) -> Key | None:
        """The present key of the pipeline's project."""

    async def all(self, site: str, *, present: bool = False) -> list[Key]:
        """Every key of a cluster, or those that new sessions are made with."""

    async def read(self, key: UUID) -> tuple[str, str] | None:
        """Both halves of a key; `None`: it is gone."""

    async def forget_retired(self) -> list[str]:
        """Remove those that nothing runs under any more; their access keys."""


class NoKeys:
    """None but that of the settings."""

    async def of_sessions(self, names: Collection[str]) -> Mapping[str, HeldSession]:
        """None."""
        return {}

    async def bind(self, name: str, *, anew: bool = False) -> Key | None:
        """That of the settings."""
        return None

    async def of_jobs(self, jobs: Sequence[JobId]) -> Mapping[JobId, Key]:
        """None."""
        return {}

    async def of_pipeline(self, pipeline: PipelineId) -> Key | None:
        """That of the settings."""
        return None

    async def all(self, site: str, *, present: bool = False) -> list[Key]:
        """None."""
        return []

    async def read(self, key: UUID) -> tuple[str, str] | None:
        """There is none."""
        return None

    async def forget_retired(self) -> list[str]:
        """None."""
        return []


class KeyProblem(Unavailable):
    """A key that cannot be used: what needs it waits, and nothing else does."""


class Gateways:
    """A gateway for each key, opened when it is first needed. To be closed."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self.site = site_of(settings)
        self.keys = keys
        self._settings = settings
        self._open: dict[UUID | None, Gateway] = {}

    async def of(self, key: Key | None) -> Gateway:
        """That of the key; `None`: of the settings. :raises KeyProblem: the key is gone, or of another cluster."""
        identifier = None if key is None else key.id
        if key is not None:
            self._require_usable(key)
        gateway = self._open.get(identifier)
        if gateway is None:
            gateway = gateway_of(self._settings) if key is None else await self._opened(key)
            # Two may have come here at a time; the first one stays.
            kept = self._open.setdefault(identifier, gateway)
            if kept is not gateway:
                await gateway.close()
            gateway = kept
        return gateway

    async def drop(self, identifier: UUID | None) -> None:
        """Let the connections of a key go, which is gone itself."""
        gateway = self._open.pop(identifier, None)
        if gateway is not None:
            await gateway.close()

    async def close(self) -> None:
        """Let all connections go. Safe to call twice."""
        while self._open:
            await self._open.popitem()[1].close()

    def _require_usable(self, key: Key) -> None:
        if key.id is None:
            raise KeyProblem(f"{key} was removed: what ran with it stays on the cluster, and is not reached any more")
        if key.site != self.site:
            raise KeyProblem(
                f"{key} is of the cluster {key.site}, and this is {self.site}; give {key.holder} one of this"
            )

    async def _opened(self, key: Key) -> Gateway:
        assert key.id is not None
        assert self._settings.backend_ai_endpoint
        try:
            found = await self.keys.read(key.id)
        except Unavailable:
            raise
        except FastTrackError as error:
            raise KeyProblem(f"{key} cannot be used: {error.message}") from error
        if found is None:
            raise KeyProblem(f"{key} was removed a moment ago")
        return Gateway(self._settings.backend_ai_endpoint, Keypair(*found))
