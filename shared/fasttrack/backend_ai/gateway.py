"""All requests to one manager with one key: signed, paced, bounded in time and size, each answered with what it means."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import httpx
import orjson
import structlog

from .answers import Away, BadCredentials, ManagerError, Refused, Throttled, Unknown, error_of
from .generation import Generation, UnsupportedManager
from .pace import Pace
from .signing import Keypair, signed_headers

log = structlog.get_logger()

MOST_CONNECTIONS = 24
_MOST_CALLS = MOST_CONNECTIONS - 1  # beside the stream of events
_MOST_WRITES = 16
_MOST_SLOW = 8
"""Requests at once: of all kinds, of those that change something, of those that may take long by nature, as ends of
sessions do on 23.09. A question is not to wait behind a burst of creates, nor creates behind ends; and httpcore looks
through all that wait, and all connections, for each."""
_LONGEST_ANSWER = 64 * 1024 * 1024  # the log of a container has 10 MiB at most, as text in JSON
_CONNECT = 5.0
_READ = 10.0
_TRUSTS = 5  # failures one after the other before nothing is sent for a while
_SHORTEST_REST = 1.0
_LONGEST_REST = 30.0
_NO_BODY = "application/octet-stream"  # what a request without a content type is signed with


class Gateway:
    """One manager, one key. Safe to use concurrently."""

    def __init__(self, endpoint: str, keypair: Keypair, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """:param transport: how requests are sent; by default over the network, with certificates verified."""
        self._keypair = keypair
        self._client = httpx.AsyncClient(
            base_url=endpoint.rstrip("/"),
            timeout=httpx.Timeout(_READ, connect=_CONNECT),
            limits=httpx.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=MOST_CONNECTIONS),
            follow_redirects=False,  # a signed request is for this host alone
            transport=transport,
        )
        self._pace = Pace(time.monotonic)
        self._breaker = Breaker()
        self._calls = asyncio.Semaphore(_MOST_CALLS)
        self._writes, self._slow = asyncio.Semaphore(_MOST_WRITES), asyncio.Semaphore(_MOST_SLOW)
        self._generation: Generation | None = None
        self._negotiating = asyncio.Lock()

    async def close(self) -> None:
        """Let the connections go. Safe to call twice."""
        await self._client.aclose()

    async def generation(self) -> Generation:
        """Which release the manager is of; asked once, and again after it was away, since it may be another by then.

        :raises Away: it does not answer, or is none that can be worked with.
        """
        async with self._negotiating:
            if self._generation is None:
                self._breaker.require_closed()
                request = self._client.build_request("GET", "/")
                answer = await self._send(request, is_write=False, is_signed=False)
                try:
                    self._generation = Generation.of(answer)
                except UnsupportedManager as error:
                    raise Away(str(error)) from None
                log.info("manager found", release=str(self._generation), api=self._generation.api_version)
            return self._generation

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        is_write: bool | None = None,
        seconds: float = _READ,
    ) -> Any:
        """The answer's JSON, or `None` if it has none.

        :param is_write: whether it changes anything; by default everything but GET does. GraphQL queries do not.
        :param seconds: how long the manager may take: ending a session takes 20 s on 23.09.
        :raises Refused: definitely, with what the manager says. :raises Away: it took no effect.
        :raises Unknown: a write that may have taken effect. :raises BadCredentials: our key or clock is not taken.
        """
        is_write = method != "GET" if is_write is None else is_write
        self._breaker.require_closed()
        generation = await self.generation()
        lane = self._slow if seconds > _READ else self._writes if is_write else nullcontext()
        async with lane, self._calls:
            await self._pace.wait()
            return await self._send(self._request(generation, method, path, query, body, seconds), is_write=is_write)

    async def graphql(self, text: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The data of a query. :raises Away: as `call`, and when the manager answers with errors instead of data."""
        answer = await self.call(
            "POST", "/admin/gql", body={"query": text, "variables": dict(variables)}, is_write=False
        )
        # 26.x answers with the wrapper on one path, 23.09 on the other; both on `/admin/gql`.
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, dict):
            told = answer.get("errors") if isinstance(answer, dict) else answer
            raise Away(f"the manager could not answer a query: {orjson.dumps(told)[:300].decode()}")
        return data

    @asynccontextmanager
    async def stream(self, path: str, query: Mapping[str, str]) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of a long answer, such as server-sent events, as they come. :raises Away: it cannot be opened."""
        self._breaker.require_closed()
        generation = await self.generation()
        await self._pace.wait()
        request = self._request(generation, "GET", path, query, None, 60.0)  # a comment comes every 15 s
        try:
            answer = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise self._failed(error, is_write=False) from error
        try:
            if answer.status_code != 200:
                raise Away(f"the manager answered a stream with {answer.status_code}", answer.status_code)
            yield answer.aiter_lines()
        except httpx.HTTPError as error:
            raise Away(f"the stream broke: {error!r}") from error
        finally:
            await answer.aclose()

    async def fetch(self, address: str, *, offset: int, limit: int) -> tuple[bytes, int] | None:
        """At most `limit` bytes from `offset` on of what the storage proxy has at an address the manager gave, and how
        many bytes there are; `None`: it is not there. Counts for no limit of requests.

        :raises Refused: the address is not taken, as when it has expired. :raises Away: no answer came.
        """
        if limit <= 0 or offset < 0:
            raise ValueError("a range has a beginning and a length")
        request = self._client.build_request(
            "GET", address, headers={"Range": f"bytes={offset}-{offset + limit - 1}", "Accept-Encoding": "identity"}
        )
        try:
            answer = await self._client.send(request, stream=True)
            try:
                return await _ranged(answer, offset, limit)
            finally:
                await answer.aclose()
        except httpx.HTTPError as error:
            raise Away(f"the storage proxy did not answer: {error!r}") from error

    async def exchange(
        self, method: str, address: str, *, headers: Mapping[str, str], content: bytes = b"", seconds: float = 60.0
    ) -> tuple[int, Mapping[str, str]]:
        """What the storage proxy answers at an address the manager gave: the status and the headers.

        :raises Away: it took no effect. :raises Unknown: it may have, or some of it.
        """
        request = self._client.build_request(
            method, address, headers=dict(headers), content=content, timeout=httpx.Timeout(seconds, connect=_CONNECT)
        )
        try:
            answer = await self._client.send(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Away(f"the storage proxy cannot be reached: {error!r}") from error
        except httpx.HTTPError as error:
            raise Unknown(f"the storage proxy did not answer: {error!r}") from error
        return answer.status_code, answer.headers

    def _request(
        self,
        generation: Generation,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Any,
        seconds: float,
    ) -> httpx.Request:
        target = f"{path}?{urlencode(query)}" if query else path
        content = None if body is None else orjson.dumps(body)
        request = self._client.build_request(
            method,
            target,
            content=content,
            headers={} if content is None else {"Content-Type": "application/json"},
            timeout=httpx.Timeout(seconds, connect=_CONNECT),
        )
        request.headers.update(
            signed_headers(
                self._keypair,
                method,
                request.url.raw_path.decode("ascii"),
                host=request.headers["Host"],
                content_type=_NO_BODY if content is None else "application/json",
                api_version=generation.api_version,
                now=datetime.now(UTC),
            )
        )
        return request

    async def _send(self, request: httpx.Request, *, is_write: bool, is_signed: bool = True) -> Any:
        try:
            answer = await self._client.send(request, stream=True)
            try:
                content = await _bounded(answer)
            finally:
                await answer.aclose()
        except httpx.HTTPError as error:
            raise self._failed(error, is_write=is_write) from error
        if is_signed:  # others are told the limit of strangers
            self._pace.note(answer.headers)
        failure = error_of(answer.status_code, _json(content), is_write=is_write)
        if isinstance(failure, Throttled):
            self._pace.exhausted()
        elif isinstance(failure, Away | Unknown) and not (is_write and answer.status_code == 500):
            self._fail()  # a write that is answered 500 tells nothing of the manager's health: 23.09 does so when two collide
        else:
            self._breaker.worked()
        if failure is not None:
            raise failure
        return _json(content)

    def _failed(self, error: httpx.HTTPError, *, is_write: bool) -> ManagerError:
        self._fail()
        told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        was_sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        return Unknown(told) if is_write and was_sent else Away(told)

    def _fail(self) -> None:
        if self._breaker.failed():
            self._generation = None  # what comes back may be of another release


class Breaker:
    """Lets nothing through for a while after failures in a row, then one, to see."""

    def __init__(self) -> None:
        self._failures = 0
        self._closed_at = 0.0

    def require_closed(self) -> None:
        """Pass if a request may be sent. :raises Away: the manager failed a moment ago."""
        left = self._closed_at - time.monotonic()
        if left > 0:
            raise Away(f"the manager did not answer {self._failures} times in a row; it is asked again in {left:.0f} s")

    def worked(self) -> None:
        """An answer came."""
        self._failures = 0
        self._closed_at = 0.0

    def failed(self) -> bool:
        """None came, or a useless one. Whether nothing is sent for a while now."""
        self._failures += 1
        beyond = self._failures - _TRUSTS
        if beyond < 0:
            return False
        self._closed_at = time.monotonic() + min(_SHORTEST_REST * 2 ** min(beyond, 10), _LONGEST_REST)
        return True


async def _bounded(answer: httpx.Response) -> bytes:
    parts, size = [], 0
    async for part in answer.aiter_bytes():
        size += len(part)
        if size > _LONGEST_ANSWER:
            raise httpx.DecodingError("the manager's answer is too long", request=answer.request)
        parts.append(part)
    return b"".join(parts)


async def _ranged(answer: httpx.Response, offset: int, limit: int) -> tuple[bytes, int] | None:
    told = answer.headers.get("Content-Range", "").rpartition("/")[2]
    match answer.status_code:
        case 206:
            skip = 0
        case 200:  # a proxy that knows no ranges sends all of it
            skip, told = offset, answer.headers.get("Content-Length", "")
        case 416:
            return b"", int(told) if told.isdigit() else offset
        case status if status >= 500:
            raise Away(f"the storage proxy answered {status}", status)
        case 404:
            return None
        case status:
            raise Refused(f"the storage proxy answered {status}", status)
    found = bytearray()
    async for part in answer.aiter_bytes():
        found += part[skip:]
        skip = max(0, skip - len(part))
        if len(found) >= limit:
            break
    del found[limit:]
    return bytes(found), int(told) if told.isdigit() else offset + len(found)


def _json(content: bytes) -> Any:
    if not content:
        return None
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(content)  # names of files that are no text come as halves of characters
    except ValueError:
        return None  # a proxy's page: its status says enough


__all__ = ["BadCredentials", "Gateway"]
