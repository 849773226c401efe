"""What a session's record means, for every way a session ended on real managers of two generations."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from fasttrack.domain.states import FailureClass as F
from fasttrack.ids import PipelineId
from fasttrack_scheduler.backends.backend_ai.removal import those_over
from fasttrack_scheduler.backends.backend_ai.truth import Blame, Exit, Session
from fasttrack_scheduler.backends.base import SessionStatus as S

from .recorded import GENERATIONS, recorded

OK = (S.SUCCEEDED, None)
USER = (S.FAILED, F.USER)
ENDED = (S.CANCELLED, F.CANCELLED)
CLUSTER = (S.FAILED, F.INFRASTRUCTURE)

BOTH: dict[str, tuple[S, F | None]] = {
    "mount-final-status": OK,
    "full-final-status": OK,
    "same-name-again-final-status": OK,
    "exit3-final-status": USER,
    "signal-final-status": USER,
    "notfound-final-status": USER,
    "badboot-final-status": OK,
    "multiline-final-status": USER,
    "atom-final-status": OK,
    "multi-node-final-status": OK,
    "insufficient-status": (S.QUEUED, None),
    "insufficient-final": ENDED,
    "starts-at-final": OK,
    "cancel-running-final-status": ENDED,
    "forced-final-status": ENDED,
    "delete-early-final": ENDED,
    "container-killed-final-status": CLUSTER,
    "oom-final-status": OK,
    "agent-loss-status": (S.RUNNING, None),
    "agent-loss-final": ENDED,
}
ONLY: dict[str, dict[str, tuple[S, F | None]]] = {
    "23.09.10": {
        # The lie of the old ones: the command is over, the session stays RUNNING for ever.
        "single-node-cluster-final-status": (S.STOPPING, None),
        "cluster-fails-final-status": (S.STOPPING, None),
        "dep-b-final": (S.STOPPING, None),
        "hetero-final-status": CLUSTER,
        "manager-restart-final": (S.RUNNING, None),
        "timeout-pending-final": CLUSTER,
    },
    "26.9.6": {
        "single-node-cluster-final-status": OK,
        "cluster-fails-final-status": USER,
        "dep-b-final": OK,
        "hetero-final-status": OK,
        "manager-restart-final": OK,
        "timeout-pending-final": (S.QUEUED, None),
        "timeout-batch-final-status": (S.FAILED, F.TIMEOUT),
    },
}


@pytest.mark.parametrize("release", GENERATIONS)
def test_every_recorded_end_is_understood(release: str) -> None:
    sessions = recorded(release)["sessions"]
    for name, meaning in {**BOTH, **ONLY[release]}.items():
        seen = Session.of(sessions[name]).observation()
        assert (seen.status, seen.failure) == meaning, name
        assert seen.session_id == sessions[name]["id"]
        assert seen.started_at is None or seen.ended_at is None or seen.started_at <= seen.ended_at


def record(**changes: Any) -> Session:
    return Session.of({**recorded("23.09.10")["sessions"]["exit3-final-status"], **changes})


def test_the_exit_code_comes_from_elsewhere_and_is_told() -> None:
    assert record().observation(Exit(3)).exit_code == 3
    assert record().observation(Exit(3)).reason == "exited with code 3"
    assert record().observation(Exit(143)).reason == "killed by SIGTERM"
    assert record().observation().exit_code is None
    assert record().observation().reason == "the command failed"
    assert record(result="SUCCESS").observation().exit_code == 0


@pytest.mark.parametrize(("code", "meaning"), [(0, OK), (7, USER)])
def test_what_the_command_left_stands_for_a_result_that_the_manager_lost(
    code: int, meaning: tuple[S, F | None]
) -> None:
    sessions = recorded("23.09.10")["sessions"]
    lost = Session.of(sessions["agent-loss-final"])
    assert lost.lacks_exit
    assert lost.ended_at is not None
    before, after = (Exit(code, lost.ended_at + timedelta(seconds=by)) for by in (-5, 5))
    seen = lost.observation(before)
    assert (seen.status, seen.failure, seen.exit_code) == (*meaning, code)
    seen = lost.observation(after)  # the command was told to stop, and did
    assert (seen.status, seen.failure, seen.exit_code) == (*ENDED, None)


def test_a_session_that_was_ended_for_its_lost_agent_may_be_tried_again() -> None:
    lost = Session.of(recorded("26.9.6")["sessions"]["agent-loss-final"])
    seen = lost.observation(blame=Blame(lost.loss_of("i-warboy")))
    assert (seen.status, seen.failure, seen.reason) == (*CLUSTER, "the agent i-warboy was lost")
    assert lost.ended_at is not None
    before = Exit(7, lost.ended_at - timedelta(seconds=5))
    seen = lost.observation(before, blame=Blame("the agent i-warboy was lost"))
    assert (seen.status, seen.failure, seen.exit_code) == (*USER, 7), "its command was over before"


@pytest.mark.parametrize("release", GENERATIONS)
def test_a_session_that_goes_on_without_one_of_its_containers_is_broken(release: str) -> None:
    whole = {**recorded(release)["sessions"]["multi-node-final-status"], "status": "RUNNING", "result": "UNDEFINED"}
    main, sub = ({**c, "status": "RUNNING", "status_info": ""} for c in whole["containers"])
    dead = {**sub, "status": "TERMINATED", "status_info": "self-terminated"}
    words = f"its container sub1 on the agent {sub['agent']} ended while the others ran (self-terminated)"
    for status in ("RUNNING", "RUNNING_DEGRADED"):
        assert Session.of({**whole, "status": status, "containers": [main, dead]}).broken == words
    for untouched in (
        {"containers": [main, sub]},
        {"containers": [{**main, "status": "TERMINATED"}, sub]},  # its end is told otherwise
        {"containers": [main, dead], "result": "SUCCESS"},
        {"containers": [main, dead], "status": "TERMINATING"},
    ):
        assert Session.of({**whole, **untouched}).broken == ""


def test_a_session_that_the_manager_ends_for_a_lost_container_names_that_one() -> None:
    """As 26.9.6 left it when the container of sub1 was killed: it ended the rest within two seconds."""
    containers = [
        {"cluster_hostname": "main1", "cluster_role": "main", "status_info": "unknown", "agent": "i-atom"},
        {"cluster_hostname": "sub1", "cluster_role": "sub", "status_info": "self-terminated", "agent": "i-warboy"},
    ]
    over = [{**container, "status": "TERMINATED"} for container in containers]
    seen = record(
        status="TERMINATED", status_info=None, status_data=None, result="UNDEFINED", containers=over
    ).observation()
    words = "its container was ended from outside (container sub1 on the agent i-warboy)"
    assert (seen.status, seen.failure, seen.reason) == (*CLUSTER, words)


@pytest.mark.parametrize("release", GENERATIONS)
def test_a_command_that_fails_since_a_container_is_gone_is_no_fault_of_the_user(release: str) -> None:
    blame = Blame("its container sub1 ended while the others ran", explains_failure=True)
    record = {
        **recorded(release)["sessions"]["multi-node-final-status"],
        "result": "FAILURE",
        "status_info": "task-failed",
    }
    for left in (Exit(1), None):
        seen = Session.of(record).observation(left, blame)
        assert (seen.status, seen.failure, seen.reason, seen.exit_code) == (*CLUSTER, blame.words, None)
    seen = Session.of({**record, "result": "SUCCESS"}).observation(None, blame)
    assert (seen.status, seen.failure) == OK


@pytest.mark.parametrize("release", GENERATIONS)
def test_the_loss_of_an_agent_under_one_of_several_containers_names_it(release: str) -> None:
    session = Session.of(recorded(release)["sessions"]["multi-node-final-status"])
    agent = next(str(c["agent"]) for c in session.containers if c["cluster_hostname"] == "sub1")
    assert session.loss_of(agent) == f"the agent {agent} was lost, and with it sub1"


def test_a_session_that_is_left_behind_is_known_as_such() -> None:
    sessions = recorded("23.09.10")["sessions"]
    assert Session.of(sessions["cluster-fails-final-status"]).is_left_behind
    assert not Session.of(sessions["manager-restart-final"]).is_left_behind  # no result: only patience can tell
    assert not record().is_left_behind


def test_what_a_session_left_may_go_once_its_success_is_told_and_not_before() -> None:
    """26.9.6 takes seconds from TERMINATING to TERMINATED."""
    pipeline = PipelineId(UUID(int=5))
    sessions = [
        record(name=f"{status} {result}", status=status, result=result, tag=pipeline.hex)
        for status in ("RUNNING", "TERMINATING", "TERMINATED")
        for result in ("UNDEFINED", "SUCCESS", "FAILURE")
    ]
    over = ["TERMINATING SUCCESS", "TERMINATED UNDEFINED", "TERMINATED SUCCESS", "TERMINATED FAILURE"]
    assert those_over(sessions) == [(pipeline, name) for name in over]


def test_what_a_session_waits_for_is_said_in_words() -> None:
    seen = Session.of(recorded("23.09.10")["sessions"]["insufficient-status"]).observation()
    assert seen.reason == (
        "no agent of the resource group has room for it: Could not find a contiguous resource region in any agent big "
        "enough to host the session"
    )


def test_why_a_container_could_not_be_made_is_said() -> None:
    seen = Session.of(recorded("23.09.10")["sessions"]["hetero-final-status"]).observation()
    assert seen.reason.startswith("its container could not be started: InsufficientResource(")
    assert "DiscretePropertyAllocMap" in seen.reason


def test_a_container_that_was_killed_from_outside_is_no_fault_of_the_command() -> None:
    for release in GENERATIONS:
        seen = Session.of(recorded(release)["sessions"]["container-killed-final-status"]).observation()
        assert seen.reason == "its container was ended from outside"


@pytest.mark.parametrize("status", ["PENDING", "SCHEDULED", "PREPARING", "CREATING", "RUNNING", "TERMINATING"])
def test_nothing_that_is_not_over_has_failed(status: str) -> None:
    for result in ("UNDEFINED", "FAILURE"):
        assert not record(status=status, result=result).observation().status.is_terminal


def test_a_status_of_a_release_to_come_is_not_an_end() -> None:
    seen = record(status="HIBERNATING", result="UNDEFINED").observation()
    assert (seen.status, seen.reason) == (S.PREPARING, "the cluster calls it HIBERNATING")


@pytest.mark.parametrize("broken", ["", "not json", "[1]", None])
def test_a_record_with_unreadable_parts_is_read_as_far_as_it_goes(broken: str | None) -> None:
    seen = record(status_data=broken, status_history=broken, terminated_at="yesterday").observation()
    assert (seen.status, seen.started_at, seen.ended_at) == (S.FAILED, None, None)
