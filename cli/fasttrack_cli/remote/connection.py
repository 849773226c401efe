"""Requests to the API of a server: tried again where that is right, and every trouble a sentence.

Every request of the command line may be sent twice: it reads, or it asks for a state rather than a step, or it carries an
idempotency key. So an answer that was lost on its way is settled by asking again. Tokens alone are made by every request;
`was_lost` ends those.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from fasttrack.errors import FastTrackError, Unavailable

from ..target import Target
from .problems import error_of, trouble_of

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
"""How long one request is tried again."""
_TRIES = 6
_UNREACHED_TRIES = 2
"""Nobody listened: a server that is being restarted does again in a moment, a wrong address never."""
_AGAIN = frozenset({429, 502, 503, 504})
_TIMEOUT = httpx.Timeout(60.0, connect=5.0, pool=60.0)
_OF_NO_PROJECT = frozenset({"/projects", "/accounts", "/tokens"})
"""Lists that are not of the project; `/tokens` with one would be those for it alone."""
_VERSION = "X-FastTrack-Version"


class Connection:
    """One server, as one caller, for the time of one command."""

    def __init__(self, target: Target, client: httpx.AsyncClient, say: Callable[[str], None]) -> None:
        self.target = target
        self._client = client
        self._say = say
        self._is_compared = False

    @property
    def in_project(self) -> dict[str, str]:
        """The query that names the project, if one is given."""
        return {} if self.target.project is None else {"project": self.target.project}

    async def get(self, path: str, kind: type[T], **query: Any) -> T:
        """What is there. Errors as those of `call`."""
        return self.read(await self.call("GET", path, query=query), kind)

    async def find(self, path: str, kind: type[T], **query: Any) -> T | None:
        """What is there, or `None`."""
        from fasttrack.errors import NotFound

        try:
            return await self.get(path, kind, **query)
        except NotFound:
            return None

    async def post(self, path: str, kind: type[T], body: Any = None, **options: Any) -> T:
        """What asking for it gave. Errors as those of `call`."""
        return self.read(await self.call("POST", path, body=body, **options), kind)

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        was_lost: Callable[[], None] | None = None,
    ) -> httpx.Response:
        """The answer of `/api/v1` + `path`, asked for again while that may help.

        :param was_lost: called when an answer may have been lost, so that the request may have been carried out; what it
            raises is raised, and nothing asked for again.
        :raises FastTrackError: the server refused it, as the same error would be raised on its machine.
        :raises Unavailable: it cannot be reached, or cannot serve it now.
        """
        until = time.monotonic() + PATIENCE_SECONDS
        rest = 0.25
        for attempt in range(1, _TRIES + 1):
            error: FastTrackError
            try:
                answer = await self._client.request(
                    method, f"/api/v1{path}", params=_query(query), json=body, content=content, headers=headers
                )
            except httpx.HTTPError as trouble:
                is_unreached = isinstance(trouble, httpx.ConnectError | httpx.ConnectTimeout)
                error = trouble_of(trouble, self.target)
                if error.retryable and not is_unreached and was_lost is not None:
                    was_lost()
                if isinstance(trouble, httpx.UnsupportedProtocol | httpx.TooManyRedirects) or not error.retryable:
                    raise error from None
                if is_unreached and attempt >= _UNREACHED_TRIES:
                    raise error from None
                wait = rest
            else:
                self._compare(answer)
                if answer.is_success:
                    return answer
                error = error_of(answer, self.target)
                if answer.status_code not in _AGAIN:
                    raise error
                if answer.status_code in (502, 503, 504) and was_lost is not None:
                    # A proxy gave up on an answer that may still have been made, or a commit was not answered for.
                    was_lost()
                wait = _asked_to_wait(answer, rest)
            # A little apart, so that many clients do not come back at once.
            wait *= 1 + random.random() / 4  # noqa: S311 - no secret depends on it
            if attempt == _TRIES or time.monotonic() + wait > until:
                raise error
            await asyncio.sleep(wait)
            rest = min(rest * 2, 5.0)
        raise AssertionError("the last try returns or raises")

    @asynccontextmanager
    async def stream(
        self, path: str, *, headers: Mapping[str, str], read_timeout: float, query: Mapping[str, Any] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """An answer that comes bit by bit, tried once. Errors as those of `call`, also from the block."""
        timeout = httpx.Timeout(read_timeout, connect=5.0)
        try:
            async with self._client.stream(
                "GET", f"/api/v1{path}", params=_query(query), headers=headers, timeout=timeout
            ) as answer:
                self._compare(answer)
                if not answer.is_success:
                    await answer.aread()
                    raise error_of(answer, self.target)
                yield answer
        except httpx.HTTPError as trouble:
            raise trouble_of(trouble, self.target) from None

    def read(self, answer: httpx.Response, kind: type[T]) -> T:
        """What the answer says. :raises Unavailable: it is not what a FastTrack says there."""
        try:
            return TypeAdapter(kind).validate_json(answer.content)
        except ValidationError:
            raise Unavailable(
                f"what {self.target.url} answers is not what a FastTrack of this version says; is it one, and of which "
                "version? `fasttrack whoami` tells"
            ) from None

    def _compare(self, answer: httpx.Response) -> None:
        """Warn once when the server is older than this command line: what is new here is unknown there."""
        if self._is_compared:
            return
        self._is_compared = True
        theirs, ours = answer.headers.get(_VERSION, ""), version("fasttrack")
        if (numbers := _numbers(theirs)) and numbers < _numbers(ours):
            self._say(f"{self.target.url} is FastTrack {theirs[:40]}, older than this command line ({ours})")


@asynccontextmanager
async def connected(target: Target, say: Callable[[str], None]) -> AsyncIterator[Connection]:
    """A connection while the block runs.

    :param say: tells a person what they would want to know.
    """
    async with httpx.AsyncClient(**_options(target), timeout=_TIMEOUT) as client:
        yield Connection(target, client, say)


def ask_quickly(target: Target, path: str, query: Mapping[str, Any], *, seconds: float) -> list[dict[str, Any]]:
    """The items of a list, asked for once. :raises LookupError: there was no such answer in time."""
    in_project = {} if target.project is None or path in _OF_NO_PROJECT else {"project": target.project}
    try:
        with httpx.Client(**_options(target), timeout=seconds) as client:
            answer = client.get(f"/api/v1{path}", params={**query, **in_project})
            items = answer.raise_for_status().json()["items"]
    except (httpx.HTTPError, ValueError) as error:
        raise LookupError(path) from error
    return [item for item in items if isinstance(item, dict)]


def _options(target: Target) -> dict[str, Any]:
    headers = {"User-Agent": f"fasttrack-cli/{version('fasttrack')}"}
    if target.token is not None:
        headers["Authorization"] = f"Bearer {target.token}"
    # The authorities of the machine are a tenth of a second to read: only where they are asked. Redirects are not
    # followed, so that the token goes where it was sent to and nowhere else.
    verify: Any = True if target.url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return {"base_url": target.url, "headers": headers, "verify": verify, "follow_redirects": False}


def _query(query: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (query or {}).items() if value is not None}


def _asked_to_wait(answer: httpx.Response, otherwise: float) -> float:
    text = answer.headers.get("retry-after", "")
    return max(float(text), 0.05) if text.isascii() and text.isdigit() and len(text) < 6 else otherwise


def _numbers(text: str) -> tuple[int, ...]:
    parts = text.split(".")
    return tuple(int(p) for p in parts) if all(p.isascii() and p.isdigit() and len(p) < 6 for p in parts) else ()
