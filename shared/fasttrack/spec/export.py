"""From a `Document` to what leaves it: YAML of any generation, the JSON that is stored, and the hash of its meaning.

All three come from one canonical tree: the newest generation's form, keys in a fixed order, values in one spelling,
optional parts left out where they say nothing, unknown keys at the end of their map.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import yaml

from ..domain.accelerators import is_whole
from .dialects import NEWEST, Generation, for_generation
from .document import Choice, Document, ParamSpec, Part, Retry, ServiceSpec, TaskSpec, Timeouts
from .scalars import reads_as_text


def to_yaml(document: Document, generation: Generation = NEWEST) -> str:
    """The file of a generation. Loading it again gives an equal document; comments and the order of keys are not kept.

    Additions that a generation does not know stay in the file. `version` is the document's own where it is a build of
    that generation, otherwise one that reads the file.

    :raises ValueError: an unknown generation.
    """
    tree = for_generation(canonical_tree(document), generation)
    return str(
        yaml.dump(tree, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1_000_000, default_flow_style=False)
    )


def document_json(document: Document) -> dict[str, Any]:
    """The document as plain JSON values in canonical form, without places: what is stored and sent to programs."""
    return canonical_tree(document)


def canonical_hash(document: Document) -> str:
    """SHA-256 (hex) of what the document says.

    Equal for equal definitions whatever generation, order of keys, comments, quoting or spelling of amounts they were
    written with. The product build in `version` is no part of it; unknown keys are; the order of tasks and of lists is.
    """
    tree = canonical_tree(document)
    tree.pop("version", None)
    text = json.dumps(tree, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def canonical_tree(document: Document) -> dict[str, Any]:
    """The newest generation's form of a document, as dicts, lists and scalars; the caller may change it."""
    owner = document.ownership
    ownership: dict[str, Any] = {"domain": owner.domain, "scope": owner.scope}
    if owner.group_name is not None:
        ownership["group_name"] = owner.group_name
    tree: dict[str, Any] = {} if document.version is None else {"version": document.version}
    tree |= {
        "name": document.name,
        "description": document.description,
        "ownership": _with_extra(ownership, owner),
        "environment": _with_extra({"envs": dict(document.environment.envs)}, document.environment),
        "params": [_param(param) for param in document.params],
    }
    limits = document.concurrency
    concurrency: dict[str, Any] = {} if limits.limit is None else {"limit": limits.limit}
    if limits.on_limit != "queue":
        concurrency["on_limit"] = limits.on_limit.value
    _put(tree, "concurrency", _with_extra(concurrency, limits))
    if document.priority:
        tree["priority"] = document.priority
    tree = _with_extra(tree, document)
    tree["tasks"] = [_task(task) for task in document.tasks]
    return tree


def _task(task: TaskSpec) -> dict[str, Any]:
    environment = task.environment
    tree: dict[str, Any] = {
        "name": task.name,
        "description": task.description,
        "type": task.type,
        "dependencies": list(task.dependencies),
        "skip": task.skip,
        "continue_on_failure": task.continue_on_failure,
        "cluster_mode": task.cluster_mode.value,
        "cluster_size": task.cluster_size,
        "module_uri": task.module_uri,
        "environment": _with_extra(
            {
                "project": environment.project,
                "scaling-group": environment.scaling_group,
                "image": environment.image,
                "envs": dict(environment.envs),
            },
            environment,
        ),
        "resources": _amounts(task.resources),
        "resource_opts": _with_extra({"shmem": task.resource_opts.shmem}, task.resource_opts),
        "mounts": list(task.mounts),
    }
    _put(tree, "retry", _retry(task.retry))
    _put(tree, "timeouts", _timeouts(task.timeouts))
    if task.run_if != "success":
        tree["run_if"] = task.run_if.value
    if task.pool is not None:
        tree["pool"] = task.pool
        if task.pool_slots != 1:
            tree["pool_slots"] = task.pool_slots
    _put(tree, "any_of", [_choice(choice) for choice in task.any_of])
    tree = _with_extra(tree, task)
    if task.service is not None:
        tree["service"] = _service(task.service)
    if task.command or task.type != "deployment":
        tree["command"] = task.command
    return tree


def _retry(retry: Retry) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    if retry != _NO_RETRY:
        tree = {"max_attempts": retry.max_attempts, "delay": retry.delay}
        if retry.backoff != 1:
            tree["backoff"] = retry.backoff
        if retry.max_delay is not None:
            tree["max_delay"] = retry.max_delay
        if retry.on != _NO_RETRY.on:
            tree["on"] = [failure.value for failure in retry.on]
    return _with_extra(tree, retry)


def _timeouts(timeouts: Timeouts) -> dict[str, Any]:
    limits: dict[str, Any] = {"waiting": timeouts.waiting, "running": timeouts.running}
    return _with_extra({key: limit for key, limit in limits.items() if limit is not None}, timeouts)


def _choice(choice: Choice) -> dict[str, Any]:
    tree: dict[str, Any] = {"resources": _amounts(dict(sorted(choice.resources.items())))}
    if choice.image is not None:
        tree["image"] = choice.image
    _put(tree, "envs", dict(choice.envs))
    if choice.patience is not None:
        tree["patience"] = choice.patience
    return _with_extra(tree, choice)


def _service(service: ServiceSpec) -> dict[str, Any]:
    return {key: value for key, value in service.model_dump().items() if value is not None}


def _param(param: ParamSpec) -> dict[str, Any]:
    tree: dict[str, Any] = {"name": param.name, "type": param.type}
    if param.default is not None:
        tree["default"] = param.default
    if param.description:
        tree["description"] = param.description
    _put(tree, "choices", list(param.choices))
    return _with_extra(tree, param)


def _amounts(slots: dict[str, str]) -> dict[str, Any]:
    # As the product writes them: whole units as numbers, sizes and decimals as text.
    return {slot: int(amount) if amount.isdecimal() and is_whole(slot) else amount for slot, amount in slots.items()}


def _put(tree: dict[str, Any], key: str, value: dict[str, Any] | list[Any]) -> None:
    if value:
        tree[key] = value


def _with_extra(tree: dict[str, Any], part: Part) -> dict[str, Any]:
    return {**tree, **part.__pydantic_extra__} if part.__pydantic_extra__ else tree


_NO_RETRY = Retry()

# A `|` block shows these texts best and is read back exactly; any other text with line breaks is quoted.
_BLOCK = re.compile(
    r"[!-~\u00a1-\u2027\u202a-\ud7ff][^\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]*\Z"
)
_BLANK_LINE_END = re.compile(r"[ \t]+(?:\n|\Z)")


class Dumper(yaml.CSafeDumper):
    """Shows many lines as a block, and quotes what either version of YAML would take for something other than text."""

    def ignore_aliases(self, data: Any) -> bool:
        """A value that occurs twice is written twice: files have no anchors."""
        return True


def _represent_text(dumper: Dumper, text: str) -> yaml.ScalarNode:
    style = None
    if "\n" in text and _BLOCK.match(text) and not _BLANK_LINE_END.search(text) and not text.endswith("\n\n"):
        style = "|"
    elif text and not reads_as_text(text):
        style = "'"
    elif "\n" in text or "\r" in text:
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, _represent_text)
