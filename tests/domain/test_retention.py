"""What is due at a moment, and which figures contradict each other: pure arithmetic."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fasttrack.domain.retention import Kind, Retention, require_consistent
from fasttrack.errors import InvalidInput
from tests.factories import NOW


def test_each_kind_is_due_so_many_days_after_the_end_of_its_job() -> None:
    retention = Retention()
    due = {kind: NOW - cutoff for kind in Kind if (cutoff := retention.cutoff(kind, NOW)) is not None}
    assert due == {
        Kind.EVENTS: timedelta(days=90),
        Kind.LOGS: timedelta(days=30),
        Kind.OUTPUTS: timedelta(days=30),
        Kind.JOBS: timedelta(days=365),
    }


def test_what_is_kept_for_ever_is_never_due() -> None:
    retention = Retention(jobs=None, events=None)
    assert retention.cutoff(Kind.JOBS, NOW) is None
    assert retention.cutoff(Kind.EVENTS, NOW) is None
    assert retention.cutoff(Kind.LOGS, NOW) == NOW - timedelta(days=30)


def test_a_project_s_own_figures_go_over_the_settings() -> None:
    assert Retention().over({Kind.LOGS: 7, Kind.JOBS: None}) == Retention(logs=7, jobs=None)


@pytest.mark.parametrize(
    ("retention", "says"),
    [
        (
            Retention(jobs=60),
            "jobs would be kept for 60 days, but events for 90 days, and a job outlives what belongs to it: keep jobs "
            "for at least 90 days, or events for 60 days at most. Nothing was changed.",
        ),
        (
            Retention(jobs=1, events=1, logs=None, outputs=2),
            "jobs would be kept for 1 day, but logs for ever and outputs for 2 days, and a job outlives what belongs to "
            "it: keep jobs for ever, or logs and outputs for 1 day at most. Nothing was changed.",
        ),
    ],
)
def test_a_job_outlives_what_belongs_to_it(retention: Retention, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        require_consistent(retention)
    assert caught.value.message == says


def test_equal_figures_and_for_ever_are_consistent() -> None:
    require_consistent(Retention(30, 30, 30, 30))
    require_consistent(Retention(None, None, None, None))
    require_consistent(Retention(jobs=None))


def test_figures_that_came_to_contradict_each_other_remove_nothing_early() -> None:
    """A project's own figure was right when it was given; then the settings changed."""
    assert Retention(jobs=100, events=200).cutoff(Kind.JOBS, NOW) == NOW - timedelta(days=200)
    assert Retention(jobs=100, events=None).cutoff(Kind.JOBS, NOW) is None
    assert Retention(jobs=100, events=200).cutoff(Kind.EVENTS, NOW) == NOW - timedelta(days=200)
