"""The stand-in's routes: what a manager answers at `/`, and the panel for tests at `/standin`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from .capacity import Capacity
from .cluster import Cluster
from .faults import Cut, befall
from .files import Files
from .manager import Handler, Manager
from .panel import Panel
from .problems import Problem, answer
from .services import Services
from .sessions import Sessions, SessionsV2
from .signatures import caller_of
from .storage import Storage

_FIELD = re.compile(rb"query[^{]*\{(?:\s|\\n)*(\w+)")


def make_app(manager: Manager) -> ASGIApp:
    """The manager as an application."""

    def signed(handler: Handler, path: str) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            headers: dict[str, str] = {}
            try:
                key = caller_of(request, manager.keys, manager.generation, skew=manager.faults.skew)
                is_allowed, headers = manager.rates.take(key)
                if not is_allowed:
                    raise Problem(429, "rate-limit-exceeded")
                content = await request.body()  # what takes effect late has been read by then
                manager.kinds[_kind(request.method, path, content)] += 1
                response = await befall(manager.faults.due(request), lambda: handler(request, key))
            except Problem as problem:
                response = answer(problem)
            if response.status_code < 400 or not manager.generation.is_strict:
                response.headers.update(headers)
            return response

        return handle

    def unsigned(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            try:
                await request.body()
                return await befall(manager.faults.due(request), lambda: handler(request))
            except Problem as problem:
                return answer(problem)

        return handle

    async def root(request: Request) -> Response:
        generation = manager.generation
        told = {"version": generation.api_version, "manager": generation.release}
        return JSONResponse(told, headers=manager.rates.anonymous())

    async def nothing(request: Request, error: Exception) -> Response:
        return answer(Problem(404, "url-not-found", data=request.url.path))

    async def wrong_method(request: Request, error: Exception) -> Response:
        return answer(Problem(405, "method-not-allowed"))

    def at(path: str, handler: Handler, *methods: str) -> Route:
        return Route(path, signed(handler, path), methods=list(methods))

    capacity, services = Capacity(manager), Services(manager)
    sessions, v2, cluster = Sessions(manager), SessionsV2(manager), Cluster(manager)
    storage, panel = Storage(manager.generation), Panel(manager)
    files = Files(manager.folders, storage)
    routes = [
        Route("/", root),
        at("/auth/role", cluster.role, "GET"),
        at("/session", sessions.create, "POST"),
        at("/session/_/create", sessions.create, "POST"),
        at("/session/_/match", sessions.match, "GET"),
        at("/session/{session}", sessions.read, "GET"),
        at("/session/{session}", sessions.delete, "DELETE"),
        at("/session/{session}/logs", sessions.logs, "GET"),
        at("/events/session", cluster.hear, "GET"),
        at("/admin/gql", cluster.graphql, "POST"),
        at("/admin/graphql", cluster.graphql, "POST"),
        at("/config/resource-slots", cluster.slots, "GET"),
        at("/config/resource-slots/details", cluster.slot_details, "GET"),
        at("/resource/presets", capacity.presets, "GET"),
        at("/resource/check-presets", capacity.check, "POST"),
        at("/scaling-groups", cluster.groups, "GET"),
        at("/services", services.create, "POST"),
        at("/services", services.listing, "GET"),
        at("/services/{service}", services.read, "GET"),
        at("/services/{service}", services.delete, "DELETE"),
        at("/services/{service}/scale", services.scale, "POST"),
        at("/services/{service}/errors", services.errors, "GET"),
        at("/services/{service}/errors/clear", services.clear, "POST"),
        at("/folders", files.create, "POST"),
        at("/folders", files.listing, "GET"),
        at("/folders/delete-from-trash-bin", files.empty, "POST"),
        at("/folders/{folder}", files.read, "GET"),
        at("/folders/{folder}", files.delete, "DELETE"),
        at("/folders/{folder}/mkdir", files.mkdir, "POST"),
        at("/folders/{folder}/files", files.entries, "GET"),
        at("/folders/{folder}/delete-files", files.delete_files, "DELETE", "POST"),
        at("/folders/{folder}/request-upload", files.request_upload, "POST"),
        at("/folders/{folder}/request-download", files.request_download, "POST"),
        at("/folders/{folder}/rename-file", files.rename_file, "POST"),
        at("/folders/{folder}/move-file", files.move_file, "POST"),
        Route("/storage/upload", unsigned(storage.upload), methods=["HEAD", "PATCH", "OPTIONS"]),
        Route("/storage/download", unsigned(storage.download)),
        Route("/standin/faults", panel.faults, methods=["GET", "POST", "DELETE"]),
        Route("/standin/policy", panel.policy, methods=["GET", "POST"]),
        Route("/standin/{what}", panel.operate, methods=["POST"]),
    ]

    if manager.generation.has_v2:
        routes += [
            at("/v2/deployments/{service}", services.update, "PUT"),
            at("/v2/deployments/{service}/revisions", services.revise, "POST"),
            at("/v2/runtime-variants/search", services.variants, "POST"),
            at("/v2/sessions/enqueue", v2.enqueue, "POST"),
            at("/v2/sessions/terminate", v2.terminate, "POST"),
            at("/v2/sessions/{session}", v2.read, "GET"),
            at("/v2/sessions/{session}/logs", v2.logs, "GET"),
        ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await manager.lives.close()

    handlers: dict[Any, Any] = {404: nothing, 405: wrong_method}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    return _Door(app, manager)


def _kind(method: str, path: str, content: bytes) -> str:
    asked = _FIELD.search(content) if path in ("/admin/gql", "/admin/graphql") else None
    return f"{method} {path}" if asked is None else f"{method} {path} {asked[1].decode()}"


class _Door:
    """In front of everything: what cuts the connection without an answer."""

    def __init__(self, app: Starlette, manager: Manager) -> None:
        self._app = app
        self._manager = manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._manager.is_down and not scope["path"].startswith("/standin"):
            await PlainTextResponse("Bad Gateway", 502)(scope, receive, send)  # what a proxy says of a stopped one
            return
        try:
            await self._app(scope, receive, send)
        except Cut:
            # Nothing can be sent any more that would be an answer; the server closes the connection.
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            raise ConnectionResetError from None


__all__ = ["Manager", "make_app"]
