"""Where in a shell command a placeholder stands, so that its value can be put there as data and never as code.

A value is never written into the command. A reference to a variable is, and a shell expands a variable exactly once
and does not read the result as code. What the reference must look like depends on the quotes around it, hence this
scanner. It knows what POSIX shells and bash agree on: quotes, backslashes, comments, `$(…)`, backquotes, `${…}`,
`$((…))` and here-documents. Where it errs (`case` patterns inside `$(…)`), a value may be split at spaces; it still is
data.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

_MAX_NESTED_BODIES = 16
_WORD_BREAKS = frozenset(" \t\n;&|()`")
_DELIMITER_ENDS = frozenset(" \t\n;&|()<>")
_ANOTHER_SHELL = re.compile(
    r"(?<![\w.-])(?:ba|da|z|k)?sh[ \t](?:[^;|&\n]*[ \t])?-[a-z]*c[ \t]+\Z"  # directly after `sh -c`
    r"|(?:^|[;|&({]|\b(?:then|do|else|exec|sudo))[ \t]*(?:eval|ssh)[ \t][^;|&\n]*\Z",  # anywhere behind these
    re.MULTILINE,
)


class Where(Enum):
    """What surrounds a placeholder."""

    WORD = "outside quotes"
    QUOTED = "inside double quotes"
    HEREDOC = "in a here-document that the shell expands"
    COMMENT = "in a comment"
    ARITHMETIC = "inside $((…))"
    SINGLE = "inside single quotes"
    LITERAL_HEREDOC = "in a here-document with a quoted delimiter"
    DELIMITER = "in the delimiter of a here-document"
    ESCAPED = "after a backslash"
    DOLLAR = "directly after a `$`"


@dataclass(frozen=True, slots=True)
class Spot:
    """What the scanner says about one placeholder."""

    where: Where
    feeds_another_shell: bool = False
    """Whether the text around it goes to `sh -c`, `eval` or `ssh`, which read it as code once more."""


def reference(where: Where, variable: str) -> str:
    """The text that makes the shell put the variable's value here, as one word."""
    return f'"${{{variable}}}"' if where is Where.WORD else f"${{{variable}}}"


def locate(command: str, spans: Sequence[tuple[int, int]]) -> list[Spot]:
    """For each placeholder, given as (start, end) in order, where it stands."""
    scanner = _Scanner(command, spans)
    scanner.scan(0, len(command), "command", 0)
    return [scanner.found.get(start, Spot(Where.WORD)) for start, _ in spans]


@dataclass(slots=True)
class _Frame:
    kind: str  # command, brace, quotes, quoted-brace, arithmetic, body
    start: int
    closer: str = ""


@dataclass(slots=True)
class _Scanner:
    text: str
    spans: Sequence[tuple[int, int]]
    found: dict[int, Spot] = field(default_factory=dict)
    _ends: dict[int, int] = field(default_factory=dict)
    _lines: dict[str, list[int]] | None = None

    def __post_init__(self) -> None:
        self._ends = dict(self.spans)

    def scan(self, start: int, end: int, kind: str, depth: int) -> None:
        text, ends = self.text, self._ends
        frames = [_Frame(kind, start)]
        bodies: list[tuple[str, bool, bool]] = []  # here-documents whose text begins after the line
        at = start
        while at < end:
            top = frames[-1]
            if at in ends:
                self._note(at, _WHERE[top.kind], frames)
                at = ends[at]
                continue
            char = text[at]
            if char == "\\":
                if at + 1 in ends:
                    self._note(at + 1, Where.ESCAPED, frames)
                    at = ends[at + 1]
                else:
                    at += 2
                continue
            if char == "$":
                at = self._dollar(at, frames)
                continue
            if char == "`":
                self._backquote(at, frames)
            elif char == '"' and top.kind != "body":
                if top.kind == "quotes":
                    frames.pop()
                else:
                    frames.append(_Frame("quotes", at))
            elif char == "'" and top.kind in ("command", "brace"):
                at = self._literal(at + 1, "'", Where.SINGLE, frames)
                continue
            elif char == "}" and top.kind in ("brace", "quoted-brace"):
                frames.pop()
            elif top.kind == "arithmetic":
                if char == "(":
                    frames.append(_Frame("arithmetic", at, ")"))
                elif char == ")":
                    frames.pop()
                    if top.closer == "))" and text[at + 1 : at + 2] == ")":
                        at += 1
            elif top.kind == "command":
                if char == "#" and (at == start or text[at - 1] in _WORD_BREAKS):
                    at = self._literal(at, "\n", Where.COMMENT, frames) - 1
                    continue
                if char == "<" and text.startswith("<<", at):
                    at = self._here(at, bodies, frames)
                    continue
                if char == "(":
                    frames.append(_Frame("command", at, ")"))
                elif char == ")" and top.closer == ")":
                    frames.pop()
                elif char == "\n" and bodies:
                    at = self._bodies(at + 1, end, bodies, frames, depth)
                    continue
            at += 1

    def _note(self, at: int, where: Where, frames: list[_Frame]) -> None:
        opened = frames[1].start if len(frames) > 1 else at
        line = max(self.text.rfind("\n", 0, opened) + 1, opened - 2000)
        self.found[at] = Spot(where, _ANOTHER_SHELL.search(self.text[line:opened]) is not None)

    def _dollar(self, at: int, frames: list[_Frame]) -> int:
        text, top = self.text, frames[-1]
        if at + 1 in self._ends:
            self._note(at + 1, Where.DOLLAR, frames)
            return self._ends[at + 1]
        if text.startswith("$((", at):
            frames.append(_Frame("arithmetic", at, "))"))
            return at + 3
        if text.startswith("$(", at):
            frames.append(_Frame("command", at, ")"))
            return at + 2
        if text.startswith("${", at):
            quoted = top.kind in ("quotes", "quoted-brace", "body", "arithmetic")
            frames.append(_Frame("quoted-brace" if quoted else "brace", at))
            return at + 2
        if text.startswith("$'", at) and top.kind in ("command", "brace"):
            return self._literal(at + 2, "'", Where.SINGLE, frames, escapes=True)
        return at + 1

    def _backquote(self, at: int, frames: list[_Frame]) -> None:
        for depth in range(len(frames) - 1, 0, -1):
            if frames[depth].closer == "`":
                del frames[depth:]
                return
        frames.append(_Frame("command", at, "`"))

    def _literal(self, at: int, closer: str, where: Where, frames: list[_Frame], *, escapes: bool = False) -> int:
        """Pass over text in which nothing is expanded; the position after its closing character."""
        text = self.text
        while at < len(text):
            if at in self._ends:
                self._note(at, where, frames)
                at = self._ends[at]
            elif text[at] == closer:
                return at + 1
            else:
                at += 2 if escapes and text[at] == "\\" else 1
        return at + 1

    def _here(self, at: int, bodies: list[tuple[str, bool, bool]], frames: list[_Frame]) -> int:
        text = self.text
        if text.startswith("<<<", at):
            return at + 3
        at += 2
        tabs = text[at : at + 1] == "-"
        at += tabs
        while text[at : at + 1] in (" ", "\t"):
            at += 1
        word, quoted, quote = "", False, ""
        while at < len(text) and (quote or text[at] not in _DELIMITER_ENDS):
            if at in self._ends:
                self._note(at, Where.DELIMITER, frames)
                at = self._ends[at]
                continue
            char = text[at]
            if char == quote or (not quote and char in "'\""):
                quote, quoted = ("" if quote else char), True
            elif char == "\\":
                word, quoted, at = word + text[at + 1 : at + 2], True, at + 1
            else:
                word += char
            at += 1
        if word or quoted:
            bodies.append((word, tabs, quoted))
        return at

    def _bodies(self, at: int, end: int, bodies: list[tuple[str, bool, bool]], frames: list[_Frame], depth: int) -> int:
        for word, tabs, quoted in bodies:
            close = self._line(word, at, tabs)
            if close is None or close >= end:
                continue  # no such line: it was not a here-document, or the shell will complain
            if quoted or depth >= _MAX_NESTED_BODIES:
                for start, _ in self.spans[bisect_left(self.spans, (at, 0)) : bisect_left(self.spans, (close, 0))]:
                    self._note(start, Where.LITERAL_HEREDOC, frames)
            else:
                self.scan(at, close, "body", depth + 1)
            newline = self.text.find("\n", close)
            at = end if newline < 0 else newline + 1
        bodies.clear()
        return at

    def _line(self, word: str, after: int, tabs: bool) -> int | None:
        """Where the next line begins that is exactly `word`."""
        if self._lines is None:
            self._lines = {}
            start = 0
            for line in self.text.split("\n"):
                self._lines.setdefault(line, []).append(start)
                if line.startswith("\t"):
                    self._lines.setdefault("\t" + line.lstrip("\t"), []).append(start)
                start += len(line) + 1
        places = list(self._lines.get(word, ()))
        if tabs:
            places = sorted(places + self._lines.get("\t" + word, []))
        nearest = bisect_left(places, after)
        return places[nearest] if nearest < len(places) else None


_WHERE = {
    "command": Where.WORD,
    "brace": Where.WORD,
    "quotes": Where.QUOTED,
    "quoted-brace": Where.QUOTED,
    "arithmetic": Where.ARITHMETIC,
    "body": Where.HEREDOC,
}
