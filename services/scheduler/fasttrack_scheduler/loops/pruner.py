"""Removes what retention no longer keeps, a little at a time: it rests after each batch as long as the batch took.

Of what stays it keeps the days' counts that charts show. Several schedulers may do so at once; each skips what another
holds, and removing what is gone is nothing.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

import structlog

from fasttrack.db import Database
from fasttrack.errors import Unavailable
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from fasttrack.telemetry import LOOP_ERRORS
from fasttrack.workflow.statistics import sum_up_days

from ..backends.base import SessionBackend
from ..pruning import Pruned, Pruning

log = structlog.get_logger()


class Pruner:
    """Keeps every project to its retention, on this site."""

    def __init__(self, database: Database, backend: SessionBackend, settings: Settings) -> None:
        self._database = database
        self._pruning = Pruning(database, backend, settings, pace=1.0)
        self._interval = settings.prune_interval.total_seconds()
        self.wake = asyncio.Event()

    async def turn(self) -> float:
        """One round over all projects. One that fails is told and does not hold up the others."""
        dues, now = await self._pruning.due()
        await self._pruning.keys(now)
        for due in dues:
            try:
                _tell(await self._pruning.project(due, now))
                await self._sum_up(due.project, now)
            except Unavailable:
                raise
            except Exception:
                LOOP_ERRORS.labels("pruner").inc()
                log.exception("a project cannot be pruned; it is tried again in the next round", project=due.name)
        return self._interval

    async def _sum_up(self, project: ProjectId, now: datetime) -> None:
        """Keep the counts of the project's days that are over: as a rule of one, or of none."""
        while await self._database.run(lambda db: sum_up_days(db, project, now=now)):
            pass


def _tell(pruned: Pruned) -> None:
    for sentence in pruned.stuck:
        log.warning("something old cannot be removed", project=pruned.project, reason=sentence)
    if not pruned.is_empty:
        counts = {kind.value: tally.count for kind, tally in pruned.kinds.items() if tally.count}
        size = sum(tally.size for tally in pruned.kinds.values())
        log.info("what was kept long enough was removed", project=pruned.project, bytes=size, **counts)
