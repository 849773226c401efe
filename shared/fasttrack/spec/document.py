"""The pipeline file as a value: what its author wrote, in the form of the newest generation, with checked types.

A `Document` holds every key of the file, those FastTrack does not know included, and is what is edited, stored, shown
and exported. Whether it makes sense as a graph is not asked here but in `compile`. Numbers, sizes and durations are
kept in one canonical spelling, so that documents with the same meaning are equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ..domain.pipeline import ClusterMode, Collision, RunIf
from ..domain.resources import format_amount, format_size, parse_amount, parse_size
from ..domain.states import FailureClass
from . import values
from .source import Node, Path

MAX_TASKS = 10_000
MAX_DELAY_SECONDS = 24 * 3600
MAX_DURATION_SECONDS = 365 * 24 * 3600

T = TypeVar("T")


def _sentence(reader: Callable[[Any], T]) -> Callable[[Any], T]:
    """The reader, with its `ValueError` handed on as a sentence for people."""

    def read(value: Any) -> T:
        try:
            return reader(value)
        except ValueError as error:
            raise PydanticCustomError("sentence", "{sentence}", {"sentence": str(error)}) from None

    return read


def _between(low: int, high: int, what: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not low <= value <= high:
            raise ValueError(f"{value} is out of range: {what} is from {low:,} to {high:,}.")
        return value

    return check


_TASK_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_PARAM_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")


def require_task_name(name: str) -> str:
    """The name. :raises ValueError: no task can have it, with a sentence that says what would be right."""
    if not _TASK_NAME.match(name):
        better = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:64]
        remedy = f" `{better}` would do." if better else ""
        raise ValueError(
            f"{values.shown(name)} cannot name a task. Use 1 to 64 letters of A-Z and a-z, digits, `-` and `_`.{remedy}"
        )
    return name


def _pool_name(name: str) -> str:
    if not _TASK_NAME.match(name):
        raise ValueError(
            f"{values.shown(name)} cannot name a pool. Use 1 to 64 letters of A-Z and a-z, digits, `-` and `_`."
        )
    return name


def _param_name(name: str) -> str:
    if not _PARAM_NAME.match(name):
        raise ValueError(
            f"{values.shown(name)} cannot name a parameter. Use 1 to 64 letters of A-Z and a-z, digits and `_`, not "
            "beginning with a digit."
        )
    return name


def pipeline_name(name: str) -> str:
    """The name, if a pipeline can have it. :raises ValueError: it cannot; the sentence says what can."""
    if not 1 <= len(name) <= 64 or name != name.strip() or not name.isprintable() or "/" in name:
        raise ValueError(
            f"{values.shown(name)} cannot name a pipeline. Use 1 to 64 characters in one line, without `/` and without "
            "spaces at the ends."
        )
    return name


def _size(value: Any) -> str:
    return format_size(parse_size(value))


def _pairs(value: Any) -> Any:
    # Each amount is read together with the name of its slot: `4g` is right for `mem` and wrong for `cpu`.
    return {slot: (slot, amount) for slot, amount in value.items()} if isinstance(value, dict) else value


def _amount(pair: Any) -> str:
    slot, amount = pair
    if isinstance(amount, dict | list | bool):
        raise ValueError(
            f"{values.shown(amount)} is not an amount of `{slot}`. A slot's name holds its dot: write `{slot}.device: 1`."
        )
    return format_amount(slot, parse_amount(slot, amount))


_NUMERIC: dict[str, Any] = {"type": ["integer", "string"]}
_DURATION: dict[str, Any] = {
    "type": ["number", "string"],
    "pattern": r"^\s*(\d+(\.\d*)?|(\d+d)?(\d+h)?(\d+m)?(\d+s)?)\s*$",
    "examples": [30, "90s", "10m", "1h30m"],
}
_SLOTS: dict[str, Any] = {"type": "object", "additionalProperties": {"type": ["number", "string"]}}

Count = Annotated[int, BeforeValidator(_sentence(values.whole_number))]
Flag = Annotated[bool, BeforeValidator(_sentence(values.flag)), WithJsonSchema({"type": ["boolean", "string"]})]
Number = Annotated[
    int | float, BeforeValidator(_sentence(values.number)), WithJsonSchema({"type": ["number", "string"]})
]
Duration = Annotated[int | float, BeforeValidator(_sentence(values.seconds)), WithJsonSchema(_DURATION)]
LongDuration = Annotated[
    Duration, AfterValidator(_sentence(_between(0, MAX_DURATION_SECONDS, "a time limit in seconds")))
]
Size = Annotated[str, BeforeValidator(_sentence(_size)), WithJsonSchema({"type": ["string", "integer"]})]
Amounts = Annotated[
    dict[str, Annotated[str, BeforeValidator(_sentence(_amount))]], BeforeValidator(_pairs), WithJsonSchema(_SLOTS)
]
Envs = dict[str, str]


def _ranged(low: int, high: int, what: str) -> Any:
    return (
        AfterValidator(_sentence(_between(low, high, what))),
        WithJsonSchema({**_NUMERIC, "minimum": low, "maximum": high}),
    )


class Part(BaseModel):
    """A map in the file. Keys it does not know are kept, and come out again on export."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


class Ownership(Part):
    """Whom the pipeline belongs to."""

    domain: str = "default"
    scope: Literal["user", "project"] = "user"
    group_name: str | None = None


class PipelineEnvironment(Part):
    """What all tasks have in common."""

    envs: Envs = Field(default_factory=dict, description="Variables of all tasks; a task's own come over them.")


class Environment(Part):
    """Where a task runs and what it sees."""

    project: str = Field("default", description="The project the compute session is charged to.")
    scaling_group: str = Field("default", alias="scaling-group", description="The resource group.")
    image: str = Field("", description="The container image with registry and tag.")
    envs: Envs = Field(default_factory=dict, description="Variables of this task.")


class ResourceOptions(Part):
    """Options beside the slots."""

    shmem: Size | None = Field(None, description="Shared memory, part of `mem`: 64m when not given.")


class Retry(Part):
    """When and how often a failed task is tried again."""

    max_attempts: Annotated[Count, *_ranged(1, 100, "`max_attempts`")] = Field(
        1, description="Attempts in all, the first included."
    )
    delay: Annotated[Duration, AfterValidator(_sentence(_between(0, MAX_DELAY_SECONDS, "`delay` in seconds")))] = Field(
        0, description="Wait before the second attempt; at most 24h."
    )
    backoff: Annotated[Number, AfterValidator(_sentence(_between(1, 100, "`backoff`")))] = Field(
        1, description="Each further wait is this many times the one before."
    )
    max_delay: Annotated[
        Duration | None,
        AfterValidator(_sentence(lambda v: v if v is None else _between(0, MAX_DELAY_SECONDS, "`max_delay`")(v))),
    ] = Field(None, description="No wait is longer than this.")
    on: Annotated[list[FailureClass], AfterValidator(lambda classes: sorted(set(classes)))] = Field(
        default_factory=lambda: sorted({FailureClass.USER, FailureClass.TIMEOUT, FailureClass.OUT_OF_MEMORY}),
        description="Which failures are tried again: user, timeout and out_of_memory when not given.",
    )


class Timeouts(Part):
    """How long a task may wait for the cluster, and how long it may run."""

    waiting: LongDuration | None = Field(None, description="For the cluster to start it.")
    running: LongDuration | None = Field(None, description="For the command to end.")


class Choice(Part):
    """One of several accelerators a task can use, tried in the order of the file."""

    resources: Amounts = Field(
        default_factory=dict, description="Accelerators; `cpu` and `mem` only where they differ."
    )
    image: str | None = Field(None, description="The image for this choice, if it needs another.")
    envs: Envs = Field(default_factory=dict, description="Variables for this choice, over those of the task.")
    patience: LongDuration | None = Field(
        None, description="How long to wait before the next choice; for ever if not given."
    )


class ServiceSpec(Part):
    """What a deployment task starts."""

    name: str | None = Field(None, description="At most 24 characters; the task's name when not given.")
    model: str | None = Field(None, description="The model folder.")
    model_mount_destination: str = Field("", description="Where the model folder is mounted.")
    model_definition_path: str = Field("", description="The definition file, relative to the model folder.")
    runtime_variant: str = Field("custom", description="How the server is started.")
    replicas: Annotated[Count, *_ranged(0, 1000, "`replicas`")] = Field(1, description="Copies of the server.")
    open_to_public: Flag = Field(False, description="Whether the endpoint needs no token.")
    ephemeral: Flag = Field(False, description="Whether the service ends with the job.")
    max_surge: Annotated[Count, *_ranged(0, 1000, "`max_surge`")] = Field(1, description="Extra copies while updating.")
    max_unavailable: Annotated[Count, *_ranged(0, 1000, "`max_unavailable`")] = Field(
        0, description="Copies that may be missing while updating."
    )


TaskType = Literal["custom", "deployment", "Import from GitHub", "Import from GitLab"]


class TaskSpec(Part):
    """One task."""

    name: Annotated[str, AfterValidator(_sentence(require_task_name))]
    description: str = ""
    type: TaskType = "custom"
    dependencies: list[str] = Field(
        default_factory=list, description="Tasks that end before this one begins; their order gives input1, input2 …"
    )
    skip: Flag = Field(False, description="Not run, and counts as done.")
    continue_on_failure: Flag = Field(False, description="A failure does not end the job.")
    cluster_mode: ClusterMode = ClusterMode.SINGLE_NODE
    cluster_size: Annotated[Count, *_ranged(1, 1024, "`cluster_size`")] = Field(
        1, description="Containers, each with the stated resources."
    )
    module_uri: str = Field(
        "",
        description="Where the code of an import task is: https, with a branch, tag or commit and a folder if need be.",
    )
    environment: Environment = Field(default_factory=Environment)
    resources: Amounts = Field(
        default_factory=dict, description="Slots of one container: cpu, mem, and any accelerator."
    )
    resource_opts: ResourceOptions = Field(default_factory=ResourceOptions)
    mounts: list[str] = Field(default_factory=list, description="Folders as `folder` or `folder:alias`.")
    retry: Retry = Field(default_factory=Retry)
    timeouts: Timeouts = Field(default_factory=Timeouts)
    run_if: RunIf = RunIf.SUCCESS
    pool: Annotated[str | None, AfterValidator(_sentence(lambda v: v if v is None else _pool_name(v)))] = Field(
        None, description="A limit of the project, by its name, that the task takes slots of while it has a session."
    )
    pool_slots: Annotated[Count, *_ranged(1, 1000, "`pool_slots`")] = Field(
        1, description="How many slots of the pool."
    )
    any_of: list[Choice] = Field(default_factory=list, description="Accelerators to choose from, best first.")
    service: ServiceSpec | None = None
    command: str = Field("", description="Shell lines, run by /bin/sh.")

    @model_validator(mode="after")
    def _fill_in_resources(self) -> TaskSpec:
        # What the product's dialog gives a new task; written out, so that equal requests are equal documents.
        given = self.resources
        slots = {"cpu": given.get("cpu", "1"), "mem": given.get("mem", "2g")}
        others = {slot: amount for slot, amount in sorted(given.items()) if slot not in slots and amount != "0"}
        self.resources = {**slots, **others}
        if self.resource_opts.shmem is None:
            roomy = parse_size(slots["mem"]) >= 128 * 1024**2
            self.resource_opts.shmem = "64m" if roomy else "0g"
        return self


class ParamSpec(Part):
    """A parameter that a run may set."""

    name: Annotated[str, AfterValidator(_sentence(_param_name))]
    type: Literal["string", "integer", "number", "boolean"] = "string"
    default: Annotated[
        Any,
        BeforeValidator(_sentence(lambda pair: _typed(pair))),
        WithJsonSchema({"type": ["string", "number", "boolean", "null"]}),
    ] = Field(None, description="Its value when a run gives none.")
    description: str = Field("", description="What it is for.")
    choices: list[
        Annotated[
            Any,
            BeforeValidator(_sentence(lambda pair: _typed(pair))),
            WithJsonSchema({"type": ["string", "number", "boolean"]}),
        ]
    ] = Field(default_factory=list, description="The only values it may have.")

    @model_validator(mode="before")
    @classmethod
    def _with_type(cls, data: Any) -> Any:
        # `default` and `choices` are read together with the type they must have.
        if not isinstance(data, dict):
            return data
        kind = data.get("type", "string")
        data = dict(data)
        if "default" in data:
            data["default"] = (kind, data["default"])
        if isinstance(data.get("choices"), list):
            data["choices"] = [(kind, choice) for choice in data["choices"]]
        return data


def _typed(pair: Any) -> Any:
    kind, value = pair
    return None if value is None else values.param_value(kind, value)


class ConcurrencySpec(Part):
    """How many jobs of this pipeline may be active at once."""

    limit: Annotated[Count, *_ranged(1, 1_000_000, "`limit`")] | None = Field(
        None, description="Jobs that may be active; without limit when not given."
    )
    on_limit: Collision = Field(Collision.QUEUE, description="What a further job does.")


class Document(Part):
    """A pipeline file in the form of the newest generation."""

    version: str | None = Field(None, description="The product build that wrote the file; not part of its meaning.")
    name: Annotated[str, AfterValidator(_sentence(pipeline_name))]
    description: str = ""
    ownership: Ownership = Field(default_factory=Ownership)
    environment: PipelineEnvironment = Field(default_factory=PipelineEnvironment)
    params: list[ParamSpec] = Field(default_factory=list, description="What a run may set.")
    concurrency: ConcurrencySpec = Field(default_factory=ConcurrencySpec)
    priority: Annotated[Count, *_ranged(-100, 100, "`priority`")] = Field(0, description="Larger is more urgent.")
    tasks: Annotated[list[TaskSpec], Field(max_length=MAX_TASKS)] = Field(default_factory=list)

    _places: dict[Path, Node] = PrivateAttr(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        """Whether both say the same; where it was written plays no part."""
        if not isinstance(other, Document):
            return NotImplemented
        return self.__dict__ == other.__dict__ and self.__pydantic_extra__ == other.__pydantic_extra__

    __hash__ = None  # type: ignore[assignment]  # mutable, as every pydantic model

    @property
    def places(self) -> dict[Path, Node]:
        """Where each part was written, by canonical path; empty for a document that did not come from text."""
        return self._places
