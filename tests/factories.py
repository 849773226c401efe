"""Pipelines for tests: plain functions over defaults. Most tests need only a graph, so that is what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import yaml

from fasttrack.domain.job import Job, JobSnapshot, TaskInstance
from fasttrack.domain.pipeline import ClusterMode, Pipeline, Resources, RetryPolicy, RunIf, Task, TaskKind, Timeouts
from fasttrack.domain.resources import Slots
from fasttrack.domain.room import Room
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.ids import InstanceId, JobId, PipelineId, ProjectId, VersionId, new_id

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def a_task(index: int, name: str, needs: tuple[int, ...] = (), **changes: Any) -> Task:
    """A task that does nothing, needs little, and differs from the default in `changes`."""
    task = Task(
        index=index,
        name=name,
        kind=TaskKind.BATCH,
        description="",
        command="true",
        module_uri="",
        image="python:3.11",
        project="default",
        resource_group="default",
        cluster_mode=ClusterMode.SINGLE_NODE,
        cluster_size=1,
        envs={},
        resources=Resources({"cpu": Decimal(1), "mem": Decimal(2**26)}),
        any_of=(),
        mounts=(),
        needs=needs,
        run_if=RunIf.SUCCESS,
        skip=False,
        continue_on_failure=False,
        retry=RetryPolicy(),
        timeouts=Timeouts(),
        service=None,
    )
    return replace(task, **changes)


def an_idle(slots: Slots) -> Room:
    """What a resource group of one agent has, of which nothing is taken."""
    return Room.of([(slots, {}, True)])


def a_pipeline(graph: Mapping[str, str], name: str = "demo", **changes: Mapping[str, Any]) -> Pipeline:
    """`a_pipeline({"a": "", "b": "a"}, b={"run_if": …})`: tasks with the names of what they need."""
    names = list(graph)
    tasks = [
        a_task(i, n, tuple(names.index(need) for need in graph[n].split()), **changes.get(n, {}))
        for i, n in enumerate(names)
    ]
    return Pipeline(name, "", tuple(tasks))


def a_snapshot(pipeline: Pipeline) -> JobSnapshot:
    """A job of that pipeline as it is stored just after it was submitted."""
    job = Job(
        id=JobId(new_id()),
        project_id=ProjectId(new_id()),
        pipeline_id=PipelineId(new_id()),
        version_id=VersionId(new_id()),
        number=1,
        state=JobState.PENDING,
        reason="",
        params={},
        priority=0,
        site=None,
        seq=0,
        open_tasks=len(pipeline.tasks),
        failed_tasks=0,
        cancelled_tasks=0,
        cancel_requested_at=None,
        created_at=NOW,
        next_reconcile_at=NOW,
    )
    instances = {
        t.index: TaskInstance(
            InstanceId(new_id()),
            job.id,
            t.index,
            InstanceState.PENDING if t.needs else InstanceState.READY,
            unmet=len(t.needs),
        )
        for t in pipeline.tasks
    }
    return JobSnapshot(job, pipeline, instances, {})


def a_file(graph: Mapping[str, str], name: str = "demo", **changes: Mapping[str, Any]) -> str:
    """The YAML of a pipeline with that graph: `a_file({"a": "", "b": "a"}, a={"command": "exit 3"})`."""
    tasks = [
        {
            "name": task,
            "type": "custom",
            "command": "true",
            "environment": {"image": "python:3.11"},
            "resources": {"cpu": 1, "mem": "64m"},
            "resource_opts": {"shmem": "0m"},
            "dependencies": needs.split(),
        }
        | dict(changes.get(task, {}))
        for task, needs in graph.items()
    ]
    return yaml.safe_dump({"name": name, "tasks": tasks} | dict(changes.get("_top", {})), sort_keys=False)
