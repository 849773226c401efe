"""What all writes share: errors as data, things found with the right to change them, and the doorbell after the commit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import strawberry
from graphql import GraphQLError

from fasttrack.db import Db
from fasttrack.db.listings import JobListing, PipelineListing, ProjectListing, load_jobs, load_pipelines, load_projects
from fasttrack.domain.access import Permission
from fasttrack.domain.job import ParamValue
from fasttrack.errors import Conflict, FastTrackError, InvalidInput, InvalidPipeline, NotFound
from fasttrack.ids import JobId, ProjectId

from ..context import Context
from ..errors import public_of
from ..ids import Kind, require_id
from ..types.common import PipelineProblem as PipelineProblem

T = TypeVar("T")
REVISION = "The revision that you have seen; another is a CONFLICT. Null: whatever there is."
"""What every argument of that name says."""
_LARGEST = 2**53  # integers that every client can read
_MOST_PARAMS = 200


@strawberry.type(description="Why something was not done. Nothing was changed.")
class MutationError:
    """Of a write."""

    code: str = strawberry.field(
        description="For programs, such as `NOT_FOUND`, `FORBIDDEN`, `CONFLICT`, `INVALID_INPUT`; codes may be added."
    )
    message: str = strawberry.field(description="For people: what is wrong and what would be right.")
    path: list[str] | None = strawberry.field(
        description='Which part of the input it is about, such as `["input", "params"]`; null: all of it.'
    )
    retryable: bool = strawberry.field(description="Whether the same call may succeed later without a change.")
    cause: strawberry.Private[Exception]


class BadInput(InvalidInput):
    """A part of the input is not valid."""

    def __init__(self, part: str, message: str) -> None:
        super().__init__(message)
        self.part = part


async def tried(work: Callable[[], Awaitable[T]]) -> tuple[T | None, list[MutationError]]:
    """What `work` gave, or why it did not, as data. A fault of ours is raised, and answered as such."""
    try:
        return await work(), []
    except Exception as error:
        public = public_of(GraphQLError(str(error), original_error=error))
        if public is None:
            raise
        message, facts = public
        part = getattr(error, "part", None)
        if isinstance(error, InvalidPipeline):
            message, part = "the file is not valid: see the problems", "yaml"
        return None, [
            MutationError(
                code=str(facts["code"]),
                message=message,
                path=["input", part] if part else None,
                retryable=isinstance(error, FastTrackError) and error.retryable,
                cause=error,
            )
        ]


async def project_for(db: Db, context: Context, text: str, permission: Permission) -> ProjectId:
    """The project, if the caller may do that in it.

    :raises NotFound: there is none that they may read. :raises Forbidden: they may read it, but not do this.
    """
    return (await project_named_for(db, context, text, permission)).id


async def project_named_for(db: Db, context: Context, text: str, permission: Permission) -> ProjectListing:
    """`project_for`, with its name and the rest."""
    identifier = require_id(Kind.PROJECT, text)
    found = (await load_projects(db, context.caller.projects, [identifier])).get(identifier)
    if found is None:
        raise NotFound("there is no such project")
    context.caller.require(permission, found.id)
    return found


async def pipeline_for(db: Db, context: Context, text: str, permission: Permission) -> PipelineListing:
    """The live pipeline, if the caller may do that to it.

    :raises NotFound: there is none that they may read. :raises Forbidden: they may read it, but not do this.
    :raises Conflict: it is archived.
    """
    identifier = require_id(Kind.PIPELINE, text)
    found = (await load_pipelines(db, context.caller.projects, [identifier])).get(identifier)
    if found is None:
        raise NotFound("there is no such pipeline")
    context.caller.require(permission, found.project_id, what="pipeline")
    if found.archived_at is not None:
        raise Conflict(f"pipeline {found.name} is archived")
    return found


async def job_for(db: Db, context: Context, text: str, permission: Permission) -> JobListing:
    """The job, if the caller may do that to it.

    :raises NotFound: there is none that they may read. :raises Forbidden: they may read it, but not do this.
    """
    identifier = require_id(Kind.JOB, text)
    found = await job_now(db, context, JobId(identifier))
    context.caller.require(permission, found.project_id, what="job")
    return found


async def job_now(db: Db, context: Context, job: JobId) -> JobListing:
    """The job as it is now. :raises NotFound: there is none that the caller may read."""
    found = (await load_jobs(db, context.caller.projects, [job])).get(job)
    if found is None:
        raise NotFound("there is no such job")
    return found


def params_of(value: Any) -> Mapping[str, ParamValue]:
    """Parameters as they were given. :raises BadInput: they are no object of plain values."""
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > _MOST_PARAMS:
        raise BadInput("params", f'params are an object such as {{"epochs": 3}}, with at most {_MOST_PARAMS} entries')
    for name, given in value.items():
        is_large = isinstance(given, int) and abs(given) > _LARGEST
        if not isinstance(given, str | int | float | bool) or is_large:
            raise BadInput("params", f"{str(name)[:80]!r} has to be a text, a number up to 2^53, true or false")
    return value


def overrides_of(value: Any) -> Mapping[str, Any]:
    """What a run is to have otherwise, as it was given; the run checks it. :raises BadInput: it is no object."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadInput("overrides", 'overrides are an object by task, such as {"train": {"resources": {"cpu": 8}}}')
    return value


def bounded(part: str, value: str, most: int) -> str:
    """The text, if it is not longer than that. :raises BadInput: it is."""
    if len(value) > most or "\0" in value:
        raise BadInput(part, f"at most {most} characters, and no NUL character")
    return value
