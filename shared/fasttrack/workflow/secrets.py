"""Storing and forgetting secrets. The audit log has their names, never a value."""

from __future__ import annotations

from ..db import Db
from ..db.secrets import SecretBox, delete_secret, put_secret
from ..domain.access import Caller
from ..domain.secrets import MOST_BYTES, NAME, require_name
from ..errors import InvalidInput, NotFound
from ..ids import ProjectId
from .audit import record


async def store_secret(db: Db, caller: Caller, box: SecretBox, project: ProjectId, name: str, value: str) -> None:
    """Store a secret, over an older value of that name. Needs a transaction.

    :raises InvalidInput: the name cannot be one, or the value is empty, too long, or cannot be an environment variable.
    """
    require_name(name)
    if not value or "\0" in value or len(value.encode()) > MOST_BYTES:
        raise InvalidInput(f"a secret has 1 to {MOST_BYTES} bytes of text, and no NUL character")
    await put_secret(db, box, project, name, value, by=caller.name)
    await record(db, caller, "secret.put", project=project, object_kind="secret", object_id=name)


async def forget_secret(db: Db, caller: Caller, project: ProjectId, name: str) -> None:
    """Forget a secret; jobs that still need it will be refused. :raises NotFound: there is none of that name."""
    if not NAME.match(name) or not await delete_secret(db, project, name):
        raise NotFound(f"there is no secret named {name[:80]}")
    await record(db, caller, "secret.delete", project=project, object_kind="secret", object_id=name)
