"""`make migration name=…`: a revision from the difference between the tables and the newest schema, on a throw-away server."""

import asyncio
import sys
import tempfile
from pathlib import Path

from fasttrack.db import migrate
from fasttrack.settings import Settings
from fasttrack_cli.servers import ensure_servers, stop_servers


async def main(message: str) -> None:
    with tempfile.TemporaryDirectory(prefix="ft-migration-") as directory:
        settings = Settings(state_dir=Path(directory))
        addresses = await ensure_servers(settings, durable=False)
        try:
            await migrate.upgrade(addresses.database_url)
            print(await migrate.make(addresses.database_url, message))  # noqa: T201
        finally:
            await stop_servers(settings)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].strip():
        sys.exit('say what the migration does: make migration name="add lease to attempts"')
    asyncio.run(main(sys.argv[1]))
