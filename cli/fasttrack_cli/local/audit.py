"""The audit log of the database."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from fasttrack.db import Db
from fasttrack.db import audit as stored
from fasttrack.db.windows import Page, Window
from fasttrack.domain.access import Caller
from fasttrack.workflow.audit import list_audit

from ..store import as_told
from ..store.people import AuditEntry, AuditQuery
from ..workbench import Workbench
from .people import as_caller, the_account


class LocalAudit:
    """Of one project, or of all of the database."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    async def page(self, query: AuditQuery, *, limit: int, before: UUID | None) -> Sequence[AuditEntry]:
        """Entries, newest first."""

        async def read(db: Db, caller: Caller) -> Page[stored.AuditEntry]:
            wanted = stored.AuditFilter(
                projects=None if query.is_everywhere else [self._bench.project],
                account=None if query.account is None else await the_account(db, caller, query.account),
                action=query.action,
                object_kind=query.object_kind,
                object_id=query.object_id,
                outcome=query.outcome,
                since=query.since,
                before=query.until,
            )
            return await list_audit(db, caller, wanted, Window(limit, after=None if before is None else (before,)))

        return [as_told(AuditEntry, entry) for entry in (await as_caller(self._bench, read)).items]
