"""How long things are kept, and what is due at a moment: per project, over the settings, in days after a job's end.

What still runs has no end, so no retention can reach it. A job outlives what belongs to it: whoever reads its events or
its outputs finds the job, and a job's row is the last thing of it to go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from ..errors import InvalidInput

KEYS_KEPT = timedelta(days=7)
"""Idempotency keys: common senders try again for three days."""
ABANDONED_AFTER = timedelta(days=30)
"""A job whose own site has not removed it for so long after it was due is removed by any other: the site is gone."""


TOMBSTONE_KEPT = timedelta(days=1)
"""The row of a deleted pipeline, empty by then, stays so long: every site has its turn to remove the pipeline's folder."""


class Kind(StrEnum):
    """What is kept for a time of its own."""

    EVENTS = "events"
    """A job's history, and its part of the feed."""
    LOGS = "logs"
    """What its tasks printed."""
    OUTPUTS = "outputs"
    """The folders its tasks wrote."""
    JOBS = "jobs"
    """The job with its task instances and attempts, and all that is left of the above."""


PARTS = (Kind.EVENTS, Kind.LOGS, Kind.OUTPUTS)
"""What belongs to a job and may go before it."""

Days = int | None
"""Days after the end of a job; `None` is for ever."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long each kind is kept."""

    events: Days = 90
    logs: Days = 30
    outputs: Days = 30
    jobs: Days = 365

    def days(self, kind: Kind) -> Days:
        """How long this kind is kept."""
        found: Days = getattr(self, kind.value)
        return found

    def over(self, own: Mapping[Kind, Days]) -> Retention:
        """With a project's own figures in place of these."""
        return replace(self, **{kind.value: days for kind, days in own.items()})

    def cutoff(self, kind: Kind, now: datetime) -> datetime | None:
        """What belongs to jobs that ended before is due; `None`: nothing ever is.

        Where figures of a project and of the settings came to contradict each other, the longer one holds for the jobs.
        """
        days = self.days(kind)
        if kind is Kind.JOBS:
            days = max((self.days(k) for k in Kind), key=_length)
        return None if days is None else now - timedelta(days=days)

    def contradictions(self) -> list[Kind]:
        """The kinds that are kept longer than the job they belong to."""
        return [kind for kind in PARTS if _length(self.days(kind)) > _length(self.jobs)]


def require_consistent(retention: Retention) -> None:
    """Pass if every job outlives what belongs to it. :raises InvalidInput: with the figures, and what would be right."""
    longer = retention.contradictions()
    if longer:
        most = max((retention.days(kind) for kind in longer), key=_length)
        kinds = " and ".join(longer)
        figures = " and ".join(f"{kind} {said(retention.days(kind))}" for kind in longer)
        raise InvalidInput(
            f"jobs would be kept {said(retention.jobs)}, but {figures}, and a job outlives what belongs to it: keep "
            f"jobs {said(most, at_least=True)}, or {kinds} {said(retention.jobs)} at most. Nothing was changed."
        )


def said(days: Days, *, at_least: bool = False) -> str:
    """`for 1 day`, `for 30 days`, `for ever`."""
    if days is None:
        return "for ever"
    return f"for {'at least ' if at_least else ''}{days} day{'' if days == 1 else 's'}"


def _length(days: Days) -> float:
    return float("inf") if days is None else days
