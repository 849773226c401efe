"""Edits of a pipeline file one task at a time, as a canvas makes them: text in, text out.

    from fasttrack.spec.edit import AddTask, Connect, apply

    text = apply(text, AddTask({"name": "evaluate", "command": "python evaluate.py"})).text
    text = apply(text, Connect("train", "evaluate")).text

Only what an edit is about is written anew: comments, order and the spelling of all else stay as their author wrote them.
Where the way a file is written does not allow that (the tasks stand in brackets, the file is of the prototype), the
whole file is written anew, without its comments, and the answer says so. The file need not compile; it has to be YAML.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput
from . import edit_checks as checks
from .dialects import is_of_prototype, normalise
from .edit_file import Chunk, OpenFile, require_size
from .edit_lines import canonical_order, patched
from .edit_spans import CannotKeep
from .edit_tree import Value, is_same, merged, says, tree_of
from .edit_write import block_lines, file_text
from .findings import Findings
from .source import Node, read_tree


@dataclass(frozen=True, slots=True)
class AddTask:
    """A task with these fields, as the file has them; without a `name` it gets a free one."""

    fields: Mapping[str, Any]
    after: str | None = None
    """The task behind which it stands in the file; `None`: all."""


@dataclass(frozen=True, slots=True)
class ChangeTask:
    """The fields of a task, joined by key (RFC 7396): null removes a key. A new `name` goes into every `dependencies`."""

    task: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DuplicateTask:
    """A copy of a task behind it, with its dependencies, under another name; a free one unless one is given."""

    task: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class DeleteTask:
    """A task goes, and out of every `dependencies`."""

    task: str


@dataclass(frozen=True, slots=True)
class Connect:
    """A task waits for another; once it does, nothing changes."""

    dependency: str
    task: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    """A task does not wait for another any more; if it does not, nothing changes."""

    dependency: str
    task: str


Edit = AddTask | ChangeTask | DuplicateTask | DeleteTask | Connect | Disconnect


@dataclass(frozen=True, slots=True)
class Edited:
    """A file after an edit."""

    text: str
    root: Node
    """Its tree, as `read_tree` gives it."""
    task: str
    """The name of the task that the edit was about, as it is now."""
    rewritten: bool
    """Whether the whole file was written anew."""


@dataclass(slots=True)
class _Change:
    """What an edit comes to."""

    task: str
    patches: dict[int, dict[str, Value]]
    add: tuple[int, dict[str, Value]] | None = None
    """The index and the fields of a new task."""
    copy_of: int | None = None
    remove: int | None = None


def apply(text: str, edit: Edit, root: Node | None = None) -> Edited:
    """The file after the edit. The text is not changed by an edit that comes to nothing.

    :param root: what `read_tree` gave for the text, if it is at hand; it is used up.
    :raises InvalidPipeline: the text is not YAML, with the place.
    :raises NotFound: there is no such task.
    :raises InvalidInput: the edit cannot be made, such as a name that is taken or a dependency that closes a cycle.
    """
    file = OpenFile(text, root)
    change = _change_of(file, edit)
    change.patches = {index: patch for index, patch in change.patches.items() if _is_news(file.tasks[index], patch)}
    if not change.patches and change.add is None and change.remove is None:
        return Edited(file.text, file.root, change.task, rewritten=False)
    if is_of_prototype(file.root):
        return _written_anew(file, change)
    try:
        _edit_lines(file, change)
    except CannotKeep:
        # Some lines may have been changed already, and their tree with them.
        return _written_anew(OpenFile(text), change)
    return Edited(file.text, file.root, change.task, rewritten=False)


def _change_of(file: OpenFile, edit: Edit) -> _Change:
    tasks = checks.Tasks(file)
    match edit:
        case AddTask(fields, after):
            fields = merged(None, checks.storable(fields))
            name = tasks.free_name("task") if "name" not in fields else tasks.new_name(fields["name"])
            index = len(file.tasks) if after is None else tasks.index(after) + 1
            return _Change(name, {}, add=(index, canonical_order({"name": name, **fields})))
        case ChangeTask(task, fields):
            index = tasks.index(task)
            patch = dict(checks.storable(fields))
            if "name" not in patch or patch["name"] == task:
                return _Change(task, {index: patch})
            name = tasks.new_name(patch["name"])
            # What the edit itself says about its dependencies may still have the old name.
            patches = tasks.renaming(task, name)
            if isinstance(patch.get("dependencies"), list):
                patch["dependencies"] = [name if need == task else need for need in patch["dependencies"]]
            patches[index] = {**patches.get(index, {}), **patch}
            return _Change(name, patches)
        case DuplicateTask(task, wanted):
            index = tasks.index(task)
            name = tasks.free_name(task) if wanted is None else tasks.new_name(wanted)
            copy = merged(tree_of(file.tasks[index]), {"name": name})
            return _Change(name, {}, add=(index + 1, copy), copy_of=index)
        case DeleteTask(task):
            index = tasks.index(task)
            patches = tasks.renaming(task, None)
            patches.pop(index, None)
            return _Change(task, patches, remove=index)
        case Connect(dependency, task):
            tasks.index(dependency)
            needs = tasks.needs(task)
            if any(checks.text_of(need) == dependency for need in needs):
                return _Change(task, {})
            tasks.require_no_cycle(dependency, task)
            return _Change(task, {tasks.index(task): {"dependencies": [*needs, dependency]}})
        case Disconnect(dependency, task):
            needs = tasks.needs(task)
            left = [need for need in needs if checks.text_of(need) != dependency]
            patches = {tasks.index(task): {"dependencies": left}} if len(left) < len(needs) else {}
            return _Change(task, patches)


def _is_news(task: Node, patch: dict[str, Value]) -> bool:
    old = tree_of(task)
    return not is_same(merged(old, patch), old)


def _edit_lines(file: OpenFile, change: _Change) -> None:
    if not file.tasks and change.add is not None:
        _begin_tasks(file, change.add[1])
        return
    lines = file.lines()
    column = file.column(lines)
    grown = {}
    for index in sorted(change.patches, reverse=True):
        chunk, old = file.chunk(lines, column, index), tree_of(file.tasks[index])
        text = patched(chunk.text, chunk.span, old, change.patches[index])
        if text != chunk.text:
            grown[index] = file.replace(lines, chunk, index, text, merged(old, change.patches[index]))
    file.shift(grown)
    if change.add is not None:
        _add(file, lines, column, change)
    if change.remove is not None:
        _remove(file, lines, column, change.remove)
    else:
        file.close(lines)


def _add(file: OpenFile, lines: list[str], column: int, change: _Change) -> None:
    assert change.add is not None
    index, tree = change.add
    before = file.chunk(lines, column, index - 1)
    if change.copy_of is None:
        text = _item(tree, column)
    else:
        text = patched(before.text, before.span, tree_of(file.tasks[index - 1]), {"name": tree["name"]})
    at = before.last
    if _stand_apart(file, lines, column, before, index - 1):
        lines.insert(at, lines[0][len(lines[0].rstrip("\r")) :])
        file.move(index, 1)
        at += 1
    file.insert(lines, at, index, text, tree)


def _stand_apart(file: OpenFile, lines: list[str], column: int, before: Chunk, index: int) -> bool:
    """Whether a blank line comes behind a task: if the tasks have one between them, and it is no part of the text."""
    if len(file.tasks) == 1:
        return False
    near = before if index else file.chunk(lines, column, 1)
    if lines[_top(near, lines, column) - 1].strip():
        return False
    # What a `|+` block keeps are the blank lines behind it.
    alone: Any = read_tree(f"{before.text}\n\n").value
    return says(alone[0], tree_of(file.tasks[index]))


def _remove(file: OpenFile, lines: list[str], column: int, index: int) -> None:
    chunk = file.chunk(lines, column, index)
    first, last = _top(chunk, lines, column), chunk.last
    if len(file.tasks) == 1:
        _end_tasks(file, lines, last)
        return
    if index + 1 < len(file.tasks):
        while not lines[last].strip():
            last += 1
    file.remove(lines, first, last, index)
    file.close(lines)


def _top(chunk: Chunk, lines: list[str], column: int) -> int:
    """Its first line, or that of the comment right above it, which is about it."""
    first = chunk.first
    while first and lines[first - 1].startswith(f"{' ' * column}#"):
        first -= 1
    return first


def _item(tree: Value, column: int) -> str:
    head, *rest = block_lines(tree)
    return "\n".join([f"{' ' * column}- {head}", *(f"{' ' * (column + 2)}{line}" if line else line for line in rest)])


def _begin_tasks(file: OpenFile, tree: dict[str, Value]) -> None:
    """Write the first task of a file."""
    lines = file.lines()
    wanted = {**tree_of(file.root), "tasks": [tree]}
    head = _tasks_key(file, lines)
    if head is None:
        if any(line.startswith("...") for line in lines):
            raise CannotKeep
        body = [*lines[:-1], "tasks:", _item(tree, 2), ""]
    else:
        body = [*lines[:head], f"tasks:{_comment(lines[head])}", _item(tree, 2), *lines[head + 1 :]]
    file.take("\n".join(body), wanted)


def _end_tasks(file: OpenFile, lines: list[str], last: int) -> None:
    """Take out the only task of a file, which ends before line `last`."""
    head = _tasks_key(file, lines)
    if head is None:
        raise CannotKeep
    lines[head:last] = [f"tasks: []{_comment(lines[head])}"]
    file.take("\n".join(lines), {**tree_of(file.root), "tasks": []})


def _tasks_key(file: OpenFile, lines: list[str]) -> int | None:
    """The line in which `tasks:` stands with no task beside it; `None`: there is no such key."""
    assert isinstance(file.root.value, dict)
    listed = file.root.value.get("tasks")
    if listed is None:
        return None
    line = lines[listed.key_line - 1]
    if line.partition("#")[0].rstrip() not in ("tasks:", "tasks: []", "tasks: null", "tasks: ~"):
        raise CannotKeep
    return listed.key_line - 1


def _comment(line: str) -> str:
    return f"  #{line.partition('#')[2]}" if "#" in line else ""


def _written_anew(file: OpenFile, change: _Change) -> Edited:
    """The file in the newest form, edited, without its comments."""
    findings = Findings()
    normalise(file.root, findings)
    if findings.has_errors:
        raise InvalidInput(f"the file has to be written anew, and contradicts itself: {findings.in_file_order()[0]}")
    tree = tree_of(file.root)
    tasks: list[Value] = tree.get("tasks") if isinstance(tree.get("tasks"), list) else []
    for index, patch in change.patches.items():
        tasks[index] = merged(tasks[index], patch)
    if change.add is not None:
        index, fields = change.add
        tasks.insert(index, fields if change.copy_of is None else {**tasks[change.copy_of], "name": fields["name"]})
    if change.remove is not None:
        del tasks[change.remove]
    tree["tasks"] = tasks
    text = file_text(tree)
    require_size(text)
    root = read_tree(text)
    assert says(root, tree)
    return Edited(text, root, change.task, rewritten=True)
