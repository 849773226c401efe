"""Accounts of a server, and the members of its projects.

Making something is asked for again when the answer was lost. If the next try is told that it is there already, that may be
our own doing: what is there is compared with what was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from fasttrack.domain.access import Role
from fasttrack.errors import Conflict, NotFound

from ..store.people import Account, Member, require_account
from .answers import Page, in_path
from .connection import Connection
from .identity import this_project
from .listing import list_all


class Lost:
    """Remembers whether an answer was lost on its way."""

    def __init__(self) -> None:
        self._is_true = False

    def __call__(self) -> None:
        """It was."""
        self._is_true = True

    def __bool__(self) -> bool:
        return self._is_true


class RemoteAccounts:
    """All that the caller may see."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def all(self) -> Sequence[Account]:
        """All, by name."""
        return await list_all(self._connection, "/accounts", Page[Account])

    async def create_user(self, name: str, *, display_name: str, email: str, is_superadmin: bool) -> Account:
        """Make an account for a person."""
        lost = Lost()
        body = {"name": name, "display_name": display_name, "email": email, "is_superadmin": is_superadmin}
        try:
            return await self._connection.post("/accounts", Account, body, was_lost=lost)
        except Conflict:
            found = await find_account(self._connection, name) if lost else None
            if found is None or any(getattr(found, key) != value for key, value in body.items()):
                raise
            return found

    async def create_service(self, name: str, role: Role, *, display_name: str) -> Account:
        """Make an account for a program."""
        lost = Lost()
        body = {"name": name, "role": role, "display_name": display_name}
        query = self._connection.in_project
        try:
            return await self._connection.post("/accounts/service", Account, body, query=query, was_lost=lost)
        except Conflict:
            found = await self._find_service(name, role) if lost else None
            if found is None or found.display_name != display_name:
                raise
            return found

    async def switch(self, account: str, *, is_on: bool) -> Account:
        """Disable an account, or enable it."""
        verb = "enable" if is_on else "disable"
        return await self._connection.post(f"/accounts/{await the_account(self._connection, account)}/{verb}", Account)

    async def _find_service(self, name: str, role: Role) -> Account | None:
        """The service account of the project, if it has that role."""
        whole = f"{await this_project(self._connection)}/{name}"
        member = await RemoteMembers(self._connection).find(whole)
        return await find_account(self._connection, whole) if member is not None and member.role is role else None


class RemoteMembers:
    """Of one project."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def all(self) -> Sequence[Member]:
        """The members, by name."""
        return await list_all(self._connection, "/members", Page[Member], self._connection.in_project)

    async def add(self, account: str, role: Role) -> Member:
        """Make an account a member."""
        lost = Lost()
        body = {"account": require_account(account), "role": role}
        try:
            return await self._connection.post(
                "/members", Member, body, query=self._connection.in_project, was_lost=lost
            )
        except Conflict:
            found = await self.find(account) if lost else None
            if found is None or found.role is not role:
                raise
            return found

    async def change(self, account: str, role: Role) -> Member:
        """Give a member another role."""
        path = f"/members/{await the_account(self._connection, account)}"
        query = self._connection.in_project
        answer = await self._connection.call("PUT", path, query=query, body={"role": role})
        return self._connection.read(answer, Member)

    async def remove(self, account: str) -> None:
        """Have it be a member no more."""
        lost = Lost()
        path = f"/members/{await the_account(self._connection, account)}"
        try:
            await self._connection.call("DELETE", path, query=self._connection.in_project, was_lost=lost)
        except NotFound:
            if not lost or await self.find(account) is not None:
                raise

    async def find(self, account: str) -> Member | None:
        """The member of that name or id, if there is one."""
        return next((m for m in await self.all() if account in (m.name, str(m.account_id))), None)


async def the_account(connection: Connection, text: str) -> str:
    """The account of that id or name, as part of a path. A name with a slash is looked up: in a path it would be two.

    :raises NotFound: there is none that the caller may see.
    """
    if "/" not in require_account(text):
        return in_path(text)
    found = await find_account(connection, text)
    if found is None:
        raise NotFound(f"there is no account {text[:80]}")
    return str(found.id)


async def find_account(connection: Connection, name: str) -> Account | None:
    """The account of that name, if there is one that the caller may see."""
    page = await connection.get("/accounts", Page[Account], name=name)
    return next(iter(page.items), None)
