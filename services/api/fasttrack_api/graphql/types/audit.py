"""The audit log, asked for in several places in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry
from strawberry.scalars import JSON

from fasttrack.db import audit as audit_db
from fasttrack.domain.moments import require_moment
from fasttrack.errors import InvalidInput
from fasttrack.ids import ProjectId
from fasttrack.workflow.audit import list_audit

from ..context import Context, Info
from ..ids import Kind, require_id, to_global
from ..paging import Connection, Listing
from .account import Account, shown_account, shown_project
from .common import Node
from .enums import AuditOutcome

if TYPE_CHECKING:
    from .project import Project

_ENTRIES = Listing("au", UUID)
_LONGEST = 200


@strawberry.type(description="One write: who, from where, what, and how it was before and after. It is never changed.")
class AuditEntry(Node):
    """An entry."""

    uuid: strawberry.ID = strawberry.field(description="Its UUID, as REST uses it.")
    at: datetime = strawberry.field(description="When, by the database's clock.")
    account_name: str = strawberry.field(description="The name of who did it, as it was then.")
    token_id: strawberry.ID | None = strawberry.field(
        description="The global id of the token that they came with; null: with none of ours."
    )
    origin: str = strawberry.field(description="The address it came from, or `command line`.")
    action: str = strawberry.field(description="What was done, as `<noun>.<verb>`, such as `member.add`.")
    object_kind: str = strawberry.field(description="What kind of thing it was done to, such as `pipeline`.")
    object_id: str = strawberry.field(description="Which one: its UUID, or its name where it has none.")
    before: JSON | None = strawberry.field(
        description="How it was; whatever could be secret is `***`. Null: there was nothing, or nothing to tell."
    )
    after: JSON | None = strawberry.field(
        description="How it is then, likewise. Null: there is nothing any more, or nothing to tell."
    )
    outcome: AuditOutcome = strawberry.field(description="What became of it.")
    record: strawberry.Private[audit_db.AuditEntry]

    @classmethod
    def of(cls, record: audit_db.AuditEntry) -> AuditEntry:
        """As the schema shows it."""
        return cls(
            id=strawberry.ID(to_global(Kind.AUDIT_ENTRY, record.id)),
            uuid=strawberry.ID(str(record.id)),
            at=record.at,
            account_name=record.account_name,
            token_id=strawberry.ID(to_global(Kind.TOKEN, record.token_id)) if record.token_id else None,
            origin=record.origin,
            action=record.action,
            object_kind=record.object_kind,
            object_id=record.object_id,
            before=record.before,
            after=record.after,
            outcome=AuditOutcome(record.outcome),
            record=record,
        )

    @strawberry.field(description="Who did it; null if you may not see the account.")
    async def account(self, info: Info) -> Account | None:
        """Who did it."""
        return await shown_account(info.context, self.record.account_id)

    @strawberry.field(description="The project it belongs to; null: to none, or to one that you may not see.")
    async def project(self, info: Info) -> Annotated[Project, strawberry.lazy(".project")] | None:
        """Its project."""
        return await shown_project(info.context, self.record.project_id)


@strawberry.type(name="AuditEntryConnection", description="One page of the audit log.")
class AuditEntryConnection(Connection[AuditEntry]):
    """A page."""


@strawberry.input(description="Which entries; what is left out plays no part.")
class AuditFilter:
    """Of the audit log."""

    account_id: strawberry.ID | None = strawberry.field(
        default=None, description="Those of this account, by its global id; null: of any."
    )
    action: str | None = strawberry.field(
        default=None, description="Those of this action, such as `member.add`; null: any."
    )
    object_kind: str | None = strawberry.field(
        default=None, description="Those done to a thing of this kind; null: any."
    )
    object_id: str | None = strawberry.field(
        default=None, description="Those done to this very thing, by its UUID or name; with `objectKind`. Null: any."
    )
    outcome: AuditOutcome | None = strawberry.field(default=None, description="Those with this outcome; null: any.")
    since: datetime | None = strawberry.field(
        default=None, description="Those of then or later, with a time zone; null: however early."
    )
    before: datetime | None = strawberry.field(
        default=None, description="Those before then, with a time zone; null: however late."
    )


Filter = Annotated[AuditFilter | None, strawberry.argument(description="Which ones; null: all.")]


async def audit_page(
    context: Context,
    projects: Sequence[ProjectId] | None,
    filter: AuditFilter | None,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
) -> AuditEntryConnection:
    """A page of the log of these projects, `None`: of all that the caller manages.

    :raises Forbidden: the caller manages none of them.
    """
    window = _ENTRIES.window(first, after, last, before, most=context.page_size)
    wanted = _wanted(projects, filter or AuditFilter())
    async with context.reading() as db:
        page = await list_audit(db, context.caller, wanted, window)
    return AuditEntryConnection(**_ENTRIES.parts(page, window, AuditEntry.of, lambda e: (e.id,)))


def _wanted(projects: Sequence[ProjectId] | None, filter: AuditFilter) -> audit_db.AuditFilter:
    for text in (filter.action, filter.object_kind, filter.object_id):
        if text is not None and (len(text) > _LONGEST or "\0" in text):
            raise InvalidInput(f"what is looked for has at most {_LONGEST} characters, and no NUL character")
    if filter.object_id is not None and filter.object_kind is None:
        raise InvalidInput("an `objectId` is looked for together with its `objectKind`")
    for moment in (filter.since, filter.before):
        require_moment(moment)
    return audit_db.AuditFilter(
        projects=projects,
        account=require_id(Kind.ACCOUNT, filter.account_id) if filter.account_id is not None else None,
        action=filter.action,
        object_kind=filter.object_kind,
        object_id=filter.object_id,
        outcome=filter.outcome,
        since=filter.since,
        before=filter.before,
    )
