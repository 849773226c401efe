"""One world: the real scheduler three times, the real workflow and feed, people, a cluster, and all that goes wrong.

Chaos, then quiet, then the final checks. Everything follows from the seed.
"""

from __future__ import annotations

import asyncio
import hashlib
import random as global_random
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import orjson

from fasttrack import ids
from fasttrack.db.feed import PLACED
from fasttrack.db.pipelines import VersionRecord
from fasttrack.db.projects import ensure_project
from fasttrack.db.secrets import SecretBox
from fasttrack.domain.pipeline import Pipeline
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from fasttrack.workflow.admit import change_limit
from fasttrack.workflow.publish import publish
from fasttrack_scheduler.service import Scheduler, engine_policy

from .cluster import Cluster, Session
from .faults import FENCE, Faults
from .loop import LIFE, Life, VirtualLoop
from .mutation import Mutation
from .network import ClusterBackend, FaultyWire, Listener
from .people import People
from .postgres import Postgres
from .store import SimDatabase, Transaction
from .watch import Watch
from .workload import Workload, most_jobs, tasks_of

BEGINNING = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
SCHEDULERS = 3
SETTINGS = Settings(
    reconcile_interval=4,
    observe_interval=5,
    sweep_interval=8,
    lost_after=20,
    terminate_grace=5,
    safety_interval=30,
)
_BOX = SecretBox(bytes(32))


class World:
    """Everything there is."""

    def __init__(self, seed: int, postgres: Postgres, *, mutation: Mutation | None = None, trace: bool = False) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.faults = Faults.draw(Random(f"faults {seed}"))
        self.chaos = Random(f"length {seed}").uniform(22, 44)
        self.workload = Workload.draw(Random(f"work {seed}"), within=self.chaos)
        if self.workload.limits:  # whoever counts must meet others that do
            self.faults.slow_transactions = 0.5
            self.faults.stop_rate = 0.04
        self.postgres = postgres
        self.loop = VirtualLoop(Random(f"order {seed}"))
        self.mutation = mutation
        self.trace = trace
        self.lines: list[str] = []
        self.watch = Watch(self)
        self.cluster = Cluster(self)
        self.cluster.on_change = self._hint
        self.cluster.on_create = self.watch.created
        self.transactions: list[Transaction] = []
        self.changes: Counter[str] = Counter()
        """Per table, how many commits may have changed it."""
        self.answers: dict[tuple[Any, ...], Any] = {}
        """What the database would answer again (`store`)."""
        self.schedulers: dict[str, tuple[Life, Scheduler]] = {}
        self.listeners: list[Listener] = []
        self.versions: list[tuple[VersionRecord, Pipeline]] = []
        self.pools: dict[tuple[UUID, str], str] = {}
        """By pipeline and task."""
        self.most_jobs: dict[UUID, int] = {}
        """By pipeline, if it has a limit."""
        self.project: ProjectId
        self._database_back_at = 0.0
        self._cluster_back_at = 0.0
        self._ids = Random(f"ids {seed}")
        self._began_at = self.loop.time()
        self.kills = 0

    # -- time ---------------------------------------------------------------------------------------------------

    def elapsed(self) -> float:
        """Virtual seconds since the beginning."""
        return self.loop.time() - self._began_at

    def now(self) -> datetime:
        """The true time: the database's and the cluster's."""
        return BEGINNING + timedelta(seconds=self.elapsed())

    def wall_clock(self, process: str) -> datetime:
        """What the clock of that process's machine shows."""
        is_wrong = process in ("scheduler-1", "scheduler-2", "api-1")
        return self.now() + timedelta(seconds=self.faults.clock_step if is_wrong else 0)

    def later(self, seconds: float, callback: Callable[[], object]) -> None:
        """Let something happen then, whoever is alive."""
        self.loop.later(seconds, callback)

    async def tick(self, *, slow: bool = False) -> None:
        """Let a little time pass, as any call to the database does."""
        await asyncio.sleep(self.random.uniform(0, 0.15 if slow else 0.004))

    def new_id(self) -> UUID:
        """Time-ordered, like the real ones."""
        milliseconds = int(self.now().timestamp() * 1000)
        return UUID(int=(milliseconds << 80) | (7 << 76) | (2 << 62) | (self._ids.getrandbits(74) & ~(15 << 60)))

    # -- running ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run it to its end; what it showed is in `watch`."""
        self.postgres.empty()
        global_random.seed(self.seed)
        ids.make_ids_with(self.new_id)
        try:
            with self.mutation.patch(self) if self.mutation is not None else nullcontext():
                self.loop.run_until_complete(self._run())
        except AssertionError as error:
            self.watch.violate(type(error).__name__, str(error))
        finally:
            ids.make_ids_with(None)
            for transaction in list(self.transactions):
                transaction.cut()
            self.loop.bury()

    async def _run(self) -> None:
        from .checks import check

        await self._publish()
        people = People(self)
        await people.begin()
        for number in range(SCHEDULERS):
            self.start(f"scheduler-{number}", 1)
        nemesis = self.loop.spawn(self._nemesis(), None)
        while self.elapsed() < self.chaos and not self.watch.violations:
            await asyncio.sleep(1)
        nemesis.cancel()
        self.quiet()
        late = (3 * FENCE if self.faults.is_beyond_fence else FENCE) + 2 * SETTINGS.sweep_interval.total_seconds() + 5
        await people.are_done(at_least=late)
        if not self.watch.violations:
            await asyncio.sleep(6)  # the last events are placed and read
            check(self, people)
        self.watch.violations += [f for f in self.loop.failures if "Task exception" in f]

    async def _publish(self) -> None:
        async with SimDatabase(self, None).transaction() as db:
            self.project = await ensure_project(db, "default")
            for file in self.workload.files:
                published = await publish(db, self.project, file, by="ada")
                self.versions.append((published.version, published.compiled))
                pipeline = published.version.pipeline_id
                for task in tasks_of(file):
                    if "pool" in task:
                        self.pools[pipeline, task["name"]] = task["pool"]
                if (most := most_jobs(file)) is not None:
                    self.most_jobs[pipeline] = most
            for (scope, name), slots in self.workload.limits.items():
                await change_limit(db, self.project, scope, name, slots)

    def history_hash(self) -> str:
        """A digest of every event of the world: equal for two runs of one seed."""
        rows = self.postgres.rows(
            f"SELECT job_id, seq, at, kind, task, payload, pos FROM ({PLACED}) AS e ORDER BY job_id, seq"
        )
        ledger = [(s.name, str(s.created_at), str(s.ended_at)) for s in self.cluster.ledger.sessions]
        text = orjson.dumps([[tuple(r) for r in rows], ledger, self.elapsed()], default=str)
        return hashlib.sha256(text).hexdigest()[:16]

    # -- processes ----------------------------------------------------------------------------------------------

    def start(self, process: str, number: int) -> None:
        """Begin a life of a scheduler."""
        life = Life(process, number)
        backend = ClusterBackend(self.cluster, FaultyWire(self, life))
        context_life = LIFE.set(life)  # what its constructor makes belongs to it
        scheduler = Scheduler(SETTINGS, SimDatabase(self, life), backend, _BOX)
        LIFE.reset(context_life)
        scheduler.reconciler.follow(replace(engine_policy(SETTINGS, backend), look_again=timedelta(seconds=4)))
        self.schedulers[process] = (life, scheduler)
        self.log(f"start {life}")
        self.loop.spawn(_live(scheduler), life)

    def kill(self, life: Life) -> None:
        """`kill -9`: nothing of it runs again; its connections are cut; a supervisor starts it again soon."""
        if life.is_dead:
            return
        self.log(f"kill {life}")
        self.kills += 1
        life.is_dead = True
        self._cut_transactions(life)
        self.listeners = [each for each in self.listeners if each.life is not life]
        rest = self.random.uniform(0, 3)
        if life.process.startswith("scheduler"):
            self.later(rest, lambda: self.start(life.process, life.number + 1))

    def stop(self, life: Life, seconds: float) -> None:
        """`kill -STOP`, and `-CONT` after that time. The database ends what it left open for more than ten seconds."""
        if life.is_stopped:
            return
        self.log(f"stop {life} for {seconds:.1f} s")
        life.is_stopped = True
        if seconds > 10:
            self.later(10, lambda: self._cut_transactions(life))
        self.later(seconds, lambda: self.loop.resume(life))

    async def crash_point(self, life: Life | None, where: str) -> None:
        """Perhaps the process dies here."""
        if life is not None and self.faults.happens(self.faults.crash_rate):
            self.saw(f"killed {where}")
            self.kill(life)
            await asyncio.get_running_loop().create_future()

    def _cut_transactions(self, life: Life) -> None:
        for transaction in list(self.transactions):
            if transaction.life is life:
                transaction.cut()

    # -- what goes wrong by itself --------------------------------------------------------------------------------

    async def _nemesis(self) -> None:
        faults, random = self.faults, self.random
        plagues: list[tuple[float | None, Callable[[], None]]] = [
            (faults.kill_every, lambda: self.kill(random.choice(list(self.schedulers.values()))[0])),
            (faults.stop_every, self._stop_somebody),
            (faults.database_away_every, self._lose_database),
            (faults.cluster_away_every, self._lose_cluster),
        ]
        await asyncio.gather(*(self._plague(every, strike) for every, strike in plagues if every))

    async def _plague(self, every: float, strike: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(1 / every))
            strike()

    def _stop_somebody(self) -> None:
        life = self.random.choice(list(self.schedulers.values()))[0]
        self.stop(life, self.random.uniform(0.5, self.faults.longest_stop))

    def _lose_database(self) -> None:
        self._database_back_at = self.elapsed() + self.random.uniform(0.5, 8)
        for transaction in list(self.transactions):
            transaction.cut()

    def _lose_cluster(self) -> None:
        self._cluster_back_at = self.elapsed() + self.random.uniform(2, 20)

    def is_database_away(self) -> bool:
        return self.elapsed() < self._database_back_at

    def is_cluster_away(self) -> bool:
        return self.elapsed() < self._cluster_back_at

    def quiet(self) -> None:
        """From here on nothing goes wrong; what is under way still arrives."""
        self.log("quiet")
        self.faults.is_on = False
        self._database_back_at = self._cluster_back_at = 0.0
        for life, _ in self.schedulers.values():
            if life.is_stopped:
                self.loop.resume(life)

    # -- hints and sightings --------------------------------------------------------------------------------------

    def listen(self, life: Life) -> Listener:
        listener = Listener(life)
        self.listeners.append(listener)
        return listener

    def _hint(self, session: Session) -> None:
        self.log(f"session {session.name} {session.status} {session.reason}")
        for listener in self.listeners:
            for _ in range(2 if self.faults.happens(self.faults.hint_repeats) else 1):
                if not self.faults.happens(self.faults.hint_loss):
                    self.later(self.random.uniform(0.001, 1.5), lambda to=listener: to.put(session))  # type: ignore[misc]

    def ring(self, job: ids.JobId) -> None:
        """The doorbell, where there is one: some scheduler is told."""
        if self.faults.happens(self.faults.doorbell):
            life, scheduler = self.random.choice(list(self.schedulers.values()))
            if not life.is_dead and not life.is_stopped:
                scheduler.reconciler.look_at([job])

    def saw(self, what: str) -> None:
        self.watch.seen[what] += 1

    def mutated(self, sql: str) -> str:
        """The statement, as a mutant of the product would say it."""
        return sql if self.mutation is None else self.mutation.statement(sql)

    def log(self, line: str) -> None:
        if self.trace:
            self.lines.append(f"{self.elapsed():9.3f} {LIFE.get() or '-'} {line}")


async def _live(scheduler: Scheduler) -> None:
    # Nothing grows old in a world's minutes, nobody asks what the site has, and no folder is lost.
    scheduler._pruner.turn = scheduler._surveyor.turn = scheduler._caretaker.turn = _rest  # type: ignore[method-assign]
    async with scheduler.running():
        await asyncio.Event().wait()


async def _rest() -> float:
    return 3600.0
