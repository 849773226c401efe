"""Mutants: the product with one safeguard taken out each. The simulation must notice every one of them.

A mutant that survives means that an invariant is not checked, or that no simulated world is nasty enough to need it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from fasttrack import feed
from fasttrack.db import Db
from fasttrack.domain.decision import Decision
from fasttrack.domain.events import Event
from fasttrack.domain.facts import BackendAway, CreateNotSent, Fact, SessionMissing
from fasttrack.domain.job import TaskInstance
from fasttrack.domain.sessions import SessionDecision
from fasttrack.domain.states import FailureClass, JobState
from fasttrack.ids import JobId, parse_session_name, session_name
from fasttrack.workflow import reconcile
from fasttrack_scheduler.effects import Effects
from fasttrack_scheduler.loops.observer import Observer
from fasttrack_scheduler.loops.reconciler import Reconciler
from fasttrack_scheduler.loops.sweeper import Sweeper
from tests.db.bare import append_events
from tests.simulation.loop import LIFE
from tests.simulation.mutation import Mutation
from tests.simulation.network import ClusterBackend
from tests.simulation.world import World


@contextmanager
def random_names(world: World) -> Iterator[None]:
    spec, create = Effects._spec, Effects._create

    async def another_name(self: Effects, effect: Any) -> Any:
        instance, _ = parse_session_name(effect.name) or (effect.instance.id, 0)
        return replace(await spec(self, effect), name=session_name(instance, world.random.randint(100, 999)))

    async def told_under_its_own(self: Effects, effect: Any, *more: Any) -> Fact:
        return replace(await create(self, effect, *more), name=effect.name)

    with patch.object(Effects, "_spec", another_name), patch.object(Effects, "_create", told_under_its_own):
        yield


@contextmanager
def look_up_among_the_living(_: World) -> Iterator[None]:
    find, observe = ClusterBackend.find, ClusterBackend.observe

    async def find_living(self: ClusterBackend, name: str) -> Any:
        seen = await find(self, name)
        return None if seen is None or seen.status.is_terminal else seen

    async def observe_living(self: ClusterBackend, names: Sequence[str]) -> Any:
        return [seen for seen in await observe(self, names) if not seen.status.is_terminal]

    with patch.object(ClusterBackend, "find", find_living), patch.object(ClusterBackend, "observe", observe_living):
        yield


@contextmanager
def create_again_before_the_fence(_: World) -> Iterator[None]:
    missing = SessionDecision._missing

    def at_once(self: SessionDecision, fact: SessionMissing) -> None:
        if self.attempt.session_id is None and self.attempt.stop is None:
            fact = replace(fact, looked_at=max(fact.looked_at, self.attempt.fence_until))
        missing(self, fact)

    with patch.object(SessionDecision, "_missing", at_once):
        yield


@contextmanager
def no_answer_is_a_failure(_: World) -> Iterator[None]:
    def fail(self: SessionDecision, fact: BackendAway) -> None:
        self._fail(FailureClass.INFRASTRUCTURE, fact.reason, None)

    with patch.object(SessionDecision, "_away", fail):
        yield


@contextmanager
def hints_only(_: World) -> Iterator[None]:
    async def ask_nothing(self: Observer) -> float:
        return self._interval

    with patch.object(Observer, "turn", ask_nothing):
        yield


@contextmanager
def nothing(_: World) -> Iterator[None]:
    yield


def without_a_lock(sql: str) -> str:
    return sql.replace("FOR UPDATE OF j SKIP LOCKED", "")


class _Silent:
    """A decision that tells of nothing."""

    events: tuple[Event, ...] = ()

    def __init__(self, decision: Decision) -> None:
        self._decision = decision

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decision, name)


@contextmanager
def events_in_another_transaction(_: World) -> Iterator[None]:
    write, one_pass = reconcile.write_decisions, Reconciler._pass
    waiting: dict[object, Sequence[Event]] = {}

    async def without_events(db: Db, decisions: Sequence[Decision]) -> None:
        waiting[LIFE.get()] = [e for d in decisions for e in d.events]
        await write(db, [_Silent(d) for d in decisions])  # type: ignore[misc]

    async def then_append(self: Reconciler, *args: Any) -> Any:
        passed = await one_pass(self, *args)
        events = waiting.pop(LIFE.get(), [])
        await self._database.run(lambda db: append_events(db, events))
        return passed

    with patch.object(reconcile, "write_decisions", without_events), patch.object(Reconciler, "_pass", then_append):
        yield


@contextmanager
def no_sweep(_: World) -> Iterator[None]:
    async def rest(self: Sweeper) -> float:
        return self._interval

    with patch.object(Sweeper, "turn", rest):
        yield


@contextmanager
def cancel_before_the_fence(_: World) -> Iterator[None]:
    missing = SessionDecision._missing

    def at_once(self: SessionDecision, fact: SessionMissing) -> None:
        if self.attempt.session_id is None and self.attempt.stop is not None:
            fact = replace(fact, looked_at=max(fact.looked_at, self.attempt.fence_until))
        missing(self, fact)

    with patch.object(SessionDecision, "_missing", at_once):
        yield


@contextmanager
def places_in_the_transaction(world: World) -> Iterator[None]:
    ask = world.postgres.rows
    ask("CREATE SEQUENCE IF NOT EXISTS sim.places")
    ask("ALTER SEQUENCE sim.places RESTART")
    ask(_PLACE_AT_ONCE)
    ask("CREATE TRIGGER at_once BEFORE INSERT ON unplaced_range FOR EACH ROW EXECUTE FUNCTION sim.place_at_once()")

    async def move_the_head(db: Db) -> tuple[int, int]:
        await db.execute(
            "UPDATE feed_head SET pos = (SELECT max(pos) FROM feed_range) WHERE pos < (SELECT max(pos) FROM feed_range)"
        )
        return 0, 0

    try:
        with patch.object(feed, "place_events", move_the_head):
            yield
    finally:
        ask("DROP TRIGGER at_once ON unplaced_range")


_PLACE_AT_ONCE = """CREATE OR REPLACE FUNCTION sim.place_at_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO feed_range (pos, project_id, job_id, seq, events)
    SELECT setval('sim.places', nextval('sim.places') + NEW.events - 1), project_id, NEW.job_id, NEW.seq, NEW.events
    FROM job WHERE id = NEW.job_id;
    RETURN NULL; END $$"""


@contextmanager
def wall_clock_measures_fences(world: World) -> Iterator[None]:
    look, create = Effects._look, Effects._create

    async def by_the_wall(self: Effects, name: str, *more: Any) -> Fact:
        life = LIFE.get()
        asked_at = world.wall_clock(life.process if life else "")
        fact = await look(self, name, *more)
        return replace(fact, looked_at=asked_at) if isinstance(fact, SessionMissing) else fact

    async def unless_it_is_late(self: Effects, effect: Any, *more: Any) -> Fact:
        life = LIFE.get()
        now = world.wall_clock(life.process if life else "")
        if now > effect.attempt.fence_until - self._backend.fence / 4:
            return CreateNotSent(effect.name, effect.attempt.fence_until)
        return await create(self, effect, *more)

    with patch.object(Effects, "_look", by_the_wall), patch.object(Effects, "_create", unless_it_is_late):
        yield


@contextmanager
def a_pause_is_ignored(_: World) -> Iterator[None]:
    def may_start(self: Decision) -> bool:
        return self.starts and not self.is_cancelling and not self.blocked and not self.job.state.is_terminal

    with patch.object(Decision, "may_start", property(may_start)):
        yield


@contextmanager
def a_paused_pipeline_starts(_: World) -> Iterator[None]:
    def held_back(self: Decision) -> str:
        return "the job is paused" if self.job.state is JobState.PAUSED else self.blocked or ""

    with patch.object(Decision, "held_back", property(held_back)):
        yield


@contextmanager
def a_pause_uses_up_a_session(_: World) -> Iterator[None]:
    def set_back(self: Decision, instance: TaskInstance, reason: str) -> None:
        self.cancel(instance, reason)

    with patch.object(Decision, "set_back", set_back):
        yield


@contextmanager
def what_is_reused_runs(_: World) -> Iterator[None]:
    def note(self: Decision, instance: TaskInstance, job: JobId) -> None:
        instance.reused_from = job

    with patch.object(Decision, "reuse", note):
        yield


MUTANTS = {
    m.name: m
    for m in (
        Mutation("random-names", "each try of a create has a name of its own", random_names),
        Mutation("living-only", "names are looked up among living sessions only", look_up_among_the_living),
        Mutation("no-create-fence", "a create without an answer is sent again at once", create_again_before_the_fence),
        Mutation("unknown-is-failed", "no answer is taken for a failure", no_answer_is_a_failure),
        Mutation("hints-only", "the backend is asked only when it hints", hints_only),
        Mutation("blind-update", "jobs are decided about without their lock", nothing, without_a_lock),
        Mutation("events-apart", "events are appended after the commit they tell of", events_in_another_transaction),
        Mutation("no-sweep", "nobody looks for ownerless sessions", no_sweep),
        Mutation("no-cancel-fence", "a cancel does not wait for a create under way", cancel_before_the_fence),
        Mutation("serial-places", "the feed's places are given by a sequence", places_in_the_transaction),
        Mutation("wall-clock", "this machine's clock says whether a fence has passed", wall_clock_measures_fences),
        Mutation("pause-ignored", "a paused job starts tasks", a_pause_is_ignored),
        Mutation("pipeline-pause", "a paused pipeline starts tasks", a_paused_pipeline_starts),
        Mutation("pause-cancels", "a task that a pause ended is cancelled", a_pause_uses_up_a_session),
        Mutation("reused-runs", "a re-run runs what it reuses", what_is_reused_runs),
    )
}
"""By name. The ages of a fence and of a lost session are the product's own; a mutant changes nothing else."""
