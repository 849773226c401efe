"""What a change makes of a draft: the text, the places of its tasks, and what a canvas draws of it. Nothing is stored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..db.drafts import DraftRecord, Positions
from ..errors import InvalidInput, InvalidPipeline, NotFound, Problem
from ..spec.document import MAX_TASKS
from ..spec.edit import AddTask, ChangeTask, Connect, DeleteTask, Disconnect, DuplicateTask, Edit, apply
from ..spec.edit_file import require_size
from ..spec.edit_write import file_text
from ..spec.outline import Outline, outline
from ..spec.source import Node, read_tree
from .recent_texts import RecentTexts

_FARTHEST = 1_000_000
_ASIDE = 40


@dataclass(frozen=True, slots=True)
class SaveText:
    """Another text, whatever it says."""

    text: str


@dataclass(frozen=True, slots=True)
class MoveTasks:
    """Other places on the canvas."""

    positions: Positions


Change = Edit | SaveText | MoveTasks


@dataclass(frozen=True, slots=True)
class SeenDraft:
    """A draft with what a canvas draws of it."""

    draft: DraftRecord
    text: str
    outline: Outline
    task: str | None = None
    """The name of the task that an edit was about, as it is now."""
    rewritten: bool = False
    """Whether an edit had to write the whole file anew."""
    is_new: bool = False
    """Whether a change began it."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change comes to."""

    text: str
    positions: Positions
    root: Node | None = None
    task: str | None = None
    rewritten: bool = False


_trees: RecentTexts[Node] = RecentTexts()  # an edit changes the tree: whoever needs one takes it
_outlines: RecentTexts[Outline] = RecentTexts()  # nobody changes these; who only moves tasks compiles nothing


def text_of(draft: DraftRecord) -> str:
    """The text of a draft, or what one would begin with."""
    return draft.source if draft.source is not None else file_text({"name": draft.pipeline})


def change_of(draft: DraftRecord, change: Change, at: tuple[float, float] | None) -> tuple[SeenDraft, Changed | None]:
    """The draft after a change, and what is to be stored; `None`: the change comes to nothing."""
    changed = _changed(draft, change, None if at is None else _place(at))
    is_news = changed.text != text_of(draft) or changed.positions != draft.positions
    return drawn(draft, changed), changed if is_news else None


def drawn(draft: DraftRecord, changed: Changed) -> SeenDraft:
    """What a canvas draws of a draft with that text."""
    outlined = _outline(changed.text, draft.pipeline, changed.root)
    return SeenDraft(draft, changed.text, outlined, changed.task, changed.rewritten)


def _outline(text: str, pipeline: str, root: Node | None = None) -> Outline:
    if root is None and (known := _outlines.get(text, pipeline)) is not None:
        return known
    outlined, root = outline(text, pipeline, root or _trees.take(text))
    _outlines.put(outlined, text, pipeline)
    if root is not None:
        _trees.put(root, text)
    return outlined


def _changed(draft: DraftRecord, change: Change, at: tuple[float, float] | None) -> Changed:
    text, positions = text_of(draft), draft.positions
    if isinstance(change, SaveText):
        return Changed(_storable(change.text), positions)
    if isinstance(change, MoveTasks):
        return Changed(
            text, _moved(draft, change), task=next(iter(change.positions)) if len(change.positions) == 1 else None
        )
    try:
        root = _trees.take(text) or read_tree(text)
    except InvalidPipeline as error:
        raise _unreadable(error.problems) from None
    edited = apply(text, change, root)
    places = dict(positions)
    match change:
        case AddTask() if at is not None:
            places[edited.task] = at
        case ChangeTask(task) if task != edited.task and task in places:
            places[edited.task] = places.pop(task)
        case DuplicateTask(task) if at is not None or task in places:
            places[edited.task] = at or _place((places[task][0] + _ASIDE, places[task][1] + _ASIDE))
        case DeleteTask(task):
            places.pop(task, None)
    return Changed(edited.text, places, edited.root, edited.task, edited.rewritten)


def _moved(draft: DraftRecord, change: MoveTasks) -> Positions:
    outlined = _outline(text_of(draft), draft.pipeline)
    if not outlined.is_readable:
        raise _unreadable(outlined.problems)
    names = {task.name for task in outlined.tasks}
    if missing := next((name for name in change.positions if name not in names), None):
        raise NotFound(f"there is no task `{missing[:80]}`")
    places = {**draft.positions, **{name: _place(place) for name, place in change.positions.items()}}
    # Those of tasks that are gone stay, as a task may come back with the text, but not without end.
    return places if len(places) <= MAX_TASKS else {name: place for name, place in places.items() if name in names}


def _unreadable(problems: Sequence[Problem]) -> InvalidInput:
    return InvalidInput(
        f"the text is not YAML, so its tasks cannot be edited one by one; save a text that is. {problems[0]}"
    )


def _place(place: tuple[float, float]) -> tuple[float, float]:
    if not all(math.isfinite(value) and abs(value) <= _FARTHEST for value in place):
        raise InvalidInput(f"a position is two numbers from -{_FARTHEST:,} to {_FARTHEST:,}")
    return round(float(place[0]), 2), round(float(place[1]), 2)


def _storable(text: str) -> str:
    text = text.removeprefix("\ufeff")
    if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise InvalidInput("the text holds a character that cannot be stored: NUL or half of a pair; remove it")
    require_size(text)
    return text


def told(change: Change, changed: Changed) -> tuple[str, dict[str, Any]]:
    """What the audit log says of a change."""
    match change:
        case SaveText():
            return "save", {"characters": len(changed.text)}
        case MoveTasks(positions):
            return "move_tasks", {"tasks": list(positions)}
        case AddTask(fields):
            return "add_task", {"task": changed.task, "fields": fields}
        case ChangeTask(task, fields):
            return "change_task", {"task": task, "fields": fields}
        case DuplicateTask(task):
            return "duplicate_task", {"task": task, "copy": changed.task}
        case DeleteTask(task):
            return "delete_task", {"task": task}
        case Connect(dependency, task):
            return "connect_tasks", {"task": task, "dependency": dependency}
        case Disconnect(dependency, task):
            return "disconnect_tasks", {"task": task, "dependency": dependency}
