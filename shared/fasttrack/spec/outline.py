"""What a canvas draws of a file that need not compile: its tasks, what each waits for, and everything that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidPipeline, Problem, Severity
from .findings import Findings
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
    """What a canvas draws of a text, and its tree in the newest form. Never raises for what the text says.

    :param name: of the pipeline it belongs to: a file that gives another cannot be published there.
    :param root: what `read_tree` gave for the text, if it is at hand; it is changed.
    """
    if root is None:
        try:
            root = read_tree(text)
        except InvalidPipeline as error:
            return Outline((), error.problems, is_readable=False), None
    document, findings = examine(root)
    if document is not None and document.name != name and not _has_error_about_name(root, findings):
        findings.error(
            ("name",), f"The file names the pipeline `{document.name}`; this one is `{name}`. Change `name`."
        )
    return Outline(_tasks(root), findings.in_file_order(), is_readable=True), root


def _has_error_about_name(root: Node, findings: Findings) -> bool:
    node = root.value.get("name") if isinstance(root.value, dict) else None
    return node is None or node.is_null or any(p.path == "name" for p in findings.in_file_order())


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
