"""Logs and files over GraphQL, of tasks that really run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from fasttrack.db import Database
from fasttrack.domain.access import Role
from fasttrack.ids import JobId
from fasttrack.logs import MaskedLog
from fasttrack.settings import Settings
from fasttrack.storage import LogChunk
from fasttrack_api.graphql.ids import Kind, to_global
from fasttrack_scheduler.backends.local.backend import LocalBackend
from tests.api.graphql.conftest import Asking
from tests.api.output.conftest import Machine
from tests.api.streams.sockets import introduced, opened
from tests.engine import Engine
from tests.factories import a_file

LOG = """query ($id: ID!, $attempt: Int, $offset: Int! = 0, $limit: Int! = 65536) { node(id: $id) { ... on TaskInstance {
  log(attempt: $attempt, offset: $offset, limit: $limit) { text offset nextOffset isEnd attempt } } } }"""
FOLLOW = """subscription ($id: ID!, $offset: Int! = 0) {
  jobLog(instance: $id, offset: $offset) { text offset nextOffset isEnd attempt } }"""


async def instance_of(machine: Machine, job: JobId, task: str = "a") -> str:
    """The global id of the job's task instance."""
    sql = "SELECT id FROM task_instance WHERE job_id = $1 AND name = $2"
    return to_global(Kind.TASK_INSTANCE, await machine.database.run(lambda db: db.value(sql, job, task)))


async def page(ask: Asking, instance: str, **variables: Any) -> Any:
    return (await ask(LOG, id=instance, **variables))["node"]["log"]


async def test_a_page_is_text_with_where_to_read_on(machine: Machine, ask: Asking) -> None:
    instance = await instance_of(machine, await machine.run("printf 'one\\nzwei é\\n'"))
    whole = await page(ask, instance)
    assert whole == {"text": "one\nzwei é\n", "offset": 0, "nextOffset": 12, "isEnd": True, "attempt": 1}
    cut = await page(ask, instance, offset=4, limit=6)
    assert cut == {"text": "zwei ", "offset": 4, "nextOffset": 9, "isEnd": False, "attempt": 1}
    beyond = await page(ask, instance, offset=100)
    assert (beyond["text"], beyond["nextOffset"], beyond["isEnd"]) == ("", 100, True)


async def test_any_sequence_of_pages_is_the_whole(machine: Machine, ask: Asking) -> None:
    await machine.secret("TOKEN", "é-sesame-sesame")
    text = "aé中🚀 é-sesame-sesame \x00 end" * 3
    octal = "".join(f"\\0{b:03o}" for b in b"\xff" + text.encode())
    instance = await instance_of(machine, await machine.run(f"printf '%b' '{octal}'"))
    expected = "\ufffd" + text.replace("é-sesame-sesame", "*" * 16)

    chance = random.Random(3)
    for most in (4, 9, 40):
        shown, at, is_end = "", 0, False
        while not is_end:
            found = await page(ask, instance, offset=at, limit=chance.randint(4, most))
            assert found["offset"] == at < found["nextOffset"]
            shown, at, is_end = shown + found["text"], found["nextOffset"], found["isEnd"]
        assert shown == expected


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"offset": -1}, "INVALID_INPUT"),
        ({"limit": 3}, "INVALID_INPUT"),
        ({"limit": 262145}, "INVALID_INPUT"),
        ({"attempt": 2}, "NOT_FOUND"),
    ],
)
async def test_what_is_no_page_is_refused(
    machine: Machine,
    ask: Asking,
    variables: dict[str, Any],
    code: str,
) -> None:
    instance = await instance_of(machine, await machine.start("true"))
    assert await ask.code(LOG, id=instance, **variables) == code


async def test_what_is_gone_or_elsewhere_is_null_with_a_code(
    machine: Machine,
    ask: Asking,
    settings: Settings,
    database: Database,
) -> None:
    job = await machine.run("echo x")
    instance = await instance_of(machine, job)
    outputs = "query ($id: ID!) { node(id: $id) { ... on TaskInstance { outputs { next } } } }"
    [directory] = (settings.state_dir / "local" / "sessions").iterdir()
    directory.rename(settings.state_dir / "aside")
    assert await ask.code(LOG, id=instance) == "LOG_PRUNED"
    await database.run(lambda db: db.execute("UPDATE job SET pruned_at = now()"))
    assert await ask.code(outputs, id=instance) == "OUTPUTS_PRUNED"
    await database.run(lambda db: db.execute("UPDATE job SET site = 'local:far', pruned_at = NULL"))
    assert [await ask.code(LOG, id=instance), await ask.code(outputs, id=instance)] == ["FILES_ELSEWHERE"] * 2
    body = await ask.raw(LOG, {"id": instance})
    assert body["data"] == {"node": {"log": None}}


async def test_files_are_listed_by_page_with_where_they_are_downloaded(
    machine: Machine,
    ask: Asking,
    client: httpx.AsyncClient,
) -> None:
    command = 'mkdir "$FASTTRACK_OUTPUTS/d"; printf xy > "$FASTTRACK_OUTPUTS/d/é f"; touch $FASTTRACK_VFROOT/v; mkfifo $FASTTRACK_OUTPUTS/p'
    job = await machine.run(command)
    record = await machine.job(job)
    fields = "entries { name path kind size downloadPath } next archivePath"
    query = f"""query ($id: ID!, $pipeline: ID!) {{
      node(id: $id) {{ ... on TaskInstance {{ outputs(first: 1) {{ {fields} }}
                                              rest: outputs(after: "d") {{ {fields} }}
                                              inner: outputs(path: "d") {{ {fields} }} }} }}
      pipeline(id: $pipeline) {{ vfroot {{ {fields} }} }} }}"""
    instance = await instance_of(machine, job)
    found = await ask(query, id=instance, pipeline=to_global(Kind.PIPELINE, record.pipeline_id))
    top, rest, inner = (found["node"][name] for name in ("outputs", "rest", "inner"))
    assert ([(e["path"], e["kind"]) for e in top["entries"]], top["next"]) == ([("d", "DIRECTORY")], "d")
    assert ([(e["path"], e["kind"]) for e in rest["entries"]], rest["next"]) == ([("p", "OTHER")], None)
    [file] = inner["entries"]
    assert (file["name"], file["path"], file["size"]) == ("é f", "d/é f", 2)
    assert (await client.get(file["downloadPath"])).content == b"xy"
    assert (await client.get(inner["archivePath"])).headers["content-type"] == "application/zip"
    [in_vfroot] = found["pipeline"]["vfroot"]["entries"]
    assert (await client.get(in_vfroot["downloadPath"])).status_code == 200
    assert (await client.get(found["pipeline"]["vfroot"]["archivePath"])).status_code == 200


async def test_logs_of_many_tasks_cost_as_many_statements_as_that_of_one(
    engine: Engine, ask: Asking, statements: Callable[[], Any], settings: Settings
) -> None:
    """Of tasks that have printed, with no scheduler beside them whose statements would be counted as well."""
    job = await engine.submit(a_file({f"t{n}": "" for n in range(12)}))
    backend = LocalBackend(settings)
    await backend.start()
    await backend.close()
    site = f"UPDATE job SET site = '{backend.site}'"
    await engine.database.run(lambda db: db.execute(site))
    await engine.database.run(lambda db: db.execute("UPDATE task_instance SET attempt = 1, state = 'RUNNING'"))
    query = """query ($id: ID!, $first: Int!) { job(id: $id) { taskInstances(first: $first) { nodes {
      log { attempt isEnd } outputs { next } } } } }"""
    counts = []
    for first in (1, 12):
        with statements() as count:
            nodes = (await ask(query, id=to_global(Kind.JOB, job), first=first))["job"]["taskInstances"]["nodes"]
        assert nodes == [{"log": {"attempt": 1, "isEnd": False}, "outputs": {"next": None}}] * first
        counts.append(count[0])
    assert counts == [4, 4]


async def test_following_brings_everything_once_and_completes(machine: Machine, address: str, tmp_path: Path) -> None:
    job = await machine.start(
        f"for n in $(seq 200); do echo line $n; done; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; echo é"
    )
    expected = "".join(f"line {n}\n" for n in range(1, 201)) + "é\n"
    instance = await instance_of(machine, job)
    async with introduced(address) as socket:
        await socket.subscribe(FOLLOW, id=instance)
        got: list[Any] = [(await socket.next())["jobLog"]]
        (tmp_path / "go").touch()
        while not got[-1]["isEnd"]:
            got.append((await socket.next())["jobLog"])
        assert (await socket.receive())["type"] == "complete"
        assert "".join(g["text"] for g in got) == expected
        assert [g["offset"] for g in got[1:]] == [g["nextOffset"] for g in got[:-1]]
        await socket.subscribe(FOLLOW, "2", id=instance, offset=got[-1]["nextOffset"] - 3)
        assert (await socket.next("2"))["jobLog"]["text"] == "é\n"


async def test_a_slow_client_holds_no_more_than_a_piece(
    machine: Machine, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has not taken stays on the disk: of 24 MiB only what the connection's own buffers take is read."""
    instance = await instance_of(machine, await machine.run("head -c 25165824 /dev/zero | tr '\\0' x"))
    read = 0
    really = MaskedLog.read

    async def counted(self: MaskedLog, offset: int, limit: int) -> LogChunk:
        nonlocal read
        chunk = await really(self, offset, limit)
        read += len(chunk.data)
        assert len(chunk.data) <= 2**16
        return chunk

    monkeypatch.setattr(MaskedLog, "read", counted)
    async with opened(address, compression=None) as socket:
        await socket.init()
        await socket.subscribe(FOLLOW, id=instance)
        before = -1
        while before != read or read == 0:
            before = read
            await asyncio.sleep(0.3)
        assert read < 20 * 2**20
        taken = 0
        while taken < 25165824:
            taken = (await socket.next())["jobLog"]["nextOffset"]
        assert read == 25165824


async def test_who_may_not_see_the_project_sees_no_log(
    machine: Machine,
    address: str,
    ask: Asking,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    instance = await instance_of(machine, await machine.run("echo x"))
    ask.as_member(None)
    assert (await ask(LOG, id=instance)) == {"node": None}
    monkeypatch.setattr("fasttrack_api.graphql.sockets.auth.caller_of", lambda _: _answer(ask))
    async with introduced(address) as socket:
        for number, odd in enumerate([instance, to_global(Kind.JOB, await _a_job(machine)), "x"]):
            await socket.subscribe(FOLLOW, str(number), id=odd)
            message = await socket.receive()
            told = message["payload"][0] if message["type"] == "error" else message["payload"]["errors"][0]
            assert told["extensions"]["code"] == "NOT_FOUND"
            assert told["message"] == "there is no such task instance"
            if message["type"] == "next":
                await socket.receive()
        ask.as_member(Role.VIEWER)
        await socket.subscribe(FOLLOW, "last", id=instance)
        assert (await socket.next("last"))["jobLog"]["text"] == "x\n"


async def _a_job(machine: Machine) -> JobId:
    return JobId(await machine.database.run(lambda db: db.value("SELECT id FROM job")))


async def _answer(asking: Asking) -> Any:
    return asking.caller


async def test_a_subscription_is_told_why_it_ends(machine: Machine, address: str, database: Database) -> None:
    job = await machine.run("echo x")
    instance = await instance_of(machine, job)
    await database.run(lambda db: db.execute("UPDATE job SET site = 'local:far'"))
    async with introduced(address) as socket:
        for offset, code in ((0, "FILES_ELSEWHERE"), (-1, "INVALID_INPUT")):
            await socket.subscribe(FOLLOW, str(offset), id=instance, offset=offset)
            message = await socket.receive()
            told = message["payload"][0] if message["type"] == "error" else message["payload"]["errors"][0]
            assert told["extensions"]["code"] == code
            if message["type"] == "next":
                assert (await socket.receive())["type"] == "complete"
