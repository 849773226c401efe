"""Tokens of a server."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from fasttrack.errors import Unavailable

from ..store.people import MadeToken, Token, TokenRequest, require_account
from .answers import Page
from .connection import Connection
from .identity import this_project
from .listing import list_all


class Unsettled(Unavailable):
    """The answer was lost, and with it the text of a token that may have been made."""

    code = "UNSETTLED"
    retryable = False


class RemoteTokens:
    """The caller's own, and those that they manage."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def all(self, account: str | None) -> Sequence[Token]:
        """The tokens of an account, or the caller's own, newest first."""
        of = None if account is None else require_account(account)
        return await list_all(self._connection, "/tokens", Page[Token], {"account": of})

    async def create(self, request: TokenRequest) -> MadeToken:
        """Make a token."""
        body = {
            "name": request.name,
            "account": None if request.account is None else require_account(request.account),
            "scopes": None if request.scopes is None else sorted(request.scopes),
            "lifetime_seconds": int(request.lifetime.total_seconds()),
            "stored_only": request.stored_only,
        }
        # Without a name it would be for all projects.
        project = await this_project(self._connection) if request.is_for_project else None
        return await self._make("/tokens", body, project=project)

    async def rotate(self, token: UUID, *, overlap: timedelta) -> MadeToken:
        """Make a token that takes the place of another."""
        return await self._make(f"/tokens/{token}/rotate", {"overlap_seconds": int(overlap.total_seconds())})

    async def revoke(self, token: UUID) -> Token:
        """Have a token be worth nothing."""
        return await self._connection.post(f"/tokens/{token}/revoke", Token)

    async def _make(self, path: str, body: Any, **query: Any) -> MadeToken:
        return await self._connection.post(path, MadeToken, body, query=query, was_lost=self._give_up)

    def _give_up(self) -> None:
        """Ask no second time: that would make a second token, and nobody would know the text of the first."""
        raise Unsettled(
            f"{self._connection.target.url} did not tell whether the token was made; if it was, nobody knows its text. See "
            "`fasttrack tokens list`, and revoke what was made before you ask again"
        )
