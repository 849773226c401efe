"""Templates: what pipelines can be made from, and offering a version of one."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from fasttrack import spec
from fasttrack.db import Db
from fasttrack.db.windows import Window
from fasttrack.domain.catalog import TemplateScope
from fasttrack.ids import TemplateId
from fasttrack.workflow.templates import (
    Template,
    TemplateFilter,
    list_templates,
    read_template,
    require_template,
    share_template,
    unshare_template,
)

from . import catalog_models as models
from .models import Page
from .reach import AnId, APipeline, InProject, Limited, OfCaller, the_pipeline
from .routing import Route

router = APIRouter(prefix="/api/v1/templates", tags=["templates"], route_class=Route)
of_pipelines = APIRouter(prefix="/api/v1/pipelines", tags=["templates"], route_class=Route)


@router.get("", summary="List templates")
async def list_offered(
    call: OfCaller,
    search: Annotated[str, Query(max_length=200, description="Only with this in the name or description.")] = "",
    scope: Annotated[TemplateScope | None, Query(description="Only those that are for these.")] = None,
    after: AnId = None,
    limit: Limited = 100,
) -> Page[models.Template]:
    """Templates that the caller may use: the newest first, those that come with FastTrack last."""
    wanted = TemplateFilter(search.replace("\0", ""), scope)
    window = Window(limit, None if after is None else (after,))
    async with call.parts.database.transaction() as db:
        page = await list_templates(db, call.caller, wanted, window)
    items = [models.Template(**_parts(t)) for t in page.items]
    return Page(items=items, next=str(items[-1].id) if page.has_more else None)


@router.get("/{template}", summary="Read a template")
async def read_offered(
    call: OfCaller,
    template: Annotated[
        UUID, Path(description="The template's id.", examples=["00000000-0000-0000-0000-000000000001"])
    ],
) -> models.TemplateDocument:
    """A template with its file, its parameters and the names of its secrets."""
    async with call.parts.database.transaction() as db:
        found = await require_template(db, call.caller, TemplateId(template))
        text = await read_template(db, found)
    _, pipeline, _ = await asyncio.to_thread(spec.load_pipeline, text)
    return models.TemplateDocument(
        **_parts(found),
        yaml=text,
        params=[
            models.TemplateParam(name=p.name, type=p.type, default=p.default, description=p.description)
            for p in pipeline.params
        ],
        secret_names=sorted(pipeline.secrets),
    )


@of_pipelines.put("/{pipeline}/template", summary="Offer a template")
async def offer_template(
    call: OfCaller, pipeline: APipeline, given: models.ShareBody, project: InProject = None
) -> models.Template:
    """Offer a version of the pipeline as a template, over what was offered of it before.

    Whoever may use it sees the file, and nothing else of the pipeline. May be repeated.
    """

    async def work(db: Db) -> Template:
        _, found = await the_pipeline(db, call, pipeline, project)
        return await share_template(
            db,
            call.caller,
            found.id,
            given.scope,
            version=given.version,
            name=given.name,
            description=given.description,
        )

    return models.Template(**_parts(await call.parts.database.run(work)))


@of_pipelines.delete("/{pipeline}/template", summary="Withdraw a template", status_code=204)
async def withdraw_template(call: OfCaller, pipeline: APipeline, project: InProject = None) -> Response:
    """Offer nothing of the pipeline any more; what was made from it stays. May be repeated."""

    async def work(db: Db) -> None:
        _, found = await the_pipeline(db, call, pipeline, project)
        await unshare_template(db, call.caller, found.id)

    await call.parts.database.run(work)
    return Response(status_code=204)


def _parts(template: Template) -> dict[str, Any]:
    origin = template.origin
    return {
        "id": template.id,
        "name": template.name,
        "description": template.description,
        "scope": template.scope,
        "is_shipped": origin is None,
        "shared_by": origin.shared_by if origin is not None else None,
        "version": origin.version if origin is not None else None,
        "created_at": template.created_at,
    }
