"""A merge patch on the text of one task: only the values that change are written anew, comments and order stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .document import TaskSpec
from .edit_spans import CannotKeep, Entry, Span
from .edit_tree import Value, is_same, merged
from .edit_write import block_lines, flow, inline, key_text

_ORDER = {f.alias or name: place for place, (name, f) in enumerate(TaskSpec.model_fields.items())}
_LAST = len(_ORDER)


def canonical_order(fields: Mapping[str, Value]) -> dict[str, Value]:
    """The fields of a task in the order in which files have them; unknown ones before the command, which may be long."""
    return dict(sorted(fields.items(), key=lambda item: _rank(item[0])))


def _rank(key: str) -> float:
    return _ORDER.get(key, _ORDER["command"] - 0.5)


def patched(text: str, task: Span, old: dict[str, Value], patch: Mapping[str, Any]) -> str:
    """The text of a task after the patch. :raises CannotKeep: it cannot be edited where it stands."""
    patcher = _Patcher(text)
    if task.entries is None:
        raise CannotKeep
    if task.is_flow:
        patcher.replace(task.start, task.end, patcher.flow_map(task, old, patch))
    else:
        patcher.merge(task, old, patch)
    return patcher.text()


class _Patcher:
    """Collects what is to be replaced in a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._splices: list[tuple[int, int, str]] = []

    def text(self) -> str:
        """The text with everything replaced."""
        pieces, at = [], 0
        for start, end, new in sorted(self._splices, key=lambda s: s[:2]):
            if start < at:
                raise CannotKeep
            pieces += [self._text[at:start], new]
            at = end
        return "".join([*pieces, self._text[at:]])

    def replace(self, start: int, end: int, new: str) -> None:
        """Have this part say something else."""
        self._splices.append((start, end, new))

    def merge(self, span: Span, old: dict[str, Value], patch: Mapping[str, Any]) -> None:
        """Patch a map that is a block."""
        assert span.entries is not None
        column = self._column(span.start)
        added: dict[str, Value] = {}
        for key, value in patch.items():
            entry = span.entries.get(key)
            if value is None:
                if entry is not None:
                    self._remove(span, key)
            elif entry is None:
                added[key] = merged(None, value)
            else:
                self._set(entry, old[key], value, column)
        for key, value in added.items():
            self._add(span, key, value, column)

    def _set(self, entry: Entry, old: Value, new: Value, column: int) -> None:
        span = entry.value
        if isinstance(new, Mapping) and isinstance(old, dict):
            result = merged(old, new)
            if is_same(result, old):
                return
            if span.is_flow:
                self.replace(span.start, span.end, self.flow_map(span, old, new))
            elif result:
                self.merge(span, old, new)
            else:
                self._write(entry, {}, column)
            return
        new = merged(old, new)
        if is_same(old, new):
            return
        if isinstance(old, list) and isinstance(new, list) and new and (plan := _plan(old, new)) is not None:
            if span.is_flow:
                self.replace(span.start, span.end, self._flow_list(span, new, plan))
            else:
                self._block_list(span, new, plan)
            return
        self._write(entry, new, column)

    def _write(self, entry: Entry, value: Value, column: int) -> None:
        """Write the value of a key anew; a comment in its last line stays."""
        start = self._text.index(":", entry.key.end) + 1
        end = max(start, entry.value.end)
        written = inline(value)
        if written is not None:
            self.replace(start, end, f" {written}" if written else "")
            return
        line_end = self._line_end(end)
        comment = self._text[end:line_end].rstrip()
        head, *rest = block_lines({"k": value})
        body = [f"{' ' * column}{line}" if line else line for line in rest]
        self.replace(start, line_end, "\n".join([head[2:].rstrip() + comment, *body]))

    def _add(self, span: Span, key: str, value: Value, column: int) -> None:
        """A key that is new stands behind the last one that files usually have before it."""
        assert span.entries
        rank = _rank(key)
        before = [e for k, e in span.entries.items() if _rank(k) <= rank] or list(span.entries.values())
        at = self._line_end(before[-1].value.end)
        lines = [f"{' ' * column}{line}" if line else line for line in block_lines({key: value})]
        self.replace(at, at, "".join(f"\n{line}" for line in lines))

    def _remove(self, span: Span, key: str) -> None:
        assert span.entries is not None
        entry = span.entries[key]
        line_start = self._text.rfind("\n", 0, entry.key.start) + 1
        if not self._text[line_start : entry.key.start].strip(" "):
            end = self._line_end(entry.value.end)
            # The line break before goes with it: the last line of a text may have none after it.
            self.replace(line_start - 1 if line_start else 0, end if line_start else end + 1, "")
            return
        following = [e for e in span.entries.values() if e.key.start > entry.key.start]
        if not following:
            raise CannotKeep
        self.replace(entry.key.start, following[0].key.start, "")

    def _block_list(self, span: Span, new: list[Value], plan: Plan) -> None:
        assert span.items
        kept = {index for index, _ in plan if index is not None}
        for place, item in enumerate(span.items):
            line_start = self._text.rfind("\n", 0, item.start) + 1
            if self._text[line_start : item.start].strip(" ") != "-":
                raise CannotKeep
            if place not in kept:
                self.replace(line_start - 1, self._line_end(item.end), "")
        column = self._column(self._text.rfind("-", 0, span.items[0].start))
        at = self._line_end(span.items[-1].end)
        for (index, is_new), value in zip(plan, new, strict=True):
            if index is None:
                self.replace(at, at, f"\n{' ' * column}- {flow(value)}")
            elif is_new:
                self.replace(span.items[index].start, span.items[index].end, flow(value))

    def flow_map(self, span: Span, old: Mapping[str, Value], patch: Mapping[str, Any]) -> str:
        """The text of a map in brackets after the patch."""
        assert span.entries is not None
        pieces: list[tuple[int | None, str]] = []
        places = list(span.entries.values())
        for index, (key, entry) in enumerate(span.entries.items()):
            if key not in patch:
                pieces.append((index, self._text[entry.key.start : entry.value.end]))
            elif (value := patch[key]) is not None:
                written = self._flow_value(entry.value, old[key], value)
                pieces.append((index, f"{self._text[entry.key.start : entry.key.end]}: {written}"))
        for key, value in patch.items():
            if key not in span.entries and value is not None:
                name = key_text(key)
                pieces.append((None, f"{name}: {flow(merged(None, value))}"))
        return self._in_brackets(span, [(e.key.start, e.value.end) for e in places], pieces)

    def _flow_value(self, span: Span, old: Value, new: Value) -> str:
        if isinstance(new, Mapping) and isinstance(old, dict):
            return self.flow_map(span, old, new)
        new = merged(old, new)
        if isinstance(old, list) and isinstance(new, list) and new and (plan := _plan(old, new)) is not None:
            return self._flow_list(span, new, plan)
        return self._text[span.start : span.end] if is_same(old, new) else flow(new)

    def _flow_list(self, span: Span, new: list[Value], plan: Plan) -> str:
        assert span.items is not None
        pieces = [
            (
                index,
                flow(value) if is_new or index is None else self._text[span.items[index].start : span.items[index].end],
            )
            for (index, is_new), value in zip(plan, new, strict=True)
        ]
        return self._in_brackets(span, [(i.start, i.end) for i in span.items], pieces)

    def _in_brackets(self, span: Span, old: Sequence[tuple[int, int]], pieces: list[tuple[int | None, str]]) -> str:
        """The pieces between the brackets of `span`; between those that were neighbours stands what stood there."""
        opening, closing = self._text[span.start], self._text[span.end - 1]
        if not pieces:
            return opening + closing
        written = [opening]
        ends = [span.start + 1, *(end for _, end in old)]
        at: int | None = 0  # which old piece would follow with what stood before it; `None`: none of them
        for index, text in pieces:
            if index is not None and index == at:
                written.append(self._text[ends[index] : old[index][0]])
            elif len(written) > 1:
                written.append(", ")
            written.append(text)
            at = None if index is None else index + 1
        if at == len(old):
            written.append(self._text[ends[-1] : span.end - 1])
        return "".join([*written, closing])

    def _column(self, position: int) -> int:
        return position - self._text.rfind("\n", 0, position) - 1

    def _line_end(self, position: int) -> int:
        end = self._text.find("\n", position)
        return len(self._text) if end < 0 else end


Plan = list[tuple[int | None, bool]]
"""For each item of the new list: which old one it is (`None`: it is added), and whether it says something else."""


def _plan(old: list[Value], new: list[Value]) -> Plan | None:
    """How the new list comes of the old one by removing, replacing and appending; `None`: it is another list."""
    if len(old) == len(new):
        plan: Plan = [(index, not is_same(a, b)) for index, (a, b) in enumerate(zip(old, new, strict=True))]
    else:
        plan = []
        at = 0
        for value in new:
            found = next((i for i in range(at, len(old)) if is_same(old[i], value)), None)
            if found is None and at < len(old):
                at = len(old)  # all that comes now is appended
            plan.append((found, found is None))
            at = at if found is None else found + 1
        indexes = [index for index, _ in plan]
        if None in indexes and any(index is not None for index in indexes[indexes.index(None) :]):
            return None
    changed = [value for (_, is_new), value in zip(plan, new, strict=True) if is_new]
    return plan if not any(isinstance(value, dict | list) for value in changed) else None
