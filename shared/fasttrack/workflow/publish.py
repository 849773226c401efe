"""Text → checked → a new immutable version."""

from __future__ import annotations

from dataclasses import dataclass

from .. import spec
from ..db import Db
from ..db.pipelines import PipelineRecord, VersionRecord, add_version, ensure_pipeline, find_pipeline, find_version
from ..domain.pipeline import Pipeline
from ..errors import Conflict, NotFound, Problem
from ..ids import ProjectId


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing gave."""

    pipeline: PipelineRecord
    version: VersionRecord
    compiled: Pipeline
    is_new: bool
    """`False`: the newest version already means the same, and was left as it is."""
    warnings: tuple[Problem, ...] = ()


async def publish(
    db: Db,
    project: ProjectId,
    text: str | bytes,
    *,
    by: str,
    message: str = "",
    expected_version: int | None = None,
    loaded: tuple[spec.Document, Pipeline, tuple[Problem, ...]] | None = None,
) -> Published:
    """Publish a pipeline file under the name it carries. Needs a transaction; idempotent for an unchanged file.

    :param expected_version: the newest version the author has seen; another one is a conflict.
    :param loaded: what `spec.load_pipeline` gave for this text, by a caller that loads with no transaction open.
    :raises InvalidPipeline: with every problem of the file; nothing was stored.
    :raises Conflict: somebody published in between.
    """
    document, compiled, warnings = loaded or spec.load_pipeline(text)
    pipeline = await ensure_pipeline(db, project, compiled.name, by=by)
    if expected_version is not None and expected_version != pipeline.latest_version:
        raise Conflict(
            f"pipeline {pipeline.name} is at version {pipeline.latest_version}, not {expected_version}: "
            "somebody published in between; look at the difference and publish again"
        )
    digest = spec.canonical_hash(document)
    if pipeline.latest_version:
        newest = await find_version(db, pipeline.id, pipeline.latest_version)
        if newest is not None and newest.hash == digest:
            return Published(pipeline, newest, compiled, is_new=False, warnings=warnings)
    source = text if isinstance(text, str) else text.decode()
    version = await add_version(
        db, pipeline, author=by, message=message, hash=digest, source=source, spec=spec.document_json(document)
    )
    return Published(pipeline, version, compiled, is_new=True, warnings=warnings)


async def restore(db: Db, project: ProjectId, name: str, number: int, *, by: str) -> Published:
    """Publish version `number` of a pipeline again, as its newest version. History is never rewritten.

    :raises NotFound: no such pipeline or version.
    """
    version = await require_version(db, project, name, number)
    return await publish(db, project, version.source, by=by, message=f"restored from version {number}")


async def require_version(db: Db, project: ProjectId, name: str, number: int | None) -> VersionRecord:
    """Version `number` of the pipeline, or its newest. :raises NotFound: no such pipeline or version."""
    pipeline = await find_pipeline(db, project, name)
    if pipeline is None:
        raise NotFound(f"there is no pipeline named {name}")
    wanted = pipeline.latest_version if number is None else number
    version = await find_version(db, pipeline.id, wanted)
    if version is None:
        raise NotFound(f"pipeline {name} has no version {wanted}; its newest is {pipeline.latest_version}")
    return version
