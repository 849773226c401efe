"""Decisions: (what is stored, what was learned, now) → what changes and what is to be done. No I/O.

One `JobDecision` decides for one job in one reconcile pass, in this order:

    settle(facts)        open sessions: what the backend said, time-outs, a cancel
    touched()            → which further instances the caller must load
    cascade(instances)   the ends of tasks reach their dependants, until nothing moves
    start()              whatever may run gets an attempt: the intent, before any call
    conclude()           the job's own state, and when to look again

What people ask of a running job (`pause`, `resume`, `skip`) is decided by the same object, outside of a pass.

Everything it changes is collected (`instances`, `opened`, `attempts`, `events`, `effects`); the caller writes it in the
transaction that holds the job's lock. Asking again without new facts moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from .decision import Decision
from .dependencies import FAILURE, LEFT_OUT, SUCCESS, Verdict, count, touched_by, verdict
from .facts import Fact
from .job import TaskInstance
from .sessions import SessionDecision
from .states import InstanceState, JobState

SKIPPED_BY = "skipped by "
"""How the reason of a task begins that somebody skipped after its job was submitted; their name follows."""
_ASK_AGAIN = timedelta(seconds=5)  # a job that waits for its pipeline is woken when another ends; this is the backstop


class JobDecision(Decision):
    """What one pass decides for one job."""

    # -- settle -------------------------------------------------------------------------------------------------

    def settle(self, facts: Iterable[Fact]) -> None:
        """Bring every open session up to what was learned of it, then apply time-outs and a cancel."""
        by_name: dict[str, list[Fact]] = {}
        for fact in facts:
            by_name.setdefault(fact.name, []).append(fact)
        for index, instance in list(self.snapshot.instances.items()):
            attempt = self.snapshot.attempts.get(index)
            if instance.state.has_session and attempt is not None:
                SessionDecision(self, instance, attempt).decide(by_name.get(attempt.session_name, ()))
            if self.is_cancelling and instance.state in (InstanceState.PENDING, InstanceState.READY):
                self.end(instance, InstanceState.CANCELLED, FAILURE, reason="the job was cancelled")

    # -- cascade ------------------------------------------------------------------------------------------------

    def touched(self) -> set[int]:
        """Indexes of instances that must be loaded before `cascade`."""
        return touched_by(self.snapshot.pipeline, self._ended) - self.snapshot.instances.keys()

    def cascade(self, loaded: Iterable[TaskInstance]) -> None:
        """Carry the ends of tasks to their dependants, theirs in turn, until nothing moves."""
        instances = self.snapshot.instances
        for instance in loaded:
            instances[instance.index] = instance
        while self._ended:
            index, outcome = self._ended.pop()
            for follower in self.snapshot.pipeline.dependants[index]:
                instance = instances[follower]
                if instance.state is not InstanceState.PENDING:
                    continue  # decided at an earlier failure, or cancelled
                count(instance, outcome)
                self.instances[follower] = instance
                self._decide_pending(instance)

    def _decide_pending(self, instance: TaskInstance) -> None:
        match verdict(self.snapshot.task(instance), instance):
            case Verdict.WAIT:
                pass
            case Verdict.RUN:
                instance.ready_at = self.now
                self.begin(instance)
            case Verdict.UPSTREAM_FAILED:
                self.end(instance, InstanceState.UPSTREAM_FAILED, FAILURE, reason="a task it needs did not succeed")
            case Verdict.LEFT_OUT:
                reason = f"its run_if ({self.snapshot.task(instance).run_if}) does not hold"
                self.end(instance, InstanceState.SKIPPED, LEFT_OUT, reason=reason)

    def release_roots(self) -> None:
        """Of a new job: carry skips and reuse to their dependants, and decide the tasks that need nothing."""
        roots = [i for i in self.snapshot.instances.values() if not i.unmet]
        self.cascade(())
        for instance in roots:
            if instance.state is InstanceState.PENDING:
                self._decide_pending(instance)
        self.cascade(())

    # -- start --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Let the job in if its pipeline does, and begin every instance that is READY and whose time has come."""
        job = self.job
        if job.state is JobState.PENDING and not self.is_cancelling:
            if self.held_back:
                job.reason = self.held_back
                self.is_job_changed = True
            else:
                self.move_job(JobState.RUNNING)
                job.started_at = self.now
        for instance in self.snapshot.instances.values():
            if instance.state is not InstanceState.READY:
                continue
            if instance.not_before is not None and instance.not_before > self.now:
                self.due(instance.not_before)
            elif not self.is_cancelling:
                self.begin(instance)

    # -- pause --------------------------------------------------------------------------------------------------

    def pause(self, *, stop: bool) -> None:
        """Start nothing new until resumed; with `stop`, end what runs, to begin anew afterwards."""
        self.move_job(JobState.PAUSED, reason="paused on request")
        if stop:
            for index, attempt in self.snapshot.attempts.items():
                SessionDecision(self, self.snapshot.instances[index], attempt).pause()
        self.job.next_reconcile_at = self.now

    def resume(self) -> None:
        """Go on where a pause left off."""
        self.move_job(JobState.RUNNING if self.job.started_at is not None else JobState.PENDING)
        self.job.next_reconcile_at = self.now

    # -- skip ---------------------------------------------------------------------------------------------------

    def skip(self, instance: TaskInstance, by: str) -> None:
        """Have a task that has no session not be run. It counts as done: `cascade` and `conclude` are to follow."""
        instance.not_before = instance.failure = instance.exit_code = None
        self.end(instance, InstanceState.SKIPPED, SUCCESS, reason=f"{SKIPPED_BY}{by}")

    # -- conclude -----------------------------------------------------------------------------------------------

    def conclude(self) -> None:
        """Give the job its state, and the time of the next look: never none while it is not over (I4)."""
        job = self.job
        if job.open_tasks == 0:
            if self.is_cancelling and job.cancelled_tasks:
                self.move_job(JobState.CANCELLED, reason=self.cancel_reason)
            elif job.failed_tasks or job.cancelled_tasks:
                self.move_job(JobState.FAILED, reason=self._failure_reason())
            else:
                self.move_job(JobState.SUCCEEDED)
            job.ended_at = self.now
            job.next_reconcile_at = None
            return
        if self.is_cancelling and job.state is not JobState.CANCELLING:
            self.move_job(JobState.CANCELLING, reason="ending its sessions")
        if job.state is JobState.RUNNING:
            self.is_job_changed |= job.reason != self.held_back
            job.reason = self.held_back
        elif self.blocked and job.state is JobState.PENDING:
            self.due(self.now + _ASK_AGAIN)
        # A look that is due already, or later than need be, is moved; an earlier one is harmless and stays unwritten.
        due = min([*self._dues, self.now + self.policy.safety_interval])
        stored = job.next_reconcile_at
        if self.is_job_changed or stored is None or stored <= self.now or due < stored:
            job.next_reconcile_at = due
            self.is_job_changed = True

    def _failure_reason(self) -> str:
        total = self.job.failed_tasks + self.job.cancelled_tasks
        return "a task did not succeed" if total == 1 else f"{total} tasks did not succeed"
