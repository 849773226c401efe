"""Where the folders of a task really are, and making them ready.

`/pipeline/vfroot`, `/pipeline/outputs` and `input1…n` are where `storage/layout.py` says; `/home/work/<alias>` is
`<folders_dir>/<folder>`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from uuid import uuid4

from fasttrack.settings import Settings
from fasttrack.storage import Outputs, Vfroot
from fasttrack.storage.layout import Layout

from ..base import SessionRefused, Workspace

VFROOT, OUTPUTS, HOME = "/pipeline/vfroot", "/pipeline/outputs", "/home/work"


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
    layout, pipeline = Layout(settings.state_dir), workspace.pipeline_id
    return Folders(
        str(layout.folder(Vfroot(pipeline))),
        str(layout.folder(Outputs(pipeline, workspace.job_id, workspace.task))),
        tuple(str(layout.folder(Outputs(pipeline, i.job_id, i.task))) for i in workspace.inputs),
        tuple((_mounted(m.folder, settings.folders_dir.absolute()), _alias(m.alias)) for m in workspace.mounts),
    )


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
