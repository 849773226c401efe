"""The contract between commands and what they work on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

from .catalog import CatalogStore
from .people import People
from .values import (
    Changed,
    Credential,
    FromFile,
    FromVersion,
    Job,
    Limit,
    LogWriter,
    Pipeline,
    Published,
    Rerun,
    RunRequest,
    Secret,
    Skipped,
    Start,
    Task,
    Version,
    Whose,
)

if TYPE_CHECKING:
    from fasttrack.domain.events import FeedEvent
    from fasttrack.domain.retention import Kind, Retention
    from fasttrack.domain.states import JobState
    from fasttrack.ids import JobId

    from .board import Board, Viewer


class Pipelines(Protocol):
    """Pipelines of the project, and their versions."""

    async def page(
        self, *, limit: int, after: str | None, search: str, tags: Sequence[str], archived: bool
    ) -> list[Pipeline]:
        """Pipelines by name, beyond `after`, with `search` in the name and all of the tags; or those that are archived."""

    async def find(self, name: str) -> Pipeline | None:
        """The pipeline of that name, if there is one."""

    async def versions(self, name: str, *, limit: int, before: int | None) -> list[Version]:
        """Versions, newest first, with smaller numbers than `before`. :raises NotFound: no such pipeline."""

    async def version(self, name: str, number: int | None) -> Version:
        """A version with its content; `None` is the newest. :raises NotFound: no such pipeline or version."""

    async def publish(self, text: bytes, *, message: str, expect: int | None) -> Published:
        """Publish a file under the name that it carries. Idempotent for an unchanged file.

        :param expect: the newest version that its author knows of; another one is a conflict.
        :raises InvalidPipeline: with every problem of the file. :raises Conflict: somebody published in between.
        """

    async def restore(self, name: str, number: int) -> Published:
        """Publish an old version again, as the newest. :raises NotFound: no such pipeline or version."""


class Watch(Protocol):
    """A job that is being watched."""

    board: Board
    """Where it stands."""

    async def follow(self, viewer: Viewer) -> None:
        """Bring the board up to every event, once and in order, until the job is over; through outages."""


class Jobs(Protocol):
    """Jobs of the project."""

    async def page(
        self, *, limit: int, before: str | None, pipeline: str | None, states: Sequence[JobState]
    ) -> list[Job]:
        """Jobs, newest first, older than `before`. :raises NotFound: no such job or pipeline to look by."""

    async def find(self, text: str) -> Job:
        """The job of that id, whole or its last digits, four at least.

        :raises NotFound: there is none. :raises InvalidInput: it is no id, or more than one job ends so.
        """

    async def read(self, job: JobId) -> tuple[Job, Sequence[Task]]:
        """The job with its tasks as stored now. :raises NotFound: it is gone."""

    async def board(self, job: JobId) -> Board:
        """Where the job stands, with its graph. :raises NotFound: it is gone."""

    def history(self, job: JobId) -> AsyncIterator[FeedEvent]:
        """Every event of the job that is kept, oldest first."""

    def watching(self, job: JobId, *, scheduler: bool | None) -> AbstractAsyncContextManager[Watch]:
        """The job, ready to be followed.

        :param scheduler: whether to schedule it here meanwhile; `None`: as suits the place.
        """

    async def start(self, origin: FromFile | FromVersion, request: RunRequest, *, dry_run: bool) -> Start:
        """Publish if need be, and submit, or neither. With `dry_run` all is checked, and nothing kept.

        :raises InvalidPipeline: the file is not valid. :raises InvalidRun: the run cannot be started as asked.
        :raises NotFound: no such pipeline or version. :raises Conflict: the key stands for another request.
        """

    async def rerun(
        self, text: str, *, start: str | None, failed_only: bool, newest: bool, request: RunRequest, dry_run: bool
    ) -> Rerun:
        """Run a job again: as a whole, from a task on, or what failed. Errors as those of `start`."""

    async def cancel(self, texts: Sequence[str]) -> list[Changed]:
        """Ask for the cancel of all, in the order of ids. Idempotent. :raises NotFound: one is not there."""

    async def pause(self, texts: Sequence[str], pipelines: Sequence[str], *, stop: bool) -> list[Changed]:
        """Pause all of these jobs and pipelines. Idempotent. :raises Conflict: one of the jobs cannot be paused."""

    async def resume(self, texts: Sequence[str], pipelines: Sequence[str]) -> list[Changed]:
        """Have all of these jobs and pipelines go on. Idempotent."""

    async def skip(self, text: str, tasks: Sequence[str]) -> tuple[Job, list[Skipped]]:
        """Have all of these tasks of the job not be run. Idempotent.

        :raises NotFound: no such job or task. :raises Conflict: one of them has a session, or is over.
        """


class Projects(Protocol):
    """What pipelines, jobs and secrets belong to."""

    async def names(self) -> list[str]:
        """The names of all that may be seen, in order."""

    async def create(self, name: str, *, domain: str | None) -> None:
        """Make a project; one that is there is left as it is.

        :raises InvalidInput: it cannot be called that. :raises Conflict: it is there, in another domain.
        """


class Limits(Protocol):
    """How many tasks may have a session at once."""

    async def all(self) -> Sequence[Limit]:
        """The project's limits."""

    async def change(self, scope: str, name: str, slots: int | None) -> None:
        """Set a limit, or remove it with `None`. :raises NotFound: there is none to remove."""


class Secrets(Protocol):
    """The project's secrets: names come out, values only go in."""

    async def all(self) -> Sequence[Secret]:
        """What there is, by name."""

    async def put(self, name: str, value: str) -> None:
        """Store a secret, or replace its value."""

    async def delete(self, name: str) -> None:
        """Forget a secret. :raises NotFound: there is none of that name."""


class Credentials(Protocol):
    """What jobs run with on a cluster. Secret halves only go in."""

    async def all(self) -> Sequence[Credential]:
        """Those that the caller may change: projects by name, then people."""

    async def put(self, whose: Whose, access_key: str, secret_key: str, *, another_user: bool) -> Credential:
        """Set a key, or rotate it. :raises InvalidInput: the cluster does not take it.

        :raises Conflict: jobs would lose sight of folders. :raises Unavailable: the cluster cannot be asked.
        """

    async def delete(self, whose: Whose, *, access_key: str | None, another_user: bool) -> None:
        """Forget the credential, or one of its retiring keys. :raises NotFound: there is none.

        :raises Conflict: jobs run with it, or would lose sight of folders.
        """

    async def are_personal_allowed(self) -> bool:
        """Whether people's jobs in the project run with their own keys."""

    async def allow_personal(self, *, allowed: bool) -> None:
        """Have them do so, or not."""


class Retentions(Protocol):
    """How long the project keeps things. Each gives what holds, and for which kinds by a figure of the project's own."""

    async def read(self) -> tuple[Retention, frozenset[Kind]]:
        """What holds now."""

    async def change(self, changes: Mapping[Kind, str | int]) -> tuple[Retention, frozenset[Kind]]:
        """Give the project figures of its own. :raises InvalidInput: one is none, or they contradict one another."""

    async def reset(self) -> tuple[Retention, frozenset[Kind]]:
        """Have the settings alone say."""


class Logs(Protocol):
    """What tasks printed, with the project's secrets masked."""

    async def read(
        self,
        text: str,
        task: str,
        write: LogWriter,
        *,
        attempt: int | None,
        offset: int,
        tail: int | None,
        follow: bool,
    ) -> Sequence[str]:
        """Write what the task of the job printed; what a person should know besides, in sentences.

        :raises NotFound: no such job, task or attempt.
        """


class Store(CatalogStore, People, Protocol):
    """Everything that commands work on, for the time of one command."""

    @property
    def pipelines(self) -> Pipelines:
        """Pipelines and versions."""

    @property
    def jobs(self) -> Jobs:
        """Jobs and tasks."""

    @property
    def projects(self) -> Projects:
        """Projects."""

    @property
    def limits(self) -> Limits:
        """Limits."""

    @property
    def secrets(self) -> Secrets:
        """Secrets."""

    @property
    def credentials(self) -> Credentials:
        """Keys of a cluster."""

    @property
    def retention(self) -> Retentions:
        """Retention."""

    @property
    def logs(self) -> Logs:
        """Logs."""

    @property
    def is_scheduled(self) -> bool | None:
        """Whether somebody schedules here; `None`: it cannot be told."""

    @property
    def who_goes_on(self) -> str:
        """A sentence on who carries on with a job that is not watched any more."""
