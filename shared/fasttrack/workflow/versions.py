"""Compiled versions, kept per process: a version never changes, so neither does what it compiles to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Any

from .. import spec
from ..db import Db
from ..db.pipelines import load_specs
from ..domain.pipeline import Pipeline
from ..ids import VersionId


class CompiledVersions:
    """Pipelines by version, least recently used ones dropped beyond `size`."""

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._compiled: OrderedDict[VersionId, Pipeline] = OrderedDict()

    async def get(self, db: Db, versions: Collection[VersionId]) -> dict[VersionId, Pipeline]:
        """The pipelines of these versions; those not at hand are read in one statement."""
        missing = set(versions) - self._compiled.keys()
        if missing:
            for version, document in (await load_specs(db, missing)).items():
                self.put(version, compile_spec(document))
        found = {}
        for version in set(versions):
            self._compiled.move_to_end(version)
            found[version] = self._compiled[version]
        while len(self._compiled) > max(self._size, len(found)):
            self._compiled.popitem(last=False)
        return found

    def put(self, version: VersionId, pipeline: Pipeline) -> None:
        """Keep what is compiled already."""
        self._compiled[version] = pipeline


def compile_spec(document: dict[str, Any]) -> Pipeline:
    """The pipeline of a stored canonical document."""
    return spec.compile_document(spec.document_from_json(document))
