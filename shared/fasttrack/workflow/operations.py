"""Stored operations: texts of GraphQL that a project, or a superadmin for all of them, vouches for."""

from __future__ import annotations

import hashlib

from ..db import Db
from ..db import operations as stored
from ..db.operations import StoredOperation
from ..db.windows import Page, Window
from ..domain.access import Caller, Permission
from ..errors import Conflict, InvalidInput, NotFound
from ..ids import ProjectId
from .audit import record

MOST_STORED = 1000
"""Operations of one project, and of those for every project."""
MOST_CHARACTERS = 64 * 1024
_MISSING = "there is no such stored operation"


def hash_of(text: str) -> bytes:
    """What an operation is found by: SHA-256 of its text as it stands."""
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


async def store_operation(
    db: Db, caller: Caller, project: ProjectId | None, *, name: str, text: str
) -> tuple[StoredOperation, bool]:
    """Store a text, and whether that is new; the same text once more changes nothing. Needs `manage`, since it widens what
    tokens for stored operations may do.

    Whether the text is an operation that the schema has is for the caller of this to know (`graphql/stored.py`).

    :param project: whose callers may run it; `None`: those of every project, which is for superadmins.
    :raises InvalidInput: the name or the text cannot be one.
    :raises Conflict: there are as many as may be.
    :raises NotFound: the project is not the caller's to see. :raises Forbidden: it is, but not to manage.
    """
    require_manager(caller, project)
    if not 0 < len(name.strip()) <= 200 or not name.isprintable():
        raise InvalidInput("the name of an operation has 1 to 200 printable characters")
    if not 0 < len(text) <= MOST_CHARACTERS or "\0" in text:
        raise InvalidInput(f"the text of an operation has 1 to {MOST_CHARACTERS} characters, and no NUL")
    key = hash_of(text)
    found = await stored.find_operation(db, project, key)
    if found is not None:
        return found, False
    if await stored.count_operations(db, project) >= MOST_STORED:
        raise Conflict(
            f"there are {MOST_STORED} stored operations, which is the most; remove those that are not needed"
        )
    made = await stored.insert_operation(db, project, key, name=name, text=text, by=caller.name)
    if made is None:  # somebody else did, at the same time
        found = await stored.find_operation(db, project, key)
        assert found is not None
        return found, False
    await _record(db, caller, "operation.store", made, after=_facts(made))
    return made, True


async def list_operations(db: Db, caller: Caller, project: ProjectId | None, window: Window) -> Page[StoredOperation]:
    """Those of a project, or those for every project (`None`), newest first. Needs `read` in the project.

    :raises NotFound: the project is not the caller's to see.
    """
    if project is not None:
        caller.require(Permission.READ, project)
    return await stored.list_operations(db, project, window)


async def require_operation(db: Db, caller: Caller, project: ProjectId | None, hash_: bytes) -> StoredOperation:
    """The one of that hash in a project, or of those for every project (`None`). Needs `read` in the project.

    :raises NotFound: there is none there, or the project is not the caller's to see.
    """
    if project is not None:
        caller.require(Permission.READ, project)
    found = await stored.find_operation(db, project, hash_)
    if found is None:
        raise NotFound(_MISSING)
    return found


async def remove_operation(db: Db, caller: Caller, project: ProjectId | None, hash_: bytes) -> StoredOperation:
    """Forget an operation: within five seconds nobody may run it by its hash. Needs `manage`.

    :raises NotFound: there is none there, or the project is not the caller's to see.
    :raises Forbidden: it is, but not to manage.
    """
    require_manager(caller, project)
    found = await stored.find_operation(db, project, hash_)
    if found is None or not await stored.delete_operations(db, [found.id]):
        raise NotFound(_MISSING)
    await _record(db, caller, "operation.remove", found, before=_facts(found))
    return found


def require_manager(caller: Caller, project: ProjectId | None) -> None:
    """Pass if they may store and remove operations there; `None` is every project.

    :raises NotFound: the project is not the caller's to see. :raises Forbidden: it is, but not to manage.
    """
    if project is None:
        caller.require_everywhere(Permission.MANAGE)
    else:
        caller.require(Permission.MANAGE, project)


async def _record(
    db: Db, caller: Caller, action: str, operation: StoredOperation, *, before: object = None, after: object = None
) -> None:
    await record(
        db,
        caller,
        action,
        project=operation.project_id,
        object_kind="operation",
        object_id=operation.hash.hex(),
        before=before,
        after=after,
    )


def _facts(operation: StoredOperation) -> dict[str, object]:
    return {"name": operation.name, "text": operation.text}
