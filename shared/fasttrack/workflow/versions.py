"""Compiled versions, kept per process: a version never changes, so neither does what it compiles to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Any

from .. import spec
from ..db import Db
from ..db.pipelines import load_specs
from ..domain.job import Job
from ..domain.pipeline import Pipeline
from ..ids import JobId, VersionId


class NotCompiled(Exception):
    """These versions are not at hand: compile them with no transaction open, then do it again."""

    def __init__(self, documents: dict[VersionId, dict[str, Any]]) -> None:
        self.documents = documents
        super().__init__(f"{len(documents)} versions are not compiled")


class CompiledVersions:
    """Pipelines by version, least recently used ones dropped beyond `size`."""

    def __init__(self, size: int = 256, *, defer: bool = False) -> None:
        """:param defer: raise `NotCompiled` instead of compiling while the caller holds locks; a large file takes a second."""
        self._size = size
        self._defer = defer
        self._compiled: OrderedDict[VersionId, Pipeline] = OrderedDict()
        self._of_jobs: OrderedDict[JobId, Pipeline] = OrderedDict()
        """Of jobs with overrides."""

    async def get(self, db: Db, versions: Collection[VersionId]) -> dict[VersionId, Pipeline]:
        """The pipelines of these versions; those not at hand are read in one statement.

        :raises NotCompiled: some were not at hand, and `defer` is on; `compile` takes what it carries.
        """
        missing = set(versions) - self._compiled.keys()
        if missing:
            documents = await load_specs(db, missing)
            if self._defer:
                raise NotCompiled(documents)
            self.compile(documents)
        found = {}
        for version in set(versions):
            self._compiled.move_to_end(version)
            found[version] = self._compiled[version]
        while len(self._compiled) > max(self._size, len(found)):
            self._compiled.popitem(last=False)
        return found

    async def of_jobs(self, db: Db, jobs: Collection[Job]) -> dict[JobId, Pipeline]:
        """The pipelines of these jobs: those of their versions, with what each job has otherwise laid over.

        :raises NotCompiled: as `get`.
        """
        pipelines = await self.get(db, {job.version_id for job in jobs})
        return {job.id: self._overridden(job, pipelines[job.version_id]) for job in jobs}

    def _overridden(self, job: Job, pipeline: Pipeline) -> Pipeline:
        if not job.overrides:
            return pipeline
        # A job keeps its overrides as it keeps its version, so this is done once for it, and not in every pass.
        made = self._of_jobs.pop(job.id, None) or spec.apply_overrides(pipeline, job.overrides)
        self._of_jobs[job.id] = made
        while len(self._of_jobs) > self._size:
            self._of_jobs.popitem(last=False)
        return made

    def compile(self, documents: dict[VersionId, dict[str, Any]]) -> None:
        """Have these versions at hand."""
        for version, document in documents.items():
            self.put(version, compile_spec(document))

    def put(self, version: VersionId, pipeline: Pipeline) -> None:
        """Keep what is compiled already."""
        self._compiled[version] = pipeline


def compile_spec(document: dict[str, Any]) -> Pipeline:
    """The pipeline of a stored canonical document."""
    return spec.compile_document(spec.document_from_json(document))
