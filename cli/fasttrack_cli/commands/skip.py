"""`fasttrack skip`: tasks of a job that goes on are not run after all."""

from __future__ import annotations

from typing import Annotated

import typer

from ..completion import complete_jobs
from ..exits import OK
from ..invocation import Invocation


async def skip(
    call: Invocation,
    identifier: Annotated[
        str,
        typer.Argument(metavar="ID", help="The job, as a whole id or its last digits.", autocompletion=complete_jobs),
    ],
    tasks: Annotated[list[str], typer.Argument(metavar="TASK...", help="Its tasks that are not to be run.")],
) -> int:
    """Have tasks of a job that goes on not be run: they count as done, and what follows them goes on.

    For what has no session yet: it waits for other tasks, for a slot, or for its retry. All are skipped or, when one of
    them cannot be (5), none. May be repeated. A re-run of the job skips them as well, unless it starts from them.

    Example: `fasttrack skip 5f3a09c1 upload`
    """
    async with call.store() as store:
        job, skipped = await store.jobs.skip(identifier, tasks)
    if call.out.as_json:
        told = [{"name": task.name, "id": str(task.id), "state_before": task.before} for task in skipped]
        call.out.document({"job": {"id": str(job.id)}, "tasks": told})
        return OK
    for task in skipped:
        call.out.text(f"{task.name} of {job.pipeline} #{job.number} ({job.id}) is skipped; it was {task.before}")
    return OK
