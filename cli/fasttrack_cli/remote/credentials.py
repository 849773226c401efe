"""Keys of a cluster, of a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fasttrack.domain.credentials import require_keypair

from ..store import Credential, Whose
from .connection import Connection


@dataclass(frozen=True)
class _Personal:
    is_allowed: bool


class RemoteCredentials:
    """Those that the caller may change."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def all(self) -> Sequence[Credential]:
        """All, by name."""
        return await self._connection.get("/credentials", list[Credential])

    async def put(self, whose: Whose, access_key: str, secret_key: str, *, another_user: bool) -> Credential:
        """Set a key, or rotate it."""
        require_keypair(access_key, secret_key)
        path, query = self._place(whose)
        body = {"access_key": access_key, "secret_key": secret_key, "another_user": another_user}
        answer = await self._connection.call("PUT", path, query=query, body=body)
        return self._connection.read(answer, Credential)

    async def delete(self, whose: Whose, *, access_key: str | None, another_user: bool) -> None:
        """Forget the credential, or one of its retiring keys."""
        path, query = self._place(whose)
        if access_key is not None:
            query["access_key"] = access_key
        if whose.is_project:
            query["another_user"] = str(another_user).lower()
        await self._connection.call("DELETE", path, query=query)

    async def are_personal_allowed(self) -> bool:
        """Whether people's jobs in the project run with their own keys."""
        query = self._connection.in_project
        return (await self._connection.get("/credentials/personal-keys", _Personal, **query)).is_allowed

    async def allow_personal(self, *, allowed: bool) -> None:
        """Have them do so, or not."""
        query = self._connection.in_project
        await self._connection.call("PUT", "/credentials/personal-keys", query=query, body={"is_allowed": allowed})

    def _place(self, whose: Whose) -> tuple[str, dict[str, Any]]:
        if whose.is_project:
            return "/credentials/project", {**self._connection.in_project}
        return "/credentials/person", {} if whose.account is None else {"account": whose.account}
