"""The audit log: who wrote what, when and from where."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from fasttrack.db.audit import AuditFilter
from fasttrack.db.windows import Window
from fasttrack.domain.moments import require_moment
from fasttrack.errors import InvalidInput
from fasttrack.workflow.audit import list_audit

from . import access_models as models
from .models import Page
from .reach import AnId, Limited, OfCaller, the_account, the_project
from .routing import Route
from .tokens import OfProject

router = APIRouter(prefix="/api/v1/audit", tags=["audit"], route_class=Route)


@router.get("", summary="Read the audit log")
async def read_audit(
    call: OfCaller,
    project: OfProject = None,
    account: Annotated[str | None, Query(max_length=200, description="Of this account, by its id or name.")] = None,
    action: Annotated[str | None, Query(max_length=200, description="Of this action.", examples=["member.add"])] = None,
    object_kind: Annotated[str | None, Query(max_length=200, description="Done to a thing of this kind.")] = None,
    object_id: Annotated[
        str | None, Query(max_length=200, description="Done to this thing, by its id or name; with `object_kind`.")
    ] = None,
    outcome: Annotated[Literal["done", "refused"] | None, Query(description="With this outcome.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Of then or later.")] = None,
    before: Annotated[AwareDatetime | None, Query(description="Before then.")] = None,
    after: AnId = None,
    limit: Limited = 100,
) -> Page[models.AuditEntry]:
    """Entries, newest first: of the projects that you manage, and for superadmins also of none. 403 if you manage none."""
    if object_id is not None and object_kind is None:
        raise InvalidInput("an `object_id` is looked for together with its `object_kind`")
    for moment in (since, before):
        require_moment(moment)
    async with call.parts.database.transaction() as db:
        wanted = AuditFilter(
            projects=None if project is None else [await the_project(db, call, project)],
            account=None if account is None else await the_account(db, call, account),
            action=action,
            object_kind=object_kind,
            object_id=object_id,
            outcome=outcome,
            since=since,
            before=before,
        )
        window = Window(limit, after=None if after is None else (after,))
        page = await list_audit(db, call.caller, wanted, window)
    items = [models.AuditEntry.model_validate(e) for e in page.items]
    return Page(items=items, next=str(items[-1].id) if page.has_more else None)
