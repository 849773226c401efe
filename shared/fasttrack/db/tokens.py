"""Tokens: stored by their hash, found by it in one statement together with whom they stand for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..domain.access import Permission
from ..domain.tokens import NewToken, TokenKind
from ..ids import ProjectId, new_id
from .accounts import ACCOUNT, GRANTED, Standing, standing_of
from .engine import Db
from .windows import Order, Page, Where, Window, page_of


@dataclass(frozen=True, slots=True)
class Token:
    """A token as lists show it: nothing of its text."""

    id: UUID
    account_id: UUID
    account_name: str
    account_project: ProjectId | None
    """The project of the service account that it stands for."""
    kind: TokenKind
    name: str
    scopes: frozenset[Permission]
    only_project: ProjectId | None
    created_by: str
    created_at: datetime
    not_before: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    """To the minute."""
    revoked_at: datetime | None
    rotated_to: UUID | None
    stored_only: bool
    """It runs stored operations of GraphQL, and is good for nothing else."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a token stands for, and within which limits."""

    token: Token
    standing: Standing


_COLUMNS = """t.id AS token_id, t.account_id, a.name AS account_name, a.project_id AS account_project, t.kind AS token_kind,
            t.name AS token_name, t.scopes, t.only_project, t.created_by, t.created_at AS token_created_at, t.not_before,
            t.expires_at, t.last_used_at, t.revoked_at, t.rotated_to, t.stored_only"""
_FROM = "FROM token t JOIN account a ON a.id = t.account_id"
_NEWEST = Order(("t.id",), ("uuid",), is_descending=True)


def _token(row: Any) -> Token:
    return Token(
        row["token_id"],
        row["account_id"],
        row["account_name"],
        row["account_project"],
        TokenKind(row["token_kind"]),
        row["token_name"],
        frozenset(Permission(s) for s in row["scopes"]),
        row["only_project"],
        row["created_by"],
        row["token_created_at"],
        row["not_before"],
        row["expires_at"],
        row["last_used_at"],
        row["revoked_at"],
        row["rotated_to"],
        row["stored_only"],
    )


async def find_bearer(db: Db, hash_: bytes) -> Bearer | None:
    """Whom the token of that hash stands for, whatever has become of it."""
    row = await db.row(f"SELECT {_COLUMNS}, {ACCOUNT}, {GRANTED} {_FROM} WHERE t.hash = $1", hash_)
    return Bearer(_token(row), standing_of(row)) if row else None


async def insert_token(
    db: Db,
    new: NewToken,
    account: UUID,
    *,
    name: str,
    scopes: frozenset[Permission],
    only_project: ProjectId | None,
    by: str,
    now: datetime,
    not_before: datetime,
    expires_at: datetime | None,
    stored_only: bool = False,
) -> Token:
    """Store a token's hash and limits."""
    identifier = new_id()
    await db.execute(
        """INSERT INTO token (id, account_id, kind, name, hash, scopes, only_project, created_by, created_at, not_before,
                              expires_at, stored_only) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)""",
        identifier,
        account,
        new.kind,
        name,
        new.hash,
        sorted(scopes),
        only_project,
        by,
        now,
        not_before,
        expires_at,
        stored_only,
    )
    stored = await find_token(db, identifier)
    assert stored is not None
    return stored


async def find_token(db: Db, token: UUID) -> Token | None:
    """The token of that id."""
    row = await db.row(f"SELECT {_COLUMNS} {_FROM} WHERE t.id = $1", token)
    return _token(row) if row else None


async def lock_token(db: Db, token: UUID) -> Token | None:
    """The token of that id, held until the transaction ends."""
    row = await db.row(f"SELECT {_COLUMNS} {_FROM} WHERE t.id = $1 FOR UPDATE OF t", token)
    return _token(row) if row else None


async def count_live_tokens(db: Db, account: UUID, now: datetime) -> int:
    """How many tokens of the account may still be used."""
    count: int = await db.value(
        """SELECT count(*) FROM token
           WHERE account_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)""",
        account,
        now,
    )
    return count


async def list_tokens(
    db: Db, window: Window, *, account: UUID | None = None, only_project: ProjectId | None = None
) -> Page[Token]:
    """The tokens of an account, or those that are for one project alone, or both, newest first.

    A service account's are for its project alone.
    """
    assert account or only_project
    where = Where()
    if account is not None:
        where.add("t.account_id = {}", account)
    if only_project is not None:
        where.add("t.only_project = {}", only_project)
    tail = window.clause(where, _NEWEST)
    rows = await db.rows(f"SELECT {_COLUMNS} {_FROM} WHERE {where}{tail}", *where.values)
    return page_of([_token(r) for r in rows], window)


async def load_tokens(db: Db, tokens: Collection[UUID]) -> dict[UUID, Token]:
    """These tokens."""
    rows = await db.rows(f"SELECT {_COLUMNS} {_FROM} WHERE t.id = ANY($1::uuid[])", list(tokens))
    return {r["token_id"]: _token(r) for r in rows}


async def find_live_named(db: Db, account: UUID, name: str) -> list[UUID]:
    """The tokens of an account of that name that were not revoked."""
    rows = await db.rows(
        "SELECT id FROM token WHERE account_id = $1 AND name = $2 AND revoked_at IS NULL ORDER BY id", account, name
    )
    return [r["id"] for r in rows]


async def set_revoked(db: Db, tokens: Sequence[UUID], now: datetime) -> int:
    """Have these tokens be worth nothing; how many were worth something."""
    return await db.execute(
        "UPDATE token SET revoked_at = $2 WHERE id = ANY($1::uuid[]) AND revoked_at IS NULL", tokens, now
    )


async def set_rotated(db: Db, token: UUID, to: UUID, ends_at: datetime) -> None:
    """Have a token end at that time at the latest, and say which one takes its place."""
    await db.execute(
        "UPDATE token SET rotated_to = $2, expires_at = least(expires_at, $3) WHERE id = $1", token, to, ends_at
    )


async def write_last_uses(db: Db, uses: Mapping[UUID, datetime]) -> int:
    """Note when these tokens were used last, if that is news by a minute; how many it was news for."""
    return await db.execute(
        """UPDATE token AS t SET last_used_at = u.at
           FROM (SELECT * FROM unnest($1::uuid[], $2::timestamptz[]) AS u (id, at) ORDER BY id) AS u
           WHERE t.id = u.id AND (t.last_used_at IS NULL OR t.last_used_at <= u.at - interval '1 minute')""",
        list(uses),
        list(uses.values()),
    )


async def lock_owner_token(db: Db) -> None:
    """Let one process at a time look after the owner's token, until the transaction ends."""
    await db.execute("SELECT pg_advisory_xact_lock(hashtext('fasttrack owner-token'))")
