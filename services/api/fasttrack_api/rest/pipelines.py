"""Pipelines and their versions, as JSON and as the YAML they are written in."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Request, Response
from starlette.exceptions import HTTPException

from fasttrack import spec
from fasttrack.db import Db
from fasttrack.db.catalog import find_by_former_name
from fasttrack.db.pipelines import PipelineRecord, VersionRecord, list_archived
from fasttrack.db.pipelines import list_pipelines as list_stored
from fasttrack.db.pipelines import list_versions as list_stored_versions
from fasttrack.domain.access import Permission
from fasttrack.domain.catalog import checked_tags
from fasttrack.errors import Conflict, InvalidInput, NotFound
from fasttrack.ids import JobId, PipelineId
from fasttrack.workflow import writes
from fasttrack.workflow.publish import Published, require_version_of

from ..problems import PreconditionFailed
from . import models
from .reach import APipeline, Call, InProject, Limited, OfCaller, the_pipeline, the_pipeline_in_any_state, the_project
from .routing import Route

router = APIRouter(prefix="/api/v1/pipelines", tags=["pipelines"], route_class=Route)
of_files = APIRouter(prefix="/api/v1/versions", tags=["pipelines"], route_class=Route)
"""For files that name their pipeline themselves."""

YAML = "application/yaml"
_YAML_TYPES = frozenset({YAML, "application/x-yaml", "text/yaml", "text/x-yaml"})
_TAG = re.compile(r'"v(\d{1,9})"\Z')
_SOURCE = "name: train\ntasks:\n  - name: fit\n    type: custom\n    command: python fit.py\n"
IN_YAML: Any = {YAML: {"schema": {"description": "A pipeline file."}, "examples": {"file": {"value": _SOURCE}}}}
_EITHER: dict[int | str, dict[str, Any]] = {200: {"description": "As JSON, or as YAML.", "content": IN_YAML}}
Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="The version's number.", examples=[3])]


@router.get("", summary="List pipelines")
async def list_pipelines(
    call: OfCaller,
    project: InProject = None,
    after: Annotated[str, Query(max_length=255, description="`next` of the page before.")] = "",
    limit: Limited = 100,
    search: Annotated[str, Query(max_length=200, description="Only names with this in them, in any case.")] = "",
    tag: Annotated[
        list[str] | None, Query(max_length=20, description="Only those with this tag; given again, with all of them.")
    ] = None,
    archived: Annotated[bool, Query(description="Those that are archived, the newest first.")] = False,
) -> models.Page[models.Pipeline]:
    """The project's pipelines by name."""
    tags, search = checked_tags(tag or ()), search.replace("\0", "")
    before = _id_after(after) if archived and after else None
    async with call.parts.database.transaction() as db:
        where = await the_project(db, call, project)
        if archived:
            found = await list_archived(db, where, limit=limit + 1, before=before, search=search, tags=tags)
        else:
            found = await list_stored(db, where, limit=limit + 1, after=after, search=search, tags=tags)
    page = [models.Pipeline.model_validate(p) for p in found[:limit]]
    if len(found) <= limit:
        return models.Page(items=page, next=None)
    following = str(page[-1].id) if archived else page[-1].name
    return models.Page(items=page, next=following)


@router.get("/{pipeline}", summary="Read a pipeline", response_model=models.Pipeline, responses=_EITHER)
async def read_pipeline(
    call: OfCaller,
    request: Request,
    response: Response,
    pipeline: APipeline,
    project: InProject = None,
    archived: Annotated[
        bool, Query(description="By its name also one that is archived, when no live one has the name.")
    ] = False,
) -> models.Pipeline | Response:
    """The pipeline as JSON, or its newest version as YAML, as `Accept` asks.

    The `ETag` of the YAML names the version; `If-Match` takes it when the next one is published.
    """
    as_yaml = _wants_yaml(request)
    async with call.parts.database.transaction() as db:
        if archived:
            found = await the_pipeline_in_any_state(db, call, pipeline, project)
        else:
            _, found = await the_pipeline(db, call, pipeline, project)
        version = await require_version_of(db, found, None) if as_yaml else None
    if version is not None:
        return _yaml(version)
    response.headers["Vary"] = "Accept"
    return models.Pipeline.model_validate(found)


@router.put(
    "/{pipeline}",
    summary="Publish a pipeline file",
    responses={201: {"description": "A new version.", "model": models.Published}},
    openapi_extra={"requestBody": {"required": True, "content": IN_YAML}},
)
async def put_pipeline(
    call: OfCaller,
    request: Request,
    response: Response,
    pipeline: APipeline,
    project: InProject = None,
    message: Annotated[str, Query(max_length=1000, description="Why, in a line.", examples=["more epochs"])] = "",
    if_match: Annotated[str | None, Header(description="The `ETag` that was read: another version is a 412.")] = None,
    if_none_match: Annotated[str | None, Header(description="`*`: the pipeline must not exist yet.")] = None,
) -> models.Published:
    """Publish a pipeline file as the next version of the pipeline it names, which is made if there is none.

    A file that means the same as the newest version makes none: 200 instead of 201.
    """
    return await _publish(call, request, response, pipeline, project, message, _expected(if_match, if_none_match))


@of_files.post(
    "",
    summary="Publish a pipeline file under its own name",
    status_code=201,
    responses={200: {"description": "The newest version means the same already.", "model": models.Published}},
    openapi_extra={"requestBody": {"required": True, "content": IN_YAML}},
)
async def publish_file(
    call: OfCaller,
    request: Request,
    response: Response,
    project: InProject = None,
    message: Annotated[str, Query(max_length=1000, description="Why, in a line.", examples=["more epochs"])] = "",
    if_match: Annotated[str | None, Header(description="The `ETag` that was read: another version is a 412.")] = None,
    if_none_match: Annotated[str | None, Header(description="`*`: the pipeline must not exist yet.")] = None,
) -> models.Published:
    """Publish a pipeline file as the next version of the pipeline it names, whichever that is. May be repeated.

    A file that means the same as the newest version makes none: 200 instead of 201.
    """
    return await _publish(call, request, response, None, project, message, _expected(if_match, if_none_match))


async def _publish(
    call: Call,
    request: Request,
    response: Response,
    pipeline: str | None,
    project: str | None,
    message: str,
    expected: int | None,
) -> models.Published:
    text = await yaml_body(request)
    # A large file takes a second: beside the event loop, and with no transaction open. What is wrong with it is said here.
    loaded = await asyncio.to_thread(spec.load_pipeline, text)

    async def work(db: Db) -> Published:
        where = await _where_to_publish(db, call, pipeline or loaded[1].name, project, loaded[1].name)
        try:
            return await writes.publish_pipeline(
                db, call.caller, where, text, message=message, expected_version=expected, loaded=loaded
            )
        except Conflict as error:
            raise PreconditionFailed(error.message) from None

    published = await call.parts.database.run(work)
    response.status_code = 201 if published.is_new else 200
    response.headers["ETag"] = _tag(published.version)
    return as_published(published)


@router.get("/{pipeline}/versions", summary="List versions")
async def list_versions(
    call: OfCaller,
    pipeline: APipeline,
    project: InProject = None,
    after: Annotated[int | None, Query(ge=0, le=2**31 - 1, description="`next` of the page before.")] = None,
    limit: Limited = 50,
) -> models.Page[models.Version]:
    """The pipeline's versions, newest first: who published what and why."""
    async with call.parts.database.transaction() as db:
        _, found = await the_pipeline(db, call, pipeline, project)
        versions = await list_stored_versions(db, found.id, limit=limit + 1, before=after)
    page = [models.Version.model_validate(v, from_attributes=True) for v in versions[:limit]]
    return models.Page(items=page, next=str(page[-1].number) if len(versions) > limit else None)


@router.get(
    "/{pipeline}/versions/{number}", summary="Read a version", response_model=models.VersionDocument, responses=_EITHER
)
async def read_version(
    call: OfCaller,
    request: Request,
    response: Response,
    pipeline: APipeline,
    number: Number,
    project: InProject = None,
    canonical: Annotated[bool, Query(description="The YAML in canonical form instead of as it was published.")] = False,
) -> models.VersionDocument | Response:
    """A version as JSON, or as YAML, as `Accept` asks."""
    as_yaml = _wants_yaml(request)
    async with call.parts.database.transaction() as db:
        _, found = await the_pipeline(db, call, pipeline, project)
        version = await require_version_of(db, found, number)
    if as_yaml:
        return _canonical(version) if canonical else _yaml(version)
    response.headers["Vary"] = "Accept"
    return models.VersionDocument.model_validate(version, from_attributes=True)


@router.post(
    "/{pipeline}/versions/{number}/restore",
    summary="Restore a version",
    status_code=201,
    responses={200: {"description": "The newest version means the same already.", "model": models.Published}},
)
async def restore_version(
    call: OfCaller, response: Response, pipeline: APipeline, number: Number, project: InProject = None
) -> models.Published:
    """Publish an old version again, as the newest: history is only ever added to. May be repeated."""

    async def work(db: Db) -> Published:
        where, found = await the_pipeline(db, call, pipeline, project, Permission.EDIT)
        return await writes.restore_version(db, call.caller, where, found.name, number)

    published = await call.parts.database.run(work)
    response.status_code = 201 if published.is_new else 200
    response.headers["ETag"] = _tag(published.version)
    return as_published(published)


@router.post("/{pipeline}/pause", summary="Pause a pipeline")
async def pause_pipeline(call: OfCaller, pipeline: APipeline, project: InProject = None) -> models.Pipeline:
    """Have the pipeline's jobs start nothing new, those to come included. May be repeated."""
    return await _set_paused(call, pipeline, project, paused=True)


@router.post("/{pipeline}/resume", summary="Resume a pipeline")
async def resume_pipeline(call: OfCaller, pipeline: APipeline, project: InProject = None) -> models.Pipeline:
    """Have the pipeline's jobs go on. May be repeated."""
    return await _set_paused(call, pipeline, project, paused=False)


async def _set_paused(call: Call, pipeline: str, project: str | None, *, paused: bool) -> models.Pipeline:
    async def work(db: Db) -> tuple[PipelineRecord, list[JobId]]:
        where, found = await the_pipeline(db, call, pipeline, project, Permission.RUN)
        change = writes.pause_pipeline if paused else writes.resume_pipeline
        touched = await change(db, call.caller, where, found.name)
        return (await the_pipeline(db, call, pipeline, project))[1], touched

    changed, touched = await call.parts.database.run(work)
    await call.parts.doorbell.ring(touched)
    return models.Pipeline.model_validate(changed)


def as_published(published: Published) -> models.Published:
    """What publishing gave, for the answer."""
    return models.Published(
        pipeline=published.pipeline.id,
        name=published.pipeline.name,
        tasks=len(published.compiled.tasks),
        version=models.Version.model_validate(published.version, from_attributes=True),
        is_new=published.is_new,
        warnings=[models.Finding.model_validate(w) for w in published.warnings],
    )


async def _where_to_publish(db: Db, call: Call, what: str, project: str | None, name: str) -> Any:
    """The project to publish in. :raises InvalidInput: the file names another pipeline than the address."""
    try:
        where, found = await the_pipeline(db, call, what, project, Permission.EDIT)
        named = found.name
    except NotFound:
        where, named = await the_project(db, call, project, Permission.EDIT), what
    # A file that still has the former name of the pipeline is one of its files.
    if named not in (name, await find_by_former_name(db, where, name)):
        raise InvalidInput(f"the file names the pipeline {name[:80]!r}, the address {named[:80]!r}; change one of them")
    return where


def _id_after(after: str) -> PipelineId:
    try:
        return PipelineId(UUID(after))
    except ValueError:
        raise InvalidInput("`after` must be the `next` of a page of archived pipelines") from None


async def yaml_body(request: Request) -> bytes:
    """The body of a request. :raises HTTPException: 415: it is not YAML by its media type."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _YAML_TYPES:
        raise HTTPException(415, f"this address takes a body of {YAML}")
    return await request.body()


def _expected(if_match: str | None, if_none_match: str | None) -> int | None:
    """The version that must be the newest; 0: there must be none."""
    if if_none_match is not None:
        if if_none_match.strip() != "*" or if_match is not None:
            raise InvalidInput("a pipeline is published with `If-None-Match: *`, or with `If-Match`, or with neither")
        return 0
    if if_match is None:
        return None
    found = _TAG.match(if_match.strip())
    if found is None:
        raise PreconditionFailed(
            'no version has this tag: `If-Match` takes the `ETag` of the pipeline as YAML, such as "v3"'
        )
    return int(found[1])


def _tag(version: VersionRecord) -> str:
    return f'"v{version.number}"'


def _yaml(version: VersionRecord) -> Response:
    headers = {"ETag": _tag(version), "Vary": "Accept", "Cache-Control": "private, no-cache"}
    return Response(version.source.encode(), 200, headers, YAML)


def _canonical(version: VersionRecord) -> Response:
    text = spec.to_yaml(spec.document_from_json(version.spec))
    return Response(text.encode(), 200, {"Vary": "Accept"}, YAML)


def _wants_yaml(request: Request) -> bool:
    """Whether `Accept` asks for YAML rather than JSON. :raises HTTPException: 406: it asks for something else."""
    best = {"json": 0.0, "yaml": 0.0}
    for part in request.headers.get("accept", "*/*").split(",")[:20]:
        kind, _, options = part.strip().lower().partition(";")
        kind = kind.strip()
        weight = _weight(options)
        if kind in _YAML_TYPES:
            best["yaml"] = max(best["yaml"], weight)
        elif kind in ("application/json", "application/*", "*/*"):
            best["json"] = max(best["json"], weight)
    if not any(best.values()):
        raise HTTPException(406, f"this address answers as application/json or {YAML}")
    return best["yaml"] > best["json"] or (best["yaml"] == best["json"] and "json" not in request.headers["accept"])


def _weight(options: str) -> float:
    found = re.search(r"q=([01](?:\.\d{0,3})?)", options)
    return float(found[1]) if found else 1.0
