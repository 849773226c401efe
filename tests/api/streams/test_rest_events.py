"""Events over REST: pages, then server-sent events by the same cursor."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from fasttrack.db import Database
from fasttrack.db.projects import ensure_project
from fasttrack.domain.access import Caller, Role
from fasttrack.errors import Unauthenticated
from fasttrack.feed import Cursor
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from tests.api.streams.sse import Sent, followed
from tests.api.streams.writing import Writer
from tests.waiting import eventually


@pytest.fixture
def settings(settings: Settings) -> Settings:
    quick = {"stream_bookmark_interval": timedelta(seconds=0.3), "stream_access_interval": timedelta(seconds=0.2)}
    return settings.model_copy(update=quick)


async def take(events: Any, count: int) -> list[Sent]:
    """The next so many events that are no bookmark."""
    got: list[Sent] = []
    async with asyncio.timeout(20):
        while len(got) < count:
            sent = await anext(events)
            if sent.kind != "bookmark":
                got.append(sent)
    return got


async def test_a_client_lists_pages_and_then_follows(client: httpx.AsyncClient, address: str, writer: Writer) -> None:
    job = await writer.job()
    await writer.tell(job, 7)
    pages: list[Any] = []
    after = None
    while not pages or pages[-1]["has_more"]:
        params = {"limit": 3} | ({"after": after} if after else {})
        pages.append((await client.get("/api/v1/events", params=params)).json())
        after = pages[-1]["next"]
    assert [[e["seq"] for e in p["events"]] for p in pages] == [[1, 2, 3], [4, 5, 6], [7]]
    first = pages[0]["events"][0]
    assert first.keys() == {
        *("cursor", "project_id", "pipeline_id", "job_id", "seq", "kind", "at", "task", "task_instance_id", "payload")
    }
    assert (first["job_id"], first["kind"], first["task"]) == (str(job), "task.running", "task-1")
    assert first["payload"] == {"from": "READY", "to": "RUNNING", "n": 1}
    await writer.tell(job, 2)
    async with followed(address, "/api/v1/events", after=after) as events:
        missed = await take(events, 2)
        await writer.tell(job)
        live = await take(events, 1)
    assert [s.data["seq"] for s in (*missed, *live)] == [8, 9, 10]
    assert [s.id for s in missed] == [s.data["cursor"] for s in missed]


async def test_last_event_id_goes_before_the_address(address: str, writer: Writer) -> None:
    """A browser that reconnects asks for the same address again, and says in the header how far it was."""
    job = await writer.job()
    old = await writer.here()
    await writer.tell(job, 3)
    async with followed(address, "/api/v1/events", after=str(old)) as events:
        first = await take(events, 2)
    headers = {"last-event-id": first[1].id or ""}
    async with followed(address, "/api/v1/events", headers, after=str(old)) as events:
        assert [s.data["seq"] for s in await take(events, 1)] == [3]


async def test_without_a_cursor_it_begins_now_and_a_job_with_its_first_event(address: str, writer: Writer) -> None:
    job = await writer.job()
    await writer.tell(job, 2)
    async with (
        followed(address, "/api/v1/events") as new,
        followed(address, f"/api/v1/jobs/{job}/events") as whole,
    ):
        await writer.tell(job)
        assert [s.data["seq"] for s in await take(new, 1)] == [3]
        assert [s.data["seq"] for s in await take(whole, 3)] == [1, 2, 3]


async def test_a_quiet_stream_sends_bookmarks_and_then_comments(address: str, writer: Writer) -> None:
    job, other = await writer.job(), await writer.job()
    lines: list[str] = []
    async with (
        httpx.AsyncClient(base_url=address, timeout=10) as client,
        client.stream("GET", f"/api/v1/jobs/{job}/events", headers={"accept": "text/event-stream"}) as answer,
    ):
        assert answer.headers["cache-control"] == "no-store"
        async for line in answer.aiter_lines():
            lines.append(line)
            if line == ": nothing new" and lines.count(line) == 1:
                await writer.tell(other, 5)
            if lines.count("event: bookmark") == 2:
                break
    assert lines[0] == "retry: 2000"
    assert lines.index("event: bookmark") < lines.index(": nothing new")
    last = max(i for i, line in enumerate(lines) if line.startswith("id: "))
    assert Cursor.parse(lines[last].removeprefix("id: ")) == await writer.here()


async def test_filters_hold_for_pages_and_streams(
    client: httpx.AsyncClient, address: str, writer: Writer, database: Database
) -> None:
    second = await database.run(lambda db: ensure_project(db, "second"))
    mine, theirs = await writer.job(), await writer.job(project=second)
    start = str(await writer.here())
    for job in (mine, theirs):
        await writer.tell(job, 2)
        await writer.tell(job, 1, to="FAILED")

    async def seen(**params: Any) -> list[tuple[str, int]]:
        page = (await client.get("/api/v1/events", params=params)).json()
        pairs = [(e["job_id"], e["seq"]) for e in page["events"]]
        async with followed(address, "/api/v1/events", after=start, **params) as events:
            assert [(s.data["job_id"], s.data["seq"]) for s in await take(events, len(pairs))] == pairs
        return pairs

    assert await seen(project="second") == [(str(theirs), n) for n in (1, 2, 3)]
    assert await seen(project=str(second), state="FAILED") == [(str(theirs), 3)]
    assert await seen(job=str(mine), kind="task.running") == [(str(mine), 1), (str(mine), 2)]
    assert await seen(state="failed") == [(str(mine), 3), (str(theirs), 3)]


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"after": "nonsense"}, 422, "CURSOR_INVALID"),
        ({"after": "é" * 50}, 422, "CURSOR_INVALID"),
        ({"after": "x" * 201}, 422, "INVALID_INPUT"),
        ({"after": str(Cursor(uuid4(), 0))}, 410, "CURSOR_EXPIRED"),
        ({"job": str(uuid4())}, 404, "NOT_FOUND"),
        ({"job": "' OR 1=1 --"}, 404, "NOT_FOUND"),
        ({"pipeline": str(uuid4())}, 404, "NOT_FOUND"),
        ({"project": "nowhere"}, 404, "NOT_FOUND"),
        ({"project": "\x00"}, 400, "HTTP_400"),
        ({"kind": "task.dancing"}, 422, "INVALID_INPUT"),
        ({"state": "\ud800".encode("utf-8", "surrogatepass")}, 422, "INVALID_INPUT"),
        ({"state": ["FAILED"] * 65}, 422, "INVALID_INPUT"),
        ({"limit": "0"}, 422, "INVALID_INPUT"),
        ({"limit": "1000000000"}, 422, "INVALID_INPUT"),
    ],
)
async def test_what_cannot_be_followed_is_refused_before_anything_is_sent(
    client: httpx.AsyncClient, app: FastAPI, params: dict[str, Any], status: int, code: str, accept: str
) -> None:
    answer = await client.get("/api/v1/events", params=params, headers={"accept": accept})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert not hasattr(app.state, "hub") or app.state.hub.open == 0


async def test_a_removed_stretch_is_refused_with_what_to_do(
    client: httpx.AsyncClient, writer: Writer, database: Database
) -> None:
    job = await writer.job()
    start = await writer.here()
    await writer.tell(job, 3)
    await database.run(lambda db: db.execute("UPDATE project SET pruned_pos = $1", start.pos + 1))
    for accept in ("application/json", "text/event-stream"):
        answer = await client.get("/api/v1/events", params={"after": str(start)}, headers={"accept": accept})
        assert (answer.status_code, answer.json()["code"]) == (410, "CURSOR_EXPIRED")
        assert "list again" in answer.json()["detail"]
    kept = (await client.get("/api/v1/events")).json()
    assert [e["seq"] for e in kept["events"]] == [1, 2, 3], "without a cursor, whatever is kept"


class Door:
    """Decides who calls, for every connection of the application."""

    def __init__(self) -> None:
        self.now: Caller | Exception = Unauthenticated()

    async def __call__(self, connection: Any) -> Caller:
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    made = Door()
    monkeypatch.setattr("fasttrack_api.auth.caller_of", made)
    return made


def eve(*projects: ProjectId) -> Caller:
    return Caller(uuid4(), "eve", roles=dict.fromkeys(projects, Role.VIEWER))


async def test_foreign_and_unknown_jobs_are_answered_alike(
    client: httpx.AsyncClient, writer: Writer, database: Database, door: Door
) -> None:
    door.now = eve(await database.run(lambda db: ensure_project(db, "second")))
    job = await writer.job()
    await writer.tell(job)
    answers = [
        (await client.get(path, params=params, headers={"accept": accept})).json() | {"request_id": ""}
        for accept in ("application/json", "text/event-stream")
        for path, params in [
            (f"/api/v1/jobs/{job}/events", {}),
            (f"/api/v1/jobs/{uuid4()}/events", {}),
            ("/api/v1/events", {"job": str(job)}),
        ]
    ]
    assert answers == [answers[0]] * 6
    assert answers[0]["code"] == "NOT_FOUND"
    everything = (await client.get("/api/v1/events")).json()
    assert everything["events"] == []


async def test_a_revoked_token_ends_its_streams_with_a_reason(address: str, writer: Writer, door: Door) -> None:
    door.now = eve(writer.project)
    job = await writer.job()
    async with followed(address, "/api/v1/events") as events:
        await writer.tell(job)
        await take(events, 1)
        door.now = Unauthenticated()
        began = asyncio.get_running_loop().time()
        last = (await take(events, 1))[0]
        took = asyncio.get_running_loop().time() - began
        assert [s async for s in events] == []
    assert (last.kind, last.data["code"], last.data["retryable"]) == ("end", "UNAUTHENTICATED", False)
    assert took < 1, "with a look every 0.2 seconds; every 2 by default"


async def test_one_who_is_put_out_of_the_project_is_told_as_if_there_were_no_job(
    address: str, writer: Writer, door: Door
) -> None:
    door.now = caller = eve(writer.project)
    job = await writer.job()
    async with followed(address, f"/api/v1/jobs/{job}/events") as events:
        await anext(events)  # a bookmark
        door.now = Caller(caller.account_id, "eve")
        assert (await take(events, 1))[0].data["code"] == "NOT_FOUND"


async def test_too_many_streams_are_refused(
    address: str, client: httpx.AsyncClient, app: FastAPI, writer: Writer
) -> None:
    async with followed(address, "/api/v1/events") as events:
        await anext(events)
        app.state.hub._settings = app.state.hub._settings.model_copy(update={"stream_limit_per_token": 1})
        answer = await client.get("/api/v1/events", headers={"accept": "text/event-stream"})
        assert (answer.status_code, answer.json()["code"]) == (429, "TOO_MANY_STREAMS")
        assert app.state.hub.open == 1
    await eventually(lambda: app.state.hub.open == 0)


async def test_a_client_that_takes_nothing_delays_nobody_and_is_let_go(
    address: str, app: FastAPI, writer: Writer, settings: Settings
) -> None:
    app.state.parts.settings.__dict__["stream_send_timeout"] = timedelta(seconds=1)
    job = await writer.job()
    host, port = address.removeprefix("http://").split(":")
    _, socket = await asyncio.open_connection(host, int(port), limit=1024)
    socket.write(b"GET /api/v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n\r\n")
    async with followed(address, "/api/v1/events") as events:
        await anext(events)
        await eventually(lambda: app.state.hub.open == 2)
        slow = next(iter(app.state.hub._streams))
        held = 0
        for n in range(1, 121):
            await writer.tell(job, 10, padding="x" * 10_000)
            got = await take(events, 10)
            assert [s.data["seq"] for s in got] == list(range(10 * n - 9, 10 * n + 1))
            held = max(held, slow.held[0])
        assert held <= 2**20
        await eventually(lambda: app.state.hub.open == 1, within=10)
    socket.close()
