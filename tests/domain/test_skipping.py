"""A task that somebody skips while its job goes on: what becomes of it, of what follows it, and of the job."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasttrack.domain.pipeline import RetryPolicy, RunIf
from fasttrack.domain.states import FailureClass, InstanceState, JobState
from fasttrack.errors import IllegalTransition
from tests.domain.play import play

S, J = InstanceState, JobState


def test_a_task_that_is_skipped_counts_as_done_for_what_follows() -> None:
    p = play({"a": "", "b": "a", "c": "b", "d": "b"}, d={"run_if": RunIf.FAILURE})
    p.step()
    p.skip("b")
    assert p.states() == {"a": "STARTING", "b": "SKIPPED", "c": "READY", "d": "SKIPPED"}
    assert p.snapshot.instances[1].reason == "skipped by ada"
    p.step()
    assert p.states()["c"] == "STARTING"


def test_a_task_that_is_skipped_while_it_waits_for_its_retry_is_not_tried_again() -> None:
    p = play({"a": ""}, a={"retry": RetryPolicy(max_attempts=3, delay=timedelta(seconds=5))})
    p.step()
    p.step(p.seen("a", S.FAILED, failure=FailureClass.USER, exit_code=1))
    decision = p.skip("a")
    instance = p.snapshot.instances[0]
    assert (instance.failure, instance.exit_code, instance.not_before) == (None, None, None)
    assert (p.job, decision.effects, p.snapshot.job.next_reconcile_at) == (J.SUCCEEDED, [], None)
    assert p.history[-2:] == [("task.skipped", "a"), ("job.succeeded", None)]


@pytest.mark.parametrize("state", sorted(S))
def test_only_what_has_no_session_and_is_not_over_can_be_skipped(state: S) -> None:
    p = play({"a": "", "b": "a"})
    p.step()
    p.snapshot.instances[0].state = state
    if state in (S.PENDING, S.READY):
        p.skip("a")
        assert p.states() == {"a": "SKIPPED", "b": "READY"}
    else:
        with pytest.raises(IllegalTransition):
            p.skip("a")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_skipping_any_tasks_at_any_time_leaves_a_job_that_ends(data: st.DataObject) -> None:
    """Of any graph with any conditions: what is skipped is never run, and the job succeeds when nothing fails."""
    size = data.draw(st.integers(1, 6))
    names = [f"t{n}" for n in range(size)]
    graph, rules = {}, {}
    for n, name in enumerate(names):
        graph[name] = " ".join(data.draw(st.sets(st.sampled_from(names[:n]), max_size=2)) if n else ())
        rules[name] = {"run_if": data.draw(st.sampled_from(list(RunIf)))}
    p = play(graph, **rules)
    skipped = set()
    for _ in range(3 * size):
        p.step()
        able = [n for n, state in p.states().items() if state in ("PENDING", "READY")]
        if able and data.draw(st.booleans()):
            skipped.add(name := data.draw(st.sampled_from(able)))
            p.skip(name)
        running = [n for n, state in p.states().items() if S(state).has_session]
        if running:
            p.step(p.seen(data.draw(st.sampled_from(running)), S.SUCCEEDED, exit_code=0))
        if p.job.is_terminal:
            break
    assert p.job is J.SUCCEEDED
    assert {n for n, state in p.states().items() if state == "SKIPPED"} >= skipped
    assert {task for kind, task in p.history if kind == "task.starting"}.isdisjoint(skipped)
