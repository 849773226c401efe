"""Global ids: the kind of a thing and its UUID, opaque to clients."""

from __future__ import annotations

import base64
from enum import IntEnum
from uuid import UUID

from fasttrack.errors import NotFound


class Kind(IntEnum):
    """What an id can be of. Numbers are part of ids that clients keep: add, never change one."""

    PROJECT = 1
    PIPELINE = 2
    VERSION = 3
    JOB = 4
    TASK_INSTANCE = 5
    TEMPLATE = 6
    ACCOUNT = 20
    TOKEN = 21
    AUDIT_ENTRY = 22

    @property
    def words(self) -> str:
        """How it is called in sentences."""
        return self.name.lower().replace("_", " ")


_LENGTH = 23  # of 17 bytes in base64 without padding
_PREFIX = [bytes([n]) for n in range(256)]


def to_global(kind: Kind, identifier: UUID) -> str:
    """The global id."""
    return base64.urlsafe_b64encode(_PREFIX[kind] + identifier.bytes)[:_LENGTH].decode()


def parse_global(text: str) -> tuple[Kind, UUID] | None:
    """What the id is of; `None`: it is none of ours."""
    if len(text) != _LENGTH or not text.isascii():
        return None
    try:
        data = base64.b64decode(text + "=", altchars=b"-_", validate=True)
        kind = Kind(data[0])
    except ValueError:
        return None
    identifier = UUID(bytes=data[1:])
    return (kind, identifier) if to_global(kind, identifier) == text else None


def require_id(kind: Kind, text: str) -> UUID:
    """The UUID of a global id of that kind. :raises NotFound: it is of another kind, or none: as if there were none."""
    found = parse_global(text)
    if found is None or found[0] is not kind:
        raise NotFound(f"there is no such {kind.words}")
    return found[1]
