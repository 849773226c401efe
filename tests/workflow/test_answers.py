"""Idempotency keys: the same request twice is done once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from fasttrack.db import Database
from fasttrack.db.answers import delete_answers
from fasttrack.db.retention import count_keys, delete_keys
from fasttrack.errors import Conflict, InvalidInput
from fasttrack.workflow.accounts import create_user
from fasttrack.workflow.answers import answer_once
from tests.people import People, refused, utc_now


@pytest.fixture
def people(database: Database) -> People:
    return People(database)


def make_user(caller: Any, key: str | None, name: str = "ada") -> Any:
    async def ask(db: Any) -> Any:
        async def work() -> Any:
            return {"id": str((await create_user(db, caller, name)).id)}

        return await answer_once(db, caller, "createUser", key, {"name": name}, work)

    return ask


async def test_the_second_request_gets_the_answer_of_the_first(people: People) -> None:
    owner = await people.owner()
    first = await people.database.run(make_user(owner, "k"))
    assert await people.database.run(make_user(owner, "k")) == first
    assert len(await people.audit()) == 1


async def test_the_same_request_many_times_at_once_is_done_once(people: People) -> None:
    owner = await people.owner()
    answers = await asyncio.gather(*(people.database.run(make_user(owner, "k")) for _ in range(6)))
    assert len({a["id"] for a in answers}) == 1
    assert len(await people.audit()) == 1


async def test_a_key_for_another_request_is_a_conflict(people: People) -> None:
    owner = await people.owner()
    await people.database.run(make_user(owner, "k"))
    await refused(people, Conflict, make_user(owner, "k", "grace"), "another request")


async def test_keys_of_two_callers_are_apart(people: People) -> None:
    owner = await people.owner()
    other = await people.caller(await people.user("root2", superadmin=True))
    first = await people.database.run(make_user(owner, "k", "ada"))
    assert await people.database.run(make_user(other, "k", "grace")) != first


async def test_a_refusal_is_not_kept(people: People) -> None:
    owner = await people.owner()
    await refused(people, InvalidInput, make_user(owner, "k", "no name"))
    await people.database.run(make_user(owner, "k", "ada"))


async def test_without_a_key_each_request_is_done(people: People) -> None:
    owner = await people.owner()
    await people.database.run(make_user(owner, None))
    await refused(people, Conflict, make_user(owner, None))


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "a\0b"])
async def test_a_key_that_cannot_be_is_refused(people: People, key: str) -> None:
    await refused(people, InvalidInput, make_user(await people.owner(), key), "1 to 255")


async def test_old_answers_are_forgotten(people: People) -> None:
    owner = await people.owner()
    for i in range(3):
        await people.database.run(make_user(owner, f"k{i}", f"user{i}"))
    run = people.database.run
    assert await run(lambda db: delete_answers(db, utc_now() - timedelta(hours=1), limit=10)) == 0
    later = utc_now() + timedelta(hours=1)
    assert await run(lambda db: count_keys(db, later)) == 3
    assert await run(lambda db: delete_answers(db, later, limit=2)) == 2
    assert await run(lambda db: delete_keys(db, later)) == 1  # as a scheduler does from time to time
    assert await run(lambda db: count_keys(db, later)) == 0
