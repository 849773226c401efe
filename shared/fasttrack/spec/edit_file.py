"""A pipeline file that is open for edits: its lines and its tree, which is brought up to date task by task.

Reading 1,000 tasks takes 60 ms, reading one takes none: what stands in a list item of a block is read the same alone as
among the others, so only an item that changes is read again, and the places of those behind it are moved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..errors import InvalidInput, InvalidPipeline
from .edit_spans import CannotKeep, Span, spans_of
from .edit_tree import Value, says, tree_of
from .source import MAX_BYTES, MAX_NODES, Node, read_tree

_OTHER_BREAKS = re.compile("\r(?!\n)|[\x85\u2028\u2029]")  # of lines, to YAML; and to nobody else


class OpenFile:
    """A text that `read_tree` accepts, with what it says. Lines are counted from 0 here."""

    def __init__(self, text: str, root: Node | None = None) -> None:
        """:param root: what `read_tree` gave for the text, if it is at hand; it is changed."""
        self.text = text
        self.root = root if root is not None else read_tree(text)

    @property
    def tasks(self) -> list[Node]:
        """The items of `tasks`, whatever they are; none if it is no list."""
        listed = self._listed
        return listed.value if listed is not None and isinstance(listed.value, list) else []

    @property
    def _listed(self) -> Node | None:
        return self.root.value.get("tasks") if isinstance(self.root.value, dict) else None

    def lines(self) -> list[str]:
        """The lines without their breaks; the last one is empty. :raises CannotKeep: YAML counts them in another way."""
        if _OTHER_BREAKS.search(self.text):
            raise CannotKeep
        if not self.text.endswith("\n"):
            self._end_last_line()
        return self.text.split("\n")

    def _end_last_line(self) -> None:
        # The last line of a `|` block without a line break is a text without one, which must not get one.
        tree = tree_of(self.root)
        text = f"{self.text}\n"
        if not says(read_tree(text), tree):
            text = _without_last_break(self.text)
        self.take(text, tree)

    def take(self, text: str, wanted: Value) -> None:
        """Take another text, which has to say `wanted`. :raises CannotKeep: it does not."""
        root = _read_again(text)
        if not says(root, wanted):
            raise CannotKeep
        require_size(text)
        self.text, self.root = text, root

    def column(self, lines: list[str]) -> int:
        """The column of the dashes, from 0. :raises CannotKeep: the tasks are no list that is a block."""
        listed = self._listed
        if listed is None or not self.tasks:
            raise CannotKeep
        line = lines[listed.line - 1]
        if line[listed.column - 1 : listed.column] != "-" or line[: listed.column - 1].strip(" "):
            raise CannotKeep
        return listed.column - 1

    def chunk(self, lines: list[str], column: int, index: int) -> Chunk:
        """Where the task stands."""
        first = self._dash(lines, column, index)
        after = self._dash(lines, column, index + 1) if index + 1 < len(self.tasks) else self._end(lines)
        text = "\n".join(lines[first:after])
        span = spans_of(text)
        if span.items is None or len(span.items) != 1:
            raise CannotKeep
        last = first + text.count("\n", 0, span.items[0].end) + 1
        # A comment that is indented more than the dash is about the task, such as a key that is out of use.
        while last < after and lines[last].lstrip(" ").startswith("#") and _indent(lines[last]) > column:
            last += 1
        return Chunk(first, last, "\n".join(lines[first:last]), span.items[0])

    def replace(self, lines: list[str], chunk: Chunk, index: int, text: str, wanted: Value) -> int:
        """Have the task say `wanted`, which `text` has to mean; by how many lines it has grown.

        Those behind it are not moved yet: of many tasks, replace the last one first, then call `shift` once.

        :raises CannotKeep: the text does not mean it.
        """
        body = _as_others(lines, text)
        self.tasks[index] = _item_of([*body, *_blank(lines, chunk.last)], chunk.first, index, wanted)
        lines[chunk.first : chunk.last] = body
        return len(body) - (chunk.last - chunk.first)

    def shift(self, grown: Mapping[int, int]) -> None:
        """Tasks have grown by these numbers of lines: move what stands behind each."""
        total = 0
        for index in range(min(grown, default=0), len(self.tasks)):
            _relocate(self.tasks[index], total, None)
            total += grown.get(index, 0)
        self._move_rest(total)

    def insert(self, lines: list[str], at: int, index: int, text: str, wanted: Value) -> None:
        """Put a task before line `at`, as the one with that index. :raises CannotKeep: the text does not mean it."""
        body = _as_others(lines, text)
        new = _item_of([*body, *_blank(lines, at)], at, index, wanted)
        lines[at:at] = body
        self.tasks.insert(index, new)
        self.move(index + 1, len(body), 1)

    def remove(self, lines: list[str], first: int, last: int, index: int) -> None:
        """Take out the lines of a task that is not the only one."""
        del lines[first:last]
        del self.tasks[index]
        self.move(index, first - last, -1)
        if index == 0 and self._listed is not None:
            self._listed.line = self._dash(lines, self._listed.column - 1, 0) + 1

    def close(self, lines: list[str]) -> None:
        """The lines are the text now. :raises InvalidInput: it is larger than a file may be."""
        self.text = "\n".join(lines)
        require_size(self.text)
        if len(self.text) >= 2 * MAX_NODES and _count(self.root) > MAX_NODES:
            raise InvalidInput(f"the file would have more than {MAX_NODES:,} values; split the pipeline")

    def move(self, index: int, lines: int, places: int = 0) -> None:
        """The tasks from that index on, and what follows them, stand that many lines lower."""
        for place in range(index, len(self.tasks)):
            _relocate(self.tasks[place], lines, place if places else None)
        self._move_rest(lines)

    def _move_rest(self, lines: int) -> None:
        listed = self._listed
        assert listed is not None
        assert isinstance(self.root.value, dict)
        for node in self.root.value.values():
            if node.key_line > listed.key_line:
                _relocate(node, lines, None)

    def _dash(self, lines: list[str], column: int, index: int) -> int:
        """The line of a task's dash; its first word may stand below it."""
        line = self.tasks[index].line - 1
        stop = self.tasks[index - 1].line - 1 if index else -1
        while line > stop:
            text = lines[line]
            if (
                text[column : column + 1] == "-"
                and not text[:column].strip(" ")
                and not text[column + 1 : column + 2].strip()
            ):
                return line
            line -= 1
        raise CannotKeep

    def _end(self, lines: list[str]) -> int:
        listed = self._listed
        assert listed is not None
        assert isinstance(self.root.value, dict)
        later = [n.key_line for n in self.root.value.values() if n.key_line > listed.key_line]
        return min(later) - 1 if later else len(lines)


class Chunk:
    """The lines of one task, from its dash to its last word."""

    def __init__(self, first: int, last: int, text: str, span: Span) -> None:
        self.first = first
        self.last = last
        """The line after it."""
        self.text = text
        self.span = span
        """Its value in `text`."""


def require_size(text: str) -> None:
    """Pass if the text is no larger than a file may be. :raises InvalidInput: it is."""
    if len(text) > MAX_BYTES or (len(text) > MAX_BYTES // 4 and len(text.encode()) > MAX_BYTES):
        raise InvalidInput(
            f"the file would have more than {MAX_BYTES:,} bytes; move data out of it, or split the pipeline"
        )


def _item_of(body: list[str], first: int, index: int, wanted: Value) -> Node:
    read = _read_again("\n".join([*body, ""])).value
    if not isinstance(read, list) or len(read) != 1 or not says(read[0], wanted):
        raise CannotKeep
    _relocate(read[0], first, index)
    return read[0]


def _blank(lines: list[str], at: int) -> list[str]:
    """The blank lines from there on: a `|+` block would keep them."""
    end = at
    while end < len(lines) - 1 and not lines[end].strip():
        end += 1
    return lines[at:end]


def _read_again(text: str) -> Node:
    try:
        return read_tree(text)
    except InvalidPipeline:
        raise CannotKeep from None


def _as_others(lines: list[str], text: str) -> list[str]:
    """The lines of a text, ended as those of the file are."""
    end = "\r" if lines[0].endswith("\r") else ""
    return [line.removesuffix("\r") + end for line in text.split("\n")]


def _without_last_break(text: str) -> str:
    """The text with a last line break, which the block at its end does not keep."""
    span = spans_of(text)
    while not span.is_scalar and not span.is_flow:
        span = span.items[-1] if span.items else [*(span.entries or {}).values()][-1].value
    if text[span.start : span.start + 1] not in ("|", ">"):
        raise CannotKeep
    return f"{text[: span.start + 1]}-{text[span.start + 1 :]}\n"


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _relocate(node: Node, lines: int, index: int | None) -> None:
    if not lines and index is None:
        return
    waiting = [node]
    while waiting:
        node = waiting.pop()
        node.line += lines
        node.key_line += lines
        if node.first_line:
            node.first_line += lines
        if index is not None:
            node.path = ("tasks", index, *(node.path[2:] if node.path[:1] == ("tasks",) else node.path[1:]))
        if isinstance(node.value, dict):
            waiting.extend(node.value.values())
        elif isinstance(node.value, list):
            waiting.extend(node.value)


def _count(root: Node) -> int:
    count, waiting = 0, [root]
    while waiting:
        node = waiting.pop()
        count += 1
        if isinstance(node.value, dict):
            waiting.extend(node.value.values())
        elif isinstance(node.value, list):
            waiting.extend(node.value)
    return count
