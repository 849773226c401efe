"""GraphQL subscriptions, over sockets and over server-sent events."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
from fastapi import FastAPI

from fasttrack.db import Database
from fasttrack.db.projects import ensure_project
from fasttrack.domain.access import Caller, Role
from fasttrack.domain.events import Event
from fasttrack.errors import Unauthenticated
from fasttrack.settings import Settings
from fasttrack_api.graphql.ids import Kind, to_global
from tests.api.streams.sockets import introduced
from tests.api.streams.writing import Writer
from tests.engine import Engine
from tests.factories import a_file
from tests.waiting import eventually

EVENTS = """subscription ($job: ID, $after: String, $states: [String!]) {
  events(job: $job, after: $after, states: $states) { cursor events { cursor seq kind task payload } } }"""
TRANSITIONS = """subscription ($job: ID!, $after: String) { taskInstanceTransitions(job: $job, after: $after) {
  cursor transitions { seq task fromState toState attempt reason } } }"""
PROGRESS = """subscription ($job: ID!) { jobProgress(job: $job) { cursor state tasks counts { state count } } }"""
WINDOW = """subscription ($job: ID!, $tasks: [ID!], $layers: LayerRange) {
  jobWindow(job: $job, tasks: $tasks, layers: $layers) {
    cursor isSnapshot state counts { state count } tasks { name index layer state }
    layers { first last counts { state count } } } }"""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    quick = {
        "stream_bookmark_interval": timedelta(seconds=0.3),
        "stream_access_interval": timedelta(seconds=0.2),
        "stream_gather_interval": timedelta(seconds=0.1),
    }
    return settings.model_copy(update=quick)


def counts(found: Any) -> dict[str, int]:
    return {c["state"]: c["count"] for c in found}


async def test_a_client_lists_then_subscribes_and_resumes_with_any_cursor(address: str, writer: Writer) -> None:
    job = await writer.job()
    start = str(await writer.here())
    await writer.tell(job, 3)
    seen = []
    async with introduced(address) as socket:
        await socket.subscribe(EVENTS, job=to_global(Kind.JOB, job), after=start)
        batch = (await socket.next())["events"]
        seen += [e["seq"] for e in batch["events"][:2]]
        assert batch["events"][0]["payload"] == {"from": "READY", "to": "RUNNING", "n": 1}
    async with introduced(address) as socket:
        await socket.subscribe(EVENTS, job=to_global(Kind.JOB, job), after=batch["events"][1]["cursor"])
        await writer.tell(job, 2)
        while len(seen) < 5:
            seen += [e["seq"] for e in (await socket.next())["events"]["events"]]
        bookmark = (await socket.next())["events"]
    assert (seen, bookmark["events"]) == ([1, 2, 3, 4, 5], [])
    assert bookmark["cursor"] == str(await writer.here())


async def test_transitions_are_those_of_tasks(address: str, writer: Writer) -> None:
    job = await writer.job()
    async with introduced(address) as socket:
        await socket.subscribe(TRANSITIONS, job=to_global(Kind.JOB, job), after=str(await writer.here()))
        await writer.tell(job, 1, attempt=1)
        noted = writer.events(job, 1)[0]
        await writer.write([Event(job, noted.seq, "task.noted", noted.at, 1, {"reason": "waits"})])
        await writer.tell(job, 1, to="FAILED", attempt=1, reason="exit code 3")
        got: list[Any] = []
        while len(got) < 2:
            got += (await socket.next())["taskInstanceTransitions"]["transitions"]
    first = {"seq": 1, "task": "task-1", "fromState": "READY", "toState": "RUNNING", "attempt": 1, "reason": None}
    assert got == [first, first | {"seq": 3, "task": "task-0", "toState": "FAILED", "reason": "exit code 3"}]


async def test_progress_follows_a_real_job_to_its_end(
    address: str, engine: Engine, settings: Settings, doorbell: Any
) -> None:
    engine.doorbell = doorbell
    job = await engine.submit(a_file({"a": "", "b": "a", "c": "a", "d": "b c"}))
    async with introduced(address) as socket:
        await socket.subscribe(PROGRESS, job=to_global(Kind.JOB, job))
        first = (await socket.next())["jobProgress"]
        assert (first["state"], first["tasks"], counts(first["counts"])) == ("PENDING", 4, {"READY": 1, "PENDING": 3})
        async with engine.scheduling():
            while (message := await socket.receive())["type"] == "next":
                last = message["payload"]["data"]["jobProgress"]
                assert sum(counts(last["counts"]).values()) == 4
    assert message == {"type": "complete", "id": "1"}
    assert (last["state"], counts(last["counts"])) == ("SUCCEEDED", {"SUCCEEDED": 4})


async def test_progress_is_gathered(address: str, writer: Writer) -> None:
    job = await writer.job(tasks=3)
    async with introduced(address) as socket:
        await socket.subscribe(PROGRESS, job=to_global(Kind.JOB, job))
        await socket.next()
        began = asyncio.get_running_loop().time()
        for _ in range(100):
            await writer.tell(job, 3)
        await writer.tell(job, 3, to="SUCCEEDED")
        messages, last = 0, None
        while last != {"SUCCEEDED": 3}:
            last = counts((await socket.next())["jobProgress"]["counts"])
            messages += 1
        took = asyncio.get_running_loop().time() - began
    assert messages <= took / 0.1 + 2, "303 changes, but a message every 0.1 seconds at most"


async def test_a_window_shows_its_tasks_and_counts_the_rest(address: str, engine: Engine, doorbell: Any) -> None:
    engine.doorbell = doorbell
    graph = {"a": "", **{f"b{n}": "a" for n in range(5)}, "c": " ".join(f"b{n}" for n in range(5))}
    job = await engine.submit(a_file(graph))
    tasks: dict[str, str] = {}
    bands: dict[int, dict[str, int]] = {}
    async with introduced(address) as socket:
        await socket.subscribe(WINDOW, job=to_global(Kind.JOB, job), layers={"first": 1, "last": 1})
        snapshot = (await socket.next())["jobWindow"]
        assert snapshot["isSnapshot"]
        assert [(t["name"], t["layer"], t["state"]) for t in snapshot["tasks"]] == [
            (f"b{n}", 1, "PENDING") for n in range(5)
        ]
        assert snapshot["layers"] == [
            {"first": 0, "last": 0, "counts": [{"state": "READY", "count": 1}]},
            {"first": 2, "last": 2, "counts": [{"state": "PENDING", "count": 1}]},
        ]
        async with engine.scheduling():
            while (message := await socket.receive())["type"] == "next":
                seen = message["payload"]["data"]["jobWindow"]
                assert not seen["isSnapshot"]
                tasks |= {t["name"]: t["state"] for t in seen["tasks"]}
                bands |= {b["first"]: counts(b["counts"]) for b in seen["layers"]}
    assert tasks == {f"b{n}": "SUCCEEDED" for n in range(5)}
    assert bands == {0: {"SUCCEEDED": 1}, 2: {"SUCCEEDED": 1}}
    assert (seen["state"], counts(seen["counts"])) == ("SUCCEEDED", {"SUCCEEDED": 7})


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        (EVENTS, {"after": "nonsense"}, "CURSOR_INVALID"),
        (EVENTS, {"job": "nonsense"}, "NOT_FOUND"),
        (EVENTS, {"states": ["DANCING"]}, "INVALID_INPUT"),
        (TRANSITIONS, {"job": str(uuid4())}, "NOT_FOUND"),
        (PROGRESS, {"job": str(uuid4())}, "NOT_FOUND"),
        (WINDOW, {"job": str(uuid4()), "layers": {"first": 0, "last": 0}}, "NOT_FOUND"),
    ],
)
async def test_what_cannot_be_followed_is_a_typed_error(
    address: str, app: FastAPI, query: str, variables: dict[str, Any], code: str
) -> None:
    async with introduced(address) as socket:
        await socket.subscribe(query, **variables)
        message = await socket.receive()
        error = (message["payload"] if message["type"] == "error" else message["payload"]["errors"])[0]
        assert error["extensions"] == {"code": code, "retryable": False}
        assert app.state.hub.open == 0 if hasattr(app.state, "hub") else True


@pytest.mark.parametrize(
    "window", [{}, {"tasks": [], "layers": {"first": 0, "last": 1}}, {"tasks": ["x"]}, {"tasks": ["x"] * 501}]
)
async def test_a_window_that_makes_no_sense_is_refused(
    address: str, engine: Engine, app: FastAPI, window: dict[str, Any]
) -> None:
    job = await engine.submit(a_file({"a": ""}))
    async with introduced(address) as socket:
        await socket.subscribe(WINDOW, job=to_global(Kind.JOB, job), **window)
        message = await socket.receive()
        error = (message["payload"] if message["type"] == "error" else message["payload"]["errors"])[0]
        assert error["extensions"]["code"] == "INVALID_INPUT"
    await eventually(lambda: app.state.hub.open == 0)


class Door:
    """Decides who calls by what they show."""

    def __init__(self) -> None:
        self.known: dict[str, Caller] = {}

    async def __call__(self, connection: Any) -> Caller:
        caller = self.known.get(connection.headers.get("authorization", ""))
        if caller is None:
            raise Unauthenticated
        return caller


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    made = Door()
    monkeypatch.setattr("fasttrack_api.auth.caller_of", made)
    return made


async def test_s14_a_foreign_job_is_refused_and_a_lost_one_ends_within_five_seconds(
    address: str, app: FastAPI, writer: Writer, door: Door, database: Database
) -> None:
    second = await database.run(lambda db: ensure_project(db, "second"))
    eve = Caller(uuid4(), "eve", roles={second: Role.VIEWER})
    door.known["Bearer eve"] = eve
    mine, theirs = await writer.job(project=second), await writer.job()
    async with introduced(address, {"Authorization": "Bearer eve"}) as socket:
        await socket.subscribe(EVENTS, job=to_global(Kind.JOB, theirs))
        assert (await socket.receive())["payload"]["errors"][0]["extensions"]["code"] == "NOT_FOUND"
        assert await socket.receive() == {"type": "complete", "id": "1"}
        await socket.subscribe(EVENTS, number="2")
        await socket.subscribe(EVENTS, number="3", job=to_global(Kind.JOB, mine))
        await eventually(lambda: hasattr(app.state, "hub") and app.state.hub.open == 2)
        await writer.tell(theirs)
        await writer.tell(mine)
        heard: list[Any] = []
        while len(heard) < 2:
            message = await socket.receive()
            heard += [(message["id"], m["seq"]) for m in message["payload"]["data"]["events"]["events"]]
        assert sorted(heard) == [("2", 1), ("3", 1)], "each heard of their own job, and neither of the other"
        door.known["Bearer eve"] = Caller(eve.account_id, "eve")
        ended = {}
        while set(ended) != {"3"}:
            message = await socket.receive()
            if errors := message.get("payload", {}).get("errors"):
                ended[message["id"]] = errors[0]["extensions"]["code"]
        del door.known["Bearer eve"]
        while "2" not in ended:
            message = await socket.receive()
            if errors := message.get("payload", {}).get("errors"):
                ended[message["id"]] = errors[0]["extensions"]["code"]
    assert ended == {"3": "NOT_FOUND", "2": "UNAUTHENTICATED"}


async def test_over_server_sent_events_as_well(address: str, writer: Writer) -> None:
    job = await writer.job()
    body = {"query": EVENTS, "variables": {"job": to_global(Kind.JOB, job), "after": str(await writer.here())}}
    await writer.tell(job, 2)
    lines = []
    async with (
        httpx.AsyncClient(base_url=address, timeout=10) as client,
        client.stream("POST", "/graphql", json=body, headers={"accept": "text/event-stream"}) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            lines.append(line)
            if line.startswith("data: {"):
                break
    assert "event: next" in lines
    data = orjson.loads(lines[-1].removeprefix("data: "))["data"]["events"]
    assert [e["seq"] for e in data["events"]] == [1, 2]
