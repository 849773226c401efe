"""What is one step away from a thing, read for all things of the answer in one statement.

Nothing is kept from one batch to the next: a socket's context lives long, and what it shows must not be old. Only what
never changes, the compiled versions and their graphs, is kept for the process.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar
from uuid import UUID

from strawberry.dataloader import DataLoader

from fasttrack.db import Db
from fasttrack.db.accounts import Account
from fasttrack.db.audit import AuditEntry
from fasttrack.db.drafts import DraftRecord, load_drafts, load_positions
from fasttrack.db.instances import (
    AttemptListing,
    InstanceListing,
    Standing,
    count_states,
    load_attempts,
    load_instances,
    load_standings,
)
from fasttrack.db.listings import (
    JobListing,
    PipelineListing,
    ProjectListing,
    VersionListing,
    count_open_jobs,
    load_graphs,
    load_jobs,
    load_last_jobs,
    load_numbered_versions,
    load_pipelines,
    load_projects,
    load_sources,
    load_versions,
)
from fasttrack.db.pipelines import load_specs
from fasttrack.db.secrets import SecretBox
from fasttrack.db.sites import InstanceSite, load_instance_sites
from fasttrack.db.templates import StoredTemplate, load_templates_of
from fasttrack.db.tokens import Token
from fasttrack.domain.access import Caller
from fasttrack.domain.pipeline import Pipeline
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.ids import VersionId
from fasttrack.logs import load_maskers
from fasttrack.storage import Masker
from fasttrack.workflow.accounts import load_accounts, load_addresses
from fasttrack.workflow.audit import load_audit
from fasttrack.workflow.templates import Template, load_templates
from fasttrack.workflow.tokens import load_tokens
from fasttrack.workflow.versions import compile_spec

from .layout import Graph, lay_out

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
R = TypeVar("R")


class Recent(Generic[K, V]):
    """The values that were used last; the others are dropped."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, if it is kept."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        """Keep it."""
        self._values[key] = value
        while len(self._values) > self._size:
            self._values.popitem(last=False)


_COMPILED: Recent[UUID, Pipeline] = Recent(64)
_GRAPHS: Recent[UUID, Graph] = Recent(64)


class Loaders:
    """Of one context."""

    def __init__(self, reading: Callable[[], AbstractAsyncContextManager[Db]], caller: Caller, box: SecretBox) -> None:
        """:param reading: a short transaction. :param caller: whose things are read: what they may not is left out."""
        self._reading = reading
        visible = caller.projects
        self.projects: DataLoader[UUID, ProjectListing | None] = self._of(lambda db, ks: load_projects(db, visible, ks))
        self.pipelines: DataLoader[UUID, PipelineListing | None] = self._of(
            lambda db, ks: load_pipelines(db, visible, ks)
        )
        self.versions: DataLoader[UUID, VersionListing | None] = self._of(lambda db, ks: load_versions(db, visible, ks))
        self.numbered_versions: DataLoader[tuple[UUID, int], VersionListing | None] = self._of(load_numbered_versions)
        self.accounts: DataLoader[UUID, Account | None] = self._of(lambda db, ks: load_accounts(db, caller, ks))
        self.addresses: DataLoader[UUID, str | None] = self._of(lambda db, ks: load_addresses(db, caller, ks))
        self.tokens: DataLoader[UUID, Token | None] = self._of(lambda db, ks: load_tokens(db, caller, ks))
        self.audit_entries: DataLoader[UUID, AuditEntry | None] = self._of(lambda db, ks: load_audit(db, caller, ks))
        self.jobs: DataLoader[UUID, JobListing | None] = self._of(lambda db, ks: load_jobs(db, visible, ks))
        self.last_jobs: DataLoader[UUID, JobListing | None] = self._of(load_last_jobs)
        self.instances: DataLoader[UUID, InstanceListing | None] = self._of(
            lambda db, ks: load_instances(db, visible, ks)
        )
        self.instance_sites: DataLoader[UUID, InstanceSite | None] = self._of(
            lambda db, ks: load_instance_sites(db, visible, ks)
        )
        self.maskers: DataLoader[UUID, Masker | None] = self._of(lambda db, ks: load_maskers(db, box, ks))
        self.attempts: DataLoader[UUID, list[AttemptListing] | None] = self._of(load_attempts)
        self.counts: DataLoader[UUID, dict[InstanceState, int] | None] = self._of(count_states)
        self.open_jobs: DataLoader[UUID, dict[JobState, int] | None] = self._of(count_open_jobs)
        self.standings: DataLoader[UUID, list[Standing] | None] = self._of(load_standings)
        self.templates: DataLoader[UUID, Template | None] = self._of(lambda db, ks: load_templates(db, caller, ks))
        self.templates_of: DataLoader[UUID, StoredTemplate | None] = self._of(load_templates_of)
        self.drafts: DataLoader[UUID, DraftRecord | None] = self._of(load_drafts)
        self.positions: DataLoader[UUID, dict[str, Any] | None] = self._of(load_positions)
        self.sources: DataLoader[UUID, str | None] = self._of(load_sources)
        self.compiled: DataLoader[UUID, Pipeline | None] = self._of_versions(_COMPILED, load_specs, compile_spec)
        self.graphs: DataLoader[UUID, Graph | None] = self._of_versions(_GRAPHS, load_graphs, lay_out)

    def _of(self, read: Callable[[Db, Collection[K]], Awaitable[Mapping[K, V]]]) -> DataLoader[K, V | None]:
        async def load(keys: list[K]) -> list[V | None]:
            async with self._reading() as db:
                found = await read(db, set(keys))
            return [found.get(key) for key in keys]

        return DataLoader(load_fn=load, cache=False)

    def _of_versions(
        self,
        kept: Recent[UUID, V],
        read: Callable[[Db, Collection[VersionId]], Awaitable[Mapping[VersionId, R]]],
        make: Callable[[R], V],
    ) -> DataLoader[UUID, V | None]:
        async def load(keys: list[UUID]) -> list[V | None]:
            found = {key: value for key in keys if (value := kept.get(key)) is not None}
            missing = {VersionId(key) for key in keys if key not in found}
            if missing:
                async with self._reading() as db:
                    stored = await read(db, missing)
                for version, document in stored.items():
                    # A large file takes a second: no connection is held, and others are served meanwhile.
                    found[version] = await asyncio.to_thread(make, document)
                    kept.put(version, found[version])
            return [found.get(key) for key in keys]

        return DataLoader(load_fn=load, cache=False)
