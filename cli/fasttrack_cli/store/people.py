"""Of the contract: accounts, members, tokens, and the log of what they did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from fasttrack.domain.access import AccountKind, Permission, Role
from fasttrack.domain.tokens import TokenKind
from fasttrack.errors import NotFound


@dataclass(frozen=True, slots=True)
class Account:
    """Who may call: a person, or a program."""

    id: UUID
    name: str
    kind: AccountKind
    display_name: str
    email: str | None
    """`None`: it is not the caller's to see."""
    is_superadmin: bool
    issuer: str | None
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Member:
    """An account in the project, with its role."""

    name: str
    display_name: str
    kind: AccountKind
    role: Role
    added_by: str
    created_at: datetime
    disabled_at: datetime | None
    account_id: UUID


@dataclass(frozen=True, slots=True)
class Token:
    """A token: what it is for and what it allows, never its text."""

    id: UUID
    name: str
    kind: TokenKind
    account_name: str
    only_project: UUID | None
    created_by: str
    created_at: datetime
    not_before: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    rotated_to: UUID | None
    stored_only: bool
    scopes: frozenset[Permission]


@dataclass(frozen=True, slots=True)
class MadeToken:
    """A token that was just made, with its text, which nobody is told again."""

    token: Token
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A token that is to be made."""

    name: str
    account: str | None
    """By name or id; `None`: the caller."""
    scopes: frozenset[Permission] | None
    """What it allows at most; `None`: all that the caller may give."""
    is_for_project: bool
    """Whether it is for the project of this command alone."""
    stored_only: bool
    lifetime: timedelta


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One write: who, from where, what, and how it was before and after, secrets masked."""

    id: UUID
    at: datetime
    account_id: UUID
    account_name: str
    token_id: UUID | None
    origin: str
    action: str
    project_id: UUID | None
    object_kind: str
    object_id: str
    before: Any
    after: Any
    outcome: str


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which entries; what is `None` plays no part."""

    is_everywhere: bool
    """Of every project that the caller manages, and what is of none; else of the project of this command."""
    action: str | None
    account: str | None
    """By name or id."""
    object_kind: str | None
    object_id: str | None
    outcome: str | None
    since: datetime | None
    until: datetime | None


class Accounts(Protocol):
    """People and programs that may call."""

    async def all(self) -> Sequence[Account]:
        """All that the caller may see, by name."""

    async def create_user(self, name: str, *, display_name: str, email: str, is_superadmin: bool) -> Account:
        """Make an account for a person. :raises Conflict: there is one of that name."""

    async def create_service(self, name: str, role: Role, *, display_name: str) -> Account:
        """Make an account for a program, as a member of the project. :raises Conflict: there is one of that name."""

    async def switch(self, account: str, *, is_on: bool) -> Account:
        """Disable an account, or enable it. Idempotent. :raises NotFound: there is none of that name or id.

        :raises Conflict: it is the last superadmin.
        """


class Members(Protocol):
    """Who may do what in the project."""

    async def all(self) -> Sequence[Member]:
        """The members, by name."""

    async def add(self, account: str, role: Role) -> Member:
        """Make an account a member. :raises NotFound: there is no such account. :raises Conflict: it is a member."""

    async def change(self, account: str, role: Role) -> Member:
        """Give a member another role. :raises NotFound: it is no member. :raises Conflict: it is the last admin."""

    async def remove(self, account: str) -> None:
        """Have it be a member no more. :raises NotFound: it is none. :raises Conflict: it is the last admin."""


class Tokens(Protocol):
    """What callers show. Making one is no request to repeat: every time makes one more."""

    async def all(self, account: str | None) -> Sequence[Token]:
        """The tokens of an account, or the caller's own, newest first. :raises NotFound: there is no such account."""

    async def create(self, request: TokenRequest) -> MadeToken:
        """Make a token. :raises Forbidden: the caller may not do what it would, or not make one for that account."""

    async def rotate(self, token: UUID, *, overlap: timedelta) -> MadeToken:
        """Make a token that takes the place of another; both work for the overlap.

        :raises NotFound: there is no such token. :raises Conflict: it was rotated or revoked, or has expired.
        """

    async def revoke(self, token: UUID) -> Token:
        """Have a token be worth nothing. Idempotent. :raises NotFound: there is no such token."""


class Audit(Protocol):
    """The log of every write."""

    async def page(self, query: AuditQuery, *, limit: int, before: UUID | None) -> Sequence[AuditEntry]:
        """Entries, newest first, older than the entry `before`.

        :raises NotFound: there is no account of that name. :raises Forbidden: the caller manages nothing there.
        """


class People(Protocol):
    """What a store has of all this."""

    @property
    def accounts(self) -> Accounts:
        """Accounts."""

    @property
    def members(self) -> Members:
        """Members."""

    @property
    def tokens(self) -> Tokens:
        """Tokens."""

    @property
    def audit(self) -> Audit:
        """The audit log."""


def require_account(text: str) -> str:
    """The text, if an account can have it as its name or id.

    :raises NotFound: none can. It is the answer to a name that nobody has, since nobody needs to know the difference.
    """
    if not 0 < len(text) <= 200 or not text.isprintable():
        raise NotFound(f"there is no account {text[:80]}")
    return text
