"""Running a job again: all of it, from what failed, or from a chosen task. What is not run again is reused.

Tasks are matched by name, so the version may be the job's own or the pipeline's newest. A task runs again when it did not
succeed, is new, is the chosen one, or comes after one that runs again in the graph of the version that is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..db import Db
from ..db.jobs import InstanceRecord, JobRecord, find_job, list_instances
from ..db.pipelines import VersionRecord, find_version, list_versions
from ..db.problems import find_problem
from ..db.retention import hold_outputs
from ..domain import dag
from ..domain.job import ParamValue
from ..domain.pipeline import Pipeline
from ..domain.states import InstanceState
from ..errors import Conflict, InvalidRun, NotFound
from ..ids import JobId, ProjectId
from .submit import RunRequest, Submitted, refusal, submit
from .versions import compile_spec

WHOLE = "*"
"""Run everything again."""
FAILURE = "?"
"""Run what did not succeed, and all that comes after it."""


@dataclass(frozen=True, slots=True)
class RerunPlan:
    """What a re-run would do."""

    origin: JobRecord
    version: VersionRecord
    pipeline: Pipeline
    runs: tuple[str, ...]
    """Tasks that run, in the order of the file."""
    reuse: Mapping[str, JobId]
    """Tasks that do not, with the job whose outputs stand for them."""
    skips: tuple[str, ...]
    """Tasks that were skipped, and are again."""
    left_out: tuple[str, ...]
    """Those of them that nobody asked to skip: their `run_if` left them out, and this part of the job is kept."""
    params: Mapping[str, ParamValue]
    overrides: Mapping[str, Any]
    """By task, what the new job has otherwise than the file."""
    unmatched: tuple[str, ...]
    """Tasks of the job that the version has no more."""
    added: tuple[str, ...]
    """Tasks of the version that the job did not have; they run."""
    dropped_params: tuple[str, ...]
    """Params of the job that the version has no more."""


async def plan_rerun(
    db: Db,
    project: ProjectId,
    job: JobId,
    *,
    start: str = WHOLE,
    newest: bool = False,
    params: Mapping[str, ParamValue] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> RerunPlan:
    """What running `job` again would do. Changes nothing.

    :param start: `WHOLE`, `FAILURE`, or the name of a task.
    :param newest: run the pipeline's newest version instead of the job's own.
    :param params: over those of the job. :param overrides: by task, in place of what the job had otherwise there; a task
        with nothing in it is as the file says again.
    :raises NotFound: no such job. :raises Conflict: it is not over, its pipeline has a problem, or what would be reused is
        gone.
    :raises InvalidRun: no such task, or nothing to run again.
    """
    origin = await find_job(db, project, job)
    if origin is None:
        raise NotFound(f"there is no job {job}")
    if not origin.state.is_terminal:
        raise Conflict(f"job {job} is {origin.state.lower()}; cancel it, or wait until it is over, then run it again")
    if (problem := await find_problem(db, origin.pipeline_id)) is not None:
        raise Conflict(refusal(problem.sentence))
    if newest:
        version = (await list_versions(db, origin.pipeline_id, limit=1))[0]
    else:
        own = await find_version(db, origin.pipeline_id, origin.version)
        assert own is not None, "versions are never deleted while a job of theirs is kept"
        version = own
    pipeline = compile_spec(version.spec)
    before = {record.name: record for record in await list_instances(db, job)}
    skipped = {n for n in origin.skip if n in pipeline.by_name and n != start}
    again = _runs_again(pipeline, before, start)
    if not again:
        raise InvalidRun(f"nothing of job {job} failed; name a task to start from, or run it again as a whole")
    kept = [task.name for task in pipeline.tasks if task.index not in again]
    reuse = {n: before[n].reused_from or job for n in kept if before[n].state is InstanceState.SUCCEEDED}
    await _require_outputs(db, reuse)
    known = {param.name for param in pipeline.params}
    return RerunPlan(
        origin=origin,
        version=version,
        pipeline=pipeline,
        runs=tuple(t.name for t in pipeline.tasks if t.index in again and t.name not in skipped and not t.skip),
        reuse=reuse,
        skips=tuple(n for n in pipeline.by_name if n in skipped or (n in kept and n not in reuse)),
        left_out=tuple(n for n in kept if n not in reuse and n not in skipped),
        params={n: v for n, v in origin.params.items() if n in known} | dict(params or {}),
        overrides={n: o for n, o in (origin.overrides or {}).items() if n in pipeline.by_name} | dict(overrides or {}),
        unmatched=tuple(n for n in before if n not in pipeline.by_name),
        added=tuple(n for n in pipeline.by_name if n not in before),
        dropped_params=tuple(n for n in origin.params if n not in known),
    )


async def rerun(
    db: Db,
    project: ProjectId,
    plan: RerunPlan,
    *,
    by: str,
    account: UUID | None = None,
    now: datetime | None = None,
    key: str | None = None,
    job_id: JobId | None = None,
    may_serve: bool = False,
) -> Submitted:
    """Make the job that the plan describes. Needs the plan's transaction, or one after it; see `submit`.

    :raises Conflict: what would be reused is gone, or the key stands for another request.
    """
    await _require_outputs(db, plan.reuse)
    request = RunRequest(
        params=plan.params,
        overrides=plan.overrides,
        skip=plan.skips,
        left_out=plan.left_out,
        by=by,
        account=account,
        idempotency_key=key,
        origin=plan.origin.id,
        reuse=plan.reuse,
        may_serve=may_serve,
        # Outputs lie where they were written: a scheduler of another site would mount what is not there.
        site=plan.origin.site if plan.reuse else None,
    )
    return await submit(db, project, plan.version, plan.pipeline, request, now=now, job_id=job_id)


async def _require_outputs(db: Db, reuse: Mapping[str, JobId]) -> None:
    """Pass if the outputs that are reused are there; they stay until the transaction ends, and then while the job runs."""
    gone = sorted(await hold_outputs(db, set(reuse.values()))) if reuse else []
    if gone:
        raise Conflict(
            f"the outputs of job {gone[0]} are gone by retention, or with their folder; only the whole job can be run again"
        )


def _runs_again(pipeline: Pipeline, before: Mapping[str, InstanceRecord], start: str) -> frozenset[int]:
    if start == WHOLE:
        return frozenset(range(len(pipeline.tasks)))
    done = (InstanceState.SUCCEEDED, InstanceState.SKIPPED)
    again = {t.index for t in pipeline.tasks if t.name not in before or before[t.name].state not in done}
    if start != FAILURE:
        if start not in pipeline.by_name:
            raise InvalidRun(f"there is no task {start}; the version has {', '.join(pipeline.by_name)}")
        again.add(pipeline.by_name[start].index)
    return frozenset(again | dag.downstream([task.needs for task in pipeline.tasks], again))
