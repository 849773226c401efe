"""`fasttrack prune` and `fasttrack retention`: what goes is told first, and what is refused changes nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fasttrack.db import Database
from tests.cli.command_line import CommandLine, World, counts
from tests.factories import a_file

PRINTS = {"command": "echo hello; echo 12345 > $FASTTRACK_OUTPUTS/result"}


async def a_job(cli: CommandLine, path: Path, *options: str) -> str:
    """The id of a job that is over."""
    (path / "p.yaml").write_text(a_file({"a": ""}, a=PRINTS))
    answer = await cli("run", str(path / "p.yaml"), "--wait", "--scheduler", "--json", *options)
    assert answer.code == 0, answer.err
    return str(answer.json["job"]["id"])


async def age(database: Database, days: int) -> None:
    """Let everything have happened so many days ago."""
    async with database.transaction() as db:
        await db.execute("UPDATE job SET ended_at = ended_at - make_interval(days => $1)", days)
        await db.execute("UPDATE idempotency SET created_at = created_at - make_interval(days => $1)", days)
        await db.execute("DELETE FROM retention_mark")


def kinds(document: Any, project: str = "default") -> dict[str, int]:
    (found,) = (p for p in document["projects"] if p["project"] == project)
    return {kind: found[kind]["count"] for kind in ("events", "logs", "outputs", "jobs")}


async def test_nothing_is_old_at_first(stored: CommandLine, world: World, tmp_path: Path) -> None:
    await a_job(stored, tmp_path)
    answer = await stored("prune")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == "Nothing is kept longer than it should be.\n"


async def test_a_dry_run_tells_what_goes_and_the_run_does_it(
    stored: CommandLine, world: World, tmp_path: Path, database: Database
) -> None:
    await a_job(stored, tmp_path, "--key", "k")
    await age(database, 400)
    before = await counts(database)
    told = await stored("prune", "--dry-run", "--json")
    assert await counts(database) == before
    assert len(world.site.outputs) == 1
    assert told.json["dry_run"] is True
    assert kinds(told.json) == {"events": before["event"], "logs": 1, "outputs": 1, "jobs": 1}
    assert told.json["keys"] == 1

    done = await stored("prune", "--json")
    assert done.json == {**told.json, "dry_run": False}
    after = await counts(database)
    assert {t: after[t] for t in ("job", "task_instance", "attempt", "event", "idempotency")} == dict.fromkeys(
        ("job", "task_instance", "attempt", "event", "idempotency"), 0
    )
    assert (after["pipeline"], after["pipeline_version"]) == (1, 1)
    assert world.site.outputs == set()
    assert kinds((await stored("prune", "--json")).json) == {"events": 0, "logs": 0, "outputs": 0, "jobs": 0}


async def test_a_person_sees_a_line_per_project_and_kind(
    stored: CommandLine, world: World, tmp_path: Path, database: Database
) -> None:
    await a_job(stored, tmp_path)
    await age(database, 31)
    answer = await stored("prune", "--dry-run")
    lines = [line.split()[:3] for line in answer.out.splitlines()]
    assert lines == [["PROJECT", "KIND", "COUNT"], ["default", "logs", "1"], ["default", "outputs", "1"]]
    assert answer.err == "Nothing was removed: this is what `fasttrack prune` would remove.\n"


async def test_one_project_can_be_pruned_alone(
    stored: CommandLine, world: World, tmp_path: Path, database: Database
) -> None:
    await stored("projects", "create", "vision")
    await a_job(stored, tmp_path)
    await a_job(stored, tmp_path, "--project", "vision")
    await age(database, 31)
    answer = await stored("prune", "--json", "--project", "vision")
    assert [p["project"] for p in answer.json["projects"]] == ["vision"]
    assert kinds(answer.json, "vision") == {"events": 0, "logs": 1, "outputs": 1, "jobs": 0}
    assert kinds((await stored("prune", "--json")).json)["outputs"] == 1
    assert (await stored("prune", "--project", "visoin")).code == 3


async def test_what_is_stuck_is_named_and_the_code_says_so(
    stored: CommandLine, world: World, tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fasttrack_scheduler.backends.base import Freed
    from fasttrack_scheduler.backends.simulated import SimulatedBackend

    async def stuck(*_: object, **__: object) -> Freed:
        return Freed(stuck=("outputs of job x: Operation not permitted",))

    await a_job(stored, tmp_path)
    await age(database, 31)
    monkeypatch.setattr(SimulatedBackend, "forget_outputs", stuck)
    answer = await stored("prune")
    assert answer.code == 1
    assert "default: could not remove outputs of job x: Operation not permitted" in answer.err


async def test_files_of_the_local_backend_go_and_the_pipeline_s_own_folder_stays(
    stored: CommandLine, tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTTRACK_BACKEND", "local")
    job = await a_job(stored, tmp_path)
    state = tmp_path / "state"
    (pipeline,) = (state / "pipelines").iterdir()
    (pipeline / "vfroot" / "model").write_text("weights")
    await age(database, 31)

    before = sorted(str(path) for path in state.rglob("*"))
    told = (await stored("prune", "--dry-run", "--json")).json
    assert sorted(str(path) for path in state.rglob("*")) == before
    assert told["projects"][0]["outputs"]["bytes"] == 6
    assert told["projects"][0]["logs"]["bytes"] >= 6

    assert (await stored("prune", "--json")).json == {**told, "dry_run": False}
    assert not (pipeline / "jobs" / job).exists()
    assert os.listdir(state / "local" / "sessions") == []
    assert (pipeline / "vfroot" / "model").read_text() == "weights"

    shown = await stored("logs", job, "a", "--follow")
    assert (shown.code, shown.out) == (0, "")
    assert "what task a printed is not kept any more" in shown.err
    assert (await stored("job", job, "--json")).json["job"]["pruned_at"] is not None


async def test_a_job_whose_history_is_gone_says_so(
    stored: CommandLine, world: World, tmp_path: Path, database: Database
) -> None:
    job = await a_job(stored, tmp_path)
    await age(database, 91)
    await stored("prune")
    answer = await stored("job", job, "--events")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err.startswith("The history of this job is not kept any more; it ended 20")


# -- retention ---------------------------------------------------------------------------------------------------


async def test_retention_is_shown_set_and_reset(stored: CommandLine) -> None:
    shown = await stored("retention", "show")
    assert [line.split() for line in shown.out.splitlines()] == [
        ["KIND", "KEPT", "SAYS"],
        ["events", "90", "days", "settings"],
        ["logs", "30", "days", "settings"],
        ["outputs", "30", "days", "settings"],
        ["jobs", "365", "days", "settings"],
    ]
    changed = await stored("retention", "set", "--logs-days", "7", "--jobs-days", "forever", "--json")
    figures = {
        "events": {"days": 90, "source": "settings"},
        "logs": {"days": 7, "source": "project"},
        "outputs": {"days": 30, "source": "settings"},
        "jobs": {"days": None, "source": "project"},
    }
    assert changed.json == {"retention": figures}
    assert (await stored("retention", "show", "--json")).json == {"retention": figures}
    assert {f["source"] for f in (await stored("retention", "reset", "--json")).json["retention"].values()} == {
        "settings"
    }


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((), "name at least one of --events-days, --logs-days, --outputs-days, --jobs-days"),
        (("--jobs-days", "0"), "jobs: '0' must be a whole number of days from 1 to 36500, or forever"),
        (("--logs-days", "-3"), "logs: '-3' must be a whole number of days"),
        (("--jobs-days", "60"), "keep jobs for at least 90 days, or events for 60 days at most. Nothing was changed."),
        (("--outputs-days", "forever"), "keep jobs for ever, or outputs for 365 days at most. Nothing was changed."),
    ],
)
async def test_figures_that_cannot_be_are_refused_and_nothing_is_stored(
    stored: CommandLine, database: Database, args: tuple[str, ...], says: str
) -> None:
    answer = await stored("retention", "set", *args)
    assert (answer.code, answer.out) == (2, "")
    assert says in answer.err
    shown = json.loads((await stored("retention", "show", "--json")).out)
    assert {f["source"] for f in shown["retention"].values()} == {"settings"}


async def test_settings_that_contradict_each_other_stop_a_command_with_their_names(
    stored: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTTRACK_RETENTION_JOBS_DAYS", "60")
    answer = await stored("retention", "show")
    assert answer.code == 2
    assert answer.err == (
        "error: FASTTRACK_RETENTION_JOBS_DAYS is not valid: must be at least FASTTRACK_RETENTION_EVENTS_DAYS, which is "
        "90, since a job outlives what belongs to it, and is 60; raise it, or lower the other\n"
    )
