"""The audit log of a server."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ..store.people import AuditEntry, AuditQuery, require_account
from .answers import Page
from .connection import Connection
from .identity import this_project
from .listing import list_all


class RemoteAudit:
    """Of one project, or of all that the caller manages."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def page(self, query: AuditQuery, *, limit: int, before: UUID | None) -> Sequence[AuditEntry]:
        """Entries, newest first."""
        wanted = {
            "project": None if query.is_everywhere else await this_project(self._connection),
            "account": None if query.account is None else require_account(query.account),
            "action": query.action,
            "object_kind": query.object_kind,
            "object_id": query.object_id,
            "outcome": query.outcome,
            "since": None if query.since is None else query.since.isoformat(),
            "before": None if query.until is None else query.until.isoformat(),
            "after": before,
        }
        return await list_all(self._connection, "/audit", Page[AuditEntry], wanted, limit=limit)
