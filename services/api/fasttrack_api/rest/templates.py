"""Templates: what pipelines can be made from, and offering a version of one."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from fasttrack import spec
from fasttrack.db import Db
from fasttrack.db.templates import load_templates_of
from fasttrack.db.windows import Window
from fasttrack.domain.catalog import TemplateScope
from fasttrack.errors import NotFound
from fasttrack.ids import TemplateId
from fasttrack.workflow.templates import (
    Template,
    TemplateFilter,
    list_templates,
    of_stored,
    read_template,
    require_template,
    share_template,
    unshare_template,
)

from . import catalog_models as models
from .models import Page
from .reach import AnId, APipeline, InProject, Limited, OfCaller, the_pipeline
from .revisions import OVERTAKEN, IfMatch, IfNoneMatch, expected_of, preconditions, tag_of
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


@of_pipelines.get("/{pipeline}/template", summary="Read what is offered of a pipeline")
async def read_template_of(
    call: OfCaller, response: Response, pipeline: APipeline, project: InProject = None
) -> models.Template:
    """The template that is offered of the pipeline. `If-Match` takes its `ETag` when it is changed or withdrawn."""
    async with call.parts.database.transaction() as db:
        _, found = await the_pipeline(db, call, pipeline, project)
        stored = (await load_templates_of(db, [found.id])).get(found.id)
    if stored is None:
        raise NotFound(f"nothing is offered of pipeline {found.name}")
    return _told(response, of_stored(stored))


@of_pipelines.put("/{pipeline}/template", summary="Offer a template")
async def offer_template(
    call: OfCaller,
    response: Response,
    pipeline: APipeline,
    given: models.ShareBody,
    project: InProject = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> models.Template:
    """Offer a version of the pipeline as a template, over what was offered of it before.

    Whoever may use it sees the file, and nothing else of the pipeline. May be repeated.
    """
    expected = expected_of(if_match, if_none_match)

    async def work(db: Db) -> Template:
        _, found = await the_pipeline(db, call, pipeline, project)
        with preconditions():
            return await share_template(
                db,
                call.caller,
                found.id,
                given.scope,
                version=given.version,
                name=given.name,
                description=given.description,
                expected_revision=expected,
            )

    return _told(response, await call.parts.database.run(work))


@of_pipelines.delete("/{pipeline}/template", summary="Withdraw a template", status_code=204, responses=OVERTAKEN)
async def withdraw_template(
    call: OfCaller, pipeline: APipeline, project: InProject = None, if_match: IfMatch = None
) -> Response:
    """Offer nothing of the pipeline any more; what was made from it stays. May be repeated."""
    expected = expected_of(if_match)

    async def work(db: Db) -> None:
        _, found = await the_pipeline(db, call, pipeline, project)
        with preconditions():
            await unshare_template(db, call.caller, found.id, expected_revision=expected)

    await call.parts.database.run(work)
    return Response(status_code=204)


def _told(response: Response, template: Template) -> models.Template:
    response.headers["ETag"] = tag_of(template.revision or 0)
    return models.Template(**_parts(template))


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
        "revision": template.revision,
    }
