"""A place in the feed, as those who follow it hold it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from uuid import UUID

from ..errors import InvalidInput


class CursorInvalid(InvalidInput):
    """The cursor is not one of this feed's."""

    code = "CURSOR_INVALID"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the feed, opaque to those who hold it."""

    epoch: UUID
    pos: int

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(self.epoch.bytes + self.pos.to_bytes(8, "big")).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The cursor that `str` gave. :raises CursorInvalid: it is none."""
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raise CursorInvalid from None
        if len(data) != 24:
            raise CursorInvalid
        return cls(UUID(bytes=data[:16]), int.from_bytes(data[16:], "big"))
