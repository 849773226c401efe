"""Stored operations: texts of GraphQL that callers may send the hash of, and what some tokens may run at all."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from fasttrack.db import Db
from fasttrack.db.operations import StoredOperation
from fasttrack.db.windows import Window
from fasttrack.errors import InvalidInput
from fasttrack.ids import ProjectId
from fasttrack.workflow import operations as stored

from ..examining import Examined, examine_all, examine_of
from . import operation_models as models
from .models import Page
from .reach import AnId, Call, InProject, Limited, OfCaller, the_project
from .routing import Route

router = APIRouter(prefix="/api/v1/operations", tags=["operations"], route_class=Route)

Everywhere = Annotated[
    bool, Query(description="Those for callers of every project, instead of those of one; `project` is left out then.")
]
Hash = Annotated[
    str,
    Path(
        alias="sha256",
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of the text.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    ),
]


@router.get("", summary="List stored operations")
async def list_operations(
    call: OfCaller,
    project: InProject = None,
    everywhere: Everywhere = False,
    after: AnId = None,
    limit: Limited = 100,
) -> Page[models.StoredOperation]:
    """Stored operations of a project, or those for every project, newest first."""
    window = Window(limit, None if after is None else (after,))
    async with call.parts.database.transaction() as db:
        where = await _place(db, call, project, everywhere=everywhere)
        page = await stored.list_operations(db, call.caller, where, window)
    items = [_told(operation) for operation in page.items]
    return Page(items=items, next=str(page.items[-1].id) if page.has_more else None)


@router.get("/{sha256}", summary="Read a stored operation")
async def read_operation(
    call: OfCaller, sha256: Hash, project: InProject = None, everywhere: Everywhere = False
) -> models.StoredOperation:
    """One stored operation with its text."""
    async with call.parts.database.transaction() as db:
        where = await _place(db, call, project, everywhere=everywhere)
        return _told(await stored.require_operation(db, call.caller, where, bytes.fromhex(sha256)))


@router.post("", summary="Store operations")
async def store_operations(
    call: OfCaller, given: models.OperationsBody, project: InProject = None, everywhere: Everywhere = False
) -> list[models.OperationOutcome]:
    """Store operations, which are checked against the schema and measured now: all of them, or none.

    May be repeated: what is stored already is left as it is. For every project it is for superadmins.
    """
    async with call.parts.database.transaction() as db:  # before anything is examined for somebody who may not store it
        stored.require_manager(call.caller, await _place(db, call, project, everywhere=everywhere))
    texts = [operation.text for operation in given.operations]
    examined = await asyncio.to_thread(examine_all, examine_of(call.request), texts)

    async def work(db: Db) -> list[models.OperationOutcome]:
        where = await _place(db, call, project, everywhere=everywhere)
        return [await _store(db, call, where, *one) for one in zip(given.operations, examined, strict=True)]

    return await call.parts.database.run(work)


@router.delete("/{sha256}", summary="Forget a stored operation", status_code=204)
async def remove_operation(
    call: OfCaller, sha256: Hash, project: InProject = None, everywhere: Everywhere = False
) -> Response:
    """Forget a stored operation: within five seconds nobody runs it by its hash."""

    async def work(db: Db) -> None:
        where = await _place(db, call, project, everywhere=everywhere)
        await stored.remove_operation(db, call.caller, where, bytes.fromhex(sha256))

    await call.parts.database.run(work)
    return Response(status_code=204)


async def _place(db: Db, call: Call, project: str | None, *, everywhere: bool) -> ProjectId | None:
    """The project whose operations are meant; `None`: those for every project."""
    if not everywhere:
        return await the_project(db, call, project)
    if project is not None:
        raise InvalidInput("`everywhere` is for callers of every project: leave `project` out")
    return None


async def _store(
    db: Db, call: Call, project: ProjectId | None, given: models.NewOperation, examined: Examined
) -> models.OperationOutcome:
    operation, is_new = await stored.store_operation(
        db, call.caller, project, name=given.name or examined.name, text=given.text
    )
    return models.OperationOutcome(operation=_told(operation), is_new=is_new, cost=examined.cost)


def _told(operation: StoredOperation) -> models.StoredOperation:
    return models.StoredOperation(
        sha256=operation.hash.hex(),
        name=operation.name,
        text=operation.text,
        created_by=operation.created_by,
        created_at=operation.created_at,
    )
