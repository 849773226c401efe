"""Projects are made on purpose, never by a slip."""

from __future__ import annotations

import json

from tests.cli.command_line import CommandLine


async def test_a_project_is_made_listed_and_worked_in(stored: CommandLine) -> None:
    assert (await stored("projects", "create", "vision")).out == "vision\n"
    assert (await stored("projects", "create", "vision")).code == 0
    listed = json.loads((await stored("projects", "list", "--json")).out)
    assert listed == {"projects": [{"name": "default"}, {"name": "vision"}]}
    assert (await stored("pipelines", "--project", "vision")).code == 0


async def test_a_slip_in_the_name_makes_nothing(stored: CommandLine) -> None:
    answer = await stored("pipelines", "--project", "visoin")
    assert answer.code == 3
    assert "there is no project visoin; `fasttrack projects create visoin` makes it" in answer.err
    assert (await stored("projects", "list")).out == "default\n"


async def test_a_name_that_is_none_is_refused(stored: CommandLine) -> None:
    assert (await stored("projects", "create", "x" * 65)).code == 2
    assert (await stored("projects", "create", " ")).code == 2


async def test_a_scheduler_alone_needs_addresses(cli: CommandLine) -> None:
    answer = await cli("scheduler")
    assert answer.code == 2
    assert "needs FASTTRACK_DATABASE_URL and FASTTRACK_REDIS_URL" in answer.err
