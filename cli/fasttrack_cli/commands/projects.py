"""`fasttrack projects`: what pipelines, jobs and secrets belong to."""

from __future__ import annotations

from typing import Annotated

import typer

from ..exits import OK
from ..invocation import Invocation


async def list_(call: Invocation) -> int:
    """List the projects by name.

    Example: `fasttrack projects list`
    """
    async with call.store(any_project=True) as store:
        names = await store.projects.names()
    if call.out.as_json:
        call.out.document({"projects": [{"name": name} for name in names]})
    else:
        call.out.text("\n".join(names))
    return OK


async def create(
    call: Invocation,
    name: Annotated[str, typer.Argument(help="Its name, at most 64 characters.", metavar="NAME", show_default=False)],
    domain: Annotated[
        str | None, typer.Option("--domain", metavar="DOMAIN", help="Whose admins are its admins; `default` if unset.")
    ] = None,
) -> int:
    """Make a project; one that is there already is left as it is.

    Example: `fasttrack projects create vision`
    """
    async with call.store(any_project=True) as store:
        await store.projects.create(name, domain=domain)
    call.out.document({"project": {"name": name}}) if call.out.as_json else call.out.text(name)
    return OK


COMMANDS = (("list", list_), ("create", create))
