"""The commands' contract kept by a server: over HTTP on `/api/v1`. Nothing of a service is imported here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ..target import Target
from .audit import RemoteAudit
from .catalog import RemoteCatalog
from .connection import Connection, connected
from .credentials import RemoteCredentials
from .jobs import RemoteJobs
from .logs import RemoteLogs
from .operations import RemoteOperations
from .people import RemoteAccounts, RemoteMembers
from .pipelines import RemotePipelines
from .projects import RemoteLimits, RemoteProjects, RemoteSecrets
from .resources import RemoteResources
from .retention import RemoteRetentions
from .templates import RemoteTemplates
from .tokens import RemoteTokens

__all__ = ["RemoteStore", "remote_store"]


@dataclass(frozen=True)
class RemoteStore:
    """The nouns, on one connection."""

    connection: Connection
    pipelines: RemotePipelines
    jobs: RemoteJobs
    projects: RemoteProjects
    accounts: RemoteAccounts
    members: RemoteMembers
    tokens: RemoteTokens
    audit: RemoteAudit
    limits: RemoteLimits
    secrets: RemoteSecrets
    credentials: RemoteCredentials
    retention: RemoteRetentions
    logs: RemoteLogs
    catalog: RemoteCatalog
    templates: RemoteTemplates
    operations: RemoteOperations
    resources: RemoteResources

    @property
    def is_scheduled(self) -> bool | None:
        """It cannot be told from here."""
        return None

    @property
    def who_goes_on(self) -> str:
        """A sentence on who carries on with a job that is not watched any more."""
        return "The server takes care of it."


@asynccontextmanager
async def remote_store(target: Target, say: Callable[[str], None]) -> AsyncIterator[RemoteStore]:
    """The store of a server. Nothing is asked before something is needed.

    :param say: tells a person what they would want to know about the server.
    """
    async with connected(target, say) as connection:
        jobs, templates = RemoteJobs(connection), RemoteTemplates(connection)
        yield RemoteStore(
            connection,
            RemotePipelines(connection),
            jobs,
            RemoteProjects(connection),
            RemoteAccounts(connection),
            RemoteMembers(connection),
            RemoteTokens(connection),
            RemoteAudit(connection),
            RemoteLimits(connection),
            RemoteSecrets(connection),
            RemoteCredentials(connection),
            RemoteRetentions(connection),
            RemoteLogs(connection, jobs),
            RemoteCatalog(connection, templates),
            templates,
            RemoteOperations(connection),
            RemoteResources(connection),
        )
