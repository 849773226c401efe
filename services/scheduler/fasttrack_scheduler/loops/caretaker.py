"""Looks whether the folders of pipelines are still there, so that a pipeline is shown as it is before a job of it fails.

Several schedulers of a site may do so at once; each notes what the backend says, where it is news.
"""

from __future__ import annotations

import asyncio

import structlog

from fasttrack.db import Database
from fasttrack.db.problems import SurveyedPipeline, list_surveyed, write_problems
from fasttrack.settings import Settings

from ..backends.base import SessionBackend

log = structlog.get_logger()

_PAGE = 500


class Caretaker:
    """Keeps known, of one site, which pipelines have lost their folder."""

    def __init__(self, database: Database, backend: SessionBackend, settings: Settings) -> None:
        self._database = database
        self._backend = backend
        self._interval = settings.folder_interval.total_seconds()
        self.wake = asyncio.Event()

    async def turn(self) -> float:
        """One look at all of them. Whose folder should be there is asked first: it is made before its session is known."""
        found = await self._surveyed()
        asked = [(it.id, it.job) for it in found if it.job is not None]
        problems = dict(await self._backend.folder_problems(asked)) if asked else {}
        problems |= {it.id: None for it in found if it.job is None}
        for start in range(0, len(found), _PAGE):
            page = found[start : start + _PAGE]
            for pipeline in await self._database.run(lambda db, page=page: write_problems(db, page, problems)):  # type: ignore[misc]
                problem = problems[pipeline]
                log.info("the folder of a pipeline", pipeline=str(pipeline), is_there=problem is None)
        return self._interval

    async def _surveyed(self) -> list[SurveyedPipeline]:
        found: list[SurveyedPipeline] = []
        while True:
            after = found[-1].id if found else None
            async with self._database.transaction() as db:
                page = await list_surveyed(db, self._backend.site, after=after, limit=_PAGE)
            found += page
            if len(page) < _PAGE:
                return found
