"""From what a person named to a job, in one transaction: a refusal at any step leaves nothing behind."""

from __future__ import annotations

from dataclasses import dataclass

from fasttrack.crashpoints import crash_point
from fasttrack.db import Db
from fasttrack.db.pipelines import VersionRecord
from fasttrack.domain.access import Caller
from fasttrack.domain.pipeline import Pipeline
from fasttrack.errors import InvalidPipeline
from fasttrack.ids import JobId, new_id
from fasttrack.workflow import writes
from fasttrack.workflow.publish import Published, require_version
from fasttrack.workflow.submit import RunRequest, Submitted
from fasttrack.workflow.versions import compile_spec

from .files import is_file_name, read_file
from .workbench import Workbench


@dataclass(frozen=True, slots=True)
class FromFile:
    """Run what a file says, published as a new version if its meaning changed."""

    name: str
    text: bytes
    message: str


@dataclass(frozen=True, slots=True)
class FromVersion:
    """Run a stored version; `None` is the newest."""

    pipeline: str
    number: int | None


@dataclass(frozen=True, slots=True)
class Start:
    """A job that was started, or would be."""

    version: VersionRecord
    pipeline: Pipeline
    submitted: Submitted
    published: Published | None
    """What publishing the file gave; `None` for a stored version."""


class _OnlyTried(Exception):
    """Carries the result of a dry run out of the transaction, which it rolls back."""

    def __init__(self, start: Start) -> None:
        self.start = start


def origin_of(what: str, *, message: str, version: int | None) -> FromFile | FromVersion:
    """What `what` means: a file, or a pipeline by its name."""
    if is_file_name(what):
        return FromFile(*read_file(what), message)
    return FromVersion(what, version)


async def start_job(
    bench: Workbench, origin: FromFile | FromVersion, request: RunRequest, *, dry_run: bool = False
) -> Start:
    """Publish if need be, and submit; with `dry_run` everything is checked by doing it, and taken back.

    :raises InvalidPipeline: the file is not valid. :raises InvalidRun: the run cannot be started as asked.
    :raises NotFound: no such pipeline or version. :raises Conflict: the idempotency key stands for another request.
    """
    job_id = JobId(new_id())  # made before the first try: one whose commit was lost on the way back is recognised

    async def work(db: Db) -> Start:
        caller = await bench.caller(db)
        version, pipeline, published = await _version(db, bench, caller, origin)
        submitted = await writes.run_pipeline(db, caller, bench.project, version, pipeline, request, job_id=job_id)
        start = Start(version, pipeline, submitted, published)
        if dry_run:
            raise _OnlyTried(start)
        crash_point("submit.before_commit")
        return start

    try:
        start = await bench.database.run(work)
    except _OnlyTried as tried:
        return tried.start
    except InvalidPipeline as error:
        if isinstance(origin, FromFile):
            error.facts["file"] = origin.name
        raise
    crash_point("submit.after_commit")
    await bench.doorbell.ring([start.submitted.job_id])
    return start


async def _version(
    db: Db, bench: Workbench, caller: Caller, origin: FromFile | FromVersion
) -> tuple[VersionRecord, Pipeline, Published | None]:
    if isinstance(origin, FromFile):
        published = await writes.publish_pipeline(db, caller, bench.project, origin.text, message=origin.message)
        return published.version, published.compiled, published
    version = await require_version(db, bench.project, origin.pipeline, origin.number)
    return version, compile_spec(version.spec), None
