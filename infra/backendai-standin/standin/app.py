"""The stand-in's routes: what a manager answers at `/`, and the panel for tests at `/standin`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from .agents import Agent, Agents, default_agents
from .creation import session_of
from .events import Events
from .faults import Cut, Faults, befall
from .files import Files
from .folders import Folders
from .generations import GENERATIONS
from .ledger import Ledger, Session
from .life import Lives
from .problems import Problem, answer, no_session
from .queries import Queries
from .signatures import caller_of

_LIMIT = 30000
Handler = Callable[[Request, str], Awaitable[Response]]


class Manager:
    """One cluster: what its routes work on."""

    def __init__(
        self,
        generation: str,
        root: Path,
        *,
        keys: dict[str, str],
        agents: list[Agent] | None = None,
        step: float = 0.02,
    ) -> None:
        """:param step: seconds per status; real ones take 0.5 to 6 s. :param keys: secret keys by access key."""
        self.generation = GENERATIONS[generation]
        self.keys = keys
        self.ledger = Ledger()
        self.agents = Agents(agents or default_agents())
        self.faults = Faults()
        self.folders = Folders(root, self.generation)
        self.files = Files(self.folders)
        self.events = Events(self.generation, self.faults)
        self.lives = Lives(self.generation, self.ledger, self.agents, self.events, self.folders, step)
        self.queries = Queries(self.generation, self.ledger, self.agents)
        self.requests: dict[str, int] = {}
        """How many came, by access key."""
        self.is_down = False

    # -- sessions -------------------------------------------------------------------------------------------------

    async def create(self, request: Request, key: str) -> Response:
        session, may_reuse = session_of(await _json(request), key, self.generation, self.agents, self.folders)
        living = self.ledger.living(key, session.name)
        if living is not None:
            if not may_reuse or living.image != session.image:
                raise Problem(400, "session-already-exists", data={"existingSessionId": living.id})
            body = {"sessionId": living.id, "sessionName": living.name, "status": living.status}
            return JSONResponse({**body, "service_ports": [], "created": False}, 201)
        self.lives.begin(session)
        body = {"sessionId": session.id, "sessionName": session.name, "status": "PENDING"}
        return JSONResponse({**body, "servicePorts": [], "created": True}, 201)

    async def match(self, request: Request, key: str) -> Response:
        wanted = request.query_params.get("id", "")
        found = [s for s in self.ledger.named(key, wanted)] or [
            s for s in self.ledger.sessions.values() if s.id == wanted and s.access_key == key
        ]
        return JSONResponse({"matches": [{"id": s.id, "name": s.name, "status": s.status} for s in found[:10]]})

    async def read(self, request: Request, key: str) -> Response:
        session = self._living(request, key)
        row = session.row()
        return JSONResponse(
            {
                "domainName": "default",
                "lang": session.image,
                "image": session.image,
                "tag": session.tag,
                "status": session.status,
                "statusInfo": str(session.info),
                "occupiedSlots": str({n: a for n, a in session.slots.items()}),  # Python's own notation, as it is
                "creationTime": row["created_at"],
                "terminationTime": row["terminated_at"],
            }
        )

    async def delete(self, request: Request, key: str) -> Response:
        session = self._living(request, key)
        forced = request.query_params.get("forced", "").lower() == "true"
        return JSONResponse({"stats": await self.lives.end(session, forced=forced)})

    async def logs(self, request: Request, key: str) -> Response:
        reference = request.path_params["session"]
        found = [s for s in self.ledger.named(key, reference)] if self.generation.is_strict else []
        living = self.ledger.living(key, reference)
        if living is None and len(found) > 1:
            matches = [{"id": s.id, "name": s.name} for s in found]
            raise Problem(404, "too-many-sessions-matched", data={"matches": matches})
        session = living or (found[0] if found else self.ledger.sessions.get(reference))
        if session is None or session.access_key != key:
            raise no_session(self.generation.unknown_name, reference)
        agent = self.agents.find(session.kernels[0].agent)
        if not session.is_over and agent is not None and not agent.is_alive:
            if self.generation.is_strict:
                raise Problem(500, "internal-server-error")
            raise Problem(503, "agent-connection-unavailable", f"Agent {agent.id} connection unavailable")
        return JSONResponse({"result": {"logs": session.log.decode(errors="replace")}})

    def _living(self, request: Request, key: str) -> Session:
        reference = request.path_params["session"]
        found = self.ledger.living(key, reference) or self.ledger.sessions.get(reference)
        if found is None or found.is_over or found.access_key != key:
            kind = "object-not-found" if found is not None else self.generation.unknown_name
            raise no_session(kind, reference)
        return found

    # -- the rest -------------------------------------------------------------------------------------------------

    async def hear(self, request: Request, key: str) -> Response:
        name = request.query_params.get("sessionName", "*")
        if not self.generation.is_strict and name != "*" and self.ledger.living(key, name) is None:
            return Response(status_code=404)
        return StreamingResponse(self._lines(name), media_type="text/event-stream")

    async def _lines(self, name: str) -> AsyncIterator[bytes]:
        async for message in self.events.stream():
            if name == "*" or f'"sessionName": "{name}"'.encode() in message or message.startswith(b":"):
                yield message

    async def graphql(self, request: Request, key: str) -> Response:
        done = self.queries.answer(await _json(request), key)
        if request.url.path == "/admin/graphql" and self.generation.is_strict:
            if done["errors"]:
                raise Problem(400, "graphql-error", title="GraphQL-generated error.", data=done["errors"])
            return JSONResponse(done["data"])
        return JSONResponse(done)

    async def slots(self, request: Request, key: str) -> Response:
        return JSONResponse(self.agents.slot_types())

    async def slot_details(self, request: Request, key: str) -> Response:
        group = request.query_params.get("sgroup")
        names = {n for a in self.agents.all if group in (None, a.group) for n in a.slots}
        shown = {"cpu": ("CPU", "Core"), "mem": ("RAM", "GiB")}
        return JSONResponse(
            {
                name: {
                    "slot_name": name,
                    "human_readable_name": shown.get(name, (name, name))[0],
                    "display_unit": shown.get(name, (name, name))[1],
                    "number_format": {"binary": name == "mem", "round_length": 2 if name.endswith("shares") else 0},
                }
                for name in sorted(names)
            }
        )

    async def groups(self, request: Request, key: str) -> Response:
        if not {"group", "group_id", "group_name"} & request.query_params.keys():
            if not self.generation.is_strict:
                raise Problem(
                    400, "generic-bad-request", "Schema validation failed.", title="Invalid or Missing API Parameters."
                )
            raise Problem(400, "invalid-api-params", "Input validation error", data={"group": "is required"})
        return JSONResponse({"scaling_groups": [{"name": name} for name in self.agents.groups]})

    async def role(self, request: Request, key: str) -> Response:
        return JSONResponse({"global_role": "user", "domain_role": "user", "group_role": None})

    # -- the panel ------------------------------------------------------------------------------------------------

    async def panel(self, request: Request) -> Response:
        """POST: plan faults. DELETE: forget them. GET: what was done here, which no manager tells."""
        if request.method == "POST":
            given = await _json(request)
            try:
                for entry in given if isinstance(given, list) else [given]:
                    self.faults.plan(entry)
            except (ValueError, TypeError) as error:
                return PlainTextResponse(f"{error}\n", 400)
        elif request.method == "DELETE":
            self.faults.clear()
        sessions = [
            {"id": s.id, "name": s.name, "status": s.status, "result": s.result, "executions": s.executions}
            for s in self.ledger.sessions.values()
        ]
        return JSONResponse({"requests": self.requests, "sessions": sessions, "planned": len(self.faults.planned)})

    async def operate(self, request: Request) -> Response:
        """`stop` and `start` the manager, have it be `late` to write RUNNING or `early`, `cut` its streams, `lose` and
        `find` an agent.
        """
        match request.path_params["what"]:
            case "stop":
                self.is_down = True
                self.lives.is_up.clear()
                self.events.cut()
            case "start":
                self.is_down = False
                self.lives.is_up.set()
            case "late" | "early":
                self.lives.is_late = request.path_params["what"] == "late"
            case "cut":
                self.events.cut()
            case "lose":
                await self.lives.lose_agent(request.query_params["agent"])
            case "find":
                await self.lives.find_agent(request.query_params["agent"])
            case _:
                return PlainTextResponse("stop, start, late, early, cut, lose?agent=, find?agent=\n", 404)
        return JSONResponse({})


def make_app(manager: Manager) -> ASGIApp:
    """The manager as an application."""

    def signed(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            try:
                key = caller_of(request, manager.keys, manager.generation)
                count = manager.requests[key] = manager.requests.get(key, 0) + 1
                if count > _LIMIT:
                    raise Problem(429, "rate-limit-exceeded")
                await request.body()  # what takes effect late has been read by then
                response = await befall(manager.faults.due(request), lambda: handler(request, key))
            except Problem as problem:
                return answer(problem)
            if response.status_code < 400:
                response.headers["X-RateLimit-Limit"] = str(_LIMIT)
                response.headers["X-RateLimit-Remaining"] = str(_LIMIT - count)
                response.headers["X-RateLimit-Window"] = "900"
            return response

        return handle

    async def root(request: Request) -> Response:
        generation = manager.generation
        return JSONResponse({"version": generation.api_version, "manager": generation.release})

    async def nothing(request: Request, error: Exception) -> Response:
        return answer(Problem(404, "url-not-found", data=request.url.path))

    async def wrong_method(request: Request, error: Exception) -> Response:
        return answer(Problem(405, "method-not-allowed"))

    def at(path: str, handler: Handler, *methods: str) -> Route:
        return Route(path, signed(handler), methods=list(methods))

    files = manager.files
    routes = [
        Route("/", root),
        at("/auth/role", manager.role, "GET"),
        at("/session", manager.create, "POST"),
        at("/session/_/create", manager.create, "POST"),
        at("/session/_/match", manager.match, "GET"),
        at("/session/{session}", manager.read, "GET"),
        at("/session/{session}", manager.delete, "DELETE"),
        at("/session/{session}/logs", manager.logs, "GET"),
        at("/events/session", manager.hear, "GET"),
        at("/admin/gql", manager.graphql, "POST"),
        at("/admin/graphql", manager.graphql, "POST"),
        at("/config/resource-slots", manager.slots, "GET"),
        at("/config/resource-slots/details", manager.slot_details, "GET"),
        at("/scaling-groups", manager.groups, "GET"),
        at("/folders", files.create, "POST"),
        at("/folders", files.listing, "GET"),
        at("/folders/{folder}", files.read, "GET"),
        at("/folders/{folder}", files.delete, "DELETE"),
        at("/folders/{folder}/mkdir", files.mkdir, "POST"),
        at("/folders/{folder}/files", files.entries, "GET"),
        at("/folders/{folder}/delete-files", files.delete_files, "DELETE", "POST"),
        at("/folders/{folder}/request-upload", files.request_upload, "POST"),
        at("/folders/{folder}/request-download", files.request_download, "POST"),
        Route("/storage/upload", files.upload, methods=["HEAD", "PATCH", "OPTIONS"]),
        Route("/storage/download", files.download),
        Route("/standin/faults", manager.panel, methods=["GET", "POST", "DELETE"]),
        Route("/standin/{what}", manager.operate, methods=["POST"]),
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await manager.lives.close()

    handlers: dict[Any, Any] = {404: nothing, 405: wrong_method}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    return _Door(app, manager)


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


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body() or b"null")
    except ValueError:
        raise Problem(400, "invalid-api-params", "Malformed body") from None
