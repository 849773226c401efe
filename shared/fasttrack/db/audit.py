"""The audit log: only ever added to, read newest first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..ids import ProjectId, new_id
from .engine import Db
from .windows import Order, Page, Where, Window, page_of


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
    outcome: str | None = None
    since: datetime | None = None
    before: datetime | None = None


_COLUMNS = """id, at, account_id, account_name, token_id, origin, action, project_id, object_kind, object_id, before, after,
              outcome"""
_NEWEST = Order(("id",), ("uuid",), is_descending=True)


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


async def list_audit_entries(db: Db, wanted: AuditFilter, window: Window) -> Page[AuditEntry]:
    """Entries, newest first."""
    # Only the conditions that are asked for: one statement for all would be planned for none of them.
    where = Where()
    for column in ("account", "action", "object_kind", "object_id"):
        value = getattr(wanted, column)
        if value is not None:
            where.add(f"{'account_id' if column == 'account' else column} = {{}}", value)
    match wanted.outcome:
        case None:
            pass
        case "refused":
            # Said as the predicate of the partial index is, which the planner does not derive from a parameter.
            where.add("outcome = 'refused'")
        case outcome:
            where.add("outcome = {}", outcome)
    where.within("at", "id", wanted.since, wanted.before)
    if wanted.projects is not None and len(wanted.projects) == 1:
        where.add("project_id = {}", wanted.projects[0])
    tail = window.clause(where, _NEWEST)
    page = f"SELECT {_COLUMNS} FROM audit_entry WHERE {where}{tail}"
    if wanted.projects is None or len(wanted.projects) == 1:
        rows = await db.rows(page, *where.values)
    else:
        # The newest of each, from its index, and of those the newest: all that they have together may be a long log.
        rows = await db.rows(
            f"""SELECT e.* FROM unnest(${len(where.values) + 1}::uuid[]) AS p(project) CROSS JOIN LATERAL (
                  SELECT {_COLUMNS} FROM audit_entry WHERE project_id = p.project AND {where}{tail}) AS e{tail}""",
            *where.values,
            list(dict.fromkeys(wanted.projects)),
        )
    return page_of([AuditEntry(**r) for r in rows], window)


async def load_audit_entries(db: Db, entries: Collection[UUID]) -> dict[UUID, AuditEntry]:
    """These entries."""
    rows = await db.rows(f"SELECT {_COLUMNS} FROM audit_entry WHERE id = ANY($1::uuid[])", list(entries))
    return {r["id"]: AuditEntry(**r) for r in rows}
