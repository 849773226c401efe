"""What the end of a task means for the tasks after it: pure rules over counters, never over the whole graph.

Each instance counts its dependencies: `unmet` (not ended), `deps_ok` (count as success), `deps_failed` (count as
failure). One that ended without being either (skipped because its own `run_if` did not hold) is *left out*.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from .job import TaskInstance
from .pipeline import Pipeline, RunIf, Task


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an ended task counts for its dependants; a tolerated failure counts as both."""

    ok: bool
    failed: bool


SUCCESS = Outcome(ok=True, failed=False)
FAILURE = Outcome(ok=False, failed=True)
TOLERATED = Outcome(ok=True, failed=True)
LEFT_OUT = Outcome(ok=False, failed=False)


class Verdict(Enum):
    """What becomes of a task, given what is known of its dependencies."""

    WAIT = "wait"
    RUN = "run"
    UPSTREAM_FAILED = "upstream_failed"
    LEFT_OUT = "left_out"


def count(instance: TaskInstance, outcome: Outcome) -> None:
    """Note on `instance` that one of its dependencies ended with `outcome`."""
    instance.unmet -= 1
    instance.deps_ok += outcome.ok
    instance.deps_failed += outcome.failed


def verdict(task: Task, instance: TaskInstance) -> Verdict:
    """Whether the task may run, must wait, or never will.

    A task that needs only successes is decided at the first dependency that is not one; the others wait for all.
    """
    total = len(task.needs)
    ended = total - instance.unmet
    if task.run_if is RunIf.SUCCESS:
        if instance.deps_ok < ended:
            return Verdict.UPSTREAM_FAILED if instance.deps_failed else Verdict.LEFT_OUT
        return Verdict.WAIT if instance.unmet else Verdict.RUN
    if instance.unmet:
        return Verdict.WAIT
    match task.run_if:
        case RunIf.ALWAYS:
            return Verdict.RUN
        case RunIf.FAILURE:
            return Verdict.RUN if instance.deps_failed else Verdict.LEFT_OUT
        case RunIf.ANY_SUCCESS:
            if instance.deps_ok:
                return Verdict.RUN
            return Verdict.UPSTREAM_FAILED if instance.deps_failed else Verdict.LEFT_OUT


def touched_by(pipeline: Pipeline, ended: Iterable[tuple[int, Outcome]]) -> set[int]:
    """Indexes of every task whose counters or state may change because these tasks ended.

    Direct dependants, and behind those that may now end without running, theirs too. Costs the out-degree when all
    ended well, at most the downstream closure otherwise.
    """
    touched: set[int] = set()
    spread: set[int] = set()
    work = [(index, outcome is not SUCCESS) for index, outcome in ended]
    while work:
        index, is_bad = work.pop()
        for follower in pipeline.dependants[index]:
            touched.add(follower)
            run_if = pipeline.tasks[follower].run_if
            may_end_unrun = run_if is RunIf.FAILURE or (is_bad and run_if is not RunIf.ALWAYS)
            if may_end_unrun and follower not in spread:
                spread.add(follower)
                work.append((follower, True))
    return touched
