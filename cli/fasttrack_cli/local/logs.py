"""What tasks of this machine's database printed, from the session backend."""

from __future__ import annotations

from collections.abc import Sequence

from fasttrack.workflow.control import resolve_job

from ..lookup import require_task
from ..store import LogWriter
from ..workbench import Workbench
from .log_reading import LogReader


class LocalLogs:
    """Of one project."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

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
        async with self._bench.database.transaction() as db:
            job = await resolve_job(db, self._bench.project, text)
            instance = await require_task(db, job, task)
        reader = LogReader.of(self._bench, job, instance, attempt=attempt)
        await reader.read(write, offset=offset, tail=tail, follow=follow)
        return reader.notes
