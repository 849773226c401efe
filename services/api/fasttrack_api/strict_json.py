"""JSON that says one thing only, in a bounded way: what REST, GraphQL over HTTP and sockets read alike."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 32
MAX_VALUES = 50_000
_BIGGEST = 2**63 - 1


class BadJson(ValueError):
    """It is no JSON, or none that is taken; the message says what is wrong with it."""


def read_json(data: bytes) -> Any:
    """The value that the JSON text stands for.

    :raises BadJson: it is no JSON, has a key twice, numbers or characters that cannot be stored, or more levels or values
        than anything here needs.
    """
    try:
        value = json.loads(data.decode(), object_pairs_hook=_pairs, parse_constant=_no_number)
        _require_storable(value)
    except RecursionError:
        raise BadJson(f"it is nested more than {MAX_DEPTH} deep") from None
    except UnicodeDecodeError:
        raise BadJson("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise BadJson(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except BadJson:
        raise
    except ValueError:
        raise BadJson("it holds a number with too many digits") from None
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise BadJson(f"the key {twice[:80]!r} is there twice")
    return made


def _no_number(text: str) -> Any:
    raise BadJson(f"{text} is no number")


def _require_storable(value: Any) -> None:
    """Pass if every part can be stored; looked at without recursion, which a hostile body would exhaust."""
    count = 0
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        following: list[Any] = []
        for item in level:
            match item:
                case dict():
                    following += [*item.keys(), *item.values()]
                case list():
                    following += item
                case str():
                    _require_text(item)
                case bool() | None:
                    pass
                case int() if abs(item) > _BIGGEST:
                    raise BadJson("it holds a whole number beyond 64 bits")
                case float() if not math.isfinite(item):
                    raise BadJson("it holds a number beyond what a float has")
        count += len(following)
        if count > MAX_VALUES:
            raise BadJson(f"it has more than {MAX_VALUES} values")
        if not following:
            return
        level = following
    raise BadJson(f"it is nested more than {MAX_DEPTH} deep")


def _require_text(text: str) -> None:
    if "\0" in text:
        raise BadJson("a text holds the character NUL")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadJson("a text holds half a character (a lone surrogate)") from None
