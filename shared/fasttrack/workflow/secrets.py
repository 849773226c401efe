"""Storing and forgetting secrets. The audit log has their names, never a value."""

from __future__ import annotations

from ..db import Db
from ..db.secrets import SecretBox, delete_secret, find_secret, put_secret
from ..domain.access import Caller
from ..domain.secrets import MOST_BYTES, NAME, require_name
from ..errors import InvalidInput, NotFound
from ..ids import ProjectId
from .audit import record
from .revisions import Overtaken, require_revision


async def store_secret(
    db: Db,
    caller: Caller,
    box: SecretBox,
    project: ProjectId,
    name: str,
    value: str,
    *,
    expected_revision: int | None = None,
) -> int:
    """Store a secret, over an older value of that name; its revision, another one each time. Needs a transaction.

    :param expected_revision: the one that the caller has seen, 0 for none; `None`: whatever there is.
    :raises Overtaken: it is at another. :raises InvalidInput: the name cannot be one, or the value is empty, too long, or cannot be an environment variable.
    """
    require_name(name)
    if not value or "\0" in value or len(value.encode()) > MOST_BYTES:
        raise InvalidInput(f"a secret has 1 to {MOST_BYTES} bytes of text, and no NUL character")
    if expected_revision is not None:
        held = await find_secret(db, project, name, lock=True)
        require_revision(f"secret {name}", held.revision if held is not None else 0, expected_revision)
    revision = await put_secret(db, box, project, name, value, by=caller.name, over=expected_revision)
    if revision is None:
        raise Overtaken(f"somebody else stored a secret {name} at the same time; look at it and decide again")
    await record(db, caller, "secret.put", project=project, object_kind="secret", object_id=name)
    return revision


async def forget_secret(
    db: Db, caller: Caller, project: ProjectId, name: str, *, expected_revision: int | None = None
) -> None:
    """Forget a secret; jobs that still need it will be refused. Needs a transaction.

    :param expected_revision: the one that the caller has seen; `None`: whatever there is.
    :raises NotFound: there is none of that name. :raises Overtaken: it is at another revision.
    """
    held = await find_secret(db, project, name, lock=True) if NAME.match(name) else None
    if held is None:
        raise NotFound(f"there is no secret named {name[:80]}")
    require_revision(f"secret {name}", held.revision, expected_revision)
    await delete_secret(db, project, name)
    await record(db, caller, "secret.delete", project=project, object_kind="secret", object_id=name)
