"""What a manager's record of a session means. The record is the source; events and callbacks only say when to look.

The known lies, each as real managers told it: a session that stays RUNNING although its command is over (its `result`
is set, and stays so; to 24.09), a failed one that calls itself `task-finished` (23.09), one whose manager was away at its
end (RUNNING, UNDEFINED, for ever), one whose container was killed from outside (TERMINATED with no result).
"""

from __future__ import annotations

import signal
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from fasttrack.domain.pipeline import ClusterMode
from fasttrack.domain.states import FailureClass

from ..base import Observation, SessionStatus
from .agents import slots_of
from .checks import Need

FIELDS = (
    "id name tag type status result status_info status_data status_history created_at terminated_at scaling_group "
    "cluster_mode occupied_slots containers { id cluster_role cluster_idx cluster_hostname status status_info status_data agent }"
)
"""What is asked of each session: all releases have these, and one they lack would fail the whole query."""

_STATUS = {
    **dict.fromkeys(("PENDING", "DEPRIORITIZING", "RESERVED", "PREEMPTED", "RESCHEDULING"), SessionStatus.QUEUED),
    **dict.fromkeys(("SCHEDULED", "PREPARING", "PULLING", "PREPARED", "CREATING"), SessionStatus.PREPARING),
    **dict.fromkeys(("RUNNING", "RUNNING_DEGRADED", "RESTARTING"), SessionStatus.RUNNING),
    "TERMINATING": SessionStatus.STOPPING,
}
OVER = frozenset({"TERMINATED", "CANCELLED", "ERROR"})
_WORDS = {
    "no-available-instances": "no agent of the resource group has room for it",
    "predicate-checks-failed": "the cluster does not let it start yet",
    "pending-timeout": "it waited longer than the resource group allows",
    "PENDING_TIMEOUT_EXCEEDED": "it waited longer than the resource group allows",
    "EXCEEDED_MAX_RETRIES": "the cluster gave up starting it",
    "ABNORMAL_TERMINATION": "one of its containers ended by itself",
    "self-terminated": "its container was ended from outside",
    "agent-termination": "the agent it ran on was stopped",
    "failed-to-start": "its container could not be started",
    "failed-to-create": "its container could not be made",
    "task-timeout": "the command ran longer than its time-out",
    "user-requested": "it was ended by a user of the cluster",
    "force-terminated": "it was ended by force, by a user or an admin of the cluster",
    "user-purged": "it was ended by an admin of the cluster",
    "idle-timeout": "the cluster ended it as idle",
    "idle-utilization": "the cluster ended it since it used too little of its resources",
    "idle-session-lifetime": "it ran longer than the cluster allows any session",
}
_BY_SOMEONE = frozenset({"user-requested", "force-terminated", "user-purged", "task-cancelled"})


@dataclass(frozen=True, slots=True)
class Exit:
    """How a command ended."""

    code: int
    at: datetime | None = None
    """By the container's clock; `None`: not known."""


@dataclass(frozen=True, slots=True)
class Blame:
    """For what a session was ended by us."""

    words: str
    explains_failure: bool = False
    """Whether a command that failed before that failed of the same, as one does when it misses a container."""


def words_of(code: int | None) -> str:
    """A failure of the command for people, in the words of every session backend."""
    if code is None:
        return "the command failed"
    if code > 128:
        with suppress(ValueError):
            return f"killed by {signal.Signals(code - 128).name}"
    return f"exited with code {code}"


@dataclass(frozen=True, slots=True)
class Session:
    """A session as its manager has it."""

    id: str
    name: str
    tag: str
    """Of ours: the pipeline's id, by which its folder is found."""
    status: str
    result: str
    info: str
    data: Mapping[str, Any]
    times: Mapping[str, datetime]
    """When it last entered each status."""
    terminated_at: datetime | None
    containers: tuple[Mapping[str, Any], ...] = field(default=())
    need: Need | None = None
    """What it must find free, while it waits for that."""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Session:
        """From an item of GraphQL, in which objects are texts of JSON."""
        history = _object(record.get("status_history"))
        times = {status: at for status, text in history.items() if (at := _time(text)) is not None}
        return cls(
            id=str(record["id"]),
            name=str(record["name"]),
            tag=str(record.get("tag") or ""),
            status=str(record["status"]),
            result=str(record.get("result") or "UNDEFINED").upper(),
            info=str(record.get("status_info") or ""),
            data=_object(record.get("status_data")),
            times=times,
            terminated_at=_time(record.get("terminated_at")),
            containers=tuple(record.get("containers") or ()),
            need=_need(record) if _STATUS.get(str(record["status"])) is SessionStatus.QUEUED else None,
        )

    @property
    def is_over(self) -> bool:
        """Whether the cluster has let go of it."""
        return self.status in OVER

    @property
    def is_done(self) -> bool:
        """Whether its command is over and its end known. After a success the cluster may still be clearing up."""
        return self.is_over or (self.result == "SUCCESS" and self.status == "TERMINATING")

    @property
    def is_left_behind(self) -> bool:
        """Whether its command is over but the manager keeps it RUNNING, or moved it back: to be deleted if that stays so."""
        return not self.is_over and self.status != "TERMINATING" and self.result in ("SUCCESS", "FAILURE")

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it can run any more: each of its containers is over."""
        return bool(self.containers) and all(container.get("status") in OVER for container in self.containers)

    @property
    def has_run(self) -> bool:
        """Whether its command may have been started."""
        return "RUNNING" in self.times

    @property
    def ended_at(self) -> datetime | None:
        """When its end began: what follows is the cluster's own clearing up."""
        return self.times.get("TERMINATING") or self.terminated_at

    @property
    def lacks_exit(self) -> bool:
        """Whether the record cannot tell how the command ended, and what its wrapper left must."""
        return self.is_over and self.result != "SUCCESS" and self.has_run

    def observation(self, left: Exit | None = None, blame: Blame | None = None, waits_for: str = "") -> Observation:
        """What the engine is told.

        :param left: what the command's wrapper wrote down at its end, or an event told; the record never has it.
        :param blame: for what we ended it, if we did: its agent was lost, or one of its containers.
        :param waits_for: what it waits for, as found by comparing what it needs with what is free.
        """
        status, failure, reason = self._meaning(left, blame)
        if status is SessionStatus.QUEUED:
            reason = self._waits_for(waits_for)
        exit_code = left.code if left is not None else None
        if status is SessionStatus.SUCCEEDED:
            exit_code = 0
        elif failure is FailureClass.USER and not reason:
            reason = words_of(exit_code)
        return Observation(
            name=self.name,
            session_id=self.id,
            status=status,
            reason=reason,
            exit_code=exit_code if failure in (None, FailureClass.USER) and status.is_terminal else None,
            failure=failure,
            started_at=self.times.get("RUNNING"),
            ended_at=self.ended_at if status.is_terminal else None,
            facts={"isolation": "container", **({"agents": self.agents} if self.agents else {})},
        )

    @property
    def agents(self) -> str:
        """The agents its containers are on, with commas."""
        return ", ".join(dict.fromkeys(str(c["agent"]) for c in self.containers if c.get("agent")))

    def agent_of(self, agents: Collection[str]) -> str | None:
        """Which of these agents one of its containers is on."""
        return next((str(c["agent"]) for c in self.containers if c.get("agent") in agents), None)

    def loss_of(self, agent: str) -> str:
        """A sentence about an agent that is lost, with the containers that were on it where there are others."""
        there = [str(c.get("cluster_hostname")) for c in self.containers if c.get("agent") == agent]
        if len(self.containers) <= 1:
            return f"the agent {agent} was lost"
        return f"the agent {agent} was lost, and with it {', '.join(sorted(there))}"

    @property
    def broken(self) -> str:
        """A sentence if one of several containers is over while the session goes on without it, else empty. The command runs
        in the main one, so that one's end is the session's.
        """
        if _STATUS.get(self.status) is not SessionStatus.RUNNING or self.result != "UNDEFINED":
            return ""
        dead = [c for c in self.containers if c.get("status") in OVER and c.get("cluster_role") == "sub"]
        if not dead:
            return ""
        first = min(dead, key=lambda container: str(container.get("cluster_hostname")))
        info = str(first.get("status_info") or "")
        return f"its container {_place_of(first)} ended while the others ran" + (f" ({info})" if info else "")

    def _meaning(self, left: Exit | None, blame: Blame | None) -> tuple[SessionStatus, FailureClass | None, str]:
        if self.result == "SUCCESS" and self.is_done:
            return SessionStatus.SUCCEEDED, None, ""  # what it wrote is whole, whatever the manager does with it yet
        if not self.is_over:
            # A failed command is told when its session is over: a new attempt must not run beside it (I2).
            if self.is_left_behind:
                return SessionStatus.STOPPING, None, ""
            status = _STATUS.get(self.status)
            if status is None:  # of a release to come: it is not over, and that is all that is known
                return SessionStatus.PREPARING, None, f"the cluster calls it {self.status[:40]}"
            return status, None, ""
        if self.result == "FAILURE":
            if self.info == "task-timeout":
                return SessionStatus.FAILED, FailureClass.TIMEOUT, _WORDS["task-timeout"]
            if blame is not None and blame.explains_failure:
                return SessionStatus.FAILED, FailureClass.INFRASTRUCTURE, blame.words
            return SessionStatus.FAILED, FailureClass.USER, ""
        if left is not None and self._came_before_its_end(left):
            # The manager was away when the command ended, and never learnt of it.
            if left.code == 0:
                return SessionStatus.SUCCEEDED, None, ""
            if blame is None or not blame.explains_failure:
                return SessionStatus.FAILED, FailureClass.USER, ""
        if blame is not None:
            return SessionStatus.FAILED, FailureClass.INFRASTRUCTURE, blame.words
        if self.info in _BY_SOMEONE or self._was_cancelled_while_waiting():
            return SessionStatus.CANCELLED, FailureClass.CANCELLED, _WORDS.get(self.info, _WORDS["user-requested"])
        return SessionStatus.FAILED, FailureClass.INFRASTRUCTURE, self._why_it_died()

    def _came_before_its_end(self, left: Exit) -> bool:
        """Whether the command ended by itself: what a command does when it is told to stop is no result of it."""
        return left.at is not None and self.ended_at is not None and left.at < self.ended_at

    def _was_cancelled_while_waiting(self) -> bool:
        """A waiting session that is deleted keeps the scheduler's words (23.09); its containers tell."""
        return self.status == "CANCELLED" and any(c.get("status_info") in _BY_SOMEONE for c in self.containers)

    def _waits_for(self, found: str) -> str:
        scheduler = self.data.get("scheduler")
        scheduler = scheduler if isinstance(scheduler, Mapping) else {}
        failed = [p for p in scheduler.get("failed_predicates") or () if isinstance(p, Mapping)]
        if found and not failed:
            return found  # of what is free the manager says less
        told = "; ".join(str(p.get("msg") or p.get("name")) for p in failed) or str(scheduler.get("msg") or "")
        # The manager's own words name the session by id and the group twice; the first sentence is what helps.
        words = _WORDS.get(self.info, self.info)
        detail = told.partition(" (id:")[0]
        return f"{words}: {detail}" if words and detail else words or detail

    def _why_it_died(self) -> str:
        told = [self.info, *(str(c.get("status_info") or "") for c in self.containers)]
        # 26.9.6 ends a session that loses a container by itself, and knows nothing to say of the others.
        info = min(filter(None, told), key=lambda text: text == "unknown", default="")
        words = _WORDS.get(info, info)
        where = next((_place_of(c) for c in self.containers if c.get("status_info") == info), "")
        if len(self.containers) > 1 and where:
            words = f"{words} (container {where})"
        error = _innermost(self.data.get("error"))
        return f"{words}: {error}" if words and error else words or error or "the cluster ended it and does not say why"


def _place_of(container: Mapping[str, Any]) -> str:
    agent = container.get("agent")
    return f"{container.get('cluster_hostname')}" + (f" on the agent {agent}" if agent else "")


def _innermost(error: Any) -> str:
    """The text of an error that may be in an error, or in a collection of them."""
    for _ in range(4):
        if not isinstance(error, Mapping):
            break
        inner = error.get("error") or (error.get("collection") or [None])[0]
        if not isinstance(inner, Mapping):
            return str(error.get("repr") or error.get("name") or "")[:300]
        error = inner
    return ""


def _need(record: Mapping[str, Any]) -> Need | None:
    """A waiting session's amounts are written as if it had them already: the sum of all its containers."""
    try:
        containers = max(1, len(record.get("containers") or ()))
        slots = {slot: amount / containers for slot, amount in slots_of(record.get("occupied_slots")).items()}
        mode = ClusterMode(str(record.get("cluster_mode") or "single-node").lower().replace("_", "-"))
    except ValueError:
        return None
    return Need.of(str(record.get("scaling_group") or ""), slots, mode, containers) if any(slots.values()) else None


def _object(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str):
        try:
            value = orjson.loads(value) if value else {}
        except orjson.JSONDecodeError:
            return {}
    return value if isinstance(value, Mapping) else {}


def _time(text: Any) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
