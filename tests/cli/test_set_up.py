"""`fasttrack settings`, `db`, `doctor`, `up` and `down`."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from fasttrack.db import Database
from fasttrack.settings import Settings
from fasttrack_cli.configuration import describe_settings
from fasttrack_cli.presence import SCHEDULER, SERVERS, anyone_present, present
from tests.cli.command_line import CommandLine, a_cable, a_process
from tests.factories import a_file

PASSWORD = "hunter2hunter2"


async def test_every_setting_has_a_value_a_source_and_a_meaning(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "settings.toml").write_text('project = "lab"\nreconcile_interval = 0.25\ncolour = "blue"\n')
    monkeypatch.setenv("FASTTRACK_SETTINGS_FILE", str(tmp_path / "settings.toml"))
    monkeypatch.setenv("FASTTRACK_DATABASE_URL", f"postgresql://ada:{PASSWORD}@db/fasttrack")
    monkeypatch.setenv("FASTTRACK_SECRET_KEY", PASSWORD)
    monkeypatch.setenv("FASTTRACK_OBSERVE_INTERVALL", "1")
    answer = await cli("settings", "--json")
    assert answer.code == 0
    assert PASSWORD not in answer.out
    found = {s["name"]: s for s in answer.json["settings"]}
    assert found.keys() == Settings.model_fields.keys()
    assert (found["project"]["value"], found["project"]["source"]) == ("lab", "file")
    assert (found["reconcile_interval"]["value"], found["reconcile_interval"]["source"]) == (0.25, "file")
    assert (found["pass_limit"]["value"], found["pass_limit"]["source"]) == (64, "default")
    assert found["database_url"]["value"] == "postgresql+asyncpg://ada:***@db/fasttrack"
    assert (found["secret_key"]["value"], found["secret_key"]["source"]) == ("********", "environment")
    assert found["reconcile_interval"]["meaning"].startswith("How often due jobs are looked for")
    strays = ["FASTTRACK_OBSERVE_INTERVALL", f"colour in {tmp_path / 'settings.toml'}"]
    assert [s for s in answer.json["unknown"] if s != "FASTTRACK_TEST_STATE"] == strays
    plain = await cli("settings")
    assert PASSWORD not in plain.out
    assert "warning: FASTTRACK_OBSERVE_INTERVALL is not a setting and has no effect" in plain.err


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("FASTTRACK_LOCAL_SLOTS", "many", "FASTTRACK_LOCAL_SLOTS is not valid: it must be JSON"),
        ("FASTTRACK_DATABASE_URL", f"mysql://ada:{PASSWORD}@db", "FASTTRACK_DATABASE_URL is not valid: must be a Post"),
        ("FASTTRACK_RECONCILE_INTERVAL", "soon", "FASTTRACK_RECONCILE_INTERVAL is not valid: must be seconds"),
        ("FASTTRACK_RECONCILE_INTERVAL", "-1", "FASTTRACK_RECONCILE_INTERVAL is not valid: must not be negative"),
        ("FASTTRACK_PASS_LIMIT", "0", "FASTTRACK_PASS_LIMIT is not valid"),
        ("FASTTRACK_LOG_LEVEL", "loud", "FASTTRACK_LOG_LEVEL is not valid"),
    ],
)
async def test_a_bad_setting_is_named_and_its_value_is_not_told(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    for command in (("jobs",), ("settings",), ("up",), ("doctor",)):
        answer = await cli(*command)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith(f"error: {says}")
        assert answer.err.count("\n") == 1
        assert PASSWORD not in answer.err


@pytest.mark.parametrize("text", ["project = ", "pass_limit = 0"])
async def test_a_bad_settings_file_is_named(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    (tmp_path / "settings.toml").write_text(text)
    monkeypatch.setenv("FASTTRACK_SETTINGS_FILE", str(tmp_path / "settings.toml"))
    answer = await cli("jobs")
    assert answer.code == 2
    assert str(tmp_path / "settings.toml") in answer.err


def test_a_duration_is_shown_in_seconds(tmp_path: Path) -> None:
    infos = {i.name: i for i in describe_settings(Settings(state_dir=tmp_path), {"state_dir": tmp_path})}
    assert (infos["lost_after"].value, infos["state_dir"].source) == (60.0, "option")


async def test_a_database_without_schema_is_a_conflict_until_it_is_upgraded(
    stored: CommandLine, database: Database
) -> None:
    assert (await stored("db", "check", "--json")).json["is_current"] is True
    async with database.transaction() as db:
        await db.execute("DROP SCHEMA public CASCADE")
        await db.execute("CREATE SCHEMA public")
    refused = await stored("jobs")
    assert refused.code == 5
    assert "the database's schema is empty" in refused.err
    assert "run `fasttrack db upgrade` first" in refused.err
    behind = await stored("db", "check")
    assert behind.code == 1
    assert behind.out.startswith("the schema is empty, needed is ")
    upgraded = await stored("db", "upgrade", "--json")
    assert (upgraded.code, upgraded.json["before"]) == (0, None)
    assert (await stored("db", "upgrade")).out.startswith("the schema is current: ")
    async with database.transaction() as db:
        await db.execute("ALTER TABLE job ADD COLUMN stray int")
    differs = await stored("db", "check")
    assert differs.code == 1
    assert "stray" in differs.out


async def test_the_doctor_finds_what_is_there(stored: CommandLine, tmp_path: Path) -> None:
    answer = await stored("doctor", "--json")
    findings = {f["about"]: f for f in answer.json["findings"]}
    assert set(findings) >= {"versions", "state dir", "disk", "postgres", "valkey", "schema", "redis", "backend"}
    assert findings["schema"]["level"] == "ok"
    assert findings["redis"]["says"] == "answers"
    assert (answer.code, answer.json["ok"]) == (0, True)
    assert not (tmp_path / "state").exists()


async def test_the_doctor_tells_the_remedy(stored: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTTRACK_DATABASE_URL", f"postgresql://ada:{PASSWORD}@127.0.0.1:1/x")
    monkeypatch.setenv("FASTTRACK_REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("FASTTRACK_BACKEND", "cloud")
    answer = await stored("doctor")
    assert answer.code == 1
    lines = {line.split()[1]: line for line in answer.out.splitlines()[1:]}
    assert lines["schema"].startswith("fail")
    assert lines["redis"].startswith("warn")
    assert lines["backend"].startswith("fail")
    assert PASSWORD not in answer.out


async def test_the_doctor_looks_at_the_local_backend(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTTRACK_LOCAL_SLOTS", '{"cpu": "4", "mem": "8g", "cuda.device": "2"}')
    monkeypatch.setenv("FASTTRACK_LOCAL_SANDBOX", "never")
    answer = await cli("doctor", "--json")
    findings = {f["about"]: f for f in answer.json["findings"]}
    assert findings["backend"]["says"] == "local: 4 cpu, 2 cuda.device, 8 GiB mem"
    assert findings["isolation"]["level"] == "warn"
    assert findings["postgres"]["says"] == "embedded, not running; the next command that needs it starts it"


def test_presence_is_seen_while_it_lasts(tmp_path: Path) -> None:
    assert not anyone_present(tmp_path, SERVERS)
    with present(tmp_path, SERVERS) as mine:
        assert anyone_present(tmp_path, SERVERS)
        assert not anyone_present(tmp_path, SCHEDULER)
        with present(tmp_path, SERVERS):
            assert not mine.is_alone()
        assert mine.is_alone()
    assert not anyone_present(tmp_path, SERVERS)


async def test_down_is_refused_while_somebody_works(cli: CommandLine, tmp_path: Path) -> None:
    assert (await cli("down")).out == "no server of this state directory was running\n"
    (tmp_path / "state").mkdir(exist_ok=True)
    with present(tmp_path / "state", SERVERS):
        refused = await cli("down")
        assert (refused.code, (await cli("down", "--force", "--json")).json) == (5, {"stopped": []})
    assert "perhaps `fasttrack up`" in refused.err


async def read_until(stream: asyncio.StreamReader | None, text: bytes) -> bytes:
    assert stream is not None
    said = b""
    while text not in said:
        line = await stream.readline()
        assert line, said.decode()
        said += line
    return said


async def test_up_runs_what_is_submitted_and_ends_in_order(
    stored: CommandLine, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "demo.yaml").write_text(a_file({"a": "", "b": "a"}))
    async with a_process("up", env=environment) as up:
        said = await read_until(up.stderr, b"  runs ")
        assert b"scheduler" in said
        answer = await stored("run", "demo.yaml", "--wait", "--no-scheduler")
        assert answer.code == 0, answer.err
        up.send_signal(signal.SIGTERM)
        _, rest = await asyncio.wait_for(up.communicate(), 10)
    assert up.returncode == 0
    assert b"running sessions go on" in rest
    assert rest.decode().endswith("stopped\n")


async def test_up_waits_for_a_database_that_is_away(environment: dict[str, str]) -> None:
    async with a_cable(environment["FASTTRACK_DATABASE_URL"]) as cable:
        await cable.cut()
        async with a_process("up", env={**environment, "FASTTRACK_DATABASE_URL": cable.url}) as up:
            said = await read_until(up.stderr, b"Trying again until it works")
            assert said.startswith(b"warning: the database cannot be used right now")
            await cable.mend()
            await read_until(up.stderr, b"  runs ")
            up.send_signal(signal.SIGINT)
            await asyncio.wait_for(up.communicate(), 10)
    assert up.returncode == 0


async def test_up_ends_while_it_still_waits(environment: dict[str, str]) -> None:
    env = {**environment, "FASTTRACK_DATABASE_URL": "postgresql://ada@127.0.0.1:1/x"}
    async with a_process("up", env=env) as up:
        await read_until(up.stderr, b"Trying again")
        up.send_signal(signal.SIGINT)
        await asyncio.wait_for(up.communicate(), 5)
    assert up.returncode == 0


def test_the_tests_stand_apart_from_a_developers_settings() -> None:
    assert os.environ["FASTTRACK_SETTINGS_FILE"] == "/nonexistent"
