"""Tasks of a version: what its file says they are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

import strawberry
from strawberry.scalars import JSON

from fasttrack.domain import pipeline as domain
from fasttrack.domain.pipeline import ClusterMode, RunIf, TaskKind
from fasttrack.domain.states import FailureClass

from .common import NamedText


@strawberry.type(description="An amount of one kind of resource.")
class Slot:
    """Of one kind."""

    name: str = strawberry.field(description="The slot: `cpu`, `mem`, or the name of an accelerator.")
    amount: str = strawberry.field(
        description="A decimal number: cores of `cpu`, bytes of `mem`, else the slot's unit."
    )


@strawberry.type(description="One of several accelerator choices of a task.")
class Alternative:
    """Of `any_of`."""

    slots: list[Slot] = strawberry.field(description="What it asks for besides the task's own slots.")
    image: str | None = strawberry.field(description="Its image; null: the task's own.")
    envs: list[NamedText] = strawberry.field(description="Variables over the task's own.")
    patience_seconds: float | None = strawberry.field(
        description="How long to wait for it before the next is tried, in seconds; null: for ever."
    )


@strawberry.type(description="A folder that appears in the task at `/home/work/<alias>`.")
class Mount:
    """A folder of the task."""

    folder: str = strawberry.field(description="The folder's name.")
    alias: str = strawberry.field(description="How it is called inside the task.")


@strawberry.type(description="How often, and when, a failed task is tried again.")
class RetryPolicy:
    """Of a task."""

    max_attempts: int = strawberry.field(description="Attempts in all, the first included; at least 1.")
    delay_seconds: float = strawberry.field(description="The wait before the second attempt, in seconds.")
    backoff: float = strawberry.field(description="Each further wait is this many times the one before; at least 1.")
    max_delay_seconds: float | None = strawberry.field(description="No wait is longer, in seconds; null: a day.")
    on: list[FailureClass] = strawberry.field(description="Which failures use up an attempt.")


@strawberry.type(description="A parameter of a pipeline.")
class Param:
    """Of a version."""

    name: str = strawberry.field(description="Its name.")
    type: str = strawberry.field(description="`string`, `integer`, `number` or `boolean`.")
    default: JSON | None = strawberry.field(description="The default; null when a value must be given.")
    description: str = strawberry.field(description="What it is for; may be empty.")
    choices: JSON = strawberry.field(description="The values that are allowed, as a list; empty: any of the type.")


@strawberry.type(description="What a task that serves a model starts.")
class Service:
    """Of a serving task."""

    name: str = strawberry.field(description="The service's name.")
    model: str | None = strawberry.field(description="The model's folder; null when none is given.")
    runtime_variant: str = strawberry.field(description="The runtime that serves it.")
    replicas: int = strawberry.field(description="How many copies.")
    open_to_public: bool = strawberry.field(description="Whether no token is needed.")


@strawberry.type(description="One task of a version.")
class Task:
    """A node of the graph."""

    name: str = strawberry.field(description="Its name, unique in the version.")
    index: int = strawberry.field(description="Its place in the file, from 0.")
    kind: TaskKind = strawberry.field(description="What it is.")
    description: str = strawberry.field(description="What it is for; may be empty.")
    command: str = strawberry.field(description="What is run; empty for tasks that run no command.")
    module_uri: str = strawberry.field(description="Where its code is fetched from; empty for other kinds.")
    image: str = strawberry.field(description="The container image.")
    resource_group: str = strawberry.field(description="Where it runs; may hold `${{ params.NAME }}`.")
    cluster_mode: ClusterMode = strawberry.field(description="How its containers are placed.")
    cluster_size: int = strawberry.field(description="How many containers.")
    slots: list[Slot] = strawberry.field(description="What one container asks for.")
    shmem_bytes: float = strawberry.field(description="Shared memory of one container, in bytes; part of `mem`.")
    any_of: list[Alternative] = strawberry.field(description="Accelerator choices, the first is taken; may be empty.")
    envs: list[NamedText] = strawberry.field(description="The pipeline's variables with the task's over them.")
    mounts: list[Mount] = strawberry.field(description="Folders that appear in it.")
    needs: list[str] = strawberry.field(description="Names of the tasks it waits for, in the order of its inputs.")
    run_if: RunIf = strawberry.field(description="Which outcome of those lets it run.")
    is_skipped: bool = strawberry.field(description="Whether the file says that it is not run.")
    continue_on_failure: bool = strawberry.field(description="Whether its failure counts as success.")
    retry: RetryPolicy = strawberry.field(description="How it is tried again.", metadata={"cost": 0})
    waiting_timeout_seconds: float | None = strawberry.field(
        description="How long an attempt may wait for room, in seconds; null: without limit."
    )
    running_timeout_seconds: float | None = strawberry.field(
        description="How long an attempt may run, in seconds; null: without limit."
    )
    service: Service | None = strawberry.field(description="What it serves; null for other kinds.")
    pool: str | None = strawberry.field(description="The pool it takes slots of; null: none.")
    pool_slots: int = strawberry.field(description="How many slots of the pool; 0 without one.")

    @classmethod
    def of(cls, pipeline: domain.Pipeline, task: domain.Task) -> Task:
        """As the schema shows it."""
        return cls(
            name=task.name,
            index=task.index,
            kind=task.kind,
            description=task.description,
            command=task.command,
            module_uri=task.module_uri,
            image=task.image,
            resource_group=task.resource_group,
            cluster_mode=task.cluster_mode,
            cluster_size=task.cluster_size,
            slots=_slots(task.resources.slots),
            shmem_bytes=float(task.resources.shmem),
            any_of=[
                Alternative(
                    slots=_slots(a.slots),
                    image=a.image,
                    envs=_texts(a.envs),
                    patience_seconds=_in_seconds(a.patience),
                )
                for a in task.any_of
            ],
            envs=_texts(task.envs),
            mounts=[Mount(folder=m.folder, alias=m.alias) for m in task.mounts],
            needs=[pipeline.tasks[i].name for i in task.needs],
            run_if=task.run_if,
            is_skipped=task.skip,
            continue_on_failure=task.continue_on_failure,
            retry=RetryPolicy(
                max_attempts=task.retry.max_attempts,
                delay_seconds=task.retry.delay.total_seconds(),
                backoff=task.retry.backoff,
                max_delay_seconds=_in_seconds(task.retry.max_delay),
                on=sorted(task.retry.on),
            ),
            waiting_timeout_seconds=_in_seconds(task.timeouts.waiting),
            running_timeout_seconds=_in_seconds(task.timeouts.running),
            service=_service(task.service),
            pool=task.pool,
            pool_slots=task.pool_slots,
        )


def param_of(param: domain.Param) -> Param:
    """As the schema shows it."""
    return Param(
        name=param.name,
        type=param.type,
        default=param.default,  # type: ignore[arg-type]
        description=param.description,
        choices=list(param.choices),  # type: ignore[arg-type]
    )


def _service(service: domain.Service | None) -> Service | None:
    if service is None:
        return None
    return Service(
        name=service.name,
        model=service.model,
        runtime_variant=service.runtime_variant,
        replicas=service.replicas,
        open_to_public=service.open_to_public,
    )


def _slots(slots: Mapping[str, Decimal]) -> list[Slot]:
    return [Slot(name=name, amount=f"{amount:f}") for name, amount in slots.items()]


def _texts(texts: Mapping[str, str]) -> list[NamedText]:
    return [NamedText(name=name, value=value) for name, value in texts.items()]


def _in_seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
