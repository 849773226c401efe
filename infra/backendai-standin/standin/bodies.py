"""What comes as the body of a request."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from .problems import Problem


async def object_of(request: Request) -> dict[str, Any]:
    """The object of JSON that was sent, or an empty one. :raises Problem: it is something else."""
    try:
        given = json.loads(await request.body() or b"{}")
    except ValueError:
        raise Problem(400, "invalid-api-params", "Malformed body") from None
    if not isinstance(given, dict):
        raise Problem(400, "invalid-api-params", "Malformed body")
    return given


def schema_violation(key: str, message: str) -> Problem:
    """A body of 26.x that does not have the form it must have."""
    told = f"Schema validation failed. (1 validation error\n{key}\n  {message})"
    msg = f"<BackendAISchemaValidationFailed(400): {told}>"
    return Problem(400, "generic-bad-request", msg, title="Invalid or Missing API Parameters.")
