"""Decisions, with no database and no clock: what a job does with what it learns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from fasttrack.domain.facts import (
    BackendAway,
    CreateNotSent,
    CreateSession,
    EndSession,
    Fact,
    LookForSession,
    SessionMissing,
    SessionRefused,
)
from fasttrack.domain.pipeline import RetryPolicy, RunIf, Timeouts
from fasttrack.domain.states import INSTANCE_MOVES, OPEN_SESSION_STATES, FailureClass, InstanceState, JobState
from tests.domain.play import play
from tests.factories import NOW

S, J = InstanceState, JobState


def kinds(effects: Iterable[object]) -> list[str]:
    return [type(e).__name__ for e in effects]


def test_a_ready_task_gets_an_attempt_and_a_session_is_asked_for() -> None:
    p = play({"a": "", "b": "a"})
    decision = p.step()
    assert p.states() == {"a": "STARTING", "b": "PENDING"}
    assert kinds(decision.effects) == ["CreateSession"]
    assert decision.opened[0].fence_until == NOW + timedelta(seconds=60)
    assert p.job is J.RUNNING
    assert p.history == [("job.running", None), ("task.starting", "a")]


def test_the_success_of_a_parent_and_the_start_of_its_child_are_one_decision() -> None:
    p = play({"a": "", "b": "a"})
    p.step()
    p.step(p.seen("a", S.SUCCEEDED, exit_code=0))
    assert p.states() == {"a": "SUCCEEDED", "b": "STARTING"}
    p.step(p.seen("b", S.SUCCEEDED, exit_code=0))
    assert p.job is J.SUCCEEDED
    assert p.snapshot.job.next_reconcile_at is None


def test_a_session_is_followed_through_its_stages_and_back_when_it_is_preempted() -> None:
    p = play({"a": ""})
    p.step()
    for status in (S.QUEUED, S.PREPARING, S.RUNNING, S.QUEUED, S.RUNNING, S.SUCCEEDED):
        p.step(p.seen("a", status))
    assert [k for k, _ in p.history] == [
        "job.running",
        "task.starting",
        "task.queued",
        "task.preparing",
        "task.running",
        "task.queued",
        "task.running",
        "task.succeeded",
        "job.succeeded",
    ]


def test_asking_again_without_news_moves_nothing() -> None:
    p = play({"a": "", "b": "a"})
    p.step()
    p.step(p.seen("a", S.RUNNING))
    before = (p.states(), p.snapshot.job.seq)
    decision = p.step(after=1)
    assert (p.states(), p.snapshot.job.seq) == before
    assert decision.events == []
    assert decision.effects == []


def test_a_failure_reaches_everything_behind_it_and_leaves_the_other_branch_alone() -> None:
    p = play({"a": "", "other": "", "b": "a", "c": "b", "end": "c other"})
    p.step()
    p.step(p.seen("a", S.FAILED, exit_code=1, failure=FailureClass.USER, reason="exited with code 1"))
    assert p.states() == {
        "a": "FAILED",
        "other": "STARTING",
        "b": "UPSTREAM_FAILED",
        "c": "UPSTREAM_FAILED",
        "end": "UPSTREAM_FAILED",
    }
    assert p.job is J.RUNNING
    p.step(p.seen("other", S.SUCCEEDED))
    assert p.job is J.FAILED


def test_continue_on_failure_lets_what_follows_run_and_the_job_succeed() -> None:
    p = play({"a": "", "b": "a"}, a={"continue_on_failure": True})
    p.step()
    p.step(p.seen("a", S.FAILED, exit_code=1, failure=FailureClass.USER))
    assert p.states() == {"a": "FAILED", "b": "STARTING"}
    p.step(p.seen("b", S.SUCCEEDED))
    assert p.job is J.SUCCEEDED


@pytest.mark.parametrize(
    ("run_if", "a", "b", "becomes"),
    [
        (RunIf.SUCCESS, "ok", "ok", "STARTING"),
        (RunIf.SUCCESS, "ok", "bad", "UPSTREAM_FAILED"),
        (RunIf.FAILURE, "ok", "ok", "SKIPPED"),
        (RunIf.FAILURE, "bad", "ok", "STARTING"),
        (RunIf.FAILURE, "bad", "bad", "STARTING"),
        (RunIf.ALWAYS, "bad", "bad", "STARTING"),
        (RunIf.ALWAYS, "ok", "ok", "STARTING"),
        (RunIf.ANY_SUCCESS, "bad", "ok", "STARTING"),
        (RunIf.ANY_SUCCESS, "bad", "bad", "UPSTREAM_FAILED"),
    ],
)
def test_run_if_decides_once_all_dependencies_have_ended(run_if: RunIf, a: str, b: str, becomes: str) -> None:
    p = play({"a": "", "b": "", "c": "a b"}, c={"run_if": run_if})
    p.step()
    ended = {"ok": (S.SUCCEEDED, None), "bad": (S.FAILED, FailureClass.USER)}
    for task, how in (("a", a), ("b", b)):
        p.step(p.seen(task, ended[how][0], failure=ended[how][1]))
    assert p.states()["c"] == becomes


def test_what_follows_a_task_left_out_by_its_run_if_is_left_out_too() -> None:
    p = play({"a": "", "rescue": "a", "after": "rescue", "always": "after"}, rescue={"run_if": RunIf.FAILURE},
             always={"run_if": RunIf.ALWAYS})  # fmt: skip
    p.step()
    p.step(p.seen("a", S.SUCCEEDED))
    assert p.states() == {"a": "SUCCEEDED", "rescue": "SKIPPED", "after": "SKIPPED", "always": "STARTING"}
    p.step(p.seen("always", S.SUCCEEDED))
    assert p.job is J.SUCCEEDED


def test_a_handler_of_failures_runs_although_the_failure_was_further_up() -> None:
    p = play({"a": "", "b": "a", "tell": "b"}, tell={"run_if": RunIf.FAILURE})
    p.step()
    p.step(p.seen("a", S.FAILED, failure=FailureClass.USER))
    assert p.states() == {"a": "FAILED", "b": "UPSTREAM_FAILED", "tell": "STARTING"}
    p.step(p.seen("tell", S.SUCCEEDED))
    assert p.job is J.FAILED


def test_a_retry_waits_its_time_and_takes_a_new_name() -> None:
    retry = RetryPolicy(max_attempts=3, delay=timedelta(seconds=10), backoff=2)
    p = play({"a": ""}, a={"retry": retry})
    p.step()
    first = p.name("a")
    p.step(p.seen("a", S.FAILED, exit_code=1, failure=FailureClass.USER))
    assert p.states() == {"a": "READY"}
    assert p.snapshot.job.next_reconcile_at == p.now + timedelta(seconds=10)
    p.step(after=9)
    assert p.states() == {"a": "READY"}
    p.step(after=1)
    assert p.states() == {"a": "STARTING"}
    assert p.name("a") != first
    p.step(p.seen("a", S.FAILED, exit_code=1, failure=FailureClass.USER))
    assert p.snapshot.job.next_reconcile_at == p.now + timedelta(seconds=20)
    p.step(after=20)
    p.step(p.seen("a", S.FAILED, exit_code=1, failure=FailureClass.USER))
    assert p.states() == {"a": "FAILED"}
    assert p.job is J.FAILED


def test_a_lost_session_is_tried_again_soon_and_then_for_long_and_uses_up_no_retry_of_the_task() -> None:
    p = play({"a": ""})
    p.step()
    for wait in (2, 8, 32, 128):
        p.step(p.seen("a", S.FAILED, failure=FailureClass.INFRASTRUCTURE, reason="lost"))
        p.step(after=wait - 1)
        assert p.states() == {"a": "READY"}
        p.step(after=1)
        assert p.states() == {"a": "STARTING"}
    p.step(p.seen("a", S.FAILED, failure=FailureClass.INFRASTRUCTURE))
    assert p.states() == {"a": "FAILED"}
    assert p.snapshot.instances[0].failures == 0


def test_every_class_has_a_budget_of_its_own() -> None:
    """Two lost sessions, two pre-emptions and two quotas later the task still has all its own retries."""
    p = play({"a": ""}, a={"retry": RetryPolicy(max_attempts=2)})
    p.step()
    for failure in (FailureClass.INFRASTRUCTURE, FailureClass.PREEMPTED, FailureClass.QUOTA) * 2:
        p.step(p.seen("a", S.FAILED, failure=failure))
        assert p.states() == {"a": "READY"}, failure
        p.step(after=1000)
    instance = p.snapshot.instances[0]
    assert (instance.infrastructure_failures, instance.preemptions, instance.quota_failures) == (2, 2, 2)
    assert instance.failures == 0
    p.step(p.seen("a", S.FAILED, failure=FailureClass.USER))
    p.step()
    p.step(p.seen("a", S.SUCCEEDED))
    assert p.job is J.SUCCEEDED


def test_a_quota_is_asked_again_after_a_minute_and_never_after_more_than_a_quarter_of_an_hour() -> None:
    p = play({"a": ""})
    p.step()
    waits = []
    for _ in range(5):
        p.step(p.seen("a", S.FAILED, failure=FailureClass.QUOTA))
        waits.append((p.snapshot.instances[0].not_before - p.now).total_seconds())  # type: ignore[operator]
        p.step(after=1000)
    assert waits == [60, 120, 240, 480, 900]
    p.step(p.seen("a", S.FAILED, failure=FailureClass.QUOTA))
    assert p.states() == {"a": "FAILED"}


def test_a_failure_class_the_policy_does_not_name_is_not_tried_again() -> None:
    p = play({"a": ""}, a={"retry": RetryPolicy(max_attempts=5, on=frozenset({FailureClass.TIMEOUT}))})
    p.step()
    p.step(p.seen("a", S.FAILED, failure=FailureClass.USER))
    assert p.states() == {"a": "FAILED"}


def test_no_answer_never_fails_a_task() -> None:
    p = play({"a": ""})
    p.step()
    for _ in range(100):
        p.step(BackendAway(p.name("a"), "connection refused"), after=5)
    assert p.states() == {"a": "STARTING"}
    assert p.snapshot.instances[0].reason == "waits for the backend: connection refused"
    p.step(p.seen("a", S.SUCCEEDED))
    assert p.job is J.SUCCEEDED


def test_an_attempt_without_an_answer_is_looked_up_and_created_again_only_after_the_fence() -> None:
    p = play({"a": ""})
    name = p.step().effects[0].name
    assert kinds(p.step(after=4).effects) == []
    assert kinds(p.step(after=1).effects) == ["LookForSession"]
    decision = p.step(SessionMissing(name, p.now, is_answer=True))
    assert decision.effects == []
    assert p.snapshot.job.next_reconcile_at is not None
    # 59 s after the intent the create may still arrive.
    assert kinds(p.step(after=54).effects) == ["LookForSession"]
    assert p.step(SessionMissing(name, p.now, is_answer=True)).effects == []
    assert kinds(p.step(after=2).effects) == ["LookForSession"]
    again = p.step(SessionMissing(name, p.now, is_answer=True)).effects
    assert kinds(again) == ["CreateSession"]
    assert again[0].name == name
    assert p.snapshot.attempts[0].fence_until == p.now + timedelta(seconds=60)


def test_a_create_that_was_not_sent_is_decided_anew_at_once_under_a_new_fence() -> None:
    p = play({"a": ""})
    name = p.step().effects[0].name
    again = p.step(CreateNotSent(name, p.snapshot.attempts[0].fence_until), after=3).effects
    assert [(type(e), e.name) for e in again] == [(CreateSession, name)]
    assert p.snapshot.attempts[0].fence_until == p.now + timedelta(seconds=60)
    assert p.snapshot.instances[0].attempt == 1


def test_a_create_that_was_not_sent_is_not_decided_anew_if_another_one_was_since() -> None:
    """Another scheduler waited for the fence, found nothing, and has sent a create of its own."""
    p = play({"a": ""})
    first = p.step().effects[0]
    assert isinstance(first, CreateSession)
    late = CreateNotSent(first.name, first.attempt.fence_until)
    assert kinds(p.step(SessionMissing(first.name, p.now + timedelta(seconds=61)), after=61).effects) == [
        "CreateSession"
    ]
    assert p.step(late).effects == []


def test_two_sessions_without_an_answer_are_not_asked_about_in_turns() -> None:
    """Every answer has the job looked at, and a look at the job must not ask about the others of them again."""
    p = play({"a": "", "b": ""})
    p.step()
    a, b = p.name("a"), p.name("b")
    assert kinds(p.step(after=5).effects) == ["LookForSession"] * 2
    assert p.step(SessionMissing(a, p.now, is_answer=True), after=0.1).effects == [LookForSession(p.snapshot.job, b)]
    assert p.step(SessionMissing(b, p.now, is_answer=True), after=0.1).effects == []
    assert p.step(BackendAway(a, "away"), after=0.1).effects == []
    assert p.step(after=0.1).effects == []
    assert [e.name for e in p.step(after=1.8).effects] == [b]


def test_two_sessions_that_take_their_time_to_end_are_not_ended_in_turns() -> None:
    p = play({"a": "", "b": ""})
    p.step()
    p.step(p.seen("a", S.RUNNING), p.seen("b", S.RUNNING))
    p.snapshot.job.cancel_requested_at = p.now
    assert kinds(p.step().effects) == ["EndSession"] * 2
    for _ in range(3):
        p.step(replace(p.seen("a", S.STOPPING), is_answer=True), after=0.1)
        assert p.step(replace(p.seen("b", S.STOPPING), is_answer=True), after=0.1).effects == []
    assert kinds(p.step(after=2).effects) == ["EndSession"] * 2


def test_a_session_found_by_its_name_is_adopted_even_if_it_is_over() -> None:
    p = play({"a": ""})
    p.step()
    assert isinstance(p.step(after=5).effects[0], LookForSession)
    p.step(p.seen("a", S.SUCCEEDED))
    assert p.states() == {"a": "SUCCEEDED"}


def test_an_answer_older_than_a_hint_does_not_move_a_session_back() -> None:
    p = play({"a": ""})
    p.step()
    p.step(p.seen("a", S.RUNNING))
    p.step(replace(p.seen("a", S.QUEUED), is_create_answer=True))
    assert p.states() == {"a": "RUNNING"}


def test_a_session_that_vanished_is_lost_only_after_a_minute() -> None:
    p = play({"a": ""})
    p.step()
    p.step(p.seen("a", S.RUNNING))
    name = p.name("a")
    p.step(SessionMissing(name, p.now, is_answer=True))
    p.step(SessionMissing(name, p.now + timedelta(seconds=59)), after=59)
    assert p.states() == {"a": "RUNNING"}
    p.step(SessionMissing(name, p.now + timedelta(seconds=1)), after=1)
    assert p.states() == {"a": "READY"}
    assert p.snapshot.attempts[0].failure is FailureClass.INFRASTRUCTURE


def test_a_session_that_is_seen_again_was_not_lost() -> None:
    p = play({"a": ""})
    p.step()
    p.step(p.seen("a", S.RUNNING))
    p.step(SessionMissing(p.name("a"), p.now))
    p.step(p.seen("a", S.RUNNING), after=30)
    p.step(SessionMissing(p.name("a"), p.now + timedelta(seconds=40)), after=40)
    assert p.states() == {"a": "RUNNING"}


def test_a_refused_session_fails_the_task_with_the_backends_words() -> None:
    p = play({"a": ""})
    p.step()
    p.step(SessionRefused(p.name("a"), "no such folder", FailureClass.REFUSED))
    assert p.states() == {"a": "FAILED"}
    assert p.snapshot.instances[0].reason == "no such folder"


def test_a_running_time_out_stops_the_session_and_is_its_own_failure_class() -> None:
    p = play({"a": ""}, a={"timeouts": Timeouts(running=timedelta(seconds=30))})
    p.step()
    p.step(p.seen("a", S.QUEUED), after=100)
    p.step(p.seen("a", S.RUNNING))
    assert p.snapshot.job.next_reconcile_at == p.now + timedelta(seconds=30)
    decision = p.step(after=30)
    assert p.states() == {"a": "STOPPING"}
    assert kinds(decision.effects) == ["EndSession"]
    p.step(p.seen("a", S.CANCELLED, failure=FailureClass.CANCELLED))
    assert p.states() == {"a": "FAILED"}
    assert p.snapshot.instances[0].failure is FailureClass.TIMEOUT
    assert p.snapshot.instances[0].reason == "ran longer than its time-out of 30 s"


def test_a_waiting_time_out_counts_from_the_attempt() -> None:
    p = play({"a": ""}, a={"timeouts": Timeouts(waiting=timedelta(seconds=30))})
    p.step()
    p.step(p.seen("a", S.QUEUED, reason="waits for 2 cpu"), after=10)
    p.step(after=20)
    assert p.states() == {"a": "STOPPING"}


def test_a_session_that_succeeded_while_it_was_being_stopped_has_succeeded() -> None:
    p = play({"a": ""}, a={"timeouts": Timeouts(running=timedelta(seconds=30))})
    p.step()
    p.step(p.seen("a", S.RUNNING))
    p.step(after=30)
    p.step(p.seen("a", S.SUCCEEDED))
    assert p.states() == {"a": "SUCCEEDED"}
    assert p.job is J.SUCCEEDED


def test_a_cancel_ends_sessions_and_lets_nothing_new_start() -> None:
    p = play({"a": "", "b": "a"})
    p.step()
    p.step(p.seen("a", S.RUNNING))
    p.snapshot.job.cancel_requested_at = p.now
    decision = p.step()
    assert p.states() == {"a": "STOPPING", "b": "CANCELLED"}
    assert kinds(decision.effects) == ["EndSession"]
    assert p.job is J.CANCELLING
    # A session that takes its time is asked again, but not in a tight loop.
    assert p.step(replace(p.seen("a", S.STOPPING), is_answer=True)).effects == []
    assert isinstance(p.step(after=2).effects[0], EndSession)
    p.step(p.seen("a", S.CANCELLED))
    assert p.states() == {"a": "CANCELLED", "b": "CANCELLED"}
    assert p.job is J.CANCELLED


def test_what_others_observe_puts_no_end_off() -> None:
    """The answer to the first try was lost, and the observer keeps seeing the session: it must still be ended."""
    p = play({"a": ""})
    p.step()
    p.step(p.seen("a", S.RUNNING))
    p.snapshot.job.cancel_requested_at = p.now
    p.step()
    for _ in range(3):
        assert kinds(p.step(p.seen("a", S.RUNNING), after=0.2).effects) == ["EndSession"]


def test_a_cancel_waits_for_the_fence_of_a_create_without_an_answer() -> None:
    p = play({"a": ""})
    p.step()
    name = p.name("a")
    p.snapshot.job.cancel_requested_at = p.now
    p.step()
    assert p.states() == {"a": "STOPPING"}
    p.step(SessionMissing(name, p.now), after=1)
    assert p.states() == {"a": "STOPPING"}
    p.step(SessionMissing(name, p.now + timedelta(seconds=60)), after=60)
    assert p.states() == {"a": "CANCELLED"}


def test_a_late_create_of_a_cancelled_job_is_ended_at_first_sight() -> None:
    p = play({"a": ""})
    p.step()
    p.snapshot.job.cancel_requested_at = p.now
    p.step()
    assert kinds(p.step(p.seen("a", S.RUNNING)).effects) == ["EndSession"]
    assert p.states() == {"a": "STOPPING"}


def test_a_cancel_after_the_last_task_changes_nothing() -> None:
    p = play({"a": ""})
    p.step()
    p.snapshot.job.cancel_requested_at = p.now
    p.step(p.seen("a", S.SUCCEEDED))
    assert p.states() == {"a": "SUCCEEDED"}
    assert p.job is J.SUCCEEDED


def test_facts_of_an_attempt_that_is_over_change_nothing() -> None:
    p = play({"a": ""}, a={"retry": RetryPolicy(max_attempts=2)})
    p.step()
    stale = p.seen("a", S.SUCCEEDED)
    p.step(p.seen("a", S.FAILED, failure=FailureClass.USER))
    p.step()
    p.step(stale)
    assert p.states() == {"a": "STARTING"}


OPEN = sorted(OPEN_SESSION_STATES)
SEEN = [S.QUEUED, S.PREPARING, S.RUNNING, S.STOPPING, S.SUCCEEDED, S.FAILED, S.CANCELLED]


@pytest.mark.parametrize("state", OPEN)
@pytest.mark.parametrize("fact", [*SEEN, "missing", "refused", "away", "not sent"])
@pytest.mark.parametrize("cancelling", [False, True])
@pytest.mark.parametrize("stop", [None, FailureClass.TIMEOUT])
def test_every_fact_in_every_state_makes_only_legal_moves(
    state: S, fact: S | str, cancelling: bool, stop: FailureClass | None
) -> None:
    """State × event, exhaustively: an illegal move would raise, and every job keeps a time to be looked at."""
    p = play({"a": "", "b": "a"})
    p.step()
    instance, attempt = p.snapshot.instances[0], p.snapshot.attempts[0]
    instance.state = attempt.state = state
    if state is S.STOPPING:
        attempt.stop = stop
    if cancelling:
        p.snapshot.job.cancel_requested_at = p.now
    match fact:
        case "missing":
            event: Fact = SessionMissing(p.name("a"), p.now)
        case "refused":
            event = SessionRefused(p.name("a"), "no", FailureClass.REFUSED)
        case "not sent":
            event = CreateNotSent(p.name("a"), attempt.fence_until)
        case "away":
            event = BackendAway(p.name("a"), "away")
        case InstanceState():
            event = p.seen("a", fact)
    decision = p.step(event)
    assert instance.state is state or instance.state in INSTANCE_MOVES[state] | INSTANCE_MOVES[S.STOPPING]
    assert p.snapshot.job.state.is_terminal == (p.snapshot.job.next_reconcile_at is None)
    if cancelling:
        assert not any(isinstance(e, CreateSession) for e in decision.effects)
