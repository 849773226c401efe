"""Projects: what pipelines, jobs, limits and secrets belong to."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from fasttrack.db.credential_records import allows_personal_keys
from fasttrack.db.limits import Limit as StoredLimit
from fasttrack.db.limits import list_limits
from fasttrack.db.listings import (
    BY_AGE,
    BY_AGE_DOWN,
    BY_NAME,
    BY_NAME_DOWN,
    PipelineListing,
    ProjectListing,
    list_pipelines_of,
)
from fasttrack.db.listings import JobFilter as Wanted
from fasttrack.db.pipelines import find_pipeline
from fasttrack.db.secrets import SecretRecord, list_secrets
from fasttrack.domain.access import Permission
from fasttrack.domain.catalog import checked_tags
from fasttrack.domain.credentials import Holder
from fasttrack.domain.states import JobState
from fasttrack.errors import InvalidInput, NotFound
from fasttrack.ids import PipelineId
from fasttrack.workflow import statistics
from fasttrack.workflow.accounts import list_service_accounts
from fasttrack.workflow.credentials import read_credential
from fasttrack.workflow.members import list_members
from fasttrack.workflow.statistics import Bucket
from fasttrack.workflow.tokens import list_tokens

from ..context import Info
from ..ids import Kind, require_id, to_global
from ..paging import After, Before, Connection, First, Last, Listing
from .account import (
    ACCOUNTS,
    MEMBERS,
    TOKENS,
    Account,
    AccountConnection,
    Member,
    MemberConnection,
    Token,
    TokenConnection,
)
from .audit import AuditEntryConnection, audit_page
from .audit import Filter as OfAudit
from .common import JobStateCount, Node
from .credential import BackendCredential
from .enums import LimitScope, PipelineOrder
from .job import JobConnection
from .listing import Filter, jobs_page
from .pipeline import Pipeline, PipelineConnection
from .statistics import JobStatistics

_BY_NAME = Listing("pn", str, UUID)
_BY_AGE = Listing("pa", UUID)
_ORDERS = {
    PipelineOrder.NAME: (BY_NAME, _BY_NAME),
    PipelineOrder.NAME_DESC: (BY_NAME_DOWN, _BY_NAME),
    PipelineOrder.CREATED: (BY_AGE, _BY_AGE),
    PipelineOrder.CREATED_DESC: (BY_AGE_DOWN, _BY_AGE),
}
_LONGEST_SEARCH = 200


@strawberry.input(description="Which pipelines; what is left out plays no part.")
class PipelineFilter:
    """Of a project."""

    search: str | None = strawberry.field(
        default=None,
        description="Those whose name has this in it, in upper or lower case; at most 200 characters. Null: any.",
    )
    tags: list[str] | None = strawberry.field(
        default=None, description="Those that have all of these tags, at most 20; null or empty: whatever they have."
    )
    is_paused: bool | None = strawberry.field(
        default=None, description="True: those that are paused; false: those that are not. Null: both."
    )
    is_archived: bool = strawberry.field(
        default=False, description="True: those that are archived, instead of those that are live."
    )


@strawberry.type(description="How many tasks of something may have a session at once.")
class Limit:
    """Of a project, a resource group or a pool."""

    scope: LimitScope = strawberry.field(description="What it is of.")
    name: str = strawberry.field(description="The resource group or pool; empty for the project itself.")
    slots: int = strawberry.field(description="How many at once; 0: none starts.")
    used: int = strawberry.field(description="How many are taken; above `slots` after it was lowered.")
    waiting: int = strawberry.field(description="How many tasks wait for it, counted up to 10,000.")
    revision: int = strawberry.field(description="Another one with every change, which `expectedRevision` takes.")

    @classmethod
    def of(cls, record: StoredLimit) -> Limit:
        """As the schema shows it."""
        return cls(
            scope=LimitScope(record.scope),
            name=record.name,
            slots=record.slots,
            used=record.used,
            waiting=record.waiting,
            revision=record.revision,
        )


@strawberry.type(description="A secret. Its value can be replaced, and is never shown.")
class Secret:
    """Of a project."""

    name: str = strawberry.field(description="Its name: tasks write `${{ secrets.NAME }}`.")
    updated_by: str = strawberry.field(description="Who stored it last.")
    updated_at: datetime = strawberry.field(description="When it was stored last.")
    revision: int = strawberry.field(description="Another one with every value, which `expectedRevision` takes.")

    @classmethod
    def of(cls, record: SecretRecord) -> Secret:
        """As the schema shows it."""
        return cls(
            name=record.name, updated_by=record.updated_by, updated_at=record.updated_at, revision=record.revision
        )


@strawberry.type(description="A project: a place of its own, seen by its members only.")
class Project(Node):
    """A project."""

    uuid: strawberry.ID = strawberry.field(description="Its UUID, as REST uses it.")
    name: str = strawberry.field(description="Its name.")
    domain: str = strawberry.field(
        description="The part of the organisation that it belongs to; the domain's admins are its admins."
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    record: strawberry.Private[ProjectListing]

    @classmethod
    def of(cls, record: ProjectListing) -> Project:
        """As the schema shows it."""
        return cls(
            id=strawberry.ID(to_global(Kind.PROJECT, record.id)),
            uuid=strawberry.ID(str(record.id)),
            name=record.name,
            domain=record.domain,
            created_at=record.created_at,
            record=record,
        )

    @strawberry.field(description="What you may do in it.")
    def viewer_permissions(self, info: Info) -> list[Permission]:
        """What the caller may do."""
        return [p for p in Permission if info.context.caller.may(p, self.record.id)]

    @strawberry.field(description="Its pipelines.")
    async def pipelines(
        self,
        info: Info,
        filter: Annotated[
            PipelineFilter | None, strawberry.argument(description="Which ones; null: the live ones.")
        ] = None,
        order: Annotated[
            PipelineOrder, strawberry.argument(description="In which order. A cursor holds for one order only.")
        ] = PipelineOrder.NAME,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> PipelineConnection:
        """A page of its pipelines."""
        wanted = filter or PipelineFilter()
        search = wanted.search or ""
        if len(search) > _LONGEST_SEARCH:
            raise InvalidInput(f"a search has at most {_LONGEST_SEARCH} characters")
        tags = checked_tags(wanted.tags or ())
        by, listing = _ORDERS[order]
        window = listing.window(first, after, last, before, most=info.context.page_size)
        async with info.context.reading() as db:
            page = await list_pipelines_of(
                db,
                self.record.id,
                window,
                order=by,
                search=search.replace("\0", ""),
                tags=tags,
                is_paused=wanted.is_paused,
                is_archived=wanted.is_archived,
            )

        def key(pipeline: PipelineListing) -> tuple[object, ...]:
            return (pipeline.name, pipeline.id) if listing is _BY_NAME else (pipeline.id,)

        return PipelineConnection(**listing.parts(page, window, Pipeline.of, key))

    @strawberry.field(description="Its live pipeline of that name; an error with the code NOT_FOUND if there is none.")
    async def pipeline(
        self, info: Info, name: Annotated[str, strawberry.argument(description="The pipeline's name.")]
    ) -> Pipeline:
        """The pipeline of that name."""
        async with info.context.reading() as db:
            record = await find_pipeline(db, self.record.id, name)
        found = await info.context.loaders.pipelines.load(record.id) if record is not None else None
        if found is None:
            raise NotFound("the project has no such pipeline")
        return Pipeline.of(found)

    @strawberry.field(description="Its jobs, the newest first.")
    async def jobs(
        self,
        info: Info,
        filter: Filter = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> JobConnection:
        """A page of its jobs."""
        return await jobs_page(info.context, Wanted(project=self.record.id), filter, first, after, last, before)

    @strawberry.field(
        description="How many of its jobs are in each state that is not final; states that none is in are left out."
    )
    async def open_job_counts(self, info: Info) -> list[JobStateCount]:
        """Its jobs that are not over, by state."""
        counts = await info.context.loaders.open_jobs.load(self.record.id) or {}
        return [JobStateCount(state=s, count=counts[s]) for s in JobState if s in counts]

    @strawberry.field(
        description="Its jobs by when they ended, for charts: one entry per span of time in order, at most 400, those in "
        "which none ended included.",
        metadata={"cost": 20, "size": 1},
    )
    async def job_statistics(
        self,
        info: Info,
        start: Annotated[
            datetime | None,
            strawberry.argument(
                name="from", description="In the first span; null: a week (HOUR) or 30 days (DAY) before `to`."
            ),
        ] = None,
        end: Annotated[
            datetime | None, strawberry.argument(name="to", description="Nothing later is counted; null: now.")
        ] = None,
        bucket: Annotated[Bucket, strawberry.argument(description="How time is cut.")] = Bucket.DAY,
        pipeline_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Only jobs of this pipeline, by its global id; null: of all."),
        ] = None,
    ) -> list[JobStatistics]:
        """What charts show."""
        pipeline = None if pipeline_id is None else PipelineId(require_id(Kind.PIPELINE, pipeline_id))
        now = info.context.parts.clock.now()
        async with info.context.reading() as db:
            told = await statistics.job_statistics(
                db, self.record.id, bucket=Bucket(bucket), now=now, start=start, end=end, pipeline=pipeline
            )
        return [JobStatistics.of(jobs) for jobs in told]

    @strawberry.field(
        description="Its limits by scope and name, with what is used and who waits.", metadata={"cost": 5, "size": 10}
    )
    async def limits(self, info: Info) -> list[Limit]:
        """Its limits."""
        async with info.context.reading() as db:
            found = await list_limits(db, self.record.id)
        return [Limit.of(limit) for limit in found]

    @strawberry.field(description="Its secrets by name, never their values.", metadata={"size": 20})
    async def secrets(self, info: Info) -> list[Secret]:
        """Its secrets."""
        async with info.context.reading() as db:
            found = await list_secrets(db, self.record.id)
        return [Secret.of(s) for s in found]

    @strawberry.field(
        description="What its jobs run with on a cluster; null: the key of the settings. Null, with the error FORBIDDEN, if "
        "you do not manage it.",
        metadata={"cost": 5},
    )
    async def backend_credential(self, info: Info) -> BackendCredential | None:
        """Its credential."""
        async with info.context.reading() as db:
            found = await read_credential(db, info.context.caller, Holder(project=self.record.id))
        return BackendCredential.of(found) if found is not None else None

    @strawberry.field(
        description="Whether people's jobs in it run with their own keys on a cluster, where they have one.",
        metadata={"cost": 5},
    )
    async def allows_personal_keys(self, info: Info) -> bool:
        """Whether people's own keys are allowed."""
        async with info.context.reading() as db:
            return (await allows_personal_keys(db, [self.record.id])).get(self.record.id, False)

    @strawberry.field(description="Its members by name.")
    async def members(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> MemberConnection:
        """A page of its members."""
        window = MEMBERS.window(first, after, last, before, most=info.context.page_size)
        async with info.context.reading() as db:
            page = await list_members(db, info.context.caller, self.record.id, window)
        return MemberConnection(**MEMBERS.parts(page, window, Member.of, lambda m: (m.name,)))

    @strawberry.field(description="The service accounts that belong to it, by name.")
    async def service_accounts(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> AccountConnection:
        """A page of its service accounts."""
        window = ACCOUNTS.window(first, after, last, before, most=info.context.page_size)
        async with info.context.reading() as db:
            page = await list_service_accounts(db, info.context.caller, self.record.id, window)
        return AccountConnection(**ACCOUNTS.parts(page, window, Account.of, lambda a: (a.name,)))

    @strawberry.field(
        description="The tokens that are for it alone, those of its service accounts among them, the newest first. "
        "Null, with the error FORBIDDEN, if you do not manage it."
    )
    async def tokens(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> TokenConnection | None:
        """A page of its tokens."""
        window = TOKENS.window(first, after, last, before, most=info.context.page_size)
        async with info.context.reading() as db:
            page = await list_tokens(db, info.context.caller, window, project=self.record.id)
        return TokenConnection(**TOKENS.parts(page, window, Token.of, lambda t: (t.id,)))

    @strawberry.field(
        description="Its part of the audit log, the newest first. Null, with the error FORBIDDEN, if you do not manage it."
    )
    async def audit_entries(
        self,
        info: Info,
        filter: OfAudit = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> AuditEntryConnection | None:
        """A page of its audit log."""
        return await audit_page(info.context, [self.record.id], filter, first, after, last, before)


@strawberry.type(name="ProjectConnection", description="One page of projects.")
class ProjectConnection(Connection[Project]):
    """A page."""
