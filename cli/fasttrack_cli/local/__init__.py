"""The commands' contract kept by this machine: on the database of the settings, embedded or not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fasttrack.settings import Settings

from ..workbench import Workbench, is_scheduler_running, opened
from .audit import LocalAudit
from .catalog import LocalCatalog
from .credentials import LocalCredentials
from .jobs import LocalJobs
from .logs import LocalLogs
from .operations import LocalOperations
from .people import LocalAccounts, LocalMembers
from .pipelines import LocalPipelines
from .projects import LocalLimits, LocalProjects, LocalRetentions, LocalSecrets
from .resources import LocalResources
from .templates import LocalTemplates
from .tokens import LocalTokens

__all__ = ["LocalStore", "local_store"]


@dataclass(frozen=True)
class LocalStore:
    """The nouns, on one workbench."""

    bench: Workbench
    pipelines: LocalPipelines
    jobs: LocalJobs
    projects: LocalProjects
    accounts: LocalAccounts
    members: LocalMembers
    tokens: LocalTokens
    audit: LocalAudit
    limits: LocalLimits
    secrets: LocalSecrets
    credentials: LocalCredentials
    retention: LocalRetentions
    logs: LocalLogs
    catalog: LocalCatalog
    templates: LocalTemplates
    operations: LocalOperations
    resources: LocalResources

    @property
    def is_scheduled(self) -> bool | None:
        """Whether some command of this state directory schedules; `None` with an outside database."""
        return is_scheduler_running(self.bench.settings)

    @property
    def who_goes_on(self) -> str:
        """A sentence on who carries on with a job that is not watched any more."""
        match self.is_scheduled:
            case True:
                return "A scheduler of this machine takes care of it."
            case False:
                return "Its next tasks start when a scheduler runs: `fasttrack up`."
            case None:
                return "Its next tasks start as long as a scheduler runs on that database (`fasttrack up` is one)."


@asynccontextmanager
async def local_store(settings: Settings, *, any_project: bool = False) -> AsyncIterator[LocalStore]:
    """The store of this machine. Errors as those of `workbench.opened`."""
    async with opened(settings, any_project=any_project) as bench:
        yield LocalStore(
            bench,
            LocalPipelines(bench),
            LocalJobs(bench),
            LocalProjects(bench),
            LocalAccounts(bench),
            LocalMembers(bench),
            LocalTokens(bench),
            LocalAudit(bench),
            LocalLimits(bench),
            LocalSecrets(bench),
            LocalCredentials(bench),
            LocalRetentions(bench),
            LocalLogs(bench),
            LocalCatalog(bench),
            LocalTemplates(bench),
            LocalOperations(bench),
            LocalResources(bench),
        )
