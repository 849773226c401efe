"""Removing what retention no longer keeps: directories of ended sessions, outputs of jobs that are
over, and folders of pipelines that were deleted.

Everything can be cut short at any file and done again. It runs in a thread, one directory after the other, and looks
between files whether it should stop.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from threading import Event

from fasttrack.ids import JobId, PipelineId
from fasttrack.storage.layout import Layout

from ..base import Freed
from .journal import SessionDir


class Stopped(Exception):
    """It was asked to stop half-way."""


async def in_thread(work: Callable[[Event], Freed]) -> Freed:
    """What `work` gives, from a thread; a cancellation sets its event, so that it ends at the next file."""
    stop = Event()
    try:
        return await asyncio.to_thread(work, stop)
    except asyncio.CancelledError:
        stop.set()
        raise


def forget_sessions(sessions: Iterable[SessionDir], *, dry_run: bool, stop: Event) -> Freed:
    """Remove those of these sessions that are over."""
    freed = Freed()
    for directory in sessions:
        # Out of the way first: half a directory would look like a session that has not ended, and might be run.
        aside = f"{os.path.dirname(directory.path)}/.gone-{directory.name}"
        path = aside
        if directory.ended() is not None:
            if dry_run:
                path = directory.path
            else:
                with suppress(FileNotFoundError):  # another scheduler is at it
                    os.rename(directory.path, aside)
        freed += _forget(path, f"session {directory.name}", dry_run=dry_run, stop=stop)
    return freed


def forget_outputs(layout: Layout, jobs: Sequence[tuple[PipelineId, JobId]], *, dry_run: bool, stop: Event) -> Freed:
    """Remove the folders that belong to these jobs, and no other of their pipelines."""
    freed = Freed()
    for pipeline, job in jobs:
        path = str(layout.job(pipeline, job))
        freed += _forget(path, f"outputs of job {job}", dry_run=dry_run, stop=stop)
    return freed


def forget_pipelines(layout: Layout, pipelines: Sequence[PipelineId], *, dry_run: bool, stop: Event) -> Freed:
    """Remove all folders of these pipelines."""
    freed = Freed()
    for pipeline in pipelines:
        path = str(layout.pipeline(pipeline))
        freed += _forget(path, f"folders of pipeline {pipeline}", dry_run=dry_run, stop=stop)
    return freed


def _forget(path: str, what: str, *, dry_run: bool, stop: Event) -> Freed:
    if not os.path.lexists(path):
        return Freed()
    try:
        size = _weigh(path, stop)
        if not dry_run:
            _remove(path, stop)
    except FileNotFoundError:
        return Freed()  # another scheduler removes it at the same time
    except (OSError, RecursionError) as error:
        return Freed(stuck=(f"{what}: {error}",))
    return Freed(1, size)


def _weigh(path: str, stop: Event) -> int:
    """The bytes of all files in there, or of the file."""
    size = 0
    for found in _files(path):
        if stop.is_set():
            raise Stopped
        size += os.lstat(found).st_size
    return size


def _files(path: str) -> Iterator[str]:
    if os.path.islink(path) or not os.path.isdir(path):
        yield path
        return
    for folder, _, names in os.walk(path):  # links are not followed
        yield from (f"{folder}/{name}" for name in names)


def _remove(path: str, stop: Event) -> None:
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return
    os.chmod(path, 0o700)  # a task may have closed its folders, even to their owner
    for folder, inner, names in os.walk(path):
        for name in inner:
            if not os.path.islink(f"{folder}/{name}"):
                os.chmod(f"{folder}/{name}", 0o700)
        for name in names:
            if stop.is_set():
                raise Stopped
            os.unlink(f"{folder}/{name}")
    shutil.rmtree(path)
