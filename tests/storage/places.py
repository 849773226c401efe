"""Places that keep what tasks write, to hold all of them to the contract: this machine, and clusters of both generations."""

from __future__ import annotations

from pathlib import Path

import pytest

from fasttrack.backend_ai.folders import Folders
from fasttrack.ids import JobId, PipelineId, new_id
from fasttrack.storage import FileStore, Folder
from fasttrack.storage.base import UploadStore
from fasttrack.storage.cluster_files import ClusterFiles
from fasttrack.storage.cluster_layout import folder_of, path_of
from fasttrack.storage.cluster_uploads import ClusterUploads
from fasttrack.storage.layout import Layout
from fasttrack.storage.local_files import LocalFiles
from fasttrack.storage.uploads import LocalUploads
from tests.scheduler.backend_ai.clusters import Cluster

LOCAL = "local"
on_a_disk = pytest.mark.parametrize("place", [LOCAL], indirect=True)
"""Of what a disk gives and a cluster does not."""
PIPELINE, JOB = PipelineId(new_id()), JobId(new_id())


class Place:
    """One of them, and where it is on this machine."""

    def __init__(self, kind: str, root: Path, cluster: Cluster | None = None) -> None:
        self.kind = kind
        self.layout = Layout(root / "state")
        self.cluster = cluster
        self.files: FileStore
        self.uploads: UploadStore
        self.again()

    def again(self) -> None:
        """As another process has it, which knows nothing but what is kept."""
        if self.cluster is None:
            self.files, self.uploads = LocalFiles(self.layout), LocalUploads(self.layout)
        else:
            folders = Folders(self.cluster.gateway)
            self.files, self.uploads = ClusterFiles(folders), ClusterUploads(self.cluster.gateway, folders)

    async def folder(self, folder: Folder) -> Path:
        """Where it is, made if it is not there."""
        if self.cluster is not None:
            await Folders(self.cluster.gateway).ensure(folder_of(folder.pipeline_id))
        path = self.where(folder)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def where(self, folder: Folder) -> Path:
        """Where it is, if its pipeline has anything yet."""
        if self.cluster is None:
            return self.layout.folder(folder)
        return self.cluster.within(folder_of(folder.pipeline_id), path_of(folder))

    def upload(self, upload: object) -> Path:
        """Where an upload into the pipeline is, or all of them."""
        if self.cluster is None:
            return self.layout.uploads(PIPELINE) / str(upload)
        return self.cluster.within(folder_of(PIPELINE), f"uploads/{upload}")
