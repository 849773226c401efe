"""Storing and forgetting secrets."""

from __future__ import annotations

import re

from ..db import Db
from ..db.secrets import SecretBox, delete_secret, put_secret
from ..errors import InvalidInput, NotFound
from ..ids import ProjectId

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")
MOST_BYTES = 64 * 1024


async def store_secret(db: Db, box: SecretBox, project: ProjectId, name: str, value: str, *, by: str) -> None:
    """Store a secret, over an older value of that name.

    :raises InvalidInput: the name cannot be one, or the value is empty, too long, or cannot be an environment variable.
    """
    if not NAME.match(name):
        raise InvalidInput(
            f"{name[:80]!r} cannot name a secret: use 1 to 64 letters, digits and `_`, not beginning with a digit"
        )
    if not value or "\0" in value or len(value.encode()) > MOST_BYTES:
        raise InvalidInput(f"a secret has 1 to {MOST_BYTES} bytes of text, and no NUL character")
    await put_secret(db, box, project, name, value, by=by)


async def forget_secret(db: Db, project: ProjectId, name: str) -> None:
    """Forget a secret; jobs that still need it will be refused. :raises NotFound: there is none of that name."""
    if not NAME.match(name) or not await delete_secret(db, project, name):
        raise NotFound("there is no such secret")
