"""What a manager tells of its cluster: events, GraphQL, kinds of slots, resource groups, the caller's roles."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from .bodies import object_of, schema_violation
from .manager import Manager
from .problems import Problem


class Cluster:
    """The routes that change nothing."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    async def hear(self, request: Request, key: str) -> Response:
        name = request.query_params.get("sessionName", "*")
        if not self._manager.generation.is_strict and name != "*" and self._manager.ledger.living(key, name) is None:
            return Response(status_code=404)
        return StreamingResponse(self._lines(name), media_type="text/event-stream")

    async def _lines(self, name: str) -> AsyncIterator[bytes]:
        async for message in self._manager.events.stream():
            if name == "*" or f'"sessionName": "{name}"'.encode() in message or message.startswith(b":"):
                yield message

    async def graphql(self, request: Request, key: str) -> Response:
        done = self._manager.queries.answer(await object_of(request), key)
        if request.url.path == "/admin/graphql" and self._manager.generation.is_strict:
            if done["errors"]:
                raise Problem(400, "graphql-error", title="GraphQL-generated error.", data=done["errors"])
            return JSONResponse(done["data"])
        return JSONResponse(done)

    async def slots(self, request: Request, key: str) -> Response:
        return JSONResponse(self._manager.agents.slot_types())

    async def slot_details(self, request: Request, key: str) -> Response:
        group = request.query_params.get("sgroup")
        names = {n for a in self._manager.agents.all if group in (None, a.group) for n in a.slots}
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
            if not self._manager.generation.is_strict:
                raise schema_violation("group", "Field required")
            raise Problem(400, "invalid-api-params", "Input validation error", data={"group": "is required"})
        return JSONResponse({"scaling_groups": [{"name": name} for name in self._manager.agents.groups]})

    async def role(self, request: Request, key: str) -> Response:
        return JSONResponse({"global_role": "user", "domain_role": "user", "group_role": None})
