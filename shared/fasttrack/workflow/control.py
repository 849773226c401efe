"""What people do to a job after it was submitted."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ..db import Db
from ..db.jobs import JobRecord, find_job, find_jobs_by_suffix, request_cancel
from ..domain.states import JobState
from ..errors import InvalidInput, NotFound
from ..ids import JobId, ProjectId


async def cancel(db: Db, project: ProjectId, job: JobId, *, now: datetime) -> JobState:
    """Ask for a cancel; the job's state before. Repeatable; a job that is over stays what it is.

    What has succeeded stays so; sessions are ended, and nothing new starts from here on (I13).

    :raises NotFound: the project has no such job.
    """
    state = await request_cancel(db, project, job, now)
    if state is None:
        raise NotFound(f"there is no job {job}")
    return state


async def resolve_job(db: Db, project: ProjectId, text: str) -> JobRecord:
    """The job that `text` names: a whole id, or the last hex digits of one (four at least).

    :raises NotFound: none, or none of this project's. :raises InvalidInput: more than one.
    """
    digits = text.replace("-", "").lower()
    if len(digits) == 32:
        try:
            job = await find_job(db, project, JobId(UUID(digits)))
        except ValueError:
            job = None
        found = [job] if job else []
    elif 4 <= len(digits) < 32 and all(c in "0123456789abcdef" for c in digits):
        found = await find_jobs_by_suffix(db, project, digits)
    else:
        raise InvalidInput(f"{text!r} is no job id: give the whole id, or at least the last four digits of it")
    if not found:
        raise NotFound(f"there is no job {text}")
    if len(found) > 1:
        raise InvalidInput(f"more than one job ends with {text}; give more digits")
    return found[0]
