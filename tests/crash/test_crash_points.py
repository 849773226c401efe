"""A scheduler is killed between any two of its steps; every command still runs exactly once, and every job ends.

Each point twice: the same process starts again, or another scheduler was running all the time.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from fasttrack.db.pipelines import find_pipeline
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.ids import JobId
from fasttrack.workflow.admit import change_limit
from tests.crash.conftest import HOLD, RAN, SLEEPY, Crashes, a_job
from tests.factories import a_file
from tests.invariants import sessions_without_an_end
from tests.waiting import eventually

Look = Callable[[], Awaitable[bool]]
TOLD = RAN.format("/pipeline/vfroot")
WROTE = "echo done > /pipeline/outputs/done"

STARTS = [  # a session is being started: its command waits until somebody else takes over
    "task.starting.before_commit",
    "task.starting.after_commit",
    "create.before_send",
    "local.after_write",
    "local.before_launch",
    "create.after_send",
    "create.after_answer",
    "task.running.before_commit",
    "task.running.after_commit",
    "observe.after_read",
]
ENDS = [  # a session is over
    "observe.after_hint",
    "task.succeeded.before_commit",
    "task.succeeded.after_commit",
    "job.succeeded.before_commit",
    "job.succeeded.after_commit",
    "place.before_commit",
    "place.after_commit",
]
RETRIES = ["task.ready.before_commit", "task.ready.after_commit"]
CANCELS = [
    "task.stopping.before_commit",
    "task.stopping.after_commit",
    "cancel.after_end",
    "job.cancelled.before_commit",
    "job.cancelled.after_commit",
]
GRANTS = ["task.succeeded.after_commit", "grant.after_commit"]  # a slot was given back, or to somebody
SWEEPS = ["sweep.after_read", "sweep.after_end"]
SUBMITS = ["submit.before_commit", "submit.after_commit"]
PAUSES = ["pause.before_commit", "pause.after_commit", "resume.before_commit", "resume.after_commit"]
STOPS = ["cancel.after_end", "task.ready.before_commit", "task.ready.after_commit"]
RERUNS = ["rerun.before_commit", "rerun.after_commit"]
PRUNES = [
    "prune.after_events",
    "prune.after_logs",
    "prune.before_mark",
    "prune.after_mark",
    "prune.after_outputs",
    "prune.after_remember",
    "prune.after_children",
    "prune.after_jobs",
]
DELETES = ["delete.before_commit", "prune.after_folder", "prune.after_versions"]

pytestmark = pytest.mark.timeout(60)
BOTH_WAYS = pytest.mark.parametrize("successor", ["the same again", "another one"])


async def dies_at(crashes: Crashes, point: str, successor: str, provoke: Callable[[], Awaitable[Look]]) -> None:
    """A scheduler runs, dies at the point of what is provoked, and has a successor.

    :param provoke: gives a look that is true when the chance is past: the other scheduler was faster.
    """
    if successor == "another one":
        crashes.scheduler(pace=SLEEPY)
    victim = crashes.scheduler(dies_at=point)
    while victim.exitcode is None:
        is_past = await provoke()

        async def died(is_past: Look = is_past) -> bool:
            return victim.exitcode is not None or await is_past()

        await eventually(died)
        # What is past may be so because the victim is just dying: provoking again would then be waited for in vain.
        with suppress(AssertionError):
            await eventually(lambda: victim.exitcode is not None, within=3)
    await crashes.died(victim)
    if successor == "the same again":
        crashes.scheduler()


def reached(crashes: Crashes, job: JobId, *states: InstanceState) -> Look:
    """Whether the job's first task is in one of these states."""

    async def look() -> bool:
        return (await crashes.engine.states(job))["a"] in states

    return look


def over(crashes: Crashes, job: JobId) -> Look:
    """Whether the job is over."""

    async def look() -> bool:
        return (await crashes.engine.job(job)).state.is_terminal

    return look


@BOTH_WAYS
@pytest.mark.parametrize("point", STARTS)
async def test_a_death_while_a_session_starts_leaves_one_session(crashes: Crashes, point: str, successor: str) -> None:
    async def provoke() -> Look:
        return reached(crashes, await crashes.submit(a_job(a=HOLD)), InstanceState.RUNNING)

    await dies_at(crashes, point, successor, provoke)
    await crashes.let_go()
    await crashes.all_ended(JobState.SUCCEEDED)
    await crashes.nothing_is_left_or_lost()
    assert crashes.ran() == [f"{n} {task} 1" for n in crashes.numbers for task in "ab"]


@BOTH_WAYS
@pytest.mark.parametrize("point", ENDS)
async def test_a_death_while_a_result_is_taken_in_repeats_nothing(crashes: Crashes, point: str, successor: str) -> None:
    # An end that comes at once is in the answer of the create; only a later one is hinted at.
    longer = "sleep 0.3" if point == "observe.after_hint" else ""

    async def provoke() -> Look:
        return over(crashes, await crashes.submit(a_job(a=longer)))

    await dies_at(crashes, point, successor, provoke)
    await crashes.all_ended(JobState.SUCCEEDED)
    await crashes.nothing_is_left_or_lost()
    assert crashes.ran() == [f"{n} {task} 1" for n in crashes.numbers for task in "ab"]


@BOTH_WAYS
@pytest.mark.parametrize("point", RETRIES)
async def test_a_death_while_a_retry_is_decided_uses_up_one_try(crashes: Crashes, point: str, successor: str) -> None:
    flaky = '[ "$BACKENDAI_PIPELINE_TASK_ATTEMPT" = 2 ]'
    retry = {"max_attempts": 2, "delay": 0.1}

    async def provoke() -> Look:
        return over(crashes, await crashes.submit(a_job(a=flaky, retry=retry)))

    await dies_at(crashes, point, successor, provoke)
    await crashes.all_ended(JobState.SUCCEEDED)
    await crashes.nothing_is_left_or_lost()
    assert crashes.ran() == [f"{n} {ran}" for n in crashes.numbers for ran in ("a 1", "a 2", "b 1")]


@BOTH_WAYS
@pytest.mark.parametrize("point", CANCELS)
async def test_a_death_during_a_cancel_leaves_nothing_running(crashes: Crashes, point: str, successor: str) -> None:
    async def provoke() -> Look:
        job = await crashes.submit(a_job(a=HOLD))
        await crashes.engine.reached(job, "a", InstanceState.RUNNING)
        await crashes.engine.cancel(job)
        return over(crashes, job)

    await dies_at(crashes, point, successor, provoke)
    await crashes.all_ended(JobState.CANCELLED)
    await crashes.nothing_is_left_or_lost()
    assert crashes.ran() == [f"{n} a 1" for n in crashes.numbers]


@BOTH_WAYS
@pytest.mark.parametrize("point", GRANTS)
async def test_a_death_while_a_slot_changes_hands_loses_no_slot(crashes: Crashes, point: str, successor: str) -> None:
    await crashes.database.run(lambda db: change_limit(db, crashes.engine.project, "pool", "gpu", 1))

    async def provoke() -> Look:
        await crashes.submit(a_job(pool="gpu"))
        return over(crashes, await crashes.submit(a_job(pool="gpu")))

    await dies_at(crashes, point, successor, provoke)
    await crashes.all_ended(JobState.SUCCEEDED)
    await crashes.nothing_is_left_or_lost()
    assert crashes.ran() == [f"{n} {task} 1" for n in crashes.numbers for task in "ab"]


@BOTH_WAYS
@pytest.mark.parametrize("point", SWEEPS)
async def test_a_death_during_a_sweep_leaves_no_ownerless_session(crashes: Crashes, point: str, successor: str) -> None:
    async def provoke() -> Look:
        session = await crashes.start_ownerless_session()

        async def look() -> bool:
            return session not in sessions_without_an_end(crashes.state)

        return look

    await dies_at(crashes, point, successor, provoke)
    await crashes.submit(a_job())
    await crashes.all_ended(JobState.SUCCEEDED)
    await crashes.nothing_is_left_or_lost()


@BOTH_WAYS
@pytest.mark.parametrize("point", SUBMITS)
async def test_a_death_while_a_job_is_submitted_makes_it_once(
    crashes: Crashes, point: str, successor: str, tmp_path: Path
) -> None:
    """Repeated with the same key, as whoever got no answer does (I12, I17)."""
    if successor == "another one":
        crashes.scheduler(pace=SLEEPY)
    (tmp_path / "demo.yaml").write_text(a_job())
    command = ("run", str(tmp_path / "demo.yaml"), "--no-wait", "--key", "nightly-1")
    await crashes.died(crashes.command(*command, dies_at=point))
    await crashes.find_jobs(expected=0 if point == "submit.before_commit" else 1)

    again = crashes.command(*command)
    await eventually(lambda: again.exitcode is not None)
    assert again.exitcode == 0, crashes.said()
    await crashes.find_jobs(expected=1)
    if successor == "the same again":
        crashes.scheduler()
    await crashes.all_ended(JobState.SUCCEEDED)
    await crashes.nothing_is_left_or_lost()
    assert crashes.ran() == ["1 a 1", "1 b 1"]


@BOTH_WAYS
@pytest.mark.parametrize("point", PAUSES)
async def test_a_death_while_people_pause_or_resume_does_it_or_does_not(
    crashes: Crashes, point: str, successor: str
) -> None:
    """A job and its pipeline in one command: both or none, and typed again it is done once."""
    if successor == "another one":
        crashes.scheduler(pace=SLEEPY)
    job = await crashes.submit(a_job(a=HOLD))
    verb, is_after = point.split(".")[0], point.endswith("after_commit")

    async def is_paused() -> set[bool]:
        async with crashes.database.transaction() as db:
            pipeline = await find_pipeline(db, crashes.engine.project, "demo")
        assert pipeline is not None
        return {pipeline.paused_at is not None, (await crashes.engine.job(job)).state is JobState.PAUSED}

    if successor == "another one":
        await crashes.engine.reached(job, "a", InstanceState.RUNNING)
    if verb == "resume":
        await crashes.types("pause", str(job), "--pipeline", "demo")
        assert await is_paused() == {True}
    await crashes.died(crashes.command(verb, str(job), "--pipeline", "demo", dies_at=point))
    assert await is_paused() == {(verb == "pause") is is_after}
    await crashes.types(verb, str(job), "--pipeline", "demo")
    assert await is_paused() == {verb == "pause"}
    if successor == "the same again":
        crashes.scheduler()
    await crashes.let_go()
    if verb == "pause":
        if successor == "another one":
            await crashes.engine.reached(job, "a", InstanceState.SUCCEEDED)
            await crashes.engine.reached(job, "b", InstanceState.READY)
        await crashes.types("resume", str(job), "--pipeline", "demo")
    await crashes.all_ended(JobState.SUCCEEDED)
    await crashes.nothing_is_left_or_lost()
    assert crashes.ran() == ["1 a 1", "1 b 1"]


@BOTH_WAYS
@pytest.mark.parametrize("point", STOPS)
async def test_a_death_while_a_pause_ends_what_runs_sets_the_task_back_once(
    crashes: Crashes, point: str, successor: str
) -> None:
    async def provoke() -> Look:
        job = await crashes.submit(a_job(a=HOLD))
        await crashes.engine.reached(job, "a", InstanceState.RUNNING)
        await crashes.types("pause", str(job), "--stop")
        return reached(crashes, job, InstanceState.READY)

    await dies_at(crashes, point, successor, provoke)
    for job in crashes.jobs:
        await crashes.engine.reached(job, "a", InstanceState.READY)
        assert (await crashes.engine.job(job)).state is JobState.PAUSED
    await crashes.let_go()
    await crashes.types("resume", *map(str, crashes.jobs))
    await crashes.all_ended(JobState.SUCCEEDED)
    await crashes.nothing_is_left_or_lost()
    assert crashes.ran() == [f"{n} {ran}" for n in crashes.numbers for ran in ("a 1", "a 2", "b 1")]


@BOTH_WAYS
@pytest.mark.parametrize("point", RERUNS)
async def test_a_death_while_a_job_is_run_again_makes_one_job(crashes: Crashes, point: str, successor: str) -> None:
    flaky = '[ "$BACKENDAI_PIPELINE_JOB_INDEX" = 2 ]'
    first = crashes.scheduler()
    job = await crashes.submit(a_file({"a": "", "b": "a"}, a={"command": TOLD}, b={"command": TOLD + flaky}))
    await crashes.all_ended(JobState.FAILED)
    if successor == "the same again":
        first.kill()
    command = ("rerun", str(job), "--from", "failure", "--key", "again-1")
    await crashes.died(crashes.command(*command, dies_at=point))
    await crashes.find_jobs(expected=1 if point == "rerun.before_commit" else 2)
    await crashes.types(*command)
    await crashes.find_jobs(expected=2)
    if successor == "the same again":
        crashes.scheduler()
    again = next(j for j in crashes.jobs if j != job)
    assert await crashes.engine.ended(again) is JobState.SUCCEEDED
    await crashes.nothing_is_left_or_lost()
    assert crashes.ran() == ["1 a 1", "1 b 1", "2 b 1"]


@BOTH_WAYS
@pytest.mark.parametrize("point", PRUNES)
async def test_a_death_while_old_things_are_removed_is_made_good(crashes: Crashes, point: str, successor: str) -> None:
    """What was reused goes too, and what is young stays whole."""
    scheduler = crashes.scheduler()
    files = {"a": {"command": WROTE}, "b": {"command": '[ "$BACKENDAI_PIPELINE_JOB_INDEX" != 1 ] && ' + WROTE}}
    old = await crashes.submit(a_file({"a": "", "b": "a"}, **files))
    await crashes.all_ended(JobState.FAILED)
    await crashes.types("rerun", str(old), "--from", "failure")
    await crashes.find_jobs(expected=2)
    again = next(job for job in crashes.jobs if job != old)
    assert await crashes.engine.ended(again) is JobState.SUCCEEDED
    young = await crashes.submit(a_file({"a": "", "b": "a"}, **files))
    assert await crashes.engine.ended(young) is JobState.SUCCEEDED
    await eventually(crashes.is_all_placed)
    scheduler.kill()
    await crashes.grow_old(old, again, days=400)

    await crashes.died(crashes.command("prune", dies_at=point))
    if successor == "the same again":
        await crashes.types("prune")
    else:
        crashes.scheduler(pace={**SLEEPY, "PRUNE_INTERVAL": "1"})

    async def is_gone() -> bool:
        async with crashes.database.transaction() as db:
            return bool(await db.value("SELECT count(*) FROM job") == 1)

    await eventually(is_gone)
    await eventually(lambda: crashes.outputs() == {(young, "a"), (young, "b")})
    assert await crashes.engine.history(young)
    assert '"level": "error"' not in crashes.said()


@pytest.mark.parametrize(
    ("point", "successor"), list(zip(DELETES, ("the same again", "another one", "the same again"), strict=True))
)
async def test_a_death_while_a_deleted_pipeline_is_removed_is_made_good(
    crashes: Crashes, point: str, successor: str
) -> None:
    """All of it goes, and nothing of the other pipeline."""
    scheduler = crashes.scheduler()
    gone = await crashes.submit(a_file({"a": ""}, "gone", a={"command": WROTE}))
    stays = await crashes.submit(a_file({"a": ""}, "stays", a={"command": WROTE}))
    for job in (gone, stays):
        assert await crashes.engine.ended(job) is JobState.SUCCEEDED
    await eventually(crashes.is_all_placed)
    scheduler.kill()

    words = ("pipelines", "delete", "gone", "--confirm", "gone")
    if point.startswith("delete."):
        await crashes.died(crashes.command(*words, dies_at=point))
        assert (await crashes.engine.job(gone)).pipeline == "gone", "it was not committed"
    await crashes.types(*words)
    if point.startswith("prune."):
        await crashes.died(crashes.command("prune", dies_at=point))
    if successor == "the same again":
        await crashes.types("prune")
    else:
        crashes.scheduler(pace={**SLEEPY, "PRUNE_INTERVAL": "1"})

    async def is_gone() -> bool:
        async with crashes.database.transaction() as db:
            left = await db.row("SELECT (SELECT count(*) FROM job) AS j, (SELECT count(*) FROM pipeline_version) AS v")
        return left is not None and (left["j"], left["v"]) == (1, 1)

    await eventually(is_gone)
    await eventually(lambda: crashes.outputs() == {(stays, "a")})
    assert await crashes.engine.history(stays)
    assert '"level": "error"' not in crashes.said()


def test_every_crash_point_of_the_source_is_listed_here() -> None:
    root = Path(__file__).parents[2]
    calls = [
        name
        for part in ("shared", "services", "cli")
        for file in (root / part).rglob("*.py")
        for name in re.findall(r'crash_point\("([a-z_.]+)"\)', file.read_text())
    ]
    for part in ("shared", "services", "cli"):
        for file in (root / part).rglob("*.py"):
            for when in re.findall(r'crash_point\(f"\{verb\}\.([a-z_]+)"\)', file.read_text()):
                calls += [f"pause.{when}", f"resume.{when}"]
    events = {p for p in [*STARTS, *ENDS, *RETRIES, *CANCELS, *STOPS] if p.startswith(("task.", "job."))}
    others = [*PAUSES, *STOPS, *RERUNS, *PRUNES, *DELETES]
    assert sorted(calls) == sorted({*STARTS, *ENDS, *RETRIES, *CANCELS, *GRANTS, *SWEEPS, *SUBMITS, *others} - events)
