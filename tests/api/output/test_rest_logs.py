"""Logs over REST, of tasks that really run."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from fasttrack.db import Database
from fasttrack.errors import Unauthenticated
from fasttrack.ids import JobId
from fasttrack.settings import Settings
from tests.api.output.conftest import Get, Machine
from tests.api.streams.sse import followed
from tests.api.streams.test_rest_events import Door, eve
from tests.engine import Engine
from tests.factories import a_file
from tests.waiting import eventually

SECRET = "correct-horse-battery"


async def test_a_log_is_its_text_with_where_to_read_on(machine: Machine, log: Get) -> None:
    job = await machine.run("printf 'one\\ntwo\\nthree\\n'")
    whole = await log(job)
    assert (whole.status_code, whole.text, whole.headers["content-type"]) == (
        200,
        "one\ntwo\nthree\n",
        "text/plain; charset=utf-8",
    )
    assert whole.headers["x-content-type-options"] == "nosniff"
    told = {n: whole.headers[n] for n in ("log-attempt", "log-next-offset", "log-is-final", "content-length")}
    assert told == {"log-attempt": "1", "log-next-offset": "14", "log-is-final": "true", "content-length": "14"}
    page = await log(job, offset=4, limit=4)
    assert (page.text, page.headers["log-next-offset"], page.headers["log-is-final"]) == ("two\n", "8", "false")
    assert (await log(job, tail=2)).text == "two\nthree\n"
    assert (await log(job, tail=0)).text == ""
    beyond = await log(job, offset=99)
    assert (beyond.text, beyond.headers["log-is-final"]) == ("", "true")
    assert (await log(job, follow="true")).text == whole.text
    by_id = await machine.database.run(lambda db: db.value("SELECT id::text FROM task_instance"))
    assert (await log(job, by_id)).text == whole.text


async def test_ranges_are_those_of_http(machine: Machine, log: Get) -> None:
    job = await machine.run("printf 0123456789")
    answer = await log(job, headers={"range": "bytes=2-4"})
    assert (answer.status_code, answer.text, answer.headers["content-range"]) == (206, "234", "bytes 2-4/10")
    assert (await log(job, headers={"range": "bytes=-3"})).text == "789"
    tag = answer.headers["etag"]
    assert (await log(job, headers={"range": "bytes=8-", "if-range": tag})).text == "89"
    assert (await log(job, headers={"range": "bytes=8-", "if-range": '"another"'})).text == "0123456789"
    assert (await log(job, headers={"range": "bytes=4-2"})).text == "0123456789"
    assert (await log(job, headers={"range": "bytes=0-1,4-5"})).text == "0123456789"
    assert (await log(job, headers={"if-none-match": tag})).status_code == 304
    beyond = await log(job, headers={"range": "bytes=10-"})
    assert (beyond.status_code, beyond.json()["code"], beyond.headers["content-range"]) == (
        416,
        "HTTP_416",
        "bytes */10",
    )


async def test_each_attempt_has_its_own(machine: Machine, log: Get) -> None:
    job = await machine.run("echo try $BACKENDAI_PIPELINE_TASK_ATTEMPT; exit 1", retry={"max_attempts": 2, "delay": 0})
    assert [(await log(job)).text, (await log(job, attempt=1)).text] == ["try 2\n", "try 1\n"]
    third = await log(job, attempt=3)
    assert (third.status_code, third.json()["detail"]) == (404, "task a has no attempt 3: its newest is 2")


async def test_secrets_are_masked_in_every_form_and_across_every_border(machine: Machine, log: Get) -> None:
    await machine.secret("TOKEN", SECRET)
    encoded = base64.b64encode(SECRET.encode()).decode()
    command = f"printf 'x%s|%s|y' $TOKEN {encoded}"
    job = await machine.run(command, environment={"image": "p", "envs": {"TOKEN": "${{ secrets.TOKEN }}"}})
    shown = f"x{'*' * len(SECRET)}|{'*' * len(encoded)}|y"
    whole = (await log(job)).text
    assert whole == shown
    for size in (5, 32):
        pages = [(await log(job, offset=at, limit=size)).text for at in range(0, len(shown), size)]
        assert "".join(pages) == shown
    assert (await log(job, headers={"range": "bytes=3-9"})).text == shown[3:10]
    assert (await log(job, follow="true", offset=5)).text == shown[5:]


async def test_a_running_log_ends_before_what_may_become_a_secret(machine: Machine, log: Get, tmp_path: Path) -> None:
    await machine.secret("TOKEN", SECRET)
    job = await machine.running(
        f"printf 'said {SECRET[:9]}'; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; printf '{SECRET[9:]}!'"
    )

    async def begun() -> str:
        answer = await log(job)
        assert answer.headers["log-is-final"] == "false"
        return str(answer.text)

    assert await eventually(begun) == "said "
    assert (await log(job, headers={"range": "bytes=1-2"})).headers["content-range"] == "bytes 1-2/*"
    (tmp_path / "go").touch()
    await machine.engine.ended(job)
    assert (await log(job)).text == f"said {'*' * len(SECRET)}!"


async def test_following_brings_all_that_is_written_and_ends_with_the_attempt(
    machine: Machine, address: str, tmp_path: Path
) -> None:
    """From before the task has begun, byte for byte, in whatever pieces it comes."""
    held = await machine.running(
        f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done", name="first", resources={"cpu": 4, "mem": "64m"}
    )
    job = await machine.start(
        "for n in $(seq 300); do echo line $n; [ $((n % 60)) = 0 ] && sleep 0.05; done; echo \u00e9nd"
    )
    expected = "".join(f"line {n}\n" for n in range(1, 301)) + "\u00e9nd\n"
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        text = asyncio.create_task(client.get(f"/api/v1/jobs/{job}/tasks/a/logs", params={"follow": "true"}))
        async with followed(address, f"/api/v1/jobs/{job}/tasks/a/logs", follow="true") as events:
            (tmp_path / "go").touch()
            sent = [s async for s in events]
        assert (await text).text == expected
    assert [s.kind for s in sent[:-1]] == ["log"] * (len(sent) - 1)
    assert "".join(s.data["text"] for s in sent[:-1]) == expected
    assert [s.data["offset"] for s in sent[1:-1]] == [s.data["next_offset"] for s in sent[:-2]]
    assert [s.id for s in sent[:-1]] == [str(s.data["next_offset"]) for s in sent[:-1]]
    assert (sent[-1].kind, sent[-1].data["code"], sent[-1].data["retryable"]) == ("end", "LOG_COMPLETE", False)
    await machine.engine.ended(held)


async def test_one_who_comes_back_goes_on_at_their_offset(machine: Machine, address: str, tmp_path: Path) -> None:
    job = await machine.running(f"echo one; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; echo two")
    path = f"/api/v1/jobs/{job}/tasks/a/logs"
    async with followed(address, path, follow="true") as events:
        first = await anext(events)
    (tmp_path / "go").touch()
    async with followed(address, path, {"last-event-id": first.id or ""}, follow="true", tail="0") as events:
        assert [s.data.get("text") for s in [s async for s in events]] == ["two\n", None]


async def test_a_character_is_never_cut(machine: Machine, address: str, tmp_path: Path) -> None:
    job = await machine.running(
        f"printf '\\303'; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; printf '\\251\\377'"
    )
    async with followed(address, f"/api/v1/jobs/{job}/tasks/a/logs", follow="true") as events:
        (tmp_path / "go").touch()
        assert "".join([s.data.get("text", "") async for s in events]) == "\u00e9\ufffd"


async def test_a_task_that_never_ran_has_an_empty_log_that_is_final(
    machine: Machine, log: Get, client: httpx.AsyncClient
) -> None:
    job = await machine.engine.submit(a_file({"a": "", "b": "a"}, a={"command": "exit 3"}))
    await machine.engine.ended(job)
    for follow in ("false", "true"):
        answer = await log(job, "b", follow=follow)
        assert (answer.status_code, answer.text, answer.headers["log-attempt"]) == (200, "", "0")
    assert (await log(job, "b")).headers["log-is-final"] == "true"


async def test_a_log_that_was_pruned_says_so(machine: Machine, log: Get, settings: Settings, address: str) -> None:
    job = await machine.run("echo gone soon")
    [directory] = (settings.state_dir / "local" / "sessions").iterdir()
    directory.rename(settings.state_dir / "elsewhere")
    for params in ({}, {"tail": 3}, {"offset": 99}):
        answer = await log(job, **params)
        assert (answer.status_code, answer.json()["code"]) == (410, "LOG_PRUNED")
        assert "not kept any more" in answer.json()["detail"]
    async with followed(address, f"/api/v1/jobs/{job}/tasks/a/logs", follow="true") as events:
        assert [(s.kind, s.data["code"]) async for s in events] == [("end", "LOG_PRUNED")]


async def test_what_is_at_another_site_is_told_in_a_sentence(machine: Machine, log: Get, database: Database) -> None:
    job = await machine.run("echo here")
    await database.run(lambda db: db.execute("UPDATE job SET site = 'local:elsewhere'"))
    for follow in ("false", "true"):
        answer = await log(job, follow=follow)
        assert (answer.status_code, answer.json()["code"]) == (404, "FILES_ELSEWHERE")
        assert "local:elsewhere" in answer.json()["detail"]


@pytest.mark.parametrize("place", ["link", "pipe", "directory"])
async def test_a_log_that_a_task_has_replaced_is_not_followed_anywhere(
    machine: Machine, log: Get, settings: Settings, tmp_path: Path, place: str
) -> None:
    (tmp_path / "private").write_text("not yours")
    job = await machine.run("echo mine")
    [directory] = (settings.state_dir / "local" / "sessions").iterdir()
    (directory / "log").unlink()
    {"link": lambda p: p.symlink_to(tmp_path / "private"), "pipe": _pipe, "directory": Path.mkdir}[place](
        directory / "log"
    )
    answer = await log(job)
    assert (answer.status_code, answer.text) == (200, "")


def _pipe(path: Path) -> None:
    import os

    os.mkfifo(path)


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"tail": 1, "offset": 1}, "tail"),
        ({"follow": "true", "limit": 1}, "follow"),
        ({"offset": -1}, "offset"),
        ({"offset": 2**63}, "offset"),
        ({"tail": 100_001}, "tail"),
        ({"attempt": 0}, "attempt"),
        ({"lines": 1}, "lines"),
    ],
)
async def test_what_makes_no_sense_is_refused(engine: Engine, log: Get, params: dict[str, Any], word: str) -> None:
    job = await engine.submit(a_file({"a": ""}))
    answer = await log(job, **params)
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_INPUT")
    assert word in answer.json()["detail"]


async def test_foreign_and_unknown_logs_are_answered_alike(
    client: httpx.AsyncClient, engine: Engine, door: Door, database: Database
) -> None:
    job = await engine.submit(a_file({"a": ""}))
    door.now = eve()
    told = set()
    for identifier in (job, uuid4(), "x"):
        for follow in ("false", "true"):
            answer = await client.get(f"/api/v1/jobs/{identifier}/tasks/a/logs", params={"follow": follow})
            assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
            told.add(answer.json()["detail"].replace(str(identifier), "…"))
    assert len(told) == 1


@pytest.mark.parametrize("accept", ["text/plain", "text/event-stream"])
async def test_one_whose_access_is_taken_away_is_told_nothing_more(
    machine: Machine, address: str, door: Door, app: FastAPI, tmp_path: Path, accept: str
) -> None:
    app.state.parts.settings.__dict__["stream_access_interval"] = timedelta(seconds=0.1)
    door.now = eve(machine.project)
    job = await machine.running(f"echo one; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; echo two; sleep 60")
    async with following(address, job, accept) as lines:
        assert "one" in await anext(lines)
        door.now = Unauthenticated()
        await eventually(lambda: app.state.hub.open == 0)
        (tmp_path / "go").touch()
        rest = ""
        try:
            async for line in lines:
                rest += line
        except httpx.RemoteProtocolError:
            rest += " cut off"
    assert "two" not in rest
    assert ("UNAUTHENTICATED" if accept == "text/event-stream" else "cut off") in rest
    await machine.engine.cancel(job)


@asynccontextmanager
async def following(address: str, job: JobId, accept: str) -> AsyncIterator[AsyncIterator[str]]:
    async with (
        httpx.AsyncClient(base_url=address, timeout=20) as client,
        client.stream(
            "GET", f"/api/v1/jobs/{job}/tasks/a/logs", params={"follow": "true"}, headers={"accept": accept}
        ) as answer,
    ):
        yield answer.aiter_text()
