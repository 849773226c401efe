"""The rules of letting in, as laws over any line and any limits."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from fasttrack.domain.admission import Waiting, grants, let_in

SCOPES = ["project:", "pool:a", "pool:b", "resource_group:x"]
scopes = st.dictionaries(st.sampled_from(SCOPES), st.integers(1, 4), min_size=1)
lines = st.lists(scopes, max_size=20).map(
    lambda tasks: [Waiting(UUID(int=n), UUID(int=0), scopes) for n, scopes in enumerate(tasks)]
)
amounts = st.dictionaries(st.sampled_from(SCOPES), st.integers(0, 8))


@given(amounts, amounts, lines)
def test_no_limit_is_exceeded_by_what_is_granted(
    limits: dict[str, int], live: dict[str, int], line: list[Waiting]
) -> None:
    granted = grants(limits, live, line)
    for scope, slots in limits.items():
        taken = sum(task.scopes.get(scope, 0) for task in granted)
        assert taken == 0 or live.get(scope, 0) + taken <= slots


@given(amounts, amounts, lines)
def test_the_first_in_line_for_a_limit_is_overtaken_by_nobody_in_it(
    limits: dict[str, int], live: dict[str, int], line: list[Waiting]
) -> None:
    granted = {task.instance_id for task in grants(limits, live, line)}
    for n, task in enumerate(line):
        if task.instance_id in granted:
            continue
        full = [
            s
            for s, slots in task.scopes.items()
            if s in limits
            and live.get(s, 0) + sum(t.scopes.get(s, 0) for t in line[:n] if t.instance_id in granted) + slots
            > limits[s]
        ]
        for later in line[n + 1 :]:
            if later.instance_id in granted:
                assert not any(scope in later.scopes for scope in full)


@given(amounts, lines)
def test_granting_again_what_was_granted_grants_nothing_new_of_it(limits: dict[str, int], line: list[Waiting]) -> None:
    first = grants(limits, {}, line)
    live: dict[str, int] = {}
    for task in first:
        for scope, slots in task.scopes.items():
            live[scope] = live.get(scope, 0) + slots
    rest = [task for task in line if task not in first]
    again = grants(limits, live, rest)
    held = [t for t in again if any(s in limits for s in t.scopes)]
    assert all(
        sum(t.scopes.get(s, 0) for t in held) + live.get(s, 0) <= limits[s]
        for s in limits
        if any(s in t.scopes for t in held)
    )


def test_a_job_is_let_in_by_its_place_in_the_line() -> None:
    line = [UUID(int=n) for n in range(3)]
    assert [let_in(2, 1, line, job) for job in line] == [True, False, False]
    assert [let_in(2, 5, line, job) for job in line] == [False, False, False]
    assert [let_in(9, 0, line, job) for job in line] == [True, True, True]
