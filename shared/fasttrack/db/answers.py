"""Answers to writes that carried an idempotency key; the submits of jobs have keys of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .engine import Db


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What was answered to the first request with a key."""

    request_hash: str
    answer: Any


async def take_key(db: Db, scope: str, key: str, request_hash: str) -> KeptAnswer | None:
    """Take a key for this transaction (`None`), or learn what was answered to whoever had it before.

    Waits while another transaction has it: the same request twice at once is worked out once.
    """
    taken = await db.execute(
        "INSERT INTO idempotent_answer (scope, key, request_hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        scope,
        key,
        request_hash,
    )
    if taken:
        return None
    row = await db.row("SELECT request_hash, answer FROM idempotent_answer WHERE scope = $1 AND key = $2", scope, key)
    return KeptAnswer(row["request_hash"], row["answer"]) if row else None


async def keep_answer(db: Db, scope: str, key: str, answer: Any) -> None:
    """Keep what is answered to a key that this transaction took."""
    await db.execute("UPDATE idempotent_answer SET answer = $3 WHERE scope = $1 AND key = $2", scope, key, answer)


async def delete_answers(db: Db, before: datetime, *, limit: int) -> int:
    """Forget at most `limit` answers that were given before; how many."""
    return await db.execute(
        """DELETE FROM idempotent_answer WHERE ctid = ANY(ARRAY(
               SELECT ctid FROM idempotent_answer WHERE created_at < $1 ORDER BY created_at LIMIT $2
               FOR UPDATE SKIP LOCKED))""",
        before,
        limit,
    )
