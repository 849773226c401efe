"""Single values of a pipeline file: whole numbers, booleans, durations, parameter values.

Each reader takes what a file may hold (a number, a boolean, or either in quotes), gives the one Python value it means,
and raises `ValueError` with a sentence that says what would be right.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta

Value = str | int | float | bool

MAX_PARAM_BYTES = 64 * 1024

_WHOLE = re.compile(r"\s*[-+]?[0-9]{1,18}\s*\Z")
_NUMBER = re.compile(r"\s*[-+]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][-+]?[0-9]{1,3})?\s*\Z")
_DURATION = re.compile(
    r"\s*(?=[0-9])(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,9})s)?\s*\Z", re.IGNORECASE
)


def whole_number(value: object) -> int:
    """The integer a value means: `4` and `'4'`, but not `4.5`, `true` or `4 cores`."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**15:
        return int(value)
    if isinstance(value, str) and _WHOLE.match(value):
        return int(value)
    raise ValueError(f"{shown(value)} is not a whole number. Write digits only, such as 1.")


def number(value: object) -> int | float:
    """The number a value means; an integer when it has no fraction, so that `1`, `1.0` and `'1'` are the same."""
    if isinstance(value, str) and _NUMBER.match(value):
        value = float(value) if not _WHOLE.match(value) else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{shown(value)} is not a number. Write one such as 0.1.")
    if abs(value) >= 1e300:
        raise ValueError(f"{shown(value)} is too large for a number.")
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**15:
        return int(value)
    return value


def flag(value: object) -> bool:
    """The boolean a value means: `true` or `false`, quoted or not, in small or capital letters."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise ValueError(f"{shown(value)} is neither true nor false. Write one of these two words.")


def seconds(value: object) -> int | float:
    """The seconds a duration means: a number of seconds, or `90s`, `10m`, `2h`, `1h30m`, `1d`."""
    if isinstance(value, str) and not _NUMBER.match(value):
        found = _DURATION.match(value)
        if found is None:
            raise ValueError(f"{shown(value)} is not a duration. Write seconds, or a text such as 90s, 10m, 2h, 1h30m.")
        days, hours, minutes, rest = (int(part or 0) for part in found.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + rest
    try:
        amount = number(value)
    except ValueError:
        raise ValueError(
            f"{shown(value)} is not a duration. Write seconds, or a text such as 90s, 10m, 2h, 1h30m."
        ) from None
    if amount < 0:
        raise ValueError(f"{shown(value)} is a negative duration. Write 0 or more.")
    return amount


def duration(amount: int | float | None) -> timedelta | None:
    """Seconds as a `timedelta`."""
    return None if amount is None else timedelta(seconds=amount)


def param_value(kind: str, value: object) -> Value:
    """The value of a parameter of type `kind` that a file, a program or a command line gave."""
    match kind:
        case "integer":
            return whole_number(value)
        case "number":
            return number(value)
        case "boolean":
            return flag(value)
        case _:
            if not isinstance(value, str):
                raise ValueError(f"{shown(value)} is not a text. Put it in quotes.")
            if "\0" in value:
                raise ValueError("A text may not hold the character NUL. Remove it.")
            if len(value.encode("utf-8", "surrogatepass")) > MAX_PARAM_BYTES:
                raise ValueError("A text may have at most 64 KiB. Put larger data in a folder and give its path.")
            return value


def render(value: Value) -> str:
    """A parameter's value as it appears in text: booleans as `true` and `false`, numbers in their shortest form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def shown(value: object) -> str:
    """A value as part of a sentence: short, and in quotes when it is text."""
    match value:
        case None:
            return "Nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return repr(value if len(value) <= 40 else value[:39] + "…")
        case int() | float():
            return str(value) if not isinstance(value, int) or abs(value) < 10**40 else "This number"
        case dict():
            return "A map"
        case list() | tuple():
            return "A list"
        case _:
            return "This"
