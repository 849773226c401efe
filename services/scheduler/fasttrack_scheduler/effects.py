"""Carries out what a pass decided, after its commit: creates, looks up and ends sessions; every answer is a fact.

Calls for one session follow one another (a cancel never overtakes its own create), different sessions run side by side
up to a bound. An answer that does not come is `BackendAway`, never a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

import structlog

from fasttrack import spec
from fasttrack.crashpoints import crash_point
from fasttrack.db import Database
from fasttrack.db.jobs import read_reused
from fasttrack.db.secrets import SecretBox, read_secrets
from fasttrack.domain.facts import (
    BackendAway,
    CreateNotSent,
    CreateSession,
    Effect,
    EndSession,
    Fact,
    LookForSession,
    SessionMissing,
    SessionRefused,
    SessionSeen,
)
from fasttrack.domain.pipeline import Task, TaskKind
from fasttrack.domain.states import FailureClass, InstanceState
from fasttrack.errors import FastTrackError, InvalidRun, Unavailable
from fasttrack.ids import JobId
from fasttrack.settings import Settings
from fasttrack.spec.imports import parse_module_uri
from fasttrack.telemetry import SESSION_CALLS, LogLimiter

from . import fetching
from .backends import base

log = structlog.get_logger()

CALL_SECONDS = 10.0
Learn = Callable[[JobId, Fact], None]


@dataclass(frozen=True, slots=True)
class Decided:
    """When a pass decided what is to be carried out. No machine's wall clock has a say: it may be wrong, or be set."""

    at: datetime
    """By the database's clock; whatever is asked for the pass's sake is asked later than this."""
    monotonic: float
    """By this process's own clock, not later than `at`; fences are measured from here."""


class Effects:
    """Runs effects against one session backend."""

    def __init__(
        self, database: Database, backend: base.SessionBackend, box: SecretBox, settings: Settings, learn: Learn
    ) -> None:
        self._database = database
        self._backend = backend
        self._box = box
        self._grace = settings.terminate_grace
        self._learn = learn
        self._slots = asyncio.Semaphore(settings.create_concurrency)
        self._queues: dict[str, list[tuple[Effect, Decided]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._limiter = LogLimiter()

    def submit(self, effects: Collection[Effect], decided: Decided) -> None:
        """Start carrying these out; returns at once. An effect that already waits for its session is not doubled."""
        for effect in effects:
            waiting = self._queues.get(effect.name)
            if waiting is None:
                self._queues[effect.name] = [(effect, decided)]
                task = asyncio.create_task(self._drain(effect.name))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            elif not any(type(e) is type(effect) for e, _ in waiting):
                waiting.append((effect, decided))

    async def finish(self) -> None:
        """Wait until everything that was submitted has been carried out."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _drain(self, name: str) -> None:
        queue = self._queues[name]
        try:
            while queue:
                async with self._slots:
                    await self._carry_out(*queue[0])
                queue.pop(0)
        finally:
            del self._queues[name]

    async def _carry_out(self, effect: Effect, decided: Decided) -> None:
        verb = type(effect).__name__
        try:
            async with asyncio.timeout(CALL_SECONDS):
                match effect:
                    case CreateSession():
                        fact = await self._create(effect, decided)
                    case LookForSession():
                        fact = await self._look(effect.name, decided)
                    case EndSession():
                        await self._backend.terminate(effect.name, grace=self._grace)
                        crash_point("cancel.after_end")
                        fact = await self._look(effect.name, decided)
                    case _:
                        assert_never(effect)
            outcome = type(fact).__name__
        except base.SessionRefused as error:
            fact, outcome = SessionRefused(effect.name, error.message, error.failure), "SessionRefused"
        except (Unavailable, TimeoutError) as error:
            reason = str(error) or "it did not answer in time"
            is_lasting = isinstance(error, base.CredentialsRefused)
            fact, outcome = BackendAway(effect.name, reason, is_lasting=is_lasting), "BackendAway"
            if self._limiter.allows(reason):
                log.warning("the session backend is away", verb=verb, error=reason)
        except Exception as error:
            # Ours, not the task's: whether the call took effect is not known, so nothing may fail for it.
            log.exception("an effect failed", verb=verb, session=effect.name)
            fact, outcome = BackendAway(effect.name, f"internal error: {type(error).__name__}"), "error"
        SESSION_CALLS.labels(verb, outcome).inc()
        self._learn(effect.job.id, fact)

    async def _look(self, name: str, decided: Decided) -> Fact:
        seen = await self._backend.find(name)
        if seen is None:
            return SessionMissing(name, decided.at, is_answer=True)
        return replace(as_fact(seen), is_answer=True)

    async def _create(self, effect: CreateSession, decided: Decided) -> Fact:
        session = await self._spec(effect)
        # A create that is sent late could take effect after the fence, when it may have been created again.
        fence = self._backend.fence.total_seconds()
        if asyncio.get_running_loop().time() > decided.monotonic + 0.75 * fence:
            return CreateNotSent(effect.name, effect.attempt.fence_until)
        crash_point("create.before_send")
        answer = await self._backend.create(session)
        crash_point("create.after_answer")
        return replace(as_fact(answer), is_create_answer=True)

    async def _spec(self, effect: CreateSession) -> base.SessionSpec:
        job, pipeline = effect.job, effect.pipeline
        task = pipeline.tasks[effect.instance.index]
        secrets: dict[str, str] = {}
        reused: dict[int, JobId] = {}
        if pipeline.secrets:
            async with self._database.transaction() as db:
                secrets = await read_secrets(db, self._box, job.project_id, pipeline.secrets)
        if job.origin_job_id is not None and task.needs:
            async with self._database.transaction() as db:
                reused = await read_reused(db, job.id, task.needs)
        try:
            filled = spec.fill_task(_first_choice(task), params=job.params, secrets=secrets)
            command = _command(filled)
        except FastTrackError as error:
            raise base.SessionRefused(error.message, FailureClass.REFUSED) from None
        return base.SessionSpec(
            name=effect.name,
            command=command,
            image=filled.image,
            resource_group=filled.resource_group,
            project=filled.project,
            cluster_mode=filled.cluster_mode,
            cluster_size=filled.cluster_size,
            slots=filled.resources.slots,
            shmem=filled.resources.shmem,
            envs={
                **filled.envs,
                "BACKENDAI_PIPELINE_ID": str(job.pipeline_id),
                "BACKENDAI_PIPELINE_NAME": pipeline.name,
                "BACKENDAI_PIPELINE_JOB_ID": str(job.id),
                "BACKENDAI_PIPELINE_JOB_INDEX": str(job.number),
                "BACKENDAI_PIPELINE_TASK_ID": str(effect.instance.id),
                "BACKENDAI_PIPELINE_TASK_NAME": task.name,
                "BACKENDAI_PIPELINE_TASK_ATTEMPT": str(effect.attempt.number),
            },
            workspace=base.Workspace(
                pipeline_id=job.pipeline_id,
                job_id=job.id,
                task=task.name,
                inputs=tuple(base.Input(reused.get(need) or job.id, pipeline.tasks[need].name) for need in task.needs),
                mounts=filled.mounts,
            ),
            priority=job.priority,
            service=filled.service,
        )


def _first_choice(task: Task) -> Task:
    """The task with the first of its accelerator alternatives, if it has any."""
    if not task.any_of:
        return task
    choice = task.any_of[0]
    return replace(
        task,
        resources=replace(task.resources, slots={**task.resources.slots, **choice.slots}),
        image=choice.image or task.image,
        envs={**task.envs, **choice.envs},
    )


def _command(task: Task) -> str:
    """What its session runs: its own command, after its code is fetched where it has any.

    :raises InvalidRun: the code's address cannot be one (it was published before addresses were checked).
    """
    if task.kind is not TaskKind.IMPORT:
        return task.command
    try:
        code = parse_module_uri(task.module_uri)
    except ValueError as error:
        raise InvalidRun(f"`module_uri`: {error}") from None
    return fetching.prologue(code) + (task.command if task.command.strip() else fetching.copy_out())


def as_fact(seen: base.Observation) -> SessionSeen:
    """What a backend said, in the engine's words."""
    return SessionSeen(
        name=seen.name,
        session_id=seen.session_id,
        status=InstanceState(seen.status.value),
        reason=seen.reason,
        exit_code=seen.exit_code,
        failure=seen.failure,
        started_at=seen.started_at,
        ended_at=seen.ended_at,
        facts=seen.facts,
    )
