"""What a canvas draws of a file that need not compile: its tasks, what each waits for, and everything that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidPipeline, Problem, Severity
from .dialects import speaks_newest
from .document import Document
from .intake import examine
from .source import Node, read_tree


@dataclass(frozen=True, slots=True)
class TaskOutline:
    """A task as it is written, in the words of the newest generation."""

    name: str
    dependencies: tuple[str, ...]
    line: int
    fields: Mapping[str, Any]
    """As the file has them, without defaults; a text where the file has something like `1.10`."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A file as a canvas shows it."""

    tasks: tuple[TaskOutline, ...]
    """Those that have a name; empty for a text that is not YAML."""
    problems: tuple[Problem, ...]
    is_readable: bool
    """Whether the text is YAML, so that its tasks can be edited one by one."""

    @property
    def is_valid(self) -> bool:
        """Whether it could be published."""
        return all(problem.severity is not Severity.ERROR for problem in self.problems)


def outline(text: str, name: str, root: Node | None = None) -> tuple[Outline, Node | None]:
    """What a canvas draws of a text, and its tree, if that still is what the text says. Never raises for a bad text.

    :param name: of the pipeline it belongs to: a file that gives another cannot be published there.
    :param root: what `read_tree` gave for the text, if it is at hand; it is brought into the newest form.
    """
    if root is None:
        try:
            root = read_tree(text)
        except InvalidPipeline as error:
            return Outline((), error.problems, is_readable=False), None
    as_written = root if speaks_newest(root) else None
    document, findings = examine(root)
    if document is not None and (problem := problem_of_name(document, name)) is not None:
        findings.add([problem])
    return Outline(_tasks(root), findings.in_file_order(), is_readable=True), as_written


def problem_of_name(document: Document, name: str) -> Problem | None:
    """What is wrong with the name of a file that belongs to a pipeline of that name; `None`: nothing that is news."""
    node = document.places.get(("name",))
    if node is None or node.text != document.name or document.name == name:
        return None
    message = f"The file names the pipeline `{document.name}`, and this one is `{name}`. Change `name`."
    return Problem(message, "name", node.line, node.column)


def _tasks(root: Node) -> tuple[TaskOutline, ...]:
    listed = root.value.get("tasks") if isinstance(root.value, dict) else None
    return tuple(
        TaskOutline(name.text, _dependencies(node), node.line, _fields(node))
        for node in (listed.value if listed is not None and isinstance(listed.value, list) else ())
        if isinstance(node.value, dict) and (name := node.value.get("name")) is not None and name.text
    )


def _dependencies(task: Node) -> tuple[str, ...]:
    assert isinstance(task.value, dict)
    needs = task.value.get("dependencies")
    found = needs.value if needs is not None and isinstance(needs.value, list) else []
    return tuple(need.text for need in found if need.text)


def _fields(node: Node) -> Any:
    match node.value:
        case dict():
            return {key: _fields(child) for key, child in node.value.items()}
        case list():
            return [_fields(child) for child in node.value]
        case float():
            return node.text  # 1.10 may be a version; and JSON has no infinity
        case int() if abs(node.value) >= 2**53:
            return node.text
        case value:
            return value
