"""Who is let in when there is not room for all: pure rules over what is live and what waits.

Order is by priority with ageing: a point of priority is worth `ageing` of waiting. So one that waits is overtaken only
by what is more urgent, and by that no longer than the difference in priority times `ageing` (the bound on overtaking).
Inside one limit nobody is overtaken for being large: when the first in line does not fit, that limit is closed for the
round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from ..errors import InvalidInput

SCOPES = ("project", "resource_group", "pool")
"""What a limit can be of."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A task that is READY and waits for slots."""

    instance_id: UUID
    job_id: UUID
    scopes: Mapping[str, int]
    """Every limit that would hold for it, as `scope:name`, and how many slots it takes of each."""


def grants(limits: Mapping[str, int], live: Mapping[str, int], line: Iterable[Waiting]) -> list[Waiting]:
    """Those of the line, in its order, that fit beside what is live."""
    free = {scope: slots - live.get(scope, 0) for scope, slots in limits.items()}
    closed: set[str] = set()
    granted: list[Waiting] = []
    for task in line:
        held = {scope: slots for scope, slots in task.scopes.items() if scope in free}
        if closed.isdisjoint(held) and all(free[scope] >= slots for scope, slots in held.items()):
            for scope, slots in held.items():
                free[scope] -= slots
            granted.append(task)
        else:
            closed.update(scope for scope, slots in held.items() if free[scope] < slots)
        if len(closed) == len(free):
            break
    return granted


def let_in(limit: int, active: int, line: Sequence[UUID], job: UUID) -> bool:
    """Whether a job that waits in this line may begin, with so many of its pipeline active."""
    return job in line[: max(limit - active, 0)]


def require_limit(scope: str, name: str, slots: int | None) -> None:
    """Pass if there can be such a limit; `None` slots is one that is to be removed.

    :raises InvalidInput: no such scope, a name where none belongs or none where one does, slots out of range.
    """
    if scope not in SCOPES:
        raise InvalidInput(f"{scope!r} is no scope of a limit: it is one of {', '.join(SCOPES)}")
    if (scope == "project") != (name == ""):
        raise InvalidInput("a limit of the project has no name; one of a resource group or a pool needs one")
    if slots is not None and not 0 <= slots <= 100_000:
        raise InvalidInput(f"{slots} slots are out of range: a limit is from 0, which lets nothing start, to 100000")
