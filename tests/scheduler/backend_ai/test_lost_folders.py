"""A pipeline whose folder was deleted on the cluster is shown as such, starts nothing, and comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from fasttrack.db import Database, Db
from fasttrack.db.audit import AuditFilter
from fasttrack.db.pipelines import PipelineRecord, find_pipeline
from fasttrack.domain.credentials import Holder
from fasttrack.domain.states import JobState
from fasttrack.doorbell import Doorbell
from fasttrack.errors import Conflict
from fasttrack.ids import JobId, ProjectId
from fasttrack.settings import Settings
from fasttrack.storage.cluster_layout import folder_of
from fasttrack.workflow import catalog
from fasttrack.workflow.audit import list_audit
from fasttrack.workflow.owner import local_caller
from fasttrack.workflow.rerun import FAILURE, WHOLE, plan_rerun
from fasttrack_scheduler.loops.caretaker import Caretaker
from tests.factories import a_file

from .keyed import KEYS, Place, keyed
from .recorded import GENERATIONS
from .standins import KEYPAIR

OLD, NEW = GENERATIONS


class Site(Place):
    """A place whose folders are looked after by hand: the scheduler's own looks are hours apart."""

    @property
    def trash(self) -> bool:
        return self.manager.generation.trash

    async def ran(self, project: ProjectId, name: str = "demo", command: str = "true", **request: Any) -> JobId:
        job = await self.start(project, command, name=name, **request)
        assert await self.ended(job) is JobState.SUCCEEDED
        return job

    async def pipeline(self, project: ProjectId, name: str = "demo") -> PipelineRecord:
        async with self.database.transaction() as db:
            found = await find_pipeline(db, project, name)
        assert found is not None
        return found

    async def delete(self, project: ProjectId, *, for_good: bool) -> None:
        name = folder_of((await self.pipeline(project)).id)
        [folder] = [f for f in self.manager.folders.all.values() if f.name == name]
        key = next(k for k in (KEYPAIR.access_key, *KEYS) if self.manager.folders.user_of(k) == folder.owner)
        if folder.status == "ready":
            self.manager.folders.delete(key, name)
        if for_good and self.trash:
            self.manager.folders.delete_for_good(key, folder.id)

    async def restore(self) -> None:
        for folder in self.manager.folders.all.values():
            folder.status = "ready"

    async def remake(self, project: ProjectId) -> None:
        pipeline = (await self.pipeline(project)).id

        async def work(db: Db) -> None:
            await catalog.remake_folder(db, await local_caller(db, "ada"), pipeline)

        await self.database.run(work)

    async def refuses(self, work: Callable[[], Any], sentence: str) -> None:
        """It is refused with that, and nothing in the database is changed."""
        before = await self._counts()
        with pytest.raises(Conflict, match=sentence):
            await work()
        assert await self._counts() == before

    async def _counts(self) -> Any:
        async with self.database.transaction() as db:
            return await db.rows(
                "SELECT id, latest_job, latest_version, problem, (SELECT count(*) FROM job) AS jobs FROM pipeline ORDER BY id"
            )

    async def audited(self) -> list[str]:
        async with self.database.transaction() as db:
            page = await list_audit(db, await local_caller(db, "ada"), AuditFilter())
        return [entry.action for entry in page.items if entry.action == "pipeline.remake_folder"]


@pytest.fixture(params=[NEW])
async def site(
    request: pytest.FixtureRequest, tmp_path: Path, database: Database, settings: Settings, doorbell: Doorbell
) -> AsyncIterator[Site]:
    async with keyed(request.param, tmp_path / "cluster") as (manager, named):
        given = {**named, "folder_interval": 3600}
        made = Site(manager, database, Settings.model_validate({**settings.model_dump(), **given}), doorbell)
        yield made
        await made.sites.close()


both = pytest.mark.parametrize("site", GENERATIONS, indirect=True)


@both
async def test_a_pipeline_that_lost_its_folder_starts_nothing_until_it_is_remade_and_others_go_on(site: Site) -> None:
    project = await site.project("vision")
    async with site.scheduling() as backend:
        caretaker = Caretaker(site.database, backend, site.settings)
        first = await site.ran(project)
        await site.ran(project, "other")
        await caretaker.turn()
        assert (await site.pipeline(project)).problem is None

        await site.delete(project, for_good=True)
        await caretaker.turn()
        problem = (await site.pipeline(project)).problem
        assert problem is not None
        assert f"{folder_of((await site.pipeline(project)).id)} was deleted on the cluster" in problem
        assert (await site.pipeline(project, "other")).problem is None
        await site.refuses(lambda: site.start(project, "true"), "the pipeline starts nothing: its folder ft-")

        async def plan(start: str) -> None:
            async with site.database.transaction() as db:
                await plan_rerun(db, project, first, start=start)

        await site.refuses(lambda: plan(WHOLE), "remake-folder has the next job begin with an empty one")
        await site.ran(project, "other")

        await site.remake(project)
        await site.remake(project)
        assert (await site.pipeline(project)).problem is None
        assert await site.audited() == ["pipeline.remake_folder"]
        await caretaker.turn()
        assert (await site.pipeline(project)).problem is None, "no job has made the new one yet"
        await site.ran(project)
        await caretaker.turn()
        assert (await site.pipeline(project)).problem is None
        await site.delete(project, for_good=True)
        await caretaker.turn()
        assert (await site.pipeline(project)).problem == problem


async def test_a_folder_in_the_trash_holds_its_pipeline_up_until_it_is_restored_and_cannot_be_remade(
    site: Site,
) -> None:
    project = await site.project("vision")
    async with site.scheduling() as backend:
        caretaker = Caretaker(site.database, backend, site.settings)
        await site.ran(project)
        await site.delete(project, for_good=False)
        await caretaker.turn()
        await site.refuses(lambda: site.start(project, "true"), "is in the trash of the cluster; restore it there")
        await site.refuses(lambda: site.remake(project), "pipeline demo cannot have another folder yet: its folder")
        assert await site.audited() == []
        await site.restore()
        await caretaker.turn()
        assert (await site.pipeline(project)).problem is None
        await site.ran(project)
        await site.delete(project, for_good=False)
        await caretaker.turn()
        await site.delete(project, for_good=True)
        await caretaker.turn()
        await site.remake(project)
        await site.ran(project)


async def test_what_was_lost_with_the_folder_is_not_reused(site: Site) -> None:
    project = await site.project("vision")
    tasks = {
        "a": {"command": "true", "resources": {"cpu": 1, "mem": "256m"}},
        "b": {"command": "exit 1", "resources": {"cpu": 1, "mem": "256m"}},
    }

    async def plan(job: JobId, start: str) -> tuple[tuple[str, ...], list[str]]:
        async with site.database.transaction() as db:
            found = await plan_rerun(db, project, job, start=start)
        return found.runs, list(found.reuse)

    async with site.scheduling() as backend:
        caretaker = Caretaker(site.database, backend, site.settings)
        job = await site.engine(project).submit(a_file({"a": "", "b": "a"}, "demo", **tasks))
        assert await site.ended(job) is JobState.FAILED
        assert await plan(job, FAILURE) == (("b",), ["a"])
        await site.delete(project, for_good=True)
        await caretaker.turn()
        await site.remake(project)
        await site.refuses(
            lambda: plan(job, FAILURE), f"the outputs of job {job} are gone by retention, or with their folder"
        )
        assert await plan(job, WHOLE) == (("a", "b"), [])


async def test_the_cluster_is_asked_once_for_each_key_however_many_pipelines_there_are(site: Site) -> None:
    vision, other = await site.project("vision"), await site.project("other")
    await site.set(Holder(project=vision), "AKIAVISION1")
    async with site.scheduling() as backend:
        caretaker = Caretaker(site.database, backend, site.settings)
        for name in ("demo", "two"):
            await site.ran(vision, name)
            await site.ran(other, name)
        before = site.manager.kinds["GET /folders"]
        await caretaker.turn()
        assert site.manager.kinds["GET /folders"] - before == 2
        await site.delete(other, for_good=True)
        await caretaker.turn()
        problems = [(await site.pipeline(p, n)).problem for p in (vision, other) for n in ("demo", "two")]
        assert [problem is None for problem in problems] == [True, True, False, True]


async def test_what_a_key_that_is_not_taken_could_tell_stays_as_it_was(site: Site) -> None:
    vision, other = await site.project("vision"), await site.project("other")
    await site.set(Holder(project=vision), "AKIAVISION1")
    async with site.scheduling() as backend:
        caretaker = Caretaker(site.database, backend, site.settings)
        await site.ran(vision)
        await site.ran(other)
        await site.delete(vision, for_good=True)
        await caretaker.turn()
        problem = (await site.pipeline(vision)).problem
        assert problem is not None
        secret = site.manager.keys.pop("AKIAVISION1")
        await site.delete(other, for_good=True)
        await caretaker.turn()
        assert (await site.pipeline(vision)).problem == problem
        assert (await site.pipeline(other)).problem is not None
        site.manager.keys["AKIAVISION1"] = secret
