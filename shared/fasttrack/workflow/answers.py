"""Idempotency keys of writes that are no submits of jobs: the same request twice is done once and answered twice."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from ..db import Db
from ..db.answers import keep_answer, take_key
from ..domain.access import Caller
from ..errors import Conflict, InvalidInput


async def answer_once(
    db: Db, caller: Caller, operation: str, key: str | None, request: Any, work: Callable[[], Awaitable[Any]]
) -> Any:
    """What `work` answers, or what it answered when the caller sent this key before. Needs the transaction of the work.

    The answer must be JSON, and hold no secret: it is kept for days. A refusal is not kept, as nothing was done.

    :param request: what is asked for, as JSON; the same key with another request is a conflict.
    :raises InvalidInput: the key is empty or too long.
    :raises Conflict: the key was used for another request.
    """
    if key is None:
        return await work()
    if not 0 < len(key) <= 255 or not key.isprintable():
        raise InvalidInput("an idempotency key has 1 to 255 printable characters")
    scope = f"{caller.account_id}:{operation}"
    digest = hashlib.sha256(orjson.dumps(request, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()
    kept = await take_key(db, scope, key, digest)
    if kept is None:
        answer = await work()
        await keep_answer(db, scope, key, answer)
        return answer
    if kept.request_hash != digest:
        raise Conflict("this idempotency key was used for another request; take a new one, or send the same request")
    return kept.answer
