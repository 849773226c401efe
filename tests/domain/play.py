"""A job played forward by hand: decisions, with no database and no clock."""

from __future__ import annotations

from datetime import timedelta

from fasttrack.domain.decision import EnginePolicy
from fasttrack.domain.facts import Fact, SessionSeen
from fasttrack.domain.job import JobSnapshot
from fasttrack.domain.states import OPEN_SESSION_STATES, InstanceState, JobState
from fasttrack.domain.transitions import JobDecision
from tests.factories import NOW, a_pipeline, a_snapshot

S = InstanceState
POLICY = EnginePolicy(site="here", fence=timedelta(seconds=60))


class Play:
    """A job played forward by hand: a pass with these facts, so many seconds later."""

    def __init__(self, snapshot: JobSnapshot) -> None:
        self.snapshot = snapshot
        self.now = NOW
        self.history: list[tuple[str, str | None]] = []

    def step(self, *facts: Fact, after: float = 0) -> JobDecision:
        self.now += timedelta(seconds=after)
        # A pass loads only what can move; the rest comes in through `cascade`.
        everything = self.snapshot.instances
        movable = {
            i: x
            for i, x in everything.items()
            if x.state in OPEN_SESSION_STATES | {S.READY}
            or (self.snapshot.job.cancel_requested_at and x.state is S.PENDING)
        }
        attempts = {i: a for i, a in self.snapshot.attempts.items() if everything[i].state.has_session}
        loaded = JobSnapshot(self.snapshot.job, self.snapshot.pipeline, movable, attempts)
        decision = JobDecision(loaded, POLICY, self.now)
        decision.settle(facts)
        decision.cascade([everything[i] for i in decision.touched()])
        decision.start()
        decision.conclude()
        self.snapshot.attempts.update(loaded.attempts)
        names = [t.name for t in self.snapshot.pipeline.tasks]
        self.history += [(e.kind, None if e.task is None else names[e.task]) for e in decision.events]
        return decision

    def skip(self, task: str) -> JobDecision:
        """Somebody has the task not be run; every instance is at hand, as `workflow.control` loads what it needs."""
        decision = JobDecision(self.snapshot, POLICY, self.now, starts=False)
        decision.skip(self.snapshot.instances[self.snapshot.pipeline.by_name[task].index], "ada")
        decision.cascade(())
        decision.conclude()
        names = [t.name for t in self.snapshot.pipeline.tasks]
        self.history += [(e.kind, None if e.task is None else names[e.task]) for e in decision.events]
        return decision

    def seen(self, task: str, status: InstanceState, **facts: object) -> SessionSeen:
        return SessionSeen(self.name(task), "session-1", status, **facts)  # type: ignore[arg-type]

    def name(self, task: str) -> str:
        return self.snapshot.instances[self.snapshot.pipeline.by_name[task].index].session_name

    def states(self) -> dict[str, str]:
        return {t.name: self.snapshot.instances[t.index].state.value for t in self.snapshot.pipeline.tasks}

    @property
    def job(self) -> JobState:
        return self.snapshot.job.state


def play(graph: dict[str, str], **changes: dict[str, object]) -> Play:
    return Play(a_snapshot(a_pipeline(graph, **changes)))
