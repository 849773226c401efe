"""Who keeps the logs and the files of a job, by the site its sessions live at."""

from __future__ import annotations

from dataclasses import dataclass

from ..backend_ai.keys import Gateways, Keys, NoKeys
from ..settings import Settings
from .base import FilesElsewhere, FileStore, LogSource, UploadStore
from .cluster_keys import KeyedFiles, KeyedLogs, KeyedSite, KeyedUploads
from .layout import Layout
from .local_files import LocalFiles
from .local_logs import LocalLogs
from .uploads import LocalUploads

_HERE = "the API of the machine with that state directory has them (FASTTRACK_STATE_DIR)"
_CLUSTER = "an API with the settings of that cluster has them (FASTTRACK_BACKEND, FASTTRACK_BACKEND_AI_ENDPOINT)"


@dataclass(frozen=True)
class Site:
    """One place where sessions live."""

    logs: LogSource
    files: FileStore
    uploads: UploadStore


class Sites:
    """The sites that this process reaches: the state directory of this machine, or the cluster that the settings name;
    without settings, none. To be closed.
    """

    def __init__(self, settings: Settings | None = None, keys: Keys | None = None) -> None:
        """:param keys: what is stored of the keys of clusters; without them only that of the settings is used."""
        self._layout = None
        self._cluster: _Cluster | None = None
        if settings is None:
            return
        if settings.backend == "local":
            self._layout = Layout(settings.state_dir)
            self._local = Site(LocalLogs(self._layout.sessions), LocalFiles(self._layout), LocalUploads(self._layout))
        elif settings.backend == "backend_ai":
            self._cluster = _Cluster(settings, keys or NoKeys())

    async def close(self) -> None:
        """Let the connections go. Safe to call twice."""
        if self._cluster is not None:
            await self._cluster.close()

    def of(self, site: str) -> Site:
        """That of a job. :raises FilesElsewhere: it is not reached from here."""
        if self._cluster is not None and self._cluster.name == site:
            return self._cluster.site
        # The name is read each time: a state directory gets it from the first scheduler that opens it.
        if self._layout is None or self._layout.site() != site:
            remedy = _HERE if site.startswith("local:") else _CLUSTER
            raise FilesElsewhere(
                f"the logs and files of this job are at the site {site}, which is not reached from here: {remedy}"
            )
        return self._local

    def own(self) -> Site:
        """That of this installation, where the folders of pipelines are. :raises FilesElsewhere: there is none here."""
        if self._cluster is not None:
            return self._cluster.site
        if self._layout is None or self._layout.site() is None:
            raise FilesElsewhere(f"the folders of pipelines are not reached from here: {_HERE}")
        return self._local


class _Cluster:
    """The cluster of the settings, not connected to before something is wanted of it."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self._keyed = KeyedSite(Gateways(settings, keys), settings.backend_ai_folder_host)
        self.name = self._keyed.gateways.site
        self.site = Site(KeyedLogs(self._keyed), KeyedFiles(self._keyed), KeyedUploads(self._keyed))

    async def close(self) -> None:
        await self._keyed.close()
