"""A deleted pipeline is out of every read at once, and what it has left is removed in turns (decision 0012)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from fasttrack.db import Db
from fasttrack.db.exports import export_instances
from fasttrack.db.feed import FeedPage, read_head, read_history, read_page
from fasttrack.db.follow import Wanted, find_job_place, find_pipeline_project, read_events, read_picture
from fasttrack.db.instances import load_instances
from fasttrack.db.jobs import find_job, find_jobs_by_suffix, list_jobs
from fasttrack.db.listings import (
    JobFilter,
    list_jobs_of,
    list_pipelines_of,
    load_jobs,
    load_last_jobs,
    load_numbered_versions,
    load_pipelines,
    load_versions,
)
from fasttrack.db.pipelines import find_pipeline
from fasttrack.db.schema import metadata
from fasttrack.db.statistics import count_jobs_ended
from fasttrack.db.visible import project_of_job, project_of_pipeline
from fasttrack.db.windows import Window
from fasttrack.domain.access import Caller
from fasttrack.errors import Conflict, Unavailable
from fasttrack.ids import JobId, PipelineId
from fasttrack.workflow.catalog import delete_pipeline
from fasttrack.workflow.rerun import FAILURE, plan_rerun, rerun
from fasttrack_scheduler.backends.simulated import Script, SimulatedBackend
from fasttrack_scheduler.pruning import Pruned, Pruning
from tests.engine import Engine
from tests.factories import a_file

OWNER = Caller(UUID(int=1), "owner", is_superadmin=True)
TABLES = ("pipeline", "pipeline_version", "job", "task_instance", "attempt", "event", "feed_range", "idempotency")


async def finish(engine: Engine, *files: str, **request: Any) -> list[JobId]:
    """Run these to their end."""
    jobs = [await engine.submit(file, **request) for file in files]
    async with engine.scheduling():
        await engine.settled(*jobs)
    return jobs


async def delete(engine: Engine, name: str) -> PipelineId:
    async with engine.database.transaction() as db:
        pipeline = await find_pipeline(db, engine.project, name)
    assert pipeline is not None
    await engine.database.run(lambda db: delete_pipeline(db, OWNER, pipeline.id, confirm_name=name))
    return pipeline.id


async def prune(engine: Engine, *, days: float = 0, backend: Any = None, dry_run: bool = False) -> dict[str, int]:
    """A round after so many days; what went, or would go, of the default project."""
    pruning = Pruning(engine.database, backend or SimulatedBackend(engine.site), engine.settings, dry_run=dry_run)
    dues, now = await pruning.due(datetime.now(UTC) + timedelta(days=days))
    done = [await pruning.project(due, now) for due in dues]
    return counts(next(pruned for pruned in done if pruned.project == "default"))


def counts(pruned: Pruned) -> dict[str, int]:
    assert pruned.stuck == []
    return {kind.value: tally.count for kind, tally in pruned.kinds.items() if tally.count}


async def rows(engine: Engine) -> dict[str, int]:
    async with engine.database.transaction() as db:
        return {table: await db.value(f"SELECT count(*)::int FROM {table}") for table in TABLES}


Read = Callable[[Db, Any], Awaitable[Any]]
READS: dict[str, Read] = {
    "pipelines by id": lambda db, it: load_pipelines(db, None, [it.pipeline_id]),
    "pipelines by name": lambda db, it: find_pipeline(db, it.project, it.pipeline),
    "the project of a pipeline": lambda db, it: project_of_pipeline(db, it.pipeline_id, None),
    "what is followed, by pipeline": lambda db, it: find_pipeline_project(db, it.pipeline_id),
    "versions by id": lambda db, it: load_versions(db, None, [it.version_id]),
    "versions by number": lambda db, it: load_numbered_versions(db, [(it.pipeline_id, 1)]),
    "jobs by id": lambda db, it: load_jobs(db, None, [it.id]),
    "the newest job": lambda db, it: load_last_jobs(db, [it.pipeline_id]),
    "a job": lambda db, it: find_job(db, it.project, it.id),
    "jobs by suffix": lambda db, it: find_jobs_by_suffix(db, it.project, it.id.hex[-8:]),
    "the project of a job": lambda db, it: project_of_job(db, it.id, None),
    "what is followed, by job": lambda db, it: find_job_place(db, it.id),
    "task instances": lambda db, it: load_instances(db, None, [it.instance]),
    "the history of a job": lambda db, it: read_history(db, it.id),
    "the picture of a job": lambda db, it: read_picture(db, it.id),
}
"""What is read by an id or a name, whatever the caller."""


class It:
    """What is deleted."""

    def __init__(self, record: Any, engine: Engine, instance: UUID) -> None:
        self.id, self.pipeline_id, self.version_id = record.id, record.pipeline_id, record.version_id
        self.pipeline, self.project, self.instance = record.pipeline, engine.project, instance


async def test_from_the_commit_on_no_read_shows_anything_of_it(engine: Engine) -> None:
    gone, stays = await finish(engine, a_file({"a": "", "b": "a"}, "gone"), a_file({"a": ""}, "stays"))
    async with engine.database.transaction() as db:
        instance = await db.value("SELECT id FROM task_instance WHERE job_id = $1 AND index = 0", gone)
    it = It(await engine.job(gone), engine, instance)

    async def shown() -> set[str]:
        async with engine.database.transaction() as db:
            return {name for name, read in READS.items() if await read(db, it)}

    async def listed() -> dict[str, set[Any]]:
        async with engine.database.transaction() as db:
            window, projects = Window(100), frozenset({engine.project})
            live = await list_pipelines_of(db, engine.project, window)
            archived = await list_pipelines_of(db, engine.project, window, is_archived=True)
            page = await read_page(db, engine.project, after=0, limit=1000)
            found = {
                "pipelines": {p.name for p in live.items + archived.items},
                "jobs": {j.id for j in (await list_jobs_of(db, JobFilter(project=engine.project), window)).items},
                "jobs of the command line": {j.id for j in await list_jobs(db, engine.project, limit=100)},
                "exported": {e.job_id for e in await export_instances(db, engine.project, limit=100)},
                "feed": {e.job_id for e in page.events},
            }
            hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
            start, length = hour - timedelta(hours=1), timedelta(hours=3)
            (ended,) = await count_jobs_ended(db, engine.project, [start], length=length, end=start + length)
            assert ended.succeeded == len(found["jobs"])
            for scope, wanted in (("all", Wanted(None)), ("projects", Wanted(projects))):
                stretch = await read_events(db, wanted, after=0, limit=1000)
                found[scope] = {e.job_id for e in stretch.events}
                assert stretch.reached == stretch.head, "a reader goes on past what is hidden"
            return found

    assert await shown() == READS.keys()
    before = await listed()
    await delete(engine, "gone")
    assert await shown() == set()
    assert await listed() == {name: found - {"gone", gone} for name, found in before.items()}
    assert all(found for found in (await listed()).values())
    async with engine.database.transaction() as db:
        stretch = await read_events(db, Wanted(None, job=gone), after=0, limit=100)
        assert (await read_page(db, engine.project, after=0, limit=100, job=gone)).events == []
    assert stretch.events == []
    assert (await engine.job(stays)).pipeline == "stays"


async def test_what_it_has_left_is_removed_and_its_row_a_day_later(engine: Engine) -> None:
    engine.site.script("a", Script(log=b"hello"))
    await finish(engine, a_file({"a": ""}, "stays"))
    other = await rows(engine)
    text = a_file({"a": "", "b": "a"}, "gone")
    jobs = await finish(engine, text, text, idempotency_key=None)
    events = sum([len(await engine.history(job)) for job in jobs])
    pipeline = await delete(engine, "gone")

    expected = {"logs": 4, "outputs": 3, "events": events, "jobs": 2}
    assert await prune(engine, dry_run=True) == expected
    assert (await rows(engine))["job"] == 3
    assert await prune(engine) == expected
    assert await rows(engine) == other | {"pipeline": 2}
    assert pipeline not in engine.site.folders
    assert len(engine.site.outputs) == 1
    assert await prune(engine, days=0.9) == {}
    assert (await rows(engine))["pipeline"] == 2
    assert await prune(engine, days=1.1) == {}
    assert await rows(engine) == other
    assert await prune(engine, days=1.1) == {}


async def test_an_empty_pipeline_and_one_that_is_archived_go_as_well(engine: Engine) -> None:
    await finish(engine, a_file({"a": ""}, "archived"))
    async with engine.database.transaction() as db:
        await db.execute("UPDATE pipeline SET archived_at = now()")
        pipeline = PipelineId(await db.value("SELECT id FROM pipeline"))
        await db.execute(
            "INSERT INTO pipeline (id, project_id, name, created_by) VALUES ($1, $2, 'empty', 'ada')",
            UUID(int=5),
            engine.project,
        )
        for identifier in (pipeline, UUID(int=5)):
            await db.execute(
                "INSERT INTO pipeline_draft (pipeline_id, revision, updated_by) VALUES ($1, 0, '')", identifier
            )
    await engine.database.run(lambda db: delete_pipeline(db, OWNER, pipeline, confirm_name="archived"))
    await delete(engine, "empty")
    async with engine.database.transaction() as db:
        assert await db.value("SELECT count(*)::int FROM pipeline_draft") == 0
        await db.execute("INSERT INTO pipeline_draft (pipeline_id, revision, updated_by) VALUES ($1, 0, '')", pipeline)
    await prune(engine, days=1.1)
    assert set((await rows(engine)).values()) == {0}


async def test_jobs_that_stand_on_one_another_go_together_and_no_new_one_is_made(engine: Engine) -> None:
    engine.site.script("b", Script(exit_code=1), Script())
    (job,) = await finish(engine, a_file({"a": "", "b": "a"}))
    async with engine.database.transaction() as db:
        plan = await plan_rerun(db, engine.project, job, start=FAILURE)
    again = (await engine.database.run(lambda db: rerun(db, engine.project, plan, by="ada"))).job_id
    async with engine.scheduling():
        await engine.settled(again)
    await delete(engine, "demo")
    with pytest.raises(Conflict, match="archived, and starts nothing"):
        await engine.database.run(lambda db: rerun(db, engine.project, plan, by="ada"))
    await prune(engine, days=1.1)
    assert set((await rows(engine)).values()) == {0}
    assert engine.site.outputs == set()


async def test_a_round_that_is_cut_short_anywhere_is_made_good_by_the_next(engine: Engine) -> None:
    text = a_file({"a": ""}, "gone")
    await finish(engine, text, text, text)
    await delete(engine, "gone")
    for verb in ("forget_sessions", "forget_outputs", "forget_pipelines"):
        backend = SimulatedBackend(engine.site)

        async def away(*_: Any, **__: Any) -> Any:
            raise Unavailable("it is away")

        setattr(backend, verb, away)
        with pytest.raises(Unavailable):
            await prune(engine, backend=backend)
        assert (await rows(engine))["pipeline"] == 1
    await prune(engine, days=1.1)
    assert set((await rows(engine)).values()) == {0}


async def test_several_schedulers_remove_it_at_once(engine: Engine) -> None:
    text = a_file({"a": "", "b": "a"}, "gone")
    await finish(engine, *[text] * 5)
    await delete(engine, "gone")
    await asyncio.gather(*(prune(engine, days=1.1) for _ in range(3)))
    await prune(engine, days=1.1)
    assert set((await rows(engine)).values()) == {0}


async def test_files_of_another_site_are_left_to_it_unless_it_is_gone(engine: Engine) -> None:
    await finish(engine, a_file({"a": ""}, "gone"))
    async with engine.database.transaction() as db:
        await db.execute("UPDATE job SET site = 'elsewhere'")
    await delete(engine, "gone")
    await prune(engine, days=29)
    left = await rows(engine)
    assert (left["job"], left["pipeline"], left["pipeline_version"]) == (1, 1, 1)
    await prune(engine, days=31)
    assert set((await rows(engine)).values()) == {0}


async def test_followers_get_every_other_event_or_are_told_that_they_missed_some(engine: Engine) -> None:
    _, stays = await finish(engine, a_file({"a": ""}, "gone"), a_file({"a": ""}, "stays"))

    async def page(after: int = 0) -> FeedPage:
        async with engine.database.transaction() as db:
            return await read_page(db, engine.project, after=after, limit=1000)

    wanted = [e for e in (await page()).events if e.job_id == stays]
    assert len(wanted) > 3
    await delete(engine, "gone")
    assert await page() == FeedPage(wanted, is_cut=False)
    async with engine.database.transaction() as db:
        head = (await read_head(db)).pos
    await prune(engine)
    assert (await page()).is_cut, "events that it had not read were removed"
    assert await page(head) == FeedPage([], is_cut=False)


def test_every_table_that_names_a_pipeline_is_emptied_when_one_goes() -> None:
    """A key without a cascade would keep the row of a deleted pipeline for ever: remove those rows in `db.deleted`."""
    emptied = {"pipeline_version", "pipeline_draft"}
    kept = {
        f"{table.name}.{key.parent.name}"
        for table in metadata.tables.values()
        for key in table.foreign_keys
        if key.column.table.name in ("pipeline", "pipeline_version")
        and key.ondelete != "CASCADE"
        and table.name not in emptied
    }
    assert kept == set()
