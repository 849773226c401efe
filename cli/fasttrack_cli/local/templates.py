"""Templates of the database, and those that come with FastTrack."""

from __future__ import annotations

from fasttrack.db import Db
from fasttrack.db.windows import Window
from fasttrack.domain.access import Caller
from fasttrack.domain.catalog import TemplateScope
from fasttrack.ids import TemplateId
from fasttrack.workflow import templates as workflow

from ..lookup import require_pipeline
from ..store import MOST_TEMPLATES, Template, only_template, uuid_of
from ..workbench import Workbench


class LocalTemplates:
    """All that the caller may use; pipelines are those of one project."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    async def page(self, *, limit: int, search: str) -> list[Template]:
        """Templates, newest first."""

        async def work(db: Db) -> list[workflow.Template]:
            return await _page(db, await self._bench.caller(db), limit=limit, search=search)

        return [_told(template) for template in await self._bench.database.run(work)]

    async def read(self, text: str) -> tuple[Template, str]:
        """The template of that name or id with its file."""
        bench = self._bench

        async def work(db: Db) -> tuple[Template, str]:
            found = await find_template(db, await bench.caller(db), text)
            return _told(found), await workflow.read_template(db, found)

        return await bench.database.run(work)

    async def share(
        self, pipeline: str, scope: TemplateScope, *, version: int | None, name: str | None, description: str | None
    ) -> Template:
        """Offer a version of a pipeline."""
        bench = self._bench

        async def work(db: Db) -> workflow.Template:
            caller = await bench.caller(db)
            record = await require_pipeline(db, bench.project, pipeline)
            return await workflow.share_template(
                db, caller, record.id, scope, version=version, name=name, description=description
            )

        return _told(await bench.database.run(work))

    async def unshare(self, pipeline: str) -> None:
        """Offer nothing of a pipeline any more."""
        bench = self._bench

        async def work(db: Db) -> None:
            caller = await bench.caller(db)
            record = await require_pipeline(db, bench.project, pipeline)
            await workflow.unshare_template(db, caller, record.id)

        await bench.database.run(work)


async def find_template(db: Db, caller: Caller, text: str) -> workflow.Template:
    """The template of that name or id. :raises NotFound: there is none. :raises InvalidInput: several have the name."""
    if (identifier := uuid_of(text)) is not None:
        return await workflow.require_template(db, caller, TemplateId(identifier))
    found = await _page(db, caller, limit=MOST_TEMPLATES, search=text)
    chosen = only_template([_told(template) for template in found], text)
    return next(template for template in found if template.id == chosen.id)


async def _page(db: Db, caller: Caller, *, limit: int, search: str) -> list[workflow.Template]:
    wanted = workflow.TemplateFilter(search)
    return (await workflow.list_templates(db, caller, wanted, Window(limit))).items


def _told(template: workflow.Template) -> Template:
    origin = template.origin
    return Template(
        id=template.id,
        name=template.name,
        description=template.description,
        scope=template.scope,
        is_shipped=origin is None,
        shared_by=None if origin is None else origin.shared_by,
        version=None if origin is None else origin.version,
        created_at=template.created_at,
    )
