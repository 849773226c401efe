"""The same engine with real processes: folders between tasks, capacity that is shared, and schedulers that share a machine."""

from __future__ import annotations

from pathlib import Path

from fasttrack.clock import SystemClock
from fasttrack.domain.states import FailureClass, InstanceState, JobState
from fasttrack_scheduler.backends import make_backend
from fasttrack_scheduler.backends.base import SessionBackend
from tests.engine import Engine
from tests.factories import a_file
from tests.waiting import eventually


def local(engine: Engine) -> SessionBackend:
    """This machine's processes, below the test's own state directory."""
    return make_backend("local", engine.settings, SystemClock())


def vfroot(engine: Engine) -> Path:
    """The one pipeline's folder."""
    return next(engine.settings.state_dir.glob("pipelines/*/vfroot"))


async def test_what_a_task_writes_is_what_the_next_one_reads(engine: Engine) -> None:
    """Outputs of a task are the input of those that depend on it, in the order of its dependencies."""
    job = await engine.submit(
        a_file(
            {"left": "", "right": "", "join": "right left"},
            left={"command": "echo L > /pipeline/outputs/x"},
            right={"command": "echo R > /pipeline/outputs/x"},
            join={"command": "cat /pipeline/input1/x /pipeline/input2/x > /pipeline/vfroot/joined"},
        )
    )
    async with engine.scheduling(local(engine)):
        assert await engine.ended(job) is JobState.SUCCEEDED
    assert (vfroot(engine) / "joined").read_text() == "R\nL\n"


async def test_twenty_jobs_under_two_schedulers_run_every_command_once(engine: Engine) -> None:
    """Two schedulers on one machine and one database share the work, the sessions and the capacity."""
    graph = {"a": "", "b": "a", "c": "a", "d": "b c"}
    command = {"command": 'echo "$BACKENDAI_PIPELINE_JOB_ID $BACKENDAI_PIPELINE_TASK_NAME" >> /pipeline/vfroot/ran'}
    text = a_file(graph, **dict.fromkeys(graph, command))
    jobs = [await engine.submit(text) for _ in range(20)]
    async with engine.scheduling(local(engine)), engine.scheduling(local(engine)):
        assert [await engine.ended(j) for j in jobs] == [JobState.SUCCEEDED] * 20
    ran = (vfroot(engine) / "ran").read_text().splitlines()
    assert sorted(ran) == sorted(f"{job} {task}" for job in jobs for task in graph)


async def test_a_task_waits_for_room_and_says_what_for(engine: Engine) -> None:
    """Four cores: three are taken, two are asked for."""
    hold = "while [ ! -e /pipeline/vfroot/go ]; do sleep 0.02; done"
    graph = {"big": "", "late": ""}
    job = await engine.submit(
        a_file(
            graph,
            big={"command": hold, "resources": {"cpu": 3, "mem": "64m"}},
            late={"command": "true", "resources": {"cpu": 2, "mem": "64m"}},
        )
    )
    async with engine.scheduling(local(engine)):
        await engine.reached(job, "big", InstanceState.RUNNING)

        async def reason() -> str | None:
            async with engine.database.transaction() as db:
                return await db.value("SELECT reason FROM task_instance WHERE state = 'QUEUED'")  # type: ignore[no-any-return]

        assert await eventually(reason) == "waits for 2 cpu: 3 of 4 are in use"
        (vfroot(engine) / "go").touch()
        assert await engine.ended(job) is JobState.SUCCEEDED


async def test_a_failure_says_its_class_and_its_exit_code(engine: Engine) -> None:
    job = await engine.submit(a_file({"a": ""}, a={"command": "exit 7"}))
    async with engine.scheduling(local(engine)):
        assert await engine.ended(job) is JobState.FAILED
    async with engine.database.transaction() as db:
        row = await db.row("SELECT failure, exit_code, reason FROM task_instance")
    assert tuple(row or ()) == (FailureClass.USER, 7, "exited with code 7")


async def test_a_task_that_runs_too_long_is_ended(engine: Engine) -> None:
    """Everything it started ends with it."""
    text = a_file({"a": ""}, a={"command": "sleep 300 & sleep 300", "timeouts": {"running": 0.3}})
    job = await engine.submit(text)
    async with engine.scheduling(local(engine)):
        assert await engine.ended(job) is JobState.FAILED
    async with engine.database.transaction() as db:
        assert await db.value("SELECT failure FROM task_instance") == FailureClass.TIMEOUT


async def test_a_task_outlives_its_scheduler_and_is_adopted_by_the_next(engine: Engine) -> None:
    hold = "while [ ! -e /pipeline/vfroot/go ]; do sleep 0.02; done; echo done >> /pipeline/vfroot/ran"
    job = await engine.submit(a_file({"a": "", "b": "a"}, a={"command": hold}))
    async with engine.scheduling(local(engine)):
        await engine.reached(job, "a", InstanceState.RUNNING)
    (vfroot(engine) / "go").touch()
    await eventually(lambda: (vfroot(engine) / "ran").exists())
    async with engine.scheduling(local(engine)):
        assert await engine.ended(job) is JobState.SUCCEEDED
    assert (vfroot(engine) / "ran").read_text() == "done\n"


async def test_a_secret_reaches_the_task_and_nothing_that_is_kept(engine: Engine, tmp_path: Path) -> None:
    """Filled in at the last moment; in no row, no event, no file."""
    from fasttrack.db.secrets import put_secret

    canary = "canary-5f2d8a71"
    await engine.database.run(lambda db: put_secret(db, engine.box, engine.project, "TOKEN", canary, by="ada"))
    job = await engine.submit(
        a_file(
            {"a": ""},
            a={
                "command": 'printf %s "$TOKEN" | wc -c > /pipeline/outputs/length',
                "environment": {"image": "x", "envs": {"TOKEN": "${{ secrets.TOKEN }}"}},
            },
        )
    )
    async with engine.scheduling(local(engine)):
        assert await engine.ended(job) is JobState.SUCCEEDED
    length = next(engine.settings.state_dir.glob("pipelines/*/jobs/*/a/outputs/length"))
    assert length.read_text().strip() == str(len(canary))
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert canary.encode() not in path.read_bytes(), path
    async with engine.database.transaction() as db:
        for table in ("job", "task_instance", "attempt", "event", "pipeline_version", "secret"):
            rows = await db.rows(f"SELECT t::text AS text FROM {table} t")
            assert all(canary not in r["text"] for r in rows), table
