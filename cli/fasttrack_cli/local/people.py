"""Accounts of the database, and the members of its projects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

from fasttrack.clock import SystemClock
from fasttrack.db import Db
from fasttrack.db import accounts as stored
from fasttrack.domain.access import Caller, Role
from fasttrack.workflow import accounts, members

from ..lookup import every
from ..store import as_told
from ..store.people import Account, Member, require_account
from ..workbench import Workbench

T = TypeVar("T")


class LocalAccounts:
    """All of the database."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    async def all(self) -> Sequence[Account]:
        """All, by name."""

        async def read(db: Db, caller: Caller) -> list[stored.Account]:
            return await every(lambda window: accounts.list_accounts(db, caller, window), lambda a: (a.name,))

        return [as_told(Account, found) for found in await as_caller(self._bench, read)]

    async def create_user(self, name: str, *, display_name: str, email: str, is_superadmin: bool) -> Account:
        """Make an account for a person."""

        async def make(db: Db, caller: Caller) -> stored.Account:
            more = {"display_name": display_name, "email": email}
            return await accounts.create_user(db, caller, name, is_superadmin=is_superadmin, **more)

        return as_told(Account, await as_caller(self._bench, make))

    async def create_service(self, name: str, role: Role, *, display_name: str) -> Account:
        """Make an account for a program."""
        bench = self._bench

        async def make(db: Db, caller: Caller) -> stored.Account:
            return await accounts.create_service_account(
                db, caller, bench.project, bench.settings.project, name, role, display_name=display_name
            )

        return as_told(Account, await as_caller(bench, make))

    async def switch(self, account: str, *, is_on: bool) -> Account:
        """Disable an account, or enable it."""

        async def switch(db: Db, caller: Caller) -> stored.Account:
            found = await the_account(db, caller, account)
            if is_on:
                return await accounts.enable_account(db, caller, found)
            return await accounts.disable_account(db, caller, found, now=SystemClock().now())

        return as_told(Account, await as_caller(self._bench, switch))


class LocalMembers:
    """Of one project."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    async def all(self) -> Sequence[Member]:
        """The members, by name."""
        project = self._bench.project

        async def read(db: Db, caller: Caller) -> list[stored.Member]:
            return await every(lambda window: members.list_members(db, caller, project, window), lambda m: (m.name,))

        return [as_told(Member, found) for found in await as_caller(self._bench, read)]

    async def add(self, account: str, role: Role) -> Member:
        """Make an account a member."""

        async def add(db: Db, caller: Caller) -> stored.Member:
            found = await the_account(db, caller, account)
            return await members.add_member(db, caller, self._bench.project, found, role)

        return as_told(Member, await as_caller(self._bench, add))

    async def change(self, account: str, role: Role) -> Member:
        """Give a member another role."""

        async def change(db: Db, caller: Caller) -> stored.Member:
            found = await the_account(db, caller, account)
            return await members.change_member(db, caller, self._bench.project, found, role)

        return as_told(Member, await as_caller(self._bench, change))

    async def remove(self, account: str) -> None:
        """Have it be a member no more."""

        async def remove(db: Db, caller: Caller) -> None:
            found = await the_account(db, caller, account)
            await members.remove_member(db, caller, self._bench.project, found)

        await as_caller(self._bench, remove)


async def as_caller(bench: Workbench, work: Callable[[Db, Caller], Awaitable[T]]) -> T:
    """What the work gives, in one transaction as whoever is typing; tried again when the way to the database breaks."""

    async def run(db: Db) -> T:
        return await work(db, await bench.caller(db))

    return await bench.database.run(run)


async def the_account(db: Db, caller: Caller, text: str) -> UUID:
    """The account of that id or name. :raises NotFound: there is none."""
    return await accounts.account_named(db, caller, require_account(text))
