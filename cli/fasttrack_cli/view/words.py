"""Times, durations and sentences as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta

from fasttrack.domain.events import FeedEvent
from fasttrack.domain.states import FailureClass


def duration(value: timedelta | None) -> str:
    """`0.4s`, `12s`, `3m05s`, `2h10m`, `4d3h`; empty for none."""
    if value is None:
        return ""
    seconds = value.total_seconds()
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 60:
        return f"{whole}s"
    if hours < 1:
        return f"{minutes}m{whole % 60:02d}s"
    if days < 1:
        return f"{hours}h{minutes % 60:02d}m"
    return f"{days}d{hours % 24}h"


def moment(value: datetime | None) -> str:
    """A time in UTC, to the second; empty for none."""
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if value is not None else ""


def file_size(count: int) -> str:
    """`17 bytes`, `4 KiB`, `1.5 GiB`."""
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def how_it_ended(failure: FailureClass | None, exit_code: int | None) -> str:
    """`user, exit code 3`; empty when it ended well or has not ended."""
    said = [failure.value] if failure is not None else []
    if exit_code:
        said.append(f"exit code {exit_code}")
    return ", ".join(said)


def event_line(event: FeedEvent) -> str:
    """An event in one line: time, task, what happened, why."""
    about = event.task or "job"
    words = [f"{event.at:%H:%M:%S}.{event.at.microsecond // 1000:03d}", about, event.kind]
    payload = event.payload
    if payload.get("attempt", 1) > 1:
        words.append(f"attempt {payload['attempt']}")
    if payload.get("exit_code"):
        words.append(f"exit code {payload['exit_code']}")
    line = "  ".join(words)
    return f"{line}  ({payload['reason']})" if payload.get("reason") else line
