"""`fasttrack credentials`: keys of a cluster, here and against a server."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from fasttrack.db import Database
from fasttrack.doorbell import Doorbell
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from standin.app import Manager
from tests.cli.command_line import CommandLine
from tests.cli.remote_server import RemoteCommandLine, Server
from tests.scheduler.backend_ai.recorded import GENERATIONS
from tests.scheduler.backend_ai.standins import serving, settings_for


@pytest.fixture
async def named(tmp_path: Path) -> AsyncIterator[tuple[Manager, dict[str, str]]]:
    """A stand-in with two more keys, and the settings that name it."""
    async with serving(GENERATIONS[-1], tmp_path / "cluster") as (manager, address):
        manager.keys |= {"AKIAONE": "canary-one", "AKIATWO": "canary-two"}
        yield manager, settings_for(address)


@pytest.fixture(params=["here", "server"])
async def cli(
    request: pytest.FixtureRequest,
    cli: CommandLine,
    environment: dict[str, str],
    named: tuple[Manager, dict[str, str]],
    settings: Settings,
    database: Database,
    doorbell: Doorbell,
    project: ProjectId,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[CommandLine]:
    """Commands on that cluster."""
    if request.param == "here":
        given = environment | {f"FASTTRACK_{name.upper()}": value for name, value in named[1].items()}
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        yield cli
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50), cache_logger_on_first_use=False)
    wanted = Settings.model_validate({**settings.model_dump(), **named[1], "api_open_on_loopback": True})
    async with Server(wanted, database, doorbell).served() as server:
        yield RemoteCommandLine(cli, server.url)


async def test_a_key_is_set_from_a_file_rotated_from_standard_input_listed_and_removed(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret.txt").write_text("canary-one\n")
    first = await cli("credentials", "set", "AKIAONE", "--from-file", "secret.txt")
    assert (first.code, first.err) == (0, "jobs of default run with AKIAONE of user@example.test\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"canary-two\n")))
    second = await cli("credentials", "set", "AKIATWO", "--debug")
    assert "run with AKIATWO of user@example.test; kept until nothing runs under it: AKIAONE" in second.err
    listed, shown = await cli("credentials", "list", "--json"), await cli("credentials", "list")
    [found] = listed.json["credentials"]
    assert [(key["access_key"], key["in_use"]) for key in found["keys"]] == [("AKIATWO", True), ("AKIAONE", False)]
    assert "retiring, 0 sessions" in shown.out
    assert "canary" not in str((first, second, listed, shown))
    assert (await cli("credentials", "remove", "--access-key", "AKIAONE")).code == 0
    assert (await cli("credentials", "remove", "--access-key", "AKIATWO")).code == 5
    assert (await cli("credentials", "remove")).code == 0
    assert (await cli("credentials", "list", "--json")).json == {"credentials": []}


async def test_a_wrong_secret_half_is_told_and_nothing_is_stored(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("wrong")
    refused = await cli("credentials", "set", "AKIAONE", "--mine", "--from-file", "secret.txt")
    assert refused.code == 2
    assert "the secret key does not belong to the access key AKIAONE" in refused.err
    assert (await cli("credentials", "list", "--json")).json == {"credentials": []}


async def test_the_commands_of_the_how_to_do_what_they_say(cli: CommandLine, tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "keys-of-a-cluster.md"
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", page.read_text(), re.M | re.S)
    commands = [line.split()[1:] for block in blocks for line in block.splitlines()]
    assert len(commands) == 8
    (tmp_path / "one.txt").write_text("canary-one\n")
    (tmp_path / "two.txt").write_text("canary-two\n")
    for command in commands:
        answer = await cli(*command)
        assert answer.code == 0, (command, answer.err)
