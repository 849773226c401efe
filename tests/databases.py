"""Databases for tests: emptied and used again where that leaves no trace, else dropped and copied anew from the template.

A copy costs a tenth of a second of processor time, and two thousand tests want one; to empty one costs a hundredth.
"""

from __future__ import annotations

import asyncio
from uuid import uuid4

import asyncpg

TEMPLATE = "template_fasttrack"

# Every change of these leaves another row version: tables, columns, checks, triggers, functions, indexes, statistics.
_SHAPE = " UNION ALL ".join(
    f"SELECT count(*), max(xmin::text::bigint) FROM {catalog}"
    for catalog in (
        "pg_namespace", "pg_attribute", "pg_attrdef", "pg_constraint", "pg_trigger", "pg_proc", "pg_index", "pg_statistic",
        "pg_db_role_setting",
    )
)  # fmt: skip
_MOST_PAGES = 400
"""A database that a test filled is dropped: what is dead in its tables would slow down those after it."""


class Databases:
    """The databases of one worker: at most one is in use, and one waits to be used again."""

    def __init__(self, address: str) -> None:
        self._address = address  # of the database `fasttrack`, as SQLAlchemy writes it
        self._spare: str | None = None
        self._shape: list[asyncpg.Record] = []  # of one that no test has had
        self._rows: dict[str, str] = {}  # by table, as JSON

    def address(self, name: str) -> str:
        """The address of a database by its name."""
        return self._address.replace("/fasttrack?", f"/{name}?")

    async def take(self) -> str:
        """The name of a database with the newest schema and nothing in it but what that brings."""
        if (spare := self._spare) is not None:
            self._spare = None
            return spare
        return await self.make()

    async def make(self) -> str:
        """The name of one that no test has had."""
        name = f"test_{uuid4().hex}"
        admin = await asyncpg.connect(self._plain("fasttrack"))
        try:
            await admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
        finally:
            await admin.close()
        if not self._rows:
            await self._learn(name)
        return name

    async def give_back(self, name: str) -> None:
        """Whoever is still connected is cut off; the database waits for the next test, empty, or is dropped."""
        if await self._empty(name):
            self._spare = name
        else:
            await self.drop(name)

    async def drop(self, name: str) -> None:
        """The database is gone, and so is whoever was connected."""
        admin = await asyncpg.connect(self._plain("fasttrack"))
        try:
            for _ in range(200):
                try:
                    await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
                    return
                except asyncpg.InsufficientPrivilegeError:
                    await asyncio.sleep(0.05)  # the server's own vacuum is at work in it, and nobody may end that
            raise AssertionError(f"{name} cannot be dropped")
        finally:
            await admin.close()

    async def _empty(self, name: str) -> bool:
        """Put every row and sequence back to what the template has; whether that makes it as good as new."""
        admin = await asyncpg.connect(self._plain(name, superuser=True))
        try:
            await admin.execute(
                """SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                   WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"""
            )
            if await admin.fetch(_SHAPE) != self._shape:
                return False
            pages = "SELECT sum(pg_relation_size(oid)) / 8192 FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            if await admin.fetchval(pages) > _MOST_PAGES:
                return False
            # The audit log refuses to be emptied, and rows point at each other: neither holds for a replica.
            await admin.execute("SET session_replication_role = replica; ALTER SEQUENCE revision RESTART")
            async with admin.transaction():
                await admin.execute("; ".join(f"DELETE FROM {table}" for table in self._rows))
                for table, rows in self._rows.items():
                    if rows != "[]":
                        await admin.execute(
                            f"INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, '{rows}')"
                        )
            return True
        finally:
            await admin.close()

    async def _learn(self, name: str) -> None:
        """What a database is and holds that no test has had."""
        admin = await asyncpg.connect(self._plain(name, superuser=True))
        try:
            tables = await admin.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            for (table,) in tables:
                self._rows[table] = await admin.fetchval(f"SELECT coalesce(json_agg(t)::text, '[]') FROM {table} t")
            self._shape = await admin.fetch(_SHAPE)
        finally:
            await admin.close()

    def _plain(self, name: str, *, superuser: bool = False) -> str:
        address = self.address(name).replace("+asyncpg", "")
        return address.replace("//fasttrack@", "//postgres@") if superuser else address
