"""What an unquoted word in a YAML file means: the rules of YAML 1.2 (core schema), not those of 1.1.

YAML 1.1 reads `no` as false, `12:30:45` as 45045, `017` as 15 and `1_000` as 1000. None of that happens here: such
words are text. Fields that hold text (names, environment values, image names, versions) do not even ask: they take
what was written, so `version: 1.10` stays `1.10`.
"""

from __future__ import annotations

import re

Scalar = str | int | float | bool | None

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_SPECIAL_FLOAT = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
_LONGEST_NUMBER = 40  # a longer run of digits is text: turning it into a number costs quadratic time


def resolve(text: str) -> Scalar:
    """The value of an unquoted scalar; a string when it is none of null, boolean or number."""
    if text in _NULLS:
        return None
    if text[0].isalpha():
        return _BOOLEANS.get(text, text)
    if len(text) > _LONGEST_NUMBER:
        return text
    if _INTEGER.match(text):
        return int(text, {"o": 8, "x": 16}.get(text[1:2], 10))
    if _FLOAT.match(text):
        return float(text)
    if _SPECIAL_FLOAT.match(text):
        return float(text.lower().replace(".", "", 1))
    return text


def reads_as_text(text: str) -> bool:
    """Whether the unquoted word would be read back as this very string."""
    return isinstance(resolve(text), str)
