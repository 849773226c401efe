"""Commands in this process, on a database of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from fasttrack.clock import Clock
from fasttrack.db import Database
from fasttrack.doorbell import Doorbell
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from fasttrack_scheduler.backends.simulated import SimulatedBackend, SimulatedSite
from tests.cli.command_line import CommandLine, World
from tests.cli.remote_server import RemoteCommandLine, Server


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CommandLine]:
    """Commands that need no database."""
    monkeypatch.setenv("FASTTRACK_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("fasttrack_cli.diagnostics.telemetry.set_up_logging", _log_to_standard_error)
    monkeypatch.chdir(tmp_path)
    yield CommandLine(capsys)
    structlog.reset_defaults()


@pytest.fixture
def stored(cli: CommandLine, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Commands on a database of this test's own, with sessions that are simulated."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return cli


@pytest.fixture
async def server(
    settings: Settings, database: Database, doorbell: Doorbell, project: ProjectId
) -> AsyncIterator[Server]:
    """The API on this test's database, at a port of its own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50), cache_logger_on_first_use=False)
    open_to_its_owner = settings.model_copy(update={"api_open_on_loopback": True})
    async with Server(open_to_its_owner, database, doorbell).served() as server:
        yield server
    structlog.reset_defaults()


@pytest.fixture
def remote(cli: CommandLine, server: Server) -> RemoteCommandLine:
    """Commands against the server, as whoever this machine belongs to."""
    return RemoteCommandLine(cli, server.url)


@pytest.fixture
def environment(database_url: str, redis_url: str, tmp_path: Path) -> dict[str, str]:
    """The settings of a command on the servers of the test run."""
    return {
        "FASTTRACK_STATE_DIR": str(tmp_path / "state"),
        "FASTTRACK_DATABASE_URL": database_url,
        "FASTTRACK_REDIS_URL": redis_url,
        "FASTTRACK_BACKEND": "simulated",
        "FASTTRACK_RECONCILE_INTERVAL": "0.05",
        "FASTTRACK_OBSERVE_INTERVAL": "0.2",
    }


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Sessions behave as this site's scripts say."""
    world = World(SimulatedSite(), [])

    def make(settings: Settings, clock: Clock) -> SimulatedBackend:
        world.loops.append(asyncio.get_running_loop())
        return SimulatedBackend(world.site)

    monkeypatch.setattr("fasttrack_scheduler.backends.simulated.make", make)
    return world


def _log_to_standard_error(level: str, style: str) -> None:
    # As the product does, without keeping loggers for the tests that follow in this process.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30), cache_logger_on_first_use=False)
