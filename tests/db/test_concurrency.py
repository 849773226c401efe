"""What only a real PostgreSQL can show: locks, isolation and cut connections, with everything going on at once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

import asyncpg
import pytest

from fasttrack.db import Database, Db, connect
from fasttrack.db.feed import PLACED
from fasttrack.db.passes import due_jobs
from fasttrack.domain.decision import EnginePolicy
from fasttrack.domain.events import Event
from fasttrack.domain.facts import CreateSession, SessionSeen
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.errors import Unavailable
from fasttrack.feed import Placer
from fasttrack.ids import JobId, new_id
from fasttrack.workflow.admit import change_limit, grant_slots
from fasttrack.workflow.control import cancel
from fasttrack.workflow.publish import publish
from fasttrack.workflow.reconcile import Passed, reconcile
from fasttrack.workflow.submit import RunRequest, Submitted, submit
from fasttrack.workflow.versions import CompiledVersions
from tests.db.bare import a_bare_job, append_events
from tests.db.cutting import copies, cutting, deadlocks
from tests.engine import Engine
from tests.factories import NOW, a_file
from tests.invariants import violations

T = TypeVar("T")
POLICY = EnginePolicy(site="simulated", fence=timedelta(minutes=5), settle_after=timedelta(minutes=5))


async def until_done(work: Callable[[], Awaitable[T]]) -> T:
    """Call again until it works, as whoever gets no answer does."""
    while True:
        try:
            return await work()
        except Unavailable:
            await asyncio.sleep(0.01)


async def read(engine: Engine, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a statement, also over a connection that has just been cut."""
    return [tuple(row) for row in await engine.database.run(lambda db: db.rows(sql))]


@asynccontextmanager
async def going_on(*works: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Each of these over and over while the block runs; a database that is away for a moment ends none of them."""

    async def repeat(work: Callable[[], Awaitable[object]]) -> None:
        while not is_over.is_set():
            await until_done(work)
            await asyncio.sleep(0)

    is_over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(repeat(work))
        yield
        is_over.set()


# -- the feed -----------------------------------------------------------------------------------------------------


class Writer:
    """Writes one job's events, each in a transaction that takes its time."""

    def __init__(self, database: Database, job: JobId, seed: int) -> None:
        self._database = database
        self._rng = random.Random(seed)
        self.job = job
        self.acknowledged = 0

    async def write(self) -> None:
        seq, pause = self.acknowledged + 1, self._rng.uniform(0, 0.005)

        async def work(db: Db) -> None:
            # Its commit may have been lost on the way back.
            if not await db.value("SELECT 1 FROM event WHERE job_id = $1 AND seq = $2", self.job, seq):
                await append_events(db, [Event(self.job, seq, "task.running", NOW, 0, {})])
                await asyncio.sleep(pause)

        await self._database.run(work)
        self.acknowledged = seq


class Reader:
    """Reads the feed by place, as every subscriber does: never back."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.read: list[tuple[JobId, int, int]] = []

    async def look(self) -> None:
        after = self.read[-1][2] if self.read else 0
        async with self._database.transaction() as db:
            rows = await db.rows(
                f"SELECT job_id, seq, pos FROM ({PLACED}) AS e WHERE pos > $1 ORDER BY pos LIMIT 200", after
            )
        self.read += [tuple(row) for row in rows]


async def test_eight_writers_under_cut_connections_lose_no_event_and_leave_no_gap(
    database: Database, database_url: str
) -> None:
    """I8: a reader that never goes back sees every acknowledged event once, each job's in its order."""
    writers = [Writer(database, await a_bare_job(database), seed) for seed in range(8)]
    placer, reader = Placer(database), Reader(database)
    async with cutting(database_url) as cuts, going_on(*(w.write for w in writers), *[placer.place] * 2, reader.look):
        await asyncio.sleep(3)
    await placer.place()
    while await count_read(reader):
        pass
    assert cuts.count >= 10
    assert [pos for _, _, pos in reader.read] == list(range(1, sum(w.acknowledged for w in writers) + 1))
    for writer in writers:
        seen = [seq for job, seq, _ in reader.read if job == writer.job]
        assert seen == list(range(1, writer.acknowledged + 1))


async def test_a_writer_that_stays_in_its_transaction_holds_up_nobody_and_loses_nothing(database: Database) -> None:
    writers = [Writer(database, await a_bare_job(database), seed) for seed in range(4)]
    slow = await a_bare_job(database)
    placer, reader = Placer(database), Reader(database)
    async with database.transaction() as held:
        await append_events(held, [Event(slow, 1, "task.running", NOW, 0, {})])
        async with going_on(*(w.write for w in writers), placer.place, reader.look):
            while min(w.acknowledged for w in writers) < 50:
                await asyncio.sleep(0.01)
        await placer.place()
        while await count_read(reader):
            pass
        assert len(reader.read) == sum(w.acknowledged for w in writers)
    assert await placer.place() == 1
    await reader.look()
    assert reader.read[-1] == (slow, 1, len(reader.read))


async def count_read(reader: Reader) -> int:
    before = len(reader.read)
    await until_done(reader.look)
    return len(reader.read) - before


# -- passes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_cut", [False, True], ids=["undisturbed", "under cut connections"])
async def test_four_schedulers_decide_each_of_a_thousand_due_jobs_once(
    engine: Engine, database_url: str, is_cut: bool
) -> None:
    first = await engine.submit(a_file({"a": ""}))
    jobs = await engine.database.run(lambda db: copies(db, first, 1000))
    effects: list[str] = []

    async def schedule(database: Database, versions: CompiledVersions) -> None:
        """Passes until nothing is due; two schedulers often find the same jobs due."""

        async def one_pass(db: Db) -> Passed:
            due = await due_jobs(db, [POLICY.site], limit=64)
            return await reconcile(db, due, {}, policy=POLICY, versions=versions)

        while True:
            passed = await until_done(lambda: database.run(one_pass))
            effects.extend(e.name for e in passed.effects if isinstance(e, CreateSession))
            if not passed.done and not passed.busy:
                return

    handles = [connect(database_url, pool_size=2) for _ in range(4)]
    async with cutting(database_url, every=0.1 if is_cut else 1e9), asyncio.TaskGroup() as group:
        for handle in handles:
            group.create_task(schedule(handle, CompiledVersions()))
    for handle in handles:
        await handle.close()
    started = await read(engine, "SELECT job_id, count(*)::int FROM event WHERE kind = 'task.starting' GROUP BY job_id")
    assert dict(started) == dict.fromkeys(jobs, 1)
    assert await read(engine, "SELECT count(*)::int FROM attempt") == [(1000,)]
    assert len(effects) == len(set(effects))
    if not is_cut:
        assert len(effects) == 1000
    await Placer(engine.database).place()
    assert await engine.database.run(violations) == []


class HaltingDb(Db):
    """Waits before it reads the line of those who want a slot, after it has counted what is taken."""

    __slots__ = ("go_on", "has_counted")

    def __init__(self, db: Db) -> None:
        super().__init__(db._connection)
        self.has_counted, self.go_on = asyncio.Event(), asyncio.Event()

    async def rows(self, sql: str, *args: object) -> list[asyncpg.Record]:
        if "ORDER BY j.priority" in sql:
            self.has_counted.set()
            await self.go_on.wait()
        return await super().rows(sql, *args)


async def test_slots_that_are_being_given_are_counted_by_whoever_gives_next(engine: Engine) -> None:
    """I15: between a count and the line that is let in by it, nobody else lets anybody in."""
    database, project, ageing = engine.database, engine.project, timedelta(minutes=10)
    await database.run(lambda db: change_limit(db, project, "pool", "gpu", 1))
    file = a_file({"a": "", "b": "", "c": ""}, **{t: {"pool": "gpu"} for t in "abc"})
    job = await engine.submit(file)
    await database.run(lambda db: reconcile(db, [job], {}, policy=POLICY, versions=CompiledVersions()))

    async with database.transaction() as second:
        halting = HaltingDb(second)
        async with database.transaction() as first:
            assert await grant_slots(first, project, ageing=ageing) == {job}
            other = asyncio.create_task(grant_slots(halting, project, ageing=ageing))
            pid = await first.value("SELECT pg_backend_pid()")
            blocked = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))"
            while not halting.has_counted.is_set() and not await first.value(blocked, pid):
                await asyncio.sleep(0.01)
        halting.go_on.set()
        assert await other == set()
    assert await read(engine, "SELECT count(*)::int FROM task_instance WHERE granted_at IS NOT NULL") == [(1,)]


LIMITED = {"concurrency": {"limit": 3, "on_limit": "cancel_older"}}


async def test_passes_submits_cancels_and_limits_at_once_never_deadlock(engine: Engine, database_url: str) -> None:
    """Overlapping random sets of jobs, in random order, from six sides."""
    rng = random.Random(7)
    database, project = engine.database, engine.project
    await database.run(lambda db: change_limit(db, project, "pool", "gpu", 3))
    graph = {"a": "", "b": "a", "c": "a", "d": "b c"}
    texts = [
        a_file(graph, "free"),
        a_file(graph, "pooled", a={"pool": "gpu"}, b={"pool": "gpu"}),
        a_file(graph, "limited", _top=LIMITED),
    ]
    jobs: list[JobId] = []
    live: dict[JobId, set[str]] = {}

    async def submit_one() -> None:
        jobs.append(await engine.submit(rng.choice(texts)))

    async def cancel_one() -> None:
        await asyncio.sleep(0.02)
        if jobs:
            await database.run(lambda db: cancel(db, project, rng.choice(jobs)))

    def passes(versions: CompiledVersions) -> Callable[[], Awaitable[None]]:
        async def one_pass() -> None:
            some = rng.sample(jobs, min(len(jobs), rng.randint(1, 12)))
            facts = {j: [ended(n) for n in live.get(j, ())] for j in some}
            passed = await database.run(lambda db: reconcile(db, some, facts, policy=POLICY, versions=versions))
            for effect in passed.effects:
                live.setdefault(effect.job.id, set()).add(effect.name)
            await asyncio.sleep(0)

        return one_pass

    async def grant() -> None:
        await database.run(lambda db: grant_slots(db, project, ageing=timedelta(minutes=10)))

    async def change() -> None:
        await asyncio.sleep(0.05)
        await database.run(lambda db: change_limit(db, project, "pool", "gpu", rng.randint(1, 5)))

    async with going_on(*[submit_one] * 2, cancel_one, *[passes(CompiledVersions()) for _ in range(4)], grant, change):
        await asyncio.sleep(3.5)
    await Placer(database).place()
    async with database.transaction() as db:
        assert await violations(db) == []
        verdicts = Counter(
            {r["state"]: r["count"] for r in await db.rows("SELECT state, count(*) FROM job GROUP BY 1")}
        )
    assert verdicts[JobState.SUCCEEDED] > 0
    assert verdicts[JobState.CANCELLED] > 0
    assert await deadlocks(database, database_url) == 0


def ended(name: str) -> SessionSeen:
    """A session that went well."""
    return SessionSeen(name, session_id=name, status=InstanceState.SUCCEEDED, exit_code=0)


# -- submitting -------------------------------------------------------------------------------------------------


async def test_fifty_submits_under_one_key_and_cut_connections_make_one_job(engine: Engine, database_url: str) -> None:
    """I12"""
    published = await engine.database.run(lambda db: publish(db, engine.project, a_file({"a": ""}), by="ada"))
    request = RunRequest(by="ada", idempotency_key="nightly-1")
    rounds = 8

    async def ask(key: int) -> Submitted:
        job = JobId(new_id())
        mine = RunRequest(by="ada", idempotency_key=f"{request.idempotency_key}-{key}")
        return await until_done(
            lambda: engine.database.run(
                lambda db: submit(db, engine.project, published.version, published.compiled, mine, now=NOW, job_id=job)
            )
        )

    async with cutting(database_url, every=0.05) as cuts:
        answers = [await asyncio.gather(*(ask(key) for _ in range(50))) for key in range(rounds)]
    assert cuts.count > 0
    assert [len({(a.job_id, a.number) for a in same}) for same in answers] == [1] * rounds
    assert await read(engine, "SELECT count(*)::int FROM job") == [(rounds,)]
    assert await read(engine, "SELECT count(*)::int FROM idempotency") == [(rounds,)]
