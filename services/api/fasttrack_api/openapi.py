"""The description of the REST API: OpenAPI 3.1, with every error as the problem that is really answered."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from .problems import MEDIA_TYPE

_DESCRIPTION = """Pipelines, their runs and what belongs to them, for scripts and bulk.

**Lists** are pages: `items`, and `next`, which is `after` of the page that follows and `null` on the last one.
**Errors** are RFC 9457 problems with a `code` for programs, a sentence, a remedy, and the `request_id` that the log has.
**Things are made once** under an `Idempotency-Key`, and **changed safely** with `If-Match` and the `ETag` of the last read.
What is not yours to see answers as what is not there: 404.
**Requests are counted** by the minute: `RateLimit` says how many are left (`r`) and for how many seconds (`t`).
"""

_TAGS = [
    {"name": "pipelines", "description": "Pipelines and their versions, as JSON and as the YAML they are written in."},
    {"name": "jobs", "description": "Runs of pipelines, and what can be done to them."},
    {"name": "logs and files", "description": "What tasks print and write, and what is put into a pipeline's folder."},
    {"name": "templates", "description": "What pipelines can be made from, and offering a version of one."},
    {"name": "projects", "description": "What pipelines, jobs and secrets belong to."},
    {"name": "limits", "description": "How many tasks may have a session at once."},
    {"name": "retention", "description": "How long a project keeps logs, outputs, events and jobs."},
    {"name": "secrets", "description": "Secrets by name. Values go in and never come out."},
    {"name": "members", "description": "Who may do what in a project."},
    {"name": "accounts", "description": "People and programs that may call."},
    {"name": "tokens", "description": "Tokens. Their text is told once, when they are made."},
    {"name": "operations", "description": "Stored operations: GraphQL that callers may send the hash of."},
    {"name": "audit", "description": "Who wrote what, when and from where."},
    {"name": "exports", "description": "Everything of a project, one JSON object a line."},
    {"name": "health", "description": "Whether the process lives and can work, its figures and its version."},
]

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "An error, as RFC 9457 has it.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "description": "Always `about:blank`: `code` tells kinds apart."},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What is wrong, in a sentence."},
        "code": {"type": "string", "description": "For programs; it does not change."},
        "remedy": {"type": "string", "description": "What to do about it."},
        "request_id": {"type": "string", "description": "What the server's log calls this request."},
        "retryable": {"type": "boolean", "description": "Whether the same request may succeed later."},
        "free_name": {"type": "string", "description": "A name that is free, when the one that was given is taken."},
        "error_id": {"type": "string", "description": "What the log has a fault of the server under."},
        "errors": {
            "type": "array",
            "description": "Places of the request that are not valid.",
            "items": {
                "type": "object",
                "required": ["path", "message"],
                "properties": {"path": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "problems": {
            "type": "array",
            "description": "What is wrong with a pipeline file, with lines and columns from 1.",
            "items": {
                "type": "object",
                "required": ["path", "message", "line", "column", "severity"],
                "properties": {
                    "path": {"type": "string"},
                    "message": {"type": "string"},
                    "line": {"type": "integer"},
                    "column": {"type": "integer"},
                    "severity": {"type": "string", "enum": ["error", "warning"]},
                },
            },
        },
    },
}

_ANY = {
    "400": "The request cannot be read.",
    "401": "Nobody knows who calls.",
    "403": "The caller may see it, but not do this.",
    "404": "There is no such thing, or it is not the caller's to see.",
    "409": "The request contradicts what is stored.",
    "412": "What is stored is not what `If-Match` or `If-None-Match` asks for.",
    "413": "The body is too large.",
    "414": "The address is too long.",
    "415": "The body is of a media type that is not taken.",
    "421": "The server is not called what `Host` says.",
    "422": "Something in the request is not valid.",
    "429": "Too many requests in this minute; `Retry-After` says how long to wait.",
    "503": "A part that is needed is away for now.",
}


_PROBLEM_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def document(app: FastAPI) -> dict[str, Any]:
    """The description of what is served below `/api/v1`, and of health and metrics. Made once."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    made = get_openapi(
        title="FastTrack",
        version=version("fasttrack"),
        summary="MLOps pipelines as compute sessions.",
        description=_DESCRIPTION,
        routes=app.routes,
        tags=_TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    made["paths"] = {path: item for path, item in made["paths"].items() if not path.startswith("/graphql")}
    for path, item in made["paths"].items():
        for operation in item.values():
            _with_problems(path, operation)
    schemas = made["components"]["schemas"]
    schemas["Problem"] = _PROBLEM
    for ours in ("HTTPValidationError", "ValidationError"):
        schemas.pop(ours, None)
    made["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "Not needed on loopback unless it is told."}
    }
    made["security"] = [{}, {"token": []}]
    app.openapi_schema = made
    return made


def as_text(app: FastAPI) -> str:
    """The description as `docs/openapi.json` has it."""
    return json.dumps(document(app), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _with_problems(path: str, operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    answers.pop("422", None)
    open_to_all = path in ("/healthz", "/readyz")
    for status, answer in answers.items():
        if status >= "400":
            answer.setdefault("content", _PROBLEM_CONTENT)
    for status, text in _ANY.items():
        if status in ("412", "415", "413") and "requestBody" not in operation:
            continue
        if open_to_all and status in ("401", "403", "404", "409", "429"):
            continue
        answers.setdefault(status, {"description": text, "content": _PROBLEM_CONTENT})
