"""`fasttrack logs` against a server: the same bytes as on its machine, whatever becomes of the server meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fasttrack.db import Database
from fasttrack.doorbell import Doorbell
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from fasttrack.storage.sites import Site, Sites
from fasttrack_scheduler.backends.simulated import Script, SimulatedBackend
from tests.cli.command_line import CommandLine, World
from tests.cli.remote_server import RemoteCommandLine, Server, settled
from tests.cli.test_logs import ran
from tests.factories import a_file
from tests.waiting import eventually

TEXT = "één\ntwo\nthree\n".encode()


class SimulatedSites(Sites):
    """Every site is the simulated one."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._logs = SimulatedBackend(world.site)

    def of(self, site: str) -> Site:
        return Site(self._logs, files=None, uploads=None)  # type: ignore[arg-type]  # nobody asks for files here


@pytest.fixture
async def at(settings: Settings, database: Database, doorbell: Doorbell, project: ProjectId, world: World) -> Server:
    """A server that reaches the logs of the simulated site; not served yet."""
    open_to_its_owner = settings.model_copy(update={"api_open_on_loopback": True})
    return Server(open_to_its_owner, database, doorbell, SimulatedSites(world))


@pytest.fixture
async def remote(at: Server, stored: CommandLine) -> AsyncIterator[RemoteCommandLine]:
    async with at.served():
        yield RemoteCommandLine(stored, at.url)


async def test_what_a_task_printed_is_told_byte_for_byte_as_on_the_servers_machine(
    stored: CommandLine, remote: RemoteCommandLine, tmp_path: Path, world: World
) -> None:
    world.site.script("a", Script(log=b"first\n", exit_code=1), Script(log=TEXT))
    job = await ran(stored, tmp_path, a={"retry": {"max_attempts": 2}})
    for more in (
        (job, "a"), (job[-8:], "a"), (job, "a", "--attempt", "1"), (job, "a", "--attempt", "3"), (job, "z"),
        (job, "a", "--tail", "2"), (job, "a", "--tail", "0"), (job, "a", "--offset", "4"), (job, "a", "--offset", "999"),
        (job, "a", "--follow"), (job, "a", "--json"), (job, "a", "--follow", "--json", "--tail", "1"), ("0123abcd", "a"),
    ):  # fmt: skip
        here, there = await stored("logs", *more), await remote("logs", *more)
        assert settled(there) == settled(here), more


async def test_a_task_that_never_ran_has_written_nothing_there_either(
    stored: CommandLine, remote: RemoteCommandLine, tmp_path: Path, world: World
) -> None:
    world.site.script("a", Script(exit_code=1))
    job = await ran(stored, tmp_path)
    for more in ((job, "b"), (job, "b", "--follow")):
        assert await remote("logs", *more) == await stored("logs", *more)


async def test_following_goes_on_where_it_was_at_a_server_that_was_started_again(
    stored: CommandLine, at: Server, tmp_path: Path, world: World
) -> None:
    world.site.script("a", Script(held=True, log=TEXT))
    (tmp_path / "demo.yaml").write_text(a_file({"a": ""}))
    job = (await stored("run", "demo.yaml")).out.strip()
    watching = asyncio.create_task(stored("job", job, "--wait", "--scheduler"))
    await eventually(lambda: world.site.ledger.created)
    [name] = world.site.ledger.created
    remote = RemoteCommandLine(stored, at.url)
    async with at.served():
        following = asyncio.create_task(remote("logs", job, "a", "--follow"))
        await eventually(lambda: any("logs" in path for _, path in at.way.requests))
    asked = len(at.way.requests)
    async with at.served():
        await eventually(lambda: len(at.way.requests) > asked)
        world.loops[0].call_soon_threadsafe(lambda: world.site.finish(name))
        answers = [await watching, await following]
    assert [a.code for a in answers] == [0, 0]
    told = answers[0].out + answers[1].out  # two commands write to one place here
    assert told.count("één") == 1
    assert told.count("three") == 1
