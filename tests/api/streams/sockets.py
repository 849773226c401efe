"""A client of `graphql-transport-ws`, as small as one can be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
import websockets
from websockets.asyncio.client import ClientConnection, connect

PROTOCOL = "graphql-transport-ws"


class Socket:
    """One socket, with what has come over it."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: Any) -> None:
        await self.connection.send(orjson.dumps(message).decode())

    async def receive(self) -> Any:
        async with asyncio.timeout(20):
            text = await self.connection.recv()
        assert isinstance(text, str), "a browser's client cannot read a binary message"
        return orjson.loads(text)

    async def init(self, payload: Any = None) -> None:
        await self.send({"type": "connection_init", **({"payload": payload} if payload is not None else {})})
        assert (await self.receive())["type"] == "connection_ack"

    async def subscribe(self, query: str, number: str = "1", **variables: Any) -> None:
        await self.send({"type": "subscribe", "id": number, "payload": {"query": query, "variables": variables}})

    async def next(self, number: str = "1") -> Any:
        """The data of the next message, which is of that operation."""
        message = await self.receive()
        assert (message["type"], message["id"]) == ("next", number), message
        assert "errors" not in message["payload"], message
        return message["payload"]["data"]

    async def closed(self) -> int:
        """The code with which the server closes, whatever it still sends."""
        async with asyncio.timeout(10):
            with suppress(websockets.ConnectionClosed):
                async for _ in self.connection:
                    pass
            await self.connection.wait_closed()
        assert self.connection.close_code is not None
        return self.connection.close_code


@asynccontextmanager
async def opened(address: str, protocols: Sequence[str] = (PROTOCOL,), **options: Any) -> AsyncIterator[Socket]:
    """A socket that has said nothing yet."""
    url = address.replace("http", "ws") + "/graphql"
    async with connect(url, subprotocols=list(protocols), **options) as connection:  # type: ignore[arg-type]
        yield Socket(connection)


@asynccontextmanager
async def introduced(address: str, payload: Any = None) -> AsyncIterator[Socket]:
    """A socket whose first message was acknowledged."""
    async with opened(address) as socket:
        await socket.init(payload)
        yield socket
