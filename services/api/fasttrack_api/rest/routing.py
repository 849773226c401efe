"""How a route of the REST API reads a request and answers it: strict JSON, no unknown parameter, an `ETag` on reads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fasttrack.errors import Forbidden

from ..parts import Parts
from ..refusals import Refusals
from ..strict_json import BadJson, read_json


class Route(APIRoute):
    """A route of `/api/v1`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        takes_json = self.body_field is not None
        known = frozenset(_query_names(self.dependant))

        async def handle(request: Request) -> Response:
            _require_known(request, known)
            if takes_json:
                request = _StrictRequest(request.scope, request.receive)  # what has read the body must be what has it
                await _require_json(request)
            try:
                answer = await handler(request)
            except Forbidden as error:
                await self._write_down(request, error)
                raise
            return _with_etag(request, answer) if request.method == "GET" else answer

        return handle

    async def _write_down(self, request: Request, error: Forbidden) -> None:
        """Have a refused write be in the audit log."""
        caller = getattr(request.state, "caller", None)
        if request.method not in ("GET", "HEAD") and caller is not None:
            await Refusals.of(Parts.of(request)).note(caller, self.name, error, request.path_params)


class _StrictRequest(Request):
    """A request whose JSON says one thing only, in a bounded way."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = strict_json(await self.body())
        return self._json


def strict_json(data: bytes) -> Any:
    """The value that the JSON text stands for. :raises HTTPException: 400 when it is none that is taken."""
    try:
        return read_json(data)
    except BadJson as error:
        raise HTTPException(400, f"the body is not JSON that can be taken: {error}") from None


def _query_names(dependant: Any) -> list[str]:
    return [field.alias for field in dependant.query_params] + [
        name for inner in dependant.dependencies for name in _query_names(inner)
    ]


def _require_known(request: Request, known: frozenset[str]) -> None:
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        has = f"it has {', '.join(sorted(known))}" if known else "it has none"
        raise RequestValidationError(
            [
                {"type": "extra", "loc": ("query", name[:80]), "msg": f"this address has no such parameter; {has}"}
                for name in unknown[:5]
            ]
        )


async def _require_json(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and (kind or await request.body()):
        raise HTTPException(415, "this address takes a body of application/json")


def _with_etag(request: Request, answer: Response) -> Response:
    """The answer with the tag of what it says, or nothing but the tag if the caller has that already."""
    body = getattr(answer, "body", None)
    if answer.status_code != 200 or not isinstance(body, bytes):
        return answer
    tag = answer.headers.get("etag")
    if tag is None:
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        answer.headers["ETag"] = tag
    if "cache-control" not in answer.headers:
        answer.headers["Cache-Control"] = "private, no-cache"
    if holds(request.headers.get("if-none-match"), tag):
        kept = {n: v for n, v in answer.headers.items() if n in ("etag", "cache-control", "vary", "location")}
        return Response(status_code=304, headers=kept)
    return answer


def holds(header: str | None, tag: str) -> bool:
    """Whether an `If-Match` or `If-None-Match` names the tag."""
    if header is None:
        return False
    given = [part.strip().removeprefix("W/") for part in header.split(",")]
    return "*" in given or tag.removeprefix("W/") in given
