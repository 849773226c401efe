"""How stored things look as JSON and as rows: one function each, the same in every command.

Names and meanings of keys are part of the command line's contract: add keys, never rename one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fasttrack.domain.events import FeedEvent
from fasttrack.ids import session_name

from .store import Job, Pipeline, Task, Version, task_view
from .view.colours import job_state, task_state
from .view.words import duration, how_it_ended, moment

JOB_COLUMNS = ("id", "pipeline", "job", "version", "state", "tasks", "created", "took", "reason")
TASK_COLUMNS = ("task", "state", "attempt", "waited", "ran", "exit", "reason")


def job_json(job: Job) -> dict[str, Any]:
    """A job for programs."""
    return {
        "id": job.id,
        "pipeline": job.pipeline,
        "pipeline_id": job.pipeline_id,
        "number": job.number,
        "version": job.version,
        "state": job.state,
        "reason": job.reason,
        "params": job.params,
        "overrides": job.overrides or {},
        "submitted_by": job.submitted_by,
        "tasks": job.tasks,
        "open_tasks": job.open_tasks,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "pruned_at": job.pruned_at,
    }


def job_row(job: Job, now: datetime) -> tuple[str, ...]:
    """A job as a row of `JOB_COLUMNS`."""
    return (
        str(job.id),
        job.pipeline,
        f"#{job.number}",
        str(job.version),
        job_state(job.state),
        f"{job.tasks - job.open_tasks}/{job.tasks}",
        moment(job.created_at),
        duration((job.ended_at or now) - job.created_at),
        job.reason,
    )


def task_json(task: Task, now: datetime) -> dict[str, Any]:
    """A task instance for programs; durations in seconds."""
    view = task_view(task)
    return {
        "name": task.name,
        "id": task.id,
        "state": task.state,
        "reason": task.reason,
        "attempt": task.attempt,
        "failure": task.failure,
        "exit_code": task.exit_code,
        "not_before": task.not_before,
        "ready_at": task.ready_at,
        "started_at": task.started_at,
        "ended_at": task.ended_at,
        "waited_seconds": view.waited(now),
        "ran_seconds": view.elapsed(now),
        "session": session_name(task.id, task.attempt) if task.attempt else None,
        "session_id": task.session_id,
        "facts": task.facts,
        "outputs": task.outputs,
    }


def task_row(task: Task, now: datetime) -> tuple[str, ...]:
    """A task instance as a row of `TASK_COLUMNS`."""
    view = task_view(task)
    return (
        task.name,
        task_state(task.state),
        str(task.attempt or ""),
        duration(view.waited(now)),
        duration(view.elapsed(now)),
        how_it_ended(task.failure, task.exit_code),
        task.reason,
    )


def event_json(event: FeedEvent) -> dict[str, Any]:
    """An event for programs; `pos` is 0 while it has no place in the feed."""
    return {
        "seq": event.seq,
        "pos": event.pos,
        "kind": event.kind,
        "at": event.at,
        "task": event.task,
        "payload": dict(event.payload),
    }


def pipeline_json(pipeline: Pipeline) -> dict[str, Any]:
    """A pipeline for programs."""
    return {
        "id": pipeline.id,
        "name": pipeline.name,
        "latest_version": pipeline.latest_version,
        "latest_job": pipeline.latest_job,
        "created_by": pipeline.created_by,
        "created_at": pipeline.created_at,
        "description": pipeline.description,
        "tags": list(pipeline.tags),
        "revision": pipeline.revision,
        "archived_at": pipeline.archived_at,
        "problem": pipeline.problem,
    }


def version_json(pipeline: str, version: Version) -> dict[str, Any]:
    """A version for programs, without its text: `export` gives that."""
    return {
        "pipeline": pipeline,
        "version": version.number,
        "author": version.author,
        "message": version.message,
        "hash": version.hash,
        "created_at": version.created_at,
    }


def job_document(job: Job, tasks: Sequence[Task], now: datetime) -> dict[str, Any]:
    """A job with its tasks for programs."""
    return {"job": job_json(job), "tasks": [task_json(task, now) for task in tasks]}
