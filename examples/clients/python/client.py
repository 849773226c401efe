"""A client of FastTrack's GraphQL, with httpx alone: ask once, or follow for good over server-sent events."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx

SILENCE = 45.0
"""Seconds. A quiet stream says where it is every 15; one that says nothing for three times that is dead."""
LONGEST_PAUSE = 15.0


class ApiError(Exception):
    """What the server refused, or could not do."""

    def __init__(self, code: str, message: str, *, retryable: bool, retry_after: float = 0) -> None:
        super().__init__(message)
        self.code = code
        """For programs; it stays what it is."""
        self.retryable = retryable
        """Whether the same may succeed later."""
        self.retry_after = retry_after
        """In seconds; 0: the server does not say."""


class Client:
    """Asks once, or follows for good; tries again for as long as that may help."""

    def __init__(
        self, server: str, token: str | None = None, on_retry: Callable[[Exception, float], None] | None = None
    ) -> None:
        """:param on_retry: told before each new try, with the seconds until then."""
        self._on_retry = on_retry
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=server, headers=headers, timeout=SILENCE)

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of a query. Send no mutation here without an idempotency key: it may be sent again."""
        tries = 0
        while True:
            try:
                with self._sent(query, variables, "application/json") as answer:
                    return _data_of(json.loads(answer.read()))
            except (ApiError, httpx.TransportError) as error:
                self._pause(error, tries)
                tries += 1

    def follow(self, query: str, *, after: str, **variables: Any) -> Iterator[Any]:
        """The one field of each message of a subscription, over as many connections as it takes: each once, in order.

        :raises ApiError: what no new connection can mend; after `CURSOR_EXPIRED` list again, and follow from there.
        """
        tries = 0
        while True:
            try:
                with self._sent(query, {**variables, "after": after}, "text/event-stream") as answer:
                    for event, data in _server_sent(answer):
                        if event == "complete":
                            return
                        (field,) = _data_of(data).values()
                        after, tries = field["cursor"], 0
                        yield field
                raise ApiError("CONNECTION_LOST", "the connection was lost", retryable=True)
            except (ApiError, httpx.TransportError) as error:
                self._pause(error, tries)
                tries += 1

    def _sent(self, query: str, variables: Any, accept: str) -> closing[httpx.Response]:
        """The answer to a request, not yet read. :raises ApiError: it was refused."""
        body = {"query": query, "variables": variables}
        request = self._http.build_request("POST", "/graphql", json=body, headers={"Accept": accept})
        answer = self._http.send(request, stream=True)
        if answer.is_success:
            return closing(answer)
        with closing(answer):
            problem = json.loads(answer.read())
        is_retryable = problem.get("retryable", answer.status_code >= 500)
        retry_after = float(answer.headers.get("Retry-After", 0))
        raise ApiError(problem["code"], problem["detail"], retryable=is_retryable, retry_after=retry_after)

    def _pause(self, error: ApiError | httpx.TransportError, tries: int) -> None:
        """Wait before another try: ever longer, never in step with others. Raises the error if none can help."""
        if isinstance(error, ApiError) and not error.retryable:
            raise error
        pause = min(0.25 * 2 ** min(tries, 10), LONGEST_PAUSE) * random.uniform(0.5, 1)
        pause += getattr(error, "retry_after", 0)
        if self._on_retry is not None:
            self._on_retry(error, pause)
        time.sleep(pause)


def _server_sent(answer: httpx.Response) -> Iterator[tuple[str, Any]]:
    """The name and the data of each server-sent event. Lines that begin with a colon say nothing."""
    name = data = ""
    for line in answer.iter_lines():
        if line.startswith("event:"):
            name = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            data += line.removeprefix("data:")
        elif not line and name:
            yield name, json.loads(data or "null")
            name = data = ""


def _data_of(answer: Any) -> Any:
    for error in answer.get("errors") or ():
        facts = error.get("extensions", {})
        raise ApiError(facts.get("code", "INTERNAL"), error["message"], retryable=facts.get("retryable", False))
    return answer["data"]
