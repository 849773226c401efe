"""Lists of jobs, asked for in several places in the same way."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from fasttrack.db.feed import read_head
from fasttrack.db.listings import JobFilter as Wanted
from fasttrack.db.listings import list_jobs_of
from fasttrack.domain.moments import require_moment
from fasttrack.domain.states import JobState
from fasttrack.errors import InvalidInput
from fasttrack.feed import Cursor
from fasttrack.ids import PipelineId, VersionId

from ..context import Context
from ..ids import Kind, require_id
from ..paging import Listing
from .job import Job, JobConnection

_JOBS = Listing("j", UUID)
_MOST_STATES = 7


@strawberry.input(description="Which jobs; what is left out plays no part.")
class JobFilter:
    """Of a list of jobs."""

    states: list[JobState] | None = strawberry.field(
        default=None, description="Those in one of these states; null or empty: in any."
    )
    pipeline_id: strawberry.ID | None = strawberry.field(
        default=None, description="Those of this pipeline, by its global id; null: of any."
    )
    version_id: strawberry.ID | None = strawberry.field(
        default=None, description="Those of this version, by its global id; null: of any."
    )
    created_from: datetime | None = strawberry.field(
        default=None, description="Those submitted then or later, with a time zone; null: however early."
    )
    created_before: datetime | None = strawberry.field(
        default=None, description="Those submitted before, with a time zone; null: however late."
    )


Filter = Annotated[JobFilter | None, strawberry.argument(description="Which ones; null: all.")]


async def jobs_page(
    context: Context,
    within: Wanted,
    filter: JobFilter | None,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
) -> JobConnection:
    """A page of the jobs within something that the caller may read."""
    window = _JOBS.window(first, after, last, before, most=context.page_size)
    wanted = _narrowed(within, filter) if filter is not None else within
    async with context.reading() as db:
        head = await read_head(db)
        page = await list_jobs_of(db, wanted, window)
    return JobConnection(
        **_JOBS.parts(page, window, Job.of, lambda j: (j.id,)), feed_cursor=str(Cursor(head.epoch, head.pos))
    )


def _narrowed(within: Wanted, filter: JobFilter) -> Wanted:
    for moment in (filter.created_from, filter.created_before):
        require_moment(moment)
    if within.pipeline is not None and filter.pipeline_id is not None:
        raise InvalidInput("these are the jobs of one pipeline already; leave `pipelineId` out")
    if within.version is not None and filter.version_id is not None:
        raise InvalidInput("these are the jobs of one version already; leave `versionId` out")
    if filter.pipeline_id is not None:
        within = replace(within, pipeline=PipelineId(require_id(Kind.PIPELINE, filter.pipeline_id)))
    if filter.version_id is not None:
        within = replace(within, version=VersionId(require_id(Kind.VERSION, filter.version_id)))
    return replace(
        within,
        states=tuple(dict.fromkeys(filter.states or ()))[:_MOST_STATES],
        created_from=filter.created_from,
        created_before=filter.created_before,
    )
