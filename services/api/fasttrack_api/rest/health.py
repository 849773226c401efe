"""Whether this process lives, and whether it can work."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from ..parts import Parts

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(parts: Annotated[Parts, Depends(Parts.of)]) -> dict[str, str]:
    """Whether the process can work: its database answers.

    :raises Unavailable: it does not.
    """
    async with parts.database.transaction() as db:
        await db.value("SELECT 1")
    return {"status": "ok"}
