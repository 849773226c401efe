"""What a secret may be called, and how long its value may be."""

from __future__ import annotations

import re

from ..errors import InvalidInput

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")
MOST_BYTES = 64 * 1024


def require_name(name: str) -> None:
    """Pass if it can name a secret. :raises InvalidInput: it cannot."""
    if not NAME.match(name):
        raise InvalidInput(
            f"{name[:80]!r} cannot name a secret: use 1 to 64 letters, digits and `_`, not beginning with a digit"
        )
