"""The life of a pipeline beside its versions: made, renamed, archived, brought back, deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from fasttrack import spec
from fasttrack.db import Database, Db
from fasttrack.db.listings import PipelineListing, load_pipelines
from fasttrack.db.pipelines import find_pipeline, list_versions
from fasttrack.domain.access import Caller, Role
from fasttrack.errors import Conflict, FastTrackError, Forbidden, InvalidInput, InvalidPipeline, NotFound
from fasttrack.ids import PipelineId, ProjectId
from fasttrack.workflow.catalog import (
    NameTaken,
    PipelineChanges,
    archive_pipeline,
    delete_pipeline,
    unarchive_pipeline,
    update_pipeline,
)
from fasttrack.workflow.creating import Created, NewPipeline, create_pipeline
from fasttrack.workflow.publish import publish, require_version, restore
from fasttrack.workflow.rerun import plan_rerun, rerun
from tests.engine import Engine
from tests.factories import a_file
from tests.people import People

TEXT = "# keep this comment\nname: train   # the name\ndescription: Trains it.\ntasks:\n  - {name: fit, type: custom, command: 'true', environment: {image: 'python:3.11'}}\n"


@pytest.fixture
def people(database: Database) -> People:
    return People(database)


@pytest.fixture
def ada(project: ProjectId) -> Caller:
    """An operator of the default project."""
    return Caller(UUID(int=7), "ada", roles={project: Role.OPERATOR})


@pytest.fixture
def create(database: Database, project: ProjectId, ada: Caller) -> Callable[..., Awaitable[Created]]:
    """Makes a pipeline in the default project."""

    async def create(key: str | None = None, caller: Caller = ada, **wanted: Any) -> Created:
        new = NewPipeline(**({"project": project} | wanted))
        return await database.run(lambda db: create_pipeline(db, caller, new, key=key))

    return create


Create = Callable[..., Awaitable[Created]]


async def stored(database: Database, pipeline: PipelineId) -> PipelineListing:
    async with database.transaction() as db:
        return (await load_pipelines(db, None, [pipeline]))[pipeline]


async def source(database: Database, project: ProjectId, name: str, number: int | None = None) -> str:
    async with database.transaction() as db:
        return (await require_version(db, project, name, number)).source


async def refused(
    database: Database, kind: type[FastTrackError], work: Callable[[Db], Awaitable[Any]], says: str
) -> FastTrackError:
    """The work is refused with these words, and nothing is changed."""
    before = await everything(database)
    with pytest.raises(kind, match=says) as caught:
        await database.run(work)
    assert await everything(database) == before
    return caught.value


async def everything(database: Database) -> list[Any]:
    async with database.transaction() as db:
        return [
            [tuple(r) for r in await db.rows(f"SELECT * FROM {table} ORDER BY 1, 2")]
            for table in ("pipeline", "pipeline_version", "template", "former_name", "idempotent_answer", "audit_entry")
        ]


# -- making ---------------------------------------------------------------------------------------------------------


async def test_an_empty_pipeline_waits_for_its_first_version(
    create: Create, database: Database, project: ProjectId, people: People
) -> None:
    made = await create(name="later", description="To be filled.", tags=["b", "a", "b"])
    assert made.version is None
    found = await stored(database, made.pipeline)
    assert (found.name, found.description, found.tags, found.latest_version) == (
        "later",
        "To be filled.",
        ["a", "b"],
        0,
    )
    with pytest.raises(NotFound, match="pipeline later is empty: it has no version yet"):
        await source(database, project, "later")
    published = await database.run(lambda db: publish(db, project, a_file({"a": ""}, "later"), by="ada"))
    assert (published.pipeline.id, published.version.number) == (made.pipeline, 1)
    made_by = {"name": "later", "tags": ["a", "b"], "created_from": None}
    assert await people.audit() == [("ada", "pipeline.create", None, made_by)]


async def test_a_file_is_published_under_the_name_that_was_given_with_its_comments(
    create: Create, database: Database, project: ProjectId
) -> None:
    made = await create(name="my model: v2", yaml=TEXT)
    assert await source(database, project, "my model: v2") == TEXT.replace("name: train", 'name: "my model: v2"')
    found = await stored(database, made.pipeline)
    assert (found.description, found.latest_version, found.created_from) == ("Trains it.", 1, None)
    own = await create(yaml=TEXT)
    assert (await stored(database, own.pipeline)).name == "train"


async def test_a_taken_name_is_refused_with_one_that_is_free(
    create: Create, database: Database, project: ProjectId, ada: Caller
) -> None:
    for name in ("train", "train-2", "train-4"):
        await create(name=name)
    for asked, free in (("train", "train-3"), ("train-4", "train-3")):
        error = await refused(
            database,
            NameTaken,
            lambda db, asked=asked: create_pipeline(db, ada, NewPipeline(project, name=asked)),  # type: ignore[misc]
            f"has a pipeline named {asked} already; {free} is free",
        )
        assert error.facts["free_name"] == free
        assert error.code == "CONFLICT"


async def test_a_long_name_gets_a_free_one_that_is_not_too_long(create: Create) -> None:
    await create(name="x" * 64)
    with pytest.raises(NameTaken) as caught:
        await create(name="x" * 64)
    assert caught.value.free_name == "x" * 62 + "-2"


@pytest.mark.parametrize(
    ("wanted", "kind", "says"),
    [
        ({}, InvalidInput, "an empty pipeline needs a name"),
        ({"name": "a/b"}, InvalidInput, "cannot name a pipeline"),
        ({"name": "x" * 65}, InvalidInput, "1 to 64 characters"),
        ({"name": "a", "tags": [f"t{n}" for n in range(21)]}, InvalidInput, "21 tags; a pipeline has at most 20"),
        ({"name": "a", "tags": ["x" * 41]}, InvalidInput, "a tag has 1 to 40 characters"),
        ({"name": "a", "tags": ["a,b"]}, InvalidInput, "without commas"),
        ({"name": "a", "tags": [""]}, InvalidInput, "cannot be a tag"),
        ({"name": "a", "description": "x" * 2001}, InvalidInput, "at most 2000 characters"),
        ({"name": "a", "message": "x" * 1001}, InvalidInput, "at most 1000 characters"),
        ({"name": "a", "version": 1}, InvalidInput, "together with the pipeline"),
        ({"yaml": TEXT, "copy_of": PipelineId(UUID(int=3))}, InvalidInput, "give one of them"),
        ({"copy_of": PipelineId(UUID(int=3))}, NotFound, "no such pipeline to copy"),
        ({"name": "a", "yaml": "name: b\ntasks: 7\n"}, InvalidPipeline, "tasks"),
        ({"project": ProjectId(UUID(int=9)), "name": "a"}, NotFound, "no such project"),
    ],
)
async def test_what_cannot_be_made_is_refused_and_nothing_is_stored(
    database: Database, project: ProjectId, ada: Caller, wanted: dict[str, Any], kind: type[FastTrackError], says: str
) -> None:
    new = NewPipeline(**({"project": project} | wanted))
    await refused(database, kind, lambda db: create_pipeline(db, ada, new, key="k"), says)


async def test_the_same_request_under_the_same_key_makes_one_pipeline(create: Create, database: Database) -> None:
    made = await asyncio.gather(*(create(key="k", yaml=TEXT) for _ in range(5)))
    assert len({m.pipeline for m in made}) == 1
    assert len({m.version for m in made}) == 1
    with pytest.raises(Conflict, match="used for another request"):
        await create(key="k", name="other")
    async with database.transaction() as db:
        assert await db.value("SELECT count(*)::int FROM pipeline") == 1


async def test_ten_who_want_one_name_at_once_make_one_pipeline(create: Create, database: Database) -> None:
    done = await asyncio.gather(*(create(name="one") for _ in range(10)), return_exceptions=True)
    assert sorted(type(d).__name__ for d in done) == ["Created", *["NameTaken"] * 9]
    assert {d.free_name for d in done if isinstance(d, NameTaken)} == {"one-2"}


async def test_a_copy_takes_a_free_name_and_remembers_its_origin(
    create: Create, database: Database, project: ProjectId
) -> None:
    first = await create(yaml=TEXT, tags=["gpu"], description="Ours.")
    await database.run(lambda db: publish(db, project, TEXT.replace("'true'", "'false'"), by="bob"))
    copy = await create(copy_of=first.pipeline, version=1)
    found = await stored(database, copy.pipeline)
    assert (found.name, found.tags, found.description, found.latest_version) == ("train-copy", ["gpu"], "Ours.", 1)
    assert found.created_from == {"kind": "pipeline", "pipeline": str(first.pipeline), "version": 1, "name": "train"}
    assert await source(database, project, "train-copy") == TEXT.replace("name: train", "name: train-copy")
    newest = await create(copy_of=first.pipeline)
    assert (await stored(database, newest.pipeline)).name == "train-copy-2"
    assert "'false'" in await source(database, project, "train-copy-2")
    with pytest.raises(NotFound, match="has no version 3; its newest is 2"):
        await create(copy_of=first.pipeline, version=3)


async def test_a_copy_may_go_into_another_project_of_the_caller_and_into_no_other(
    create: Create, database: Database, project: ProjectId, people: People, ada: Caller
) -> None:
    first = await create(yaml=TEXT)
    vision = await people.project("vision")
    with pytest.raises(NotFound, match="no such project"):
        await create(project=vision, copy_of=first.pipeline)
    both = Caller(UUID(int=8), "bob", roles={project: Role.VIEWER, vision: Role.EDITOR})
    copy = await create(caller=both, project=vision, copy_of=first.pipeline)
    assert ((await stored(database, copy.pipeline)).project_id, (await stored(database, copy.pipeline)).name) == (
        vision,
        "train",
    )
    stranger = Caller(UUID(int=9), "eve", roles={vision: Role.ADMIN})
    with pytest.raises(NotFound, match="no such pipeline to copy"):
        await create(caller=stranger, project=vision, copy_of=first.pipeline)
    with pytest.raises(Forbidden):
        await create(caller=both, copy_of=first.pipeline)


async def test_a_copy_of_an_empty_pipeline_is_empty(create: Create, database: Database) -> None:
    first = await create(name="later")
    copy = await create(copy_of=first.pipeline)
    assert copy.version is None
    assert (await stored(database, copy.pipeline)).latest_version == 0


# -- changing -------------------------------------------------------------------------------------------------------


async def change(
    database: Database, caller: Caller, pipeline: PipelineId, revision: int | None = None, **wanted: Any
) -> None:
    changes = PipelineChanges(**wanted)
    await database.run(lambda db: update_pipeline(db, caller, pipeline, changes, expected_revision=revision))


async def test_a_rename_is_a_version_of_its_own_and_jobs_keep_theirs(
    create: Create, database: Database, project: ProjectId, ada: Caller, engine: Engine
) -> None:
    made = await create(yaml=TEXT)
    job = await engine.submit(TEXT)
    await change(database, ada, made.pipeline, name="fit model")
    record = await engine.job(job)
    assert (record.pipeline, record.version) == ("fit model", 1)
    assert await source(database, project, "fit model") == TEXT.replace("name: train", 'name: "fit model"')
    async with database.transaction() as db:
        assert [(v.number, v.message) for v in await list_versions(db, made.pipeline, limit=9)] == [
            (2, "renamed from train"),
            (1, ""),
        ]
    text = await source(database, project, "fit model")
    published = await database.run(lambda db: publish(db, project, text.replace("'true'", "'false'"), by="bob"))
    assert (published.pipeline.id, published.version.number, published.warnings) == (made.pipeline, 3, ())


async def test_a_file_with_the_old_name_is_a_version_of_the_renamed_pipeline_and_a_warning_says_so(
    create: Create, database: Database, project: ProjectId, ada: Caller
) -> None:
    made = await create(yaml=TEXT)
    await change(database, ada, made.pipeline, name="fit")
    same = await database.run(lambda db: publish(db, project, TEXT, by="bob"))
    assert (same.pipeline.id, same.is_new) == (made.pipeline, False)
    new = await database.run(lambda db: publish(db, project, TEXT.replace("'true'", "'false'"), by="bob"))
    assert (new.pipeline.id, new.pipeline.name, new.version.number, new.compiled.name) == (
        made.pipeline,
        "fit",
        3,
        "fit",
    )
    assert "train is called fit now" in new.warnings[-1].message
    assert spec.load(new.version.source).document.name == "fit"


async def test_an_old_name_that_is_taken_again_leads_to_its_new_owner(
    create: Create, database: Database, project: ProjectId, ada: Caller
) -> None:
    made = await create(yaml=TEXT)
    await change(database, ada, made.pipeline, name="fit")
    other = await create(name="train")
    published = await database.run(lambda db: publish(db, project, TEXT, by="bob"))
    assert (published.pipeline.id, published.warnings) == (other.pipeline, ())
    back = await database.run(lambda db: restore(db, project, "fit", 1, by="ada"))
    assert (back.pipeline.id, spec.load(back.version.source).document.name) == (made.pipeline, "fit")


async def test_a_change_counts_up_the_revision_and_one_that_changes_nothing_does_not(
    create: Create, database: Database, ada: Caller, people: People
) -> None:
    made = await create(name="a", tags=["x"])
    await change(database, ada, made.pipeline, revision=1, description="It does.", tags=["y", "x"])
    await change(database, ada, made.pipeline, revision=2, tags=["x", "y"])
    found = await stored(database, made.pipeline)
    assert (found.revision, found.description, found.tags) == (2, "It does.", ["x", "y"])
    assert [e[1:] for e in await people.audit()][1:] == [
        (
            "pipeline.update",
            {"name": "a", "description": "", "tags": ["x"]},
            {"name": "a", "description": "It does.", "tags": ["x", "y"]},
        )
    ]
    late = PipelineChanges(tags=["z"])
    await refused(
        database,
        Conflict,
        lambda db: update_pipeline(db, ada, made.pipeline, late, expected_revision=1),
        "at revision 2, not 1",
    )


async def test_a_rename_to_a_taken_name_is_refused_with_one_that_is_free(
    create: Create, database: Database, ada: Caller
) -> None:
    made, _ = await create(name="a"), await create(name="b")
    wanted = PipelineChanges(name="b")
    await refused(database, NameTaken, lambda db: update_pipeline(db, ada, made.pipeline, wanted), "b-2 is free")


async def test_of_two_renames_to_one_name_at_once_one_is_done(create: Create, database: Database, ada: Caller) -> None:
    made = [(await create(name=n)).pipeline for n in ("a", "b")]
    done = await asyncio.gather(*(change(database, ada, p, name="c") for p in made), return_exceptions=True)
    assert sorted(str(getattr(d, "code", None)) for d in done) == ["CONFLICT", "None"]


# -- archiving ------------------------------------------------------------------------------------------------------


async def run_to_the_end(engine: Engine, text: str) -> Any:
    job = await engine.submit(text)
    async with engine.scheduling():
        await engine.ended(job)
    return job


async def test_an_archived_pipeline_starts_nothing_and_keeps_its_history(
    database: Database, project: ProjectId, ada: Caller, engine: Engine
) -> None:
    text = a_file({"a": ""})
    job = await run_to_the_end(engine, text)
    record = await engine.job(job)
    async with database.transaction() as db:
        plan = await plan_rerun(db, project, job)
    await database.run(lambda db: archive_pipeline(db, ada, record.pipeline_id, expected_revision=1))
    await database.run(lambda db: archive_pipeline(db, ada, record.pipeline_id))
    assert (await stored(database, record.pipeline_id)).revision == 2
    assert (await engine.job(job)).state == "SUCCEEDED"
    assert len(await engine.history(job)) > 3
    before = await everything(database)
    with pytest.raises(Conflict, match="archived, and starts nothing"):
        await database.run(lambda db: rerun(db, project, plan, by="ada"))
    assert await everything(database) == before
    with pytest.raises(NotFound):
        await source(database, project, "demo")

    await database.run(lambda db: unarchive_pipeline(db, ada, record.pipeline_id))
    await database.run(lambda db: unarchive_pipeline(db, ada, record.pipeline_id))
    again = await database.run(lambda db: rerun(db, project, plan, by="ada"))
    assert again.number == 2


async def test_a_pipeline_with_a_job_that_is_not_over_is_neither_archived_nor_deleted(
    database: Database, ada: Caller, engine: Engine
) -> None:
    job = await engine.submit(a_file({"a": ""}))
    await engine.submit(a_file({"a": ""}))
    pipeline = (await engine.job(job)).pipeline_id
    says = "pipeline demo has 2 jobs that are not over"
    await refused(database, Conflict, lambda db: archive_pipeline(db, ada, pipeline), says)
    await refused(database, Conflict, lambda db: delete_pipeline(db, ada, pipeline, confirm_name="demo"), says)


async def test_a_name_is_free_once_its_owner_is_archived_and_then_it_cannot_come_back_under_it(
    create: Create, database: Database, project: ProjectId, ada: Caller
) -> None:
    old = await create(yaml=TEXT)
    await database.run(lambda db: archive_pipeline(db, ada, old.pipeline))
    new = await create(yaml=TEXT)
    assert new.pipeline != old.pipeline
    await refused(database, NameTaken, lambda db: unarchive_pipeline(db, ada, old.pipeline), "train-2 is free")
    wanted = PipelineChanges(name="older")
    await refused(database, Conflict, lambda db: update_pipeline(db, ada, old.pipeline, wanted), "is archived")
    await change(database, ada, new.pipeline, name="newer")
    await database.run(lambda db: unarchive_pipeline(db, ada, old.pipeline))
    async with database.transaction() as db:
        found = await find_pipeline(db, project, "train")
    assert found is not None
    assert found.id == old.pipeline


async def test_a_job_is_made_or_the_pipeline_is_archived_but_never_both(
    database: Database, ada: Caller, engine: Engine
) -> None:
    outcomes = set()
    for n in range(8):
        text = a_file({"a": ""}, f"p{n}")
        made = await database.run(lambda db, t=text: publish(db, engine.project, t, by="ada"))
        done = await asyncio.gather(
            engine.submit(text),
            database.run(lambda db, it=made: archive_pipeline(db, ada, it.pipeline.id)),
            return_exceptions=True,
        )
        archived = (await stored(database, made.pipeline.id)).archived_at is not None
        async with database.transaction() as db:
            jobs = await db.value("SELECT count(*)::int FROM job WHERE pipeline_id = $1", made.pipeline.id)
        assert (jobs, archived) in ((0, True), (1, False)), done
        outcomes.add(archived)
    assert outcomes


# -- deleting: what is left is removed by retention, tests/scheduler/test_deleted_pipelines.py ------------------------


async def test_a_pipeline_is_deleted_by_its_name_and_by_those_who_operate_only(
    create: Create, database: Database, project: ProjectId, ada: Caller, people: People
) -> None:
    made = await create(yaml=TEXT)
    pipeline = made.pipeline
    await refused(
        database,
        InvalidInput,
        lambda db: delete_pipeline(db, ada, pipeline, confirm_name="Train"),
        "nothing was deleted",
    )
    editor = Caller(UUID(int=8), "bob", roles={project: Role.EDITOR})
    await refused(
        database,
        Forbidden,
        lambda db: delete_pipeline(db, editor, pipeline, confirm_name="train"),
        "permission operate",
    )
    await database.run(lambda db: delete_pipeline(db, ada, pipeline, confirm_name="train", expected_revision=1))
    await refused(
        database, NotFound, lambda db: delete_pipeline(db, ada, pipeline, confirm_name="train"), "no such pipeline"
    )
    assert (await people.audit())[-1] == ("ada", "pipeline.delete", {"name": "train", "versions": 1}, None)
    assert (await create(yaml=TEXT)).pipeline != pipeline
