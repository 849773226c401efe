"""`pause`, `resume`, `rerun` and `pools`, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fasttrack.db import Database
from fasttrack_scheduler.backends.simulated import Script
from tests.cli.command_line import CommandLine, World
from tests.factories import a_file


@pytest.fixture
def demo(tmp_path: Path) -> str:
    (tmp_path / "demo.yaml").write_text(a_file({"a": "", "b": "a", "c": "b"}))
    return "demo.yaml"


async def state(cli: CommandLine, job: str) -> str:
    return str(json.loads((await cli("job", job, "--json")).out)["job"]["state"])


async def test_a_job_is_paused_resumed_and_ends(stored: CommandLine, world: World, demo: str) -> None:
    job = (await stored("run", demo)).out.strip()
    paused = await stored("pause", job)
    assert paused.code == 0
    assert paused.out.startswith(f"demo #1 ({job}) is paused; it was PENDING")
    assert await state(stored, job) == "PAUSED"
    assert (await stored("resume", job)).code == 0
    assert (await stored("job", job, "--wait", "--scheduler")).code == 0
    assert await state(stored, job) == "SUCCEEDED"
    late = await stored("pause", job)
    assert (late.code, late.err.count("only a job that goes on can be paused")) == (5, 1)


async def test_tasks_are_skipped_all_or_none(stored: CommandLine, world: World, demo: str) -> None:
    job = (await stored("run", demo)).out.strip()
    assert (await stored("skip", job, "b", "nope")).code == 3
    tasks = json.loads((await stored("job", job, "--json")).out)["tasks"]
    assert [t["state"] for t in tasks] == ["READY", "PENDING", "PENDING"]
    skipped = await stored("skip", job, "b", "a", "b")
    assert skipped.out.splitlines() == [
        f"b of demo #1 ({job}) is skipped; it was PENDING",
        f"a of demo #1 ({job}) is skipped; it was READY",
    ]
    assert json.loads((await stored("skip", job, "c", "--json")).out)["tasks"][0]["state_before"] == "READY"
    assert await state(stored, job) == "SUCCEEDED"
    assert world.site.ledger.created == []


async def test_one_refusal_pauses_none(stored: CommandLine, demo: str) -> None:
    job = (await stored("run", demo)).out.strip()
    assert (await stored("pause", job, "00000000")).code == 3
    assert await state(stored, job) == "PENDING"
    assert (await stored("pause")).code == 2
    assert (await stored("pause", "--pipeline", "demo", "--stop")).code == 2


async def test_a_pipeline_is_paused_and_resumed(stored: CommandLine, demo: str) -> None:
    await stored("publish", demo)
    assert (await stored("pause", "--pipeline", "demo")).out == "pipeline demo is paused\n"
    assert (await stored("resume", "--pipeline", "demo")).out == "pipeline demo is resumed\n"
    assert (await stored("pause", "--pipeline", "nope")).code == 3


async def test_a_failed_job_runs_again_from_its_failure(stored: CommandLine, world: World, demo: str) -> None:
    world.site.script("b", Script(exit_code=1), Script())
    first = await stored("run", demo, "--wait", "--scheduler")
    assert first.code == 1
    job = json.loads((await stored("jobs", "--json")).out)["jobs"][0]["id"]

    plan = await stored("rerun", job, "--from", "failure", "--dry-run", "--json")
    assert json.loads(plan.out)["plan"] == {
        "origin": job, "version": 1, "runs": ["b", "c"], "reuses": {"a": job}, "skips": [], "unmatched": [],
        "added": [], "dropped_params": [],
    }  # fmt: skip
    assert len(json.loads((await stored("jobs", "--json")).out)["jobs"]) == 1

    done = await stored("rerun", job, "--from", "failure", "--wait", "--scheduler")
    assert done.code == 0
    assert "runs b, c" in done.err
    assert "reuses a" in done.err


async def test_a_rerun_whose_commit_is_lost_on_the_way_back_makes_one_job(
    stored: CommandLine, demo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tried again without a key, it finds the job that it made."""
    assert (await stored("run", demo, "--wait", "--scheduler")).code == 0
    run = Database.run

    async def twice(self: Database, work: Any, **more: Any) -> Any:
        await run(self, work, **more)
        return await run(self, work, **more)

    job = json.loads((await stored("jobs", "--json")).out)["jobs"][0]["id"]
    with monkeypatch.context() as patched:
        patched.setattr(Database, "run", twice)
        assert (await stored("rerun", job)).code == 0
    assert len(json.loads((await stored("jobs", "--json")).out)["jobs"]) == 2


async def test_a_rerun_that_does_not_fit_is_refused(stored: CommandLine, world: World, demo: str) -> None:
    job = (await stored("run", demo)).out.strip()
    assert (await stored("rerun", job)).code == 5
    await stored("job", job, "--wait", "--scheduler")
    for words, code, said in (
        (["--from", "zzz"], 2, "there is no task zzz; the version has a, b, c"),
        (["--from", "failure"], 2, "nothing of job"),
        (["--version", "old"], 2, "neither `same` nor `new`"),
        (["--param", "x=1"], 2, "x"),
    ):
        answer = await stored("rerun", job, *words)
        assert answer.code == code, words
        assert said in answer.err
    assert len(json.loads((await stored("jobs", "--json")).out)["jobs"]) == 1


async def test_limits_are_set_listed_and_removed(stored: CommandLine) -> None:
    assert (await stored("pools", "list")).err == "There are no limits.\n"
    assert (await stored("pools", "set", "gpu", "4")).out == "gpu: 4\n"
    assert (await stored("pools", "set", "resource_group:default", "2")).code == 0
    assert (await stored("pools", "set", "project", "9")).code == 0
    assert json.loads((await stored("pools", "list", "--json")).out) == {
        "limits": [
            {"scope": "pool", "name": "gpu", "slots": 4, "used": 0, "waiting": 0},
            {"scope": "project", "name": "", "slots": 9, "used": 0, "waiting": 0},
            {"scope": "resource_group", "name": "default", "slots": 2, "used": 0, "waiting": 0},
        ]
    }
    assert (await stored("pools", "delete", "gpu")).out == "gpu: no limit\n"
    assert (await stored("pools", "delete", "gpu")).code == 3
    assert (await stored("pools", "set", "planet:x", "1")).code == 2
    assert (await stored("pools", "set", "x", "100001")).code == 2


async def test_a_task_of_an_unknown_pool_is_refused_and_nothing_is_stored(stored: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(a_file({"a": ""}, a={"pool": "tpu"}))
    answer = await stored("run", "p.yaml")
    assert answer.code == 2
    assert "the project has no pool tpu; `fasttrack pools set tpu SLOTS` makes one" in answer.err
    assert json.loads((await stored("pipelines", "--json")).out)["pipelines"] == []


async def test_a_run_is_given_something_otherwise(stored: CommandLine, demo: str) -> None:
    given = (
        "--set",
        "a.resources.cuda.shares=0.5",
        "--set",
        "b.environment.envs.SEED=a=b",
        "--set",
        "b.retry.on=user,timeout",
    )
    made = json.loads((await stored("run", demo, *given, "--json")).out)["job"]
    assert made["overrides"] == {
        "a": {"resources": {"cuda.shares": "0.5"}},
        "b": {"environment": {"envs": {"SEED": "a=b"}}, "retry": {"on": ["timeout", "user"]}},
    }
    for wrong in ("a.resources=1", "a.command=x", "cpu=1", "a.resources.cpu"):
        assert (await stored("run", demo, "--set", wrong)).code == 2
    assert (await stored("run", demo, "--set", "a.resources.cpu=0")).code == 2
    assert len(json.loads((await stored("jobs", "--json")).out)["jobs"]) == 1


async def test_resources_are_listed_with_who_uses_them(stored: CommandLine, world: World, demo: str) -> None:
    assert "No site has told" in (await stored("resources")).err
    world.site.room = 4
    world.site.script("a", Script(exit_code=0))
    assert (await stored("run", demo, "--wait", "--scheduler")).code == 0
    table = (await stored("resources")).out
    assert [line.split() for line in table.splitlines()][:2] == [
        ["GROUP", "SITE", "SLOT", "CAPACITY", "USED", "WAITING", "FREE", "LARGEST"],
        ["default", "simulated", "cpu", "4", "0", "0", "4", "4"],
    ]
    (group,) = json.loads((await stored("resources", "--json")).out)["resource_groups"]
    assert group["slots"] == [
        {
            "name": "cpu", "capacity": 4, "used": 0, "waiting": 0, "free": 4,
            "used_by_anybody": 0, "largest_free": 4,
        }
    ]  # fmt: skip
    assert (group["name"], group["is_whole_site"], group["used_by"]) == ("default", True, [])
