"""The hub: nothing missed, nothing twice, nobody delayed, memory bounded."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from fasttrack.db import Database
from fasttrack.db.follow import Wanted, read_events
from fasttrack.db.projects import ensure_project
from fasttrack.domain.access import Caller, Role
from fasttrack.doorbell import Doorbell
from fasttrack.errors import NotFound, Unauthenticated, Unavailable
from fasttrack.feed import Cursor, CursorExpired
from fasttrack.ids import JobId, PipelineId, ProjectId, new_id
from fasttrack.settings import Settings
from fasttrack_api.streams import Chunk, Ended, Hub, Subscriber, Ticket, TooManyStreams
from tests.api.streams.writing import Writer
from tests.waiting import eventually

ADA = Caller(UUID(int=7), "ada", is_superadmin=True)


async def _same() -> Caller:
    return ADA


TICKET = Ticket(ADA, _same, "ada")


@pytest.fixture
async def hub(database: Database, doorbell: Doorbell, settings: Settings) -> AsyncIterator[Hub]:
    quick = {"stream_bookmark_interval": timedelta(seconds=0.3), "stream_access_interval": timedelta(seconds=0.1)}
    made = Hub(database, doorbell, settings.model_copy(update=quick | {"stream_buffer_events": 50}))
    yield made
    await made.close()


def keys(chunk: Chunk) -> list[tuple[JobId, int]]:
    return [(m.event.job_id, m.event.seq) for m in chunk.messages]


async def heard(stream: Subscriber, count: int) -> list[tuple[JobId, int]]:
    """The next so many events, and not one more."""
    got: list[tuple[JobId, int]] = []
    async with asyncio.timeout(20):
        while len(got) < count:
            got += keys(await stream.next())
    assert len(got) == count
    return got


async def silent(stream: Subscriber) -> Chunk:
    """The next chunk, which is a bookmark."""
    async with asyncio.timeout(5):
        chunk = await stream.next()
    assert keys(chunk) == []
    return chunk


async def test_it_goes_from_the_database_to_live_without_gap_or_repeat(hub: Hub, writer: Writer) -> None:
    job = await writer.job()
    start = await writer.here()
    await writer.tell(job, 450)
    stream = await hub.subscribe(TICKET, Wanted(None), after=start)
    assert await heard(stream, 450) == [(job, n) for n in range(1, 451)]
    await eventually(lambda: stream.is_live or not stream._buffer)
    await silent(stream)
    assert stream.is_live
    await writer.tell(job, 5)
    assert await heard(stream, 5) == [(job, n) for n in range(451, 456)]
    stream.close()
    assert hub.open == 0


@pytest.mark.parametrize("seed", range(4))
async def test_any_number_of_reconnects_at_random_places_loses_and_repeats_nothing(
    hub: Hub, writer: Writer, seed: int
) -> None:
    """Cuts come before, between and in the midst of chunks; the client goes on after the last event that it has."""
    chance = random.Random(seed)
    jobs = [await writer.job() for _ in range(3)]
    wanted = Wanted(None, job=jobs[0]) if seed % 2 else Wanted(None, kinds=frozenset({"task.running"}))
    cursor = await writer.here()
    is_done = False

    async def write() -> None:
        nonlocal is_done
        for _ in range(60):
            batch = [writer.events(j, chance.randint(1, 9), to=chance.choice(["RUNNING", "FAILED"])) for j in jobs]
            await writer.write(*batch)
            await asyncio.sleep(chance.random() * 0.01)
        is_done = True

    writing = asyncio.create_task(write())
    got: list[tuple[JobId, int]] = []
    connects = 0
    while True:
        stream = await hub.subscribe(TICKET, wanted, after=cursor)
        connects += 1
        cut = chance.randint(1, 60)
        ended = False
        while cut > 0:
            was_done = is_done
            chunk = await stream.next()
            if not chunk.messages:
                cursor = Cursor.parse(chunk.cursor)
                ended = was_done
                break
            for message in chunk.messages[: chance.randint(1, len(chunk.messages))]:
                got.append((message.event.job_id, message.event.seq))
                cursor = Cursor.parse(message.cursor)
                cut -= 1
            if cursor.pos != chunk.messages[-1].event.pos:
                break
        stream.close()
        if ended:
            break
    await writing
    assert connects > 3
    assert got == await writer.all(wanted)


async def test_one_who_takes_nothing_costs_bounded_memory_and_delays_nobody(hub: Hub, writer: Writer) -> None:
    job = await writer.job()
    slow = await hub.subscribe(TICKET, Wanted(None), after=None)
    quick = await hub.subscribe(TICKET, Wanted(None), after=None)
    await silent(slow)
    await silent(quick)
    assert slow.is_live
    most = 0
    for n in range(40):
        await writer.tell(job, 10, padding="x" * 1000)
        assert await heard(quick, 10) == [(job, 10 * n + i) for i in range(1, 11)]
        most = max(most, slow.held[1])
    assert (most, slow.held, slow.is_live) == (50, (0, 0), False)
    assert quick.is_live, "the other never had to go to the database"
    assert await heard(slow, 400) == [(job, n) for n in range(1, 401)]
    await silent(slow)
    assert slow.is_live
    await writer.tell(job)
    assert await heard(slow, 1) == [(job, 401)]


async def test_memory_is_bounded_by_bytes_as_well(hub: Hub, writer: Writer) -> None:
    hub.buffer_bytes = 20_000
    job = await writer.job()
    stream = await hub.subscribe(TICKET, Wanted(None), after=None)
    await silent(stream)
    for _ in range(10):
        await writer.tell(job, padding="x" * 5000)
        assert stream.held[0] <= 20_000
    await eventually(lambda: not stream.is_live)
    assert await heard(stream, 10) == [(job, n) for n in range(1, 11)]


async def test_a_quiet_or_filtered_stream_tells_how_far_it_is(hub: Hub, writer: Writer) -> None:
    job, other = await writer.job(), await writer.job()
    stream = await hub.subscribe(TICKET, Wanted(None, job=job), after=None)
    first = await silent(stream)
    await writer.tell(other, 30)
    await eventually(lambda: hub.pos == first.reached + 30)
    assert (await silent(stream)).cursor == str(Cursor(hub.epoch, first.reached + 30))


async def test_sql_and_memory_want_the_same(hub: Hub, writer: Writer, database: Database) -> None:
    """The law behind going from one to the other: for any filter, both find the same events."""
    chance = random.Random(5)
    projects = [writer.project, await database.run(lambda db: ensure_project(db, "second")), ProjectId(uuid4())]
    pipelines = [PipelineId(new_id()) for _ in range(2)]
    jobs = [await writer.job(project=p, pipeline=pipe) for p in projects for pipe in pipelines]
    live: list[Any] = []

    async def take() -> None:
        while True:
            live.extend(m.event for m in (await everything.next()).messages)

    everything = await hub.subscribe(TICKET, Wanted(None), after=await writer.here())
    taking = asyncio.create_task(take())
    for _ in range(60):
        states = ["RUNNING", "FAILED", "SUCCEEDED"]
        await writer.write(*[writer.events(j, chance.randint(1, 3), to=chance.choice(states)) for j in jobs])
    await eventually(lambda: len(live) == sum(writer.seqs.values()))
    taking.cancel()
    for _ in range(60):
        wanted = Wanted(
            chance.choice([None, frozenset(), frozenset(projects[:1]), frozenset(projects[:2])]),
            chance.choice([None, pipelines[0]]),
            chance.choice([None, None, jobs[0]]),
            chance.choice([frozenset(), frozenset({"FAILED"}), frozenset({"FAILED", "RUNNING"})]),
            chance.choice([frozenset(), frozenset({"task.running"}), frozenset({"task.failed", "task.succeeded"})]),
        )
        assert await writer.all(wanted) == [(e.job_id, e.seq) for e in live if wanted.takes(e)]


async def test_a_page_looks_at_a_bounded_part_and_says_how_far(writer: Writer, database: Database) -> None:
    job, rare = await writer.job(), await writer.job()
    start = (await writer.here()).pos
    await writer.write(*[writer.events(job, 20) for _ in range(520)])
    await writer.tell(rare, to="FAILED")
    wanted = Wanted(None, states=frozenset({"FAILED"}))
    reached, pages = start, []
    while not pages or reached < pages[-1].head:
        async with database.transaction() as db:
            pages.append(await read_events(db, wanted, after=reached, limit=100))
        reached = pages[-1].reached
    assert [len(p.events) for p in pages] == [0, 0, 1]
    assert [p.reached - start for p in pages] == [5000, 10000, 10401]


@pytest.mark.parametrize("ahead", [1, 10**12])
async def test_a_cursor_that_cannot_be_honoured_is_refused_at_once(hub: Hub, writer: Writer, ahead: int) -> None:
    here = await writer.here()
    with pytest.raises(CursorExpired):
        await hub.subscribe(TICKET, Wanted(None), after=Cursor(here.epoch, here.pos + ahead))
    with pytest.raises(CursorExpired):
        await hub.subscribe(TICKET, Wanted(None), after=Cursor(uuid4(), here.pos))
    assert hub.open == 0


async def test_a_cursor_whose_events_were_removed_is_refused_with_what_to_do(
    hub: Hub, writer: Writer, database: Database
) -> None:
    job = await writer.job()
    start = await writer.here()
    await writer.tell(job, 5)
    await database.run(lambda db: db.execute("UPDATE project SET pruned_pos = $1", start.pos + 3))
    with pytest.raises(CursorExpired, match="list again"):
        await hub.subscribe(TICKET, Wanted(None), after=start)
    seen = Cursor(start.epoch, start.pos + 3)
    stream = await hub.subscribe(TICKET, Wanted(None), after=seen)
    assert await heard(stream, 2) == [(job, 4), (job, 5)]
    whole = await hub.subscribe(TICKET, Wanted(None, job=job), after=start)
    assert len(await heard(whole, 5)) == 5, "the job's own history is whole"


async def test_a_restored_database_ends_every_stream(hub: Hub, writer: Writer, database: Database) -> None:
    job = await writer.job()
    await writer.tell(job, 3)
    stream = await hub.subscribe(TICKET, Wanted(None), after=None)
    await silent(stream)
    await database.run(lambda db: db.execute("UPDATE feed_head SET epoch = gen_random_uuid(), pos = 1"))
    await eventually(lambda: stream._error is not None, within=10)
    with pytest.raises(Ended) as ended:
        await stream.next()
    assert isinstance(ended.value.error, CursorExpired)


async def test_limits_hold_per_token_and_per_process_and_are_given_back(
    database: Database, doorbell: Doorbell, settings: Settings
) -> None:
    hub = Hub(database, doorbell, settings.model_copy(update={"stream_limit": 3, "stream_limit_per_token": 2}))
    bea = Caller(UUID(int=8), "bea", is_superadmin=True)
    hers = Ticket(bea, _same, "bea")
    mine = [await hub.subscribe(TICKET, Wanted(None), after=None) for _ in range(2)]
    with pytest.raises(TooManyStreams, match="2 streams of yours"):
        await hub.subscribe(TICKET, Wanted(None), after=None)
    await hub.subscribe(hers, Wanted(None), after=None)
    with pytest.raises(TooManyStreams, match="this server"):
        await hub.subscribe(hers, Wanted(None), after=None)
    mine[0].close()
    mine[0].close()
    await hub.subscribe(TICKET, Wanted(None), after=None)
    assert hub.open == 3
    await hub.close()


class Changing:
    """A caller whose rights change."""

    def __init__(self, caller: Caller) -> None:
        self.now: Caller | Exception = caller
        self.asked = 0
        self.ticket = Ticket(caller, self.renew, "changing")

    async def renew(self) -> Caller:
        self.asked += 1
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


def member(*projects: ProjectId) -> Caller:
    return Caller(UUID(int=9), "eve", roles=dict.fromkeys(projects, Role.VIEWER))


async def test_revocation_ends_a_stream_and_what_it_had_not_taken_is_not_told(hub: Hub, writer: Writer) -> None:
    eve = Changing(member(writer.project))
    job = await writer.job()
    stream = await hub.subscribe(eve.ticket, Wanted(eve.now.projects), after=None)  # type: ignore[union-attr]
    await silent(stream)
    await writer.tell(job)
    await eventually(lambda: stream.held[1] == 1)
    eve.now = Unauthenticated()
    await eventually(lambda: stream.held[1] == 0, within=5)
    with pytest.raises(Ended) as ended:
        await stream.next()
    assert isinstance(ended.value.error, Unauthenticated)


async def test_many_streams_of_one_token_are_looked_at_once(hub: Hub) -> None:
    eve = Changing(ADA)
    for _ in range(50):
        await hub.subscribe(eve.ticket, Wanted(None), after=None)
    before = eve.asked
    await asyncio.sleep(0.35)
    assert 1 <= eve.asked - before <= 5


async def test_one_who_leaves_a_project_gets_nothing_more_of_it(hub: Hub, writer: Writer, database: Database) -> None:
    second = await database.run(lambda db: ensure_project(db, "second"))
    eve = Changing(member(writer.project, second))
    mine, theirs = await writer.job(), await writer.job(project=second)
    both = frozenset({writer.project, second})
    everything = await hub.subscribe(eve.ticket, Wanted(both), after=None)
    fixed = await hub.subscribe(eve.ticket, Wanted(frozenset({second}), job=theirs), after=None, is_fixed=True)
    await writer.tell(mine)
    await writer.tell(theirs)
    assert await heard(everything, 2) == [(mine, 1), (theirs, 1)]
    assert await heard(fixed, 1) == [(theirs, 1)]
    eve.now = member(writer.project)
    await eventually(lambda: everything.wanted.projects == {writer.project})
    await writer.tell(theirs)
    await writer.tell(mine)
    assert await heard(everything, 1) == [(mine, 2)]
    with pytest.raises(Ended) as ended:
        await fixed.next()
    assert isinstance(ended.value.error, NotFound)


async def test_nothing_is_told_while_nobody_can_say_whether_it_may_be(
    hub: Hub, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fasttrack_api.streams.access.FAILS_CLOSED_AFTER", 0.3)
    eve = Changing(ADA)
    job = await writer.job()
    stream = await hub.subscribe(eve.ticket, Wanted(None), after=None)
    eve.now = Unavailable()
    await eventually(lambda: not stream.access.is_fresh)
    await writer.tell(job)
    taking = asyncio.create_task(heard(stream, 1))
    await asyncio.sleep(0.5)
    assert not taking.done()
    eve.now = ADA
    assert await taking == [(job, 1)]


async def test_the_reader_rests_when_nobody_follows_and_begins_again(hub: Hub, writer: Writer) -> None:
    hub.linger = 0.2
    job = await writer.job()
    for n in range(1, 6):
        stream = await hub.subscribe(TICKET, Wanted(None), after=None)
        await writer.tell(job)
        assert await heard(stream, 1) == [(job, n)]
        stream.close()
        await eventually(lambda: hub._reader is None)
        assert not hub._channels
        assert not hub._access


async def test_closing_says_that_the_server_goes_away(hub: Hub) -> None:
    stream = await hub.subscribe(TICKET, Wanted(None), after=None)
    await hub.close()
    with pytest.raises(Ended) as ended:
        await stream.next()
    assert isinstance(ended.value.error, Unavailable)
