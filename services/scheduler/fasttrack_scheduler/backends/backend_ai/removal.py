"""Removing what is kept on the cluster of sessions, jobs and pipelines that are over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from fasttrack.backend_ai.answers import Refused
from fasttrack.backend_ai.folders import Folders
from fasttrack.ids import JobId, PipelineId
from fasttrack.storage.cluster_layout import JOBS, SESSIONS, folder_of, job_path, session_path

from ..base import Freed
from .remains import pipeline_of
from .truth import Session

_AT_ONCE = 100
"""Directories that are removed by one request."""


def those_over(sessions: Iterable[Session]) -> list[tuple[PipelineId, str]]:
    """The names of those sessions that everybody knows to be over, each with its pipeline; strangers are left out."""
    found = [(pipeline_of(session), session.name) for session in sessions if session.is_done]
    return [(pipeline, name) for pipeline, name in found if pipeline is not None]


async def forget_sessions(folders: Folders, sessions: Sequence[tuple[PipelineId, str]], *, dry_run: bool) -> Freed:
    """Remove what the wrappers of these sessions wrote, which are over."""
    of_pipeline: dict[PipelineId, list[str]] = {}
    for pipeline, name in sessions:
        of_pipeline.setdefault(pipeline, []).append(name)
    freed = Freed()
    for pipeline, names in of_pipeline.items():
        there = await _names(folders, folder_of(pipeline), SESSIONS)
        found = [name for name in names if name in there]
        listings = await asyncio.gather(*(folders.entries(folder_of(pipeline), session_path(n)) for n in found))
        size = sum(entry.size for listing in listings for entry in listing or () if entry.is_file)
        freed += await _remove(folders, pipeline, [session_path(name) for name in found], size, dry_run=dry_run)
    return freed


async def forget_outputs(folders: Folders, jobs: Sequence[tuple[PipelineId, JobId]], *, dry_run: bool) -> Freed:
    """Remove what the tasks of these jobs wrote. Its size is not told: to know it, every file would be listed."""
    of_pipeline: dict[PipelineId, list[JobId]] = {}
    for pipeline, job in jobs:
        of_pipeline.setdefault(pipeline, []).append(job)
    freed = Freed()
    for pipeline, asked in of_pipeline.items():
        there = await _names(folders, folder_of(pipeline), JOBS)
        paths = [job_path(job) for job in asked if str(job) in there]
        freed += await _remove(folders, pipeline, paths, 0, dry_run=dry_run)
    return freed


async def forget_pipelines(folders: Folders, pipelines: Sequence[PipelineId], *, dry_run: bool) -> Freed:
    """Remove the folders of these pipelines with all in them."""
    freed = Freed()
    for pipeline in pipelines:
        name = folder_of(pipeline)
        folders.forget(name)
        if await folders.find(name) is None:
            continue
        try:
            if not dry_run:
                await folders.drop(name)
        except Refused as error:
            freed += Freed(stuck=(f"the folder {name} cannot be removed: {error}",))
        else:
            freed += Freed(1)
    return freed


async def _remove(folders: Folders, pipeline: PipelineId, paths: Sequence[str], size: int, *, dry_run: bool) -> Freed:
    if not dry_run:
        for start in range(0, len(paths), _AT_ONCE):
            try:
                await folders.delete(folder_of(pipeline), paths[start : start + _AT_ONCE])
            except Refused as error:
                return Freed(stuck=(f"{len(paths)} directories of {folder_of(pipeline)} cannot be removed: {error}",))
    return Freed(len(paths), size)


async def _names(folders: Folders, folder: str, path: str) -> set[str]:
    return {entry.name for entry in await folders.entries(folder, path) or () if entry.is_directory}
