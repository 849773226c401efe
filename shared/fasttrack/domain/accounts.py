"""How accounts, and what they belong to, may be called."""

from __future__ import annotations

import re

from ..errors import InvalidInput

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_MOST_TEXT = 200


def require_texts(name: str, display_name: str = "", email: str = "") -> None:
    """Pass if these can be the texts of an account. :raises InvalidInput: one cannot."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:80]!r} cannot be a name here: use 1 to 64 letters, digits and `.`, `_`, `@`, `+`, `-`, "
            "beginning with a letter or a digit"
        )
    for what, text in (("display name", display_name), ("email address", email)):
        if len(text) > _MOST_TEXT or not text.isprintable():
            raise InvalidInput(f"a {what} has at most {_MOST_TEXT} printable characters")
