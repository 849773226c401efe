"""Making projects."""

from __future__ import annotations

from ..db import Db
from ..db.accounts import domain_of
from ..db.projects import find_project, insert_project
from ..domain.access import Caller, Permission
from ..domain.accounts import require_texts
from ..errors import Conflict, InvalidInput
from ..ids import ProjectId
from .audit import record

LONGEST_NAME = 64
DEFAULT_DOMAIN = "default"
"""The domain of a project for which nobody named one."""


async def create_project(db: Db, caller: Caller, name: str, *, domain: str | None = None) -> tuple[ProjectId, bool]:
    """The project of that name, made if there is none, and whether it was. For superadmins; safe to race.

    :param domain: whose admins are its admins from the first moment; `default` unless given.
    :raises InvalidInput: the name, or that of the domain, cannot be one.
    :raises Conflict: there is a project of that name in another domain than the one given.
    """
    caller.require_everywhere(Permission.MANAGE)
    if not 0 < len(name.strip()) <= LONGEST_NAME or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidInput(f"a project's name has 1 to {LONGEST_NAME} printable characters")
    wanted = DEFAULT_DOMAIN if domain is None else domain
    require_texts(wanted)
    made = await insert_project(db, name, wanted)
    if made is None:
        known = await find_project(db, name)
        assert known is not None
        if domain not in (None, await domain_of(db, known)):
            raise Conflict(f"there is a project {name} already, in another domain")
        return known, False
    await record(
        db,
        caller,
        "project.create",
        project=made,
        object_kind="project",
        object_id=made,
        after={"name": name, "domain": wanted},
    )
    return made, True
