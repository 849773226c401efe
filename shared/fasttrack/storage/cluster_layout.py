"""Where a Backend.AI cluster keeps what tasks print and write: one virtual folder for each pipeline.

ft-<pipeline>/vfroot                  /pipeline/vfroot
ft-<pipeline>/jobs/<job>/<task>       /pipeline/outputs, and input1…n of later tasks
ft-<pipeline>/sessions/<session>      /pipeline/.session: what the command's wrapper writes down
ft-<pipeline>/uploads/<upload>        files on their way into vfroot; no session sees them

They are siblings, since no release mounts a directory and another inside it.
"""

from __future__ import annotations

import re
from typing import assert_never
from uuid import UUID

from ..ids import JobId, PipelineId
from .base import Folder, Outputs, Vfroot
from .layout import as_file_name

VFROOT = "vfroot"
SESSIONS = "sessions"
JOBS = "jobs"
UPLOADS = "uploads"
_PREFIX = "ft-"


def folder_of(pipeline: PipelineId) -> str:
    """The name of a pipeline's virtual folder: the same for ever, and nobody else's."""
    return f"{_PREFIX}{pipeline.hex}"


def is_ours(folder: str) -> bool:
    """Whether a virtual folder of that name is a pipeline's."""
    return re.fullmatch(rf"{_PREFIX}[0-9a-f]{{32}}", folder) is not None


def path_of(folder: Folder) -> str:
    """Where a folder that tasks see is, inside the virtual folder of its pipeline."""
    match folder:
        case Vfroot():
            return VFROOT
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


def upload_path(upload: UUID) -> str:
    """What is kept of an upload."""
    return f"{UPLOADS}/{upload}"
