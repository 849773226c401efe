"""GraphQL over a socket (`graphql-transport-ws`): who is there, how many, how much they send.

A socket says who it is in its first message, since a page cannot send headers with it: `{"authorization": "Bearer …"}`.
Whoever that is, is asked for again with every operation, as over HTTP.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocketDisconnect
from strawberry import UNSET, Schema
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions import GRAPHQL_SSE_PROTOCOL, GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler

from fasttrack.domain.access import Caller
from fasttrack.errors import FastTrackError, TooManyRequests, Unavailable
from fasttrack.settings import Settings

from .. import auth
from ..parts import Parts
from ..streams import TooManyStreams
from .context import Context, context_of
from .router import Router
from .stored import text_for

NOBODY = Caller(UUID(int=0), "nobody", scopes=frozenset())
"""Who is at the other end of a socket before it has said so."""
_BURST = 5.0  # seconds' worth of messages that may come at once


class Refused(Exception):
    """The socket is closed with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)


async def any_context_of(connection: HTTPConnection) -> Context:
    """The context of a request; or that of a socket, of which nobody knows yet who it is."""
    connection.scope[auth.TAKES_STORED] = True
    if connection.scope["type"] != "websocket":
        return await context_of(connection)
    return Context(Parts.of(connection), NOBODY)


def connection_of(context: Context) -> HTTPConnection:
    """The request, or the socket with what it said at its beginning."""
    found = getattr(context, "said", None) or context.request
    assert isinstance(found, HTTPConnection)
    return found


def _as_said(socket: HTTPConnection, payload: dict[str, Any]) -> HTTPConnection:
    """The socket as if its first message had come as a header, which it replaces."""
    token = next((v for k, v in payload.items() if k.lower() == "authorization"), None)
    if token is None:
        return socket
    if not isinstance(token, str) or not token.isascii() or len(token) > 8192:
        raise Refused(4401, "Unauthorized")
    kept = [(k, v) for k, v in socket.scope["headers"] if k.lower() != b"authorization"]
    return HTTPConnection({**socket.scope, "headers": [*kept, (b"authorization", token.encode())]})


class TextAdapter(ASGIWebSocketAdapter):
    """Sends messages as text, although JSON is encoded to bytes: the protocol's clients refuse a binary message."""

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send a message. :raises WebSocketDisconnected: nobody is there any more."""
        try:
            await self.ws.send_text(self.view.encode_json_string(message))
        except WebSocketDisconnect as error:
            raise WebSocketDisconnected from error


class SocketHandler(BaseGraphQLTransportWSHandler[Context, None]):
    """One socket."""

    _left = 0.0
    _filled_at: float | None = None
    _holder: UUID | None = None

    async def handle_message(self, message: Any) -> None:
        """Take a message of the client, if it is one and there are not too many of them."""
        view: SocketRouter = self.view  # type: ignore[assignment]
        now = asyncio.get_running_loop().time()
        most = view.messages_per_second * _BURST
        self._left = (
            most if self._filled_at is None else self._left + (now - self._filled_at) * view.messages_per_second
        )
        self._left, self._filled_at = min(self._left, most) - 1, now
        if self._left < 0:
            await self.websocket.close(4429, "Too many messages")
        elif not _is_message(message):
            await self.handle_invalid_message("Invalid message")
        else:
            await super().handle_message(message)

    async def handle_connection_init(self, message: Any) -> None:
        """Learn who it is."""
        try:
            await super().handle_connection_init(message)
        except Refused as refused:
            await self.websocket.close(refused.code, refused.reason)

    async def handle_subscribe(self, message: Any) -> None:
        """Begin an operation, for whoever the caller is at this moment."""
        if self.connection_acknowledged:
            try:
                connection = connection_of(self.context)
                self.context.caller = await auth.caller_of(connection)
                auth.count_caller(connection, self.context.caller)
            except (TooManyRequests, Unavailable) as error:
                await self._refuse(message, error)
                return
            except FastTrackError:
                await self.websocket.close(4401, "Unauthorized")
                return
            if not await self._is_found(message):
                return
        await super().handle_subscribe(message)

    async def _is_found(self, message: Any) -> bool:
        """Put the text of the operation into the message; whether there is one, and room for it."""
        view: SocketRouter = self.view  # type: ignore[assignment]
        payload = message["payload"]
        asked = {**(payload.get("extensions") or {}), "documentId": payload.get("documentId")}
        try:
            if len(self.operations) >= view.most_operations and message["id"] not in self.operations:
                raise TooManyStreams(f"{view.most_operations} operations are open on this socket: complete one first")
            payload["query"] = await text_for(self.context, payload.get("query"), asked)
        except FastTrackError as error:
            await self._refuse(message, error)
            return False
        if payload["query"] is None:
            await self.handle_invalid_message("Invalid message")
        return payload["query"] is not None

    async def _refuse(self, message: Any, error: FastTrackError) -> None:
        failed = {"message": error.message, "extensions": {"code": error.code, "retryable": error.retryable}}
        await self.send_message(cast("Any", {"id": message["id"], "type": "error", "payload": [failed]}))

    async def shutdown(self) -> None:
        """Let everything go."""
        view: SocketRouter = self.view  # type: ignore[assignment]
        view.gone(self.context)
        await super().shutdown()


def _is_message(message: Any) -> bool:
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return False
    if message["type"] in ("subscribe", "complete") and not isinstance(message.get("id"), str):
        return False
    if message["type"] != "subscribe":
        return True
    payload = message.get("payload")
    return (
        isinstance(payload, dict)
        and 0 < len(message["id"]) <= 200
        and isinstance(payload.get("query"), str | None)
        and isinstance(payload.get("extensions"), dict | None)
        and isinstance(payload.get("variables"), dict | None)
        and isinstance(payload.get("operationName"), str | None)
    )


class SocketRouter(Router):
    """GraphQL over HTTP, server-sent events and sockets, within the settings' limits."""

    graphql_transport_ws_handler_class = SocketHandler
    websocket_adapter_class = TextAdapter  # type: ignore[assignment]  # declared as a callable of wider arguments

    def __init__(self, schema: Schema, settings: Settings, **options: Any) -> None:
        super().__init__(
            schema,
            context_getter=any_context_of,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_SSE_PROTOCOL],
            connection_init_wait_timeout=settings.socket_init_timeout,
            allowed_origins=settings.api_cors_origins,
            **options,
        )
        self.most_operations = settings.socket_subscriptions
        self.messages_per_second = settings.socket_messages_per_second
        self._most = settings.socket_limit_per_token
        self._open: Counter[UUID] = Counter()

    async def on_ws_connect(self, context: Context) -> Any:
        """Learn who is there from the socket's first message. :raises Refused: nobody, or too many."""
        socket = context.request
        assert isinstance(socket, HTTPConnection)
        said = _as_said(socket, context.connection_params or {})
        try:
            caller = await auth.caller_of(said)
            auth.count_caller(said, caller)
        except TooManyRequests:
            raise Refused(4429, "Too many requests") from None
        except Unavailable:
            raise Refused(1013, "Try again later") from None
        except FastTrackError:
            raise Refused(4401, "Unauthorized") from None
        holder = caller.token_id or caller.account_id
        if self._open[holder] >= self._most:
            raise Refused(4429, "Too many sockets")
        self._open[holder] += 1
        context.caller, context.said, context.holder = caller, said, holder  # type: ignore[attr-defined]
        return UNSET

    def gone(self, context: Context) -> None:
        """A socket is closed."""
        holder = context.__dict__.pop("holder", None)
        if holder is not None:
            self._open[holder] -= 1
            if not self._open[holder]:
                del self._open[holder]
