"""A new pipeline: empty, from a file, as a copy of another one, or from a template. It remembers where it came from."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from .. import spec
from ..db import Db
from ..db.catalog import find_free_name, insert_pipeline
from ..db.listings import PipelineListing, load_pipelines
from ..db.pipelines import find_version
from ..domain.access import Caller, Permission
from ..domain.catalog import LONGEST_DESCRIPTION, LONGEST_NAME, checked_description, checked_tags
from ..domain.pipeline import Pipeline
from ..errors import InvalidInput, NotFound, Problem
from ..ids import PipelineId, ProjectId, TemplateId, VersionId
from .answers import answer_once
from .audit import record
from .catalog import NameTaken
from .publish import no_version, publish
from .templates import read_template, require_template

LONGEST_MESSAGE = 1000


@dataclass(frozen=True, slots=True)
class NewPipeline:
    """What is wanted. At most one of `yaml`, `template` and `copy_of`; none of them makes an empty pipeline."""

    project: ProjectId
    name: str | None = None
    """`None`: that of the file or template; a copy's is one that is free."""
    description: str | None = None
    """`None`: that of the file, or of what is copied."""
    tags: Sequence[str] | None = None
    """`None`: none, or those of the pipeline that is copied."""
    message: str = ""
    yaml: str | None = None
    template: TemplateId | None = None
    copy_of: PipelineId | None = None
    version: int | None = None
    """Of `copy_of`; `None`: its newest."""


@dataclass(frozen=True, slots=True)
class Created:
    """What was made."""

    pipeline: PipelineId
    version: VersionId | None
    """`None`: it is empty."""
    warnings: tuple[Problem, ...] = ()
    """About the file; none when the request was answered before."""
    is_new: bool = True
    """`False`: the key was used before, and this is what was made then."""


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What the first version is made of."""

    text: str | None
    name: str
    description: str
    tags: Sequence[str]
    created_from: Mapping[str, Any] | None
    loaded: tuple[spec.Document, Pipeline, tuple[Problem, ...]] | None = None


async def create_pipeline(db: Db, caller: Caller, wanted: NewPipeline, *, key: str | None = None) -> Created:
    """Make a pipeline. Needs a transaction; with an idempotency `key` the same request makes one and answers it again.

    :raises NotFound: the project, template or pipeline is not the caller's to read. :raises Forbidden: they may not edit
        in the project.
    :raises InvalidInput: more than one thing to begin with, no name for an empty one, or one that cannot be.
    :raises InvalidPipeline: with every problem of the file. :raises NameTaken: with a name that is free.
    :raises Conflict: the key was used for another request.
    """
    caller.require(Permission.EDIT, wanted.project)
    warnings: tuple[Problem, ...] = ()
    is_new = False

    async def work() -> dict[str, str | None]:
        nonlocal warnings, is_new
        is_new = True
        beginning = await _begin(db, caller, wanted)
        if beginning.loaded is not None:
            warnings = beginning.loaded[2]
        return await _make(db, caller, wanted, beginning)

    answer = await answer_once(db, caller, "pipeline.create", key, asdict(wanted), work)
    version = answer["version"]
    return Created(
        PipelineId(UUID(answer["pipeline"])), None if version is None else VersionId(UUID(version)), warnings, is_new
    )


async def _make(db: Db, caller: Caller, wanted: NewPipeline, beginning: _Beginning) -> dict[str, str | None]:
    pipeline = await insert_pipeline(
        db,
        wanted.project,
        beginning.name,
        by=caller.name,
        description=beginning.description,
        tags=beginning.tags,
        created_from=beginning.created_from,
    )
    if pipeline is None:
        raise NameTaken(beginning.name, await find_free_name(db, wanted.project, beginning.name))
    version = None
    if beginning.text is not None:
        published = await publish(
            db, wanted.project, beginning.text, by=caller.name, message=wanted.message, loaded=beginning.loaded
        )
        version = str(published.version.id)
    await record(
        db,
        caller,
        "pipeline.create",
        object_kind="pipeline",
        object_id=pipeline,
        project=wanted.project,
        after={"name": beginning.name, "tags": beginning.tags, "created_from": beginning.created_from},
    )
    return {"pipeline": str(pipeline), "version": version}


async def _begin(db: Db, caller: Caller, wanted: NewPipeline) -> _Beginning:
    if sum(one is not None for one in (wanted.yaml, wanted.template, wanted.copy_of)) > 1:
        raise InvalidInput("a pipeline begins with a file, a template or a copy of another one: give one of them")
    if len(wanted.message) > LONGEST_MESSAGE:
        raise InvalidInput(f"a message has at most {LONGEST_MESSAGE} characters")
    if wanted.version is not None and wanted.copy_of is None:
        raise InvalidInput("a version is given together with the pipeline that is to be copied")
    if wanted.template is not None:
        return await _from_template(db, caller, wanted, wanted.template)
    if wanted.copy_of is not None:
        return await _copy(db, caller, wanted, wanted.copy_of)
    if wanted.yaml is not None:
        return await _from_text(wanted, wanted.yaml, wanted.name, None)
    if wanted.name is None:
        raise InvalidInput("an empty pipeline needs a name; a file, a template or a copy brings one with it")
    return _beginning(wanted, None, spec.require_name(wanted.name), "", (), None)


async def _from_template(db: Db, caller: Caller, wanted: NewPipeline, template: TemplateId) -> _Beginning:
    found = await require_template(db, caller, template)
    origin = {"kind": "template", "template": str(found.id), "name": found.name}
    return await _from_text(wanted, await read_template(db, found), wanted.name, origin)


async def _copy(db: Db, caller: Caller, wanted: NewPipeline, source: PipelineId) -> _Beginning:
    pipeline = (await load_pipelines(db, caller.projects, [source])).get(source)
    if pipeline is None:
        raise NotFound("there is no such pipeline to copy")
    number = pipeline.latest_version if wanted.version is None else wanted.version
    version = await find_version(db, pipeline.id, number)
    if version is None and (wanted.version is not None or pipeline.latest_version):
        raise no_version(pipeline, number)
    name = wanted.name or await _name_of_copy(db, wanted.project, pipeline)
    origin = {"kind": "pipeline", "pipeline": str(pipeline.id), "version": number or None, "name": pipeline.name}
    if version is None:
        return _beginning(wanted, None, spec.require_name(name), pipeline.description, pipeline.tags, origin)
    return await _from_text(wanted, version.source, name, origin, pipeline)


async def _name_of_copy(db: Db, project: ProjectId, pipeline: PipelineListing) -> str:
    return await find_free_name(
        db, project, pipeline.name if pipeline.project_id != project else f"{pipeline.name[: LONGEST_NAME - 5]}-copy"
    )


async def _from_text(
    wanted: NewPipeline,
    text: str,
    name: str | None,
    created_from: Mapping[str, Any] | None,
    copied: PipelineListing | None = None,
) -> _Beginning:
    # A large file takes a second: beside the event loop. Nothing is held yet but the key.
    if name is not None:
        text = await asyncio.to_thread(spec.renamed, text, name)
    loaded = await asyncio.to_thread(spec.load_pipeline, text)
    compiled = loaded[1]
    description = copied.description if copied is not None else compiled.description.strip()[:LONGEST_DESCRIPTION]
    tags = copied.tags if copied is not None else ()
    return _beginning(wanted, text, compiled.name, description, tags, created_from, loaded)


def _beginning(
    wanted: NewPipeline,
    text: str | None,
    name: str,
    description: str,
    tags: Sequence[str],
    created_from: Mapping[str, Any] | None,
    loaded: tuple[spec.Document, Pipeline, tuple[Problem, ...]] | None = None,
) -> _Beginning:
    """What is wanted over what is copied."""
    return _Beginning(
        text,
        name,
        description if wanted.description is None else checked_description(wanted.description),
        list(tags) if wanted.tags is None else checked_tags(wanted.tags),
        created_from,
        loaded,
    )
