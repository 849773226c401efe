"""What every session backend promises the engine, run over each of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from fasttrack.clock import SystemClock
from fasttrack.domain.states import FailureClass
from fasttrack.errors import InvalidInput
from fasttrack.settings import Settings
from fasttrack.storage import LogChunk
from fasttrack_scheduler.backends import BACKENDS, make_backend
from fasttrack_scheduler.backends.base import (
    Freed,
    SessionBackend,
    SessionRefused,
    SessionStatus,
    wait_until_terminal,
)
from tests.contracts.conftest import CLUSTER, SITES
from tests.contracts.sites import PLACES, TestSite, eventually

NOW = timedelta(0)
LONG = timedelta(seconds=30)


async def status_of(backend: SessionBackend, name: str) -> SessionStatus | None:
    seen = await backend.find(name)
    return None if seen is None else seen.status


async def reaches(backend: SessionBackend, name: str, status: SessionStatus) -> None:
    async def reached() -> bool:
        return await status_of(backend, name) is status

    await eventually(reached)


async def text_of(backend: SessionBackend, name: str) -> bytes:
    return (await backend.logs(name, offset=0, limit=1000)).data


async def prints(backend: SessionBackend, name: str, text: bytes) -> None:
    async def printed() -> bool:
        return await text_of(backend, name) == text

    await eventually(printed)


async def test_exit_code_0_is_success(site: TestSite, backend: SessionBackend) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    spec = site.ends(0)
    await backend.create(spec)
    seen = await wait_until_terminal(backend, spec.name, timeout=site.patience)
    assert (seen.name, seen.status, seen.exit_code, seen.failure) == (spec.name, SessionStatus.SUCCEEDED, 0, None)
    assert seen.started_at is not None
    assert seen.ended_at is not None
    assert before < seen.started_at <= seen.ended_at
    assert seen.facts["isolation"]


async def test_another_exit_code_is_a_failure_of_the_user(site: TestSite, backend: SessionBackend) -> None:
    spec = site.ends(3)
    await backend.create(spec)
    seen = await wait_until_terminal(backend, spec.name, timeout=site.patience)
    assert (seen.status, seen.exit_code, seen.failure) == (SessionStatus.FAILED, 3, FailureClass.USER)
    assert seen.reason == "exited with code 3"


async def test_creating_twice_runs_once(site: TestSite, backend: SessionBackend) -> None:
    spec = site.ends(0)
    first = await backend.create(spec)
    second = await backend.create(spec)
    over = await wait_until_terminal(backend, spec.name, timeout=site.patience)
    third = await backend.create(spec)
    assert first.session_id == second.session_id == third.session_id
    assert third == over
    assert site.executions(spec.name) == 1


async def test_creating_from_two_schedulers_at_once_runs_once(site: TestSite) -> None:
    one, two = await site.backend(), await site.backend()
    specs = [site.ends(0) for _ in range(5)]
    seen = await asyncio.gather(*(backend.create(spec) for spec in specs for backend in (one, two, one)))
    assert len({view.session_id for view in seen}) == len(specs)
    for spec in specs:
        assert (await wait_until_terminal(one, spec.name, timeout=site.patience)).status is SessionStatus.SUCCEEDED
        assert (await wait_until_terminal(two, spec.name, timeout=site.patience)).status is SessionStatus.SUCCEEDED
        assert site.executions(spec.name) == 1


async def test_schedulers_of_one_site_name_it_alike(site: TestSite) -> None:
    one, two = await site.backend(), await site.backend()
    assert one.site == two.site
    assert one.fence == two.fence >= timedelta(seconds=1)


async def test_a_session_is_found_after_its_end_also_by_others(site: TestSite, backend: SessionBackend) -> None:
    spec = site.ends(4)
    await backend.create(spec)
    over = await wait_until_terminal(backend, spec.name, timeout=site.patience)
    assert await backend.find(spec.name) == over
    assert await (await site.backend()).find(spec.name) == over


async def test_what_never_was_is_not_found(backend: SessionBackend) -> None:
    assert await backend.find("never-was") is None
    assert await backend.observe(["never-was"]) == []


async def test_observe_leaves_out_what_it_does_not_know(site: TestSite, backend: SessionBackend) -> None:
    spec = site.runs()
    await backend.create(spec)
    assert [seen.name for seen in await backend.observe(["never-was", spec.name])] == [spec.name]


async def test_live_tells_every_session_that_is_not_over(site: TestSite) -> None:
    one, two = await site.backend(), await site.backend()
    over, running, waiting = site.ends(0), [site.runs() for _ in range(PLACES)], site.ends(0)
    assert await one.live() == []
    await one.create(over)
    await wait_until_terminal(one, over.name, timeout=site.patience)
    for spec in (*running, waiting):
        await one.create(spec)
    expected = {spec.name for spec in (*running, waiting)}
    assert {seen.name for seen in await one.live()} == expected
    assert {seen.name for seen in await two.live()} == expected
    assert not any(seen.status.is_terminal for seen in await two.live())


async def test_a_refused_session_leaves_nothing(site: TestSite, backend: SessionBackend) -> None:
    spec = site.impossible()
    with pytest.raises(SessionRefused) as caught:
        await backend.create(spec)
    assert "3 cpu" in caught.value.message
    assert caught.value.failure is FailureClass.REFUSED
    assert await backend.find(spec.name) is None
    assert site.executions(spec.name) == 0


async def test_room_tells_what_the_site_has_and_what_is_free_of_it_whoever_uses_it(
    site: TestSite, backend: SessionBackend
) -> None:
    async def has_free(cpu: int) -> bool:
        room = (await other.room(max_age=NOW))[site.group]
        assert room.capacity == empty.capacity
        assert room.agents == 1
        assert room.used.get("cpu", 0) + room.free["cpu"] == PLACES
        return room.free["cpu"] == cpu

    other = await site.backend()
    empty = (await backend.room(max_age=NOW))[site.group]
    assert empty.capacity["cpu"] == PLACES
    assert all(amount > 0 for amount in empty.capacity.values())
    assert await has_free(PLACES)
    spec, one = site.runs(), {"cpu": Decimal(1)}
    await backend.create(spec)
    await reaches(backend, spec.name, SessionStatus.RUNNING)
    await eventually(lambda: has_free(PLACES - 1))
    left = (await other.room(max_age=NOW))[site.group]
    assert left.largest is not None
    assert left.largest["cpu"] == PLACES - 1
    assert (left.takes(one), left.takes({"cpu": Decimal(PLACES)}), left.takes(one, PLACES)) == (True, False, False)
    await backend.terminate(spec.name, grace=NOW)
    await eventually(lambda: has_free(PLACES))


async def test_terminate_ends_a_session(site: TestSite, backend: SessionBackend) -> None:
    spec = site.runs()
    await backend.create(spec)
    await reaches(backend, spec.name, SessionStatus.RUNNING)
    await backend.terminate(spec.name, grace=LONG)
    seen = await wait_until_terminal(backend, spec.name, timeout=site.patience)
    assert (seen.status, seen.failure) == (SessionStatus.CANCELLED, FailureClass.CANCELLED)
    assert seen.ended_at is not None


async def test_terminate_forces_after_the_grace(site: TestSite, backend: SessionBackend) -> None:
    spec = site.ignores_stop()
    await backend.create(spec)
    await prints(backend, spec.name, b"ready")
    await backend.terminate(spec.name, grace=timedelta(seconds=0.3))
    assert await status_of(backend, spec.name) is SessionStatus.STOPPING
    assert (await wait_until_terminal(backend, spec.name, timeout=site.patience)).status is SessionStatus.CANCELLED


async def test_terminate_again_is_harmless(site: TestSite, backend: SessionBackend) -> None:
    spec = site.ignores_stop()
    await backend.create(spec)
    await prints(backend, spec.name, b"ready")
    await backend.terminate(spec.name, grace=LONG)
    await asyncio.gather(*(backend.terminate(spec.name, grace=LONG) for _ in range(3)))
    assert await status_of(backend, spec.name) is SessionStatus.STOPPING


async def test_terminate_leaves_what_is_over_or_unknown(site: TestSite, backend: SessionBackend) -> None:
    spec = site.ends(5)
    await backend.create(spec)
    over = await wait_until_terminal(backend, spec.name, timeout=site.patience)
    await backend.terminate(spec.name, grace=NOW)
    await backend.terminate("never-was", grace=NOW)
    assert await backend.find(spec.name) == over
    assert await (await site.backend()).find(spec.name) == over
    assert await backend.find("never-was") is None


async def test_a_waiting_session_can_be_ended(site: TestSite, backend: SessionBackend) -> None:
    specs = [site.runs() for _ in range(PLACES)]
    for spec in specs:
        await backend.create(spec)
    waiting = site.ends(0)
    assert (await backend.create(waiting)).status is SessionStatus.QUEUED
    await backend.terminate(waiting.name, grace=LONG)
    assert (await wait_until_terminal(backend, waiting.name, timeout=site.patience)).status is SessionStatus.CANCELLED
    assert site.executions(waiting.name) == 0


async def test_a_session_waits_for_room_and_says_for_what(site: TestSite, backend: SessionBackend) -> None:
    running = [site.runs() for _ in range(PLACES)]
    for spec in running:
        await backend.create(spec)
    waiting = site.ends(0)
    seen = await backend.create(waiting)
    assert seen.status is SessionStatus.QUEUED

    async def is_told() -> bool:
        told = await backend.find(waiting.name)
        return told is not None and site.no_room in told.reason

    await eventually(is_told)
    assert site.executions(waiting.name) == 0
    await backend.terminate(running[0].name, grace=NOW)
    assert (await wait_until_terminal(backend, waiting.name, timeout=site.patience)).status is SessionStatus.SUCCEEDED


async def test_output_is_read_from_an_offset_while_it_runs(site: TestSite, backend: SessionBackend) -> None:
    spec = site.runs(output="hello world")
    await backend.create(spec)
    await prints(backend, spec.name, b"hello world")
    assert await backend.logs(spec.name, offset=0, limit=5) == LogChunk(b"hello", 5, False)
    assert await backend.logs(spec.name, offset=6, limit=100) == LogChunk(b"world", 11, False)
    assert await backend.logs(spec.name, offset=11, limit=100) == LogChunk(b"", 11, False)
    assert await backend.logs(spec.name, offset=5000, limit=100) == LogChunk(b"", 5000, False)


async def test_output_is_read_after_the_end(site: TestSite, backend: SessionBackend) -> None:
    spec = site.ends(0, output="hello world")
    await backend.create(spec)
    await wait_until_terminal(backend, spec.name, timeout=site.patience)
    assert await backend.logs(spec.name, offset=0, limit=5) == LogChunk(b"hello", 5, False)
    assert await backend.logs(spec.name, offset=5, limit=100) == LogChunk(b" world", 11, True)
    assert await backend.logs(spec.name, offset=5000, limit=100) == LogChunk(b"", 5000, True)
    assert (await backend.logs(spec.name, offset=0, limit=0)).size == 11


async def test_events_name_what_changed(site: TestSite, backend: SessionBackend) -> None:
    events = backend.events()
    spec = site.ends(0)
    await backend.create(spec)
    heard = set()
    async with asyncio.timeout(site.patience):
        while await status_of(backend, spec.name) is not SessionStatus.SUCCEEDED:
            heard.add(await anext(events))
    assert CLUSTER or heard <= {spec.name}, "a real cluster still tells of sessions that ended before"


async def test_close_ends_nothing_and_others_go_on(site: TestSite) -> None:
    first = await site.backend()
    spec = site.runs()
    await first.create(spec)
    await reaches(first, spec.name, SessionStatus.RUNNING)
    before = await first.find(spec.name)
    await first.close()
    await first.close()

    second = await site.backend()
    assert await second.find(spec.name) == before
    assert await second.create(spec) == before
    await second.terminate(spec.name, grace=LONG)
    assert (await wait_until_terminal(second, spec.name, timeout=site.patience)).status is SessionStatus.CANCELLED
    assert site.executions(spec.name) == 1


async def test_a_session_that_is_over_is_forgotten_and_one_that_is_not_is_left(
    site: TestSite, backend: SessionBackend
) -> None:
    over, runs = site.ends(0, output="hello"), site.runs()
    for spec in (over, runs):
        await backend.create(spec)
    await wait_until_terminal(backend, over.name, timeout=site.patience)
    await reaches(backend, runs.name, SessionStatus.RUNNING)
    names = [over.name, runs.name, "never-was"]

    told = await backend.forget_sessions(names, dry_run=True)
    assert (told.items, told.size >= 5, told.stuck) == (1, True, ())
    assert await text_of(backend, over.name) == b"hello"

    assert await backend.forget_sessions(names) == told
    for schedulers in (backend, await site.backend()):
        assert (await schedulers.find(over.name) is not None) is site.keeps_records
    assert await text_of(backend, over.name) == b""
    assert await status_of(backend, runs.name) is SessionStatus.RUNNING
    assert await backend.forget_sessions(names) == Freed()


async def test_outputs_are_forgotten_by_job_and_nothing_else_is(site: TestSite, backend: SessionBackend) -> None:
    one, other = site.ends(0), site.ends(0)
    for spec in (one, other):
        await backend.create(spec)
        await wait_until_terminal(backend, spec.name, timeout=site.patience)
    job = (one.workspace.pipeline_id, one.workspace.job_id)
    assert (await backend.forget_outputs([job], dry_run=True)).items == 1
    assert site.has_outputs(one.workspace)

    assert (await backend.forget_outputs([job])).items == 1
    assert not site.has_outputs(one.workspace)
    assert site.has_vfroot(one.workspace)
    assert site.has_outputs(other.workspace)
    assert (await backend.find(one.name)) is not None, "its record is a matter of its own"
    assert await backend.forget_outputs([job]) == Freed()


async def test_all_folders_of_a_pipeline_are_forgotten_and_those_of_no_other(
    site: TestSite, backend: SessionBackend
) -> None:
    async def is_gone() -> bool:
        return not site.has_vfroot(one.workspace)

    one, other = site.ends(0), site.ends(0)
    for spec in (one, other):
        await backend.create(spec)
        await wait_until_terminal(backend, spec.name, timeout=site.patience)
    pipeline = one.workspace.pipeline_id
    assert (await backend.forget_pipelines([pipeline], dry_run=True)).items == 1
    assert site.has_vfroot(one.workspace)
    await backend.forget_outputs([(pipeline, one.workspace.job_id)])
    assert (await backend.forget_pipelines([pipeline])).items == 1
    if CLUSTER:  # 23.09 has the files removed when it has answered
        await eventually(is_gone)
    assert not site.has_vfroot(one.workspace)
    assert site.has_vfroot(other.workspace)
    assert site.has_outputs(other.workspace)
    assert await backend.forget_pipelines([pipeline]) == Freed()


async def test_nothing_is_wrong_with_the_folder_of_a_pipeline_that_has_run(
    site: TestSite, backend: SessionBackend
) -> None:
    spec = site.ends(0)
    await backend.create(spec)
    await wait_until_terminal(backend, spec.name, timeout=site.patience)
    asked = (spec.workspace.pipeline_id, spec.workspace.job_id)
    assert (await backend.folder_problems([asked])).get(spec.workspace.pipeline_id) is None
    assert await backend.folder_problems([]) == {}


async def test_what_is_old_is_forgotten_without_a_start(site: TestSite, backend: SessionBackend) -> None:
    spec = site.ends(0)
    await backend.create(spec)
    await wait_until_terminal(backend, spec.name, timeout=site.patience)
    second = await site.backend(started=False)
    assert second.site == backend.site
    assert (await second.forget_sessions([spec.name])).items == 1
    assert (await second.forget_outputs([(spec.workspace.pipeline_id, spec.workspace.job_id)])).items == 1


async def test_a_service_is_started_once_and_serves_until_it_is_ended_or_is_refused(
    site: TestSite, backend: SessionBackend
) -> None:
    spec = site.service()
    if site.no_services is not None:
        with pytest.raises(SessionRefused, match=site.no_services):
            await backend.create(spec)
        assert await backend.find(spec.name) is None
        return
    first = await backend.create(spec)
    assert (await (await site.backend()).create(spec)).session_id == first.session_id
    seen = await wait_until_terminal(backend, spec.name, timeout=site.patience)
    assert (seen.status, seen.session_id) == (SessionStatus.SUCCEEDED, first.session_id)

    async def is_gone() -> bool:
        return spec.name not in {other.name for other in await backend.live()}

    assert not await is_gone(), "it serves on until its job is over"
    await backend.terminate(spec.name, grace=timedelta(0))
    await eventually(is_gone)
    assert (await backend.find(spec.name)) == seen, "what it came to stays so"


async def test_many_sessions_at_once(site: TestSite, backend: SessionBackend) -> None:
    specs = [site.ends(n % 3) for n in range(site.many)]
    await asyncio.gather(*(backend.create(spec) for spec in specs))
    seen = await asyncio.gather(*(wait_until_terminal(backend, spec.name, timeout=4 * site.patience) for spec in specs))
    assert [view.exit_code for view in seen] == [n % 3 for n in range(site.many)]
    assert [site.executions(spec.name) for spec in specs] == [1] * site.many


async def test_every_backend_of_the_table_can_be_made() -> None:
    settings = Settings(
        backend_ai_endpoint="https://manager.example", backend_ai_access_key="AK", backend_ai_secret_key="SK"
    )
    for name in BACKENDS:
        assert callable(make_backend(name, settings, SystemClock()).create)
    with pytest.raises(InvalidInput, match=r"local, simulated"):
        make_backend("other", Settings(), SystemClock())


@pytest.mark.skipif(CLUSTER is not None, reason="one real cluster stands for all sites")
def test_every_backend_of_the_table_is_held_to_the_contract() -> None:
    assert BACKENDS.keys() == {name.partition("-")[0] for name in SITES}
