"""Every generation of the FastTrack file, brought into the form of the newest, and back.

A generation is known by its keys, never by `version`: the two ways to write the owner and both names of a kind of task
occur within one release. Each normaliser looks only for what its own generation wrote and leaves all else alone, so all
of them run on every file, oldest first. A new generation is one more function here, and its entry in `_KEY_ORDER`.
"""

from __future__ import annotations

from typing import Any, Literal

from .findings import Findings
from .source import Node, Path

Generation = Literal["25.6", "25.15", "26.4"]
NEWEST: Generation = "26.4"
GENERATIONS: tuple[Generation, ...] = ("25.6", "25.15", "26.4")

BUILDS: dict[Generation, str] = {"25.6": "25.6.5.post2", "25.15": "25.15.0a1", "26.4": "26.4.4rc6"}
"""A product build of each generation that is known to read its files."""

KINDS: dict[str, str] = {
    "Custom Task": "custom",
    "default": "custom",
    "custom": "custom",
    "serving": "deployment",
    "deployment": "deployment",
    "Import from GitHub": "Import from GitHub",
    "Import from GitLab": "Import from GitLab",
}
"""Every name a kind of task ever had, and its newest."""

_DEFAULTS_OF_TASKS = ("resources", "resource_opts", "mounts")
_COMMON = ("scaling-group", "image", "project")


def normalise(root: Node, findings: Findings) -> None:
    """Rewrite the tree in place into the newest form; nodes keep their places.

    Reports a problem where two names of the same thing are both given and differ.
    """
    if not isinstance(root.value, dict):
        return
    _from_prototype(root, findings)
    _from_25_6(root)
    _from_25_15(root, findings)


def is_of_prototype(root: Node) -> bool:
    """Whether the file states things once for all tasks, or uses a word of 2022: an edit of one task touches others."""
    common = _child(root, "environment")
    return (
        any(_child(root, key) is not None for key in _DEFAULTS_OF_TASKS)
        or any(_child(common, key) is not None for key in _COMMON)
        or any(_child(_child(task, "resources"), "memory") is not None for task in _tasks(root))
    )


def speaks_newest(root: Node) -> bool:
    """Whether the file is in the newest form already: `normalise` leaves its tree as it is."""
    owner = _child(root, "ownership")
    scope = _child(owner, "scope")
    kinds = (_child(task, "type") for task in _tasks(root))
    return (
        not is_of_prototype(root)
        and _child(owner, "domain_name") is None
        and (scope is None or scope.value != "personal")
        and all(kind is None or KINDS.get(kind.text or "", kind.text) == kind.text for kind in kinds)
    )


def _from_prototype(root: Node, findings: Findings) -> None:
    """2022: `memory`; image, resource group, resources and mounts stated once for all tasks."""
    for holder in (root, *_tasks(root)):
        resources = _child(holder, "resources")
        if resources is not None:
            _rename(resources, "memory", "mem", findings)
    defaults = {key: _take(root, key) for key in _DEFAULTS_OF_TASKS}
    environment = _child(root, "environment")
    common = {key: _take(environment, key) for key in _COMMON}
    for task in _tasks(root):
        for key, default in defaults.items():
            if default is not None:
                _give(task, key, default)
        for key, default in common.items():
            if default is not None:
                _give_inside(task, "environment", key, default)


def _from_25_6(root: Node) -> None:
    """25.6: the private scope is called `personal`."""
    scope = _child(_child(root, "ownership"), "scope")
    if scope is not None and scope.value == "personal":
        scope.value = scope.text = "user"


def _from_25_15(root: Node, findings: Findings) -> None:
    """25.15 and the published form of 26.4: `domain_name`, and the older names of the kinds."""
    ownership = _child(root, "ownership")
    if ownership is not None:
        _rename(ownership, "domain_name", "domain", findings)
    for task in _tasks(root):
        kind = _child(task, "type")
        if kind is not None and isinstance(kind.text, str) and kind.text in KINDS:
            kind.value = kind.text = KINDS[kind.text]


def for_generation(tree: dict[str, Any], generation: Generation) -> dict[str, Any]:
    """The canonical tree of `export.canonical_tree` in the words and the key order of a generation.

    What a generation does not know stays in the file: that product ignores it.
    """
    if generation not in GENERATIONS:
        raise ValueError(f"{generation!r} is not a generation. Use one of {', '.join(GENERATIONS)}.")
    tree = dict(tree)
    if generation != "26.4":
        ownership = dict(tree["ownership"])
        ownership["domain_name"] = ownership.pop("domain")
        if generation == "25.6" and ownership["scope"] == "user":
            ownership["scope"] = "personal"
        tree["ownership"] = _ordered(ownership, ("domain_name", "scope"))
        if not tree.get("params"):
            tree.pop("params", None)
    version = tree.get("version") or ""
    tree["version"] = version if _is_build_of(version, generation) else BUILDS[generation]
    tree["tasks"] = [_task_for(task, generation) for task in tree["tasks"]]
    return _ordered(tree, _TOP_ORDER)


_TOP_ORDER = ("version", "name", "description", "ownership", "environment", "params")
_HEAD = ("name", "description", "type")
_KEY_ORDER: dict[Generation, tuple[str, ...]] = {
    "25.6": (*_HEAD, "cluster_mode", "cluster_size", "module_uri", "command", "environment", "resources",
             "resource_opts", "dependencies", "mounts", "skip"),
    "25.15": (*_HEAD, "cluster_mode", "cluster_size", "module_uri", "environment", "resources", "resource_opts",
              "dependencies", "mounts", "skip"),
    "26.4": (*_HEAD, "dependencies", "skip", "continue_on_failure", "cluster_mode", "cluster_size", "module_uri",
             "environment", "resources", "resource_opts", "mounts", "retry"),
}  # fmt: skip
_KIND_NAMES: dict[Generation, dict[str, str]] = {
    "25.6": {"custom": "Custom Task", "deployment": "serving"},
    "25.15": {"custom": "default", "deployment": "serving"},
    "26.4": {},
}


def _task_for(task: dict[str, Any], generation: Generation) -> dict[str, Any]:
    task = dict(task)
    task["type"] = _KIND_NAMES[generation].get(task["type"], task["type"])
    if generation == "26.4":
        if not task["mounts"]:
            del task["mounts"]
    elif not task["continue_on_failure"]:
        del task["continue_on_failure"]
    task = _ordered(task, _KEY_ORDER[generation])
    if generation != "25.6" and "command" in task:
        task["command"] = task.pop("command")  # long texts stand last
    return task


def _is_build_of(version: str, generation: Generation) -> bool:
    return version == generation or version.startswith(generation + ".")


def _ordered(mapping: dict[str, Any], first: tuple[str, ...]) -> dict[str, Any]:
    head = {key: mapping[key] for key in first if key in mapping}
    tail = {key: value for key, value in mapping.items() if key not in head and key != "tasks"}
    last = {"tasks": mapping["tasks"]} if "tasks" in mapping and "tasks" not in head else {}
    return {**head, **tail, **last}


def _tasks(root: Node) -> list[Node]:
    tasks = _child(root, "tasks")
    return (
        [task for task in tasks.value if isinstance(task.value, dict)]
        if tasks and isinstance(tasks.value, list)
        else []
    )


def _child(node: Node | None, key: str) -> Node | None:
    return node.value.get(key) if node is not None and isinstance(node.value, dict) else None


def _take(node: Node | None, key: str) -> Node | None:
    """Remove a key and give its node, if it says anything."""
    if node is None or not isinstance(node.value, dict):
        return None
    found = node.value.pop(key, None)
    return None if found is None or found.is_null else found


def _rename(node: Node, old: str, new: str, findings: Findings) -> None:
    found = _take(node, old)
    if found is None:
        return
    assert isinstance(node.value, dict)
    present = node.value.get(new)
    if present is None or present.is_null:
        node.value[new] = found
    elif present.text != found.text:
        path: Path = found.path
        findings.places = {**findings.places, path: found}
        findings.error(path, f"`{old}` and `{new}` mean the same and differ here. Keep one of them.", at_key=True)


def _give(task: Node, key: str, default: Node) -> None:
    """Give a task what the pipeline states for all, where the task says nothing itself; maps are joined key by key."""
    assert isinstance(task.value, dict)
    own = task.value.get(key)
    if own is None or own.is_null:
        task.value[key] = default
        return
    if not isinstance(own.value, dict) or not isinstance(default.value, dict):
        return
    families = {name.partition(".")[0] for name in own.value if "." in name}
    for name, node in default.value.items():
        # A task that names its own GPU slots wants those and not the pipeline's besides.
        if name not in own.value and name.partition(".")[0] not in families:
            own.value[name] = node


def _give_inside(task: Node, outer: str, key: str, default: Node) -> None:
    assert isinstance(task.value, dict)
    holder = task.value.get(outer)
    if holder is None or holder.is_null:
        holder = task.value[outer] = Node(
            {}, (*task.path, outer), task.line, task.column, task.key_line, task.key_column
        )
    if isinstance(holder.value, dict):
        own = holder.value.get(key)
        if own is None or own.is_null:
            holder.value[key] = default
