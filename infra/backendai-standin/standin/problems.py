"""Refusals in the form that managers give them (RFC 7807 with keys of their own)."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

TITLES = {
    "auth-failed": "Credential/signature mismatch.",
    "invalid-auth-params": "Missing or invalid authorization parameters.",
    "invalid-api-params": "Missing or invalid API parameters.",
    "generic-bad-request": "Bad request.",
    "generic-forbidden": "Forbidden operation.",
    "internal-server-error": "Internal server error.",
    "quota-exceeded": "You have reached your resource limit.",
    "rate-limit-exceeded": "You have reached your API query rate limit.",
    "server-frozen": "The server is frozen.",
    "session-already-exists": "The session already exists but you requested not to reuse existing one.",
    "too-many-sessions-matched": "Too many sessions matched.",
    "url-not-found": "Unknown URL path.",
    "method-not-allowed": "HTTP Method Not Allowed.",
    "unknown-resource-slot-type": "Unknown resource slot type.",
    "invalid-resource-slot-quantity": "Invalid resource slot quantity.",
    "vfolder-already-exists": "The virtual folder already exists with the same name.",
    "vfolder-deletion-not-allowed": "Virtual folder deletion is not allowed.",
    "vfolder-permission-error": "The virtual folder does not permit the specified permission.",
    "unique-constraint-violation": "Unique constraint violated.",
    "entity-not-found": "Entity not found.",
    "not-enough-permission": "Insufficient permission to perform this operation.",
    "vfolder-filter-status-failed": "Virtual folder status filtering has failed.",
    "vfolder-invalid-parameter": "Invalid parameter for virtual folder operation.",
}


class Problem(Exception):
    """A refusal."""

    def __init__(
        self, status: int, kind: str, msg: str | None = None, *, title: str | None = None, data: Any = None
    ) -> None:
        self.status = status
        self.kind = kind
        self.msg = msg
        self.title = title or TITLES.get(kind, kind)
        self.data = data
        super().__init__(f"{status} {kind}")


def answer(problem: Problem) -> Response:
    """The refusal as it goes over the wire: without the headers that count requests."""
    import json

    body: dict[str, Any] = {"type": f"https://api.backend.ai/probs/{problem.kind}", "title": problem.title}
    if problem.msg is not None:
        body["msg"] = problem.msg
    if problem.data is not None:
        body["data"] = problem.data
    return Response(json.dumps(body), status_code=problem.status, media_type="application/problem+json")


def not_permitted(what: str) -> Problem:
    """What 26.x answers of whatever its roles do not give: also of what is not there."""
    return Problem(403, "not-enough-permission", f"The caller lacks the permission this run asks for on {what}")


def no_session(unknown_name: str, reference: str) -> Problem:
    """No living session has that name or id."""
    if unknown_name == "entity-not-found":
        return Problem(404, unknown_name, "No SessionRow matches the given key")
    return Problem(404, unknown_name, f"Session (id={reference}) does not exist.", title="No such session.")
