"""The same pipeline file under another name, as its author wrote it: comments, layout and the order of keys stay."""

from __future__ import annotations

import json
import re

from ..errors import InvalidInput, InvalidPipeline
from .document import pipeline_name
from .export import to_yaml
from .intake import load
from .source import Node, read_tree

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})  # other readers take them for more


def require_name(name: str) -> str:
    """The name, if a pipeline can have it. :raises InvalidInput: it cannot; the sentence says what can."""
    try:
        return pipeline_name(name)
    except ValueError as error:
        raise InvalidInput(str(error)) from None


def renamed(text: str, name: str) -> str:
    """The file with another name in it.

    One whose name does not stand in one line is written anew in canonical form, without its comments.

    :raises InvalidPipeline: it is no file that can be read. :raises InvalidInput: no pipeline can have that name.
    """
    require_name(name)
    document = load(text).document
    if document.name == name:
        return text
    changed = _in_place(text, _name_in(text), name)
    if changed is not None and _says(changed) == name:
        return changed
    return to_yaml(document.model_copy(update={"name": name}))


def renamed_in_place(text: str, old: str, new: str) -> str:
    """The text of a draft, which need not compile, with `new` where it gives `old` as its name; as it is, if it does not."""
    node = _name_in(text)
    if node is None or node.text != old:
        return text
    changed = _in_place(text, node, new)
    now = None if changed is None else _name_in(changed)
    return text if changed is None or now is None or now.text != new else changed


def _name_in(text: str) -> Node | None:
    """Where the text gives its name; `None`: nowhere, or it is no YAML."""
    try:
        root = read_tree(text)
    except InvalidPipeline:
        return None
    return root.value.get("name") if isinstance(root.value, dict) else None


def _in_place(text: str, node: Node | None, name: str) -> str | None:
    if node is None or node.text is None or not node.is_single_line:
        return None
    lines = text.split("\n")
    line, start = lines[node.line - 1], node.column - 1
    end = start + len(node.text) + (0 if node.plain else 2)
    lines[node.line - 1] = line[:start] + _written(name) + line[end:]
    return "\n".join(lines)


def _written(name: str) -> str:
    return name if _PLAIN.match(name) and name.lower() not in _WORDS else json.dumps(name, ensure_ascii=False)


def _says(text: str) -> str | None:
    try:
        return load(text).document.name
    except InvalidPipeline:
        return None
