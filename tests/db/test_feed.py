"""The feed: every committed event has one place, places have no gap and no repeat, and each job keeps its order (I8)."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from uuid import uuid4

import pytest

from fasttrack.db import Database
from fasttrack.db.feed import PLACED, place_events
from fasttrack.domain.events import Event
from fasttrack.feed import Cursor, CursorExpired, CursorInvalid, Feed, Placer
from fasttrack.ids import JobId
from tests.db.bare import a_bare_job, append_events
from tests.engine import Engine
from tests.factories import NOW, a_file


def an_event(job: JobId, seq: int) -> Event:
    return Event(job, seq, "task.running", NOW, 0, {"seq": seq})


async def test_eight_writers_and_four_placers_lose_nothing(database: Database) -> None:
    """Transactions that commit late and out of order: the reason why places are given after the commit."""
    jobs = [await a_bare_job(database) for _ in range(8)]
    placer = Placer(database)

    async def write(job: JobId) -> None:
        for seq in range(1, 41):
            async with database.transaction() as db:
                await append_events(db, [an_event(job, seq)])
                await asyncio.sleep(0.001 * (hash((job, seq)) % 5))

    async def place() -> None:
        for _ in range(40):
            await placer.place()
            await asyncio.sleep(0.002)

    await asyncio.gather(*(write(j) for j in jobs[:4]), place())
    await asyncio.gather(*(write(j) for j in jobs[4:]), place())
    await placer.place()
    async with database.transaction() as db:
        rows = await db.rows(f"SELECT job_id, seq, pos FROM ({PLACED}) AS e ORDER BY pos")
    assert [r["pos"] for r in rows] == list(range(1, 8 * 40 + 1))
    for job in jobs:
        assert [r["seq"] for r in rows if r["job_id"] == job] == list(range(1, 41))


async def test_only_one_process_places_at_a_time_and_the_others_do_not_wait(database: Database) -> None:
    async with database.transaction() as first, database.transaction() as second:
        assert await place_events(first) == (0, 0)
        assert await place_events(second) is None


async def test_an_uncommitted_event_holds_nobody_up(database: Database) -> None:
    early, late = await a_bare_job(database), await a_bare_job(database)
    placer = Placer(database)
    async with database.transaction() as slow:
        await append_events(slow, [an_event(early, 1)])
        await database.run(lambda db: append_events(db, [an_event(late, 1)]))
        assert await placer.place() == 1
    assert await placer.place() == 1
    async with database.transaction() as db:
        assert await db.rows(f"SELECT job_id, pos FROM ({PLACED}) AS e ORDER BY pos") == [(late, 1), (early, 2)]


async def test_a_follower_gets_everything_once_across_a_reconnect(engine: Engine) -> None:
    """List, then follow; drop the connection after each event and go on from its cursor."""
    feed = Feed(engine.database, engine.project)
    cursor = await feed.here()
    job = await engine.submit(a_file({"a": "", "b": "a", "c": "b"}))
    seen = []
    async with engine.scheduling() as scheduler:
        async with asyncio.timeout(10):
            while not seen or seen[-1].kind != "job.succeeded":
                async with aclosing(feed.follow(cursor, wake=scheduler.placer.moved)) as events:
                    cursor, event = await anext(events)
                    seen.append(event)
    assert [e.seq for e in seen] == list(range(1, len(seen) + 1))
    assert {e.job_id for e in seen} == {job}
    assert [f"{e.kind} {e.task}" for e in seen if e.task] == [k for k in await engine.history(job) if " " in k]


async def test_a_cursor_survives_being_text() -> None:
    cursor = Cursor(uuid4(), 12345)
    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize("text", ["", "x", "äöü", "AAAA", "A" * 1000])
async def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(CursorInvalid):
        Cursor.parse(text)


async def test_a_cursor_of_another_feed_or_of_the_future_is_expired(engine: Engine) -> None:
    feed = Feed(engine.database, engine.project)
    here = await feed.here()
    for stranger in (Cursor(uuid4(), 0), Cursor(here.epoch, here.pos + 1)):
        with pytest.raises(CursorExpired):
            await anext(feed.follow(stranger))
