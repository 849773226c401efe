"""Problems of a pipeline file while they are collected, so that the author sees all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from ..errors import Problem, Severity
from .source import Node, Path, show_path

MAX_PROBLEMS = 200
_MAX_SUGGESTIONS = 40  # a file of thousands of misspelt words must not cost thousands of searches


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    refers_to: str
    problem: Problem


class Findings:
    """Collects problems by canonical path and gives each the place where that part of the file was written."""

    def __init__(self, places: Mapping[Path, Node] | None = None) -> None:
        self.places: Mapping[Path, Node] = places or {}
        self._problems: dict[tuple[str, int, int], _Found] = {}
        self._suggestions = 0

    def error(
        self, path: Path, message: str, *, at_key: bool = False, offset: int | None = None, refers_to: str = ""
    ) -> None:
        """Add what makes the file unusable.

        `offset` is a position inside the text that stands at `path`; `refers_to` names another part that the
        problem depends on: `tasks` or `params` when a name is not declared there, `type` when the task's type asks it.
        """
        self._add(path, message, Severity.ERROR, at_key, offset, refers_to)

    def warn(self, path: Path, message: str, *, at_key: bool = False, offset: int | None = None) -> None:
        """Add what the author probably wants to know."""
        self._add(path, message, Severity.WARNING, at_key, offset, "")

    def add(self, problems: Iterable[Problem]) -> None:
        """Take over problems that have their places already."""
        for problem in problems:
            self._problems.setdefault((problem.message, problem.line, problem.column), _Found((), "", problem))

    def take(self, other: Findings, *, unless: Callable[[Path, str], bool] = lambda *_: False) -> None:
        """Take over what another collection has found, except about some paths."""
        for key, found in other._problems.items():
            if not unless(found.path, found.refers_to):
                self._problems.setdefault(key, found)

    def did_you_mean(self, word: str, candidates: Iterable[str]) -> str:
        """` Did you mean …?` when a candidate is near, else nothing."""
        if self._suggestions >= _MAX_SUGGESTIONS:
            return ""
        self._suggestions += 1
        near = [c for c in candidates if c != word and abs(len(c) - len(word)) <= 6]
        close = get_close_matches(word[:80], near[:2000], n=1, cutoff=0.6)
        if not close:
            close = [c for c in near if c.lower() == word.lower()][:1]
        return f" Did you mean `{close[0]}`?" if close else ""

    @property
    def has_errors(self) -> bool:
        """Whether the file cannot be used."""
        return any(found.problem.severity is Severity.ERROR for found in self._problems.values())

    def in_file_order(self) -> tuple[Problem, ...]:
        """All problems by line and column; of very many only the first, errors before warnings, and a count."""
        found = [found.problem for found in self._problems.values()]
        if len(found) > MAX_PROBLEMS:
            errors = [p for p in found if p.severity is Severity.ERROR]
            kept = (errors + [p for p in found if p.severity is not Severity.ERROR])[:MAX_PROBLEMS]
            rest = len(found) - len(kept)
            severity = Severity.ERROR if len(errors) > len(kept) else Severity.WARNING
            return (*_sorted(kept), Problem(f"There are {rest} more problems, not listed here.", severity=severity))
        return _sorted(found)

    def _add(
        self, path: Path, message: str, severity: Severity, at_key: bool, offset: int | None, refers_to: str
    ) -> None:
        depth = len(path)
        while depth and path[:depth] not in self.places:
            depth -= 1
        node = self.places.get(path[:depth])
        if node is None:
            problem = Problem(message, show_path(path), severity=severity)
        else:
            line, column = (node.key_line, node.key_column) if at_key else (node.line, node.column)
            if offset is not None and depth == len(path):
                line, column = _inside(node, offset)
            problem = Problem(message, show_path((*node.path, *path[depth:])), line, column, severity)
        # Said once, though it may hold for many tasks: what the pipeline states for all has one place.
        key = (message, problem.line, problem.column) if problem.line else (message + problem.path, 0, 0)
        self._problems.setdefault(key, _Found(path, refers_to, problem))


def _sorted(problems: list[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda p: (p.line, p.column)))


def _inside(node: Node, offset: int) -> tuple[int, int]:
    """The place of a character of a scalar, where the way it was written allows to tell; else where it begins."""
    text = node.text or ""
    if node.first_line:
        before = text[:offset]
        return node.first_line + before.count("\n"), node.indent + offset - before.rfind("\n")
    if node.is_single_line:
        return node.line, node.column + offset + (0 if node.plain else 1)
    return node.line, node.column
