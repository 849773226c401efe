"""How Alembic reaches the database: over asyncpg, one migrating process at a time."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from fasttrack.db.schema import metadata

# Any number of replicas may start at once; the first migrates, the others find nothing to do.
MIGRATION_LOCK = 7_213_094_221


def _migrate(connection: Connection) -> None:
    connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
    connection.execute(text("SET LOCAL lock_timeout = '2s'"))
    context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()


async def _run() -> None:
    engine = create_async_engine(context.config.attributes["url"], poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


if "connection" in context.config.attributes:
    _migrate(context.config.attributes["connection"])
else:
    asyncio.run(_run())
