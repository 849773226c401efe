"""What the REST API takes and gives. Names are part of its contract: fields are added, never renamed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from fasttrack.domain.states import FailureClass, InstanceState, JobState
from fasttrack.storage.base import EntryKind

T = TypeVar("T")
Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]

_JOB = "01936f2e-7a10-7c3e-9d55-0a1b2c3d4e5f"
_PIPELINE = "01936f2e-0000-7c3e-9d55-0a1b2c3d4e5f"
_WHEN = "2026-11-24T09:00:00Z"


def example(**values: Any) -> ConfigDict:
    """The configuration of what is given, with an example for the documentation."""
    return ConfigDict(from_attributes=True, json_schema_extra={"examples": [values]})


def body(**values: Any) -> ConfigDict:
    """The configuration of what is taken: no field but its own, with an example for the documentation."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [values]})


class Page(BaseModel, Generic[T]):
    """Some things of a list."""

    items: list[T]
    next: str | None = Field(None, description="`after` of the page that follows; `null`: this is the last one.")


class Project(BaseModel):
    """What pipelines, jobs and secrets belong to."""

    model_config = example(id=_PIPELINE, name="default", domain="default", created_at=_WHEN)
    id: UUID
    name: str
    domain: str = Field(description="The part of the organisation that it belongs to; its admins are the project's.")
    created_at: datetime


class Pipeline(BaseModel):
    """A pipeline; its content is in its versions."""

    model_config = example(
        id=_PIPELINE, name="train", latest_version=3, latest_job=12, created_by="ada", created_at=_WHEN, paused_at=None,
        archived_at=None, description="Fits the small model.", tags=["nlp"], revision=2, problem=None,
    )  # fmt: skip
    id: UUID
    name: str
    latest_version: int = Field(description="The number of its newest version; 0: it is empty.")
    latest_job: int = Field(description="The number of its newest job; 0: it never ran.")
    created_by: str
    created_at: datetime
    paused_at: datetime | None = Field(None, description="Since when it starts nothing; `null`: it does.")
    archived_at: datetime | None = Field(None, description="When it was archived; `null`: it is live.")
    description: str = Field("", description="What it is for; may be empty.")
    tags: list[str] = Field(default_factory=list, description="Its tags, sorted.")
    revision: int = Field(1, description="Grows when its name, description, tags or archiving change.")
    problem: str | None = Field(None, description="What keeps its jobs from running, and the remedy; `null`: nothing.")


class Version(BaseModel):
    """One immutable version of a pipeline."""

    model_config = example(
        id=_PIPELINE, number=3, author="ada", message="more epochs", hash="5f3a09c1", created_at=_WHEN
    )
    id: UUID
    number: int
    author: str
    message: str = Field(description="Why, in the author's words; may be empty.")
    hash: str = Field(description="Of the meaning: equal definitions have equal hashes, however they are written.")
    created_at: datetime


class VersionDocument(Version):
    """A version with its content."""

    model_config = example(
        id=_PIPELINE, number=3, author="ada", message="", hash="5f3a09c1", created_at=_WHEN,
        source="name: train\ntasks: []\n", spec={"name": "train"},
    )  # fmt: skip
    source: str = Field(description="The YAML as it was published, comments included.")
    spec: dict[str, Any] = Field(description="The canonical document, of the newest generation.")


class Finding(BaseModel):
    """Something about a pipeline file that its author probably wants to know."""

    model_config = ConfigDict(from_attributes=True)
    message: str
    path: str
    line: int
    column: int
    severity: Literal["error", "warning"]


class Published(BaseModel):
    """What publishing gave."""

    model_config = example(
        pipeline=_PIPELINE, name="train", tasks=4, is_new=True, warnings=[],
        version=dict(id=_PIPELINE, number=3, author="ada", message="", hash="5f3a09c1", created_at=_WHEN),
    )  # fmt: skip
    pipeline: UUID = Field(description="The pipeline's id.")
    name: str = Field(description="The pipeline's name.")
    tasks: int = Field(description="How many tasks it has.")
    version: Version
    is_new: bool = Field(description="`false`: the newest version means the same already, and was left as it is.")
    warnings: list[Finding]


class Draft(BaseModel):
    """What saving a draft gave."""

    model_config = example(revision=7, base_version=3, is_valid=True, problems=[])
    revision: int = Field(description="One more with every change, never used twice.")
    base_version: int = Field(description="The version it began from, 0 for none.")
    is_valid: bool = Field(description="Whether it could be published: it has no error.")
    problems: list[Finding]


class RunBody(BaseModel):
    """What a run asks for."""

    model_config = body(
        params={"epochs": 3}, skip=["upload"], overrides={"fit": {"resources": {"mem": "32g"}}}, priority=10
    )
    params: dict[Name, str | int | float | bool] = Field(
        default_factory=dict, max_length=1000, description="Values of the pipeline's params, over their defaults."
    )
    skip: list[Name] = Field(
        default_factory=list,
        max_length=10_000,
        description="Tasks not to run, besides those the file skips; they count as done.",
    )
    overrides: dict[Name, dict[str, Any]] = Field(
        default_factory=dict,
        max_length=1000,
        description="What some tasks have otherwise in this job, in the words of the file: `resources`, `environment` with "
        "`image`, `scaling-group` and `envs`, `retry`, `timeouts`.",
    )
    priority: int | None = Field(None, ge=-100, le=100, description="Over the pipeline's own; larger is more urgent.")
    version: int | None = Field(None, ge=1, le=2**31 - 1, description="Which version; `null` is the newest.")


class Job(BaseModel):
    """A run of a pipeline."""

    model_config = example(
        id=_JOB, pipeline_id=_PIPELINE, pipeline="train", number=12, version=3, state="RUNNING", reason="",
        params={"epochs": 3}, skip=[], submitted_by="ada", tasks=4, open_tasks=2, seq=9, created_at=_WHEN,
        started_at=_WHEN, ended_at=None, origin_job_id=None, pruned_at=None,
    )  # fmt: skip
    id: UUID
    pipeline_id: UUID
    pipeline: str = Field(description="The pipeline's name.")
    number: int = Field(description="The running number inside its pipeline, from 1.")
    version: int
    state: JobState
    reason: str = Field(description="Why it is in this state, or what it waits for; may be empty.")
    params: dict[str, Any]
    skip: list[str]
    overrides: dict[str, Any] | None = Field(None, description="By task, what it has otherwise than the file says.")
    submitted_by: str
    tasks: int
    open_tasks: int = Field(description="Tasks that are not over.")
    seq: int = Field(description="How many events it has.")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None = Field(description="`null`: it is not over.")
    origin_job_id: UUID | None = Field(description="The job it runs again.")
    pruned_at: datetime | None = Field(description="Since when its outputs and logs are gone.")


class Task(BaseModel):
    """A task of a job, with its newest attempt."""

    model_config = example(
        id=_JOB, index=0, name="fit", state="RUNNING", reason="", attempt=1, failure=None, exit_code=None,
        not_before=None, ready_at=_WHEN, started_at=_WHEN, ended_at=None, session_id="ft-…", facts={},
        reused_from=None, pool=None,
    )  # fmt: skip
    id: UUID
    index: int = Field(description="Its place in the file, from 0.")
    name: str
    state: InstanceState
    reason: str = Field(description="Why it is in this state, or what it waits for; may be empty.")
    attempt: int = Field(description="The number of the newest attempt; 0: none yet.")
    failure: FailureClass | None
    exit_code: int | None
    not_before: datetime | None = Field(description="It is not tried again before.")
    ready_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    session_id: str | None
    facts: dict[str, str] = Field(
        description="What the backend said of the newest attempt; of a model service its name and address."
    )
    reused_from: UUID | None = Field(description="The job whose outputs stand for its own.")
    pool: str | None

    @field_validator("facts")
    @classmethod
    def _no_places(cls, facts: dict[str, str]) -> dict[str, str]:
        # Where the backend keeps its files is for whoever runs the service.
        return {name: value for name, value in facts.items() if not value.startswith("/")}


class File(BaseModel):
    """A name in a folder."""

    model_config = example(name="model.bin", path="epoch-3/model.bin", kind="FILE", size=1048576, modified_at=_WHEN)
    name: str
    path: str = Field(description="From the folder on: what a download takes.")
    kind: EntryKind = Field(description="`OTHER` is a link or a special file: it is listed, and never opened.")
    size: int = Field(description="Bytes of a file; 0 for anything else.")
    modified_at: datetime


class Upload(BaseModel):
    """A file on its way into a pipeline's vfroot."""

    model_config = example(id=_JOB, path="data/train.csv", length=1048576, offset=0, is_done=False, changed_at=_WHEN)
    id: UUID
    path: str = Field(description="Where it is going to be.")
    length: int
    offset: int = Field(description="How many bytes are there: where to go on.")
    is_done: bool = Field(description="Whether the file is in its place, whole.")
    changed_at: datetime


class ExportedTask(Task):
    """A task with the job it belongs to."""

    job_id: UUID


class ExportedEvent(BaseModel):
    """An event of the feed."""

    cursor: str = Field(description="`after` of an export that goes on behind this event.")
    job_id: UUID
    seq: int = Field(description="Its place in the history of its job: 1, 2, 3 … without a gap.")
    kind: str
    at: datetime
    task: str | None
    task_instance_id: UUID | None
    payload: dict[str, Any]


class Submitted(BaseModel):
    """The job that a request led to."""

    model_config = example(id=_JOB, number=12, is_new=True, refused="")
    id: UUID
    number: int
    is_new: bool = Field(description="`false`: the idempotency key was used before, and this is its job.")
    refused: str = Field(description="Why the pipeline's limit did not take it (the job is CANCELLED); else empty.")


class Changed(BaseModel):
    """A job that something was asked of."""

    model_config = example(id=_JOB, state_before="RUNNING")
    id: UUID
    state_before: JobState = Field(description="Its state when it was asked.")


class TaskChanged(BaseModel):
    """A task of a job that something was asked of."""

    model_config = example(id=_PIPELINE, job_id=_JOB, name="upload", state_before="READY")
    id: UUID = Field(description="Of the task instance.")
    job_id: UUID
    name: str
    state_before: InstanceState = Field(description="Its state when it was asked.")


class PauseBody(BaseModel):
    """How to pause."""

    model_config = body(stop=True)
    stop: bool = Field(False, description="End what runs as well; it begins anew when the job is resumed.")


class RerunBody(BaseModel):
    """What to run again."""

    model_config = body(start="fit", version="new", params={"epochs": 5})
    start: Name | None = Field(None, description="The task to start from; `null` is the whole job.")
    failed_only: bool = Field(False, description="Run what did not succeed, and what comes after it.")
    version: Literal["same", "new"] = Field("same", description="The job's own version, or the pipeline's newest.")
    params: dict[Name, str | int | float | bool] = Field(
        default_factory=dict, max_length=1000, description="Over those of the job."
    )
    overrides: dict[Name, dict[str, Any]] = Field(
        default_factory=dict, max_length=1000, description="By task, in place of those of the job; `{}` is as the file."
    )


class RerunPlan(BaseModel):
    """What running a job again does."""

    origin: UUID
    version: int
    runs: list[str]
    reuses: dict[str, UUID] = Field(description="Tasks that do not run, with the job whose outputs stand for them.")
    skips: list[str]
    unmatched: list[str] = Field(description="Tasks of the job that the version has no more.")
    added: list[str] = Field(description="Tasks of the version that the job did not have.")
    dropped_params: list[str] = Field(description="Params of the job that the version has no more.")


class Rerun(BaseModel):
    """A plan, and the job that carries it out."""

    model_config = example(
        job=dict(id=_JOB, number=13, is_new=True, refused=""),
        plan=dict(
            origin=_JOB, version=3, runs=["fit"], reuses={"load": _JOB}, skips=[], unmatched=[], added=[],
            dropped_params=[],
        ),
    )  # fmt: skip
    job: Submitted | None = Field(description="`null`: it was only tried.")
    plan: RerunPlan


class Limit(BaseModel):
    """A limit with what is used of it."""

    model_config = example(scope="pool", name="gpu-loaders", slots=4, used=2, waiting=1, revision=7)
    scope: Literal["project", "resource_group", "pool"]
    name: str = Field(description="Of the resource group or pool; empty for the project.")
    slots: int
    used: int
    waiting: int = Field(description="Tasks that wait for it.")
    revision: int = Field(description='Another one whenever it is changed; `If-Match` takes 7 as `"r7"`.')


class LimitBody(BaseModel):
    """A limit to set."""

    model_config = body(slots=4)
    slots: int = Field(ge=0, le=100_000, description="How many at once; 0 lets nothing start.")


class Secret(BaseModel):
    """A secret, never its value."""

    model_config = example(name="HUB_TOKEN", updated_by="ada", updated_at=_WHEN, revision=7)
    name: str
    updated_by: str
    updated_at: datetime
    revision: int = Field(description='Another one with every value; `If-Match` takes 7 as `"r7"`.')


class SecretBody(BaseModel):
    """A value to keep."""

    model_config = body(value="s3cr3t")
    value: Annotated[str, StringConstraints(min_length=1, max_length=65536)] = Field(
        description="At most 64 KiB in UTF-8; it is never given out again."
    )


class Health(BaseModel):
    """Whether it is well."""

    model_config = example(status="ok")
    status: Literal["ok"]


class Readiness(BaseModel):
    """Whether the process can work, and what it waits for."""

    model_config = example(status="ok", waits_for=[], without=[])
    status: Literal["ok", "waiting"]
    waits_for: list[str] = Field(description="`database`, `schema`; empty: it can work.")
    without: list[str] = Field(description="What is away without harm: `valkey`, whose wake-ups only make it faster.")


class About(BaseModel):
    """What answers here."""

    model_config = example(name="FastTrack", version="0.1.0", openapi="/api/v1/openapi.json", docs="/docs")
    name: str
    version: str
    openapi: str | None = Field(
        description="Where the description for programs is; null: the server keeps it to itself."
    )
    docs: str | None = Field(description="Where the description for people is; null: the server keeps it to itself.")
