"""What went wrong between here and a server, as the errors that commands know: one sentence, and what would help."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
from pydantic import TypeAdapter, ValidationError

from fasttrack.errors import (
    Conflict,
    FastTrackError,
    Forbidden,
    InvalidInput,
    InvalidPipeline,
    NotFound,
    Problem,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)

from ..target import Target

_BY_STATUS: dict[int, type[FastTrackError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: InvalidInput,
    503: Unavailable,
}
_MOST_CHARACTERS = 2000


class CursorExpired(InvalidInput):
    """The place to follow from is not known to the server any more."""

    code = "CURSOR_EXPIRED"


class Untrusted(FastTrackError):
    """The server is not who it should be, or not what it should be: asking again is of no use."""

    code = "UNTRUSTED_SERVER"


class ServerFault(FastTrackError):
    """The server failed: a fault of its own."""

    code = "SERVER_FAULT"


def error_of(answer: httpx.Response, target: Target) -> FastTrackError:
    """The error that a refusal stands for."""
    status = answer.status_code
    body = _problem(answer)
    if body is None:
        return _of_stranger(answer, target)
    code, detail = str(body["code"])[:80], _legible(str(body["detail"]))
    error: FastTrackError
    match status:
        case 401:
            error = Unauthenticated(_who_are_you(detail, target))
        case 410:
            error = CursorExpired(detail)
        case 412:
            return Conflict(detail)  # how the condition was put is a matter of HTTP
        case 422 if code == InvalidPipeline.code:
            error = InvalidPipeline(_problems(body.get("problems")))
        case 429:
            wait = answer.headers.get("retry-after", "")
            error = TooManyRequests(detail, retry_after=int(wait) if wait.isdigit() and len(wait) < 6 else 1)
        case _ if status in _BY_STATUS:
            error = _BY_STATUS[status](detail)
        case _ if status >= 500:
            error = ServerFault(f"{target.url} failed: {detail}")
        case _:
            error = InvalidInput(detail)
    error.code = code
    return error


def trouble_of(trouble: httpx.HTTPError, target: Target) -> FastTrackError:
    """The error that trouble with the connection stands for."""
    where = target.url
    if isinstance(trouble, httpx.ConnectTimeout | httpx.ConnectError):
        for cause in _causes(trouble):
            if isinstance(cause, ssl.SSLCertVerificationError):
                return Untrusted(
                    f"{where} shows a certificate that this machine does not trust ({cause.verify_message}): check the "
                    "address; of an authority of your own, name the file in SSL_CERT_FILE"
                )
            if isinstance(cause, ssl.SSLError):
                return Untrusted(f"{where} does not speak TLS as it should ({cause.reason}): is it an http:// server?")
        return Unavailable(f"{where} cannot be reached ({_why(trouble)}): check the address, and that it runs")
    if isinstance(trouble, httpx.TimeoutException):
        return Unavailable(f"{where} does not answer in time; the same command may succeed later")
    if isinstance(trouble, httpx.UnsupportedProtocol | httpx.InvalidURL | httpx.LocalProtocolError):
        return InvalidInput(f"{where} cannot be asked: {_why(trouble)}")
    return Unavailable(f"the connection to {where} broke ({_why(trouble)}); the same command may succeed later")


def _problem(answer: httpx.Response) -> dict[str, Any] | None:
    """The problem document of the answer; `None`: it is not one of a FastTrack."""
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return None
    try:
        body = answer.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) and {"code", "detail"} <= body.keys() else None


def _of_stranger(answer: httpx.Response, target: Target) -> FastTrackError:
    """What to make of an answer that is no problem of ours: of a proxy, or of something else altogether."""
    status = answer.status_code
    if 300 <= status < 400:
        there = answer.headers.get("location", "")[:200]
        return Untrusted(f"{target.url} sends elsewhere, to {there or 'nowhere'}: give the address that is right")
    if status in (502, 503, 504):
        return Unavailable(f"{target.url} cannot serve this now (HTTP {status}): what stands before it gets no answer")
    if status == 429:
        return TooManyRequests(f"{target.url} was asked too often; wait a little", retry_after=1)
    if status in (401, 403, 407):
        return Forbidden(
            f"something before {target.url} lets nobody through without its own permission (HTTP {status})"
        )
    return Untrusted(f"{target.url} does not answer as a FastTrack does (HTTP {status}): check the address")


def _who_are_you(detail: str, target: Target) -> str:
    if target.token is None:
        return f"{target.url} wants to know who you are: set FASTTRACK_TOKEN, or add a profile with a token"
    return f"{target.url} does not take this token: {detail}"


def _problems(found: object) -> list[Problem]:
    try:
        problems = TypeAdapter(list[Problem]).validate_python(found)
    except ValidationError:
        return []
    return [replace(p, message=_legible(p.message), path=_legible(p.path)) for p in problems]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from."""
    seen = 0
    found: BaseException | None = error
    while found is not None and seen < 10:
        yield found
        found, seen = found.__cause__ or found.__context__, seen + 1


def _why(trouble: httpx.HTTPError) -> str:
    for cause in _causes(trouble):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    return str(trouble).splitlines()[0][:200] if str(trouble) else type(trouble).__name__


def _legible(text: str) -> str:
    """The text without characters that would play with a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text[:_MOST_CHARACTERS])
