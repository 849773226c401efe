"""Templates: those that come with FastTrack, and versions of pipelines that somebody offers.

Whoever may use a template sees its file, with parameters and the names of secrets, and nothing else of the pipeline it
is of: no job, no other version, no value of a secret.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from .. import spec
from ..db import Db
from ..db.catalog import hold_pipeline
from ..db.listings import load_sources
from ..db.pipelines import find_version
from ..db.templates import (
    StoredTemplate,
    list_stored_templates,
    load_stored_templates,
    load_templates_of,
    put_template,
    remove_template,
)
from ..db.windows import Page, Window, page_of
from ..domain.access import Caller, Permission
from ..domain.catalog import TemplateScope, checked_description
from ..errors import Conflict, NotFound
from ..ids import PipelineId, ProjectId, TemplateId, VersionId
from .audit import record
from .publish import no_version
from .revisions import require_revision
from .shipped import Shipped, shipped

NEEDED = {
    TemplateScope.PROJECT: Permission.EDIT,
    TemplateScope.DOMAIN: Permission.OPERATE,
    TemplateScope.EVERYONE: Permission.OPERATE,
}
"""What offering, changing and withdrawing needs in the project: what leaves it is a matter of who runs it."""


@dataclass(frozen=True, slots=True)
class Template:
    """A template as whoever may use it sees it."""

    id: TemplateId
    name: str
    description: str
    scope: TemplateScope
    origin: StoredTemplate | None = None
    """What it is of; `None`: it comes with FastTrack."""

    @property
    def version_id(self) -> VersionId | None:
        """The version it is of."""
        return self.origin.version_id if self.origin is not None else None

    @property
    def revision(self) -> int | None:
        """The one it is at; `None`: it comes with FastTrack, and nobody changes it."""
        return self.origin.revision if self.origin is not None else None

    @property
    def created_at(self) -> datetime | None:
        """Since when it is offered."""
        return self.origin.created_at if self.origin is not None else None


@dataclass(frozen=True, slots=True)
class TemplateFilter:
    """Which templates; what is not set plays no part."""

    search: str = ""
    """Part of the name or the description, in any case."""
    scope: TemplateScope | None = None


async def list_templates(db: Db, caller: Caller, wanted: TemplateFilter, window: Window) -> Page[Template]:
    """Templates that the caller may use, newest first, those that come with FastTrack last."""
    if Permission.READ not in caller.scopes:
        return Page([], has_more=False)
    stored = await list_stored_templates(db, caller.projects, window, search=wanted.search, scope=wanted.scope)
    found = [of_stored(t) for t in stored.items] + [_of_shipped(s) for s in shipped() if _is_wanted(s, wanted, window)]
    found.sort(key=lambda t: t.id, reverse=not window.is_from_end)
    page = page_of(found, window)
    return Page(page.items, page.has_more or stored.has_more)


async def load_templates(db: Db, caller: Caller, ids: Collection[UUID]) -> dict[UUID, Template]:
    """Those of these templates that the caller may use."""
    if Permission.READ not in caller.scopes:
        return {}
    found: dict[UUID, Template] = {s.id: _of_shipped(s) for s in shipped() if s.id in ids}
    stored = await load_stored_templates(db, caller.projects, set(ids) - found.keys())
    return found | {identifier: of_stored(template) for identifier, template in stored.items()}


async def require_template(db: Db, caller: Caller, template: TemplateId) -> Template:
    """The template. :raises NotFound: there is none that the caller may use."""
    found = (await load_templates(db, caller, [template])).get(template)
    if found is None:
        raise NotFound("there is no such template")
    return found


async def read_template(db: Db, template: Template) -> str:
    """The file of a template that the caller may use."""
    if template.origin is None:
        return next(s for s in shipped() if s.id == template.id).text
    return (await load_sources(db, [template.origin.version_id]))[template.origin.version_id]


async def share_template(
    db: Db,
    caller: Caller,
    pipeline: PipelineId,
    scope: TemplateScope,
    *,
    version: int | None = None,
    name: str | None = None,
    description: str | None = None,
    expected_revision: int | None = None,
) -> Template:
    """Offer a version of a pipeline, the newest if not said, over what was offered of it before. Repeatable.

    :param name: what it is called; by default as the pipeline. :param description: by default the pipeline's.
    :param expected_revision: that of the template that the caller has seen, 0 for none; `None`: whatever there is.
    :raises Overtaken: it is at another.
    :raises NotFound: no such pipeline or version that the caller may read. :raises Forbidden: see `NEEDED`.
    :raises InvalidInput: the name or description cannot be. :raises Conflict: the pipeline is archived, or empty.
    """
    held = await hold_pipeline(db, pipeline, caller.projects)
    if held is None:
        raise NotFound("there is no such pipeline")
    before = await _changeable(db, caller, held.project_id, pipeline, scope)
    if held.archived_at is not None:
        raise Conflict(f"pipeline {held.name} is archived; bring it back first")
    require_revision(f"template of pipeline {held.name}", before.revision if before else 0, expected_revision)
    if not held.latest_version:
        raise Conflict(f"pipeline {held.name} is empty; publish a version first")
    number = held.latest_version if version is None else version
    found = await find_version(db, pipeline, number)
    if found is None:
        raise no_version(held, number)
    await put_template(
        db,
        project=held.project_id,
        pipeline=pipeline,
        version=found.id,
        scope=scope,
        name=held.name if name is None else spec.require_name(name),
        description=held.description if description is None else checked_description(description),
        by=caller.name,
    )
    after = (await load_templates_of(db, [pipeline]))[pipeline]
    if after != before:
        await _record(db, caller, "template.share", after, before, after)
    return of_stored(after)


async def unshare_template(
    db: Db, caller: Caller, pipeline: PipelineId, *, expected_revision: int | None = None
) -> None:
    """Offer nothing of the pipeline any more; what was made from it stays. Repeatable: without a template nothing happens.

    :raises Overtaken: the template is at another revision than `expected_revision`.
    :raises NotFound: no such pipeline that the caller may read. :raises Forbidden: see `NEEDED`.
    """
    held = await hold_pipeline(db, pipeline, caller.projects)
    if held is None:
        raise NotFound("there is no such pipeline")
    before = await _changeable(db, caller, held.project_id, pipeline, TemplateScope.PROJECT)
    if before is not None:
        require_revision(f"template of pipeline {held.name}", before.revision, expected_revision)
        await remove_template(db, pipeline)
        await _record(db, caller, "template.unshare", before, before, None)


def of_stored(stored: StoredTemplate) -> Template:
    """As whoever may use it sees it."""
    return Template(stored.id, stored.name, stored.description, stored.scope, stored)


def _of_shipped(ours: Shipped) -> Template:
    return Template(ours.id, ours.name, ours.description, TemplateScope.EVERYONE)


def _is_wanted(ours: Shipped, wanted: TemplateFilter, window: Window) -> bool:
    return (
        wanted.scope in (None, TemplateScope.EVERYONE)
        and wanted.search.lower() in f"{ours.name} {ours.description}".lower()
        and (window.after is None or (ours.id,) < tuple(window.after))
        and (window.before is None or (ours.id,) > tuple(window.before))
    )


async def _changeable(
    db: Db, caller: Caller, project: ProjectId, pipeline: PipelineId, scope: TemplateScope
) -> StoredTemplate | None:
    """What is offered now, if the caller may change that and offer within the new scope."""
    before = (await load_templates_of(db, [pipeline])).get(pipeline)
    for needed in {NEEDED[scope], NEEDED[before.scope if before is not None else scope]}:
        caller.require(needed, project, what="pipeline")
    return before


async def _record(db: Db, caller: Caller, action: str, template: StoredTemplate, before: object, after: object) -> None:
    await record(
        db,
        caller,
        action,
        object_kind="template",
        object_id=template.id,
        project=template.project_id,
        before=before,
        after=after,
    )
