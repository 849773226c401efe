"""What goes wrong in one world: each seed draws its own mixture, so that some worlds have much of one thing."""

from __future__ import annotations

from dataclasses import dataclass, fields
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .loop import Life

FENCE = 12.0
"""Seconds in which a create may take effect; every fourth of it bounds one part of its way (`network`)."""


@dataclass
class Faults:
    """Rates are shares of calls, times are virtual seconds; `None` is never."""

    random: Random
    is_on: bool = True

    # processes
    kill_every: float | None = None
    crash_rate: float = 0.0
    """Share of commits and requests at which a scheduler dies on the spot."""
    stop_every: float | None = None
    longest_stop: float = 40.0
    stop_rate: float = 0.0
    """Share of statements of slow transactions in which their process is stopped, with all that it has locked."""
    clock_step: float = 0.0
    """How wrong the wall clocks of two thirds of all machines are, to the end."""

    # the database
    slow_transactions: float = 0.0
    lost_commits: float = 0.0
    broken_commits: float = 0.0
    database_away_every: float | None = None

    # the way to the cluster
    error_rate: float = 0.0
    """Share of requests that are answered with 429, 401 or 5xx, or not accepted at all."""
    lost_requests: float = 0.0
    lost_answers: float = 0.0
    late_requests: float = 0.0
    is_beyond_fence: bool = False
    """Whether a create may arrive later than the product is promised: I2 is not claimed then."""
    haste: float = 0.4
    """Below 1, late requests come mostly near the end of their time."""
    slow_answers: float = 0.0
    cluster_away_every: float | None = None

    # hints
    hint_loss: float = 0.0
    hint_repeats: float = 0.0
    doorbell: float = 0.0
    """Share of rings that arrive."""

    @classmethod
    def draw(cls, random: Random) -> Faults:
        """The mixture of one world."""
        pick = random.choice
        faults = cls(
            random=random,
            kill_every=pick([None, 5, 15, 40]),
            crash_rate=pick([0, 0.01, 0.03]),
            stop_every=pick([None, None, 20, 40]),
            stop_rate=pick([0, 0.02, 0.04]),
            clock_step=pick([0, 3600, 3600, -3600]),
            slow_transactions=pick([0.05, 0.2, 0.5]),
            lost_commits=pick([0, 0.02, 0.05]),
            broken_commits=pick([0, 0.02]),
            database_away_every=pick([None, None, 40]),
            error_rate=pick([0, 0.03, 0.15]),
            lost_requests=pick([0, 0.05, 0.1]),
            lost_answers=pick([0, 0.1, 0.3]),
            late_requests=pick([0.05, 0.2, 0.5]),
            slow_answers=pick([0, 0.1]),
            cluster_away_every=pick([None, None, 40]),
            hint_loss=pick([0, 0.2, 1]),
            hint_repeats=pick([0, 0.3]),
            doorbell=pick([0, 0.8]),
        )
        faults.haste = random.choice([0.4, 1])
        faults.is_beyond_fence = faults.late_requests > 0 and random.random() < 0.35
        return faults

    def happens(self, rate: float) -> bool:
        """Whether a fault of that rate happens now."""
        return self.is_on and rate > 0 and self.random.random() < rate

    def is_slow_transaction(self, life: Life | None) -> bool:
        return life is not None and self.happens(self.slow_transactions)

    def breaks_commit(self, life: Life | None) -> bool:
        return life is not None and self.happens(self.broken_commits)

    def loses_commit(self, life: Life | None) -> bool:
        return life is not None and self.happens(self.lost_commits)

    def __str__(self) -> str:
        drawn = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("random", "is_on")}
        return ", ".join(f"{name}={value}" for name, value in drawn.items() if value)
