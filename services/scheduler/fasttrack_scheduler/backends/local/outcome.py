"""What the files of a session say, in the words of the contract."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

from fasttrack.domain.states import FailureClass

from ..base import Observation, SessionStatus
from .journal import Ended, SessionDir, Started
from .process import oom_kills

KILLED = 128 + signal.SIGKILL


def session_id_of(site: UUID, name: str) -> str:
    """The session's own identifier: the same for every scheduler of the site."""
    return str(uuid5(site, name))


def look_at(
    directory: SessionDir, session_id: str, *, unstarted: SessionStatus = SessionStatus.QUEUED, reason: str = ""
) -> Observation | None:
    """The session as its files show it, or `None` if there is none. `unstarted` and `reason` hold until it starts."""
    started = directory.started()
    # Read after `started`: an end that comes in between is then seen.
    ended = directory.ended()
    if ended is not None:
        return _over(directory, session_id, started or directory.started(), ended)
    if not directory.exists():
        return None
    if started is None:
        return Observation(directory.name, session_id, unstarted, reason=reason, facts=facts_of(directory, None))
    ending = directory.ending()
    return Observation(
        directory.name,
        session_id,
        SessionStatus.RUNNING if ending is None else SessionStatus.STOPPING,
        started_at=started.at,
        facts=facts_of(directory, started),
    )


def facts_of(directory: SessionDir, started: Started | None) -> Mapping[str, str]:
    """What the attempt should remember."""
    found = {"log": directory.log}
    if started is not None:
        found.update({key: str(value) for key, value in started.facts.items() if key not in ("oom_kills", "held")})
    return found


def _over(directory: SessionDir, session_id: str, started: Started | None, ended: Ended) -> Observation:
    status, failure, reason = _judge(directory, started, ended)
    return Observation(
        directory.name,
        session_id,
        status,
        reason=reason,
        exit_code=ended.code,
        failure=failure,
        started_at=started.at if started is not None and started.keeper is not None else None,
        ended_at=ended.at,
        facts=facts_of(directory, started),
    )


def _judge(
    directory: SessionDir, started: Started | None, ended: Ended
) -> tuple[SessionStatus, FailureClass | None, str]:
    match ended.cause:
        case "own" if ended.code == 0:
            return SessionStatus.SUCCEEDED, None, ""
        case "own":
            failure, reason = _own_failure(directory, started.facts if started else {}, ended.code or 0)
            return SessionStatus.FAILED, failure, reason
        case "stop":
            return SessionStatus.CANCELLED, FailureClass.CANCELLED, ended.sentence or "it was ended by request"
        case "memory":
            ending = directory.ending()
            sentence = ending.text if ending else "used more memory than it asked for"
            return SessionStatus.FAILED, FailureClass.OUT_OF_MEMORY, sentence
        case "refused":
            return SessionStatus.FAILED, FailureClass.REFUSED, ended.sentence
        case _:
            return SessionStatus.FAILED, FailureClass.INFRASTRUCTURE, ended.sentence


def _own_failure(directory: SessionDir, facts: Mapping[str, Any], code: int) -> tuple[FailureClass, str]:
    if code == KILLED:
        if directory.verdict("memory" if oom_kills() > facts.get("oom_kills", 0) else "killed") == "memory":
            return FailureClass.OUT_OF_MEMORY, "killed by the kernel: the machine ran out of memory"
        return FailureClass.INFRASTRUCTURE, "killed by SIGKILL from outside"
    if code == 1 and facts.get("isolation") == "bubblewrap" and (complaint := _sandbox_complaint(directory)):
        return FailureClass.INFRASTRUCTURE, f"its folders could not be set up: {complaint}"
    if code > 128:
        try:
            return FailureClass.USER, f"killed by {signal.Signals(code - 128).name}"
        except ValueError:
            pass
    return FailureClass.USER, f"exited with code {code}"


def _sandbox_complaint(directory: SessionDir) -> str:
    # Before the command runs, bubblewrap is the only writer of the log, and it ends after its first complaint.
    try:
        with open(directory.log, "rb") as log:
            head = log.read(1000)
            if os.fstat(log.fileno()).st_size > len(head):
                return ""
    except OSError:
        return ""
    text = head.decode(errors="replace").strip()
    return text if text.startswith("bwrap: ") and "\n" not in text else ""
