"""Stored operations of the database."""

from __future__ import annotations

from collections.abc import Sequence

from fasttrack.db import Db
from fasttrack.db.operations import StoredOperation as Record
from fasttrack.db.windows import Page, Window
from fasttrack.ids import ProjectId
from fasttrack.workflow import operations as workflow

from ..store import Operation, OperationText, StoredOperation
from ..workbench import Workbench


class LocalOperations:
    """Of one project, or for callers of every project."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    async def add(self, texts: Sequence[OperationText], *, everywhere: bool) -> list[StoredOperation]:
        """Store all of them, or none."""
        from fasttrack_api.examining import examine_all
        from fasttrack_api.graphql import examiner

        examined = examine_all(examiner(self._bench.settings), [wanted.text for wanted in texts])

        async def work(db: Db) -> list[StoredOperation]:
            caller, where = await self._bench.caller(db), self._place(everywhere)
            stored = []
            for wanted, known in zip(texts, examined, strict=True):
                record, is_new = await workflow.store_operation(
                    db, caller, where, name=wanted.name or known.name, text=wanted.text
                )
                stored.append(StoredOperation(_told(record), is_new, known.cost))
            return stored

        return await self._bench.database.run(work)

    async def newest(self, limit: int, *, everywhere: bool) -> tuple[list[Operation], bool]:
        """At most so many, newest first."""

        async def work(db: Db) -> Page[Record]:
            caller = await self._bench.caller(db)
            return await workflow.list_operations(db, caller, self._place(everywhere), Window(limit))

        page = await self._bench.database.run(work)
        return [_told(record) for record in page.items], page.has_more

    async def remove(self, sha256: str, *, everywhere: bool) -> Operation:
        """Forget one."""

        async def work(db: Db) -> Record:
            caller = await self._bench.caller(db)
            return await workflow.remove_operation(db, caller, self._place(everywhere), bytes.fromhex(sha256))

        return _told(await self._bench.database.run(work))

    def _place(self, everywhere: bool) -> ProjectId | None:
        return None if everywhere else self._bench.project


def _told(record: Record) -> Operation:
    return Operation(record.hash.hex(), record.name, record.text, record.created_by, record.created_at)
