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
    found = await find_project(db, name) or await insert_project(db, name) or await find_project(db, name)
    assert found is not None
    return found


async def insert_project(db: Db, name: str, domain: str = "default") -> ProjectId | None:
    """Make a project. `None`: there is one of that name."""
    made = await db.value(
        "INSERT INTO project (id, name, domain) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING RETURNING id",
        new_id(),
        name,
        domain,
    )
    return ProjectId(made) if made else None
