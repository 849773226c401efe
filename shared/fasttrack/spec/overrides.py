"""What one run has otherwise than its file says: for some tasks other resources, another image, group or variables.

Read with the types and the checks of the file, said in the file's own words, and laid over a compiled pipeline. What is
stored is what was asked for, in canonical spelling, by task; nothing is filled in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..domain.accelerators import is_accelerator
from ..domain.pipeline import Pipeline, Resources, RetryPolicy, Task
from ..domain.pipeline import Timeouts as TaskTimeouts
from ..domain.resources import parse_amount
from ..errors import InvalidRun
from . import checks
from .document import Amounts, Envs, Retry, Timeouts
from .findings import Findings
from .intake import explain, unstorable
from .placeholders import secret_names
from .source import Path
from .values import duration

MOST_OVERRIDES = 1000
"""Tasks that one run may have otherwise."""
_CHANGEABLE = "`resources`, `environment` with `image`, `scaling-group` and `envs`, `retry` and `timeouts`"
_MOST_SAID = 20


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class EnvironmentOverride(_Strict):
    """Where the task runs this time, and what it sees."""

    image: str | None = None
    scaling_group: str | None = Field(None, alias="scaling-group")
    envs: Envs = Field(default_factory=dict)


class TaskOverride(_Strict):
    """What one task has otherwise. What is not set is as the file says."""

    resources: Amounts = Field(default_factory=dict)
    environment: EnvironmentOverride = Field(default_factory=EnvironmentOverride)
    retry: Retry = Field(default_factory=Retry)
    timeouts: Timeouts = Field(default_factory=Timeouts)


def read_overrides(pipeline: Pipeline, given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What is asked for, by task, in canonical spelling; tasks for which nothing is asked are left out.

    :raises InvalidRun: with every problem and its path, such as `overrides.train.resources.cpu`.
    """
    if len(given) > MOST_OVERRIDES:
        raise InvalidRun(
            f"overrides: {len(given):,} tasks are overridden; at most {MOST_OVERRIDES:,} can be. Edit the file."
        )
    if found := unstorable(given):
        raise InvalidRun(f"overrides: {found}")
    findings = Findings()
    read = {name: override for name, asked in given.items() if (override := _read(pipeline, name, asked, findings))}
    if findings.has_errors:
        problems = findings.in_file_order()
        more = f"\nThere are {len(problems) - _MOST_SAID} more problems." if len(problems) > _MOST_SAID else ""
        raise InvalidRun("\n".join(str(p) for p in problems[:_MOST_SAID]) + more)
    dumped = {n: o.model_dump(mode="json", by_alias=True, exclude_unset=True) for n, o in read.items()}
    return {name: _without_empty(override) for name, override in dumped.items() if _without_empty(override)}


def apply_overrides(pipeline: Pipeline, stored: Mapping[str, Any] | None) -> Pipeline:
    """The pipeline as a run has it, with what `read_overrides` gave laid over the file; pure. `None` changes nothing."""
    if not stored:
        return pipeline
    tasks = tuple(override_task(t, stored[t.name]) if t.name in stored else t for t in pipeline.tasks)
    return replace(pipeline, tasks=tasks)


def override_task(task: Task, stored: Mapping[str, Any] | None) -> Task:
    """One task with its own override; `None` changes nothing."""
    return task if not stored else _laid_over(task, TaskOverride.model_validate(stored))


def _read(pipeline: Pipeline, name: str, asked: Any, findings: Findings) -> TaskOverride | None:
    at: Path = ("overrides", name)
    task = pipeline.by_name.get(name)
    if task is None:
        findings.error(at, f"There is no task `{name[:80]}`.{findings.did_you_mean(name, pipeline.by_name)}")
        return None
    try:
        override = TaskOverride.model_validate(asked)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            path, message = explain(fault, findings)
            if fault["type"] == "extra_forbidden":
                message = f"`{str(path[-1])[:80]}` cannot be changed for one run; what can is {_CHANGEABLE}."
            findings.error((*at, *path), message)
        return None
    _check(pipeline, task, override, at, findings)
    return override


def _check(pipeline: Pipeline, task: Task, override: TaskOverride, at: Path, findings: Findings) -> None:
    params = {param.name: param.type for param in pipeline.params}
    environment = override.environment
    checks.check_envs(environment.envs, (*at, "environment", "envs"), params, findings)
    for key, text in (("image", environment.image), ("scaling-group", environment.scaling_group)):
        if text is not None:
            checks.check_text(text, (*at, "environment", key), params, findings)
            if not text.strip():
                findings.error((*at, "environment", key), f"`{key}` is empty. Leave it out to keep the file's.")
    for key, part in (("retry", override.retry), ("timeouts", override.timeouts)):
        for unknown in part.model_extra or ():
            findings.error((*at, key, unknown), f"The key `{unknown[:80]}` is not known here.")
    made = _laid_over(task, override)
    # Whoever may run may not read secrets by handing them to a task whose author did not.
    if new := sorted(secret_names(made) - secret_names(task)):
        findings.error(
            (*at, "environment"), f"The task's file does not use the secret `{new[0]}`; only an edit can give it."
        )
    if len(made.envs) > checks.MAX_VARIABLES:
        findings.error(
            (*at, "environment", "envs"), f"With them the task has {len(made.envs)} variables; 200 are possible."
        )
    if override.resources:
        slots = {slot: f"{amount:f}" for slot, amount in made.resources.slots.items()}
        checks.read_slots(slots, (*at, "resources"), findings)
        if made.resources.shmem and made.resources.slots["mem"] <= made.resources.shmem:
            findings.error(
                (*at, "resources", "mem"),
                "This leaves nothing beside the task's `shmem`, which is part of `mem`. Ask for more.",
            )


def _laid_over(task: Task, override: TaskOverride) -> Task:
    slots, any_of = _resources(task, {s: parse_amount(s, amount) for s, amount in override.resources.items()})
    environment = override.environment
    if environment.image is not None:
        any_of = tuple(replace(choice, image=None) for choice in any_of)
    return replace(
        task,
        resources=Resources(slots, task.resources.shmem),
        any_of=tuple(replace(choice, envs=_without(choice.envs, environment.envs)) for choice in any_of),
        image=task.image if environment.image is None else environment.image,
        resource_group=task.resource_group if environment.scaling_group is None else environment.scaling_group,
        envs={**task.envs, **environment.envs},
        retry=_retry(task.retry, override.retry),
        timeouts=_timeouts(task.timeouts, override.timeouts),
    )


def _resources(task: Task, asked: Mapping[str, Decimal]) -> tuple[dict[str, Decimal], tuple[Any, ...]]:
    """The slots, and the choices that are left: whoever asks for an accelerator has chosen."""
    slots = {**task.resources.slots, **asked}
    slots = {slot: amount for slot, amount in slots.items() if amount or not is_accelerator(slot)}
    if any(is_accelerator(slot) for slot in asked):
        return slots, ()
    return slots, tuple(replace(choice, slots={**choice.slots, **asked}) for choice in task.any_of)


def _retry(own: RetryPolicy, asked: Retry) -> RetryPolicy:
    changes: dict[str, Any] = {
        "max_attempts": asked.max_attempts,
        "delay": timedelta(seconds=asked.delay),
        "backoff": float(asked.backoff),
        "max_delay": duration(asked.max_delay),
        "on": frozenset(asked.on),
    }
    return replace(own, **{name: changes[name] for name in changes if name in asked.model_fields_set})


def _timeouts(own: TaskTimeouts, asked: Timeouts) -> TaskTimeouts:
    changes = {
        name: duration(getattr(asked, name)) for name in ("waiting", "running") if name in asked.model_fields_set
    }
    return replace(own, **changes)


def _without(envs: Mapping[str, str], names: Mapping[str, str]) -> Mapping[str, str]:
    return {name: value for name, value in envs.items() if name not in names}


def _without_empty(override: dict[str, Any]) -> dict[str, Any]:
    return dict(_kept(override))


def _kept(part: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in part.items():
        if isinstance(value, dict):
            value = dict(_kept(value))
            if not value:
                continue
        yield key, value
