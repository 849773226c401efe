"""The working copy of one decision, and the only functions that change a state.

Each of them checks the move, changes the snapshot, counts, and appends the event; nothing else in FastTrack assigns a
state. `sessions` and `transitions` decide; the caller of `transitions` writes what was collected here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..ids import JobId
from .dependencies import FAILURE, SUCCESS, TOLERATED, Outcome
from .events import TASK_NOTED, Event
from .facts import CreateSession, Effect, EndSession, LookForSession
from .job import Attempt, JobSnapshot, TaskInstance
from .states import FailureClass, InstanceState, JobState, require_move


@dataclass(frozen=True, slots=True)
class EnginePolicy:
    """The engine's own times and limits."""

    site: str
    """Where new sessions are created."""
    fence: timedelta
    """How long a create may still take effect after it was sent."""
    settle_after: timedelta = timedelta(seconds=5)
    """An attempt without an answer is looked up after this long."""
    look_again: timedelta = timedelta(seconds=2)
    """How often a session that is being ended, or settled, is looked at."""
    lost_after: timedelta = timedelta(seconds=60)
    safety_interval: timedelta = timedelta(seconds=30)
    infrastructure_retries: int = 4
    preemption_retries: int = 10
    quota_retries: int = 5
    ageing: timedelta = timedelta(minutes=10)
    """How much waiting a point of priority is worth."""


class Decision:
    """What one pass decides for one job. The snapshot is its working copy."""

    def __init__(self, snapshot: JobSnapshot, policy: EnginePolicy, now: datetime, *, starts: bool = True) -> None:
        """:param starts: whether attempts may be opened; one who cannot carry out effects must not."""
        self.starts = starts
        self.snapshot = snapshot
        self.job = snapshot.job
        self.policy = policy
        self.now = now
        self.instances: dict[int, TaskInstance] = {}
        self.opened: list[Attempt] = []
        self.attempts: dict[int, Attempt] = {}
        self.events: list[Event] = []
        self.effects: list[Effect] = []
        self.is_job_changed = False
        self.wants_grants = False
        """A task waits for a grant, or one that had slots gave them back."""
        self.cancel_reason = "cancelled on request"
        self.blocked: str | None = None
        """Why the pipeline does not let this job begin, if it does not."""
        self._ended: list[tuple[int, Outcome]] = []
        self._dues: list[datetime] = []

    @property
    def is_cancelling(self) -> bool:
        """Whether a cancel was asked for."""
        return self.job.cancel_requested_at is not None

    @property
    def may_start(self) -> bool:
        """Whether the job's state lets new attempts begin."""
        return self.starts and not self.is_cancelling and self.job.state is JobState.RUNNING and not self.held_back

    @property
    def held_back(self) -> str:
        """Why nothing may start although the job is not over; empty if it may."""
        if self.job.state is JobState.PAUSED:
            return "the job is paused"
        if self.job.is_pipeline_paused:
            return "the pipeline is paused"
        return self.blocked or ""

    # -- the only writers of a state ----------------------------------------------------------------------------

    def move(self, instance: TaskInstance, target: InstanceState, *, reason: str = "", **payload: Any) -> None:
        """Change an instance's state, with its event."""
        source = instance.state
        require_move(self.snapshot.task(instance).name, source, target)
        instance.state = target
        instance.reason = reason
        self.instances[instance.index] = instance
        if reason:
            payload["reason"] = reason
        self._append(f"task.{target.lower()}", instance.index, {"from": source.value, "to": target.value, **payload})

    def end(self, instance: TaskInstance, target: InstanceState, outcome: Outcome, **payload: Any) -> None:
        """Bring an instance to a terminal state, to be carried to its dependants."""
        self.move(instance, target, **payload)
        instance.ended_at = self.now
        self.job.open_tasks -= 1
        self.job.failed_tasks += target is InstanceState.FAILED and not outcome.ok
        self.wants_grants |= self.is_limited(instance)
        self.job.cancelled_tasks += target is InstanceState.CANCELLED
        self._ended.append((instance.index, outcome))

    def note(self, instance: TaskInstance, reason: str) -> None:
        """Say why an instance waits; plays no part in deciding."""
        if reason != instance.reason:
            instance.reason = reason
            self.instances[instance.index] = instance
            self._append(TASK_NOTED, instance.index, {"reason": reason})

    def move_job(self, target: JobState, *, reason: str = "") -> None:
        """Change the job's state, with its event."""
        source = self.job.state
        require_move(self.job.id, source, target)
        self.job.state = target
        self.job.reason = reason
        payload = {"from": source.value, "to": target.value} | ({"reason": reason} if reason else {})
        self._append(f"job.{target.lower()}", None, payload)

    def due(self, at: datetime) -> None:
        """Ask for another look at the job no later than `at`."""
        self._dues.append(at)

    def _append(self, kind: str, task: int | None, payload: dict[str, Any]) -> None:
        self.job.seq += 1
        self.is_job_changed = True
        self.events.append(Event(self.job.id, self.job.seq, kind, self.now, task, payload))

    # -- how an attempt ends ------------------------------------------------------------------------------------

    def succeed(self, instance: TaskInstance) -> None:
        """The newest attempt ended well."""
        instance.exit_code = 0
        self.end(instance, InstanceState.SUCCEEDED, SUCCESS, attempt=instance.attempt)

    def cancel(self, instance: TaskInstance, reason: str) -> None:
        """The newest attempt was ended on request."""
        instance.failure = FailureClass.CANCELLED
        self.end(instance, InstanceState.CANCELLED, FAILURE, reason=reason, attempt=instance.attempt)

    def fail(self, instance: TaskInstance, failure: FailureClass, reason: str, exit_code: int | None) -> None:
        """The newest attempt failed: try again if a budget allows it, else the instance is FAILED."""
        task = self.snapshot.task(instance)
        instance.failure, instance.exit_code = failure, exit_code
        facts: dict[str, Any] = {"attempt": instance.attempt, "failure": failure.value}
        if exit_code is not None:
            facts["exit_code"] = exit_code
        wait = None if self.is_cancelling else self._wait_before_retry(instance)
        if wait is None:
            outcome = TOLERATED if task.continue_on_failure else FAILURE
            self.end(instance, InstanceState.FAILED, outcome, reason=reason, **facts)
            return
        instance.not_before = self.now + wait
        instance.granted_at = None
        self.wants_grants |= self.is_limited(instance)
        self.due(instance.not_before)
        facts["not_before"] = instance.not_before.isoformat()
        self.move(instance, InstanceState.READY, reason=f"will be tried again: {reason}", **facts)

    def _wait_before_retry(self, instance: TaskInstance) -> timedelta | None:
        retry = self.snapshot.task(instance).retry
        failure = instance.failure
        if failure in retry.on:
            instance.failures += 1
            if instance.failures < retry.max_attempts:
                return retry.wait_before(instance.failures + 1)
            return None
        # What is not the command's fault has budgets of its own, so that a flaky cluster never uses up `retry`.
        match failure:
            case FailureClass.INFRASTRUCTURE:
                instance.infrastructure_failures += 1
                # The first soon, for what was an accident; the later ones outlast a machine that comes back.
                count, first, growth = instance.infrastructure_failures, 2, 4
                budget = self.policy.infrastructure_retries
            case FailureClass.PREEMPTED:
                instance.preemptions += 1
                count, first, growth = instance.preemptions, 2, 2
                budget = self.policy.preemption_retries
            case FailureClass.QUOTA:
                instance.quota_failures += 1
                count, first, growth = instance.quota_failures, 60, 2
                budget = self.policy.quota_retries
            case _:
                return None
        return timedelta(seconds=min(first * growth ** (count - 1), 900)) if count <= budget else None

    def ask_to_end(self, attempt: Attempt) -> None:
        """End the attempt's session after the commit, and look again soon whether it is gone."""
        self.effects.append(EndSession(self.job, attempt.session_name))
        self.due(self.now + self.policy.look_again)

    def ask_to_look(self, attempt: Attempt) -> None:
        """Look the attempt's session up after the commit."""
        self.effects.append(LookForSession(self.job, attempt.session_name))
        self.due(self.now + self.policy.look_again)

    # -- attempts ----------------------------------------------------------------------------------------------

    def is_limited(self, instance: TaskInstance) -> bool:
        """Whether a limit of the project holds for this task."""
        return bool(self.job.limits) and not self.job.limits.isdisjoint(instance.scopes)

    def begin(self, instance: TaskInstance) -> None:
        """Start a task whose time has come, or let it wait as READY for what keeps it from starting."""
        if self.may_start and (instance.granted_at is not None or not self.is_limited(instance)):
            self.open_attempt(instance)
            return
        reason = self.held_back
        if self.may_start:
            self.wants_grants = True
            reason = "waits for a slot of " + " and ".join(
                _say(scope) for scope in instance.scopes if scope in self.job.limits
            )
        if instance.state is InstanceState.READY:
            self.note(instance, reason)
        else:
            self.move(instance, InstanceState.READY, reason=reason)

    def set_back(self, instance: TaskInstance, reason: str) -> None:
        """The newest attempt was ended by a pause: the task will begin anew, and no retry is used up."""
        instance.granted_at = None
        self.wants_grants |= self.is_limited(instance)
        self.move(instance, InstanceState.READY, reason=reason, attempt=instance.attempt)

    def reuse(self, instance: TaskInstance, job: JobId) -> None:
        """Let what `job` made of this task stand for it."""
        instance.reused_from = job
        self.end(instance, InstanceState.SUCCEEDED, SUCCESS, reason="reused", reused_from=str(job))

    def open_attempt(self, instance: TaskInstance) -> None:
        """Record the intent to create a session; the call itself follows the commit."""
        instance.attempt += 1
        instance.not_before = instance.started_at = instance.failure = instance.exit_code = None
        instance.granted_at = None
        attempt = Attempt(
            instance_id=instance.id,
            job_id=self.job.id,
            number=instance.attempt,
            state=InstanceState.STARTING,
            opened_at=self.now,
            fence_until=self.now + self.policy.fence,
        )
        self.snapshot.attempts[instance.index] = attempt
        self.opened.append(attempt)
        if self.job.site is None:
            self.job.site = self.policy.site
        self.move(instance, InstanceState.STARTING, attempt=attempt.number)
        self.due(self.now + self.policy.settle_after)
        self.effects.append(CreateSession(self.job, self.snapshot.pipeline, instance, attempt))


def _say(scope: str) -> str:
    kind, _, name = scope.partition(":")
    return "the project" if kind == "project" else f"{kind.replace('_', ' ')} {name}"
