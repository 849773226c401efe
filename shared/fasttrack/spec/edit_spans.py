"""Where each part of a piece of YAML begins and ends in its text, so that one part can be replaced and no other touched."""

from __future__ import annotations

from dataclasses import dataclass

import yaml


class CannotKeep(Exception):
    """The text is written in a way that cannot be edited in place: the file has to be written anew."""


@dataclass(slots=True)
class Span:
    """One value: its text is `text[start:end]`. A block ends with its last word, not with the blank lines after it."""

    start: int
    end: int
    is_flow: bool = False
    """Whether a map or list stands in brackets."""
    items: list[Span] | None = None
    entries: dict[str, Entry] | None = None

    @property
    def is_scalar(self) -> bool:
        """Whether it is neither a map nor a list."""
        return self.items is None and self.entries is None


@dataclass(slots=True)
class Entry:
    """A key of a map with its value."""

    key: Span
    value: Span


@dataclass(slots=True)
class _Open:
    span: Span
    key: tuple[str, Span] | None = None


def spans_of(text: str) -> Span:
    """The spans of a text that `read_tree` accepts. :raises CannotKeep: it holds what is not expected here."""
    root: Span | None = None
    open_spans: list[_Open] = []
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionEndEvent):
            closed = open_spans.pop().span
            closed.end = _end_of(closed, event)
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        span = _begun(event, text)
        if not open_spans:
            root = span
        elif (holder := open_spans[-1]).span.items is not None:
            holder.span.items.append(span)
        elif holder.key is None:
            assert isinstance(event, yaml.ScalarEvent)
            holder.key = (event.value, span)
            continue
        else:
            assert holder.span.entries is not None
            name, key = holder.key
            holder.span.entries[name] = Entry(key, span)
            holder.key = None
        if not span.is_scalar:
            open_spans.append(_Open(span))
    if root is None:
        raise CannotKeep
    return root


def _begun(event: yaml.NodeEvent, text: str) -> Span:
    assert event.start_mark is not None
    start = event.start_mark.index
    if isinstance(event, yaml.ScalarEvent):
        return Span(start, _end_of_scalar(event, text))
    assert isinstance(event, yaml.CollectionStartEvent)
    is_map = isinstance(event, yaml.MappingStartEvent)
    return Span(start, start, bool(event.flow_style), None if is_map else [], {} if is_map else None)


def _end_of_scalar(event: yaml.ScalarEvent, text: str) -> int:
    assert event.start_mark is not None
    assert event.end_mark is not None
    start, end = event.start_mark.index, event.end_mark.index
    if event.style not in ("|", ">"):
        return end
    # The parser reads on to the next word. What `+` keeps belongs to the text, but for the last line break.
    if "+" in text[start : start + 3]:
        return end - 1 if text[end - 1 : end] == "\n" else end
    return start + len(text[start:end].rstrip())


def _end_of(span: Span, event: yaml.CollectionEndEvent) -> int:
    assert event.end_mark is not None
    if span.is_flow:
        return event.end_mark.index
    last = span.items[-1] if span.items else [*(span.entries or {}).values()][-1].value if span.entries else None
    return span.start if last is None else last.end
