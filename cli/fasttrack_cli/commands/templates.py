"""`fasttrack templates`: what pipelines can be made from, and offering one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..completion import complete_pipelines, complete_templates
from ..exits import OK
from ..invocation import Invocation

if TYPE_CHECKING:
    from ..store import Template

TEMPLATE = Annotated[
    str,
    typer.Argument(
        metavar="TEMPLATE",
        help="The template's name or id.",
        show_default=False,
        autocompletion=complete_templates,
    ),
]
PIPELINE = Annotated[
    str,
    typer.Argument(
        metavar="PIPELINE", help="The pipeline's name.", show_default=False, autocompletion=complete_pipelines
    ),
]


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
    async with call.store() as store:
        found = await store.templates.page(limit=limit, search=search)
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
    async with call.store() as store:
        found, text = await store.templates.read(template)
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

    if scope not in set(TemplateScope):
        raise InvalidInput(f"a template is for one of {', '.join(TemplateScope)}, and {scope[:40]!r} is none")
    async with call.store() as store:
        made = await store.templates.share(
            pipeline, TemplateScope(scope), version=version, name=name, description=description
        )
    if call.out.as_json:
        call.out.document({"template": _json(made)})
    else:
        call.out.text(f"version {made.version} of {pipeline} is the template {made.name}, for {made.scope}")
    return OK


async def unshare(call: Invocation, pipeline: PIPELINE) -> int:
    """Offer nothing of a pipeline any more; what was made from it stays.

    Example: `fasttrack templates unshare train`
    """
    async with call.store() as store:
        await store.templates.unshare(pipeline)
    call.out.document({"unshared": pipeline}) if call.out.as_json else call.out.text(f"{pipeline} is no template now")
    return OK


COMMANDS = (("show", show), ("share", share), ("unshare", unshare))


def _by(template: Template) -> str:
    return template.shared_by or "FastTrack"


def _json(template: Template) -> dict[str, Any]:
    return {
        "id": template.id,
        "name": template.name,
        "description": template.description,
        "for": template.scope,
        "is_shipped": template.is_shipped,
        "shared_by": template.shared_by,
        "version": template.version,
        "created_at": template.created_at,
    }
