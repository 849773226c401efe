"""Tokens of the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from fasttrack.clock import SystemClock
from fasttrack.db import Db
from fasttrack.db import tokens as stored
from fasttrack.domain.access import Caller
from fasttrack.workflow import tokens

from ..lookup import every
from ..store import as_told
from ..store.people import MadeToken, Token, TokenRequest
from ..workbench import Workbench
from .people import as_caller, the_account


class LocalTokens:
    """All of the database."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    async def all(self, account: str | None) -> Sequence[Token]:
        """The tokens of an account, or the owner's, newest first."""

        async def read(db: Db, caller: Caller) -> list[stored.Token]:
            wanted = None if account is None else await the_account(db, caller, account)
            return await every(lambda window: tokens.list_tokens(db, caller, window, account=wanted), lambda t: (t.id,))

        return [as_told(Token, found) for found in await as_caller(self._bench, read)]

    async def create(self, request: TokenRequest) -> MadeToken:
        """Make a token."""
        # Not `run`: a second try would make a second token, and tell the text of one of them to nobody.
        async with self._bench.database.transaction() as db:
            caller = await self._bench.caller(db)
            account = None if request.account is None else await the_account(db, caller, request.account)
            made = await tokens.create_token(
                db,
                caller,
                name=request.name,
                account=account,
                scopes=caller.scopes if request.scopes is None else request.scopes,
                only_project=self._bench.project if request.is_for_project else None,
                stored_only=request.stored_only,
                lifetime=request.lifetime,
                now=SystemClock().now(),
            )
        return _told(made)

    async def rotate(self, token: UUID, *, overlap: timedelta) -> MadeToken:
        """Make a token that takes the place of another."""
        async with self._bench.database.transaction() as db:  # not `run`, as above
            caller = await self._bench.caller(db)
            made = await tokens.rotate_token(db, caller, token, now=SystemClock().now(), overlap=overlap)
        return _told(made)

    async def revoke(self, token: UUID) -> Token:
        """Have a token be worth nothing."""

        async def work(db: Db, caller: Caller) -> stored.Token:
            return await tokens.revoke_token(db, caller, token, now=SystemClock().now())

        return as_told(Token, await as_caller(self._bench, work))


def _told(made: tokens.CreatedToken) -> MadeToken:
    return MadeToken(as_told(Token, made.token), made.secret.text)
