"""`fasttrack skip`: tasks of a job that goes on are not run after all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..exits import OK
from ..invocation import Invocation

if TYPE_CHECKING:
    from fasttrack.db import Db
    from fasttrack.db.jobs import JobRecord
    from fasttrack.workflow.control import Skipped


async def skip(
    call: Invocation,
    identifier: Annotated[str, typer.Argument(metavar="ID", help="The job, as a whole id or its last digits.")],
    tasks: Annotated[list[str], typer.Argument(metavar="TASK...", help="Its tasks that are not to be run.")],
) -> int:
    """Have tasks of a job that goes on not be run: they count as done, and what follows them goes on.

    For what has no session yet: it waits for other tasks, for a slot, or for its retry. All are skipped or, when one of
    them cannot be (5), none. May be repeated. A re-run of the job skips them as well, unless it starts from them.

    Example: `fasttrack skip 5f3a09c1 upload`
    """
    from fasttrack.workflow.control import resolve_job, skip_task
    from fasttrack.workflow.owner import local_caller

    async with call.opened() as bench:

        async def work(db: Db) -> tuple[JobRecord, dict[str, Skipped]]:
            record = await resolve_job(db, bench.project, identifier)
            caller = await local_caller(db, bench.by)
            done = {t: await skip_task(db, caller, bench.project, record.id, t) for t in dict.fromkeys(tasks)}
            return record, done

        record, done = await bench.database.run(work)
        await bench.doorbell.ring({job for skipped in done.values() for job in skipped.look_at})
    if call.out.as_json:
        told = [{"name": t, "id": str(x.instance_id), "state_before": x.before} for t, x in done.items()]
        call.out.document({"job": {"id": str(record.id)}, "tasks": told})
        return OK
    for task, skipped in done.items():
        call.out.text(f"{task} of {record.pipeline} #{record.number} ({record.id}) is skipped; it was {skipped.before}")
    return OK
