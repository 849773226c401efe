"""Retention: how long the project keeps logs, outputs, events and jobs."""

from __future__ import annotations

from fastapi import APIRouter, Response

from fasttrack.db import Db
from fasttrack.domain.access import Permission
from fasttrack.domain.retention import Kind, Retention
from fasttrack.errors import InvalidInput
from fasttrack.ids import ProjectId
from fasttrack.workflow import writes
from fasttrack.workflow.retention import read_retention as read_stored

from . import retention_models as models
from .reach import Call, InProject, OfCaller, the_project
from .routing import Route

router = APIRouter(prefix="/api/v1/retention", tags=["retention"], route_class=Route)


@router.get("", summary="Read retention")
async def read_retention(call: OfCaller, project: InProject = None) -> models.Retention:
    """How many days after the end of a job each kind is kept, and whether the project or a setting says so."""
    async with call.parts.database.transaction() as db:
        return await _told(db, call, await the_project(db, call, project))


@router.patch("", summary="Change retention")
async def change_retention(call: OfCaller, given: models.RetentionBody, project: InProject = None) -> models.Retention:
    """Give the project figures of its own, over the settings; may be repeated.

    What is due by them goes at the next round of a scheduler, within minutes, and does not come back.
    """
    changes = {kind: figure for kind in Kind if (figure := getattr(given, kind.value)) is not None}
    if not changes:
        raise InvalidInput(f"nothing to change: name at least one of {', '.join(Kind)}")

    async def work(db: Db) -> models.Retention:
        where = await the_project(db, call, project, Permission.OPERATE)
        await writes.change_retention(db, call.caller, where, call.parts.settings, changes)
        return await _told(db, call, where)

    return await call.parts.database.run(work)


@router.delete("", summary="Reset retention", status_code=204)
async def reset_retention(call: OfCaller, project: InProject = None) -> Response:
    """Have the settings alone say again how long the project keeps things; may be repeated."""

    async def work(db: Db) -> None:
        where = await the_project(db, call, project, Permission.OPERATE)
        await writes.change_retention(db, call.caller, where, call.parts.settings, None)

    await call.parts.database.run(work)
    return Response(status_code=204)


async def _told(db: Db, call: Call, project: ProjectId) -> models.Retention:
    holds, own = await read_stored(db, project, call.parts.settings)
    return models.Retention(**{kind.value: _figure(holds, kind, kind in own) for kind in Kind})


def _figure(holds: Retention, kind: Kind, is_own: bool) -> models.Kept:
    return models.Kept(days=holds.days(kind), source="project" if is_own else "settings")
