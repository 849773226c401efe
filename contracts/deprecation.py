"""When something that was deprecated may go: a year after the date that its mark begins with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

_DATED = re.compile(r"(\d{4}-\d{2}-\d{2}): \S")


@dataclass(frozen=True, slots=True)
class Change:
    """Something that a client may notice."""

    where: str
    """Such as `Job.state`, or `GET /api/v1/jobs`."""
    what: str
    is_breaking: bool = True

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def date_of(reason: str | None) -> date | None:
    """The date of a mark such as `2026-11-24: use `jobs``; `None`: there is no mark, or it has no date."""
    found = _DATED.match(reason or "")
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None


def may_go(reason: str | None, today: date) -> bool:
    """Whether what was released with this mark may be gone today."""
    since = date_of(reason)
    return since is not None and since < _a_year_before(today)


def wrong_marks(before: Mapping[str, str], now: Mapping[str, str], released: date) -> Iterable[Change]:
    """Marks that are not as they have to be, by place: each has a date, not before the release in which it was not there
    yet, and a date that was released stays.
    """
    for where, reason in now.items():
        since = date_of(reason)
        if since is None:
            yield Change(where, f"its mark has to begin with a date: `2026-11-24: use …`, and not {reason!r}")
        elif where not in before and since < released:
            yield Change(where, f"it is deprecated since {since}, but was released on {released} without a mark")
        elif where in before and date_of(before[where]) not in (None, since):
            yield Change(where, f"it was released as deprecated since {date_of(before[where])}; that date stays")


def _a_year_before(day: date) -> date:
    try:
        return day.replace(year=day.year - 1)
    except ValueError:  # 29 February
        return day.replace(year=day.year - 1, day=28)
