"""Who may do what: the part of `Query` that is about accounts, tokens and the audit log."""

from __future__ import annotations

from typing import Annotated

import strawberry

from fasttrack.domain.access import AccountKind, Permission
from fasttrack.errors import InvalidInput, NotFound
from fasttrack.workflow.accounts import find_account_named, list_accounts
from fasttrack.workflow.tokens import list_tokens

from .context import Info
from .ids import Kind, require_id
from .paging import After, Before, First, Last
from .types.account import (
    ACCOUNTS,
    TOKENS,
    Account,
    AccountConnection,
    Token,
    TokenConnection,
    permissions,
    shown_account,
)
from .types.audit import AuditEntryConnection, Filter, audit_page


@strawberry.type(description="Who is calling.")
class Viewer:
    """The caller."""

    name: str = strawberry.field(description="Its name.")
    kind: AccountKind = strawberry.field(description="What it is.")
    is_superadmin: bool = strawberry.field(description="Whether it may do everything in every project.")
    scopes: list[Permission] = strawberry.field(description="What its token allows at most, in any project.")

    @strawberry.field(description="Its account; null when that is gone.")
    async def account(self, info: Info) -> Account | None:
        """The caller's account."""
        return await shown_account(info.context, info.context.caller.account_id)

    @strawberry.field(
        description="Its tokens, the newest first, revoked ones too; with a token for one project those for it alone."
    )
    async def tokens(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> TokenConnection:
        """A page of the caller's tokens."""
        window = TOKENS.window(first, after, last, before, most=info.context.page_size)
        async with info.context.reading() as db:
            page = await list_tokens(db, info.context.caller, window)
        return TokenConnection(**TOKENS.parts(page, window, Token.of, lambda t: (t.id,)))

    @strawberry.field(
        description="The token that it came with; null: it came with none of ours, but from this machine or with one of "
        "an identity provider."
    )
    async def current_token(self, info: Info) -> Token | None:
        """The token of this call."""
        token = info.context.caller.token_id
        found = await info.context.loaders.tokens.load(token) if token is not None else None
        return Token.of(found) if found is not None else None


@strawberry.type
class AccessReads:
    """The part of `Query` that is about who may do what."""

    @strawberry.field(description="Who is calling.")
    def viewer(self, info: Info) -> Viewer:
        """Who calls."""
        caller = info.context.caller
        return Viewer(
            name=caller.name,
            kind=caller.kind,
            is_superadmin=caller.is_superadmin,
            scopes=permissions(caller.scopes),
        )

    @strawberry.field(description="Accounts by name: all for a superadmin, for others those they share a project with.")
    async def accounts(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> AccountConnection:
        """A page of accounts."""
        window = ACCOUNTS.window(first, after, last, before, most=info.context.page_size)
        async with info.context.reading() as db:
            page = await list_accounts(db, info.context.caller, window)
        return AccountConnection(**ACCOUNTS.parts(page, window, Account.of, lambda a: (a.name,)))

    @strawberry.field(
        description="An account by its global id or by its name; an error with the code NOT_FOUND if there is none that "
        "you may see. Whoever manages a project finds every person by name, so as to make them a member."
    )
    async def account(
        self,
        info: Info,
        id: Annotated[strawberry.ID | None, strawberry.argument(description="Its global id; null: by name.")] = None,
        name: Annotated[str | None, strawberry.argument(description="Its name; null: by id.")] = None,
    ) -> Account:
        """One account."""
        if (id is None) == (name is None):
            raise InvalidInput("give either the `id` or the `name` of the account")
        if id is not None:
            shown = await shown_account(info.context, require_id(Kind.ACCOUNT, id))
            if shown is None:
                raise NotFound("there is no such account")
            return shown
        async with info.context.reading() as db:
            return Account.of(await find_account_named(db, info.context.caller, name or ""))

    @strawberry.field(
        description="The audit log, the newest first: of the projects that you manage, and for superadmins also what "
        "belongs to none. FORBIDDEN if you manage none."
    )
    async def audit_entries(
        self,
        info: Info,
        filter: Filter = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> AuditEntryConnection:
        """A page of the audit log."""
        return await audit_page(info.context, None, filter, first, after, last, before)
