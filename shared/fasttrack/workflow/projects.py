"""Making projects."""

from __future__ import annotations

from ..db import Db
from ..db.projects import ensure_project, find_project
from ..errors import InvalidInput
from ..ids import ProjectId

LONGEST_NAME = 64


async def create_project(db: Db, name: str) -> tuple[ProjectId, bool]:
    """The project of that name, made if there is none, and whether it was. Needs a transaction; safe to race.

    :raises InvalidInput: the name cannot be one.
    """
    if not 0 < len(name.strip()) <= LONGEST_NAME or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidInput(f"a project's name has 1 to {LONGEST_NAME} printable characters")
    known = await find_project(db, name)
    if known is not None:
        return known, False
    return await ensure_project(db, name), True
