"""Decides: gathers what is dirty and what is due, runs one pass over it, hands the effects on.

Passes follow one another with no timer between them, so under load they grow and commits do not (natural batching): what
arrives while a pass commits is the next pass.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from datetime import timedelta

import structlog

from fasttrack import tracing
from fasttrack.crashpoints import crash_point, crash_points
from fasttrack.db import Database
from fasttrack.db.passes import due_jobs, set_aside
from fasttrack.domain.decision import EnginePolicy
from fasttrack.domain.facts import Effect, Fact
from fasttrack.errors import Unavailable
from fasttrack.ids import JobId
from fasttrack.settings import Settings
from fasttrack.telemetry import EVENTS, PASS_SECONDS, PASSES
from fasttrack.workflow.admit import grant_slots
from fasttrack.workflow.reconcile import Passed, reconcile
from fasttrack.workflow.versions import CompiledVersions, NotCompiled

from ..effects import Decided

log = structlog.get_logger()

_SET_ASIDE = timedelta(minutes=1)
_BUSY_REST = 0.02  # another scheduler holds the job for the time of one pass …
_LONGEST_BUSY_REST = 0.5  # … or much longer, if it hangs: its locks last until the database ends its transaction


class Reconciler:
    """One scheduler's reconcile passes, one after the other."""

    def __init__(
        self,
        database: Database,
        policy: EnginePolicy,
        settings: Settings,
        *,
        on_effects: Callable[[Collection[Effect], Decided], None],
        on_events: Callable[[], None],
    ) -> None:
        self._database = database
        self._policy = policy
        self._settings = settings
        self._on_effects = on_effects
        self._on_events = on_events
        self._versions = CompiledVersions(defer=True)
        self._dirty: dict[JobId, None] = {}
        self._facts: dict[JobId, list[Fact]] = {}
        self._next_scan = 0.0
        self._busy_rest = _BUSY_REST
        self.wake = asyncio.Event()

    @property
    def policy(self) -> EnginePolicy:
        """What it decides by."""
        return self._policy

    def follow(self, policy: EnginePolicy) -> None:
        """Decide by this policy from here on."""
        self._policy = policy

    def look_at(self, jobs: Collection[JobId]) -> None:
        """Mark these jobs dirty: they are in the next pass."""
        for job in jobs:
            self._dirty[job] = None
        self.wake.set()

    def learn(self, job: JobId, fact: Fact) -> None:
        """Give a fact to the next pass over the job. Facts of one job keep their order."""
        self._facts.setdefault(job, []).append(fact)
        self._dirty[job] = None
        self.wake.set()

    async def turn(self) -> float:
        """One pass; how long to wait for the next if nothing wakes us."""
        await self._gather_due()
        jobs = list(self._dirty)[: self._settings.pass_limit]
        if not jobs:
            return self._until_next_scan()
        facts = {job: self._facts.pop(job) for job in jobs if job in self._facts}
        for job in jobs:
            del self._dirty[job]
        try:
            with tracing.span("reconcile pass") as span:
                passed = await self._pass(jobs, facts)
                span.note({"fasttrack.jobs": len(jobs), "fasttrack.events": len(passed.events)})
        except Unavailable:
            self._keep(jobs, facts)
            raise
        except Exception:
            self._keep([], facts)
            await self._pass_one_by_one(jobs, facts)
            return 0.0
        self._keep(passed.busy, {job: facts[job] for job in passed.busy if job in facts})
        if passed.busy and len(self._dirty) == len(passed.busy):
            rest, self._busy_rest = self._busy_rest, min(self._busy_rest * 2, _LONGEST_BUSY_REST)
            return rest
        self._busy_rest = _BUSY_REST
        return 0.0 if self._dirty else self._until_next_scan()

    def _until_next_scan(self) -> float:
        return max(self._next_scan - asyncio.get_running_loop().time(), 0.001)

    async def _gather_due(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._next_scan:
            return
        self._next_scan = now + self._settings.reconcile_interval.total_seconds()

        limit = self._settings.pass_limit
        async with self._database.transaction() as db:
            due = await due_jobs(db, [self._policy.site], limit=limit)
        self._dirty.update(dict.fromkeys(due))
        if len(due) == limit:
            self._next_scan = now

    async def _pass(self, jobs: list[JobId], facts: dict[JobId, list[Fact]]) -> Passed:
        began, started = asyncio.get_running_loop().time(), time.perf_counter()
        try:
            passed = await self._database.run(
                lambda db: reconcile(db, jobs, facts, policy=self._policy, versions=self._versions)
            )
        except NotCompiled as missing:
            self._versions.compile(missing.documents)
            return await self._pass(jobs, facts)
        PASS_SECONDS.observe(time.perf_counter() - started)
        PASSES.inc()
        crash_points(passed.events, "after_commit")
        self._on_effects(passed.effects, Decided(passed.now, began))  # first: a session waits for it
        if passed.events:
            EVENTS.inc(len(passed.events))
            self._on_events()
        self._dirty.update(dict.fromkeys(passed.wake))
        for project in passed.grant:
            granted = await self._database.run(
                lambda db, project=project: grant_slots(db, project, ageing=self._policy.ageing)  # type: ignore[misc]
            )
            crash_point("grant.after_commit")
            self._dirty.update(dict.fromkeys(granted))
        if passed.next_due is not None:
            # Both times are the database's: this machine's clock may be wrong, and would make us spin or sleep.
            wait = (passed.next_due - passed.now).total_seconds()
            self._next_scan = min(self._next_scan, asyncio.get_running_loop().time() + max(wait, 0.0) + 0.001)
        return passed

    async def _pass_one_by_one(self, jobs: list[JobId], facts: dict[JobId, list[Fact]]) -> None:
        """After a pass that failed: find the job that breaks it, set it aside for a minute, and say so (F37)."""
        for job in jobs:
            mine = {job: self._facts.pop(job)} if job in self._facts else {}
            self._dirty.pop(job, None)
            try:
                passed = await self._pass([job], mine)
                self._keep(passed.busy, mine if passed.busy else {})
            except Unavailable:
                self._keep([job], mine)
                raise
            except Exception as error:
                log.exception("a job cannot be reconciled; it is set aside for a minute", job=str(job))
                reason = f"cannot be reconciled: {type(error).__name__}; see the scheduler's log"
                async with self._database.transaction() as db:
                    await set_aside(db, job, reason, _SET_ASIDE)

    def _keep(self, jobs: Collection[JobId], facts: dict[JobId, list[Fact]]) -> None:
        """Put back what a pass did not use up, before anything newer."""
        for job in jobs:
            self._dirty[job] = None
        for job, old in facts.items():
            self._facts[job] = old + self._facts.get(job, [])
            self._dirty[job] = None
