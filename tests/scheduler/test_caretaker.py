"""Which pipelines lost their folder is noted where it is news, by whoever sees it, and never over what was done since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from fasttrack.db.pipelines import PipelineRecord, find_pipeline
from fasttrack.db.problems import SurveyedPipeline, give_up_files, list_surveyed, write_problems
from fasttrack.domain.catalog import FolderProblem
from fasttrack.ids import JobId, PipelineId
from fasttrack_scheduler.backends.simulated import SimulatedBackend, SimulatedSite
from fasttrack_scheduler.loops import caretaker
from fasttrack_scheduler.loops.caretaker import Caretaker
from tests.engine import Engine
from tests.factories import a_file
from tests.lost_folders import GONE, TRASHED, lose_folder
from tests.waiting import eventually


class Losing(SimulatedBackend):
    """A cluster that some folders are lost on."""

    def __init__(self, site: SimulatedSite) -> None:
        super().__init__(site)
        self.lost: dict[PipelineId, FolderProblem] = {}
        self.unknown: set[PipelineId] = set()
        self.asked: list[list[tuple[PipelineId, JobId]]] = []

    async def folder_problems(
        self, pipelines: Sequence[tuple[PipelineId, JobId]]
    ) -> Mapping[PipelineId, FolderProblem | None]:
        self.asked.append(list(pipelines))
        return {it: self.lost.get(it) for it, _ in pipelines if it not in self.unknown}


@pytest.fixture
def backend(engine: Engine) -> Losing:
    return Losing(engine.site)


@pytest.fixture
def caring(engine: Engine, backend: Losing) -> Caretaker:
    return Caretaker(engine.database, backend, engine.settings)


async def ran(engine: Engine, *names: str) -> list[JobId]:
    jobs = [await engine.submit(a_file({"a": ""}, name)) for name in names]
    async with engine.scheduling():
        await engine.settled(*jobs)
    return jobs


async def stored(engine: Engine, name: str) -> PipelineRecord:
    async with engine.database.transaction() as db:
        found = await find_pipeline(db, engine.project, name)
    assert found is not None
    return found


async def problems(engine: Engine, *names: str) -> list[str | None]:
    return [(await stored(engine, name)).problem for name in names]


async def do(engine: Engine, sql: str, *args: Any) -> None:
    async with engine.database.transaction() as db:
        await db.execute(sql, *args)


async def test_a_running_scheduler_notes_what_is_lost_and_that_it_is_back(engine: Engine, backend: Losing) -> None:
    engine.settings = engine.settings.model_copy(update={"folder_interval": timedelta(seconds=0.05)})
    await ran(engine, "one", "two")
    one = (await stored(engine, "one")).id
    backend.lost[one] = TRASHED
    async with engine.scheduling(backend):
        await eventually(lambda: holds(engine, [TRASHED.sentence, None]))
        backend.lost[one] = GONE
        await eventually(lambda: holds(engine, [GONE.sentence, None]))
        del backend.lost[one]
        await eventually(lambda: holds(engine, [None, None]))


async def holds(engine: Engine, wanted: list[str | None]) -> bool:
    return await problems(engine, "one", "two") == wanted


async def test_only_live_pipelines_that_had_a_session_here_are_asked_about_all_at_once(
    engine: Engine, backend: Losing, caring: Caretaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caretaker, "_PAGE", 2)
    names = ("one", "two", "three", "elsewhere", "archived", "deleted")
    jobs = await ran(engine, *names)
    await engine.submit(a_file({"a": ""}, "waiting"))
    await engine.submit(a_file({"a": ""}, "one"))
    await do(engine, "UPDATE job SET site = 'another' WHERE id = $1", jobs[3])
    await do(engine, "UPDATE pipeline SET archived_at = now() WHERE name IN ('archived', 'deleted')")
    await do(engine, "UPDATE pipeline SET deleted_at = now() WHERE name = 'deleted'")
    await caring.turn()
    [asked] = backend.asked
    assert asked == [((await stored(engine, name)).id, job) for name, job in zip(names[:3], jobs, strict=False)]


async def test_what_is_not_known_stays_and_what_nothing_is_left_of_has_no_problem(
    engine: Engine, backend: Losing, caring: Caretaker
) -> None:
    jobs = await ran(engine, "one", "two")
    for name in ("one", "two"):
        await lose_folder(engine.database, name)
    backend.unknown = {(await stored(engine, "one")).id}
    await do(engine, "DELETE FROM job WHERE id = $1", jobs[1])
    await caring.turn()
    assert await problems(engine, "one", "two") == [GONE.sentence, None]


async def test_what_was_seen_before_a_folder_was_given_up_is_not_noted_after(engine: Engine) -> None:
    [job] = await ran(engine, "one")
    await lose_folder(engine.database, "one")
    pipeline = (await stored(engine, "one")).id
    async with engine.database.transaction() as db:
        [seen] = await list_surveyed(db, "simulated", after=None, limit=10)
        assert seen == SurveyedPipeline(pipeline, job, GONE.sentence)
        await give_up_files(db, pipeline)
    for problem in (GONE, TRASHED):
        assert await engine.database.run(lambda db, it=problem: write_problems(db, [seen], {pipeline: it})) == []
    assert await problems(engine, "one") == [None]
    async with engine.database.transaction() as db:
        assert await list_surveyed(db, "simulated", after=None, limit=10) == []
