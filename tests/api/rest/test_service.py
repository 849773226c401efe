"""The service itself: health, figures, slow clients, and an end in order."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp

from fasttrack.db import Database, connect
from fasttrack.doorbell import Doorbell
from fasttrack.errors import InvalidInput, Unavailable
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from fasttrack_api.app import create_app
from fasttrack_api.parts import Parts
from fasttrack_api.server import PortTaken, address_of, listen, serving
from tests.api.rest.conftest import problem_of
from tests.api.streams.sockets import introduced
from tests.cli.command_line import a_process
from tests.waiting import eventually


@asynccontextmanager
async def served(app: ASGIApp, settings: Settings, **changes: Any) -> AsyncIterator[tuple[str, int]]:
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    async with serving(app, settings.model_copy(update=changes), listening, patience=1):
        yield "127.0.0.1", port


async def test_it_waits_for_the_database_and_says_so(
    settings: Settings, app: FastAPI, client: httpx.AsyncClient, database_url: str
) -> None:
    parts: Parts = app.state.parts
    away = connect("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    app.state.parts = Parts(settings, away, parts.doorbell, parts.box, parts.clock)
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "waiting", "waits_for": ["database"], "without": []})
    assert (await client.get("/healthz")).status_code == 200
    refused = await client.get("/api/v1/jobs")
    assert problem_of(refused, 503, "UNAVAILABLE")["retryable"] is True
    assert refused.headers["retry-after"] == "2"
    await away.close()


async def test_it_waits_for_the_schema_and_works_without_valkey(
    settings: Settings, app: FastAPI, client: httpx.AsyncClient, database: Database
) -> None:
    parts: Parts = app.state.parts
    deaf = Doorbell("redis://127.0.0.1:1")
    app.state.parts = Parts(settings, database, deaf, parts.box, parts.clock)
    assert (await client.get("/readyz")).json() == {"status": "ok", "waits_for": [], "without": ["valkey"]}
    async with database.transaction() as db:
        await db.execute("UPDATE alembic_version SET version_num = '0001'")
    assert (await client.get("/readyz")).json()["waits_for"] == ["schema"]
    async with database.transaction() as db:
        await db.execute("DROP TABLE alembic_version")
    assert (await client.get("/readyz")).status_code == 503
    await deaf.close()


async def test_figures_have_the_routes_template_and_are_for_loopback_or_a_token(
    client: httpx.AsyncClient, app: FastAPI, settings: Settings, project: ProjectId
) -> None:
    await client.get("/api/v1/jobs/0")
    await client.get("/api/v1/jobs")
    text = (await client.get("/metrics")).text
    assert re.search(
        r'fasttrack_http_requests_total\{method="GET",route="/api/v1/jobs/\{job\}",status="404"\} \d', text
    )
    assert re.search(r'fasttrack_http_request_seconds_bucket\{le="0.5",method="GET",route="/api/v1/jobs"\} \d', text)
    assert re.search(r'fasttrack_http_open\{kind="http"\} 1', text)
    assert "fasttrack_database_connections 0.0" in text
    parts: Parts = app.state.parts
    transport = httpx.ASGITransport(app, client=("203.0.113.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://far.example") as far:
        assert (await far.get("/metrics")).status_code == 404
        told = settings.model_copy(update={"api_metrics_token": SecretStr("m" * 20)})
        app.state.parts = Parts(told, parts.database, parts.doorbell, parts.box, parts.clock)
        for sent, status in (("", 404), ("Bearer no", 404), ("Basic " + "m" * 20, 404), ("bearer " + "m" * 20, 200)):
            assert (await far.get("/metrics", headers={"Authorization": sent})).status_code == status


async def read_all(reader: asyncio.StreamReader, within: float) -> bytes:
    async with asyncio.timeout(within):
        return await reader.read()


@pytest.mark.parametrize("sent", [b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\nX-A: b\r\n"])
async def test_a_head_that_never_ends_is_not_waited_for(app: FastAPI, settings: Settings, sent: bytes) -> None:
    async with served(app, settings, api_request_timeout=timedelta(seconds=0.3)) as place:
        reader, writer = await asyncio.open_connection(*place)
        writer.write(sent)
        assert await read_all(reader, within=5) == b""
        writer.close()


async def test_a_head_that_trickles_after_a_first_request_is_not_waited_for_either(
    app: FastAPI, settings: Settings
) -> None:
    async with served(app, settings, api_request_timeout=timedelta(seconds=0.3)) as place:
        reader, writer = await asyncio.open_connection(*place)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.readuntil(b"}")).endswith(b'{"status":"ok"}')
        began = time.monotonic()

        async def trickle() -> None:
            for byte in b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 1000:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.05)

        trickling = asyncio.create_task(trickle())
        await read_all(reader, within=5)
        assert time.monotonic() - began < 3
        trickling.cancel()
        await asyncio.gather(trickling, return_exceptions=True)
        writer.close()


async def test_a_head_of_any_size_is_not_taken(app: FastAPI, settings: Settings) -> None:
    async with served(app, settings) as place:
        reader, writer = await asyncio.open_connection(*place)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 65_600)
        assert (await read_all(reader, within=5)).startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_a_body_that_trickles_is_not_waited_for_while_others_are_served(
    app: FastAPI, database: Database, project: ProjectId, settings: Settings
) -> None:
    slow = settings.model_copy(update={"api_request_timeout": timedelta(seconds=0.5)})
    own = create_app(slow, given=app.state.parts)
    async with served(own, slow) as place:
        head = b"POST /api/v1/pipelines/x/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        idle = []
        for _ in range(200):
            idle.append(await asyncio.open_connection(*place))
            idle[-1][1].write(head)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{place[1]}") as client:
            assert (await client.get("/api/v1/projects")).status_code == 200
        answers = await asyncio.gather(*(read_all(reader, within=20) for reader, _ in idle))
        assert {a.split(b"\r\n")[0] for a in answers} == {b"HTTP/1.1 408 Request Timeout"}
        for _, writer in idle:
            writer.close()


async def test_what_is_no_http_is_refused_without_a_trace(app: FastAPI, settings: Settings) -> None:
    async with served(app, settings) as place:
        for sent in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 100):
            reader, writer = await asyncio.open_connection(*place)
            writer.write(sent + b"\r\n\r\n")
            assert (await read_all(reader, within=5)).startswith(b"HTTP/1.1 400 ")
            writer.close()


async def test_what_a_peer_says_of_itself_is_not_believed(app: FastAPI, settings: Settings) -> None:
    seen: list[str] = []

    async def spy(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append(scope["client"][0])
        await app(scope, receive, send)

    for trusted in ([], ["127.0.0.1"]):
        async with served(spy, settings, api_trusted_proxies=trusted) as (_, port), httpx.AsyncClient() as client:
            await client.get(f"http://127.0.0.1:{port}/healthz", headers={"X-Forwarded-For": "203.0.113.7"})
    assert seen == ["127.0.0.1", "203.0.113.7"]


async def test_streams_end_by_themselves_when_the_server_does(
    app: FastAPI, settings: Settings, project: ProjectId
) -> None:
    query = {"query": "subscription { events { cursor } }"}
    async with AsyncExitStack() as stack:
        listening = listen("127.0.0.1", 0)
        address = address_of(listening)
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=address))
        patience = 20  # whatever is not over by itself is waited for until the test has run out of time
        async with serving(app, settings, listening, patience=patience):
            feed = await stack.enter_async_context(
                client.stream("GET", "/api/v1/events", headers={"Accept": "text/event-stream"})
            )
            answers = await stack.enter_async_context(
                client.stream("POST", "/graphql", json=query, headers={"Accept": "text/event-stream"})
            )
            socket = await stack.enter_async_context(introduced(address))
            await socket.subscribe(query["query"])
            await eventually(lambda: app.state.hub.open == 3)
            began = time.monotonic()
        assert time.monotonic() - began < 5
        told = (await feed.aread()).decode()
        assert told.startswith("retry: 2000\n\n")
        assert '\nevent: end\ndata: {"code":"UNAVAILABLE",' in "\n" + told
        assert '"retryable":true}' in told
        told = (await answers.aread()).decode()
        assert '"code":"UNAVAILABLE"' in told
        assert told.split()[-3:] == ["event:", "complete", "data:"]
        messages = [await socket.receive() for _ in range(2)]
        assert [m["type"] for m in messages] == ["next", "complete"]
        assert messages[0]["payload"]["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
        assert await socket.closed() == 1012
        with pytest.raises(Unavailable):
            await app.state.hub.subscribe(None, None, after=None)


async def test_a_message_over_a_socket_has_so_many_bytes(app: FastAPI, settings: Settings, project: ProjectId) -> None:
    async with (
        served(app, settings, socket_message_bytes=2048) as (_, port),
        introduced(f"http://127.0.0.1:{port}") as socket,
    ):
        await socket.subscribe("{ viewer { name } }" + " " * 1500)
        assert (await socket.next())["viewer"]["name"] == "owner"
        await socket.subscribe("{ viewer { name } }" + " " * 2500, number="2")
        assert await socket.closed() == 1009


async def test_the_api_describes_itself_unless_it_is_told_not_to(app: FastAPI, settings: Settings) -> None:
    pages = ("/docs", "/graphql/ui", "/api/v1/openapi.json", "/static/docs.js", "/")
    closed_settings = settings.model_copy(update={"api_docs": False})
    parts = replace(app.state.parts, settings=closed_settings)
    closed = create_app(closed_settings, given=parts)
    closed.state.parts = parts
    for served_app, status in ((app, {200, 307}), (closed, {404})):
        transport = httpx.ASGITransport(served_app, client=("203.0.113.9", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://fasttrack.example.com") as stranger:
            assert {(await stranger.get(page)).status_code for page in pages} == status
            about = (await stranger.get("/api/v1")).json()
            assert (about["docs"], about["openapi"]) == (
                ("/docs", "/api/v1/openapi.json") if served_app is app else (None, None)
            )


async def test_an_open_stream_is_cut_off_at_the_end(app: FastAPI, settings: Settings) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x\n"
            await asyncio.sleep(0.05)

    @app.get("/endless")
    async def stream() -> StreamingResponse:
        return StreamingResponse(endless())

    async with served(app, settings) as place:
        reader, writer = await asyncio.open_connection(*place)
        writer.write(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"x\n")
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert not (await read_all(reader, within=2)).endswith(b"0\r\n\r\n"), "what was cut off must not look whole"
    writer.close()


def test_a_port_that_is_taken_is_said_in_a_sentence() -> None:
    first = listen("127.0.0.1", 0)
    port = first.getsockname()[1]
    assert address_of(first) == f"http://127.0.0.1:{port}"
    with pytest.raises(
        PortTaken, match=f"port {port} of 127.0.0.1 is taken by another process: set FASTTRACK_API_PORT"
    ):
        listen("127.0.0.1", port)
    first.close()
    with pytest.raises(InvalidInput, match="cannot listen on"):
        listen("203.0.113.1", 0)


@pytest.fixture
def environment(database_url: str, redis_url: str, settings: Settings) -> dict[str, str]:
    return {
        "FASTTRACK_STATE_DIR": str(settings.state_dir),
        "FASTTRACK_DATABASE_URL": database_url,
        "FASTTRACK_REDIS_URL": redis_url,
        "FASTTRACK_API_PORT": "0",
    }


async def test_the_command_serves_and_ends_in_order(environment: dict[str, str], project: ProjectId) -> None:
    async with a_process("api", "--json", env=environment) as process:
        assert process.stdout is not None
        said = (await process.stdout.readline()).decode()
        address = re.search(r"http://127.0.0.1:\d+", said)
        assert address, said
        async with httpx.AsyncClient(base_url=address[0]) as client:
            assert (await client.get("/readyz")).json()["status"] == "ok"
            taken = address[0].rpartition(":")[2]
            async with a_process("api", "--port", taken, env=environment) as second:
                _, err = await second.communicate()
            assert second.returncode == 5
            assert f"port {taken} of 127.0.0.1 is taken by another process" in err.decode()
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            assert await process.wait() == 0
            assert time.monotonic() - began < 10

            async def gone() -> bool:
                try:
                    await client.get("/healthz")
                except httpx.TransportError:
                    return True
                return False

            assert await eventually(gone)


async def test_up_goes_on_without_the_api_when_its_port_is_taken_and_ends_in_order_with_it(
    environment: dict[str, str], project: ProjectId
) -> None:
    taken = listen("127.0.0.1", 0)
    port = str(taken.getsockname()[1])
    simulated = environment | {"FASTTRACK_BACKEND": "simulated"}
    async with a_process("up", "--json", env=simulated | {"FASTTRACK_API_PORT": port}) as process:
        assert process.stdout is not None
        ready = json.loads(await process.stdout.readline())
        assert (ready["ready"], ready["runs"], "api" in ready) == (True, ["scheduler"], False)
        process.send_signal(signal.SIGTERM)
        _, err = await process.communicate()
        assert process.returncode == 0
        assert f"The API is not served here: port {port} of 127.0.0.1 is taken by another process" in err.decode()
    taken.close()

    async with a_process("up", "--json", env=simulated) as process:
        assert process.stdout is not None
        ready = json.loads(await process.stdout.readline())
        assert ready["runs"] == ["scheduler", "api"]
        async with httpx.AsyncClient(base_url=ready["api"]) as client:
            assert (await client.get("/readyz")).status_code == 200
            # A request that is open at the end does not hold it up.
            host, _, number = ready["api"].removeprefix("http://").partition(":")
            _, writer = await asyncio.open_connection(host, int(number))
            writer.write(
                b"POST /api/v1/pipelines/x/runs HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
            )
            await writer.drain()
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            await process.communicate()
            assert (process.returncode, time.monotonic() - began < 10) == (0, True)
            writer.close()
