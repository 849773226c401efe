"""`fasttrack templates`: what pipelines can be made from, and offering one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from ..exits import OK
from ..invocation import Invocation

if TYPE_CHECKING:
    from fasttrack.db import Db
    from fasttrack.domain.access import Caller
    from fasttrack.workflow.templates import Template

TEMPLATE = Annotated[str, typer.Argument(metavar="TEMPLATE", help="The template's name or id.", show_default=False)]
PIPELINE = Annotated[str, typer.Argument(metavar="PIPELINE", help="The pipeline's name.", show_default=False)]


async def templates(
    call: Invocation,
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 100,
    search: Annotated[str, typer.Option(metavar="TEXT", help="Only with this in the name or description.")] = "",
) -> int:
    """List templates, the newest first and those that come with FastTrack last, or do something with one of them.

    Example: `fasttrack templates --search train`
    """
    if context.invoked_subcommand is not None:
        return OK
    from fasttrack.db.windows import Window
    from fasttrack.workflow.owner import local_caller
    from fasttrack.workflow.templates import TemplateFilter, list_templates

    async with call.opened() as bench:

        async def read(db: Db) -> list[Template]:
            caller = await local_caller(db, bench.by)
            return (await list_templates(db, caller, TemplateFilter(search), Window(limit))).items

        found = await bench.database.run(read)
    if call.out.as_json:
        call.out.document({"templates": [_json(t) for t in found]})
    elif found:
        rows = [(t.name, t.scope, _by(t), str(t.id), t.description) for t in found]
        call.out.table(("template", "for", "by", "id", "description"), rows)
    else:
        call.out.say("There are no such templates.")
    return OK


async def show(call: Invocation, template: TEMPLATE) -> int:
    """Print the file of a template.

    Example: `fasttrack templates show hello > hello.yaml`
    """
    from fasttrack.workflow.owner import local_caller
    from fasttrack.workflow.templates import read_template

    async with call.opened() as bench:

        async def read(db: Db) -> tuple[Template, str]:
            found = await find(db, await local_caller(db, bench.by), template)
            return found, await read_template(db, found)

        found, text = await bench.database.run(read)
    if call.out.as_json:
        call.out.document({"template": _json(found) | {"yaml": text}})
    else:
        call.out.text(text.rstrip("\n"))
    return OK


async def share(
    call: Invocation,
    pipeline: PIPELINE,
    scope: Annotated[
        str, typer.Option("--for", metavar="WHOM", help="Of `project`, `domain` and `everyone`.")
    ] = "project",
    version: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Which version; the newest otherwise.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="What it is called; as the pipeline otherwise.")] = None,
    description: Annotated[
        str | None,
        typer.Option("--description", "-d", metavar="TEXT", help="What it is for; the pipeline's otherwise."),
    ] = None,
) -> int:
    """Offer a version of a pipeline as a template, over what was offered of it before.

    Example: `fasttrack templates share train --for everyone`
    """
    from fasttrack.domain.catalog import TemplateScope
    from fasttrack.errors import InvalidInput
    from fasttrack.workflow.owner import local_caller
    from fasttrack.workflow.templates import share_template

    from ..lookup import require_pipeline

    if scope not in set(TemplateScope):
        raise InvalidInput(f"a template is for one of {', '.join(TemplateScope)}, and {scope[:40]!r} is none")
    async with call.opened() as bench:

        async def work(db: Db) -> Template:
            caller = await local_caller(db, bench.by)
            record = await require_pipeline(db, bench.project, pipeline)
            return await share_template(
                db, caller, record.id, TemplateScope(scope), version=version, name=name, description=description
            )

        made = await bench.database.run(work)
    if call.out.as_json:
        call.out.document({"template": _json(made)})
    else:
        assert made.origin is not None
        call.out.text(f"version {made.origin.version} of {pipeline} is the template {made.name}, for {made.scope}")
    return OK


async def unshare(call: Invocation, pipeline: PIPELINE) -> int:
    """Offer nothing of a pipeline any more; what was made from it stays.

    Example: `fasttrack templates unshare train`
    """
    from fasttrack.workflow.owner import local_caller
    from fasttrack.workflow.templates import unshare_template

    from ..lookup import require_pipeline

    async with call.opened() as bench:

        async def work(db: Db) -> None:
            caller = await local_caller(db, bench.by)
            await unshare_template(db, caller, (await require_pipeline(db, bench.project, pipeline)).id)

        await bench.database.run(work)
    call.out.document({"unshared": pipeline}) if call.out.as_json else call.out.text(f"{pipeline} is no template now")
    return OK


COMMANDS = (("show", show), ("share", share), ("unshare", unshare))


async def find(db: Db, caller: Caller, text: str) -> Template:
    """The template of that name or id. :raises NotFound: there is none. :raises InvalidInput: several have the name."""
    from fasttrack.db.windows import Window
    from fasttrack.errors import InvalidInput, NotFound
    from fasttrack.ids import TemplateId
    from fasttrack.workflow.templates import TemplateFilter, list_templates, require_template

    try:
        return await require_template(db, caller, TemplateId(UUID(text)))
    except ValueError:
        pass
    page = await list_templates(db, caller, TemplateFilter(text), Window(1000))
    found = [t for t in page.items if t.name == text]
    if not found:
        raise NotFound(f"there is no template {text}; `fasttrack templates` lists those there are")
    if len(found) > 1:
        ids = ", ".join(str(t.id) for t in found[:10])
        raise InvalidInput(f"several templates are named {text}; give the id of one: {ids}")
    return found[0]


def _by(template: Template) -> str:
    return "FastTrack" if template.origin is None else template.origin.shared_by


def _json(template: Template) -> dict[str, Any]:
    origin = template.origin
    return {
        "id": template.id,
        "name": template.name,
        "description": template.description,
        "for": template.scope,
        "is_shipped": origin is None,
        "shared_by": None if origin is None else origin.shared_by,
        "version": None if origin is None else origin.version,
        "created_at": template.created_at,
    }
