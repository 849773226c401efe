"""Publishing: immutable numbered versions, one for each meaning."""

from __future__ import annotations

import asyncio

import pytest

from fasttrack.db.pipelines import list_pipelines, list_versions
from fasttrack.errors import Conflict, InvalidPipeline, NotFound
from fasttrack.workflow.publish import publish, require_version, restore
from tests.engine import Engine
from tests.factories import a_file


async def test_the_first_file_makes_the_pipeline_and_version_one(engine: Engine) -> None:
    text = a_file({"a": ""})
    published = await engine.database.run(lambda db: publish(db, engine.project, text, by="ada", message="first"))
    assert published.is_new
    assert (published.version.number, published.version.author, published.version.message) == (1, "ada", "first")
    assert published.version.source == text


async def test_the_same_meaning_makes_no_new_version(engine: Engine) -> None:
    text = a_file({"a": ""})
    await engine.database.run(lambda db: publish(db, engine.project, text, by="ada"))
    again = await engine.database.run(lambda db: publish(db, engine.project, "# a comment\n" + text, by="bob"))
    assert not again.is_new
    assert again.version.number == 1


async def test_a_change_makes_the_next_version_and_leaves_the_former(engine: Engine) -> None:
    for command in ("true", "false"):
        text = a_file({"a": ""}, a={"command": command})
        await engine.database.run(lambda db, t=text: publish(db, engine.project, t, by="ada"))
    async with engine.database.transaction() as db:
        pipeline = (await list_pipelines(db, engine.project, limit=10))[0]
        versions = await list_versions(db, pipeline.id, limit=10)
    assert [v.number for v in versions] == [2, 1]
    assert versions[0].hash != versions[1].hash


async def test_twenty_authors_at_once_get_twenty_numbers(engine: Engine) -> None:
    async def one(n: int) -> int:
        text = a_file({"a": ""}, a={"command": f"echo {n}"})
        return (await engine.database.run(lambda db: publish(db, engine.project, text, by=str(n)))).version.number

    assert sorted(await asyncio.gather(*(one(n) for n in range(20)))) == list(range(1, 21))


async def test_an_author_who_missed_a_version_is_told(engine: Engine) -> None:
    await engine.database.run(lambda db: publish(db, engine.project, a_file({"a": ""}), by="ada"))
    with pytest.raises(Conflict, match="at version 1, not 0"):
        await engine.database.run(
            lambda db: publish(db, engine.project, a_file({"b": ""}), by="bob", expected_version=0)
        )


async def test_an_invalid_file_stores_nothing(engine: Engine) -> None:
    with pytest.raises(InvalidPipeline, match="a → b → a"):
        await engine.database.run(lambda db: publish(db, engine.project, a_file({"a": "b", "b": "a"}), by="ada"))
    async with engine.database.transaction() as db:
        assert await list_pipelines(db, engine.project, limit=10) == []


async def test_a_restored_version_is_a_new_one_with_the_old_meaning(engine: Engine) -> None:
    for command in ("true", "false"):
        text = a_file({"a": ""}, a={"command": command})
        await engine.database.run(lambda db, t=text: publish(db, engine.project, t, by="ada"))
    restored = await engine.database.run(lambda db: restore(db, engine.project, "demo", 1, by="bob"))
    assert restored.version.number == 3
    assert restored.version.message == "restored from version 1"
    async with engine.database.transaction() as db:
        assert restored.version.hash == (await require_version(db, engine.project, "demo", 1)).hash


async def test_what_is_not_there_is_not_found(engine: Engine) -> None:
    async with engine.database.transaction() as db:
        with pytest.raises(NotFound, match="no pipeline named demo"):
            await require_version(db, engine.project, "demo", 1)
    await engine.database.run(lambda db: publish(db, engine.project, a_file({"a": ""}), by="ada"))
    async with engine.database.transaction() as db:
        with pytest.raises(NotFound, match="no version 7; its newest is 1"):
            await require_version(db, engine.project, "demo", 7)
