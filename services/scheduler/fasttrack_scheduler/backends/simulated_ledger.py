"""What a simulated site remembers, so that a test can assert exact counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from fasttrack.ids import JobId


@dataclass(slots=True)
class Ledger:
    """What happened on a simulated site since it was made."""

    create_calls: Counter[str] = field(default_factory=Counter)
    """Per session name, refused and failed calls included."""
    created: list[str] = field(default_factory=list)
    """Names in the order in which sessions came to exist."""
    executions: Counter[str] = field(default_factory=Counter)
    """Per session name, how often its command was started (again after a pre-emption)."""
    terminated: Counter[str] = field(default_factory=Counter)
    """Per session name, calls of `terminate`."""
    live: Counter[tuple[JobId, str]] = field(default_factory=Counter)
    """Per job and task, sessions that exist and are not over."""
    most_live: Counter[tuple[JobId, str]] = field(default_factory=Counter)
    """The highest `live` ever was; more than 1 breaks invariant I1."""
