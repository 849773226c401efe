"""Points at which a process kills itself when a test asks for it, to show that nothing is lost between two steps.

`FASTTRACK_CRASH_AT=create.after_answer` kills the process with SIGKILL, so that nothing is tidied up, when it passes that
point for the first time; `create.after_answer:3` the third time. Without it, passing a point is one comparison.

Every kind of event is a point twice: `task.starting.before_commit` and `task.starting.after_commit`, around the commit of
the pass that appends it. The others are where `crash_point` is called; `tests/crash` has the list.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

_wanted = ""
_passings_left = 0


def arm(point: str) -> None:
    """From now on die at this point (`name`, or `name:n` for the n-th passing); the empty text: at none."""
    global _wanted, _passings_left
    _wanted, _, times = point.partition(":")
    _passings_left = int(times or 1)


def crash_point(name: str) -> None:
    """Die here, if this is where."""
    global _passings_left
    if name == _wanted:
        _passings_left -= 1
        if _passings_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def crash_points(kinds: Iterable[str], when: str) -> None:
    """The points of these events, such as `task.starting.before_commit`."""
    if _wanted:
        for kind in kinds:
            crash_point(f"{kind}.{when}")


arm(os.environ.get("FASTTRACK_CRASH_AT", ""))
