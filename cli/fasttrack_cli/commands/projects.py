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
    from fasttrack.db.projects import list_projects

    async with call.opened(any_project=True) as bench:
        names = await bench.database.run(list_projects)
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
    from fasttrack.db import Db
    from fasttrack.workflow.projects import create_project

    async with call.opened(any_project=True) as bench:

        async def work(db: Db) -> None:
            await create_project(db, await bench.caller(db), name, domain=domain)

        await bench.database.run(work)
    call.out.document({"project": {"name": name}}) if call.out.as_json else call.out.text(name)
    return OK


COMMANDS = (("list", list_), ("create", create))
