"""Projects: what pipelines, jobs and secrets belong to."""

from __future__ import annotations

from ..ids import ProjectId, new_id
from .engine import Db


async def find_project(db: Db, name: str) -> ProjectId | None:
    """The project of that name."""
    found = await db.value("SELECT id FROM project WHERE name = $1", name)
    return ProjectId(found) if found else None


async def list_projects(db: Db) -> list[str]:
    """The names of all projects, sorted."""
    return [r["name"] for r in await db.rows("SELECT name FROM project ORDER BY name")]


async def ensure_project(db: Db, name: str) -> ProjectId:
    """The project of that name, made if there is none. Safe to race."""
    found = await db.value("SELECT id FROM project WHERE name = $1", name)
    if found is None:
        await db.execute("INSERT INTO project (id, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", new_id(), name)
        found = await db.value("SELECT id FROM project WHERE name = $1", name)
    return ProjectId(found)
