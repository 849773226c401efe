"""The commands of the page about access are run as they stand there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from fastapi import FastAPI

from fasttrack.db import Database
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from fasttrack_api.server import address_of, listen, serving
from tests.api.rest.test_docs_pages import run_as_written
from tests.people import entries

PAGE = (Path(__file__).parents[3] / "docs" / "capabilities" / "api-access.md").read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page is written for curl")
async def test_the_commands_of_the_page_do_what_it_says(
    app: FastAPI, settings: Settings, database: Database, project: ProjectId, tmp_path: Path
) -> None:
    [commands] = [block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S) if "curl" in block]
    listening = listen("127.0.0.1", 0)
    async with serving(app, settings, listening):
        out = await run_as_written(commands, address_of(listening), tmp_path)
    assert '"action":"token.revoke"' in out
    assert [(e["account_name"], e["action"]) for e in await entries(database)] == [
        ("owner", action)
        for action in (
            "account.create", "member.add", "member.change", "account.create", "token.create", "token.rotate",
            "token.revoke",
        )
    ]  # fmt: skip
