"""Stored operations: texts that callers may send the hash of."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from fasttrack.db.operations import StoredOperation as Record
from fasttrack.ids import ProjectId
from fasttrack.workflow.operations import list_operations

from ..context import Info
from ..ids import Kind, require_id
from ..paging import After, Before, Connection, First, Last, Listing

_BY_AGE = Listing("so", UUID)


@strawberry.type(description="A text of GraphQL that its callers may send the hash of, in place of the text.")
class StoredOperation:
    """Of a project, or of all."""

    sha256: str = strawberry.field(description="SHA-256 of the text, 64 digits from 0 to f: what clients send.")
    name: str = strawberry.field(description="What people call it.")
    text: str = strawberry.field(description="The text as it was stored.")
    created_by: str = strawberry.field(description="Who stored it.")
    created_at: datetime = strawberry.field(description="When it was stored.")

    @classmethod
    def of(cls, record: Record) -> StoredOperation:
        """As the schema shows it."""
        return cls(
            sha256=record.hash.hex(),
            name=record.name,
            text=record.text,
            created_by=record.created_by,
            created_at=record.created_at,
        )


@strawberry.type(description="A page of stored operations.")
class StoredOperationConnection(Connection[StoredOperation]):
    """A page."""


@strawberry.type
class StoredOperationReads:
    """The part of `Query` that is about stored operations."""

    @strawberry.field(description="Stored operations, newest first: of a project, or those for every project.")
    async def stored_operations(
        self,
        info: Info,
        project_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="The global id of the project; null: those for callers of every project."),
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> StoredOperationConnection:
        """A page of them."""
        window = _BY_AGE.window(first, after, last, before, most=info.context.page_size)
        project = None if project_id is None else ProjectId(require_id(Kind.PROJECT, project_id))
        async with info.context.reading() as db:
            page = await list_operations(db, info.context.caller, project, window)
        return StoredOperationConnection(**_BY_AGE.parts(page, window, StoredOperation.of, lambda o: (o.id,)))
