"""The session backend contract: what runs compute sessions, and what the engine may count on.

Eleven verbs, each idempotent, each safe to call again after any failure, from any scheduler. A new backend can be
written from this file alone; `tests/contracts/test_session_backends.py` runs over every entry of the table in
`backends/__init__.py` and says the same in code.

The promises the engine builds on (design D2, *intent → fence → create → adopt*):

- A session's name is chosen by the engine, is the same after any replay, and is used once. For one name the command
  is executed **at most once**, whoever calls `create` and however often.
- `find` sees a session under its name after it has ended, until `forget_sessions` (or, with a backend that keeps ends
  for a time of its own, a day at least).
- An answer that is not known (time-out, broken connection) raises `SessionBackendUnavailable`; the engine then asks
  `find` and creates again only when the fence has passed. `SessionRefused` is definite: this session will never run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Protocol, TypeAlias

from fasttrack.domain.catalog import FolderProblem
from fasttrack.domain.pipeline import ClusterMode, Mount, Service
from fasttrack.domain.room import Room
from fasttrack.domain.states import FailureClass
from fasttrack.errors import FastTrackError, Unavailable
from fasttrack.ids import JobId, PipelineId
from fasttrack.storage import LogChunk

NO_SERVICES = (
    "this session backend starts no model services (`type: deployment`): skip the task, or run it on a cluster"
)
"""What a backend refuses a service with that has none."""
ROOM_AGE = timedelta(seconds=10)
"""How old an answer to `room` may be for whoever does not say."""


FolderProblems: TypeAlias = Mapping[PipelineId, FolderProblem | None]
"""What is wrong with the folders of pipelines; `None`: nothing, and left out: not known."""


class SessionStatus(StrEnum):
    """Where a compute session stands, in the words all backends share."""

    QUEUED = "QUEUED"
    """Accepted, waiting for room; `reason` says for what."""
    PREPARING = "PREPARING"
    """Being set up: image, folders."""
    RUNNING = "RUNNING"
    """The command runs."""
    STOPPING = "STOPPING"
    """Being ended."""
    SUCCEEDED = "SUCCEEDED"
    """Ended with exit code 0."""
    FAILED = "FAILED"
    """Ended otherwise; `failure` says how."""
    CANCELLED = "CANCELLED"
    """Ended by `terminate`, or by someone outside."""

    @property
    def is_terminal(self) -> bool:
        """Whether the session is over."""
        return self in (SessionStatus.SUCCEEDED, SessionStatus.FAILED, SessionStatus.CANCELLED)


class SessionRefused(FastTrackError):
    """The backend will never accept this session."""

    code = "SESSION_REFUSED"

    def __init__(self, message: str, failure: FailureClass = FailureClass.REFUSED) -> None:
        self.failure = failure
        super().__init__(message)


class SessionBackendUnavailable(Unavailable):
    """The session backend did not answer; whether the call took effect is not known."""


class CredentialsRefused(SessionBackendUnavailable):
    """The place does not take the key that the session is made with: somebody has to do something about it."""


class PartlyUnavailable(SessionBackendUnavailable):
    """The session backend answered for some sessions and not for others."""

    def __init__(self, message: str, seen: Sequence[Observation], unknown: Mapping[str, str]) -> None:
        """:param seen: what it answered. :param unknown: the names that it did not answer for, each with the reason."""
        self.seen = seen
        self.unknown = unknown
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Input:
    """Outputs that a task reads: those of a task it needs, from the job that made them."""

    job_id: JobId
    """The task's own job, or an earlier one where that is reused."""
    task: str


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folders a task sees, named by what they belong to; each backend knows where it keeps them.

    Inside the task: `/pipeline/vfroot` (of the pipeline, outlives the job), `/pipeline/outputs` (of this task in this
    job, fresh), `/pipeline/input1…n` (the outputs of `inputs`, in this order, read-only).
    """

    pipeline_id: PipelineId
    job_id: JobId
    task: str
    inputs: tuple[Input, ...] = ()
    """Outputs of the tasks this one needs, in the order of its dependencies."""
    mounts: tuple[Mount, ...] = ()
    """Further folders, at `/home/work/<alias>`."""


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """Everything a backend needs to run one attempt. Placeholders and secrets are filled in; never log `envs`."""

    name: str
    command: str
    """Given to `/bin/sh -c` as it stands."""
    image: str
    resource_group: str
    project: str
    cluster_mode: ClusterMode
    cluster_size: int
    slots: Mapping[str, Decimal]
    """Per container: `cpu` in cores, `mem` in bytes, any accelerator in its own unit."""
    shmem: int
    """Bytes."""
    envs: Mapping[str, str]
    workspace: Workspace
    priority: int = 0
    service: Service | None = None
    """The model service to start instead of a command: the session has SUCCEEDED when it serves. A backend that starts none
    refuses it."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What a backend says of one session at one moment."""

    name: str
    session_id: str
    """The backend's own identifier."""
    status: SessionStatus
    reason: str = ""
    """One sentence for people: what it waits for, why it failed."""
    exit_code: int | None = None
    failure: FailureClass | None = None
    """Set when `status` is FAILED or CANCELLED."""
    started_at: datetime | None = None
    """When the command started to run, by the backend's clock."""
    ended_at: datetime | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the attempt should remember: how it was isolated, which devices it got, where its log is."""


@dataclass(frozen=True, slots=True)
class Freed:
    """What was removed, or would be."""

    items: int = 0
    """Sessions, or jobs, of which something was there."""
    size: int = 0
    """Bytes."""
    stuck: tuple[str, ...] = ()
    """A sentence for each that could not be removed, and why; the others were."""

    def __add__(self, other: Freed) -> Freed:
        return Freed(self.items + other.items, self.size + other.size, self.stuck + other.stuck)


class SessionBackend(Protocol):
    """Runs compute sessions. All methods are safe to call concurrently and from several schedulers."""

    site: str
    """Names the place this backend's sessions live in: a cluster, or one machine's state directory. Schedulers that
    share a site see the same sessions; a job stays on the site it started on. Known before `start` if the site was ever
    used."""

    fence: timedelta
    """A create that is sent in the first three quarters of this time takes effect before its end, or never; the engine
    sends none later. Until the end a missing session is not created again. At least a second: a create that could not be
    sent in time is decided anew."""

    async def start(self) -> None:
        """Get ready: open pools, pick up sessions that were running before. Called once, before anything else."""

    async def close(self) -> None:
        """Let go of everything without ending a session. Safe to call twice."""

    async def create(self, spec: SessionSpec) -> Observation:
        """Start a session under `spec.name`, or return the one that already has that name, alive or dead.

        Returns when the backend holds the session (usually QUEUED or RUNNING); never waits for capacity. It may wait a
        moment for it to begin, or to be over, where that saves telling of it twice.

        :raises SessionRefused: it can never run (unknown folder, more than the site has, a kind it cannot run).
        :raises SessionBackendUnavailable: not known whether it took effect.
        """

    async def find(self, name: str) -> Observation | None:
        """The session with exactly this name, dead ones included, or `None` if there never was one.

        :raises SessionBackendUnavailable: not known.
        """

    async def observe(self, names: Sequence[str]) -> list[Observation]:
        """What is known of these sessions now, in any order; a name that is not known is left out.

        One round trip for all of them where the backend can. :raises SessionBackendUnavailable: not known.
        :raises PartlyUnavailable: not known for some of them; it has what is known of the others.
        """

    async def live(self) -> list[Observation]:
        """Every session of this site that is not over, and every service that ends with its job and has not been ended,
        whoever asked for it: how orphans are found.

        :raises SessionBackendUnavailable: not known.
        """

    async def terminate(self, name: str, *, grace: timedelta) -> None:
        """End the session: ask, wait at most `grace`, force. A session that is over, or unknown, is left as it is; a service
        is ended although it has succeeded.

        Returns when the end is under way; its CANCELLED is seen by `observe`. Everything the session started ends
        with it. :raises SessionBackendUnavailable: not known.
        """

    async def logs(self, name: str, *, offset: int, limit: int) -> LogChunk:
        """At most `limit` bytes of the session's output from byte `offset` on; empty if nothing is there yet.

        An offset past the end gives an empty chunk, never an error. Readable while it runs and after it ended, with the
        chunk's `size` where it is known. A backend is thus a `LogSource` (`storage/base.py`).
        """

    async def room(self, *, max_age: timedelta = ROOM_AGE) -> Mapping[str, Room]:
        """What the site has in all and what of it is free, by resource group: `cpu` in cores, `mem` in bytes, accelerators
        each in their own unit. `ANY_GROUP` (of `domain.usage`) alone for a site without groups; empty where nobody knows.

        Whoever uses it: sessions of others are counted. As it was at most `max_age` ago, all groups by one question to the
        cluster, which many that ask at once share. :raises SessionBackendUnavailable: not known for now.
        """

    async def forget_sessions(self, names: Sequence[str], *, dry_run: bool = False) -> Freed:
        """Remove the record and the output of these sessions: `find` and `logs` know them no more.

        A session that is not over, or unknown, is left as it is, so it may be called again after it was cut short
        anywhere. Works without `start`, may take long, and ends soon when it is cancelled. With `dry_run` nothing is
        removed, only told. :raises SessionBackendUnavailable: some may be gone, some not.
        """

    async def forget_outputs(self, jobs: Sequence[tuple[PipelineId, JobId]], *, dry_run: bool = False) -> Freed:
        """Remove all that the tasks of these jobs wrote to `/pipeline/outputs`; the jobs are over.

        As `forget_sessions` for the rest. `/pipeline/vfroot` belongs to the pipeline and is not touched.
        """

    async def forget_pipelines(self, pipelines: Sequence[PipelineId], *, dry_run: bool = False) -> Freed:
        """Remove `/pipeline/vfroot` of these pipelines, and what is left of their jobs' outputs; nothing of them runs, or
        ever will.

        As `forget_sessions` for the rest.
        """

    async def folder_problems(self, pipelines: Sequence[tuple[PipelineId, JobId]]) -> FolderProblems:
        """Whether the folders of these pipelines are still there, each with the newest of its jobs that had a session:
        `None` where nothing is wrong. One that is left out is not known for now, or never lost.

        One question to the cluster for all of them where the backend can, or one for each key.
        :raises SessionBackendUnavailable: not known of any.
        """

    def events(self) -> AsyncIterator[str]:
        """Names of sessions that changed: hints to look, possibly lost, repeated or unknown."""


async def wait_until_terminal(
    backend: SessionBackend, name: str, *, timeout: float, every: float = 0.02
) -> Observation:
    """Observe until the session is over (for tests and tools). :raises TimeoutError: it is not."""
    async with asyncio.timeout(timeout):
        while True:
            for seen in await backend.observe([name]):
                if seen.status.is_terminal:
                    return seen
            await asyncio.sleep(every)
