"""Where a Backend.AI cluster keeps what tasks print and write: one virtual folder for each pipeline.

ft-<pipeline>/vfroot                  /pipeline/vfroot
ft-<pipeline>/jobs/<job>/<task>       /pipeline/outputs, and input1…n of later tasks
ft-<pipeline>/sessions/<session>      /pipeline/.session: what the command's wrapper writes down

They are siblings, since no release mounts a directory and another inside it.
"""

from __future__ import annotations

from typing import assert_never

from ..ids import JobId, PipelineId
from .base import Folder, Outputs, Vfroot
from .layout import as_file_name

SESSIONS = "sessions"
JOBS = "jobs"


def folder_of(pipeline: PipelineId) -> str:
    """The name of a pipeline's virtual folder: the same for ever, and nobody else's."""
    return f"ft-{pipeline.hex}"


def path_of(folder: Folder) -> str:
    """Where a folder that tasks see is, inside the virtual folder of its pipeline."""
    match folder:
        case Vfroot():
            return "vfroot"
        case Outputs():
            return f"{job_path(folder.job_id)}/{as_file_name(folder.task)}"
        case _:
            assert_never(folder)


def job_path(job: JobId) -> str:
    """All that the tasks of a job wrote."""
    return f"{JOBS}/{job}"


def session_path(name: str) -> str:
    """What the wrapper of this session's command writes."""
    return f"{SESSIONS}/{name}"
