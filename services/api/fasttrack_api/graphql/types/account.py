"""Accounts, the members of projects, and tokens."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from fasttrack.db import accounts as accounts_db
from fasttrack.db import tokens as tokens_db
from fasttrack.domain.access import AccountKind, Permission, Role
from fasttrack.domain.tokens import TokenKind
from fasttrack.ids import ProjectId

from ..context import Context, Info
from ..ids import Kind, to_global
from ..paging import Connection, Listing
from .common import Node

if TYPE_CHECKING:
    from .project import Project

ACCOUNTS = Listing("ac", str)
MEMBERS = Listing("me", str)
TOKENS = Listing("to", UUID)


@strawberry.type(description="Who may call: a person, or a program.")
class Account(Node):
    """An account."""

    uuid: strawberry.ID = strawberry.field(description="Its UUID, as REST uses it.")
    name: str = strawberry.field(description="Its name; of a service account `PROJECT/NAME`.")
    kind: AccountKind = strawberry.field(description="What it is.")
    display_name: str = strawberry.field(description="How it is shown; may be empty.")
    is_superadmin: bool = strawberry.field(description="Whether it may do everything everywhere.")
    issuer: str | None = strawberry.field(
        description="The identity provider that vouches for it; null: it was made here."
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    disabled_at: datetime | None = strawberry.field(
        description="Since when it may do nothing; null: it is not disabled."
    )
    record: strawberry.Private[accounts_db.Account]

    @classmethod
    def of(cls, record: accounts_db.Account) -> Account:
        """As the schema shows it."""
        return cls(
            id=strawberry.ID(to_global(Kind.ACCOUNT, record.id)),
            uuid=strawberry.ID(str(record.id)),
            name=record.name,
            kind=record.kind,
            display_name=record.display_name,
            is_superadmin=record.is_superadmin,
            issuer=record.issuer,
            created_at=record.created_at,
            disabled_at=record.disabled_at,
            record=record,
        )

    @strawberry.field(
        description="A person's address; may be empty. Null if you may not see it: it is for the account itself, for whoever "
        "manages a project that it is a member of, and for superadmins."
    )
    async def email(self, info: Info) -> str | None:
        """Its address."""
        return await info.context.loaders.addresses.load(self.record.id)

    @strawberry.field(description="The one project that a service account belongs to; null of a person.")
    async def project(self, info: Info) -> Annotated[Project, strawberry.lazy(".project")] | None:
        """Its project."""
        return await shown_project(info.context, self.record.project_id)


@strawberry.type(description="An account in a project, with its role.")
class Member:
    """A member."""

    role: Role = strawberry.field(description="What it is there.")
    added_by: str = strawberry.field(description="Who made it a member.")
    created_at: datetime = strawberry.field(description="Since when.")
    record: strawberry.Private[accounts_db.Member]

    @classmethod
    def of(cls, record: accounts_db.Member) -> Member:
        """As the schema shows it."""
        return cls(role=record.role, added_by=record.added_by, created_at=record.created_at, record=record)

    @strawberry.field(description="Who it is; null if you see nothing of it any more.")
    async def account(self, info: Info) -> Account | None:
        """Its account."""
        return await shown_account(info.context, self.record.account_id)


@strawberry.type(description="A token: what it is for and what it allows, never its text.")
class Token(Node):
    """A token."""

    uuid: strawberry.ID = strawberry.field(description="Its UUID, as the command line and REST use it.")
    name: str = strawberry.field(description="What it is for.")
    kind: TokenKind = strawberry.field(description="Whom it stands for.")
    account_name: str = strawberry.field(description="The name of the account that it stands for.")
    scopes: list[Permission] = strawberry.field(description="What it allows at most.")
    is_stored_only: bool = strawberry.field(description="Whether it runs stored operations, and nothing else.")
    created_by: str = strawberry.field(description="Who made it.")
    created_at: datetime = strawberry.field(description="When it was made.")
    not_before: datetime = strawberry.field(description="From when on it is valid.")
    expires_at: datetime | None = strawberry.field(description="Until when it is valid; null: for good.")
    last_used_at: datetime | None = strawberry.field(
        description="When it was used last, to the minute; null: it was not."
    )
    revoked_at: datetime | None = strawberry.field(
        description="Since when it is worth nothing; null: it is not revoked."
    )
    rotated_to: strawberry.ID | None = strawberry.field(
        description="The global id of the token that takes its place; null: none does."
    )
    record: strawberry.Private[tokens_db.Token]

    @classmethod
    def of(cls, record: tokens_db.Token) -> Token:
        """As the schema shows it."""
        return cls(
            id=strawberry.ID(to_global(Kind.TOKEN, record.id)),
            uuid=strawberry.ID(str(record.id)),
            name=record.name,
            kind=record.kind,
            account_name=record.account_name,
            scopes=permissions(record.scopes),
            is_stored_only=record.stored_only,
            created_by=record.created_by,
            created_at=record.created_at,
            not_before=record.not_before,
            expires_at=record.expires_at,
            last_used_at=record.last_used_at,
            revoked_at=record.revoked_at,
            rotated_to=strawberry.ID(to_global(Kind.TOKEN, record.rotated_to)) if record.rotated_to else None,
            record=record,
        )

    @strawberry.field(description="The account that it stands for; null if you may not see it.")
    async def account(self, info: Info) -> Account | None:
        """Its account."""
        return await shown_account(info.context, self.record.account_id)

    @strawberry.field(description="The one project that it is for; null: it is for all of its account's.")
    async def project(self, info: Info) -> Annotated[Project, strawberry.lazy(".project")] | None:
        """The project that it is for alone."""
        return await shown_project(info.context, self.record.only_project)


async def shown_account(context: Context, account: UUID) -> Account | None:
    """The account, if the caller may see it."""
    found = await context.loaders.accounts.load(account)
    return Account.of(found) if found is not None else None


async def shown_project(context: Context, project: ProjectId | None) -> Project | None:
    """The project, if there is one and the caller may see it."""
    from .project import Project

    found = await context.loaders.projects.load(project) if project is not None else None
    return Project.of(found) if found is not None else None


def permissions(given: Collection[Permission]) -> list[Permission]:
    """Permissions in the order of the schema."""
    return [p for p in Permission if p in given]


@strawberry.type(name="AccountConnection", description="One page of accounts.")
class AccountConnection(Connection[Account]):
    """A page."""


@strawberry.type(name="MemberConnection", description="One page of members.")
class MemberConnection(Connection[Member]):
    """A page."""


@strawberry.type(name="TokenConnection", description="One page of tokens.")
class TokenConnection(Connection[Token]):
    """A page."""
