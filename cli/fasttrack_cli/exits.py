"""Exit codes: what a script may rely on."""

from __future__ import annotations

from fasttrack.errors import (
    Conflict,
    FastTrackError,
    Forbidden,
    InvalidInput,
    NotFound,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)

OK = 0
"""Done; a job that was waited for succeeded."""
NO = 1
"""The answer is no: the job failed, the file has errors, there are differences, a check failed."""
INVALID = 2
"""Wrong usage or invalid input; nothing was changed."""
MISSING = 3
"""Something that was named is not there."""
AWAY = 4
"""A part that is needed cannot be reached; the same command may succeed later."""
CONFLICT = 5
"""The request contradicts what is stored or running."""
DENIED = 6
"""Nobody knows who is asking, or they may not do this."""
FAULT = 70
"""FastTrack itself failed: a bug."""
READER_LEFT = 141
"""Whoever read the output closed it before the end, as `head` does: the rest was not said, or not waited for."""
INTERRUPTED = 130
"""Ended by Ctrl-C or SIGTERM while something was still under way."""

_BY_ERROR: tuple[tuple[type[FastTrackError], int], ...] = (
    (InvalidInput, INVALID),
    (NotFound, MISSING),
    (Unavailable, AWAY),
    (TooManyRequests, AWAY),
    (Unauthenticated, DENIED),
    (Forbidden, DENIED),
    (Conflict, CONFLICT),
)


def exit_code_of(error: Exception) -> int:
    """The exit code that stands for an error."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), FAULT)
