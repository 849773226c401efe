"""The audit log: every write of a person or a program, in the transaction that does it, with nothing secret in it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import orjson

from ..db import Db
from ..db.audit import AuditEntry, AuditFilter, insert_audit_entry, list_audit_entries, load_audit_entries
from ..db.windows import FIRST_PAGE, Page, Window
from ..domain.access import Caller, Permission
from ..domain.tokens import mask_tokens
from ..errors import Forbidden
from ..ids import ProjectId

MASK = "***"
MOST_BYTES = 32 * 1024
"""What `before` and `after` may have as JSON; more is replaced by its size."""

_MOST_TEXT = 2000
_MOST_ITEMS = 200
_DEEPEST = 8
_SECRET_KEY = re.compile(
    r"secret|token|passw|credential|private|api[-_]?key|access[-_]?key|authorization|cookie|pepper|\bhash\b",
    re.IGNORECASE,
)
_HARMLESS_KEY = re.compile(r"(_id|_name|_at|_kind|count)$", re.IGNORECASE)
_ENVIRONMENT = re.compile(r"envs?|environ(ment)?_variables|secrets", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*")
_USER_INFO = re.compile(r"(://)[^/@\s]+@")


async def record(
    db: Db,
    caller: Caller,
    action: str,
    *,
    object_kind: str,
    object_id: object,
    project: ProjectId | None = None,
    before: Any = None,
    after: Any = None,
    outcome: Literal["done", "refused"] = "done",
) -> None:
    """Write down what the caller does, in the transaction that does it: neither is there without the other.

    :param action: `<noun>.<verb>`, such as `pipeline.publish`.
    :param project: what decides who may read the entry; `None` leaves it to superadmins.
    :param before: how the thing was, as values, dictionaries or dataclasses. Secrets are masked here (`masked`).
    """
    await insert_audit_entry(
        db,
        account=caller.account_id,
        account_name=caller.name,
        token=caller.token_id,
        origin=caller.origin[:100],
        action=action,
        project=project,
        object_kind=object_kind,
        object_id=str(object_id)[:200],
        before=masked(before),
        after=masked(after),
        outcome=outcome,
    )


async def list_audit(
    db: Db,
    caller: Caller,
    wanted: AuditFilter | None = None,
    window: Window = FIRST_PAGE,
) -> Page[AuditEntry]:
    """Entries, newest first: of the projects that the caller manages, and for superadmins those of no project too.

    :raises NotFound: a project that is asked for is not the caller's to see.
    :raises Forbidden: they may see it, but do not manage it, or manage nothing at all.
    """
    wanted = wanted or AuditFilter()
    if wanted.projects is not None:
        for project in wanted.projects:
            caller.require(Permission.MANAGE, project)
    elif not caller.may_everywhere(Permission.MANAGE):
        candidates = {*caller.roles, *({caller.only_project} if caller.only_project else ())}
        mine = [p for p in candidates if caller.may(Permission.MANAGE, p)]
        if not mine:
            raise Forbidden("the audit log is for those who manage a project")
        wanted = replace(wanted, projects=mine)
    return await list_audit_entries(db, wanted, window)


async def load_audit(db: Db, caller: Caller, entries: Collection[UUID]) -> dict[UUID, AuditEntry]:
    """Those of these entries that the caller may read."""
    found = await load_audit_entries(db, entries)
    sees_all = caller.may_everywhere(Permission.MANAGE)
    return {
        identifier: entry
        for identifier, entry in found.items()
        if sees_all or (entry.project_id is not None and caller.may(Permission.MANAGE, entry.project_id))
    }


def masked(value: Any) -> Any:
    """The value as JSON with `***` for what is secret by its key or by its form, and nothing of great size."""
    plain = _plain(value, 0)
    size = len(orjson.dumps(plain))
    return plain if size <= MOST_BYTES else {"left_out": f"{size} bytes"}


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, depth)
    if isinstance(value, int | float):
        return value if abs(value) < 2**53 else str(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return MASK  # whatever it is, it is not for reading
    if depth >= _DEEPEST:
        return "…"
    if is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in fields(value)}
    if isinstance(value, Mapping):
        return {_text(str(k)): _of_key(str(k), v, depth) for k, v in list(value.items())[:_MOST_ITEMS]}
    if isinstance(value, frozenset | set):
        value = sorted(value, key=str)
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value[:_MOST_ITEMS]]
    return _text(str(value))


def _of_key(key: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if _SECRET_KEY.search(key) and not _HARMLESS_KEY.search(key) and not isinstance(value, Mapping):
        return MASK
    if _ENVIRONMENT.fullmatch(key) and isinstance(value, Mapping):
        return {_text(str(name)): MASK for name in list(value)[:_MOST_ITEMS]}
    return _plain(value, depth + 1)


def _text(value: str) -> str:
    value = _USER_INFO.sub(rf"\1{MASK}@", _JWT.sub(MASK, mask_tokens(value)))
    # PostgreSQL keeps neither in jsonb.
    value = value.replace("\0", "").encode("utf-8", "replace").decode()
    return value if len(value) <= _MOST_TEXT else f"{value[:_MOST_TEXT]}… ({len(value)} characters)"
