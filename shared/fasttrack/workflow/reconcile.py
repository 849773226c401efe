"""The reconcile pass, the heart of the engine: load what can move, decide, write sets, once for many jobs.

Level-triggered: a pass may be run for any job at any time, by any scheduler, any number of times; what it does follows
from what is stored and from the facts it was given. Nothing here calls a backend: effects are returned, and carried out
after the commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ..crashpoints import crash_points
from ..db import Db
from ..db.passes import load_instances, load_movable, lock_jobs, still_open, write_decisions
from ..domain.decision import EnginePolicy
from ..domain.facts import Effect, Fact
from ..domain.job import JobSnapshot
from ..domain.transitions import JobDecision
from ..ids import JobId, ProjectId
from .admit import hold_back, make_room
from .versions import CompiledVersions


@dataclass(frozen=True, slots=True)
class Passed:
    """What a pass did."""

    done: frozenset[JobId]
    """Jobs that were decided, or are over: their facts are used up."""
    busy: frozenset[JobId]
    """Jobs another scheduler holds: try again shortly, with the same facts."""
    now: datetime
    """The moment it decided at: the database's time."""
    effects: tuple[Effect, ...]
    """To be carried out after the commit."""
    events: tuple[str, ...]
    """The kinds of the events appended, in order."""
    next_due: datetime | None
    """When the first of these jobs wants to be looked at again."""
    wake: frozenset[JobId] = frozenset()
    """Other jobs that may go on because of what happened."""
    grant: frozenset[ProjectId] = frozenset()
    """Projects in which tasks wait for slots, or gave some back: let in who is next (`admit.grant_slots`)."""


async def reconcile(
    db: Db,
    jobs: Sequence[JobId],
    facts: Mapping[JobId, Sequence[Fact]],
    *,
    policy: EnginePolicy,
    versions: CompiledVersions,
    now: datetime | None = None,
) -> Passed:
    """Decide for these jobs and write what follows. Needs a transaction of its own; may be repeated at any time.

    :param now: the moment to decide at; the database's clock unless a test says otherwise, so that schedulers with
        skewed clocks agree on fences and time-outs.
    """
    locked, clock = await lock_jobs(db, jobs, [policy.site])
    now = now or clock
    unlocked = set(jobs) - {j.id for j in locked}
    busy = await still_open(db, unlocked, [policy.site]) if unlocked else set()
    pipelines = await versions.of_jobs(db, locked)
    instances, attempts = await load_movable(db, locked) if locked else ({}, {})
    decisions: list[JobDecision] = [
        JobDecision(JobSnapshot(j, pipelines[j.id], instances[j.id], attempts[j.id]), policy, now) for j in locked
    ]
    wake = await hold_back(db, decisions, ageing=policy.ageing, now=now)
    for decision in decisions:
        decision.settle(facts.get(decision.job.id, ()))
    wanted = {d.job.id: t for d in decisions if (t := d.touched())}
    loaded = await load_instances(db, wanted) if wanted else {}
    for decision in decisions:
        decision.cascade(loaded.get(decision.job.id, ()))
        decision.start()
        decision.conclude()
    await write_decisions(db, decisions)
    wake |= await make_room(db, decisions)
    dues = [d.job.next_reconcile_at for d in decisions if d.job.next_reconcile_at is not None]
    events = tuple(e.kind for d in decisions for e in d.events)
    crash_points(events, "before_commit")
    return Passed(
        done=frozenset(set(jobs) - busy),
        busy=frozenset(busy),
        now=now,
        effects=tuple(e for d in decisions for e in d.effects),
        events=events,
        next_due=min(dues, default=None),
        wake=frozenset(wake),
        grant=frozenset(d.job.project_id for d in decisions if d.wants_grants),
    )
