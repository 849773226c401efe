"""The draft of a pipeline as YAML."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from fasttrack.db import Db
from fasttrack.domain.access import Permission
from fasttrack.errors import Conflict, InvalidInput
from fasttrack.ids import PipelineId
from fasttrack.workflow.draft_changes import SaveText, SeenDraft
from fasttrack.workflow.drafts import Expected, Find, change_draft, discard_draft, read_draft

from ..problems import PreconditionFailed
from . import models
from .pipelines import IN_YAML, YAML, yaml_body
from .reach import APipeline, Call, InProject, OfCaller, the_pipeline
from .routing import Route

router = APIRouter(prefix="/api/v1/pipelines", tags=["pipelines"], route_class=Route)

_TAG = re.compile(r'"v(\d{1,9})\.(\d{1,9})"\Z')
IfMatch = Annotated[str | None, Header(description="The `ETag` that was read: another state of the draft is a 412.")]


@router.get(
    "/{pipeline}/draft",
    summary="Read a draft",
    response_class=Response,
    responses={200: {"description": "The YAML.", "content": IN_YAML}},
)
async def read_pipeline_draft(call: OfCaller, pipeline: APipeline, project: InProject = None) -> Response:
    """The text of the draft as YAML; while none is begun, what one would begin with: the newest version, or no task.

    The `ETag` names the version it is based on and its revision; `If-Match` takes it when the draft is saved.
    """
    seen = await read_draft(call.parts.database, _find(call, pipeline, project, Permission.READ))
    return Response(seen.text.encode(), 200, {"ETag": _tag(seen), "Cache-Control": "private, no-cache"}, YAML)


@router.put(
    "/{pipeline}/draft",
    summary="Save a draft",
    responses={201: {"description": "A draft was begun.", "model": models.Draft}},
    openapi_extra={"requestBody": {"required": True, "content": IN_YAML}},
)
async def put_pipeline_draft(
    call: OfCaller,
    request: Request,
    response: Response,
    pipeline: APipeline,
    project: InProject = None,
    if_match: IfMatch = None,
) -> models.Draft:
    """Save the text of the draft, whatever it says; what is wrong with it comes back. To publish it, publish the text."""
    try:
        text = (await yaml_body(request)).decode()
    except UnicodeDecodeError:
        raise InvalidInput("the text is not UTF-8; save it as UTF-8") from None
    find = _find(call, pipeline, project, Permission.EDIT)
    try:
        seen = await change_draft(call.parts.database, find, call.caller, SaveText(text), _expected(if_match))
    except Conflict as error:
        raise PreconditionFailed(error.message) from None
    response.status_code = 201 if seen.is_new else 200
    response.headers["ETag"] = _tag(seen)
    return models.Draft(
        revision=seen.draft.revision,
        base_version=seen.draft.base_version,
        is_valid=seen.outline.is_valid,
        problems=[models.Finding.model_validate(p) for p in seen.outline.problems],
    )


@router.delete(
    "/{pipeline}/draft",
    summary="Discard a draft",
    status_code=204,
    responses={412: {"description": "What is stored is not what `If-Match` asks for."}},
)
async def delete_pipeline_draft(
    call: OfCaller, pipeline: APipeline, project: InProject = None, if_match: IfMatch = None
) -> Response:
    """Remove the draft; without one nothing happens. The pipeline and its versions stay."""
    find = _find(call, pipeline, project, Permission.EDIT)
    try:
        await discard_draft(call.parts.database, find, call.caller, _expected(if_match))
    except Conflict as error:
        raise PreconditionFailed(error.message) from None
    return Response(status_code=204)


def _find(call: Call, pipeline: str, project: str | None, permission: Permission) -> Find:
    async def find(db: Db) -> PipelineId:
        return (await the_pipeline(db, call, pipeline, project, permission))[1].id

    return find


def _expected(if_match: str | None) -> Expected:
    if if_match is None:
        return Expected()
    found = _TAG.match(if_match.strip())
    if found is None:
        raise PreconditionFailed('no draft has this tag: `If-Match` takes the `ETag` of the draft, such as "v3.7"')
    return Expected(version=int(found[1]), revision=int(found[2]))


def _tag(seen: SeenDraft) -> str:
    return f'"v{seen.draft.base_version}.{seen.draft.revision}"'
