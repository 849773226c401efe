"""Files of tasks: lists, downloads by range, folders as zip, and deletion. Nothing is ever shown inside a browser (S50)."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from fasttrack.db import Db
from fasttrack.domain.access import Permission
from fasttrack.errors import FastTrackError
from fasttrack.ids import PipelineId
from fasttrack.storage import Listing, OpenFile, Vfroot
from fasttrack.workflow.audit import record

from ..folders import Place, outputs_of
from ..problems import Broken
from . import models
from .archives import Archive, require_archivable
from .logs import ATask, the_instance
from .ranges import Span, span_of
from .reach import AJob, APipeline, Call, InProject, OfCaller, the_pipeline
from .routing import Route, holds
from .streaming import SendBytes, Streamed

router = APIRouter(prefix="/api/v1", tags=["logs and files"], route_class=Route)

_PIECE = 256 * 1024
_OCTETS = "application/octet-stream"
APath = Annotated[
    str, Path(alias="path", max_length=4096, description="The file, from the folder on.", examples=["model.bin"])
]
Below = Annotated[
    str,
    Query(alias="path", max_length=4096, description="A directory in it; unset is the folder.", examples=["epoch-3"]),
]
AfterName = Annotated[str, Query(alias="after", max_length=255, description="`next` of the page before.")]
LimitedTo = Annotated[int, Query(alias="limit", ge=1, le=1000, description="At most this many.")]
InRange = Annotated[str | None, Header(alias="range", max_length=200, description="As RFC 9110 has it.")]
IfRange = Annotated[
    str | None, Header(alias="if-range", max_length=200, description="The `ETag` that the range is meant for.")
]
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PRUNED: dict[int | str, dict[str, Any]] = {
    410: {"description": "The outputs are not kept any more (`OUTPUTS_PRUNED`)."}
}
_DOWNLOAD: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {_OCTETS: _BINARY}},
    206: {"description": "The part that `Range` asks for.", "content": {_OCTETS: _BINARY}},
    304: {"description": "The caller has it already."},
    416: {"description": "The range is not in the file."},
}
_ZIP: dict[int | str, dict[str, Any]] = {200: {"description": "The files.", "content": {"application/zip": _BINARY}}}


@router.get("/jobs/{job}/tasks/{task}/outputs", summary="List a task's outputs", responses=_PRUNED)
async def list_outputs(
    call: OfCaller, job: AJob, task: ATask, path: Below = "", after: AfterName = "", limit: LimitedTo = 200
) -> models.Page[models.File]:
    """A directory of what the task wrote to `/pipeline/outputs` in this job, by name."""
    place = outputs_of(call.parts, await the_instance(call, job, task))
    return _page(path, await place.list(path, limit=limit, after=after))


@router.get(
    "/jobs/{job}/tasks/{task}/outputs.zip",
    summary="Download a task's outputs",
    response_class=Response,
    responses=_ZIP | _PRUNED,
)
async def zip_outputs(call: OfCaller, job: AJob, task: ATask, path: Below = "") -> Response:
    """What the task wrote, or a directory of it, as one zip archive. Links and special files are left out."""
    instance = await the_instance(call, job, task)
    return await _zip(call, outputs_of(call.parts, instance), path, f"{instance.name}-outputs")


@router.get(
    "/jobs/{job}/tasks/{task}/outputs/{path:path}",
    summary="Download an output",
    response_class=Response,
    responses=_DOWNLOAD | _PRUNED,
)
async def read_output(
    call: OfCaller,
    request: Request,
    job: AJob,
    task: ATask,
    path: APath,
    part: InRange = None,
    if_range: IfRange = None,
) -> Response:
    """One file that the task wrote, or a part of it."""
    place = outputs_of(call.parts, await the_instance(call, job, task))
    return await _download(call, request, place, path, part, if_range)


@router.get("/pipelines/{pipeline}/vfroot", summary="List a pipeline's files")
async def list_vfroot(
    call: OfCaller,
    pipeline: APipeline,
    project: InProject = None,
    path: Below = "",
    after: AfterName = "",
    limit: LimitedTo = 200,
) -> models.Page[models.File]:
    """A directory of `/pipeline/vfroot`, by name."""
    return _page(path, await (await _vfroot(call, pipeline, project)).list(path, limit=limit, after=after))


@router.get(
    "/pipelines/{pipeline}/vfroot.zip", summary="Download a pipeline's files", response_class=Response, responses=_ZIP
)
async def zip_vfroot(call: OfCaller, pipeline: APipeline, project: InProject = None, path: Below = "") -> Response:
    """`/pipeline/vfroot`, or a directory of it, as one zip archive. Links and special files are left out."""
    return await _zip(call, await _vfroot(call, pipeline, project), path, "vfroot")


@router.get(
    "/pipelines/{pipeline}/vfroot/{path:path}",
    summary="Download a pipeline's file",
    response_class=Response,
    responses=_DOWNLOAD,
)
async def read_vfroot(
    call: OfCaller,
    request: Request,
    pipeline: APipeline,
    path: APath,
    project: InProject = None,
    part: InRange = None,
    if_range: IfRange = None,
) -> Response:
    """One file of `/pipeline/vfroot`, or a part of it."""
    return await _download(call, request, await _vfroot(call, pipeline, project), path, part, if_range)


@router.delete("/pipelines/{pipeline}/vfroot/{path:path}", summary="Delete a pipeline's file", status_code=204)
async def delete_file(call: OfCaller, pipeline: APipeline, path: APath, project: InProject = None) -> Response:
    """Remove a file of `/pipeline/vfroot`, or a directory that is empty. A running task that has it open keeps it."""
    place = await _vfroot(call, pipeline, project, Permission.EDIT)
    await place.require(path)

    async def work(db: Db) -> None:
        # Written down before it is done: after a crash the log tells of what may not have happened, never the reverse.
        where, found = await the_pipeline(db, call, pipeline, project, Permission.EDIT)
        await record(
            db,
            call.caller,
            "file.delete",
            object_kind="pipeline",
            object_id=found.id,
            project=where,
            before={"path": path},
        )

    await call.parts.database.run(work)
    await place.delete(path)
    return Response(status_code=204)


async def _vfroot(call: Call, pipeline: str, project: str | None, permission: Permission = Permission.READ) -> Place:
    async with call.parts.database.transaction() as db:
        _, found = await the_pipeline(db, call, pipeline, project, permission)
    return Place(call.parts.sites.own().files, Vfroot(PipelineId(found.id)))


def _page(path: str, found: Listing) -> models.Page[models.File]:
    prefix = f"{path}/" if path else ""
    items = [
        models.File(name=e.name, path=f"{prefix}{e.name}", kind=e.kind, size=e.size, modified_at=e.modified_at)
        for e in found.entries
    ]
    return models.Page(items=items, next=found.next)


async def _zip(call: Call, place: Place, path: str, name: str) -> Response:
    await require_archivable(place, path, call.parts.settings)
    return Archive(place, path, call.parts.settings, _attachment(f"{name}.zip"))


async def _download(
    call: Call, request: Request, place: Place, path: str, part: str | None, if_range: str | None
) -> Response:
    file = await place.open(path)
    try:
        entry = file.entry
        tag = f'"{entry.tag}"'
        headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
        if holds(request.headers.get("if-none-match"), tag):
            await file.close()
            return Response(status_code=304, headers=headers)
        span = span_of(part, entry.size, if_range=if_range, tag=tag)
    except BaseException:
        await file.close()
        raise
    modified = entry.modified_at.strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers |= {"Last-Modified": modified, **_attachment(path.rpartition("/")[2]), **span.headers()}
    return FileBody(file, span, headers, call.parts.settings.stream_send_timeout.total_seconds())


def _attachment(name: str) -> dict[str, str]:
    # What a task wrote may be a page with a script in it: it is saved, never opened here.
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }


class FileBody(Streamed):
    """A part of a file, read as fast as the client takes it."""

    media_type = _OCTETS

    def __init__(self, file: OpenFile, span: Span, headers: dict[str, str], patience: float) -> None:
        super().__init__(self, patience, headers, status=span.status)
        self._file = file
        self._span = span
        self._has_left = False

    async def follow(self, send: SendBytes) -> None:
        at = self._span.start
        try:
            while at < self._span.end and not self._has_left:
                data = await self._file.read(at, min(_PIECE, self._span.end - at))
                if not data:
                    raise Broken  # it was cut meanwhile, and cannot be what was promised
                await send(data)
                at += len(data)
        except FastTrackError:
            raise Broken from None
        finally:
            await self._file.close()

    def end(self, error: object) -> None:
        self._has_left = True

    def close(self) -> None:
        """Nothing more to let go of."""
