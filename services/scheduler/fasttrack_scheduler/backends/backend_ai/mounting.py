"""Which folders a session sees, and where: the pipeline's own by parts, others by name; and whether its own is still there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from uuid import UUID

from fasttrack.backend_ai.folders import Folders, InTrash
from fasttrack.domain.catalog import FolderProblem
from fasttrack.ids import PipelineId
from fasttrack.storage import Outputs, Vfroot
from fasttrack.storage.cluster_layout import folder_of, path_of, session_path

from ..base import SessionRefused, Workspace

HOME = "/home/work"
VFROOT, OUTPUTS, SESSION = "/pipeline/vfroot", "/pipeline/outputs", "/pipeline/.session"


@dataclass(frozen=True, slots=True)
class Mounted:
    """One directory of a virtual folder, where the session sees it."""

    folder: str
    path: str
    """Inside the folder; empty: all of it."""
    target: str
    is_read_only: bool = False

    @property
    def source(self) -> str:
        """As the older call names it."""
        return f"{self.folder}/{self.path}" if self.path else self.folder


def mounts_of(name: str, workspace: Workspace) -> list[Mounted]:
    """All that the session sees. :raises SessionRefused: two are in one place, or one leads elsewhere."""
    own = folder_of(workspace.pipeline_id)
    outputs = Outputs(workspace.pipeline_id, workspace.job_id, workspace.task)
    found = [
        Mounted(own, path_of(Vfroot(workspace.pipeline_id)), VFROOT),
        Mounted(own, path_of(outputs), OUTPUTS),
        Mounted(own, session_path(name), SESSION),
    ]
    for number, needed in enumerate(workspace.inputs, 1):
        path = path_of(Outputs(workspace.pipeline_id, needed.job_id, needed.task))
        found.append(Mounted(own, path, f"/pipeline/input{number}", is_read_only=True))
    return found + _others(workspace)


def service_mounts_of(workspace: Workspace, *, has_vfroot: bool) -> list[Mounted]:
    """All that a model service sees besides its model folder. It outlives the job, so what belongs to a job is not there."""
    own = Mounted(folder_of(workspace.pipeline_id), path_of(Vfroot(workspace.pipeline_id)), VFROOT, is_read_only=True)
    return ([own] if has_vfroot else []) + _others(workspace)


def _others(workspace: Workspace) -> list[Mounted]:
    found: list[Mounted] = []
    taken: dict[str, str] = {}
    for mount in workspace.mounts:
        target = _target(mount.alias)
        for other, folder in taken.items():
            if target == other or target.startswith(f"{other}/") or other.startswith(f"{target}/"):
                raise SessionRefused(
                    f"it mounts {mount.folder!r} at {target} and {folder!r} at {other}: one is inside the other; give one "
                    "of them another alias"
                )
        taken[target] = mount.folder
        folder, _, path = mount.folder.partition("/")
        if not folder or ".." in PurePosixPath(path).parts:
            raise SessionRefused(f"it mounts {mount.folder!r}, which is not the name of a folder")
        found.append(Mounted(folder, path, target))
    return found


async def own_folder(folders: Folders, workspace: Workspace) -> UUID:
    """The id of the pipeline's folder, made for a task that reads nothing of it.

    :raises SessionRefused: somebody deleted it, with what the task reads.
    """
    name = folder_of(workspace.pipeline_id)
    try:
        found = await folders.present(name)
        if found is None and not workspace.inputs:
            return await folders.ensure(name)
    except InTrash:
        raise SessionRefused(
            f"the folder {name} of its pipeline is in the trash of the cluster: restore it there, or delete it for good "
            "and run the job from its beginning, with an empty one"
        ) from None
    if found is None:
        raise SessionRefused(
            f"the folder {name} of its pipeline was deleted on the cluster, and with it what the tasks it needs have "
            "written: run the job from its beginning, with an empty one"
        )
    return found


async def folder_problems(
    folders: Folders, pipelines: Sequence[PipelineId]
) -> Mapping[PipelineId, FolderProblem | None]:
    """Which of these pipelines have lost the folder that they had. One request, however many they are."""
    there = await folders.all()
    found: dict[PipelineId, FolderProblem | None] = {}
    for pipeline in pipelines:
        name = folder_of(pipeline)
        found[pipeline] = None
        if name not in there:
            folders.forget(name)
            found[pipeline] = FolderProblem(
                f"its folder {name} was deleted on the cluster, with all that its jobs have written; remake-folder has the "
                "next job begin with an empty one",
                is_gone=True,
            )
        elif not there[name]:
            folders.forget(name)
            found[pipeline] = FolderProblem(
                f"its folder {name} is in the trash of the cluster; restore it there, or delete it for good to begin with "
                "an empty one",
                is_gone=False,
            )
    return found


def _target(alias: str) -> str:
    parts = PurePosixPath(alias).parts
    if parts[:3] == ("/", "home", "work"):
        parts = parts[3:]
    if not parts or parts[0] == "/" or ".." in parts:
        raise SessionRefused(f"it mounts a folder at {alias!r}, which is not a name below {HOME}")
    return "/".join((HOME, *parts))
