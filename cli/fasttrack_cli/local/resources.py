"""Resource groups of every site that uses the database."""

from __future__ import annotations

from fasttrack.domain.usage import ResourceGroup
from fasttrack.workflow.capacity import read_groups
from fasttrack.workflow.versions import CompiledVersions

from ..workbench import Workbench


class LocalResources:
    """Of all projects."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    async def groups(self) -> list[ResourceGroup]:
        """The resource groups."""
        return await read_groups(self._bench.database.transaction, CompiledVersions(), None)
