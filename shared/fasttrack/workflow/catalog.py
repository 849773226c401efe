"""The life of a pipeline beside its versions: renamed and described, archived and brought back, deleted.

Each takes the pipeline's row first, as whoever makes a job of it does: what is decided here about its jobs holds until
the commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .. import spec
from ..crashpoints import crash_point
from ..db import Db
from ..db.catalog import (
    HeldPipeline,
    count_jobs_open,
    find_free_name,
    hold_pipeline,
    is_taken,
    mark_deleted,
    remember_name,
    write_pipeline,
)
from ..db.drafts import hold_draft, load_drafts, write_draft
from ..db.pipelines import add_version, find_pipeline, find_version
from ..db.problems import find_problem, give_up_files
from ..domain.access import Caller, Permission
from ..domain.catalog import checked_description, checked_tags
from ..errors import Conflict, InvalidInput, NotFound
from ..ids import PipelineId, ProjectId
from .audit import record
from .revisions import require_revision


class NameTaken(Conflict):
    """The project has a pipeline of that name."""

    def __init__(self, name: str, free: str) -> None:
        self.free_name = free
        super().__init__(f"the project has a pipeline named {name} already; {free} is free", free_name=free)


@dataclass(frozen=True, slots=True)
class PipelineChanges:
    """What is to be different; `None` leaves it as it is."""

    name: str | None = None
    description: str | None = None
    tags: Sequence[str] | None = None


async def update_pipeline(
    db: Db,
    caller: Caller,
    pipeline: PipelineId,
    changes: PipelineChanges,
    *,
    expected_revision: int | None = None,
) -> None:
    """Rename, describe or tag a live pipeline. Needs a transaction; a second time changes nothing.

    A rename publishes the newest version again with the new name in its file, so that what is exported, edited and
    published next carries it. Jobs keep the version they were made from. The old name leads here (`publish`) until
    another pipeline takes it. A draft that is begun gets the new name too, and goes on from the version of the rename.

    :param expected_revision: the one that the caller has seen; another is a conflict.
    :raises NotFound: none that the caller may read. :raises Forbidden: they may not edit it.
    :raises InvalidInput: a name, tag or description that cannot be. :raises NameTaken: with a name that is free.
    :raises Conflict: it is archived, or was changed in between.
    """
    if changes.name is not None:
        await hold_draft(db, pipeline)  # before the pipeline, as whoever publishes a draft
    held = await _held(db, caller, pipeline, Permission.EDIT, expected_revision)
    if held.archived_at is not None:
        raise Conflict(f"pipeline {held.name} is archived; bring it back first")
    name = held.name if changes.name is None else spec.require_name(changes.name)
    after = {
        "name": name,
        "description": held.description if changes.description is None else checked_description(changes.description),
        "tags": list(held.tags) if changes.tags is None else checked_tags(changes.tags),
    }
    before = {"name": held.name, "description": held.description, "tags": list(held.tags)}
    if after == before:
        return
    if name != held.name:
        await _require_free(db, held.project_id, name)
    await write_pipeline(db, pipeline, **after, is_archived=False)  # type: ignore[arg-type]
    if name != held.name:
        await remember_name(db, held.project_id, held.name, pipeline)
        await _carry_on(db, caller, held, name)
        await _rename_draft(db, caller, held, name)
    await _record(db, caller, "pipeline.update", held, before, after)


async def archive_pipeline(
    db: Db, caller: Caller, pipeline: PipelineId, *, expected_revision: int | None = None
) -> None:
    """Have the pipeline start nothing, and leave the lists; its history stays. Its name is free again. Repeatable.

    :raises NotFound: none that the caller may read. :raises Forbidden: they may not edit it.
    :raises Conflict: jobs of it are not over, or it was changed in between.
    """
    held = await _held(db, caller, pipeline, Permission.EDIT, expected_revision)
    if held.archived_at is not None:
        return
    await _require_idle(db, held)
    await _write_archived(db, held, is_archived=True)
    await _record(db, caller, "pipeline.archive", held, None, {"name": held.name})


async def unarchive_pipeline(
    db: Db, caller: Caller, pipeline: PipelineId, *, expected_revision: int | None = None
) -> None:
    """Bring an archived pipeline back, under its name. Repeatable.

    :raises NotFound: none that the caller may read. :raises Forbidden: they may not edit it.
    :raises NameTaken: another has its name by now; rename that one first. :raises Conflict: changed in between.
    """
    held = await _held(db, caller, pipeline, Permission.EDIT, expected_revision)
    if held.archived_at is None:
        return
    await _require_free(db, held.project_id, held.name)
    await _write_archived(db, held, is_archived=False)
    await _record(db, caller, "pipeline.unarchive", held, None, {"name": held.name})


async def remake_folder(db: Db, caller: Caller, pipeline: PipelineId) -> None:
    """Have a pipeline whose folder was deleted on the cluster run again, with an empty folder that its next job makes.

    What its jobs so far have written is lost, and said to be: none of it is reused. A pipeline without that problem is
    left as it is, so a second time changes nothing.

    :raises NotFound: none that the caller may read. :raises Forbidden: they may not edit it.
    :raises Conflict: the folder is in the trash of the cluster, which keeps its name.
    """
    held = await _held(db, caller, pipeline, Permission.EDIT, None)
    problem = await find_problem(db, pipeline)
    if problem is None:
        return
    if not problem.is_gone:
        raise Conflict(f"pipeline {held.name} cannot have another folder yet: {problem.sentence}")
    await give_up_files(db, pipeline)
    await _record(db, caller, "pipeline.remake_folder", held, {"name": held.name, "problem": problem.sentence}, None)


async def delete_pipeline(
    db: Db, caller: Caller, pipeline: PipelineId, *, confirm_name: str, expected_revision: int | None = None
) -> None:
    """Delete a pipeline, live or archived, with its versions and jobs: from the commit on no read shows any of it.

    What it leaves in the database and in folders is removed by retention's turns (`db.deleted`). Templates made of it are
    offered no more; pipelines that were copied from it stay.

    :param confirm_name: its name, so that nobody deletes what they did not mean.
    :raises NotFound: none that the caller may read; a second delete too. :raises Forbidden: they may not operate there.
    :raises InvalidInput: the name is another. :raises Conflict: jobs of it are not over, or it was changed in between.
    """
    held = await _held(db, caller, pipeline, Permission.OPERATE, expected_revision)
    if confirm_name != held.name:
        raise InvalidInput("the name that was given to confirm is not the pipeline's; nothing was deleted")
    await _require_idle(db, held)
    await mark_deleted(db, pipeline)
    await _record(db, caller, "pipeline.delete", held, {"name": held.name, "versions": held.latest_version}, None)
    crash_point("delete.before_commit")


# -- what they share ------------------------------------------------------------------------------------------------


async def _held(
    db: Db, caller: Caller, pipeline: PipelineId, permission: Permission, expected_revision: int | None
) -> HeldPipeline:
    held = await hold_pipeline(db, pipeline, caller.projects)
    if held is None:
        raise NotFound("there is no such pipeline")
    caller.require(permission, held.project_id, what="pipeline")
    require_revision(f"pipeline {held.name}", held.revision, expected_revision)
    return held


async def _require_free(db: Db, project: ProjectId, name: str) -> None:
    if await is_taken(db, project, name):
        raise NameTaken(name, await find_free_name(db, project, name))


async def _require_idle(db: Db, held: HeldPipeline) -> None:
    count = await count_jobs_open(db, held.id)
    if count:
        jobs = "1 job that is" if count == 1 else f"{count} jobs that are"
        raise Conflict(f"pipeline {held.name} has {jobs} not over; cancel what is open, or wait for its end")


async def _write_archived(db: Db, held: HeldPipeline, *, is_archived: bool) -> None:
    await write_pipeline(
        db, held.id, name=held.name, description=held.description, tags=held.tags, is_archived=is_archived
    )


async def _carry_on(db: Db, caller: Caller, held: HeldPipeline, name: str) -> None:
    """Publish the newest version again under the new name, whatever else it says."""
    newest = await find_version(db, held.id, held.latest_version)
    pipeline = await find_pipeline(db, held.project_id, name)
    if newest is None or pipeline is None:
        return  # an empty one has nothing that carries a name
    document = spec.document_from_json({**newest.spec, "name": name})
    await add_version(
        db,
        pipeline,
        author=caller.name,
        message=f"renamed from {held.name}",
        hash=spec.canonical_hash(document),
        source=await asyncio.to_thread(spec.renamed, newest.source, name),  # a large file takes a second
        spec=spec.document_json(document),
    )


async def _rename_draft(db: Db, caller: Caller, held: HeldPipeline, name: str) -> None:
    """Give the draft the new name, where it says the old one. Nobody has to look at a version that only renames."""
    await hold_draft(db, held.id)  # one that was begun before the pipeline was held
    draft = (await load_drafts(db, [held.id]))[held.id]
    if not draft.is_begun or draft.source is None:
        return
    text = await asyncio.to_thread(spec.renamed_in_place, draft.source, held.name, name)
    base = draft.latest_version if draft.base_version == held.latest_version else draft.base_version
    if (text, base) != (draft.source, draft.base_version):
        await write_draft(db, replace(draft, base_version=base), text, draft.positions, by=caller.name)


async def _record(db: Db, caller: Caller, action: str, held: HeldPipeline, before: object, after: object) -> None:
    await record(
        db,
        caller,
        action,
        object_kind="pipeline",
        object_id=held.id,
        project=held.project_id,
        before=before,
        after=after,
    )
