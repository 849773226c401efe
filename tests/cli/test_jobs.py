"""`fasttrack jobs`, `job` and `cancel`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fasttrack.db import Database
from fasttrack.db.jobs import find_jobs_by_suffix
from fasttrack.ids import ProjectId
from fasttrack_scheduler.backends.simulated import Script
from tests.cli.command_line import CommandLine, World, counts
from tests.factories import a_file
from tests.waiting import eventually


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Two tasks, one after the other."""
    (tmp_path / "demo.yaml").write_text(a_file({"a": "", "b": "a"}))
    return "demo.yaml"


async def start(cli: CommandLine, file: str, *args: str) -> str:
    return (await cli("run", file, *args)).out.strip()


async def test_nothing_has_run_yet(stored: CommandLine) -> None:
    plain, as_json = await stored("jobs"), await stored("jobs", "--json")
    assert (plain.code, plain.out, plain.err) == (0, "", "There are no jobs yet.\n")
    assert as_json.json == {"jobs": []}


async def test_jobs_are_listed_newest_first_and_by_page(stored: CommandLine, file: str) -> None:
    ids = [await start(stored, file) for _ in range(3)]
    first = await stored("jobs", "--limit", "2", "--json")
    assert [job["id"] for job in first.json["jobs"]] == [ids[2], ids[1]]
    rest = await stored("jobs", "--before", ids[1], "--json")
    assert [job["id"] for job in rest.json["jobs"]] == [ids[0]]
    plain = await stored("jobs", "--limit", "2")
    lines = plain.out.splitlines()
    assert lines[0].split() == ["ID", "PIPELINE", "JOB", "VERSION", "STATE", "TASKS", "CREATED", "TOOK", "REASON"]
    assert lines[1].split()[:6] == [ids[2], "demo", "#3", "1", "PENDING", "0/2"]
    assert plain.err == f"There may be more: --before {ids[1]}\n"


async def test_jobs_are_chosen_by_pipeline_and_state(stored: CommandLine, file: str, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(a_file({"a": ""}, name="other"))
    mine = await start(stored, file)
    other = await start(stored, "other.yaml")
    await stored("cancel", other, "--wait", "--scheduler")
    by_pipeline = await stored("jobs", "--pipeline", "other", "--json")
    assert [job["id"] for job in by_pipeline.json["jobs"]] == [other]
    by_state = await stored("jobs", "--state", "pending", "--state", "RUNNING", "--json")
    assert mine in [job["id"] for job in by_state.json["jobs"]] or by_state.json["jobs"] == []
    unknown = await stored("jobs", "--pipeline", "nobody")
    assert (unknown.code, unknown.err) == (3, "error: there is no pipeline named nobody\n")


async def test_a_job_is_shown_with_its_graph_and_tasks(stored: CommandLine, file: str) -> None:
    job = await start(stored, file)
    answer = await stored("job", job[-8:])
    assert answer.code == 0
    assert answer.out.startswith(f"job           {job}\npipeline      demo #1, version 1\nstate         PENDING\n")
    assert "◌  a  READY\n○  b  PENDING\n" in answer.out
    as_json = await stored("job", job, "--json")
    assert as_json.json["job"]["id"] == job
    assert [(t["name"], t["state"], t["attempt"]) for t in as_json.json["tasks"]] == [
        ("a", "READY", 0),
        ("b", "PENDING", 0),
    ]
    assert set(as_json.json["tasks"][0]) == {
        "name", "id", "state", "reason", "attempt", "failure", "exit_code", "not_before", "ready_at", "started_at",
        "ended_at", "waited_seconds", "ran_seconds", "session", "session_id", "facts", "outputs",
    }  # fmt: skip


async def test_a_job_can_be_taken_up_by_waiting_for_it(stored: CommandLine, file: str, world: World) -> None:
    job = await start(stored, file)
    world.site.script("b", Script(exit_code=2))
    answer = await stored("job", job, "--wait", "--scheduler")
    assert answer.code == 1
    assert "demo #1 is FAILED: a task did not succeed" in answer.err
    again = await stored("job", job, "--wait")
    assert again.code == 1
    shown = await stored("job", job)
    assert shown.code == 0
    assert f"fasttrack logs {job[-8:]} b" in shown.err


async def test_the_history_is_whole_and_in_order(stored: CommandLine, file: str) -> None:
    answer = await stored("run", file, "--wait", "--scheduler", "--json")
    job = answer.json["job"]["id"]
    history = await stored("job", job, "--events", "--json")
    assert [e["seq"] for e in history.records] == list(range(1, len(history.records) + 1))
    assert history.records[0]["kind"] == "job.submitted"
    assert history.records[-1]["kind"] == "job.succeeded"
    assert set(history.records[0]) == {"seq", "pos", "kind", "at", "task", "payload"}
    plain = await stored("job", job, "--events")
    assert len(plain.out.splitlines()) == len(history.records)
    assert plain.out.splitlines()[0].split()[0] == "1"


async def test_ids_that_name_no_job(stored: CommandLine) -> None:
    refusals = [
        ("0123abcd", 3, "there is no job 0123abcd"),
        ("00000000-0000-7000-8000-000000000000", 3, "there is no job"),
        ("abc", 2, "is no job id"),
        ("not-an-id!", 2, "is no job id"),
        ("", 2, "is no job id"),
    ]
    for command in ("job", "cancel"):
        for text, code, says in refusals:
            answer = await stored(command, text)
            assert (answer.code, answer.out) == (code, ""), text
            assert says in answer.err


async def test_an_ambiguous_id_asks_for_more(
    stored: CommandLine, file: str, monkeypatch: pytest.MonkeyPatch, database: Database, project: ProjectId
) -> None:
    from uuid import UUID

    ids = iter([UUID("01940000-0000-7000-8000-0000aaaa0001"), UUID("01940000-0000-7000-8000-0000bbbb0001")])
    monkeypatch.setattr("fasttrack_cli.local.starting.new_id", lambda: next(ids))
    await start(stored, file)
    await start(stored, file)
    async with database.transaction() as db:
        assert len(await find_jobs_by_suffix(db, project, "0001")) == 2
    ambiguous, longer = await stored("job", "0001"), await stored("job", "aaaa0001")
    assert (ambiguous.code, ambiguous.err) == (2, "error: more than one job ends with 0001; give more digits\n")
    assert longer.code == 0


async def test_a_cancel_may_be_repeated_and_says_what_was(stored: CommandLine, file: str) -> None:
    job = await start(stored, file)
    first = await stored("cancel", job)
    assert (first.code, first.out) == (0, f"demo #1 ({job}) is being cancelled; it was PENDING\n")
    waited = await stored("cancel", job[-6:], "--wait", "--scheduler", "--json")
    assert (waited.code, waited.json["jobs"][0]["state"]) == (0, "CANCELLED")
    again = await stored("cancel", job)
    assert (again.code, again.out) == (0, f"demo #1 ({job}) was over already: CANCELLED\n")


async def test_running_sessions_are_ended(stored: CommandLine, file: str, world: World) -> None:
    world.site.script("a", Script(held=True))
    watching = asyncio.create_task(stored("run", file, "--wait", "--scheduler", "--json"))
    await eventually(lambda: world.site.ledger.created)
    jobs = await stored("jobs", "--json")
    job = jobs.json["jobs"][0]["id"]
    cancelled = await stored("cancel", job)
    assert cancelled.code == 0
    watched = await watching
    assert watched.code == 1
    assert sum(world.site.ledger.terminated.values()) >= 1
    states = {t["name"]: t["state"] for t in (await stored("job", job, "--json")).json["tasks"]}
    assert states == {"a": "CANCELLED", "b": "CANCELLED"}


async def test_an_unknown_id_cancels_none(stored: CommandLine, file: str, database: Database) -> None:
    job = await start(stored, file)
    before = await counts(database)
    answer = await stored("cancel", job, "0123abcd")
    assert (answer.code, answer.out) == (3, "")
    assert await counts(database) == before


async def test_a_job_that_ends_well_despite_the_cancel_is_code_1(
    stored: CommandLine, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fasttrack.domain.states import JobState

    job = await start(stored, file)

    async def too_late(*_: object, **__: object) -> JobState:
        return JobState.SUCCEEDED

    monkeypatch.setattr("fasttrack_cli.watching.wait_for_job", too_late)
    answer = await stored("cancel", job, "--wait")
    assert answer.code == 1
    assert answer.out.splitlines()[-1] == f"{job}  SUCCEEDED"
