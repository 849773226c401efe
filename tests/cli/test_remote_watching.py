"""Watching a job of a server: every event once and in order, whatever becomes of the connection meanwhile."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from fasttrack.db import Database
from fasttrack.doorbell import Doorbell
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from fasttrack_cli.remote import following
from fasttrack_scheduler.backends.simulated import Script
from tests.cli.command_line import CommandLine, a_process
from tests.cli.remote_server import RemoteCommandLine, Server
from tests.engine import Engine
from tests.factories import a_file
from tests.waiting import eventually

CHAIN = {"a": "", "b": "a"}
EVENTS = [
    ["a", "task.starting"],
    ["a", "task.succeeded"],
    ["b", "task.starting"],
    ["b", "task.succeeded"],
    ["job", "job.succeeded"],
]


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "demo.yaml").write_text(a_file(CHAIN))
    return "demo.yaml"


def told(err: str) -> list[list[str]]:
    """The events in what was said, but those that are there or not as the timing has it."""
    events = [line.split()[1:3] for line in err.splitlines() if line[:2].isdigit()]
    return [[who, what] for who, what in events if what not in ("job.running", "task.ready", "task.running")]


def release(engine: Engine) -> None:
    """Let every task that runs end well."""
    for session in engine.site.live():
        engine.site.finish(session.name)


@pytest.fixture
def engine(database: Database, project: ProjectId, settings: Settings, doorbell: Doorbell) -> Engine:
    """Schedulers beside the server, which hear when it rings."""
    return Engine(database, project, settings, doorbell)


async def test_a_job_is_watched_to_its_end_as_on_this_machine(
    remote: RemoteCommandLine, engine: Engine, file: str
) -> None:
    engine.site.script("a", Script(held=True))
    async with engine.scheduling():
        watching = asyncio.create_task(remote("run", file, "--wait"))
        await eventually(lambda: engine.site.ledger.created)
        release(engine)
        answer = await watching
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0].split() == ["TASK", "STATE", "ATTEMPT", "WAITED", "RAN", "EXIT", "REASON"]
    assert [line.split()[:2] for line in lines[1:3]] == [["a", "SUCCEEDED"], ["b", "SUCCEEDED"]]
    said = answer.err.splitlines()
    assert said[0] == "published demo, version 1"
    assert said[1].startswith("demo #1: job ")
    assert told(answer.err)[-4:] == EVENTS[-4:]


async def test_the_exit_code_is_the_verdict(remote: RemoteCommandLine, engine: Engine, file: str) -> None:
    engine.site.script("b", Script(exit_code=3), Script())
    async with engine.scheduling():
        failed = await remote("run", file, "--wait", "--json")
        again = await remote("rerun", failed.json["job"]["id"], "--from", "failure", "--wait", "--json")
    assert (failed.code, failed.json["job"]["state"]) == (1, "FAILED")
    assert [t["exit_code"] for t in failed.json["tasks"]] == [0, 3]
    assert (again.code, again.json["plan"]["runs"]) == (0, ["b"])


async def test_a_cancel_is_waited_for(remote: RemoteCommandLine, engine: Engine, file: str) -> None:
    engine.site.script("a", Script(held=True))
    job = (await remote("run", file)).out.strip()
    async with engine.scheduling():
        answer = await remote("cancel", job[-8:], "--wait", "--json")
    assert (answer.code, answer.json) == (
        0,
        {"jobs": [{"id": job, "state_before": answer.json["jobs"][0]["state_before"], "state": "CANCELLED"}]},
    )


async def test_a_server_that_is_restarted_costs_no_event_and_repeats_none(
    cli: CommandLine, settings: Settings, database: Database, doorbell: Doorbell, engine: Engine, file: str
) -> None:
    """Between two connections everything happens that can; the second one goes on from the first one's cursor."""
    engine.site.script("a", Script(held=True))
    engine.site.script("b", Script(held=True))
    server = Server(settings, database, doorbell)
    async with engine.scheduling():
        async with server.served():
            watching = asyncio.create_task(cli("--server", server.url, "run", file, "--wait"))
            await eventually(lambda: ("GET", _events(server)) in server.way.requests)
            await eventually(lambda: engine.site.ledger.created)
        release(engine)
        await eventually(lambda: len(engine.site.ledger.created) == 2)
        async with server.served():
            await eventually(lambda: [r[1] for r in server.way.requests].count(_events(server)) >= 2)
            release(engine)
            answer = await watching
    assert answer.code == 0, answer.err
    assert told(answer.err)[-4:] == EVENTS[-4:]
    assert len(told(answer.err)) == len({tuple(e) for e in told(answer.err)})
    assert "the job goes on, but cannot be watched" in answer.err
    assert "watching again" in answer.err
    cursors = [
        h.get("last-event-id")
        for h, r in zip(server.way.headers, server.way.requests, strict=True)
        if r[1] == _events(server)
    ]
    assert cursors[0] is None
    assert cursors[-1] is not None


async def test_a_stream_that_says_nothing_is_looked_behind(
    remote: RemoteCommandLine, engine: Engine, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that holds the events back does not hold back the end."""

    async def silent(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(following, "BACKSTOP_SECONDS", 0.1)
    monkeypatch.setattr(following.RemoteWatch, "_follow", silent)
    async with engine.scheduling():
        answer = await remote("run", file, "--wait", "--json")
    assert (answer.code, answer.json["job"]["state"]) == (0, "SUCCEEDED")
    assert told(answer.err)[-1] == ["job", "job.succeeded"]


async def test_ctrl_c_ends_the_watching_and_not_the_job(
    server: Server, engine: Engine, file: str, tmp_path: Path
) -> None:
    engine.site.script("a", Script(held=True))
    async with engine.scheduling():
        async with a_process("run", str(tmp_path / file), "--wait", env={"FASTTRACK_SERVER": server.url}) as process:
            await eventually(lambda: ("GET", _events(server)) in server.way.requests)
            process.send_signal(signal.SIGINT)
            _, err = await process.communicate()
        assert process.returncode == 130
        assert "The job goes on: what runs keeps running. The server takes care of it." in err.decode()
        await eventually(lambda: engine.site.ledger.created)
        release(engine)
        done = await eventually(lambda: _state(engine))
    assert done == "SUCCEEDED"


def _events(server: Server) -> str:
    return next((path for _, path in server.way.requests if path.endswith("/events")), "none")


async def _state(engine: Engine) -> str | None:
    async with engine.database.transaction() as db:
        state: str = await db.value("SELECT state FROM job")
    return state if state == "SUCCEEDED" else None
