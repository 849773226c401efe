"""The embedded servers: started once, shared, found again after every kind of crash. All servers here are real."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from fasttrack.errors import InvalidInput, Unavailable
from fasttrack.settings import Settings
from fasttrack_cli.servers import (
    Addresses,
    ServerStatus,
    ensure_servers,
    masked,
    processes,
    server_status,
    stop_servers,
)
from fasttrack_cli.servers.binaries import postgres_binary
from fasttrack_cli.servers.failures import start_failure
from fasttrack_cli.servers.identity import CAP_DAC_READ_SEARCH, Identity, check_reachable
from fasttrack_cli.servers.processes import LAUNCHER, bound_log, is_alive

NOBODY = 65534

# Databases are made and copied here again and again: in memory where there is enough of it. The path must be short.
MEMORY = Path("/dev/shm")
BASE = MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 1_000_000_000 else Path("/tmp")


def settings_for(state_dir: Path, **urls: str) -> Settings:
    return Settings(state_dir=state_dir, **{"database_url": None, "redis_url": None, **urls})  # type: ignore[arg-type]


@pytest.fixture
async def state_dir() -> AsyncIterator[Path]:
    """A state directory that does not exist yet, with a short path, as a home has; its servers end with the test."""
    home = Path(tempfile.mkdtemp(prefix="ft-", dir=BASE))
    yield home / "state"
    await clean_up(home, home / "state")


@pytest.fixture(scope="session")
async def stopped() -> AsyncIterator[Path]:
    """A state directory whose servers have run: making a database is the slow part of a test."""
    home = Path(tempfile.mkdtemp(prefix="ft-", dir=BASE))
    await start(home / "state")
    await stop_servers(settings_for(home / "state"))
    yield home / "state"
    await clean_up(home, home / "state")


@pytest.fixture
async def used_dir(state_dir: Path, stopped: Path) -> Path:
    """A state directory of one's own whose servers have run before."""
    subprocess.run(["cp", "-a", stopped, state_dir], check=True)
    return state_dir


async def clean_up(home: Path, state_dir: Path) -> None:
    await stop_servers(settings_for(state_dir))
    recorded = state_dir / "servers" / "sockets"
    if recorded.exists():
        shutil.rmtree(recorded.read_text().strip(), ignore_errors=True)
    shutil.rmtree(home)


async def start(state_dir: Path) -> Addresses:
    return await ensure_servers(settings_for(state_dir), durable=False)


async def status(state_dir: Path) -> dict[str, ServerStatus]:
    return {each.name: each for each in await server_status(settings_for(state_dir))}


async def pids(state_dir: Path) -> dict[str, int | None]:
    return {name: each.pid for name, each in (await status(state_dir)).items()}


async def connect(addresses: Addresses) -> Any:
    return await asyncpg.connect(addresses.database_url.replace("+asyncpg", ""))


async def ask(addresses: Addresses, sql: str) -> Any:
    db = await connect(addresses)
    try:
        return await db.fetchval(sql)
    finally:
        await db.close()


async def is_answered(addresses: Addresses) -> bool:
    async with Redis.from_url(addresses.redis_url) as redis:
        pong = await redis.ping()
    return bool(pong) and await ask(addresses, "SELECT current_database() = 'fasttrack'")


SCRIPT = """
    import json, sys, uvloop
    from pathlib import Path
    from fasttrack.errors import FastTrackError
    from fasttrack.settings import Settings
    from fasttrack_cli.servers import ensure_servers, server_status, stop_servers

    async def main():
        settings = Settings(state_dir=Path(sys.argv[1]), database_url=None, redis_url=None)
        try:
            found = await ensure_servers(settings, durable=False)
        except FastTrackError as error:
            return {"error": type(error).__name__, "message": error.message}
        pids = {each.name: each.pid for each in await server_status(settings)}
        if "stop" in sys.argv:
            await stop_servers(settings)
        return {"started": found.started, "pids": pids}

    print(json.dumps(uvloop.run(main())))  # as a service does; the tests themselves run on asyncio's own loop
"""


def other_process(state_dir: Path, *words: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Another FastTrack process that wants the servers of `state_dir`."""
    command = [*before, sys.executable, "-W", "error", "-c", textwrap.dedent(SCRIPT), str(state_dir), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def answer_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0
    answer: dict[str, Any] = json.loads(output)
    return answer


def as_ordinary_user() -> tuple[str, ...]:
    """The start of a command that runs as an ordinary user, whoever runs the tests.

    Where root's Python is closed to others, the user may read what root can read, and still not write there.
    """
    if os.geteuid() != 0:
        return ()
    user = Identity(NOBODY, NOBODY)
    try:
        check_reachable(user, Path(sys.executable).resolve().parent, Path(sys.prefix), Path(__file__).resolve().parent)
    except InvalidInput:
        user = Identity(NOBODY, NOBODY, CAP_DAC_READ_SEARCH)
    plan = {"uid": user.uid, "gid": user.gid, "capability": user.capability, "log": None, "hold": None}
    return (sys.executable, "-I", "-S", str(LAUNCHER), json.dumps(plan))


async def until_gone(*ended: int | None) -> None:
    async with asyncio.timeout(5):
        while any(is_alive(pid) for pid in ended if pid is not None):
            await asyncio.sleep(0.01)


async def test_the_first_call_starts_both_and_the_next_finds_them(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")  # what libpq listens to must not lead us elsewhere

    first = await ensure_servers(settings_for(state_dir))
    second = await ensure_servers(settings_for(state_dir))

    assert first.started == ("postgres", "valkey")
    assert second == Addresses(first.database_url, first.redis_url, ())
    assert await is_answered(second)
    engine = create_async_engine(second.database_url)
    async with engine.connect() as db:
        safe = await db.execute(text("SELECT current_setting('fsync'), current_setting('synchronous_commit')"))
        assert safe.one() == ("on", "on")
        assert (await db.execute(text("SELECT usesuper, usecreatedb FROM pg_user WHERE usename = user"))).one() == (
            False,
            True,
        )
    await engine.dispose()


async def test_only_the_owner_can_enter_what_the_servers_keep(used_dir: Path) -> None:
    await start(used_dir)

    kept = [used_dir, *(used_dir / "servers" / name for name in ("", "postgres", "valkey"))]
    assert [stat.S_IMODE(each.stat().st_mode) for each in kept] == [0o700] * 4
    assert (used_dir / "format").read_text() == "1\n"


async def test_processes_that_start_at_the_same_moment_share_one_pair_that_outlives_them(state_dir: Path) -> None:
    racers = [other_process(state_dir) for _ in range(3)]

    answers = [await answer_of(racer) for racer in racers]

    assert sorted(answer["started"] for answer in answers) == [[], [], ["postgres", "valkey"]]
    assert [answer["pids"] for answer in answers] == [await pids(state_dir)] * 3
    assert await is_answered(await start(state_dir))


async def test_committed_data_is_there_after_the_database_server_is_killed(used_dir: Path) -> None:
    addresses = await start(used_dir)
    await ask(addresses, "CREATE TABLE kept AS SELECT 42 AS number")
    open_connection = await connect(addresses)  # its process outlives the killed one for a moment
    killed = (await pids(used_dir))["postgres"]
    assert killed is not None

    os.kill(killed, signal.SIGKILL)
    again = await start(used_dir)

    assert again.started == ("postgres",)
    assert await ask(again, "SELECT number FROM kept") == 42
    assert (await pids(used_dir))["postgres"] != killed
    open_connection.terminate()


async def test_a_process_id_that_passed_to_a_stranger_is_not_taken_for_the_server(used_dir: Path) -> None:
    await start(used_dir)
    killed = await pids(used_dir)
    for pid in killed.values():
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    await until_gone(*killed.values())
    left = used_dir / "servers" / "postgres" / "data" / "postmaster.pid"
    left.write_text("\n".join([str(os.getppid()), *left.read_text().splitlines()[1:]]))
    (used_dir / "servers" / "valkey" / "valkey.pid").write_text(str(os.getppid()))

    again = await start(used_dir)

    assert again.started == ("postgres", "valkey")
    assert await is_answered(again)


async def test_a_crash_while_the_database_is_made_leaves_nothing_half_made(state_dir: Path) -> None:
    maker = other_process(state_dir)
    home = state_dir / "servers" / "postgres"
    async with asyncio.timeout(10):
        while not list(home.glob("new-*/base/1")):
            await asyncio.sleep(0.002)
    maker.kill()
    maker.communicate()
    assert not (home / "data").exists()

    addresses = await start(state_dir)

    assert await is_answered(addresses)
    assert [each.name for each in home.iterdir() if each.name.startswith("new-")] == []


async def test_a_starter_that_dies_before_the_database_exists_leaves_it_to_the_next(used_dir: Path) -> None:
    addresses = await start(used_dir)
    await processes.run(
        Identity(os.geteuid(), os.getegid()),
        *_psql(addresses),
        stdin="DROP DATABASE fasttrack; DROP ROLE fasttrack;",
    )
    (used_dir / "servers" / "postgres.ready").unlink()

    again = await start(used_dir)

    assert again.started == ()
    assert await is_answered(again)


def _psql(addresses: Addresses) -> tuple[str | Path, ...]:
    directory = addresses.database_url.partition("host=")[2].partition("&")[0]
    return postgres_binary("psql"), "-Xq", "-h", directory, "-U", "postgres", "-d", "postgres"


async def test_a_killed_valkey_is_started_again_and_the_database_left_alone(used_dir: Path) -> None:
    await start(used_dir)
    before = await pids(used_dir)
    assert before["valkey"] is not None

    os.kill(before["valkey"], signal.SIGKILL)
    again = await start(used_dir)

    assert again.started == ("valkey",)
    assert await is_answered(again)
    after = await pids(used_dir)
    assert after["postgres"] == before["postgres"]
    assert after["valkey"] != before["valkey"]


async def test_servers_whose_sockets_were_removed_are_replaced(used_dir: Path) -> None:
    addresses = await start(used_dir)
    await ask(addresses, "CREATE TABLE kept AS SELECT 42 AS number")
    before = await pids(used_dir)
    (used_dir / "servers" / "postgres" / ".s.PGSQL.5432").unlink()
    (used_dir / "servers" / "valkey" / "valkey.sock").unlink()

    again = await start(used_dir)

    assert again.started == ("postgres", "valkey")
    assert await ask(again, "SELECT number FROM kept") == 42
    await until_gone(*before.values())


async def test_stop_ends_valkey_then_the_database_with_its_open_connections(used_dir: Path) -> None:
    addresses = await start(used_dir)
    running = await pids(used_dir)
    connection = await connect(addresses)

    stopped = await stop_servers(settings_for(used_dir))

    assert stopped == ("valkey", "postgres")
    assert [is_alive(pid) for pid in running.values() if pid is not None] == [False, False]
    assert "database system is shut down" in (used_dir / "servers" / "postgres.log").read_text()
    assert await stop_servers(settings_for(used_dir)) == ()
    connection.terminate()


async def test_the_status_tells_what_runs_and_starts_nothing(used_dir: Path) -> None:
    absent = await status(used_dir / "absent")
    assert [(each.running, each.pid) for each in absent.values()] == [(False, None)] * 2
    assert not (used_dir / "absent").exists()

    await start(used_dir)
    running = await status(used_dir)
    await stop_servers(settings_for(used_dir))
    stopped = await status(used_dir)

    assert [each.version for each in running.values()] == ["18.6", "9.1.2"]
    assert 30e6 < (running["postgres"].data_bytes or 0) < 100e6
    assert [(each.running, each.pid, each.version) for each in stopped.values()] == [(False, None, None)] * 2


@pytest.mark.parametrize("name", ["long-" + "x" * 150, "a, b: 100% ü"], ids=["long", "characters"])
async def test_a_path_that_sockets_cannot_have_gets_a_short_directory(used_dir: Path, name: str) -> None:
    place = used_dir.rename(used_dir.with_name(name))
    first = await start(place)
    try:
        assert await is_answered(first)
        short = Path((place / "servers" / "sockets").read_text().strip())
        assert stat.S_IMODE(short.stat().st_mode) == 0o700
        assert await stop_servers(settings_for(place)) == ("valkey", "postgres")
        again = await start(place)
        assert (again.database_url, again.redis_url) == (first.database_url, first.redis_url)
    finally:
        await clean_up(place, place)


async def test_a_newer_format_is_refused_untouched(state_dir: Path) -> None:
    state_dir.mkdir()
    (state_dir / "format").write_text("3\n")

    with pytest.raises(InvalidInput) as refused:
        await start(state_dir)

    assert refused.value.message == (
        f"{state_dir} was written by a newer FastTrack (format 3); this one knows format 1. "
        "Upgrade FastTrack or choose another FASTTRACK_STATE_DIR."
    )
    assert [each.name for each in state_dir.iterdir()] == ["format"]
    (state_dir / "format").write_text("1\n")


async def test_a_database_of_another_major_version_is_refused(state_dir: Path) -> None:
    data = state_dir / "servers" / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("17\n")

    with pytest.raises(InvalidInput, match="of PostgreSQL 17; this FastTrack comes with PostgreSQL 18"):
        await start(state_dir)

    assert sorted(each.name for each in data.iterdir()) == ["PG_VERSION"]


async def test_a_file_in_the_way_is_refused(state_dir: Path) -> None:
    state_dir.write_text("mine")

    with pytest.raises(InvalidInput, match=r"is a file, or has one above it, .* choose another FASTTRACK_STATE_DIR"):
        await start(state_dir)
    with pytest.raises(InvalidInput, match="is a file, or has one above it"):
        await start(state_dir / "below")

    assert state_dir.read_text() == "mine"
    state_dir.unlink()


async def test_a_state_directory_that_cannot_be_written_is_refused(state_dir: Path) -> None:
    state_dir.parent.chmod(0o555)

    answer = await answer_of(other_process(state_dir, before=as_ordinary_user()))

    assert answer["error"] == "InvalidInput"
    assert f"no permission to use {state_dir}" in answer["message"]
    assert "choose another FASTTRACK_STATE_DIR" in answer["message"]
    state_dir.parent.chmod(0o755)


async def test_another_users_servers_are_not_used(state_dir: Path) -> None:
    """A directory planted for us, or a link, would hand our data to its owner."""
    elsewhere = state_dir.parent / "elsewhere"
    elsewhere.mkdir()
    state_dir.mkdir()
    (state_dir / "servers").symlink_to(elsewhere)

    with pytest.raises(InvalidInput, match="is not a directory of yours"):
        await start(state_dir)

    assert list(elsewhere.iterdir()) == []
    (state_dir / "servers").unlink()


async def test_an_ordinary_user_needs_nothing_prepared(state_dir: Path) -> None:
    if os.geteuid() == 0:
        os.chown(state_dir.parent, NOBODY, NOBODY)

    answer = await answer_of(other_process(state_dir, "stop", before=as_ordinary_user()))

    assert answer["started"] == ["postgres", "valkey"]
    owners = {each.stat().st_uid for each in state_dir.rglob("*")}
    assert owners == {os.geteuid() or NOBODY}
    await until_gone(*answer["pids"].values())


def test_without_a_power_of_root_the_closed_directory_in_the_way_is_named(state_dir: Path) -> None:
    closed = state_dir.parent / "closed"
    closed.mkdir(mode=0o700)
    state_dir.parent.chmod(0o755)

    with pytest.raises(InvalidInput, match=f"cannot enter {closed} .let others pass it"):
        check_reachable(Identity(uid=54321, gid=54321), closed)

    closed.chmod(0o711)
    check_reachable(Identity(uid=54321, gid=54321), closed)


async def test_given_addresses_are_used_as_they_are(state_dir: Path) -> None:
    urls = {"database_url": "postgresql://me:secret@db.example/jobs", "redis_url": "redis://:secret@queue.example"}
    settings = settings_for(state_dir, **urls)

    addresses = await ensure_servers(settings)

    assert addresses == Addresses("postgresql+asyncpg://me:secret@db.example/jobs", urls["redis_url"], ())
    assert "secret" not in repr(addresses)
    assert not state_dir.exists()
    assert [(each.is_embedded, each.running, each.address) for each in await server_status(settings)] == [
        (False, None, "postgresql+asyncpg://me:***@db.example/jobs"),
        (False, None, "redis://:***@queue.example"),
    ]


async def test_only_the_server_that_is_not_given_is_started(state_dir: Path) -> None:
    settings = settings_for(state_dir, database_url="postgresql://me@db.example/jobs")

    addresses = await ensure_servers(settings)

    assert addresses.started == ("valkey",)
    assert not (state_dir / "servers" / "postgres").exists()
    assert [(each.name, each.running) for each in await server_status(settings)] == [
        ("postgres", None),
        ("valkey", True),
    ]


async def test_a_start_that_fails_tells_what_the_server_said(used_dir: Path) -> None:
    custom = used_dir / "servers" / "postgres" / "data" / "custom.conf"
    custom.write_text("shared_buffers = plenty\n")
    custom.chmod(0o644)

    with pytest.raises(Unavailable) as failed:
        await start(used_dir)

    assert failed.value.message.startswith("PostgreSQL did not start, its log is ")
    assert 'invalid value for parameter "shared_buffers": "plenty"' in failed.value.message
    custom.unlink()
    assert (await start(used_dir)).started == ("postgres", "valkey")


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ('FATAL:  could not write lock file "postmaster.pid": No space left on device', "the disk .* is full: free"),
        (
            'File "launch.py", line 7, in become\nPermissionError: Operation not permitted',
            "not become the user `nobody`",
        ),
        ("FATAL:  could not map anonymous shared memory: Cannot allocate memory", "shared memory is exhausted: end"),
        ('could not resize shared memory segment "/x" to 9 bytes: No space left on device', "more with --shm-size"),
        ("initdb: error: could not look up effective user ID 7: user does not exist", "no entry in the user database"),
        ('could not open file "x": Permission denied', "give that to the user who runs FastTrack"),
        ("# Failed opening Unix socket: bind: Address already in use", "another server uses this state directory"),
    ],
)
def test_a_failure_comes_with_its_remedy(said: str, remedy: str) -> None:
    error = start_failure("PostgreSQL", said, Path("/x/postgres.log"))

    assert error.message.endswith(said)
    with pytest.raises(Unavailable, match=remedy):
        raise error


def test_a_log_is_kept_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOG_LIMIT_BYTES", 10)
    log = tmp_path / "postgres.log"
    with log.open("ab", buffering=0) as server:
        server.write(b"0123456789abc")

        bound_log(log)
        server.write(b"next")

    assert log.read_bytes() == b"next"
    assert (tmp_path / "postgres.log.1").read_bytes() == b"3456789abc"


def test_passwords_are_masked_wherever_they_stand() -> None:
    assert masked("postgresql://me:a@b/x?sslmode=require&password=s3") == (
        "postgresql://me:a@b/x?sslmode=require&password=***"
    ).replace("me:a@b", "me:***@b")
    assert masked("unix:///run/x.sock") == "unix:///run/x.sock"
