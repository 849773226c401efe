"""FastTrack's colours of states: running sky blue, waiting yellow, skipped pink, success green, failure red."""

from __future__ import annotations

from collections.abc import Mapping

from fasttrack.domain.states import InstanceState, JobState

from ..output import Styled, styled

SKY_BLUE, YELLOW, PINK, GREEN, RED, GREY = "deep_sky_blue1", "yellow", "hot_pink", "green", "red", "grey50"

INSTANCE_COLOURS: Mapping[InstanceState, str] = {
    InstanceState.PENDING: f"dim {YELLOW}",
    InstanceState.READY: YELLOW,
    InstanceState.STARTING: YELLOW,
    InstanceState.QUEUED: YELLOW,
    InstanceState.PREPARING: YELLOW,
    InstanceState.RUNNING: SKY_BLUE,
    InstanceState.STOPPING: SKY_BLUE,
    InstanceState.SUCCEEDED: GREEN,
    InstanceState.FAILED: RED,
    InstanceState.CANCELLED: RED,
    InstanceState.SKIPPED: PINK,
    InstanceState.UPSTREAM_FAILED: GREY,
}

JOB_COLOURS: Mapping[JobState, str] = {
    JobState.PENDING: YELLOW,
    JobState.RUNNING: SKY_BLUE,
    JobState.PAUSED: YELLOW,
    JobState.CANCELLING: SKY_BLUE,
    JobState.SUCCEEDED: GREEN,
    JobState.FAILED: RED,
    JobState.CANCELLED: RED,
}

# Shape tells the same as colour, for those who see no colour and for plain text.
SYMBOLS: Mapping[InstanceState, str] = {
    InstanceState.PENDING: "○",
    InstanceState.READY: "◌",
    InstanceState.STARTING: "◔",
    InstanceState.QUEUED: "◔",
    InstanceState.PREPARING: "◑",
    InstanceState.RUNNING: "●",
    InstanceState.STOPPING: "◍",
    InstanceState.SUCCEEDED: "✓",
    InstanceState.FAILED: "✗",
    InstanceState.CANCELLED: "⊘",
    InstanceState.SKIPPED: "»",
    InstanceState.UPSTREAM_FAILED: "·",
}


def job_state(state: JobState) -> Styled:
    """The job's state in its colour."""
    return styled(state.value, JOB_COLOURS[state])


def task_state(state: InstanceState) -> Styled:
    """The task's state in its colour."""
    return styled(state.value, INSTANCE_COLOURS[state])
