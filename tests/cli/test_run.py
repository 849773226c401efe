"""`fasttrack run`: what is published, what is submitted, how it is watched, and what is refused with nothing left."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from fasttrack.db import Database
from fasttrack.db.jobs import list_jobs
from fasttrack.domain.states import FailureClass
from fasttrack.ids import ProjectId
from fasttrack_scheduler.backends.simulated import Script, SimulatedBackend
from tests.cli.command_line import Answer, CommandLine, World, a_cable, a_process, a_run, counts
from tests.factories import a_file
from tests.waiting import eventually

DIAMOND = {"a": "", "b": "a", "c": "a", "d": "b c"}
NOTHING = dict.fromkeys(
    ("pipeline", "pipeline_version", "job", "task_instance", "attempt", "event", "secret", "idempotency"), 0
)


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A diamond with a parameter."""
    params = {"params": [{"name": "lr", "type": "number", "default": 0.1}]}
    (tmp_path / "demo.yaml").write_text(a_file(DIAMOND, _top=params))
    return "demo.yaml"


async def test_a_job_runs_to_its_end_as_a_person_runs_it(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text(a_file(DIAMOND))
    answer = await a_run("run", str(tmp_path / "demo.yaml"), "--wait", "--scheduler", env=environment)
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0].split() == ["TASK", "STATE", "ATTEMPT", "WAITED", "RAN", "EXIT", "REASON"]
    assert [line.split()[:2] for line in lines[1:5]] == [[name, "SUCCEEDED"] for name in DIAMOND]
    assert lines[6].startswith("job ")
    said = answer.err.splitlines()
    assert said[0] == "published demo, version 1"
    assert said[1].startswith("demo #1: job ")
    assert [line.split()[1:3] for line in said[2:]] == [
        ["job", "job.running"],
        ["a", "task.starting"],
        ["a", "task.succeeded"],
        ["b", "task.starting"],
        ["c", "task.starting"],
        ["b", "task.succeeded"],
        ["c", "task.succeeded"],
        ["d", "task.starting"],
        ["d", "task.succeeded"],
        ["job", "job.succeeded"],
    ]


async def test_real_processes_leave_outputs_and_logs(
    stored: CommandLine, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = {**environment, "FASTTRACK_BACKEND": "local", "FASTTRACK_LOCAL_SLOTS": '{"cpu": "4", "mem": "8g"}'}
    file = tmp_path / "demo.yaml"
    commands: dict[str, Any] = {
        "a": {"command": 'echo "from a" > "$FASTTRACK_OUTPUTS/x" && echo wrote'},
        "b": {"command": "exit 3"},
    }
    file.write_text(a_file({"a": "", "b": "a"}, **commands))
    answer = await a_run("run", str(file), "--wait", "--scheduler", "--json", env=env)
    assert answer.code == 1, answer.err
    [a, b] = answer.json["tasks"]
    assert (a["state"], b["state"], b["exit_code"]) == ("SUCCEEDED", "FAILED", 3)
    assert a["outputs"].startswith(str(tmp_path / "state" / "pipelines" / answer.json["job"]["pipeline_id"]))
    assert (Path(a["outputs"]) / "x").read_text() == "from a\n"
    monkeypatch.setenv("FASTTRACK_BACKEND", "local")
    logs = await stored("logs", answer.json["job"]["id"], "a")
    assert (logs.code, logs.out) == (0, "wrote\n")


async def test_a_file_becomes_a_version_only_when_its_meaning_changes(stored: CommandLine, file: str) -> None:
    first = await stored("run", file, "-m", "first")
    again = await stored("run", file)
    Path(file).write_text(Path(file).read_text() + "\n# a comment\n")
    with_comment = await stored("run", file, "--json")
    Path(file).write_text(Path(file).read_text().replace("command: 'true'", "command: echo", 1))
    changed = await stored("run", file, "--json")
    assert [a.code for a in (first, again, with_comment, changed)] == [0, 0, 0, 0]
    assert "published demo, version 1" in first.err
    assert "demo is unchanged: version 1" in again.err
    assert (with_comment.json["version"]["version"], with_comment.json["is_new_version"]) == (1, False)
    assert (changed.json["version"]["version"], changed.json["is_new_version"]) == (2, True)
    assert changed.json["job"]["number"] == 4


async def test_without_waiting_the_answer_is_the_id(
    stored: CommandLine, file: str, database: Database, project: ProjectId
) -> None:
    answer = await stored("run", file)
    async with database.transaction() as db:
        [job] = await list_jobs(db, project, limit=2)
    assert answer.out == f"{job.id}\n"
    assert job.submitted_by != ""
    assert f"Watch it with: fasttrack job {job.id.hex[-8:]} --wait" in answer.err


async def test_json_of_a_submitted_job(stored: CommandLine, file: str) -> None:
    answer = await stored("run", file, "--param", "lr=0.5", "--json")
    assert answer.code == 0
    assert set(answer.json) == {"job", "is_new_job", "version", "is_new_version", "warnings"}
    job = answer.json["job"]
    assert set(job) == {
        "id", "pipeline", "pipeline_id", "number", "version", "state", "reason", "params", "overrides", "submitted_by", "tasks",
        "open_tasks", "created_at", "started_at", "ended_at", "pruned_at",
    }  # fmt: skip
    assert (job["pipeline"], job["number"], job["version"], job["state"]) == ("demo", 1, 1, "PENDING")
    assert (job["params"], job["tasks"], job["started_at"]) == ({"lr": 0.5}, 4, None)
    assert job["created_at"].endswith("Z")


async def test_a_named_pipeline_runs_its_newest_or_a_chosen_version(stored: CommandLine, file: str) -> None:
    await stored("publish", file)
    Path(file).write_text(Path(file).read_text().replace("command: 'true'", "command: echo", 1))
    await stored("publish", file)
    newest = await stored("run", "demo", "--json")
    chosen = await stored("run", "demo", "--version", "1", "--json")
    assert (newest.json["job"]["version"], chosen.json["job"]["version"]) == (2, 1)


async def test_a_failed_job_is_code_1_with_its_reasons(stored: CommandLine, file: str, world: World) -> None:
    world.site.script("b", Script(exit_code=3))
    answer = await stored("run", file, "--wait", "--scheduler", "--json")
    assert answer.code == 1
    assert answer.json["job"]["state"] == "FAILED"
    tasks: dict[str, Any] = {task["name"]: task for task in answer.json["tasks"]}
    assert [(n, t["state"]) for n, t in tasks.items()] == [
        ("a", "SUCCEEDED"),
        ("b", "FAILED"),
        ("c", "SUCCEEDED"),
        ("d", "UPSTREAM_FAILED"),
    ]
    assert (tasks["b"]["exit_code"], tasks["b"]["failure"], tasks["b"]["attempt"]) == (3, "user", 1)
    assert tasks["b"]["reason"] == "exited with code 3"
    assert tasks["d"]["session"] is None
    assert "demo #1 is FAILED: a task did not succeed" in answer.err


async def test_skipped_tasks_count_as_done(stored: CommandLine, file: str) -> None:
    answer = await stored("run", file, "--skip", "a", "--skip", "b", "--wait", "--scheduler", "--json")
    assert answer.code == 0
    assert [t["state"] for t in answer.json["tasks"]] == ["SKIPPED", "SKIPPED", "SUCCEEDED", "SUCCEEDED"]


async def test_the_same_key_gives_the_same_job(stored: CommandLine, file: str, database: Database) -> None:
    first = await stored("run", file, "--key", "nightly", "--json")
    again = await stored("run", file, "--key", "nightly", "--json")
    other = await stored("run", file, "--key", "nightly", "--param", "lr=7", "--json")
    assert (first.json["is_new_job"], again.json["is_new_job"]) == (True, False)
    assert first.json["job"]["id"] == again.json["job"]["id"]
    assert (other.code, other.json["error"]["code"]) == (5, "CONFLICT")
    assert (await counts(database))["job"] == 1


async def test_a_job_that_is_over_can_be_waited_for_by_its_key(stored: CommandLine, file: str) -> None:
    first = await stored("run", file, "--key", "k", "--wait", "--scheduler")
    again = await stored("run", file, "--key", "k", "--wait", "--scheduler", "--json")
    assert (first.code, again.code) == (0, 0)
    assert (again.json["is_new_job"], again.json["job"]["state"]) == (False, "SUCCEEDED")


async def test_a_dry_run_checks_everything_and_leaves_nothing(
    stored: CommandLine, file: str, database: Database
) -> None:
    answer = await stored("run", file, "--dry-run")
    assert (answer.code, answer.err) == (0, "would publish demo, version 1\n")
    assert answer.out.startswith("would run demo, version 1; nothing was changed\n●    a\n├─╮\n")
    as_json = await stored("run", file, "--dry-run", "--json")
    assert (as_json.json["dry_run"], as_json.json["tasks"]) == (True, ["a", "b", "c", "d"])
    refused = await stored("run", file, "--dry-run", "--param", "x=1")
    assert refused.code == 2
    assert await counts(database) == NOTHING


REFUSALS = [
    ("nowhere.yaml", 3, "there is no file nowhere.yaml"),
    ("nobody", 3, "there is no pipeline named nobody"),
    (".", 3, "there is no pipeline named ."),
    ("text.yaml", 2, "text.yaml"),
    ("cycle.yaml", 2, " → "),
    ("cycle.yaml", 2, "cycle.yaml is not a valid pipeline: 1 error. Nothing was changed."),
    ("demo.yaml --param rl=1", 2, "`rl` is not a parameter of this pipeline. Its parameters: lr."),
    ("demo.yaml --param lr=fast", 2, "`lr`: "),
    ("demo.yaml --skip z", 2, "cannot skip z: no such task; the pipeline has a, b, c, d"),
    ("secret.yaml", 2, "missing secrets: TOKEN; set them with `fasttrack secrets set NAME`"),
    ("service.yaml", 2, "this session backend cannot run serve (service)"),
    (f"demo.yaml --key {'x' * 256}", 2, "an idempotency key has 1 to 255 characters"),
    ("demo.yaml --version 1", 2, "a file is run as it stands"),
]


async def test_what_cannot_run_is_refused_and_nothing_is_stored(
    stored: CommandLine, file: str, tmp_path: Path, database: Database
) -> None:
    (tmp_path / "text.yaml").write_text("just words")
    (tmp_path / "cycle.yaml").write_text(a_file({"a": "b", "b": "a"}))
    (tmp_path / "secret.yaml").write_text(a_file({"a": ""}, a={"command": "echo ${{ secrets.TOKEN }}"}))
    service = {"type": "deployment", "service": {"name": "s"}}
    (tmp_path / "service.yaml").write_text(a_file({"serve": ""}, serve=service))
    for args, code, says in REFUSALS:
        answer = await stored("run", *args.split())
        assert (answer.code, answer.out) == (code, ""), args
        assert says in answer.err
        assert "Traceback" not in answer.err
        assert await counts(database) == NOTHING


async def test_a_bad_file_is_told_in_json_with_every_problem(stored: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "cycle.yaml").write_text(a_file({"a": "b", "b": "a"}))
    answer = await stored("run", "cycle.yaml", "--json")
    assert answer.code == 2
    error = answer.json["error"]
    assert (error["code"], error["retryable"]) == ("INVALID_PIPELINE", False)
    assert [(p["severity"], p["path"]) for p in error["problems"]] == [("error", "tasks[0].dependencies")]
    assert error["problems"][0]["line"] > 0


async def test_an_unknown_backend_is_refused_before_anything_is_stored(
    stored: CommandLine, file: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTTRACK_BACKEND", "cloud")
    answer = await stored("run", file, "--wait", "--scheduler")
    assert answer.code == 2
    assert "there is no session backend 'cloud'" in answer.err
    assert await counts(database) == NOTHING


async def test_a_database_that_is_away_is_code_4(
    stored: CommandLine, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTTRACK_DATABASE_URL", "postgresql://ada:hunter2hunter2@127.0.0.1:1/fasttrack")
    answer = await stored("run", file)
    assert (answer.code, answer.out) == (4, "")
    assert answer.err.startswith("error: the database cannot be used right now")
    assert "hunter2" not in answer.err
    as_json = await stored("run", file, "--json")
    assert (as_json.code, as_json.json["error"]["code"], as_json.json["error"]["retryable"]) == (4, "UNAVAILABLE", True)


async def test_redis_that_is_away_is_only_slower(
    stored: CommandLine, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTTRACK_REDIS_URL", "redis://127.0.0.1:1")
    answer = await stored("run", file, "--wait", "--scheduler")
    assert answer.code == 0
    assert answer.out.count("SUCCEEDED") == 4


async def test_ctrl_c_ends_the_watching_and_not_the_job(
    environment: dict[str, str], tmp_path: Path, database: Database, project: ProjectId
) -> None:
    (tmp_path / "demo.yaml").write_text(a_file({"a": ""}))
    async with a_process("run", str(tmp_path / "demo.yaml"), "--wait", "--no-scheduler", env=environment) as process:
        assert process.stderr is not None
        said = b""
        while b"demo #1: job " not in said:
            said += await process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert process.returncode == 130
    assert out == b""
    async with database.transaction() as db:
        [job] = await list_jobs(db, project, limit=2)
    assert job.state == "PENDING"
    assert b"The job goes on: what runs keeps running." in err
    assert f"fasttrack job {job.id.hex[-8:]} --wait".encode() in err
    assert f"fasttrack cancel {job.id.hex[-8:]}".encode() in err


async def test_the_watching_survives_a_database_that_goes_away(
    stored: CommandLine,
    file: str,
    world: World,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    world.site.script("b", Script(held=True))
    said = ""

    def hears(text: str) -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return text in said

    async with a_cable(database_url) as cable:
        monkeypatch.setenv("FASTTRACK_DATABASE_URL", cable.url)
        command = asyncio.create_task(stored("run", file, "--wait", "--scheduler"))
        await eventually(lambda: hears("b  task.running"))
        await cable.cut()
        await eventually(lambda: hears("the job goes on, but cannot be watched"))
        [held] = [s.name for s in await SimulatedBackend(world.site).live()]
        world.do(lambda: world.site.finish(held))
        await cable.mend()
        answer: Answer = await command
    said += answer.err
    assert answer.code == 0
    assert "watching again" in said
    events = [tuple(line.split()[1:3]) for line in said.splitlines() if "  task." in line or "  job." in line]
    assert len(events) == len(set(events)), "no event is told twice"
    assert ("b", "task.succeeded") in events
    assert events[-1] == ("job", "job.succeeded")


async def test_retries_are_seen(stored: CommandLine, tmp_path: Path, world: World) -> None:
    (tmp_path / "r.yaml").write_text(a_file({"a": ""}, a={"retry": {"max_attempts": 3}}))
    world.site.script("a", Script(exit_code=1), Script(failure=FailureClass.OUT_OF_MEMORY), Script())
    answer = await stored("run", "r.yaml", "--wait", "--scheduler", "--json")
    assert answer.code == 0
    assert answer.json["tasks"][0]["attempt"] == 3
    assert "a  task.starting  attempt 3" in answer.err
