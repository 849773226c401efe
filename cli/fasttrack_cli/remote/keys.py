"""Idempotency keys, so that a request that makes something can be sent twice."""

from __future__ import annotations

from uuid import uuid4

from fasttrack.errors import InvalidInput


def key_header(given: str | None) -> dict[str, str]:
    """The header with the key that was given, or with one of our own. :raises InvalidInput: a header cannot hold it."""
    key = given if given is not None else f"cli-{uuid4()}"
    if not (0 < len(key) <= 255 and key.isascii() and key.isprintable() and key.strip() == key):
        raise InvalidInput("against a server, an idempotency key has 1 to 255 visible ASCII characters")
    return {"Idempotency-Key": key}
