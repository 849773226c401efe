"""Relay connections by keyset: a cursor is the key of its item, so a page costs the same wherever it is.

A cursor says nothing about what may be read: the caller's projects are asked for with every page. One that was made up
leads to some place of a list the caller may read, or is refused.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import orjson
import strawberry

from fasttrack.db.windows import Page, Window
from fasttrack.errors import InvalidInput

from .measuring import DEFAULT_PAGE, require_page

T = TypeVar("T")
R = TypeVar("R")
_LONGEST = 512

First = Annotated[
    int | None,
    strawberry.argument(
        description="The first so many, 1 to 100 unless the server says otherwise. Without `first` and `last`: 50."
    ),
]
After = Annotated[str | None, strawberry.argument(description="Only items after the one with this cursor.")]
Last = Annotated[int | None, strawberry.argument(description="The last so many, 1 to 100; not together with `first`.")]
Before = Annotated[str | None, strawberry.argument(description="Only items before the one with this cursor.")]


class CursorInvalid(InvalidInput):
    """The cursor is not one of this list's: take it from a page of the same list."""

    code = "CURSOR_INVALID"


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    """Of a connection."""

    has_next_page: bool = strawberry.field(
        description="Whether more follows. When reading from the end: whether a `before` was given."
    )
    has_previous_page: bool = strawberry.field(
        description="Whether more comes before. When reading from the start: whether an `after` was given."
    )
    start_cursor: str | None = strawberry.field(description="The first item's cursor; null when the page is empty.")
    end_cursor: str | None = strawberry.field(description="The last item's cursor; null when the page is empty.")


@strawberry.type(description="An item of a list, with its cursor.")
class Edge(Generic[T]):
    """Of a connection."""

    node: T = strawberry.field(description="The item.")
    cursor: str = strawberry.field(description="Its place in the list, for `after` and `before`.")


@strawberry.type(description="One page of a list.")
class Connection(Generic[T]):
    """A page."""

    nodes: list[T] = strawberry.field(description="The items, without cursors.", metadata={"page": True})
    page_info: PageInfo = strawberry.field(description="Where the page stands.", metadata={"cost": 0})
    keys: strawberry.Private[Sequence[str]]

    @strawberry.field(description="The items, each with its cursor.", metadata={"page": True, "cost": 0})
    def edges(self) -> list[Edge[T]]:
        """The items with their cursors."""
        return [Edge(node=n, cursor=k) for n, k in zip(self.nodes, self.keys, strict=True)]


@strawberry.type(description="One page of a list, and the place in the feed of events that it was read at.")
class LiveConnection(Connection[T], Generic[T]):
    """A page that can be followed."""

    feed_cursor: str = strawberry.field(
        description="Follow the events after this cursor: nothing that the page does not show yet is missed."
    )


def cursor_of(tag: str, key: Sequence[object]) -> str:
    """The cursor of an item of the list that `tag` names."""
    values = [tag, *(v.hex if isinstance(v, UUID) else v for v in key)]
    return base64.urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def parse_cursor(tag: str, types: Sequence[type], text: str) -> tuple[object, ...]:
    """The key in the cursor. :raises CursorInvalid: it is none of that list's."""
    if len(text) > _LONGEST or not text.isascii():
        raise CursorInvalid
    try:
        values = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        if not isinstance(values, list) or values[:1] != [tag] or len(values) != len(types) + 1:
            raise CursorInvalid
        return tuple(_typed(kind, value) for kind, value in zip(types, values[1:], strict=True))
    except ValueError:
        raise CursorInvalid from None


def _typed(kind: type, value: object) -> object:
    if kind is UUID and isinstance(value, str):
        return UUID(value)
    if kind is int and isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31:
        return value
    if kind is str and isinstance(value, str) and "\0" not in value:
        return value
    raise CursorInvalid


class Listing:
    """One list: its name in cursors, and the types of its keys."""

    def __init__(self, tag: str, *types: type) -> None:
        self.tag = tag
        self.types = types

    def window(
        self, first: int | None, after: str | None, last: int | None, before: str | None, *, most: int
    ) -> Window:
        """The window that the arguments ask for. :raises InvalidInput: they contradict, or are out of range."""
        if first is not None and last is not None:
            raise InvalidInput("give either `first` or `last`, not both")
        asked = last if first is None else first
        if asked is not None:
            require_page(asked, most)
        return Window(
            min(DEFAULT_PAGE, most) if asked is None else asked,
            parse_cursor(self.tag, self.types, after) if after is not None else None,
            parse_cursor(self.tag, self.types, before) if before is not None else None,
            is_from_end=last is not None,
        )

    def parts(
        self, page: Page[R], window: Window, shown: Callable[[R], Any], key: Callable[[R], tuple[object, ...]]
    ) -> dict[str, Any]:
        """What a connection is made of."""
        keys = [cursor_of(self.tag, key(item)) for item in page.items]
        more_before = page.has_more if window.is_from_end else window.after is not None
        more_after = window.before is not None if window.is_from_end else page.has_more
        return {
            "nodes": [shown(item) for item in page.items],
            "keys": keys,
            "page_info": PageInfo(
                has_next_page=more_after,
                has_previous_page=more_before,
                start_cursor=keys[0] if keys else None,
                end_cursor=keys[-1] if keys else None,
            ),
        }
