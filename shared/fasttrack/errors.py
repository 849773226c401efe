"""Every error FastTrack raises on purpose, in one tree.

    FastTrackError
    ├── InvalidInput            the caller's data is wrong; nothing was changed
    │   ├── InvalidPipeline     … a pipeline file, with every problem and its place
    │   └── InvalidRun          … what a run asked for (params, skips, secrets)
    ├── Unauthenticated         nobody knows who is calling
    ├── Forbidden               the caller may see it, but not do this
    ├── NotFound                no such thing, or not the caller's to see
    ├── Conflict                the request contradicts what is stored
    ├── TooManyRequests         the same may succeed after a while that it names
    ├── Unavailable             a part we need is away; trying again later is right
    └── IllegalTransition       a write the state table forbids: a bug, never a user's fault

The class docstring is the default message. `code` is stable and for programs; `retryable` says whether the same call
may succeed later without a change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from inspect import cleandoc


class FastTrackError(Exception):
    """Something went wrong in FastTrack."""

    code = "INTERNAL"
    retryable = False

    def __init__(self, message: str | None = None, **facts: object) -> None:
        self.message = message or cleandoc(type(self).__doc__ or "").split("\n")[0]
        self.facts = facts
        super().__init__(self.message)


class InvalidInput(FastTrackError):
    """What was given is not valid."""

    code = "INVALID_INPUT"


class Severity(StrEnum):
    """How bad a problem in a pipeline file is."""

    ERROR = "error"  #: the file cannot be published or run
    WARNING = "warning"  #: the file is accepted; the author probably wants to know


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a pipeline file: where it is and what would be right.

    `line` and `column` count from 1; both are 0 when the problem belongs to no place (an empty file). `path` is the
    YAML path, such as `tasks[2].resources.cpu`.
    """

    message: str
    path: str = ""
    line: int = 0
    column: int = 0
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        place = f"line {self.line}, column {self.column}: " if self.line else ""
        where = f"{self.path}: " if self.path else ""
        return f"{place}{where}{self.message}"


class InvalidPipeline(InvalidInput):
    """The pipeline file is not valid."""

    code = "INVALID_PIPELINE"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems) or None)


class Unauthenticated(FastTrackError):
    """A token is needed: send it as `Authorization: Bearer TOKEN`."""

    code = "UNAUTHENTICATED"


class Forbidden(FastTrackError):
    """You may see this, but not do this to it."""

    code = "FORBIDDEN"


class InvalidRun(InvalidInput):
    """The run cannot be started as asked."""

    code = "INVALID_RUN"


class NotFound(FastTrackError):
    """There is no such thing, or it is not yours to see."""

    code = "NOT_FOUND"


class Conflict(FastTrackError):
    """The request contradicts what is stored."""

    code = "CONFLICT"


class TooManyRequests(FastTrackError):
    """There were too many requests; wait a little."""

    code = "TOO_MANY_REQUESTS"
    retryable = True

    def __init__(self, message: str | None = None, *, retry_after: int, **facts: object) -> None:
        """:param retry_after: seconds after which it is worth trying again."""
        self.retry_after = retry_after
        super().__init__(message, retry_after=retry_after, **facts)


class Unavailable(FastTrackError):
    """A part that FastTrack needs cannot be reached right now."""

    code = "UNAVAILABLE"
    retryable = True


class IllegalTransition(FastTrackError):
    """A state change that the state table forbids."""

    code = "ILLEGAL_TRANSITION"
