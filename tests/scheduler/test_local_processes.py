"""The local backend and its processes: signals, memory, remains, and deaths at the wrong moment."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from fasttrack.domain.states import FailureClass
from fasttrack.settings import Settings
from fasttrack_scheduler.backends.base import Observation, SessionSpec, SessionStatus, wait_until_terminal
from fasttrack_scheduler.backends.local import process
from fasttrack_scheduler.backends.local.backend import LocalBackend
from fasttrack_scheduler.backends.local.journal import SessionDir, write_new
from tests.contracts.sites import LocalTestSite, make_spec
from tests.waiting import eventually

NOW = timedelta(0)


@pytest.fixture(params=["auto", "never"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LocalTestSite]:
    made = LocalTestSite(tmp_path, request.param)
    yield made
    await made.close()


@pytest.fixture
async def backend(site: LocalTestSite) -> LocalBackend:
    return await site.backend()


async def outcome(backend: LocalBackend, spec: SessionSpec) -> Observation:
    await backend.create(spec)
    return await wait_until_terminal(backend, spec.name, timeout=8)


async def output(backend: LocalBackend, name: str) -> str:
    return (await backend.logs(name, offset=0, limit=100_000)).data.decode()


async def printed(backend: LocalBackend, name: str, lines: int = 1) -> list[str]:
    async def look() -> list[str] | None:
        found = (await output(backend, name)).splitlines()
        return found if len(found) >= lines else None

    return await eventually(look)


def directory(site: LocalTestSite, name: str) -> SessionDir:
    return SessionDir(str(site.settings.state_dir / "local" / "sessions"), name)


def keeper_of(site: LocalTestSite, name: str) -> process.ProcessId:
    started = directory(site, name).started()
    assert started is not None
    assert started.keeper is not None
    return started.keeper


def marked(backend: LocalBackend, name: str) -> list[process.Process]:
    return process.Table().marked([backend._site.session_id(name)])


async def test_a_create_answers_with_the_end_of_a_short_command(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fasttrack_scheduler.backends.local.backend.BEGIN_PATIENCE", 10.0)
    monkeypatch.setattr("fasttrack_scheduler.backends.local.registry.SHORT_COMMAND", 10.0)
    seen = await backend.create(make_spec("true"))
    assert (seen.status, seen.exit_code) == (SessionStatus.SUCCEEDED, 0)


async def test_a_create_answers_that_a_long_command_runs(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fasttrack_scheduler.backends.local.backend.BEGIN_PATIENCE", 10.0)
    seen = await backend.create(spec := make_spec("sleep 60"))
    assert seen.status is SessionStatus.RUNNING
    assert seen.started_at is not None
    await backend.terminate(spec.name, grace=NOW)


async def test_a_create_waits_only_a_moment_for_a_start_that_does_not_come(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fasttrack_scheduler.backends.local.starting.launch", lambda *_, **__: os.getpid())
    async with asyncio.timeout(5):
        seen = await backend.create(make_spec("true"))
    assert seen.status is SessionStatus.PREPARING


async def test_whoever_was_told_of_an_end_finds_its_room_free(site: LocalTestSite, backend: LocalBackend) -> None:
    for _ in range(6):
        seen = await backend.create(replace(make_spec("true"), slots={"cpu": Decimal(2)}))
        assert seen.status is not SessionStatus.QUEUED, seen.reason
        await wait_until_terminal(backend, seen.name, timeout=8, every=0.001)
        assert backend._site.ledger.entries == {}


async def test_a_signal_of_its_own_making_is_named(backend: LocalBackend) -> None:
    seen = await outcome(backend, make_spec("kill -SEGV $$"))
    assert (seen.status, seen.failure, seen.exit_code) == (SessionStatus.FAILED, FailureClass.USER, 139)
    assert seen.reason == "killed by SIGSEGV"


async def test_a_kill_from_outside_is_not_the_users_fault(site: LocalTestSite, backend: LocalBackend) -> None:
    seen = await outcome(backend, spec := make_spec("kill -KILL $$"))
    assert (seen.failure, seen.reason) == (FailureClass.INFRASTRUCTURE, "killed by SIGKILL from outside")
    assert await (await site.backend()).find(spec.name) == seen


async def test_a_kill_by_the_kernel_is_for_want_of_memory(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec("while [ ! -e go ]; do sleep 0.01; done; kill -KILL $$")
    await backend.create(spec)
    await eventually(lambda: directory_started(backend, spec.name))
    monkeypatch.setattr("fasttrack_scheduler.backends.local.outcome.oom_kills", lambda: 10**9)
    (Path(backend._site.directory(spec.name).work) / "go").touch()
    seen = await wait_until_terminal(backend, spec.name, timeout=5)
    assert seen.failure is FailureClass.OUT_OF_MEMORY
    monkeypatch.undo()
    # The first verdict stays, whoever looks when.
    assert backend._site.look(spec.name) == seen


def directory_started(backend: LocalBackend, name: str) -> bool:
    return backend._site.directory(name).started() is not None


async def test_more_memory_than_asked_for_ends_it(backend: LocalBackend) -> None:
    hog = f"exec {sys.executable} -c 'x = bytearray(90 << 20); x[::4096] = b\"1\" * len(x[::4096]); input()'"
    spec = make_spec(f"sleep 60 | {hog}", slots={"cpu": Decimal(1), "mem": Decimal(48 << 20)})
    seen = await outcome(backend, spec)
    assert (seen.status, seen.failure) == (SessionStatus.FAILED, FailureClass.OUT_OF_MEMORY)
    assert seen.reason.startswith("used ")
    assert seen.reason.endswith("MiB, asked for 48 MiB")
    assert marked(backend, spec.name) == []


async def test_background_children_end_with_the_command(backend: LocalBackend) -> None:
    spec = make_spec("sleep 600 & setsid sh -c 'trap \"\" TERM; sleep 601 & wait' & sleep 0.05; exit 0")
    assert (await outcome(backend, spec)).status is SessionStatus.SUCCEEDED
    await eventually(lambda: marked(backend, spec.name) == [])


async def test_terminate_reaches_those_who_left_the_family(backend: LocalBackend) -> None:
    spec = make_spec("setsid setsid sh -c 'trap \"\" TERM; while :; do sleep 0.1; done' & echo ready; sleep 60; exit 0")
    await backend.create(spec)
    await printed(backend, spec.name)
    await backend.terminate(spec.name, grace=timedelta(seconds=0.2))
    assert (await wait_until_terminal(backend, spec.name, timeout=5)).status is SessionStatus.CANCELLED
    await eventually(lambda: marked(backend, spec.name) == [])


async def test_a_child_of_a_plain_shell_gets_its_grace(backend: LocalBackend) -> None:
    child = 'trap "sleep 0.2; echo saved; exit 0" TERM; echo ready; while :; do sleep 0.02; done'
    spec = make_spec(f"sh -c '{child}'; exit $?")
    await backend.create(spec)
    await printed(backend, spec.name)
    await backend.terminate(spec.name, grace=timedelta(seconds=5))
    seen = await wait_until_terminal(backend, spec.name, timeout=4)
    assert seen.status is SessionStatus.CANCELLED
    assert "saved" in await output(backend, spec.name)


async def test_a_killed_keeper_is_infrastructure_and_leaves_nothing(site: LocalTestSite, backend: LocalBackend) -> None:
    await backend.create(spec := site.runs(output="x\n"))
    await printed(backend, spec.name)
    os.kill(keeper_of(site, spec.name).pid, signal.SIGKILL)
    seen = await wait_until_terminal(backend, spec.name, timeout=5)
    assert (seen.status, seen.failure) == (SessionStatus.FAILED, FailureClass.INFRASTRUCTURE)
    assert seen.reason.startswith("lost")
    await eventually(lambda: marked(backend, spec.name) == [])


async def test_a_reused_process_number_is_nobodys_session(site: LocalTestSite) -> None:
    """After a reboot the recorded number belongs to somebody else, here to this very test."""
    first = await site.backend()
    await first.create(spec := site.runs(output="x\n"))
    await printed(first, spec.name)
    keeper = keeper_of(site, spec.name)
    await first.close()
    where = directory(site, spec.name)
    record = Path(f"{where.path}/started")
    _, boot, facts = record.read_text().splitlines()
    stat = Path(f"/proc/{os.getpid()}/stat").read_text().strip().rsplit(")", 1)
    fields = stat[1].split()
    fields[19] = str(int(fields[19]) - 1)
    record.write_text(f"{stat[0]}) {' '.join(fields)}\n{boot}\n{facts}\n")

    second = await site.backend()
    seen = await wait_until_terminal(second, spec.name, timeout=5)
    assert seen.failure is FailureClass.INFRASTRUCTURE
    await eventually(lambda: not keeper.is_alive and marked(second, spec.name) == [])


async def test_another_boot_is_another_world(site: LocalTestSite) -> None:
    keeper = process.ProcessId(os.getpid(), 0, process.look(os.getpid()).start, "another")  # type: ignore[union-attr]
    assert not keeper.is_alive
    assert replace(keeper, boot=process.boot_id()).is_alive


async def test_a_command_starts_once_even_if_two_launch_it(site: LocalTestSite, backend: LocalBackend) -> None:
    spec = site.ends(0)
    backend._site._create(backend._site.directory(spec.name), spec)
    write_new(f"{directory(site, spec.name).path}/started", b"-\n-\n{}\n")
    await backend.create(spec)
    await asyncio.sleep(0.1)
    assert site.executions(spec.name) == 0


async def test_a_launch_that_fails_for_now_is_tried_again(
    site: LocalTestSite, backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object, **__: object) -> int:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr("fasttrack_scheduler.backends.local.starting.launch", no_room)
    await backend.create(spec := site.ends(0))
    monkeypatch.undo()
    assert (await wait_until_terminal(backend, spec.name, timeout=5)).status is SessionStatus.SUCCEEDED
    assert site.executions(spec.name) == 1


async def test_a_start_that_could_not_be_written_down_is_lost(site: LocalTestSite, backend: LocalBackend) -> None:
    """A full disk leaves an empty record: the keeper gave up before the command."""
    running = [site.runs() for _ in range(2)]
    for spec in (*running, waiting := site.ends(0)):
        await backend.create(spec)
    write_new(f"{directory(site, waiting.name).path}/started", b"")
    await backend.terminate(running[0].name, grace=NOW)
    seen = await wait_until_terminal(backend, waiting.name, timeout=5)
    assert (seen.failure, seen.reason) == (FailureClass.INFRASTRUCTURE, "lost: its start could not be written down")
    assert site.executions(waiting.name) == 0


async def test_many_are_ended_at_once(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, local_sandbox="never", local_slots={"cpu": "40"})
    backend = LocalBackend(settings)
    await backend.start()
    specs = [make_spec("sleep 60; exit 0") for _ in range(40)]
    await asyncio.gather(*(backend.create(spec) for spec in specs))
    await asyncio.gather(*(backend.terminate(spec.name, grace=timedelta(seconds=9)) for spec in specs))
    for spec in specs:
        assert (await wait_until_terminal(backend, spec.name, timeout=8)).status is SessionStatus.CANCELLED
    assert process.Table().marked([backend._site.session_id(spec.name) for spec in specs]) == []
    await backend.close()


SCHEDULER = """
    import asyncio, sys
    from pathlib import Path
    from fasttrack.settings import Settings
    from fasttrack_scheduler.backends.local.backend import LocalBackend
    from tests.contracts.sites import make_spec

    async def main():
        backend = LocalBackend(Settings(state_dir=Path(sys.argv[1]), local_sandbox=sys.argv[2], local_slots={"cpu": "2"}))
        await backend.start()
        for name in sys.argv[3].split(","):
            await backend.create(make_spec(sys.argv[4], name=name))
        print("created", flush=True)
        await asyncio.sleep(60)

    asyncio.run(main())
"""


def run_scheduler(site: LocalTestSite, names: list[str], command: str) -> subprocess.Popen[bytes]:
    arguments = [str(site.settings.state_dir), site.settings.local_sandbox, ",".join(names), command]
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCHEDULER), *arguments], stdout=subprocess.PIPE, start_new_session=True
    )


async def test_sessions_outlive_a_killed_scheduler(site: LocalTestSite) -> None:
    """Two run and one waits when it is killed, with all its descendants; another goes on with the same sessions."""
    command = f'echo run >> "{site.marks}/$BACKENDAI_SESSION_NAME"; while [ ! -e {site.marks}/go ]; do sleep 0.02; done'
    names = ["first", "second", "third"]
    with run_scheduler(site, names, command) as scheduler:
        assert scheduler.stdout is not None
        assert await asyncio.to_thread(scheduler.stdout.readline) == b"created\n"
        await eventually(lambda: site.executions("first") + site.executions("second") == 2)
        os.killpg(scheduler.pid, signal.SIGKILL)

    backend = await site.backend()
    seen = {view.name: view.status for view in await backend.observe(names)}
    assert seen == {
        "first": SessionStatus.RUNNING,
        "second": SessionStatus.RUNNING,
        "third": SessionStatus.QUEUED,
    }
    (site.marks / "go").touch()
    for name in names:
        assert (await wait_until_terminal(backend, name, timeout=8)).status is SessionStatus.SUCCEEDED
        assert site.executions(name) == 1


async def test_a_stop_is_finished_by_another_scheduler(site: LocalTestSite) -> None:
    first = await site.backend()
    await first.create(spec := site.ignores_stop())
    await printed(first, spec.name)
    await first.terminate(spec.name, grace=timedelta(seconds=0.3))
    await first.close()
    second = await site.backend()
    assert (await wait_until_terminal(second, spec.name, timeout=5)).status is SessionStatus.CANCELLED


async def test_two_schedulers_never_exceed_the_machine(site: LocalTestSite) -> None:
    """Each session counts those that run beside it: two places, ten sessions, a scheduler here and one elsewhere."""
    command = f"cd {site.marks}; touch r.$BACKENDAI_SESSION_NAME; set -- r.*; echo $#; sleep 0.05; rm r.$BACKENDAI_SESSION_NAME"
    theirs, ours = [f"theirs-{n}" for n in range(5)], [f"ours-{n}" for n in range(5)]
    backend = await site.backend()
    with run_scheduler(site, theirs, command) as scheduler:
        await asyncio.gather(*(backend.create(make_spec(command, name=name)) for name in ours))
        assert scheduler.stdout is not None
        assert await asyncio.to_thread(scheduler.stdout.readline) == b"created\n"
        for name in (*ours, *theirs):
            assert (await wait_until_terminal(backend, name, timeout=10)).status is SessionStatus.SUCCEEDED
            assert 1 <= int(await output(backend, name)) <= 2
        os.killpg(scheduler.pid, signal.SIGKILL)
