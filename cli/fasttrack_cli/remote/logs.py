"""What tasks of a server printed."""

from __future__ import annotations

from collections.abc import Sequence

from ..store import LogWriter
from ..target import NotServed
from .connection import Connection
from .jobs import RemoteJobs


class RemoteLogs:
    """Of one project."""

    def __init__(self, connection: Connection, jobs: RemoteJobs) -> None:
        self._connection = connection
        self._jobs = jobs

    async def read(
        self,
        text: str,
        task: str,
        write: LogWriter,
        *,
        attempt: int | None,
        offset: int,
        tail: int | None,
        follow: bool,
    ) -> Sequence[str]:
        """Write what the task printed."""
        raise NotServed("logs")
