"""Text → checked → a new immutable version."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .. import spec
from ..db import Db
from ..db.catalog import HeldPipeline, find_by_former_name
from ..db.listings import PipelineListing
from ..db.pipelines import PipelineRecord, VersionRecord, add_version, ensure_pipeline, find_pipeline, find_version
from ..domain.catalog import LONGEST_DESCRIPTION
from ..domain.pipeline import Pipeline
from ..errors import Conflict, NotFound, Problem, Severity
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

    A file that still carries the former name of a pipeline, which none has now, is one of that pipeline: it gets the new
    name in it, and a warning says so.

    :param expected_version: the newest version the author has seen; another one is a conflict.
    :param loaded: what `spec.load_pipeline` gave for this text, by a caller that loads with no transaction open.
    :raises InvalidPipeline: with every problem of the file; nothing was stored.
    :raises Conflict: somebody published in between.
    """
    document, compiled, warnings = loaded or spec.load_pipeline(text)
    source = text if isinstance(text, str) else text.decode()
    name = await find_by_former_name(db, project, compiled.name)
    if name is not None:
        source, document = spec.renamed(source, name), document.model_copy(update={"name": name})
        warnings = (*warnings, _was_renamed(compiled.name, name))
        compiled = replace(compiled, name=name)
    pipeline = await ensure_pipeline(db, project, compiled.name, by=by, description=_short(compiled.description))
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
    version = await add_version(
        db, pipeline, author=by, message=message, hash=digest, source=source, spec=spec.document_json(document)
    )
    return Published(pipeline, version, compiled, is_new=True, warnings=warnings)


def _was_renamed(old: str, new: str) -> Problem:
    return Problem(
        f"the pipeline {old} is called {new} now, so this was published as a version of {new}; change `name` in the file",
        path="name",
        severity=Severity.WARNING,
    )


def _short(text: str) -> str:
    """The file's own description as the pipeline's first one."""
    return text.strip()[:LONGEST_DESCRIPTION]


async def restore(db: Db, project: ProjectId, name: str, number: int, *, by: str) -> Published:
    """Publish version `number` of a pipeline again, as its newest version. History is never rewritten.

    :raises NotFound: no such pipeline or version.
    """
    version = await require_version(db, project, name, number)
    # It may be older than the pipeline's name, which another pipeline has now.
    text = spec.renamed(version.source, name)
    return await publish(db, project, text, by=by, message=f"restored from version {number}")


async def require_version(db: Db, project: ProjectId, name: str, number: int | None) -> VersionRecord:
    """Version `number` of the pipeline, or its newest. :raises NotFound: no such pipeline or version."""
    pipeline = await find_pipeline(db, project, name)
    if pipeline is None:
        raise NotFound(f"there is no pipeline named {name}")
    return await require_version_of(db, pipeline, number)


async def require_version_of(db: Db, pipeline: PipelineRecord, number: int | None) -> VersionRecord:
    """Version `number` of the pipeline, live or archived, or its newest. :raises NotFound: it has no such version."""
    wanted = pipeline.latest_version if number is None else number
    version = await find_version(db, pipeline.id, wanted)
    if version is None:
        raise no_version(pipeline, wanted)
    return version


def no_version(pipeline: PipelineRecord | PipelineListing | HeldPipeline, number: int) -> NotFound:
    """The error for a version that the pipeline does not have: an empty one has none at all."""
    if not pipeline.latest_version:
        return NotFound(f"pipeline {pipeline.name} is empty: it has no version yet; publish a file with that name")
    return NotFound(f"pipeline {pipeline.name} has no version {number}; its newest is {pipeline.latest_version}")
