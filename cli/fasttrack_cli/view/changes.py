"""What a write changed, in few words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..output import encode
from .words import moment

_LONGEST_WORD, _LONGEST_LINE = 40, 120
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")


def change_line(before: Any, after: Any) -> str:
    """`ada, role: editor → admin`; of what was made or removed, what it was. What is too long for a line ends in `…`."""
    old, new = (value if isinstance(value, Mapping) else {} for value in (before, after))
    name = new.get("name", old.get("name"))
    said = [] if name is None else [_word(name)]
    for key in dict.fromkeys((*old, *new)):
        was, is_now = old.get(key), new.get(key)
        if was == is_now or (key == "name" and not (old and new)):
            continue
        if old and new:
            said.append(f"{_word(key)}: {_word(was)} → {_word(is_now)}")
        elif (value := is_now if new else was) not in (None, "", False):
            said.append(f"{_word(key)}: {_word(value)}")
    return _joined(said)


def legible(text: str) -> str:
    """The text without characters that would play with a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _joined(parts: list[str]) -> str:
    line = "".join(parts[:1])
    for part in parts[1:]:
        if len(line) + len(part) + 2 > _LONGEST_LINE:
            return f"{line}, …"
        line += f", {part}"
    return line


def _word(value: Any) -> str:
    text = value if isinstance(value, str) else "none" if value is None else encode(value)
    if _TIME.fullmatch(text):
        return moment(datetime.fromisoformat(text))
    return text if len(text) <= _LONGEST_WORD else f"{text[: _LONGEST_WORD - 1]}…"
