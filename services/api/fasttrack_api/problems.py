"""Errors as RFC 9457 problems: a sentence for people, a code for programs, and nothing about our insides."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import orjson
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fasttrack.errors import (
    Conflict,
    FastTrackError,
    Forbidden,
    InvalidInput,
    InvalidPipeline,
    NotFound,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from fasttrack.feed import CursorExpired
from fasttrack.telemetry import LogLimiter

log = structlog.get_logger()
_limiter = LogLimiter()

MEDIA_TYPE = "application/problem+json"


class Broken(Exception):
    """An answer that has begun is cut off, so that nobody takes it for whole; why was logged already."""


class PreconditionFailed(Conflict):
    """What is stored is not what `If-Match` or `If-None-Match` asks for."""

    code = "PRECONDITION_FAILED"


STATUS: dict[type[FastTrackError], int] = {
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    CursorExpired: 410,
    PreconditionFailed: 412,
    InvalidInput: 422,
    TooManyRequests: 429,
    Unavailable: 503,
}
"""The HTTP status of each kind of error; a kind that is not here has that of its base."""

_AWAY = "a part that FastTrack needs cannot be reached right now; send the same request again in a moment"
_MOST_PROBLEMS = 50
_MOST_CHARACTERS = 2000

_SENTENCES = {
    404: "there is nothing at this address; /docs has those there are",
    405: "this address does not have this method",
}
_SAYING = {"extra_forbidden": "there is no such field; leave it out", "missing": "this is missing; give it"}
_REMEDIES = {
    401: "send a token as `Authorization: Bearer TOKEN`",
    403: "ask an admin of the project for the permission, or use a token that has it",
    404: "look at what there is with the list of the same noun; what is not yours to see is not there either",
    405: "the header `Allow` says which methods this address has",
    406: "ask for a media type that this address has, or leave `Accept` out",
    409: "read the thing again and decide anew",
    410: "list again, and follow from the list's cursor",
    412: "read the thing again; its `ETag` is what `If-Match` takes",
    413: "send less, or split it",
    415: "the documentation at /docs says which media type this address takes",
    422: "mend what `errors` or `problems` name, and send it again; nothing was changed",
    429: "wait as long as `Retry-After` says",
    500: "report it with the number; the log of the server has more under it",
    503: "send the same request again after `Retry-After` seconds",
}


def problem(status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """A problem document.

    `title` is the status in words, `detail` what is wrong here, `remedy` what to do about it, `code` for programs, and
    `request_id` what the log calls this request.
    """
    body: dict[str, Any] = {"type": "about:blank", "title": _title(status), "status": status}
    body |= {"detail": _legible(detail), "code": code}
    if status in _REMEDIES:
        body["remedy"] = _REMEDIES[status]
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    if request_id is not None:
        body["request_id"] = request_id
    all_headers = {"Cache-Control": "no-store", **(headers or {})}
    if status == 401:
        all_headers.setdefault("WWW-Authenticate", "Bearer")
    if status == 503:
        all_headers.setdefault("Retry-After", "2")
    return Response(orjson.dumps(body | more), status, all_headers, MEDIA_TYPE)


def of_error(error: FastTrackError) -> Response:
    """The problem of an error that was raised on purpose."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    if status == 500:
        return of_surprise(error)
    if isinstance(error, Unavailable):
        # Its message names hosts and files, which are for whoever runs the service.
        if _limiter.allows(error.message):
            log.warning("a request was not served", reason=error.message)
        return problem(status, error.code, _AWAY, retryable=True)
    more: dict[str, Any] = {"retryable": error.retryable}
    if isinstance(error, InvalidPipeline):
        more["problems"] = [
            {
                "message": _legible(p.message),
                "path": _legible(p.path),
                "line": p.line,
                "column": p.column,
                "severity": p.severity,
            }
            for p in error.problems[:_MOST_PROBLEMS]
        ]
    if "free_name" in error.facts:
        more["free_name"] = error.facts["free_name"]
    answer = problem(status, error.code, error.message, **more)
    if isinstance(error, TooManyRequests):
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer


def of_surprise(error: BaseException) -> Response:
    """The problem of an error that is ours: a number to find it by in the log, and nothing else."""
    number = uuid4().hex[:12]
    log.error("a request failed", error_id=number, exc_info=error)
    return problem(500, "INTERNAL", f"something went wrong here; the log has it as {number}", error_id=number)


def of_validation(error: RequestValidationError) -> Response:
    """The problem of a request that does not fit its route: every place with what is wrong there."""
    fields = [
        {
            "path": _legible(".".join(map(str, e["loc"])))[:200],
            "message": _legible(_SAYING.get(e["type"], str(e["msg"])))[:500],
        }
        for e in error.errors()[:20]
    ]
    first = f": {fields[0]['path']}: {fields[0]['message']}" if fields else ""
    return problem(422, "INVALID_INPUT", f"the request is not valid{first}", retryable=False, errors=fields)


def add_handlers(app: FastAPI) -> None:
    """Have every error of the application answered as a problem."""

    async def on_purpose(_: Request, error: Exception) -> Response:
        assert isinstance(error, FastTrackError)
        return of_error(error)

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return of_validation(error)

    async def by_framework(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = error.status_code
        said = str(error.detail)
        detail = _SENTENCES.get(status, said) if said == _title(status) else said
        return problem(status, f"HTTP_{status}", detail, headers=error.headers, retryable=False)

    app.add_exception_handler(FastTrackError, on_purpose)
    app.add_exception_handler(RequestValidationError, refused)
    app.add_exception_handler(HTTPException, by_framework)


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _legible(text: str) -> str:
    """The text as JSON can hold it, and no longer than a person reads."""
    return text[:_MOST_CHARACTERS].encode("utf-8", "replace").decode()
