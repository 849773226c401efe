"""What one open session means for its task instance: the half of the state machine that faces the backend.

*Intent → fence → create → adopt*: an attempt in STARTING whose session was never seen is looked up by name; it is
created again only when the backend does not know the name **and** the fence has passed, because until then a create
that was sent may still arrive (I1, I2). No answer is never a failure (I16).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import assert_never

from .decision import Decision
from .facts import BackendAway, CreateNotSent, CreateSession, Fact, SessionMissing, SessionRefused, SessionSeen
from .job import Attempt, TaskInstance
from .pipeline import TaskKind
from .states import FailureClass, InstanceState

State = InstanceState
_SAY_AWAY_AFTER = timedelta(seconds=30)


class SessionDecision:
    """Decides for one instance that has an open attempt."""

    def __init__(self, decision: Decision, instance: TaskInstance, attempt: Attempt) -> None:
        self.decision = decision
        self.instance = instance
        self.attempt = attempt
        self.task = decision.snapshot.task(instance)
        self.now = decision.now
        self._has_just_stopped = False

    def decide(self, facts: Sequence[Fact]) -> None:
        """Apply what was learned, then what time and a cancel demand."""
        for fact in facts:
            if not self.instance.state.has_session:
                return  # an earlier fact ended the attempt; later ones are stale
            match fact:
                case SessionSeen():
                    self._seen(fact)
                case SessionMissing():
                    self._missing(fact)
                case SessionRefused():
                    self._refused(fact)
                case BackendAway():
                    self._away(fact)
                case CreateNotSent():
                    # Another scheduler may have waited for this very fence, and have sent its own by now.
                    if fact.fence_until == self.attempt.fence_until:
                        self._create_anew()
                case _:
                    assert_never(fact)
        if self.instance.state.has_session:
            if any(_is_answer(fact) for fact in facts):
                self.attempt.asked_at = self.now
                self._touch()
            self._stop_if_due()
            self._look_if_due()

    # -- facts --------------------------------------------------------------------------------------------------

    def _seen(self, fact: SessionSeen) -> None:
        attempt, instance = self.attempt, self.instance
        if fact.is_create_answer and attempt.session_id is not None and not fact.status.is_terminal:
            return  # a hint was faster than the answer
        if attempt.session_id is None or attempt.missing_since is not None or fact.facts:
            attempt.session_id = fact.session_id
            attempt.missing_since = None
            attempt.facts = {**attempt.facts, **fact.facts}
            self._touch()
        if fact.started_at is not None and attempt.running_at is None:
            attempt.running_at = instance.started_at = fact.started_at
            self._touch()
        match fact.status:
            case State.SUCCEEDED:
                self._close(State.SUCCEEDED, None, "", 0)
                self.decision.succeed(instance)
            case State.FAILED | State.CANCELLED:
                self._ended_badly(fact)
            case _:
                self._alive(fact)

    def _alive(self, fact: SessionSeen) -> None:
        if self.attempt.stop is not None or self.instance.state is State.STOPPING:
            return  # being ended, by us or by others: whatever it says until it is over changes nothing
        if fact.status is self.instance.state:
            self.decision.note(self.instance, fact.reason)
            return
        if fact.status is State.RUNNING and self.attempt.running_at is None:
            self.attempt.running_at = self.instance.started_at = self.now
        self.attempt.state = fact.status
        self._touch()
        self.decision.move(
            self.instance, fact.status, reason=fact.reason, attempt=self.attempt.number, session_id=fact.session_id
        )

    def _ended_badly(self, fact: SessionSeen) -> None:
        stop = self.attempt.stop
        if stop is FailureClass.CANCELLED:
            self._close(State.CANCELLED, stop, "", fact.exit_code)
            self.decision.cancel(self.instance, "cancelled on request")
        elif stop is FailureClass.PREEMPTED:
            self._set_back(fact.exit_code)
        elif stop is not None:
            self._fail(stop, self.attempt.reason, fact.exit_code)
        elif fact.status is State.CANCELLED and fact.failure in (None, FailureClass.CANCELLED):
            reason = fact.reason or "the session was ended by someone outside FastTrack"
            self._close(State.CANCELLED, FailureClass.CANCELLED, reason, fact.exit_code)
            self.decision.cancel(self.instance, reason)
        else:
            self._fail(fact.failure or FailureClass.INFRASTRUCTURE, fact.reason, fact.exit_code)

    def _missing(self, fact: SessionMissing) -> None:
        attempt = self.attempt
        if attempt.session_id is not None:
            if attempt.missing_since is None:
                attempt.missing_since = fact.looked_at
                self._touch()
            if fact.looked_at - attempt.missing_since >= self.decision.policy.lost_after:
                self._lost("the session was lost: its backend does not know it any more")
        elif fact.looked_at < attempt.fence_until:
            pass  # a create that was sent may still arrive
        elif attempt.stop is not None:
            self._lost("it was ended before its session began")
        else:
            self._create_anew()

    def _create_anew(self) -> None:
        """Nothing that was sent can still arrive: send again, under the same name and a new fence."""
        attempt, decision = self.attempt, self.decision
        if attempt.session_id is not None or attempt.stop is not None or decision.is_cancelling:
            return
        attempt.fence_until = self.now + decision.policy.fence
        attempt.asked_at = self.now  # its answer comes first
        self._touch()
        decision.due(self.now + decision.policy.settle_after)
        decision.effects.append(CreateSession(decision.job, decision.snapshot.pipeline, self.instance, attempt))

    def _lost(self, reason: str) -> None:
        stop = self.attempt.stop
        if stop is FailureClass.CANCELLED:
            self._close(State.CANCELLED, stop, reason, None)
            self.decision.cancel(self.instance, "cancelled on request")
        elif stop is FailureClass.PREEMPTED:
            self._set_back(None)
        else:
            self._fail(stop or FailureClass.INFRASTRUCTURE, self.attempt.reason or reason, None)

    def _refused(self, fact: SessionRefused) -> None:
        if self.attempt.stop is FailureClass.CANCELLED:
            self._lost(fact.reason)
        else:
            self._fail(fact.failure, fact.reason, None)

    def _away(self, fact: BackendAway) -> None:
        is_told = fact.is_lasting or self.now - self.attempt.opened_at >= _SAY_AWAY_AFTER
        if is_told and self.attempt.session_id is None:
            self.decision.note(self.instance, f"waits for the backend: {fact.reason}")

    # -- time and cancel ----------------------------------------------------------------------------------------

    def _stop_if_due(self) -> None:
        if self.attempt.stop is FailureClass.PREEMPTED and self.decision.is_cancelling:
            self.attempt.stop = FailureClass.CANCELLED
            self._touch()
        if self.attempt.stop is not None:
            return
        if self.decision.is_cancelling:
            self._stop(FailureClass.CANCELLED, "the job was cancelled")
            return
        since, limit, what = self.attempt.opened_at, self.task.timeouts.waiting, "waited"
        if self.instance.state is State.RUNNING:
            since, limit, what = self.attempt.running_at or self.now, self.task.timeouts.running, "ran"
            if self.task.kind is TaskKind.SERVICE:
                what = "did not serve for"
        if limit is None:
            return
        if self.now >= since + limit:
            told = f"{what} longer than its time-out of {_seconds(limit)}"
            if self.task.kind is TaskKind.SERVICE and self.instance.reason:
                told = f"{told}: {self.instance.reason}"
            self._stop(FailureClass.TIMEOUT, told)
        else:
            self.decision.due(since + limit)

    def pause(self) -> None:
        """End the session because its job is paused; the task will begin anew and uses up no retry."""
        if self.attempt.stop is None:
            self._stop(FailureClass.PREEMPTED, "the job was paused")

    def _stop(self, why: FailureClass, reason: str) -> None:
        self._has_just_stopped = True
        self.attempt.stop = why
        self.attempt.reason = reason
        self.attempt.state = State.STOPPING
        self._touch()
        if self.instance.state is State.STOPPING:
            self.decision.note(self.instance, reason)
        else:
            self.decision.move(self.instance, State.STOPPING, reason=reason, attempt=self.attempt.number)

    def _look_if_due(self) -> None:
        """Ask for what only the backend can tell: an unanswered create, a session that should be ending.

        After an answer to a question of ours the next one waits its time, whatever else the job is looked at for: a
        backend that is away, or slow to end sessions, is not asked in a tight loop. What others observe is no answer,
        and puts nothing off.
        """
        attempt, decision = self.attempt, self.decision
        due = self.now if attempt.asked_at is None else attempt.asked_at + decision.policy.look_again
        if attempt.stop is not None:
            if self.now >= due or self._has_just_stopped:
                decision.ask_to_end(attempt)
            else:
                decision.due(due)
        elif attempt.session_id is None:
            due = max(due, attempt.opened_at + decision.policy.settle_after)
            if self.now >= due:
                decision.ask_to_look(attempt)
            else:
                decision.due(due)

    def _set_back(self, exit_code: int | None) -> None:
        self._close(State.CANCELLED, FailureClass.PREEMPTED, "the job was paused", exit_code)
        self.decision.set_back(self.instance, self.decision.held_back or "ended by a pause")

    # -- writing ------------------------------------------------------------------------------------------------

    def _touch(self) -> None:
        self.decision.attempts[self.instance.index] = self.attempt

    def _fail(self, failure: FailureClass, reason: str, exit_code: int | None) -> None:
        self._close(State.FAILED, failure, reason, exit_code)
        self.decision.fail(self.instance, failure, reason, exit_code)

    def _close(self, state: InstanceState, failure: FailureClass | None, reason: str, exit_code: int | None) -> None:
        attempt = self.attempt
        attempt.state, attempt.failure, attempt.exit_code = state, failure, exit_code
        attempt.reason = reason or attempt.reason
        attempt.ended_at = self.now
        self._touch()


def _is_answer(fact: Fact) -> bool:
    return isinstance(fact, BackendAway) or (isinstance(fact, SessionSeen | SessionMissing) and fact.is_answer)


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():g} s"
