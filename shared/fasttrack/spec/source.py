"""A pipeline file's text, turned into a plain tree in which every node knows where it was written.

The text comes from strangers, so it is read as a stream of parser events, and the tree is built from those events: one
pass, without recursion, with every limit checked before anything is kept (`docs/decisions/0004-yaml-intake.md`). The
loaders of PyYAML are not used: a 60 kB file crashes the fast one, and both keep the last of two equal keys silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import yaml

from ..errors import InvalidPipeline, Problem
from .scalars import Scalar, resolve

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_NODES = 100_000

Path = tuple[str | int, ...]
Tree = dict[str, "Node"] | list["Node"] | Scalar

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass(slots=True)
class Node:
    """One value of the file and its place (lines and columns count from 1; 0 is unknown)."""

    value: Tree
    path: Path = ()
    line: int = 0
    column: int = 0
    key_line: int = 0
    key_column: int = 0
    text: str | None = None
    """A scalar as it was written, before it was taken for a number or a boolean."""
    plain: bool = False
    """Whether a scalar stood without quotes."""
    first_line: int = 0
    """For a `|` block: the line of its first line of text, with `indent`, so that a place inside it can be named."""
    indent: int = 0
    is_single_line: bool = False
    """Whether a scalar stands in one line, character for character."""

    @property
    def is_null(self) -> bool:
        """Whether nothing stands here: an empty value or `null`."""
        return self.value is None


def show_path(path: Path) -> str:
    """A path as people write it: `tasks[2].resources.cpu`."""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            shown += f".{part}" if shown else part
    return shown


def read_tree(text: str | bytes) -> Node:
    """The tree of one YAML document of at most 1 MiB, 32 levels and 100,000 values (keys not counted).

    :raises InvalidPipeline: the text is too large, not UTF-8, not YAML, or uses what a pipeline file never needs:
        anchors, aliases, merge keys, tags, several documents, repeated keys, control characters.
    """
    source = _decode(text)
    try:
        return _build(yaml.parse(source, Loader=yaml.CSafeLoader), source)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        _refuse(
            f"This is not YAML: {error.problem or error.context}. Look at the indentation, the quotes and the colons "
            "here and in the line above.",
            line=mark.line + 1 if mark else 0,
            column=mark.column + 1 if mark else 0,
        )
    except yaml.YAMLError as error:
        _refuse(f"This is not YAML: {error}.")


def _decode(text: str | bytes) -> str:
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        _refuse(
            f"The file has {size:,} bytes; at most {MAX_BYTES:,} are read. Move data out of the file into a folder."
        )
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = error.object[: error.start]
            _refuse(
                "The file is not UTF-8 text. Save it as UTF-8.",
                line=before.count(b"\n") + 1,
                column=error.start - before.rfind(b"\n"),
            )
    text = text.removeprefix("\ufeff")
    if found := _FORBIDDEN.search(text):
        start = found.start()
        _refuse(
            f"The control character U+{ord(found.group()):04X} may not stand in a pipeline file. Remove it, or write it "
            'as an escape inside double quotes ("\\t").',
            line=text.count("\n", 0, start) + 1,
            column=start - text.rfind("\n", 0, start),
        )
    return text


def _build(events: Iterator[yaml.Event], source: str) -> Node:
    lines: list[str] | None = None
    root: Node | None = None
    open_nodes: list[Node] = []
    key: yaml.ScalarEvent | None = None
    count = 0
    documents = 0
    for event in events:
        kind = type(event)
        if kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            open_nodes.pop()
            continue
        if kind is yaml.DocumentStartEvent:
            documents += 1
            if documents > 1:
                _refuse("A second YAML document starts here. Keep one pipeline in a file.", *_place(event))
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        _check(event, count, len(open_nodes))
        line, column = _place(event)
        parent = open_nodes[-1] if open_nodes else None
        if parent is not None and isinstance(parent.value, dict) and key is None:
            key = _as_key(event, parent)
            continue
        count += 1
        node = Node(None, (), line, column)
        if parent is None:
            root = node
        elif isinstance(parent.value, dict):
            assert key is not None
            node.path = (*parent.path, key.value)
            node.key_line, node.key_column = _place(key)
            parent.value[key.value] = node
            key = None
        else:
            assert isinstance(parent.value, list)
            node.path = (*parent.path, len(parent.value))
            node.key_line, node.key_column = line, column
            parent.value.append(node)
        if kind is yaml.ScalarEvent:
            assert isinstance(event, yaml.ScalarEvent)
            node.text = event.value
            node.plain = bool(event.implicit[0])
            node.value = resolve(event.value) if node.plain else event.value
            if "\0" in event.value:
                _refuse("The character NUL may not stand in a pipeline file. Remove it.", line, column, node.path)
            start, end = event.start_mark, event.end_mark
            assert start is not None
            assert end is not None
            node.is_single_line = start.line == end.line and end.column - start.column == len(event.value) + (
                0 if node.plain else 2
            )
            if event.style == "|":
                lines = source.split("\n") if lines is None else lines
                _locate_block(node, event.value, lines)
        else:
            node.value = {} if kind is yaml.MappingStartEvent else []
            open_nodes.append(node)
    if root is None:
        _refuse("The file is empty. A pipeline needs at least `name` and `tasks`.")
    return root


def _check(event: yaml.NodeEvent, count: int, depth: int) -> None:
    if count >= MAX_NODES:
        _refuse(f"The file has more than {MAX_NODES:,} values. Split the pipeline.", *_place(event))
    if depth >= MAX_DEPTH and not isinstance(event, yaml.ScalarEvent):
        _refuse(f"Lists and maps are nested more than {MAX_DEPTH} deep. A pipeline needs five levels.", *_place(event))
    if isinstance(event, yaml.AliasEvent):
        _refuse(f"The alias `*{event.anchor}` is not allowed. Write the value out.", *_place(event))
    if event.anchor is not None:
        _refuse(f"The anchor `&{event.anchor}` is not allowed. Write the value out where it is needed.", *_place(event))
    tag = getattr(event, "tag", None)
    if tag is not None:
        _refuse(f"The tag `{tag}` is not allowed. Remove it; quotes make a text.", *_place(event))


def _as_key(event: yaml.NodeEvent, parent: Node) -> yaml.ScalarEvent:
    assert isinstance(parent.value, dict)
    if not isinstance(event, yaml.ScalarEvent):
        _refuse("A list or a map cannot be a key. Keys are words.", *_place(event), parent.path)
    key = event.value
    if key == "<<" and event.implicit[0]:
        _refuse("The merge key `<<` is not allowed. Write the keys out.", *_place(event), parent.path)
    if not key or "\0" in key:
        _refuse("A key may not be empty. Write a name before the colon.", *_place(event), parent.path)
    if key in parent.value:
        first = parent.value[key].key_line
        _refuse(
            f"The key `{key}` stands twice in one map; the first is in line {first}. Remove one of them.",
            *_place(event),
            (*parent.path, key),
        )
    return event


def _locate_block(node: Node, value: str, lines: list[str]) -> None:
    # The text of a `|` block starts in the line after its header; its indentation is that of any line with text.
    node.first_line = node.line + 1
    for offset, text in enumerate(value.split("\n")):
        if text and node.line + offset < len(lines):
            node.indent = max(0, len(lines[node.line + offset].rstrip("\r")) - len(text))
            return


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    assert mark is not None
    return mark.line + 1, mark.column + 1


def _refuse(message: str, line: int = 0, column: int = 0, path: Path = ()) -> NoReturn:
    raise InvalidPipeline([Problem(message, show_path(path), line, column)])
