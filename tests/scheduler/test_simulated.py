"""The scripted backend: each script does what it says, and the ledger counts it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from fasttrack.domain.states import FailureClass
from fasttrack_scheduler.backends.base import (
    SessionBackendUnavailable,
    SessionRefused,
    SessionStatus,
    wait_until_terminal,
)
from fasttrack_scheduler.backends.simulated import Script, SimulatedBackend, SimulatedSite
from tests.contracts.sites import make_spec


@pytest.fixture
def site() -> SimulatedSite:
    return SimulatedSite()


@pytest.fixture
def backend(site: SimulatedSite) -> SimulatedBackend:
    return SimulatedBackend(site)


async def test_a_session_succeeds_at_once_unless_told_otherwise(site: SimulatedSite, backend: SimulatedBackend) -> None:
    spec = make_spec()
    assert (await backend.create(spec)).status is SessionStatus.SUCCEEDED
    assert site.ledger.created == [spec.name]
    assert site.ledger.executions == {spec.name: 1}


async def test_scripts_of_a_task_are_followed_in_order(site: SimulatedSite, backend: SimulatedBackend) -> None:
    site.script("task", Script(exit_code=2), Script(failure=FailureClass.QUOTA, reason="no quota"), Script())
    seen = [await backend.create(make_spec()) for _ in range(4)]
    assert [(view.status, view.failure) for view in seen] == [
        (SessionStatus.FAILED, FailureClass.USER),
        (SessionStatus.FAILED, FailureClass.QUOTA),
        (SessionStatus.SUCCEEDED, None),
        (SessionStatus.SUCCEEDED, None),
    ]


async def test_a_script_of_a_name_goes_before_that_of_its_task(site: SimulatedSite, backend: SimulatedBackend) -> None:
    spec = make_spec()
    site.script("task", Script(exit_code=1))
    site.script(spec.name, Script(log=b"mine"))
    assert (await backend.create(spec)).status is SessionStatus.SUCCEEDED
    assert (await backend.logs(spec.name, offset=0, limit=10)).data == b"mine"


async def test_refused(site: SimulatedSite, backend: SimulatedBackend) -> None:
    site.script("task", Script(refused="no such folder"))
    spec = make_spec()
    with pytest.raises(SessionRefused, match="no such folder"):
        await backend.create(spec)
    assert await backend.find(spec.name) is None
    assert site.ledger.create_calls == {spec.name: 1}


async def test_unavailable_n_times_has_no_effect_n_times(site: SimulatedSite, backend: SimulatedBackend) -> None:
    site.script("task", Script(unavailable=2))
    spec = make_spec()
    for _ in range(2):
        with pytest.raises(SessionBackendUnavailable):
            await backend.create(spec)
        assert await backend.find(spec.name) is None
    assert (await backend.create(spec)).status is SessionStatus.SUCCEEDED


async def test_a_lost_answer_leaves_a_session(site: SimulatedSite, backend: SimulatedBackend) -> None:
    site.script("task", Script(lost_answers=1))
    spec = make_spec()
    with pytest.raises(SessionBackendUnavailable):
        await backend.create(spec)
    found = await backend.find(spec.name)
    assert found is not None
    assert await backend.create(spec) == found
    assert site.ledger.executions[spec.name] == 1


async def test_a_vanished_session_never_was(site: SimulatedSite, backend: SimulatedBackend) -> None:
    site.script("task", Script(held=True))
    spec = make_spec()
    await backend.create(spec)
    site.forget(spec.name)
    assert await backend.find(spec.name) is None
    assert site.ledger.live.total() == 0
    site.script("task", Script(vanishes=True))
    await backend.create(other := make_spec())
    assert await backend.find(other.name) is None


async def test_a_preempted_session_goes_back_and_runs_again(site: SimulatedSite, backend: SimulatedBackend) -> None:
    site.script("task", Script(duration=0.01, preempted=1, queued=0.01, preparing=0.01))
    spec = make_spec()
    seen: list[SessionStatus] = []
    events = backend.events()
    await backend.create(spec)
    async with asyncio.timeout(5):
        while not seen or not seen[-1].is_terminal:
            assert await anext(events) == spec.name
            view = await backend.find(spec.name)
            assert view is not None
            seen.append(view.status)
    order = [SessionStatus.PREPARING, SessionStatus.RUNNING]
    assert seen == [*order, SessionStatus.QUEUED, *order, SessionStatus.SUCCEEDED]
    assert site.ledger.executions[spec.name] == 2


async def test_preempt_by_hand(site: SimulatedSite, backend: SimulatedBackend) -> None:
    site.script("task", Script(held=True))
    await backend.create(spec := make_spec())
    site.preempt(spec.name)
    assert site.ledger.executions[spec.name] == 2
    site.finish(spec.name, failure=FailureClass.PREEMPTED, reason="taken away")
    seen = await backend.find(spec.name)
    assert seen is not None
    assert (seen.status, seen.failure, seen.reason) == (SessionStatus.FAILED, FailureClass.PREEMPTED, "taken away")


async def test_while_a_site_is_away_nothing_happens(site: SimulatedSite, backend: SimulatedBackend) -> None:
    site.is_away = True
    spec = make_spec()
    for call in (
        backend.create(spec),
        backend.find(spec.name),
        backend.observe([spec.name]),
        backend.terminate(spec.name, grace=timedelta(0)),
        backend.logs(spec.name, offset=0, limit=1),
    ):
        with pytest.raises(SessionBackendUnavailable):
            await call
    assert site.ledger.create_calls == {}


async def test_the_ledger_sees_two_live_sessions_of_one_task(site: SimulatedSite, backend: SimulatedBackend) -> None:
    site.script("task", Script(held=True))
    workspace = make_spec().workspace
    for _ in range(2):
        await backend.create(make_spec(workspace=workspace))
    key = (workspace.job_id, "task")
    assert (site.ledger.live[key], site.ledger.most_live[key]) == (2, 2)


async def test_a_thousand_may_wait_for_one_place(site: SimulatedSite, backend: SimulatedBackend) -> None:
    site.room = 1
    site.script("first", Script(duration=0.01))
    await backend.create(make_spec(name="first"))
    specs = [make_spec() for _ in range(1000)]
    for spec in specs:
        assert (await backend.create(spec)).status is SessionStatus.QUEUED
    await wait_until_terminal(backend, specs[-1].name, timeout=5)
    assert len(site.ledger.executions) == 1001
