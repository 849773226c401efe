"""Times that lists can be bounded by."""

from __future__ import annotations

from datetime import datetime

from ..errors import InvalidInput


def require_moment(moment: datetime | None) -> None:
    """Pass if a list can be bounded by it, or by nothing. :raises InvalidInput: it has no zone, or is of another age."""
    if moment is not None and moment.tzinfo is None:
        raise InvalidInput("a time needs its zone, such as 2026-11-24T09:00:00Z")
    if moment is not None and not 1970 < moment.year < 9999:
        raise InvalidInput("a time is later than 1970, and earlier than 9999")
