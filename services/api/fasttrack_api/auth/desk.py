"""Where everybody who calls is asked who they are: one desk for a process, with what it has just learnt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime

from fasttrack.db.accounts import load_standing
from fasttrack.domain.access import OWNER, Caller
from fasttrack.domain.tokens import hash_token, kind_of, looks_like_ours
from fasttrack.errors import Unauthenticated, Unavailable
from fasttrack.tasks import end_tasks
from fasttrack.workflow.accounts import caller_of as caller_of_account
from fasttrack.workflow.identities import caller_of_identity
from fasttrack.workflow.tokens import caller_of_bearer, find_bearer

from ..parts import Parts
from .attempts import WrongTokens
from .identity import IdentityProvider
from .known import KnownCallers, Standing
from .last_uses import LastUses
from .rates import Rates

_LONGEST = 8192
_OWNER_KEY = b"the owner"


class Desk:
    """Of one process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.known = KnownCallers()
        self.wrong = WrongTokens(parts.doorbell, parts.settings.api_wrong_tokens)
        self.last_uses = LastUses()
        self.provider = IdentityProvider.of(parts.settings)

    @classmethod
    def of(cls, parts: Parts) -> Desk:
        """The desk of the process that has these parts."""
        desk = parts.kept.get(cls)
        if desk is None:
            desk = parts.kept[cls] = cls(parts)
        assert isinstance(desk, cls)
        return desk

    async def owner(self, origin: str) -> Caller:
        """The machine's owner. :raises Unauthenticated: the account is disabled or gone."""

        async def look_up() -> Standing:
            async with self._parts.database.transaction() as db:
                standing = await load_standing(db, OWNER)
            if standing is None or standing.account.disabled_at is not None:
                raise Unauthenticated("the owner's account is disabled; a token is needed")
            return lambda origin, _: caller_of_account(standing, origin=origin)

        return (await self.known.get(_OWNER_KEY, look_up))(origin, self._parts.clock.now())

    async def caller_of(self, text: str, origin: str) -> Caller:
        """The caller that a token stands for.

        :raises Unauthenticated: it is not worth anything.
        :raises TooManyRequests: too many wrong ones came from that address.
        :raises Unavailable: who could tell is away.
        """
        # Of our form but with a wrong checksum: no question to anybody.
        is_possible = len(text) <= _LONGEST and text.isascii() and bool(kind_of(text) or self._may_be_jwt(text))
        key = hash_token(text) if is_possible else b""
        if not self.known.was_good(key):
            self.wrong.require_room(origin)
        try:
            if not is_possible:
                raise Unauthenticated("the token is not one of ours: look whether it was copied as a whole")
            standing = await self.known.get(key, lambda: self._look_up(text, origin))
            now = self._parts.clock.now()
            caller = standing(origin, now)
        except Unauthenticated:
            await self.wrong.add(origin)
            raise
        if caller.token_id is not None:
            self.last_uses.note(caller.token_id, now)
        return caller

    def _may_be_jwt(self, text: str) -> bool:
        return self.provider is not None and not looks_like_ours(text) and text.count(".") == 2

    async def _look_up(self, text: str, origin: str) -> Standing:
        if kind_of(text) is not None:
            async with self._parts.database.transaction() as db:
                bearer = await find_bearer(db, text)
            caller_of_bearer(bearer, origin=origin, now=self._parts.clock.now())  # only what is worth something is kept
            return lambda origin, now: caller_of_bearer(bearer, origin=origin, now=now)
        assert self.provider is not None
        identity = await self.provider.verify(text)  # with no transaction open: it may ask the provider
        caller = await self._parts.database.run(lambda db: caller_of_identity(db, identity, origin=origin))
        leeway = self._parts.settings.identity_leeway

        def at(origin: str, now: datetime) -> Caller:
            if now >= identity.expires_at + leeway:
                raise Unauthenticated("the token has expired; sign in again")
            return replace(caller, origin=origin)

        return at


@asynccontextmanager
async def running(parts: Parts) -> AsyncIterator[None]:
    """What the desk does besides its requests is done while the block is open; nothing is left undone at its end."""
    desk = Desk.of(parts)
    tasks = [
        asyncio.create_task(desk.last_uses.keep_writing(parts.database)),
        asyncio.create_task(Rates.of(parts).keep_settling()),
    ]
    try:
        yield
    finally:
        await end_tasks(*tasks)
        with suppress(Unavailable):
            await desk.last_uses.write(parts.database)
