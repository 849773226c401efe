"""The clients of examples/clients follow a job over a server that is killed meanwhile: nothing is lost, nothing repeated."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest

from fasttrack.clock import SystemClock
from fasttrack.doorbell import Doorbell
from fasttrack.ids import JobId
from fasttrack.settings import Settings
from fasttrack_api.app import create_app
from fasttrack_api.graphql.ids import Kind, to_global
from fasttrack_api.parts import Parts
from fasttrack_scheduler.backends.simulated import Script
from tests.engine import Engine
from tests.factories import a_file
from tests.serving import NODE, ApiProcess, Program, api_process, served
from tests.waiting import eventually

from .conftest import EXAMPLES

CLIENTS = EXAMPLES / "clients"
WATCH = {
    "typescript": (NODE, str(CLIENTS / "typescript" / "watch.ts")),
    "python": (sys.executable, str(CLIENTS / "python" / "watch.py")),
}
LATER = [f"t{n}" for n in range(12)]
FILE = a_file({"a": "", "gate": "a"} | dict.fromkeys(LATER, "gate"))

each_client = pytest.mark.parametrize("command", WATCH.values(), ids=WATCH)


@pytest.fixture
def engine(engine: Engine, doorbell: Doorbell) -> Engine:
    """The engine, with a task that runs until the test lets it end."""
    engine.doorbell = doorbell
    engine.site.script("gate", Script(held=True))
    return engine


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[ApiProcess]:
    async with api_process(database_url, redis_url, tmp_path / "state") as process:
        yield process


@pytest.fixture
async def address(settings: Settings, engine: Engine, doorbell: Doorbell) -> AsyncIterator[str]:
    """The address of an API in this process, for what nobody kills."""
    parts = Parts(settings, engine.database, doorbell, engine.box, SystemClock())
    async with served(create_app(settings, given=parts)) as address:
        yield address


@asynccontextmanager
async def watching(
    command: tuple[str, ...], api: ApiProcess, job: JobId
) -> AsyncIterator[tuple[Program, asyncio.Task[int]]]:
    """The client, from when it has listed the job."""
    client = Program()
    running = asyncio.create_task(client.run(*command, str(job), FASTTRACK_SERVER=api.address))
    try:
        await eventually(lambda: client.notes == ["demo #1 is PENDING"])
        yield client, running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def open_gate(engine: Engine) -> None:
    engine.site.finish(engine.site.ledger.created[-1])


@pytest.mark.timeout(120)  # an api process starts twice
@each_client
async def test_it_outlives_a_killed_server_and_loses_and_repeats_nothing(
    engine: Engine, api: ApiProcess, command: tuple[str, ...]
) -> None:
    """Killed in the middle of the job, which goes on without the server, to its end."""
    job = await engine.submit(FILE)
    async with watching(command, api, job) as (client, running), engine.scheduling():
        await eventually(lambda: any(line.endswith("task.running gate") for line in client.lines))
        await api.kill()
        await eventually(lambda: client.notes[-1].endswith("; trying again"))
        open_gate(engine)
        await engine.ended(job)
        await api.start()
        async with asyncio.timeout(30):
            assert await running == 0
    history = await engine.history(job)
    assert client.lines == [f"{seq} {event}" for seq, event in enumerate(history, 1)]
    assert len(history) > 30


@pytest.mark.timeout(120)  # an api process starts twice
@each_client
async def test_it_lists_again_when_its_cursor_is_of_another_feed(
    engine: Engine, api: ApiProcess, command: tuple[str, ...]
) -> None:
    """As after a restored database: what it saw is void, so it looks anew and follows from there."""
    job = await engine.submit(FILE)
    async with watching(command, api, job) as (client, running), engine.scheduling():
        await eventually(lambda: any(line.endswith("task.running gate") for line in client.lines))
        await api.kill()
        async with engine.database.transaction() as db:
            await db.execute("UPDATE feed_head SET epoch = $1", uuid4())
        await api.start()
        await eventually(lambda: client.notes[-2:] == ["the cursor is too old; listing again", "demo #1 is RUNNING"])
        seen = len(client.lines)
        open_gate(engine)
        async with asyncio.timeout(30):
            assert await running == 0
    history = await engine.history(job)
    assert (
        client.lines[seen:] == [f"{seq} {event}" for seq, event in enumerate(history, 1)][-len(client.lines[seen:]) :]
    )
    assert client.lines[seen].endswith("task.succeeded gate")
    assert client.lines[-1].endswith("job.succeeded")


@each_client
async def test_a_job_that_is_over_is_shown_and_that_is_all(
    engine: Engine, address: str, command: tuple[str, ...]
) -> None:
    """The exit code says how it ended; without a job, the newest ones are listed."""
    job = await engine.submit(a_file({"a": ""}))
    engine.site.script("a", Script(exit_code=3))
    async with engine.scheduling():
        await engine.ended(job)
    client, listing = Program(), Program()
    assert await client.run(*command, to_global(Kind.JOB, job), FASTTRACK_SERVER=address) == 1
    assert (client.lines, client.notes) == ([], ["demo #1 is FAILED"])
    assert await listing.run(*command, FASTTRACK_SERVER=address) == 0
    assert listing.lines == [f"{job}  demo #1  FAILED"]


@each_client
async def test_what_no_new_try_can_mend_ends_it_with_the_code(
    engine: Engine, address: str, command: tuple[str, ...]
) -> None:
    """A job that is not there; a token that is none."""
    missing, stranger = Program(), Program()
    assert await missing.run(*command, to_global(Kind.JOB, uuid4()), FASTTRACK_SERVER=address) == 2
    assert missing.notes == ["NOT_FOUND: there is no such job"]
    assert await stranger.run(*command, FASTTRACK_SERVER=address, FASTTRACK_TOKEN="ftp_wrong") == 2
    assert [note.partition(":")[0] for note in stranger.notes] == ["UNAUTHENTICATED"]


@each_client
async def test_in_a_terminal_it_draws_the_table_again_in_its_place(
    engine: Engine, address: str, command: tuple[str, ...]
) -> None:
    """Each task has one line, and the last drawing shows how it ended."""
    job = await engine.submit(a_file({"a": "", "b": "a"}, b={"command": "exit 1"}))
    engine.site.script("b", Script(exit_code=1, reason="\x1b]0;gotcha\x07out of cheese"))
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (30, 100))
    environment = {**os.environ, "FASTTRACK_SERVER": address}
    try:
        os.set_blocking(ours, False)
        process = await asyncio.create_subprocess_exec(*command, str(job), env=environment, stdout=theirs)
        written = bytearray()

        def has_drawn(text: bytes) -> bool:
            with suppress(BlockingIOError):
                written.extend(os.read(ours, 1 << 16))
            return text in written

        await eventually(lambda: has_drawn(b"PENDING"))
        async with engine.scheduling():
            await engine.ended(job)
            async with asyncio.timeout(30):
                assert await process.wait() == 1
        await eventually(lambda: has_drawn(b"FAILED"))
    finally:
        os.close(ours)
        os.close(theirs)
    drawings = re.split(r"\x1b\[\d+F\x1b\[J", written.decode())
    assert len(drawings) >= 2
    last = [line.split() for line in drawings[-1].splitlines() if line.strip()]
    assert last[0] == ["demo", "#1"]
    assert sorted(line[:3] for line in last[1:]) == [["a", "SUCCEEDED", "1"], ["b", "FAILED", "1"]]
    assert "out of cheese" in drawings[-1]
    assert "\x1b" not in "".join(drawings)
