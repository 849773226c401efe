"""Stored operations: texts of GraphQL, found by their hash."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..ids import ProjectId, new_id
from .engine import Db
from .windows import Order, Page, Where, Window, page_of


@dataclass(frozen=True, slots=True)
class StoredOperation:
    """A text that callers of a project, or of every project, may send the hash of."""

    id: UUID
    project_id: ProjectId | None
    """`None`: for callers of every project."""
    hash: bytes
    """SHA-256 of the text."""
    name: str
    text: str
    created_by: str
    created_at: datetime


_COLUMNS = "id, project_id, hash, name, text, created_by, created_at"


_BY_AGE = Order(("id",), ("uuid",), is_descending=True)


def _place(project: ProjectId | None) -> Where:
    where = Where()
    if project is None:
        where.add("project_id IS NULL")
    else:
        where.add("project_id = {}", project)
    return where


def _operation(row: Any) -> StoredOperation:
    return StoredOperation(**{name: row[name] for name in _COLUMNS.split(", ")})


async def insert_operation(
    db: Db, project: ProjectId | None, hash_: bytes, *, name: str, text: str, by: str
) -> StoredOperation | None:
    """Store a text. `None`: it is stored there already."""
    row = await db.row(
        f"""INSERT INTO stored_operation (id, project_id, hash, name, text, created_by) VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT DO NOTHING RETURNING {_COLUMNS}""",
        new_id(),
        project,
        hash_,
        name,
        text,
        by,
    )
    return _operation(row) if row else None


async def find_operation(db: Db, project: ProjectId | None, hash_: bytes) -> StoredOperation | None:
    """The one of that hash that is stored in that very place."""
    row = await db.row(
        f"SELECT {_COLUMNS} FROM stored_operation WHERE hash = $1 AND project_id IS NOT DISTINCT FROM $2",
        hash_,
        project,
    )
    return _operation(row) if row else None


async def find_places(db: Db, hash_: bytes) -> tuple[str, frozenset[ProjectId | None]] | None:
    """The text of that hash, and the projects that it is stored in; `None` among them is every project."""
    rows = await db.rows("SELECT text, project_id FROM stored_operation WHERE hash = $1", hash_)
    return (rows[0]["text"], frozenset(r["project_id"] for r in rows)) if rows else None


async def list_operations(db: Db, project: ProjectId | None, window: Window) -> Page[StoredOperation]:
    """Those of a project, or those for every project, newest first."""
    where = _place(project)
    tail = window.clause(where, _BY_AGE)
    rows = await db.rows(f"SELECT {_COLUMNS} FROM stored_operation WHERE {where}{tail}", *where.values)
    return page_of([_operation(r) for r in rows], window)


async def count_operations(db: Db, project: ProjectId | None) -> int:
    """How many are stored in that place."""
    where = _place(project)
    count: int = await db.value(f"SELECT count(*) FROM stored_operation WHERE {where}", *where.values)
    return count


async def delete_operations(db: Db, ids: Collection[UUID]) -> int:
    """Forget these; how many there were."""
    return await db.execute("DELETE FROM stored_operation WHERE id = ANY($1::uuid[])", list(ids))
