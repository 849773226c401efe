"""Where this machine keeps what tasks print and write, below the state directory.

local/site                                         the site's identity
local/sessions/<session>/log, exit                 output of a session, and the record of its end
pipelines/<pipeline>/vfroot                        /pipeline/vfroot
pipelines/<pipeline>/jobs/<job>/<task>/outputs     /pipeline/outputs, and input1…n of later tasks
pipelines/<pipeline>/uploads/<upload>              files on their way into vfroot
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import assert_never
from uuid import UUID

from ..ids import JobId, PipelineId
from .base import Folder, Outputs, Vfroot

LONGEST_NAME = 120
"""Longer task names are cut and told apart by a digest: file systems take 255 bytes."""
LOG_CAP = 256 * 2**20
"""Bytes of output that are kept of one session; what follows is cut, and the task goes on."""


class Layout:
    """The places of one state directory."""

    def __init__(self, state_dir: Path) -> None:
        self.state = state_dir.absolute()
        self.local = self.state / "local"
        self.sessions = self.local / "sessions"
        self.pipelines = self.state / "pipelines"

    def pipeline(self, pipeline: PipelineId) -> Path:
        """All that belongs to a pipeline."""
        return self.pipelines / str(pipeline)

    def job(self, pipeline: PipelineId, job: JobId) -> Path:
        """All that the tasks of a job wrote."""
        return self.pipeline(pipeline) / "jobs" / str(job)

    def folder(self, folder: Folder) -> Path:
        """A folder that tasks see."""
        match folder:
            case Vfroot():
                return self.pipeline(folder.pipeline_id) / "vfroot"
            case Outputs():
                return self.job(folder.pipeline_id, folder.job_id) / as_file_name(folder.task) / "outputs"
            case _:
                assert_never(folder)

    def uploads(self, pipeline: PipelineId) -> Path:
        """Files on their way into the pipeline's vfroot."""
        return self.pipeline(pipeline) / "uploads"

    def site(self) -> str | None:
        """The name of the site whose sessions are here; `None` if none ever were."""
        try:
            return site_name(UUID((self.local / "site").read_text().strip()))
        except (OSError, ValueError):
            return None


def site_name(identity: UUID) -> str:
    """What the engine calls the site of that identity."""
    return f"local:{identity}"


def as_file_name(task: str) -> str:
    """The task's name as one path component: the same for the same name, different for different ones."""
    safe = "".join(c if c.isprintable() and c not in "/%" else "".join(f"%{b:02X}" for b in c.encode()) for c in task)
    if safe.startswith("."):
        safe = f"%2E{safe[1:]}"
    if len(safe.encode()) > LONGEST_NAME:
        safe = f"{safe.encode()[: LONGEST_NAME - 17].decode(errors='ignore')}%{sha256(task.encode()).hexdigest()[:16]}"
    return safe
