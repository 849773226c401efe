"""Errors as RFC 9457 problems: a sentence for people, a code for programs, and nothing about our insides."""

from __future__ import annotations

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

log = structlog.get_logger()

STATUS: dict[type[FastTrackError], int] = {
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    InvalidInput: 422,
    TooManyRequests: 429,
    Unavailable: 503,
}
"""The HTTP status of each kind of error; a kind that is not here has that of its base."""

_TITLES = {400: "Bad request", 401: "Not signed in", 403: "Not allowed", 404: "Not found", 405: "No such method"}


def problem(status: int, code: str, detail: str, **more: Any) -> Response:
    """A problem document."""
    body = {"type": "about:blank", "title": _TITLES.get(status, code.replace("_", " ").capitalize()), "status": status}
    body |= {"detail": detail, "code": code, **more}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return Response(orjson.dumps(body), status, headers, "application/problem+json")


def of_error(error: FastTrackError) -> Response:
    """The problem of an error that was raised on purpose."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    if status == 500:
        return of_surprise(error)
    more: dict[str, Any] = {"retryable": error.retryable}
    if isinstance(error, InvalidPipeline):
        more["problems"] = [
            {"message": p.message, "path": p.path, "line": p.line, "column": p.column, "severity": p.severity}
            for p in error.problems
        ]
    answer = problem(status, error.code, error.message, **more)
    if isinstance(error, TooManyRequests):
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer


def of_surprise(error: BaseException) -> Response:
    """The problem of an error that is ours: a number to find it by in the log, and nothing else."""
    number = uuid4().hex[:12]
    log.error("a request failed", error_id=number, exc_info=error)
    return problem(500, "INTERNAL", f"something went wrong here; the log has it as {number}", error_id=number)


def add_handlers(app: FastAPI) -> None:
    """Have every error of the application answered as a problem."""

    async def on_purpose(_: Request, error: Exception) -> Response:
        assert isinstance(error, FastTrackError)
        return of_error(error)

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        fields = [{"path": ".".join(map(str, e["loc"])), "message": e["msg"]} for e in error.errors()[:20]]
        return problem(422, "INVALID_INPUT", "the request is not valid", errors=fields)

    async def by_framework(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem(error.status_code, f"HTTP_{error.status_code}", str(error.detail))

    async def surprise(_: Request, error: Exception) -> Response:
        return of_surprise(error)

    app.add_exception_handler(FastTrackError, on_purpose)
    app.add_exception_handler(RequestValidationError, refused)
    app.add_exception_handler(HTTPException, by_framework)
    app.add_exception_handler(Exception, surprise)
