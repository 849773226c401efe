"""GraphQL over HTTP, server-sent events and sockets: POST and strict JSON only, problems for what is neither."""

from __future__ import annotations

from json import JSONDecodeError
from typing import Any

import orjson
from cross_web import HTTPException
from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import Response
from strawberry.fastapi import GraphQLRouter
from strawberry.types import ExecutionResult

from fasttrack.errors import FastTrackError

from ..problems import problem
from ..strict_json import BadJson, read_json
from .context import Context
from .errors import tell
from .stored import text_for


class Router(GraphQLRouter[Context, None]):
    """The route of GraphQL."""

    def encode_json(self, data: object) -> bytes:
        """Ten times as fast as the standard library."""
        return orjson.dumps(data)

    def decode_json(self, data: str | bytes) -> object:
        """A message of a socket. :raises JSONDecodeError: it is none that is taken, such as one with a key twice."""
        try:
            return read_json(data.encode() if isinstance(data, str) else data)
        except BadJson as error:
            raise JSONDecodeError(str(error), "", 0) from None

    async def run(self, request: Any, context: Any = None, root_value: Any = None) -> Any:
        """Answer a request, or serve a socket."""
        if request.scope["type"] != "http":
            return await super().run(request=request, context=context, root_value=root_value)
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        try:
            return await super().run(request=request, context=context, root_value=root_value)
        except HTTPException as error:
            return problem(error.status_code, "GRAPHQL_BAD_REQUEST", str(error.reason))

    def parse_json(self, data: str | bytes) -> Any:
        """The request, with its `documentId` where the hash of a stored operation is looked for.

        :raises HTTPException: 400 when it is no JSON that is taken.
        """
        try:
            found = read_json(data.encode() if isinstance(data, str) else data)
        except BadJson as error:
            raise HTTPException(400, f"the body is not JSON that can be taken: {error}") from None
        if isinstance(found, dict) and "documentId" in found and isinstance(found.get("extensions"), dict | None):
            found["extensions"] = {**(found.get("extensions") or {}), "documentId": found["documentId"]}
        return found

    async def execute_operation(
        self,
        request: Any,
        request_adapter: Any,
        request_data: Any,
        context: Context,
        root_value: None,
        sub_response: Any,
    ) -> Any:
        """Run what is asked for, by its text or as a stored operation."""
        try:
            request_data.query = await text_for(context, request_data.query, request_data.extensions)
        except FastTrackError as refused:
            errors = [GraphQLError(refused.message, original_error=refused)]
            tell(errors)
            return ExecutionResult(data=None, errors=errors)
        return await super().execute_operation(
            request, request_adapter, request_data, context, root_value, sub_response
        )

    async def _refusal(self, request: Request) -> Response | None:
        """Why the request is not even read as GraphQL; `None`: it is, and its body is at hand."""
        if request.method != "POST":
            if self.graphql_ide is not None and "text/html" in request.headers.get("accept", ""):
                return None
            refusal = problem(405, "METHOD_NOT_ALLOWED", "GraphQL is asked by POST")
            refusal.headers["Allow"] = "POST"
            return refusal
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != "application/json":
            return problem(415, "NOT_JSON", "the request has to be application/json")
        if (await request.body()).lstrip()[:1] not in (b"{", b"["):
            return problem(400, "GRAPHQL_BAD_REQUEST", "the body has to be a JSON object with a `query`")
        return None
