"""Pages by keyset: a window on an ordered list, and the conditions that go with it.

A page is found by the key of its neighbour, never by counting rows, so the thousandth costs what the first does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID

T = TypeVar("T")
CLOCKS_DIFFER = timedelta(days=1)  # how far the clock that made an id may be from the one that the time is of


class Where:
    """Conditions with their values, as parameters numbered in the order they were added."""

    def __init__(self) -> None:
        self._terms: list[str] = []
        self.values: list[object] = []

    def add(self, term: str, *values: object) -> None:
        """Require `term`, in which each `{}` stands for the next value. The term is a constant; values are bound."""
        self._terms.append(term.format(*(f"${len(self.values) + n}" for n in range(1, len(values) + 1))))
        self.values += values

    def within(self, time: str, identifier: str, start: datetime | None, end: datetime | None) -> None:
        """Require a time from `start` on and before `end`. Ids are ordered by time, so they bound the scan."""
        if start is not None:
            self.add(f"{time} >= {{}} AND {identifier} >= {{}}", start, _id_at(start - CLOCKS_DIFFER))
        if end is not None:
            self.add(f"{time} < {{}} AND {identifier} < {{}}", end, _id_at(end + CLOCKS_DIFFER))

    def __str__(self) -> str:
        return " AND ".join(self._terms) or "true"


def _id_at(moment: datetime) -> UUID:
    """The first version-7 UUID of that millisecond."""
    milliseconds = min(max(int(moment.timestamp() * 1000), 0), 2**48 - 1)
    return UUID(int=milliseconds << 80)


@dataclass(frozen=True, slots=True)
class Order:
    """What a list is ordered by; the columns together are unique."""

    columns: tuple[str, ...]
    casts: tuple[str, ...]
    """The type of each column, for the parameters that are compared with it."""
    is_descending: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the list that is asked for."""

    size: int
    after: Sequence[object] | None = None
    """The key of the neighbour before the page."""
    before: Sequence[object] | None = None
    """The key of the neighbour after the page."""
    is_from_end: bool = False
    """The last of what lies in between, instead of the first."""

    def clause(self, where: Where, order: Order) -> str:
        """Add what the window requires; the `ORDER BY` and `LIMIT`, one row beyond the page to see if more follows."""
        key, up = f"({', '.join(order.columns)})", ("<", ">")[not order.is_descending]
        down = ("<", ">")[order.is_descending]
        places = f"({', '.join('{}::' + cast for cast in order.casts)})"
        if self.after is not None:
            where.add(f"{key} {up} {places}", *self.after)
        if self.before is not None:
            where.add(f"{key} {down} {places}", *self.before)
        direction = " DESC" if order.is_descending is not self.is_from_end else ""
        return f" ORDER BY {', '.join(c + direction for c in order.columns)} LIMIT {int(self.size) + 1}"


FIRST_PAGE = Window(50)
"""What a list shows of itself to whoever asks for nothing in particular."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """What the window shows, in the order of the list."""

    items: list[T]
    has_more: bool
    """Whether the list goes on beyond the page, in the direction it was read."""


def page_of(items: list[T], window: Window) -> Page[T]:
    """The page that the rows of a window's statement make."""
    has_more = len(items) > window.size
    del items[window.size :]
    if window.is_from_end:
        items.reverse()
    return Page(items, has_more)
