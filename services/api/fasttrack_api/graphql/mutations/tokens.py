"""Writes to tokens. Their text is answered once, and kept nowhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated

import strawberry

from fasttrack.db import Db
from fasttrack.domain.access import Permission
from fasttrack.domain.moments import require_moment
from fasttrack.ids import ProjectId
from fasttrack.workflow import tokens
from fasttrack.workflow.tokens import CreatedToken

from ..context import Context, Info
from ..ids import Kind, require_id
from ..types.account import Token
from .base import MutationError, tried


@strawberry.input(description="A token that is to be made.")
class CreateTokenInput:
    """Of `createToken`."""

    name: str = strawberry.field(description="What it is for: 1 to 64 printable characters.")
    account_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The global id of the account that it stands for: a service account of a project that you manage, or "
        "for superadmins anybody's. Null: your own.",
    )
    scopes: list[Permission] | None = strawberry.field(
        default=None, description="What it allows at most; null: all that the token of this call allows."
    )
    project_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The global id of the one project that it is for; a service account's is always for its own. "
        "Null: for all of the account's.",
    )
    expires_at: datetime | None = strawberry.field(
        default=None,
        description="Until when it is valid, with a time zone, at most 366 days after it begins; a token that is made "
        "with a token ends with that one at the latest. Null: 90 days.",
    )
    not_before: datetime | None = strawberry.field(
        default=None, description="From when on it is valid, with a time zone. Null: at once."
    )
    is_stored_only: bool = strawberry.field(
        default=False,
        description="Whether it runs stored operations, and nothing else; so does all that is made with such a token.",
    )


@strawberry.input(description="A token that is to be renewed.")
class RotateTokenInput:
    """Of `rotateToken`."""

    token_id: strawberry.ID = strawberry.field(description="The global id of the token.")
    overlap_seconds: int = strawberry.field(
        default=86_400, description="How long the old one works beside the new one, 0 to 604,800 seconds."
    )


@strawberry.input(description="A token that is to be worth nothing.")
class RevokeTokenInput:
    """Of `revokeToken`."""

    token_id: strawberry.ID = strawberry.field(description="The global id of the token.")


@strawberry.type(description="The token that was made, with its text.")
class CreateTokenPayload:
    """Of `createToken` and `rotateToken`."""

    token: Token | None = strawberry.field(default=None, description="The token; null when nothing was done.")
    secret: str | None = strawberry.field(
        default=None, description="Its text, 40 characters. This is the only time that anybody is told; null when "
        "nothing was done."
    )  # fmt: skip
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type(description="The token that was revoked.")
class RevokeTokenPayload:
    """Of `revokeToken`."""

    token: Token | None = strawberry.field(default=None, description="As it is now; null when nothing was done.")
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type
class TokenWrites:
    """The part of `Mutation` that is about tokens."""

    @strawberry.mutation(
        description="Make a token, and tell its text. Each call makes one: look at `viewer.tokens` before repeating one "
        "whose answer was lost, and revoke what it made. Needs the scope MANAGE; it allows no more than the token of "
        "this call."
    )
    async def create_token(
        self, info: Info, input: Annotated[CreateTokenInput, strawberry.argument(description="Which token.")]
    ) -> CreateTokenPayload:
        """Make a token."""
        caller = info.context.caller

        async def make(db: Db, now: datetime) -> CreatedToken:
            for moment in (input.expires_at, input.not_before):
                require_moment(moment)
            begins_at = input.not_before or now
            return await tokens.create_token(
                db,
                caller,
                name=input.name,
                now=now,
                account=require_id(Kind.ACCOUNT, input.account_id) if input.account_id is not None else None,
                scopes=caller.scopes if input.scopes is None else input.scopes,
                only_project=_project(input.project_id),
                lifetime=tokens.DEFAULT_LIFETIME if input.expires_at is None else input.expires_at - begins_at,
                not_before=begins_at,
                stored_only=input.is_stored_only,
            )

        return await _made(info.context, make)

    @strawberry.mutation(
        description="Make a token that takes the place of another, with its limits and as long a life, and tell its text; "
        "both work for a while. Any token may renew itself; those of service accounts, whoever manages their project."
    )
    async def rotate_token(
        self, info: Info, input: Annotated[RotateTokenInput, strawberry.argument(description="Which token.")]
    ) -> CreateTokenPayload:
        """Renew a token."""

        async def make(db: Db, now: datetime) -> CreatedToken:
            token, overlap = require_id(Kind.TOKEN, input.token_id), timedelta(seconds=input.overlap_seconds)
            return await tokens.rotate_token(db, info.context.caller, token, now=now, overlap=overlap)

        return await _made(info.context, make)

    @strawberry.mutation(
        description="Have a token be worth nothing: refused everywhere within seconds, on open streams too. Repeatable. "
        "Your own, and those that are for a project that you manage; for superadmins all."
    )
    async def revoke_token(
        self, info: Info, input: Annotated[RevokeTokenInput, strawberry.argument(description="Which token.")]
    ) -> RevokeTokenPayload:
        """Have a token be worth nothing."""
        context = info.context

        async def work(db: Db) -> Token:
            token, now = require_id(Kind.TOKEN, input.token_id), context.parts.clock.now()
            return Token.of(await tokens.revoke_token(db, context.caller, token, now=now))

        revoked, errors = await tried(lambda: context.writing(work))
        return RevokeTokenPayload(token=revoked, errors=errors)


async def _made(context: Context, make: Callable[[Db, datetime], Awaitable[CreatedToken]]) -> CreateTokenPayload:
    # Once: a second try would make a second token, and tell the text of one of them to nobody.
    now = context.parts.clock.now()
    made, errors = await tried(lambda: context.writing(lambda db: make(db, now), tries=1))
    if made is None:
        return CreateTokenPayload(errors=errors)
    return CreateTokenPayload(token=Token.of(made.token), secret=made.secret.text, errors=[])


def _project(text: str | None) -> ProjectId | None:
    return None if text is None else ProjectId(require_id(Kind.PROJECT, text))
