"""Who keeps the logs and the files of a job, by the site its sessions live at."""

from __future__ import annotations

from dataclasses import dataclass

from ..settings import Settings
from .base import FilesElsewhere, FileStore, LogSource, UploadStore
from .layout import Layout
from .local_files import LocalFiles
from .local_logs import LocalLogs
from .uploads import LocalUploads

_HERE = "the API of the machine with that state directory has them (FASTTRACK_STATE_DIR)"


@dataclass(frozen=True)
class Site:
    """One place where sessions live."""

    logs: LogSource
    files: FileStore
    uploads: UploadStore


class Sites:
    """The sites that this process reaches: those of this machine's state directory; without settings, none."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._layout = None
        if settings is not None and settings.backend == "local":
            self._layout = Layout(settings.state_dir)
            self._local = Site(LocalLogs(self._layout.sessions), LocalFiles(self._layout), LocalUploads(self._layout))

    def of(self, site: str) -> Site:
        """That of a job. :raises FilesElsewhere: it is not reached from here."""
        # The name is read each time: a state directory gets it from the first scheduler that opens it.
        if self._layout is None or self._layout.site() != site:
            raise FilesElsewhere(
                f"the logs and files of this job are at the site {site}, which is not reached from here: {_HERE}"
            )
        return self._local

    def own(self) -> Site:
        """That of this installation, where the folders of pipelines are. :raises FilesElsewhere: there is none here."""
        if self._layout is None or self._layout.site() is None:
            raise FilesElsewhere(f"the folders of pipelines are not reached from here: {_HERE}")
        return self._local
