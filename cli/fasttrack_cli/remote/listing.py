"""Lists of a server, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from .answers import Page
from .connection import Connection

T = TypeVar("T")

_PAGE = 500
"""The most that a server gives at once."""


async def list_all(
    connection: Connection,
    path: str,
    kind: type[Page[T]],
    query: Mapping[str, Any] | None = None,
    *,
    limit: int | None = None,
) -> list[T]:
    """What the list has, `limit` at most; all of it without. Errors as those of `Connection.call`.

    :param query: what is asked for; `after` says where it begins.
    """
    asked = dict(query or {})
    found: list[T] = []
    while True:
        size = _PAGE if limit is None else min(limit - len(found), _PAGE)
        page = await connection.get(path, kind, **{**asked, "limit": size})
        found += page.items
        asked["after"] = page.next
        if page.next is None or (limit is not None and len(found) >= limit):
            return found
