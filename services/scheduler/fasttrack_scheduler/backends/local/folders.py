"""Where the folders of a task really are, and making them ready.

<state>/pipelines/<pipeline>/vfroot                        /pipeline/vfroot
<state>/pipelines/<pipeline>/jobs/<job>/<task>/outputs     /pipeline/outputs, and input1…n of later tasks
<folders_dir>/<folder>                                     /home/work/<alias>
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from uuid import uuid4

from fasttrack.settings import Settings

from ..base import SessionRefused, Workspace

VFROOT, OUTPUTS, HOME = "/pipeline/vfroot", "/pipeline/outputs", "/home/work"
LONGEST_NAME = 120
"""Longer task names are cut and told apart by a digest: file systems take 255 bytes."""


@dataclass(frozen=True, slots=True)
class Folders:
    """The real folders of one session."""

    vfroot: str
    outputs: str
    inputs: tuple[str, ...]
    mounts: tuple[tuple[str, str], ...]
    """Real folder and alias."""

    def make_ready(self) -> str | None:
        """Make the folders, with empty outputs. Only the one that starts the session may call it.

        Returns what an earlier attempt left, moved aside, for removal.
        """
        for path in (self.vfroot, *self.inputs):
            if not os.path.isdir(path):
                os.makedirs(path, exist_ok=True)
        parent = os.path.dirname(self.outputs)
        os.makedirs(parent, exist_ok=True)
        old = None
        try:
            os.mkdir(self.outputs)
        except FileExistsError:
            old = f"{parent}/.old-{uuid4().hex}"
            os.rename(self.outputs, old)
            os.mkdir(self.outputs)
        return old


def folders_of(workspace: Workspace, settings: Settings) -> Folders:
    """The folders of a workspace. :raises SessionRefused: a mounted folder is unknown, or a name leads elsewhere."""
    pipeline = settings.state_dir.absolute() / "pipelines" / str(workspace.pipeline_id)
    jobs = pipeline / "jobs"
    return Folders(
        str(pipeline / "vfroot"),
        str(jobs / str(workspace.job_id) / as_file_name(workspace.task) / "outputs"),
        tuple(str(jobs / str(i.job_id) / as_file_name(i.task) / "outputs") for i in workspace.inputs),
        tuple((_mounted(m.folder, settings.folders_dir.absolute()), _alias(m.alias)) for m in workspace.mounts),
    )


def as_file_name(task: str) -> str:
    """The task's name as one path component: the same for the same name, different for different ones."""
    safe = "".join(c if c.isprintable() and c not in "/%" else "".join(f"%{b:02X}" for b in c.encode()) for c in task)
    if safe.startswith("."):
        safe = f"%2E{safe[1:]}"
    if len(safe.encode()) > LONGEST_NAME:
        safe = f"{safe.encode()[: LONGEST_NAME - 17].decode(errors='ignore')}%{sha256(task.encode()).hexdigest()[:16]}"
    return safe


def _mounted(folder: str, root: Path) -> str:
    # Symbolic links inside the folder are the owner's business; the name itself may not lead out of it.
    parts = PurePosixPath(folder).parts
    if not parts or PurePosixPath(folder).is_absolute() or ".." in parts:
        raise SessionRefused(f"it mounts {folder!r}, which is not the name of a folder")
    path = root.joinpath(*parts)
    if not path.is_dir():
        raise SessionRefused(f"it mounts the folder {folder!r}, which does not exist; create the directory {path}")
    return str(path)


def _alias(alias: str) -> str:
    parts = PurePosixPath(alias).parts
    if parts[:3] == ("/", "home", "work"):
        parts = parts[3:]
    if not parts or parts[0] == "/" or ".." in parts:
        raise SessionRefused(f"it mounts a folder at {alias!r}, which is not a name below {HOME}")
    return "/".join(parts)
