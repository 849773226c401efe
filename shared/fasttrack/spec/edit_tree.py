"""Edits of a file as a value: what a tree must say once it is edited, and whether a text says it.

A tree here is of dicts and lists; its leaves are the nodes that were read, for what stays as it was written, or plain
JSON scalars, for what an edit brings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .source import Node

Value = Any


def tree_of(node: Node) -> Value:
    """What was read, as a tree; the nodes of its scalars are its leaves."""
    match node.value:
        case dict():
            return {key: tree_of(child) for key, child in node.value.items()}
        case list():
            return [tree_of(child) for child in node.value]
        case _:
            return node


def merged(old: Value, patch: Value) -> Value:
    """The tree after a JSON Merge Patch (RFC 7396): maps are joined by key, null removes one, all else is replaced."""
    if not isinstance(patch, Mapping):
        return patch
    result: dict[str, Value] = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def says(node: Node, wanted: Value) -> bool:
    """Whether what was read is the wanted tree."""
    match wanted:
        case dict():
            return (
                isinstance(node.value, dict)
                and node.value.keys() == wanted.keys()
                and all(says(child, wanted[key]) for key, child in node.value.items())
            )
        case list():
            return (
                isinstance(node.value, list) and len(node.value) == len(wanted) and all(map(says, node.value, wanted))
            )
        case Node():
            return is_same(node, wanted) and (node.is_null or node.text == wanted.text)
        case _:
            return is_same(node, wanted)


def is_same(one: Value, other: Value) -> bool:
    """Whether two trees say the same; `1`, `1.0`, `'1'` and `true` are four things."""
    one = one.value if isinstance(one, Node) else one
    other = other.value if isinstance(other, Node) else other
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other) or (one != one and other != other)
