"""Values as the YAML that edits put into a file: a map as a block, a list of plain values in brackets."""

from __future__ import annotations

from typing import Any

import yaml

from .edit_tree import Value
from .export import Dumper
from .scalars import reads_as_text
from .source import Node

_ENDLESS = 2**31 - 1
_STR = "tag:yaml.org,2002:str"


def block_lines(value: Value) -> list[str]:
    """The lines of a map or list as a block that begins in the first column."""
    return _dumped(value, flow=False).rstrip("\n").split("\n")


def inline(value: Value) -> str | None:
    """The value in one line behind a colon or a dash; `None` if it needs a block."""
    if isinstance(value, dict) and value:
        return None
    if isinstance(value, list) and not all(_is_scalar(item) for item in value):
        return None
    written = _dumped({"k": value}, flow=False).rstrip("\n")
    return written[2:].lstrip(" ") if "\n" not in written and written.startswith("k:") else None


def flow(value: Value) -> str:
    """The value in one line between brackets."""
    return _dumped([value], flow=True).rstrip("\n")[1:-1]


def key_text(key: str) -> str:
    """A key as it stands before its colon."""
    written = _dumped({key: 0}, flow=False)
    return written[: written.rindex(":")]


def file_text(tree: Value) -> str:
    """A whole file written anew."""
    return _dumped(tree, flow=False)


def _dumped(value: Value, *, flow: bool) -> str:
    return str(
        yaml.dump(value, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=_ENDLESS, default_flow_style=flow)
    )


def _is_scalar(value: Value) -> bool:
    return not isinstance(value, dict | list)


class _Writer(Dumper):
    """Knows lists as authors write them, and leaves that are nodes of a file."""


def _represent_list(dumper: _Writer, items: list[Any]) -> yaml.SequenceNode:
    is_flow = True if all(_is_scalar(item) for item in items) else None
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=is_flow)


def _represent_node(dumper: _Writer, node: Node) -> yaml.Node:
    text = node.text or ""
    if node.is_null:
        return dumper.represent_data(None)
    if not node.plain or "\n" in text or (isinstance(node.value, str) and reads_as_text(text)):
        return dumper.represent_data(text)
    # A number is written as its author wrote it: `1.10` may be a version.
    tag = dumper.resolve(  # type: ignore[no-untyped-call]
        yaml.ScalarNode, text, (True, False)
    )
    return dumper.represent_scalar(tag, text)


_Writer.add_representer(list, _represent_list)
_Writer.add_representer(Node, _represent_node)
