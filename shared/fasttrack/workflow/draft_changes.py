"""What a change makes of a draft: the text, the places of its tasks, and what a canvas draws of it. Nothing is stored."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from ..db.drafts import DraftRecord, Positions
from ..errors import InvalidInput, InvalidPipeline
from ..spec.document import MAX_TASKS
from ..spec.edit import AddTask, ChangeTask, Connect, DeleteTask, Disconnect, DuplicateTask, Edit, apply
from ..spec.edit_checks import Tasks
from ..spec.edit_file import OpenFile, require_size
from ..spec.edit_write import file_text
from ..spec.outline import Outline, outline
from ..spec.source import Node, read_tree

_FARTHEST = 1_000_000
_ASIDE = 40
_KEPT_CHARACTERS = 1024 * 1024


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


@dataclass(slots=True)
class _Trees:
    """Trees of the texts that were edited last. Whoever takes one has it alone: an edit changes it."""

    trees: OrderedDict[str, Node] = field(default_factory=OrderedDict)
    size: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, text: str) -> Node | None:
        """The tree, if it is kept; from here on it is not."""
        with self.lock:
            found = self.trees.pop(text, None)
            self.size -= len(text) if found is not None else 0
        return found

    def put(self, text: str, root: Node) -> None:
        """Keep the tree, and those used least no longer."""
        with self.lock:
            if text not in self.trees:
                self.size += len(text)
            self.trees[text] = root
            while self.size > _KEPT_CHARACTERS:
                self.size -= len(self.trees.popitem(last=False)[0])


_trees = _Trees()


def text_of(draft: DraftRecord) -> str:
    """The text of a draft, or what one would begin with."""
    return draft.source if draft.source is not None else file_text({"name": draft.pipeline})


def change_of(draft: DraftRecord, change: Change, at: tuple[float, float] | None) -> tuple[SeenDraft, Changed | None]:
    """The draft after a change, and what is to be stored; `None`: the change comes to nothing."""
    text = text_of(draft)
    changed = _changed(text, draft.positions, change, at)
    is_news = changed.text != text or changed.positions != draft.positions
    return drawn(draft, changed), changed if is_news else None


def drawn(draft: DraftRecord, changed: Changed) -> SeenDraft:
    """What a canvas draws of a draft with that text."""
    root = changed.root or _trees.take(changed.text)
    outlined, root = outline(changed.text, draft.pipeline, root)
    if root is not None:
        _trees.put(changed.text, root)
    return SeenDraft(draft, changed.text, outlined, changed.task, changed.rewritten)


def _changed(text: str, positions: Positions, change: Change, at: tuple[float, float] | None) -> Changed:
    if isinstance(change, SaveText):
        return Changed(_storable(change.text), positions)
    if isinstance(change, MoveTasks):
        return _moved(text, positions, change)
    if at is not None:
        _require_place(at)
    edited = apply(text, change, _tree(text))
    places = dict(positions)
    match change:
        case AddTask() if at is not None:
            places[edited.task] = at
        case ChangeTask(task) if task != edited.task and task in places:
            places[edited.task] = places.pop(task)
        case DuplicateTask(task) if at is not None or task in places:
            x, y = at or (places[task][0] + _ASIDE, places[task][1] + _ASIDE)
            places[edited.task] = (x, y)
        case DeleteTask(task):
            places.pop(task, None)
    return Changed(edited.text, places, edited.root, edited.task, edited.rewritten)


def _tree(text: str) -> Node:
    try:
        return _trees.take(text) or read_tree(text)
    except InvalidPipeline as error:
        raise InvalidInput(
            f"the text is not YAML, so its tasks cannot be edited one by one; save a text that is. {error.problems[0]}"
        ) from None


def _moved(text: str, positions: Positions, change: MoveTasks) -> Changed:
    file = OpenFile(text, _tree(text))
    tasks = Tasks(file)
    places = dict(positions)
    for name, place in change.positions.items():
        tasks.index(name)
        _require_place(place)
        places[name] = (round(float(place[0]), 2), round(float(place[1]), 2))
    if len(places) > MAX_TASKS:
        places = {name: place for name, place in places.items() if name in tasks}
    return Changed(text, places, file.root, next(iter(change.positions)) if len(change.positions) == 1 else None)


def _require_place(place: tuple[float, float]) -> None:
    if not all(math.isfinite(value) and abs(value) <= _FARTHEST for value in place):
        raise InvalidInput(f"a position is two numbers from -{_FARTHEST:,} to {_FARTHEST:,}")


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
