"""What an edit needs to know before it is made: which task is meant, which names are free, what would close a cycle."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from ..errors import InvalidInput, NotFound
from .document import require_task_name
from .edit_file import OpenFile
from .edit_tree import Value, tree_of
from .source import MAX_BYTES, Node, show_path

DEEPEST = 16
"""How deep maps and lists of an edit may be nested."""

_LONGEST_KEY = 255
_LARGEST = 2**63
_MOST_IN_A_SENTENCE = 8
_NUMBERED = re.compile(r"(.*?)-(\d{1,6})\Z")


class Tasks:
    """The tasks of a file by name."""

    def __init__(self, file: OpenFile) -> None:
        """:raises InvalidInput: what the file says has no place for tasks."""
        root = file.root
        if not isinstance(root.value, dict):
            raise InvalidInput("this is not a map of keys, so it has no tasks to edit; begin the text with `name:`")
        listed = root.value.get("tasks")
        if listed is not None and not listed.is_null and not isinstance(listed.value, list):
            raise InvalidInput(f"line {listed.line}: `tasks` is not a list; make it one in the text first")
        self._nodes = file.tasks
        self._places: dict[str, list[int]] = {}
        for index, node in enumerate(self._nodes):
            name = text_of(node.value.get("name")) if isinstance(node.value, dict) else None
            if name is not None:
                self._places.setdefault(name, []).append(index)

    def index(self, name: str) -> int:
        """The task of that name. :raises NotFound: there is none. :raises InvalidInput: there are several."""
        found = self._places.get(name, [])
        if len(found) == 1:
            return found[0]
        if found:
            lines = ", ".join(str(self._nodes[index].line) for index in found[:_MOST_IN_A_SENTENCE])
            raise InvalidInput(
                f"several tasks have the name `{name[:80]}` (lines {lines}); rename them in the text first"
            )
        close = get_close_matches(name[:80], list(self._places)[:2000], n=1, cutoff=0.6)
        raise NotFound(f"there is no task `{name[:80]}`" + (f"; did you mean `{close[0]}`?" if close else ""))

    def new_name(self, name: object) -> str:
        """The name, if a task may get it. :raises InvalidInput: it is taken, or no name."""
        if not isinstance(name, str):
            raise InvalidInput("`name` has to be a text, and cannot be removed")
        try:
            require_task_name(name)
        except ValueError as error:
            raise InvalidInput(str(error)) from None
        if name in self._places:
            raise InvalidInput(f"there is a task `{name}` already; choose another name")
        return name

    def free_name(self, like: str) -> str:
        """A name that no task has: `train-2` for `train`."""
        numbered = _NUMBERED.match(like)
        stem, number = (numbered[1], int(numbered[2])) if numbered else (like, 1)
        if like not in self._places and not numbered:
            return like
        while True:
            number += 1
            name = f"{stem[: 63 - len(str(number))]}-{number}"
            if name not in self._places:
                return name

    def needs(self, name: str) -> list[Value]:
        """The entries of its `dependencies`. :raises InvalidInput: they are no list."""
        node = self._nodes[self.index(name)]
        assert isinstance(node.value, dict)
        found = node.value.get("dependencies")
        if found is None or found.is_null:
            return []
        if not isinstance(found.value, list):
            raise InvalidInput(
                f"line {found.line}: {show_path(found.path)} is not a list; make it one in the text first"
            )
        return [tree_of(item) for item in found.value]

    def renaming(self, old: str, new: str | None) -> dict[int, dict[str, Value]]:
        """Patches that put another name into every `dependencies`; `None` takes it out."""
        patches: dict[int, dict[str, Value]] = {}
        for index, node in enumerate(self._nodes):
            needs = node.value.get("dependencies") if isinstance(node.value, dict) else None
            if needs is None or not isinstance(needs.value, list) or all(text_of(n) != old for n in needs.value):
                continue
            patches[index] = {
                "dependencies": [
                    tree_of(need) if text_of(need) != old else new
                    for need in needs.value
                    if text_of(need) != old or new is not None
                ]
            }
        return patches

    def require_no_cycle(self, dependency: str, task: str) -> None:
        """Pass if the task may wait for the other. :raises InvalidInput: that one waits for it already, with the way."""
        if dependency == task:
            raise InvalidInput(f"`{task}` cannot wait for itself; connect two tasks")
        came_from: dict[str, str] = {}
        waiting = deque([dependency])
        while waiting:
            name = waiting.popleft()
            if name == task:
                way = [name]
                while name != dependency:
                    name = came_from[name]
                    way.append(name)
                shown = [*way[:_MOST_IN_A_SENTENCE], "…", way[-1]] if len(way) > _MOST_IN_A_SENTENCE + 1 else way
                raise InvalidInput(
                    f"`{dependency}` waits for `{task}` already, so both would wait for each other: "
                    f"{' → '.join([*shown, task])}; disconnect one of these first"
                )
            for index in self._places.get(name, []):
                value = self._nodes[index].value
                needs = value.get("dependencies") if isinstance(value, dict) else None
                for need in needs.value if needs is not None and isinstance(needs.value, list) else []:
                    other = text_of(need)
                    if other is not None and other not in came_from and other != dependency:
                        came_from[other] = name
                        waiting.append(other)


def text_of(value: Value) -> str | None:
    """A scalar as text; `None` for a map, a list or nothing."""
    return (
        (value.text if isinstance(value, Node) and not value.is_null else None) if not isinstance(value, str) else value
    )


def storable(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields, if a file can hold them. :raises InvalidInput: it cannot, with the path and what would be right."""
    if not isinstance(fields, Mapping):
        raise InvalidInput('the fields of a task are an object such as {"command": "python train.py"}')
    size = 0
    waiting: list[tuple[Any, str, int]] = [(fields, "", 0)]
    while waiting:
        value, path, depth = waiting.pop()
        size += 1
        if isinstance(value, Mapping | list):
            if depth >= DEEPEST:
                raise InvalidInput(
                    f"{path[:80]}: the fields are nested more than {DEEPEST} deep; a task needs four levels"
                )
            if isinstance(value, Mapping):
                for key, child in value.items():
                    _require_text(key, path)
                    if not 1 <= len(key) <= _LONGEST_KEY:
                        raise InvalidInput(f"{path[:80]}: a key has 1 to {_LONGEST_KEY} characters")
                    waiting.append((child, f"{path}.{key}" if path else key, depth + 1))
            else:
                waiting.extend((child, f"{path}[{n}]", depth + 1) for n, child in enumerate(value))
        elif isinstance(value, str):
            size += len(value)
            _require_text(value, path)
        elif isinstance(value, float) and not math.isfinite(value):
            raise InvalidInput(f"{path[:80]}: a file has no such number; write another")
        elif isinstance(value, int) and abs(value) >= _LARGEST:
            raise InvalidInput(f"{path[:80]}: the number has too many digits; put it in quotes")
    if size > MAX_BYTES:
        raise InvalidInput(f"the fields have more than {MAX_BYTES:,} characters; move data into a folder")
    return fields


def _require_text(text: str, path: str) -> None:
    if "\0" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
        raise InvalidInput(f"{path[:80]}: a text holds a character that cannot be stored: NUL or half of a pair")
