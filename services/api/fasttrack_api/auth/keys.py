"""The keys that an identity provider publishes: found by discovery, kept, and asked for again when an unknown one is named."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
import orjson
import structlog

from fasttrack.errors import Unauthenticated, Unavailable

log = structlog.get_logger()

FRESH = 600.0
"""Seconds after which keys are asked for again, so that one the provider withdrew is not taken for longer."""
PAUSE = 10.0
"""Seconds between two questions at least: whoever makes up names of keys cannot make us flood the provider."""
STALE = 24 * 3600.0
"""Seconds that keys are used for while the provider cannot be asked."""

_MOST_BYTES = 512 * 1024
_MOST_KEYS = 100
_FAMILIES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class PublishedKeys:
    """The keys of one provider."""

    def __init__(self, issuer: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._clock = clock
        self._keys: list[dict[str, Any]] = []
        self._fetched_at: float | None = None
        self._asked_at: float | None = None
        self._lock = asyncio.Lock()

    async def find(self, kid: str | None, algorithm: str) -> Any:
        """The key that a token names (or the only one there is) that can have signed with that algorithm.

        :raises Unauthenticated: the provider publishes none.
        :raises Unavailable: the provider was never reached, or not for a day.
        """
        if self._age() > FRESH:
            await self._refresh()
        found = self._look(kid, algorithm)
        if found is None and await self._refresh():
            found = self._look(kid, algorithm)  # the provider may sign with a new key since
        if found is None:
            raise Unauthenticated("the identity provider publishes no key that this token could be signed with")
        return found

    def _look(self, kid: str | None, algorithm: str) -> Any:
        fitting = [k for k in self._keys if _fits(k, algorithm) and (kid is None or k.get("kid") == kid)]
        if len(fitting) != 1:
            return None
        try:
            key = jwt.PyJWK(fitting[0], algorithm=algorithm).key
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            return None
        return None if getattr(key, "key_size", 4096) < (2048 if fitting[0]["kty"] == "RSA" else 0) else key

    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else self._clock() - self._fetched_at

    async def _refresh(self) -> bool:
        """Ask the provider, unless that was just done. Whether it was asked.

        :raises Unavailable: there are no keys that may still be used.
        """
        async with self._lock:  # one question for all who wait
            asked = self._asked_at
            may_ask = asked is None or self._clock() - asked >= PAUSE
            if may_ask:
                self._asked_at = self._clock()
                try:
                    self._keys = await _fetch(self._issuer)
                    self._fetched_at = self._clock()
                except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
                    log.warning("the identity provider's keys cannot be read", issuer=self._issuer, error=str(error))
            if self._age() > STALE:
                raise Unavailable("the identity provider cannot be reached right now")
            return may_ask


async def _fetch(issuer: str) -> list[dict[str, Any]]:
    is_here = urlsplit(issuer).hostname in _LOOPBACK
    async with httpx.AsyncClient(timeout=5.0, follow_redirects=False, trust_env=not is_here) as client:
        found = await _read(client, issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise ValueError("its discovery document names another issuer")
        address = found.get("jwks_uri")
        scheme = urlsplit(address).scheme if isinstance(address, str) else ""
        if scheme != "https" and not (is_here and scheme == "http"):
            raise ValueError("its discovery document names no https address of its keys")
        keys = (await _read(client, str(address))).get("keys")
    if not isinstance(keys, list):
        raise ValueError("it publishes no list of keys")
    return [k for k in keys[:_MOST_KEYS] if isinstance(k, dict)]


async def _read(client: httpx.AsyncClient, address: str) -> dict[str, Any]:
    data = b""
    async with asyncio.timeout(10), client.stream("GET", address, headers={"Accept": "application/json"}) as answer:
        if answer.status_code != 200:
            raise ValueError(f"{address} answered {answer.status_code}")
        async for piece in answer.aiter_bytes():
            data += piece
            if len(data) > _MOST_BYTES:
                raise ValueError(f"{address} answered more than {_MOST_BYTES} bytes")
    document = orjson.loads(data)
    if not isinstance(document, dict):
        raise ValueError(f"{address} answered no JSON object")
    return document


def _fits(key: dict[str, Any], algorithm: str) -> bool:
    """Whether a published key is for signing, and of the family that the algorithm needs: never one shared secret."""
    return (
        key.get("kty") == _FAMILIES[algorithm[:2]]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and key.get("crv") == _CURVES.get(algorithm, key.get("crv"))
    )
