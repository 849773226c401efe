"""Every command that writes leaves an entry in the audit log, under the name of the machine's user."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from fasttrack.db import Database
from tests.cli.command_line import CommandLine
from tests.factories import a_file
from tests.people import entries


async def test_each_write_of_the_command_line_is_in_the_audit_log(
    stored: CommandLine, database: Database, tmp_path: Path
) -> None:
    file, secret = tmp_path / "demo.yaml", tmp_path / "secret"
    file.write_text(a_file({"a": ""}))
    secret.write_text("canary-value")

    async def news(*args: str, code: int = 0) -> list[str]:
        seen = len(await entries(database))
        answer = await stored(*args)
        assert answer.code == code, answer
        found = (await entries(database))[seen:]
        assert {(e["account_name"], e["origin"], e["outcome"]) for e in found} <= {
            (getpass.getuser(), "command line", "done")
        }
        assert "canary-value" not in str(found)
        return [e["action"] for e in found]

    assert await news("publish", str(file)) == ["pipeline.publish"]
    assert await news("publish", str(file)) == []
    file.write_text(a_file({"a": "", "b": "a"}))
    assert await news("run", str(file), "--dry-run") == []
    assert await news("run", str(file), "--skip", "a", "--skip", "b", "--key", "k") == ["pipeline.publish", "job.run"]
    assert await news("run", str(file), "--skip", "a", "--skip", "b", "--key", "k") == []
    async with database.transaction() as db:
        over = str(await db.value("SELECT id FROM job"))
    assert await news("rerun", over, "--dry-run") == []
    assert await news("rerun", over) == ["job.rerun"]
    job = (await stored("run", "demo")).out.strip()
    assert await news("pause", job, "--pipeline", "demo") == ["job.pause", "pipeline.pause"]
    assert await news("pause", job, "--pipeline", "demo") == []
    assert await news("resume", job, "--pipeline", "demo") == ["job.resume", "pipeline.resume"]
    assert await news("cancel", job) == ["job.cancel"]
    assert await news("cancel", job) == []
    assert await news("restore", "demo", "1") == ["pipeline.restore"]
    assert await news("projects", "create", "vision", "--domain", "research") == ["project.create"]
    assert await news("projects", "create", "vision") == []
    assert await news("pools", "set", "gpu", "2") == ["limit.set"]
    assert await news("pools", "set", "gpu", "2") == []
    assert await news("pools", "delete", "gpu") == ["limit.remove"]
    assert await news("secrets", "set", "HUB", "--from-file", str(secret)) == ["secret.put"]
    assert await news("secrets", "delete", "HUB") == ["secret.delete"]
    assert await news("secrets", "delete", "HUB", code=3) == []
    assert await news("retention", "set", "--logs-days", "7") == ["retention.change"]
    assert await news("retention", "set", "--logs-days", "7") == []
    assert await news("retention", "reset") == ["retention.change"]
    changes = [(e["before"], e["after"]) for e in await entries(database) if e["action"] == "retention.change"]
    assert changes == [({}, {"logs": 7}), ({"logs": 7}, {})]


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb"])
async def test_a_project_is_made_by_a_name_that_can_be_one(stored: CommandLine, database: Database, name: str) -> None:
    assert (await stored("projects", "create", name)).code == 2
    assert await entries(database) == []
