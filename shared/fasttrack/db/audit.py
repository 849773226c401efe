"""The audit log: only ever added to, read newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..ids import ProjectId, new_id
from .engine import Db


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One write: who, from where, what, and how it was before and after."""

    id: UUID
    at: datetime
    account_id: UUID
    account_name: str
    """As it was then."""
    token_id: UUID | None
    origin: str
    """The address of the peer, or `command line`."""
    action: str
    """`<noun>.<verb>`, such as `member.add`."""
    project_id: ProjectId | None
    """`None`: of no one project."""
    object_kind: str
    object_id: str
    before: Any
    """As JSON, with whatever could be secret masked; `None`: there was nothing."""
    after: Any
    outcome: str
    """`done` or `refused`."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What to show of the log; what is `None` says nothing."""

    projects: Sequence[ProjectId] | None = None
    """Only entries of these projects; with `None` also those of no project."""
    account: UUID | None = None
    action: str | None = None
    object_kind: str | None = None
    object_id: str | None = None


async def insert_audit_entry(
    db: Db,
    *,
    account: UUID,
    account_name: str,
    token: UUID | None,
    origin: str,
    action: str,
    project: ProjectId | None,
    object_kind: str,
    object_id: str,
    before: Any,
    after: Any,
    outcome: str,
) -> None:
    """Add an entry, at the database's time."""
    await db.execute(
        """INSERT INTO audit_entry (id, at, account_id, account_name, token_id, origin, action, project_id, object_kind,
                                    object_id, before, after, outcome)
           VALUES ($1, now(), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)""",
        new_id(),
        account,
        account_name,
        token,
        origin,
        action,
        project,
        object_kind,
        object_id,
        before,
        after,
        outcome,
    )


async def list_audit_entries(
    db: Db, wanted: AuditFilter, *, limit: int, before: UUID | None = None
) -> list[AuditEntry]:
    """Entries, newest first, older than `before`."""
    # Only the conditions that are asked for: one statement for all would be planned for none of them.
    conditions: list[tuple[str, object]] = [
        ("id < ${}", before),
        ("project_id = ANY(${}::uuid[])", wanted.projects if wanted.projects and len(wanted.projects) > 1 else None),
        ("project_id = ${}", wanted.projects[0] if wanted.projects and len(wanted.projects) == 1 else None),
        ("account_id = ${}", wanted.account),
        ("action = ${}", wanted.action),
        ("object_kind = ${}", wanted.object_kind),
        ("object_id = ${}", wanted.object_id),
    ]
    if wanted.projects is not None and not wanted.projects:
        return []
    asked = [(sql, value) for sql, value in conditions if value is not None]
    where = " AND ".join(sql.format(place) for place, (sql, _) in enumerate(asked, 1)) or "true"
    rows = await db.rows(
        f"""SELECT id, at, account_id, account_name, token_id, origin, action, project_id, object_kind, object_id, before,
                   after, outcome
            FROM audit_entry WHERE {where} ORDER BY id DESC LIMIT ${len(asked) + 1}""",
        *(value for _, value in asked),
        limit,
    )
    return [AuditEntry(**r) for r in rows]
