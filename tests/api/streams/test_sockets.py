"""Sockets: who may open one, what must come first, and what is too much (S31–S34)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import websockets
from fastapi import FastAPI
from websockets.asyncio.client import connect

from fasttrack.domain.access import Caller
from fasttrack.errors import Unauthenticated
from fasttrack.settings import Settings
from tests.api.streams.sockets import Socket, introduced, opened
from tests.waiting import eventually

EVENTS = "subscription { events { cursor } }"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    tight = {
        "stream_bookmark_interval": timedelta(seconds=0.2),
        "socket_init_timeout": timedelta(seconds=0.3),
        "socket_limit_per_token": 3,
        "socket_subscriptions": 4,
        "stream_limit_per_token": 5,
        "socket_messages_per_second": 20,
        "api_cors_origins": ["https://portal.example"],
    }
    return settings.model_copy(update=tight)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
async def test_s32_a_foreign_page_cannot_open_a_socket(address: str, origin: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with opened(address, origin=origin):
            pass
    assert refused.value.response.status_code == 403


async def test_s32_a_page_of_a_listed_origin_can_and_then_has_to_say_who_it_is(address: str) -> None:
    async with opened(address, origin="https://portal.example") as socket:
        await socket.send({"type": "connection_init"})
        assert await socket.closed() == 4401


async def test_s32_a_page_of_the_server_itself_and_a_client_that_is_no_page_can(address: str) -> None:
    for options in ({"origin": address}, {}):
        async with opened(address, **options) as socket:
            await socket.init()


@pytest.mark.parametrize("protocols", [["graphql-ws"], ["soap"]])
async def test_the_retired_protocol_is_not_spoken(address: str, protocols: list[str]) -> None:
    async with connect(
        address.replace("http", "ws") + "/graphql",
        subprotocols=protocols,  # type: ignore[arg-type]
    ) as connection:
        assert await Socket(connection).closed() == 4406


async def test_s33_whoever_says_nothing_is_let_go(address: str) -> None:
    async with opened(address) as socket:
        assert await socket.closed() == 4408


async def _says(socket: Socket, *messages: Any) -> int:
    for message in messages:
        if isinstance(message, (str, bytes)):
            await socket.connection.send(message)
        else:
            await socket.send(message)
    return await socket.closed()


INIT = {"type": "connection_init"}


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([{"type": "subscribe", "id": "1", "payload": {"query": EVENTS}}], 4401),
        ([INIT, INIT], 4429),
        ([{"type": "connection_init", "payload": [1]}], 4400),
        ([{"type": "connection_init", "payload": {"authorization": 7}}], 4401),
        ([{"type": "connection_init", "payload": {"authorization": "Bearer " + "x" * 10_000}}], 4401),
        ([INIT, b"\x00\x01"], 4400),
        (["{"], 4400),
        (["[]"], 4400),
        (["7"], 4400),
        ([{"id": "1"}], 4400),
        ([{"type": []}], 4400),
        ([{"type": "dance"}], 4400),
        ([INIT, {"type": "subscribe", "id": "1", "payload": []}], 4400),
        ([INIT, {"type": "subscribe", "id": "1", "payload": {"query": 7}}], 4400),
        ([INIT, {"type": "subscribe", "id": ["1"], "payload": {"query": EVENTS}}], 4400),
        ([INIT, {"type": "subscribe", "id": "x" * 201, "payload": {"query": EVENTS}}], 4400),
        ([INIT, {"type": "subscribe", "id": "1", "payload": {"query": EVENTS, "variables": []}}], 4400),
        ([INIT, {"type": "complete", "id": {}}], 4400),
        ([INIT, *[{"type": "subscribe", "id": "1", "payload": {"query": EVENTS}}] * 2], 4409),
        ([INIT, *[{"type": "ping"}] * 150], 4429),
        (['{"type": "connection_init", "type": "ping"}'], 4400),
    ],
)
async def test_s33_what_breaks_the_protocol_closes_the_socket(
    address: str, messages: list[Any], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async with opened(address) as socket:
        assert await _says(socket, *messages) == code
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err


async def test_s33_a_message_that_is_too_large_closes_the_socket(address: str) -> None:
    async with opened(address) as socket:
        assert await _says(socket, INIT, "x" * (17 * 2**20)) == 1009


async def test_s33_too_many_subscriptions_are_an_error_and_too_many_sockets_are_refused(
    address: str, app: FastAPI
) -> None:
    async with introduced(address) as socket:
        for n in range(4):
            await socket.subscribe(EVENTS, number=str(n))
        await eventually(lambda: hasattr(app.state, "hub") and app.state.hub.open == 4)
        await socket.subscribe(EVENTS, number="5")
        while (message := await socket.receive())["type"] != "error":
            pass
        assert (message["id"], message["payload"][0]["extensions"]["code"]) == ("5", "TOO_MANY_STREAMS")
        async with introduced(address), introduced(address), opened(address) as fourth:
            assert await _says(fourth, INIT) == 4429
        async with introduced(address):
            pass
    await eventually(lambda: app.state.hub.open == 0)


async def test_subscriptions_are_counted_for_the_token_over_all_its_sockets(address: str, app: FastAPI) -> None:
    async with introduced(address) as second:
        async with introduced(address) as first:
            for n in range(4):
                await first.subscribe(EVENTS, number=str(n))
            await second.subscribe(EVENTS, number="a")
            await eventually(lambda: hasattr(app.state, "hub") and app.state.hub.open == 5)
            await second.subscribe(EVENTS, number="b")
            while (message := await second.receive())["id"] != "b":
                pass
            errors = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
            assert errors[0]["extensions"] == {"code": "TOO_MANY_STREAMS", "retryable": True}
        await eventually(lambda: app.state.hub.open == 1)
        await second.subscribe(EVENTS, number="c")
        await eventually(lambda: app.state.hub.open == 2)


async def test_s34_operations_over_a_socket_are_for_whoever_it_is_now(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = Caller(uuid4(), "ada")
    known = {"Bearer ada": ada}

    async def caller_of(connection: Any) -> Caller:
        found = known.get(connection.headers.get("authorization", ""))
        if found is None:
            raise Unauthenticated
        return found

    monkeypatch.setattr("fasttrack_api.auth.caller_of", caller_of)
    async with opened(address) as socket:
        assert await _says(socket, INIT) == 4401, "loopback alone says nothing here"
    async with introduced(address, {"authorization": "Bearer ada"}) as socket:
        await socket.subscribe("{ viewer { name } }")
        assert (await socket.next()) == {"viewer": {"name": "ada"}}
        assert (await socket.receive())["type"] == "complete"
        known.clear()
        await socket.subscribe("{ viewer { name } }")
        assert await socket.closed() == 4401
