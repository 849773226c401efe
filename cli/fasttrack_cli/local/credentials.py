"""Keys of a cluster, of the database."""

from __future__ import annotations

from collections.abc import Sequence

from fasttrack.backend_ai.whose import examine
from fasttrack.db import Db
from fasttrack.db.credential_records import CredentialRecord, allows_personal_keys
from fasttrack.domain.access import Caller
from fasttrack.domain.credentials import Holder
from fasttrack.workflow import credentials

from ..store import Credential, Key, Whose, as_told
from ..workbench import Workbench
from .people import as_caller, the_account


class LocalCredentials:
    """All of the database; of its projects that of the command."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    async def all(self) -> Sequence[Credential]:
        """All there are."""
        return [_told(found) for found in await as_caller(self._bench, credentials.list_credentials)]

    async def put(self, whose: Whose, access_key: str, secret_key: str, *, another_user: bool) -> Credential:
        """Set a key, or rotate it."""
        bench = self._bench
        holder = await as_caller(bench, lambda db, caller: self._holder(db, caller, whose))
        examined = await examine(bench.settings, access_key, secret_key)

        async def store(db: Db, caller: Caller) -> CredentialRecord:
            return await credentials.store_key(
                db, caller, bench.box, holder, access_key, secret_key, examined, another_user=another_user
            )

        return _told(await as_caller(bench, store))

    async def delete(self, whose: Whose, *, access_key: str | None, another_user: bool) -> None:
        """Forget the credential, or one of its retiring keys."""

        async def forget(db: Db, caller: Caller) -> None:
            holder = await self._holder(db, caller, whose)
            await credentials.forget_credential(
                db, caller, holder, access_key=access_key, another_user=another_user or holder.project is None
            )

        await as_caller(self._bench, forget)

    async def are_personal_allowed(self) -> bool:
        """Whether people's jobs in the project run with their own keys."""
        project = self._bench.project
        return (await self._bench.database.run(lambda db: allows_personal_keys(db, [project])))[project]

    async def allow_personal(self, *, allowed: bool) -> None:
        """Have them do so, or not."""

        async def allow(db: Db, caller: Caller) -> None:
            await credentials.set_personal_keys(db, caller, self._bench.project, allowed=allowed)

        await as_caller(self._bench, allow)

    async def _holder(self, db: Db, caller: Caller, whose: Whose) -> Holder:
        if whose.is_project:
            return Holder(project=self._bench.project)
        if whose.account is None:
            return Holder(account=caller.account_id)
        return Holder(account=await the_account(db, caller, whose.account))


def _told(found: CredentialRecord) -> Credential:
    return as_told(Credential, found, keys=[as_told(Key, key) for key in found.keys])
