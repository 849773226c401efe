"""What a request must be before anything looks at it: for us, from where it may come, and of a bounded size."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fasttrack.settings import Settings

from .problems import problem

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_MOST_URL = 8192
_UPLOAD = re.compile(r"/api/v1/pipelines/[^/]+/(uploads/[^/]+|vfroot/.+)", re.DOTALL)


class Guard:
    """Refuses what no route should see.

    On loopback a caller may need no token, so a page of some other site must not be able to call in its reader's name:
    the `Host` must be one of ours (a name that was rebound to 127.0.0.1 is not), and what a browser sends from another
    origin changes nothing.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._hosts = {*_LOOPBACK, settings.api_host, *settings.api_hosts}
        self._origins = frozenset(settings.api_cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope, Headers(scope=scope))
        if refusal is None:
            if scope["type"] == "http":
                receive = self._bounded(receive, scope, Headers(scope=scope))
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[1][:120]})  # before it is accepted
        else:
            status, detail = refusal
            await problem(status, f"HTTP_{status}", detail)(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """The status and the sentence of a refusal, or `None`."""
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            return 400, "the address holds the character NUL; leave it out"
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > _MOST_URL:
            return 414, f"the address is longer than {_MOST_URL} bytes; shorten it"
        host = headers.get("host", "")
        peer = (scope.get("client") or ("",))[0]
        if peer in _LOOPBACK and _name_of(host) not in self._hosts:
            return 421, "this server is not called that; use its own name, or add the name to FASTTRACK_API_HOSTS"
        is_unsafe = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if is_unsafe and not self._is_ours(headers, host):
            return 403, "pages of this origin may not call the API; add the origin to FASTTRACK_API_CORS_ORIGINS"
        if scope["type"] == "http":
            return _refused_size(headers, self._limit(scope))
        return None

    def _is_ours(self, headers: Headers, host: str) -> bool:
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        return origin in self._origins or urlsplit(origin).netloc == host != ""

    def _limit(self, scope: Scope) -> int:
        """Bytes that the body may have."""
        return self._settings.upload_file_limit if _is_upload(scope) else self._settings.api_body_limit

    def _bounded(self, receive: Receive, scope: Scope, headers: Headers) -> Receive:
        """Messages of the body, until there are too many bytes of it or they take too long.

        A file may take long as a whole, as long as something comes of it.
        """
        if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
            return receive
        limit = self._limit(scope)
        is_upload = _is_upload(scope)
        seconds = self._settings.api_request_timeout.total_seconds()
        until = asyncio.get_running_loop().time() + seconds
        taken = 0
        is_whole = False

        async def bounded() -> Message:
            nonlocal taken, is_whole, until
            if is_whole:
                return await receive()  # waits for the client to leave, however long the answer takes
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(
                    408, f"the body did not arrive within {seconds:g} s", {"Connection": "close"}
                ) from None
            taken += len(message.get("body", b""))
            if is_upload:
                until = asyncio.get_running_loop().time() + seconds
            if taken > limit:
                raise HTTPException(413, _too_large(limit), {"Connection": "close"})
            is_whole = not message.get("more_body", False)
            return message

        return bounded


class CrossOrigin(CORSMiddleware):
    """Lets pages of the listed origins call, and refuses the others as everything else is refused: with a problem."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a browser that asks whether a page may."""
        answer = super().preflight_response(request_headers)
        if answer.status_code == 200:
            return answer
        kept = {k: v for k, v in answer.headers.items() if k not in ("content-length", "content-type")}
        said = bytes(answer.body).decode().removeprefix("Disallowed CORS ")
        detail = f"pages may not call the API like this ({said}); origins are those of FASTTRACK_API_CORS_ORIGINS"
        return problem(answer.status_code, "CORS_REFUSED", detail, headers=kept)


def _is_upload(scope: Scope) -> bool:
    return scope["method"] in ("PUT", "PATCH") and _UPLOAD.fullmatch(scope["path"]) is not None


def _refused_size(headers: Headers, limit: int) -> tuple[int, str] | None:
    length = headers.get("content-length")
    if length is not None and not (length.isascii() and length.isdigit()):
        return 400, "the header Content-Length is not a number"
    if length is not None and (len(length) > 15 or int(length) > limit):
        return 413, _too_large(limit)
    return None


def _too_large(limit: int) -> str:
    return f"the body is larger than {limit} bytes, the most that is taken; send less, or split it"


def _name_of(host: str) -> str:
    """The name in a `Host` header, without the port and the brackets."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
