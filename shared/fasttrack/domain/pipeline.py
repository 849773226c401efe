"""What a pipeline file means once it is compiled: frozen values that the engine and the backends read.

`spec.compile` makes them and has checked everything (names, references, cycles, units), so nothing here checks again.
Strings of a task may still hold `${{ params.X }}` and `${{ secrets.X }}`; `spec.placeholders` fills them in just before
a session is created.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property

from .states import FailureClass


class TaskKind(StrEnum):
    """What a task is, whichever name its file's generation used."""

    BATCH = "batch"
    """Runs a command to its end (`Custom Task`, `default`, `custom`)."""
    SERVICE = "service"
    """Starts a model service (`serving`, `deployment`)."""
    IMPORT = "import"
    """Runs code fetched from `module_uri` (`Import from GitHub`, `Import from GitLab`)."""


class ClusterMode(StrEnum):
    """How the containers of one session are placed."""

    SINGLE_NODE = "single-node"
    MULTI_NODE = "multi-node"


class RunIf(StrEnum):
    """Which outcome of its dependencies lets a task run, once all of them have ended."""

    SUCCESS = "success"
    """All of them counted as success (the default)."""
    FAILURE = "failure"
    """At least one of them failed, or never ran because of a failure before it."""
    ALWAYS = "always"
    """However they ended."""
    ANY_SUCCESS = "any_success"
    """At least one of them counted as success."""


class Collision(StrEnum):
    """What a new job does when the pipeline's concurrency limit is reached."""

    QUEUE = "queue"
    SKIP = "skip"
    CANCEL_OLDER = "cancel_older"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when a failed task is tried again."""

    max_attempts: int = 1
    """Attempts in all, the first included; at least 1."""
    delay: timedelta = timedelta(0)
    """Wait before the second attempt."""
    backoff: float = 1.0
    """Each further wait is this many times the one before; at least 1."""
    max_delay: timedelta | None = None
    """No wait is longer than this."""
    on: frozenset[FailureClass] = frozenset({FailureClass.USER, FailureClass.TIMEOUT, FailureClass.OUT_OF_MEMORY})
    """Which failure classes use up an attempt of this policy."""

    def wait_before(self, attempt: int) -> timedelta:
        """How long to wait before attempt number `attempt` (2 is the first retry)."""
        # The exponent is bounded so that a large attempt number cannot overflow a timedelta.
        seconds = self.delay.total_seconds() * self.backoff ** min(attempt - 2, 64)
        bound = self.max_delay.total_seconds() if self.max_delay is not None else 24 * 3600.0
        return timedelta(seconds=min(seconds, bound))


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long an attempt may wait for the backend, and how long it may run; `None` is without limit."""

    waiting: timedelta | None = None
    running: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Resources:
    """What one container asks for."""

    slots: Mapping[str, Decimal]
    """Slot name to amount: `cpu` in cores, `mem` in bytes, others in the slot's own unit."""
    shmem: int = 0
    """Shared memory in bytes, part of `mem`."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """One of several accelerator choices (`any_of`); unset parts are the task's own."""

    slots: Mapping[str, Decimal]
    image: str | None = None
    envs: Mapping[str, str] = field(default_factory=dict)
    patience: timedelta | None = None
    """How long to wait for this choice before the next is tried; `None` is for ever."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder that appears in the task at `/home/work/<alias>`."""

    folder: str
    alias: str


@dataclass(frozen=True, slots=True)
class Service:
    """What a serving task starts."""

    name: str
    model: str | None
    model_mount_destination: str
    model_definition_path: str
    runtime_variant: str
    replicas: int
    open_to_public: bool
    ephemeral: bool
    max_surge: int
    max_unavailable: int


@dataclass(frozen=True, slots=True)
class Task:
    """One node of the graph."""

    index: int
    """Position in the file, from 0: the task's identity inside its version."""
    name: str
    kind: TaskKind
    description: str
    command: str
    module_uri: str
    image: str
    project: str
    resource_group: str
    cluster_mode: ClusterMode
    cluster_size: int
    envs: Mapping[str, str]
    """The pipeline's variables with the task's over them."""
    resources: Resources
    any_of: tuple[Alternative, ...]
    mounts: tuple[Mount, ...]
    needs: tuple[int, ...]
    """Indexes of its dependencies in the order of the file: `input1`, `input2` …"""
    run_if: RunIf
    skip: bool
    continue_on_failure: bool
    retry: RetryPolicy
    timeouts: Timeouts
    service: Service | None
    pool: str | None = None
    """The named limit it takes slots of while it has a session."""
    pool_slots: int = 0

    @property
    def asked(self) -> Mapping[str, Decimal]:
        """What its session asks for: all its containers together, with the first of its accelerator choices."""
        slots = {**self.resources.slots, **(self.any_of[0].slots if self.any_of else {})}
        return {slot: amount * self.cluster_size for slot, amount in slots.items() if amount}


@dataclass(frozen=True, slots=True)
class Param:
    """A typed parameter of a pipeline."""

    name: str
    type: str
    """`string`, `integer`, `number` or `boolean`."""
    default: str | int | float | bool | None
    """`None` when a value must be given."""
    description: str = ""
    choices: tuple[str | int | float | bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many jobs of one pipeline may be active, and what a further one does."""

    limit: int | None = None
    on_limit: Collision = Collision.QUEUE


@dataclass(frozen=True)
class Pipeline:
    """A compiled pipeline: an acyclic graph of tasks."""

    name: str
    description: str
    tasks: tuple[Task, ...]
    params: tuple[Param, ...] = ()
    concurrency: Concurrency = Concurrency()
    priority: int = 0
    """Larger is more urgent."""
    secrets: frozenset[str] = frozenset()
    """Names of the secrets that any task refers to."""

    @cached_property
    def by_name(self) -> dict[str, Task]:
        """The tasks by their names."""
        return {task.name: task for task in self.tasks}

    @cached_property
    def dependants(self) -> tuple[tuple[int, ...], ...]:
        """For each task, the indexes of the tasks that need it."""
        followers: list[list[int]] = [[] for _ in self.tasks]
        for task in self.tasks:
            for need in task.needs:
                followers[need].append(task.index)
        return tuple(tuple(f) for f in followers)
