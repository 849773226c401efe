"""What is written down of a session: everything but its secrets, and its secrets apart."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fasttrack.domain.pipeline import Mount
from fasttrack.ids import JobId, PipelineId

from ..base import NO_SERVICES, Input, SessionRefused, SessionSpec, Workspace

LONGEST_TEXT = 128 * 1024
"""Bytes of one argument or variable that Linux refuses."""


def require_startable(spec: SessionSpec) -> None:
    """Pass if the system could start this. :raises SessionRefused: no process can have such a name or command."""
    if spec.service is not None:
        raise SessionRefused(NO_SERVICES)
    if not re.fullmatch(r"\w[\w.-]{0,199}", spec.name, re.ASCII):
        raise SessionRefused(f"{spec.name!r} is not a session name")
    for what, text in (
        ("command", spec.command),
        *((f"variable {key}", f"{key}={spec.envs[key]}") for key in spec.envs),
    ):
        if "\0" in text:
            raise SessionRefused(f"its {what} holds a NUL character")
        if len(text.encode(errors="replace")) >= LONGEST_TEXT:
            raise SessionRefused(f"its {what} is longer than {LONGEST_TEXT - 1} bytes, the most the system takes")


def as_record(spec: SessionSpec, session_id: str) -> dict[str, Any]:
    """What may be kept for as long as the session is."""
    where = spec.workspace
    return {
        "session_id": session_id,
        "slots": {slot: str(amount) for slot, amount in spec.slots.items() if amount},
        "priority": spec.priority,
        "arrived": time.time_ns(),
        "image": spec.image,
        "cluster_size": spec.cluster_size,
        "pipeline": str(where.pipeline_id),
        "job": str(where.job_id),
        "task": where.task,
        "inputs": [(str(made.job_id), made.task) for made in where.inputs],
        "mounts": [(mount.folder, mount.alias) for mount in where.mounts],
    }


def secrets_of(spec: SessionSpec) -> dict[str, Any]:
    """What is kept only until the command starts."""
    return {"command": spec.command, "envs": dict(spec.envs)}


def workspace_of(record: Mapping[str, Any]) -> Workspace:
    """The folders that `as_record` wrote down."""
    return Workspace(
        PipelineId(UUID(record["pipeline"])),
        JobId(UUID(record["job"])),
        record["task"],
        tuple(Input(JobId(UUID(job)), task) for job, task in record["inputs"]),
        tuple(Mount(folder, alias) for folder, alias in record["mounts"]),
    )
