"""A version and parameters → a pipeline job with its task instances, in one transaction, once per idempotency key."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from .. import spec
from ..db import Db
from ..db.credential_records import credential_of_job, have_one_user
from ..db.credentials import choose_credential
from ..db.jobs import find_idempotent, find_job, insert_job, next_job_number, remember_key
from ..db.limits import PipelineLine, lock_lines, missing_pools
from ..db.pipelines import VersionRecord
from ..db.secrets import missing_secrets
from ..domain.decision import EnginePolicy
from ..domain.dependencies import SUCCESS
from ..domain.events import JOB_SUBMITTED, Event
from ..domain.job import Job, JobSnapshot, ParamValue, TaskInstance
from ..domain.pipeline import Collision, Pipeline, Task, TaskKind
from ..domain.states import InstanceState, JobState
from ..domain.transitions import JobDecision
from ..errors import Conflict, InvalidRun, Unavailable
from ..ids import CredentialId, InstanceId, JobId, PipelineId, ProjectId, new_id


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a run asks for, besides the version."""

    params: Mapping[str, ParamValue] = field(default_factory=dict)
    skip: Collection[str] = ()
    """Names of tasks not to run, besides those the file skips; they count as done."""
    left_out: Collection[str] = ()
    """Those of `skip` that nobody asked to skip: a whole re-run of this job runs them."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """By task, what this run has otherwise than the file, in the file's own words (`spec.overrides`)."""
    priority: int | None = None
    """Over the pipeline's own."""
    by: str = ""
    account: UUID | None = None
    """Whose own key on the cluster it may run with."""
    idempotency_key: str | None = None
    """Same key, same request: the same job. At most 255 characters."""
    origin: JobId | None = None
    """The job that is run again."""
    reuse: Mapping[str, JobId] = field(default_factory=dict)
    """Tasks that are not run again, with the job whose outputs stand for them."""
    may_serve: bool = False
    """Whether the session backend starts model services (`Settings.starts_services`)."""
    site: str | None = None
    """Where it must run, since what it reuses is there; `None`: where the first scheduler takes it up."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job a request led to."""

    job_id: JobId
    number: int
    is_new: bool
    """`False`: the idempotency key was used before, and this is its job."""
    refused: str = ""
    """Why the pipeline's limit did not take it (`on_limit: skip`); the job is there, and CANCELLED."""


async def submit(
    db: Db,
    project: ProjectId,
    version: VersionRecord,
    pipeline: Pipeline,
    request: RunRequest,
    *,
    now: datetime | None = None,
    job_id: JobId | None = None,
) -> Submitted:
    """Make a job of `version` (compiled: `pipeline`). Needs a transaction; nothing is half-made when it raises.

    :param now: when it is submitted; the database's clock unless a test says otherwise.
    :param job_id: made by the caller before the first try, so that a try whose commit was lost is recognised.
    :raises InvalidRun: unknown or ill-typed params or overrides, unknown tasks to skip, missing secrets, pools the project does not
        have, tasks that cannot run here.
    :raises Conflict: the idempotency key was used for another request, or the pipeline has a problem.
    """
    digest = _digest(version, request)
    if request.idempotency_key is not None:
        if not 0 < len(request.idempotency_key) <= 255:
            raise InvalidRun("an idempotency key has 1 to 255 characters")
        known = await find_idempotent(db, project, request.idempotency_key)
        if known is not None:
            return await _same_job(db, project, known, digest)
    params = spec.bind_params(pipeline, request.params)
    overrides = spec.read_overrides(pipeline, request.overrides) if request.overrides else None
    pipeline = spec.apply_overrides(pipeline, overrides)
    skipped = _skipped(pipeline, request.skip)
    reused = {pipeline.by_name[name].index: job for name, job in request.reuse.items()}
    idle = skipped | reused.keys()
    if not request.may_serve:
        _require_no_services(pipeline, idle)
    await _require_pools(db, project, pipeline, idle)
    if pipeline.secrets and (missing := await missing_secrets(db, project, pipeline.secrets)):
        raise InvalidRun(f"missing secrets: {', '.join(missing)}; set them with `fasttrack secrets set NAME`")

    identifier = job_id or JobId(new_id())
    key = request.idempotency_key
    # Waits for a request under the same key that is being handled right now; whoever comes first makes the job.
    if key is not None and not await remember_key(db, project, key, digest, identifier):
        known = await find_idempotent(db, project, key)
        assert known is not None
        return await _same_job(db, project, known, digest)
    numbered = await next_job_number(db, version.pipeline_id)
    if numbered is None:
        raise Conflict("the pipeline is archived, and starts nothing; bring it back first, or run another one")
    number, clock, problem = numbered
    if problem is not None:
        raise Conflict(refusal(problem))
    now = now or clock
    job = Job(
        id=identifier,
        project_id=project,
        pipeline_id=version.pipeline_id,
        version_id=version.id,
        number=number,
        state=JobState.PENDING,
        reason="",
        params=params,
        priority=pipeline.priority if request.priority is None else request.priority,
        site=request.site,
        seq=0,
        open_tasks=len(pipeline.tasks),
        failed_tasks=0,
        cancelled_tasks=0,
        cancel_requested_at=None,
        created_at=now,
        origin_job_id=request.origin,
        overrides=overrides or None,
    )
    credential = await _credential(db, project, request)
    refused = await _refused(db, pipeline, version.pipeline_id)
    decision = _new_decision(job, pipeline, now)
    _begin(decision, skipped, reused, refused, _submitted_payload(version, pipeline, request, params))
    instances = [decision.snapshot.instances[task.index] for task in pipeline.tasks]
    names, skip = [t.name for t in pipeline.tasks], sorted(set(request.skip) - set(request.left_out))
    if not await insert_job(
        db, job, instances, decision.events, names=names, by=request.by, skip=skip, credential=credential
    ):
        if await find_job(db, project, identifier) is not None:
            raise Unavailable(f"an earlier try to submit job {identifier} has only now been committed")
        raise Conflict(f"job {identifier} exists already")
    return Submitted(identifier, job.number, is_new=True, refused=refused)


def refusal(problem: str) -> str:
    """Why a pipeline with that problem starts nothing."""
    return f"the pipeline starts nothing: {problem}"


def _new_decision(job: Job, pipeline: Pipeline, now: datetime) -> JobDecision:
    """A job none of whose tasks has moved. Nothing is started here, so the policy's site and times are never read."""
    instances = {
        task.index: TaskInstance(
            InstanceId(new_id()),
            job.id,
            task.index,
            InstanceState.PENDING,
            unmet=len(task.needs),
            resource_group=_resource_group(task, job.params),
            pool=task.pool,
            pool_slots=task.pool_slots,
        )
        for task in pipeline.tasks
    }
    policy = EnginePolicy(site="", fence=timedelta(0))
    return JobDecision(JobSnapshot(job, pipeline, instances, {}), policy, now, starts=False)


def _begin(
    decision: JobDecision,
    skipped: frozenset[int],
    reused: Mapping[int, JobId],
    refused: str,
    payload: dict[str, object],
) -> None:
    """The job's first decision: skips, reuse and all that follows from them, and the tasks that may run at once."""
    job, instances = decision.job, decision.snapshot.instances
    job.seq = 1
    decision.events.append(Event(job.id, 1, JOB_SUBMITTED, decision.now, None, payload))
    if refused:
        job.cancel_requested_at = decision.now
        decision.cancel_reason = refused
        decision.settle(())
    else:
        for index in sorted(skipped - reused.keys()):
            decision.end(instances[index], InstanceState.SKIPPED, SUCCESS, reason="skipped on request")
        for index in sorted(reused):
            decision.reuse(instances[index], reused[index])
    decision.release_roots()
    decision.conclude()
    if job.next_reconcile_at is not None:
        job.next_reconcile_at = decision.now


def _resource_group(task: Task, params: Mapping[str, ParamValue]) -> str:
    if "${{" not in task.resource_group:
        return task.resource_group
    return spec.fill_task(replace(task, command="", envs={}, mounts=()), params=params, secrets={}).resource_group


def _submitted_payload(
    version: VersionRecord, pipeline: Pipeline, request: RunRequest, params: Mapping[str, ParamValue]
) -> dict[str, object]:
    payload: dict[str, object] = {"version": version.number, "tasks": len(pipeline.tasks), "by": request.by}
    if params:
        payload["params"] = dict(params)
    if request.skip:
        payload["skip"] = sorted(request.skip)
    if request.origin is not None:
        payload["origin"] = str(request.origin)
    return payload


def _digest(version: VersionRecord, request: RunRequest) -> str:
    asked: list[Any] = [str(version.id), dict(request.params), sorted(request.skip), request.priority]
    if request.origin is not None:
        asked += [str(request.origin), sorted(request.reuse)]
    if request.overrides:
        asked.append({"overrides": request.overrides})
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()


async def _credential(db: Db, project: ProjectId, request: RunRequest) -> CredentialId | None:
    """What the job runs with on a cluster. What it reuses is seen by the cluster's user who wrote it, and by nobody else.

    :raises Conflict: that is somebody else.
    """
    chosen = await choose_credential(db, project, request.account)
    if not request.reuse or request.origin is None:
        return chosen
    writer = await credential_of_job(db, request.origin)
    if writer is None or (chosen is not None and await have_one_user(db, chosen, writer.id)):
        return chosen if writer is not None else None
    if writer.is_removed or writer.account_id not in (None, request.account):
        raise Conflict(
            f"what would be reused is in a folder of {writer.cluster_user} on the cluster, which the key of this run does "
            "not see; run the whole job again"
        )
    return writer.id


async def _same_job(db: Db, project: ProjectId, known: tuple[str, UUID], digest: str) -> Submitted:
    request_hash, job_id = known
    if request_hash != digest:
        raise Conflict("this idempotency key was used for another request; use a fresh key")
    job = await find_job(db, project, JobId(job_id))
    if job is None:
        raise Conflict("this idempotency key made a job that was deleted since; use a fresh key")
    return Submitted(job.id, job.number, is_new=False)


async def _refused(db: Db, pipeline: Pipeline, pipeline_id: PipelineId) -> str:
    """Why a pipeline that skips at its limit takes no further job now; empty if it does. Its row is held already."""
    concurrency = pipeline.concurrency
    if concurrency.limit is None or concurrency.on_limit is not Collision.SKIP:
        return ""
    line = (await lock_lines(db, [pipeline_id], ageing=timedelta(minutes=10))).get(pipeline_id, PipelineLine())
    count = len(line.active) + len(line.waiting)
    return (
        f"skipped: {count} of {concurrency.limit} jobs of the pipeline are active" if count >= concurrency.limit else ""
    )


async def _require_pools(db: Db, project: ProjectId, pipeline: Pipeline, idle: frozenset[int]) -> None:
    wanted = {task.pool for task in pipeline.tasks if task.pool is not None and task.index not in idle}
    missing = await missing_pools(db, project, wanted) if wanted else []
    if missing:
        raise InvalidRun(
            f"the project has no pool {', '.join(missing)}; `fasttrack pools set {missing[0]} SLOTS` makes one"
        )


def _skipped(pipeline: Pipeline, names: Collection[str]) -> frozenset[int]:
    unknown = sorted(set(names) - pipeline.by_name.keys())
    if unknown:
        have = ", ".join(pipeline.by_name)
        raise InvalidRun(f"cannot skip {', '.join(unknown)}: no such task; the pipeline has {have}")
    return frozenset({pipeline.by_name[n].index for n in names} | {t.index for t in pipeline.tasks if t.skip})


def _require_no_services(pipeline: Pipeline, skipped: frozenset[int]) -> None:
    stuck = [t for t in pipeline.tasks if t.kind is TaskKind.SERVICE and t.index not in skipped]
    if stuck:
        names = ", ".join(f"{t.name} ({t.kind})" for t in stuck)
        raise InvalidRun(
            f"this session backend cannot run {names}; skip them with --skip, or run on a cluster that can"
        )
