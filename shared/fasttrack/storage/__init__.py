"""What tasks print and write, by the site it is kept at: the scheduler fills it, the API and the command line read it.

`base` is the contract, `sites` finds who keeps it for a job, `masking` takes secrets out of what is shown. This machine's
are `layout` (where everything is), `beneath` (files that a task may have tampered with), `local_logs`, `local_files` and
`uploads`; a cluster's `cluster_layout`, `cluster_folders` (what its listings allow to be opened), `cluster_logs`, `cluster_files`,
`cluster_uploads` and `cluster_appending`.
"""

from __future__ import annotations

from .base import (
    Entry,
    FilesElsewhere,
    FileStore,
    Folder,
    Listing,
    LogChunk,
    LogPruned,
    LogSource,
    OpenFile,
    Outputs,
    Vfroot,
)
from .masking import Masker
from .sites import Sites

__all__ = [
    "Entry",
    "FileStore",
    "FilesElsewhere",
    "Folder",
    "Listing",
    "LogChunk",
    "LogPruned",
    "LogSource",
    "Masker",
    "OpenFile",
    "Outputs",
    "Sites",
    "Vfroot",
]
