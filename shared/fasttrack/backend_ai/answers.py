"""What an answer of the manager means: done, refused for good, not known, or a fault of our own credentials.

The table is the heart of "no answer is never a failure" (I16): a task fails by what is in `Refused` and by nothing else
here. Sources: the manager's error classes, and what real managers of 23.09.10 and 26.9.6 answered to each mistake.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_LONGEST = 500
PREFIX = "https://api.backend.ai/probs/"


class ManagerError(Exception):
    """The manager did not do what was asked, or it is not known whether it did."""

    def __init__(self, message: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(message[:_LONGEST])


class Refused(ManagerError):
    """Definite: the same request will be refused again, and nothing was done."""


class Missing(Refused):
    """What the request is about is not there, or is not to be seen with this key."""


class AlreadyExists(Refused):
    """A living session has that name."""

    def __init__(self, message: str, status: int, session_id: str | None) -> None:
        self.session_id = session_id
        super().__init__(message, status)


class OverQuota(Refused):
    """The key's, project's or domain's limits do not allow it now."""


class NotYet(Refused):
    """Not in this state of the session: a session that is being set up cannot be ended by its user (to 24.09)."""


class NotServing(Refused):
    """The resource group has no app proxy, without which no model service can be in it."""


class Unknown(ManagerError):
    """Sent, and not answered in a way that tells whether it took effect."""


class Away(ManagerError):
    """Not sent, or not looked at: it certainly took no effect. Ask again later."""


class Throttled(Away):
    """The key's limit of requests is used up."""


class BadCredentials(ManagerError):
    """The manager does not take our key, or our clock: no task is at fault, and none may fail by it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """The body of a refusal (RFC 7807 with Backend.AI's own keys)."""

    kind: str
    message: str
    data: Any

    @classmethod
    def of(cls, body: Any) -> Problem:
        """From whatever came; a proxy in between answers in its own way."""
        if not isinstance(body, dict):
            return cls("", "", None)
        kind = str(body.get("type", "")).removeprefix(PREFIX)
        message = ": ".join(str(body[key]).strip() for key in ("title", "msg") if body.get(key))
        data = body.get("data")
        if isinstance(data, dict):
            told = "; ".join(f"{k}: {v}" for k, v in data.items() if isinstance(v, str) and k != "existingSessionId")
            message = f"{message} ({told})" if told else message
        return cls(kind, message, data)


# `not-enough-permission` is what 26.x answers to every request of a key whose user has no roles yet.
_OWN_FAULT = {"auth-failed", "invalid-auth-params", "not-enough-permission"}
_ELSEWHERE = {"url-not-found", "method-not-allowed"}
_MISSING = {"object-not-found", "entity-not-found"}
# A 500 that real managers give to a client's mistake is told by nothing: it stays "not known", as any 500.


def error_of(status: int, body: Any, *, is_write: bool) -> ManagerError | None:
    """What an answer means that came whole; `None`: it was done.

    :param is_write: whether it could change anything; a question that fails is merely unanswered.
    """
    if status < 400:
        return None
    problem = Problem.of(body)
    told = problem.message or f"HTTP {status}"
    match status:
        case 429:
            return Throttled(f"the manager's limit of requests is used up: {told}", status)
        case 401:
            return BadCredentials(told, status)
        case 400 | 403 if problem.kind in _OWN_FAULT:
            return BadCredentials(told, status)
        case 400 | 409 if problem.kind in ("session-already-exists", "unique-constraint-violation"):
            existing = problem.data.get("existingSessionId") if isinstance(problem.data, dict) else None
            return AlreadyExists(told, status, existing if isinstance(existing, str) else None)
        case 403 if _is_not_yet(problem):
            return NotYet(told, status)
        case 404 if problem.kind in _MISSING:
            return Missing(told, status)
        case 404 | 405 if not problem.kind or problem.kind in _ELSEWHERE:
            return Away(f"what answers there is not a manager that has this call (HTTP {status}, {told})", status)
        case 400 if "services with same name" in told:
            return AlreadyExists(told, status, None)
        case 503 if "coordinator configured" in told or "start model service" in told:
            return NotServing(told, status)
        case 503:
            return Away(f"the manager takes nothing at the moment: {told}", status)
        case _ if status >= 500 or status == 408:
            return Unknown(told, status) if is_write else Away(told, status)
        case _ if problem.kind == "quota-exceeded" or status == 412:
            return OverQuota(told, status)
        case 400 if "cannot create more vfolders" in told:
            limit = "`max_vfolder_count` of its resource policy"
            return OverQuota(f"the key may have no more folders ({limit}), and each pipeline has one", status)
    return Refused(told, status)


def _is_not_yet(problem: Problem) -> bool:
    text = problem.message.lower()
    return "scheduled/preparing" in text or "force-terminate" in text or "cannot destroy" in text
