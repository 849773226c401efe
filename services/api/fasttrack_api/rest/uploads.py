"""Uploads into a pipeline's vfroot that may be cut off and gone on with: the tus protocol, 1.0, and a plain `PUT`.

A file is seen in the vfroot when it is whole, and at once as a whole.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID, uuid4

import structlog
from fastapi import APIRouter, Header, Path, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from fasttrack.db import Db
from fasttrack.domain.access import Permission
from fasttrack.errors import InvalidInput, NotFound
from fasttrack.ids import PipelineId, ProjectId
from fasttrack.storage.base import TooLarge, Upload, UploadStore
from fasttrack.storage.uploads import CHECKSUMS
from fasttrack.tasks import end_tasks
from fasttrack.workflow.audit import record

from ..parts import Parts
from . import models
from .files import APath
from .reach import APipeline, Call, InProject, OfCaller, the_pipeline
from .routing import Route

log = structlog.get_logger()
router = APIRouter(prefix="/api/v1/pipelines/{pipeline}", tags=["logs and files"], route_class=Route)

_VERSION = "1.0.0"
_OFFSET = "application/offset+octet-stream"
_PIECE = 256 * 1024
_FAR = 2**50
_BYTES = {"schema": {"type": "string", "format": "binary"}, "examples": {"some": {"value": "…"}}}
_WRITE: dict[int | str, dict[str, Any]] = {
    413: {"description": "It is more than an upload may have, or was to have (`TOO_LARGE`)."},
    423: {"description": "Another request is writing to it (`UPLOAD_BUSY`)."},
    507: {"description": "The disk has no room for it (`NO_ROOM`)."},
}
_OTHER_VERSION: dict[int | str, dict[str, Any]] = {
    412: {"description": "`Tus-Resumable` is a version that is not spoken."}
}

AnUpload = Annotated[UUID, Path(alias="upload", description="The upload's id, from `Location`.")]
Tus = Annotated[
    str | None, Header(alias="tus-resumable", max_length=20, description="`1.0.0`; clients of the protocol send it.")
]


@router.put(
    "/vfroot/{path:path}",
    summary="Put a file into a pipeline's vfroot",
    status_code=201,
    responses=_WRITE | {411: {"description": "The header `Content-Length` is missing."}},
    openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": _BYTES}}},
)
async def put_file(
    call: OfCaller,
    request: Request,
    response: Response,
    pipeline: APipeline,
    path: APath,
    project: InProject = None,
) -> models.Upload:
    """Store the body as a file of `/pipeline/vfroot`, over an older one of that name.

    It is there when it is whole. One that is cut off leaves nothing; what is large is better uploaded in a way that can be
    gone on with.
    """
    length = request.headers.get("content-length")
    if length is None:
        raise HTTPException(411, "this address needs the header Content-Length")
    store, upload = await _begin(call, "file.put", pipeline, project, path, int(length))
    try:
        done = _model(upload) if upload.is_done else await _append(store, upload, 0, None, request)
    except BaseException:
        await store.cancel(upload.pipeline_id, upload.id)
        raise
    response.headers["Location"] = f"/api/v1/pipelines/{upload.pipeline_id}/vfroot/{quote(path)}"
    return done


@router.options("/uploads", summary="Read what uploads may be", status_code=204)
async def describe_uploads(call: OfCaller, pipeline: APipeline, project: InProject = None) -> Response:
    """The version, the extensions and the limits of the upload protocol, as headers."""
    async with call.parts.database.transaction() as db:
        await the_pipeline(db, call, pipeline, project)
    about = {
        "Tus-Version": _VERSION,
        "Tus-Extension": "creation,expiration,checksum,termination",
        "Tus-Max-Size": str(call.parts.settings.upload_file_limit),
        "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
    }
    return Response(status_code=204, headers=_tus() | about)


@router.post("/uploads", summary="Begin an upload", status_code=201, responses=_WRITE | _OTHER_VERSION)
async def begin_upload(
    call: OfCaller,
    response: Response,
    pipeline: APipeline,
    length: Annotated[int, Header(alias="upload-length", ge=0, le=_FAR, description="Bytes of the whole file.")],
    project: InProject = None,
    path: Annotated[
        str | None, Query(max_length=4096, description="Where the file is going to be.", examples=["data/train.csv"])
    ] = None,
    metadata: Annotated[
        str | None,
        Header(
            alias="upload-metadata",
            max_length=8192,
            description="As the protocol has it; `path`, or else `filename`, says the same as the parameter.",
        ),
    ] = None,
    version: Tus = None,
) -> models.Upload:
    """Begin to upload one file into `/pipeline/vfroot`. `Location` is where its bytes are sent to, piece by piece.

    What is not finished is dropped a day after something last came of it (`Upload-Expires`).
    """
    _require_version(version)
    _, upload = await _begin(call, "upload.begin", pipeline, project, _path(path, metadata), length)
    response.headers["Location"] = f"/api/v1/pipelines/{upload.pipeline_id}/uploads/{upload.id}"
    response.headers.update(_told(call, upload))
    return _model(upload)


@router.head("/uploads/{upload}", summary="Ask how far an upload is", response_class=Response, responses=_OTHER_VERSION)
async def ask_upload(
    call: OfCaller, pipeline: APipeline, upload: AnUpload, project: InProject = None, version: Tus = None
) -> Response:
    """`Upload-Offset` is where to go on; equal to `Upload-Length`, the file is in its place."""
    _require_version(version)
    _, found, _ = await _find(call, pipeline, project, upload)
    return Response(status_code=200, headers=_told(call, found) | {"Upload-Length": str(found.length)})


@router.get("/uploads/{upload}", summary="Read an upload")
async def read_upload(
    call: OfCaller, pipeline: APipeline, upload: AnUpload, project: InProject = None
) -> models.Upload:
    """How far it is, as JSON. Only who began an upload may see it and go on with it."""
    return _model((await _find(call, pipeline, project, upload))[1])


@router.patch(
    "/uploads/{upload}",
    summary="Go on with an upload",
    status_code=204,
    responses=_WRITE | _OTHER_VERSION,
    openapi_extra={"requestBody": {"required": True, "content": {_OFFSET: _BYTES}}},
)
async def append_to_upload(
    call: OfCaller,
    request: Request,
    pipeline: APipeline,
    upload: AnUpload,
    offset: Annotated[int, Header(alias="upload-offset", ge=0, le=_FAR, description="Where these bytes belong.")],
    project: InProject = None,
    checksum: Annotated[
        str | None,
        Header(
            alias="upload-checksum",
            max_length=200,
            description="An algorithm and the digest of these bytes in base64: what differs is not kept.",
            examples=["sha256 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="],
        ),
    ] = None,
    version: Tus = None,
) -> Response:
    """Send the bytes from `Upload-Offset` on, all that are left or some. What came before a connection broke is kept.

    With the last byte the file moves to its place. Another offset than the upload's is a 409 (`UPLOAD_OFFSET`): ask for it.
    """
    _require_version(version)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _OFFSET:
        raise HTTPException(415, f"this address takes a body of {_OFFSET}")
    store, found, where = await _find(call, pipeline, project, upload)
    done = await _append(store, found, offset, _checksum(checksum), request)
    if done.is_done:
        await _write_down(call, where, "upload.finish", found)
    return Response(status_code=204, headers=_tus() | {"Upload-Offset": str(done.offset)})


@router.delete("/uploads/{upload}", summary="Cancel an upload", status_code=204, responses=_OTHER_VERSION)
async def cancel_upload(
    call: OfCaller, pipeline: APipeline, upload: AnUpload, project: InProject = None, version: Tus = None
) -> Response:
    """Drop what came of it. A file that is in its place stays."""
    _require_version(version)
    store, found, where = await _find(call, pipeline, project, upload)
    await _write_down(call, where, "upload.cancel", found)
    await store.cancel(found.pipeline_id, found.id)
    return Response(status_code=204, headers=_tus())


@asynccontextmanager
async def sweeping(parts: Parts) -> AsyncIterator[None]:
    """Uploads that nothing came of for long are dropped, now and then while the block runs."""
    task = asyncio.create_task(_sweep(parts))
    try:
        yield
    finally:
        await end_tasks(task)


async def _sweep(parts: Parts) -> None:
    expiry = parts.settings.upload_expiry
    while True:
        try:
            swept = await parts.sites.own().uploads.sweep(unchanged_for=expiry)
            if swept:
                log.info("unfinished uploads were dropped", uploads=swept)
        except NotFound:
            pass  # the folders of pipelines are not here
        except Exception as error:
            log.warning("unfinished uploads could not be dropped", exc_info=error)
        await asyncio.sleep(min(expiry.total_seconds() / 4, 3600))


async def _begin(
    call: Call, action: str, pipeline: str, project: str | None, path: str, length: int
) -> tuple[UploadStore, Upload]:
    settings = call.parts.settings
    where, found = await _editable(call, pipeline, project)
    store = call.parts.sites.own().uploads
    if length > settings.upload_file_limit:
        raise TooLarge(f"a file may have {settings.upload_file_limit} bytes, and this one has {length}")
    now = call.parts.clock.now()
    upload = Upload(uuid4(), found, path, length, 0, call.caller.account_id, now)

    begun = await store.begin(upload, most=settings.upload_limit)
    try:
        await _write_down(call, where, action, upload)
    except BaseException:
        await store.cancel(found, upload.id)
        raise
    return store, begun


async def _write_down(call: Call, project: ProjectId, action: str, upload: Upload) -> None:
    async def work(db: Db) -> None:
        await record(
            db,
            call.caller,
            action,
            object_kind="pipeline",
            object_id=upload.pipeline_id,
            project=project,
            after={"path": upload.path, "bytes": upload.length, "upload_id": upload.id},
        )

    await call.parts.database.run(work)


async def _find(call: Call, pipeline: str, project: str | None, upload: UUID) -> tuple[UploadStore, Upload, ProjectId]:
    where, found = await _editable(call, pipeline, project)
    store = call.parts.sites.own().uploads
    known = await store.look(found, upload)
    if known.by != call.caller.account_id:
        raise NotFound(f"there is no upload {upload}; one that nothing came of is dropped after a while")
    return store, known, where


async def _editable(call: Call, pipeline: str, project: str | None) -> tuple[ProjectId, PipelineId]:
    async with call.parts.database.transaction() as db:
        where, found = await the_pipeline(db, call, pipeline, project, Permission.EDIT)
    return where, found.id


async def _append(
    store: UploadStore, upload: Upload, offset: int, checksum: tuple[str, bytes] | None, request: Request
) -> models.Upload:
    async with store.append(upload, offset, checksum=checksum) as writing:
        held = bytearray()
        async for data in request.stream():
            held += data
            if len(held) >= _PIECE:
                await writing.write(bytes(held))
                held.clear()
        await writing.write(bytes(held))
    return _model(await store.look(upload.pipeline_id, upload.id))


def _path(path: str | None, metadata: str | None) -> str:
    if path is not None:
        return path
    given: dict[str, str] = {}
    for pair in (metadata or "").split(","):
        name, _, value = pair.strip().partition(" ")
        try:
            given[name] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise InvalidInput(
                f"`Upload-Metadata` has a value that is not base64 of a text, under {name[:80]!r}"
            ) from None
    found = given.get("path") or given.get("filename")
    if found is None:
        raise InvalidInput("say where the file is going to be: `?path=`, or `path` in `Upload-Metadata`")
    return found


def _checksum(text: str | None) -> tuple[str, bytes] | None:
    if text is None:
        return None
    algorithm, _, digest = text.strip().partition(" ")
    try:
        if algorithm not in CHECKSUMS:
            raise ValueError
        return algorithm, base64.b64decode(digest, validate=True)
    except ValueError:
        known = ", ".join(CHECKSUMS)
        raise HTTPException(400, f"`Upload-Checksum` is an algorithm ({known}) and a digest in base64") from None


def _require_version(given: str | None) -> None:
    if given not in (None, _VERSION):
        raise HTTPException(
            412, f"this server has version {_VERSION} of the upload protocol", {"Tus-Version": _VERSION}
        )


def _tus() -> dict[str, str]:
    return {"Tus-Resumable": _VERSION, "Cache-Control": "no-store"}


def _told(call: Call, upload: Upload) -> dict[str, str]:
    expires = upload.changed_at + call.parts.settings.upload_expiry
    found = _tus() | {"Upload-Offset": str(upload.offset)}
    if not upload.is_done:
        found["Upload-Expires"] = expires.strftime("%a, %d %b %Y %H:%M:%S GMT")
    return found


def _model(upload: Upload) -> models.Upload:
    return models.Upload.model_validate(upload, from_attributes=True)
