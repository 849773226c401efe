"""The data directory of the embedded PostgreSQL: made whole or not at all, checked, configured at every start.

initdb works in a directory beside it, which is renamed at the end, so a crash leaves nothing half made.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import secrets
import shutil
from pathlib import Path

from fasttrack.errors import InvalidInput

from . import processes
from .binaries import postgres_binary, postgres_major
from .failures import start_failure
from .identity import Identity
from .state_dir import own_directory, write_file

CONFIGURATION = """\
# Written by FastTrack at every start. Put your own settings into custom.conf beside it.
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
max_connections = 100
shared_buffers = 128MB
huge_pages = off                        # `try` crashes in containers that forbid them
max_wal_size = 1GB
wal_level = minimal                     # nothing replicates this server
max_wal_senders = 0
max_logical_replication_workers = 0
io_method = sync                        # no idle workers
max_parallel_workers_per_gather = 0     # short statements; and containers have little /dev/shm
jit = off
fsync = {durable}
synchronous_commit = on                 # without fsync it costs nothing and a killed server still loses nothing
full_page_writes = {durable}
log_destination = stderr
logging_collector = off                 # FastTrack keeps the log bounded
log_line_prefix = '%m [%p] '
log_timezone = 'UTC'
timezone = 'UTC'
log_checkpoints = off
log_error_verbosity = terse             # no values of rows in the log,
log_min_error_statement = panic         # and no statements
"""


def check_version(data: Path) -> None:
    """Refuse the data of another major version of PostgreSQL, which ours cannot read."""
    try:
        found = (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        return
    if found != postgres_major():
        raise InvalidInput(
            f"{data} holds a database of PostgreSQL {found}; this FastTrack comes with PostgreSQL {postgres_major()}. "
            "Use the FastTrack that wrote it (pg_dump there moves the data to a new one), or choose another "
            "FASTTRACK_STATE_DIR."
        )


async def initialize(data: Path, identity: Identity, *, durable: bool) -> None:
    """Make the data directory, which does not exist, and clear away what a crash left beside it."""
    for leftover in data.parent.glob("new-*"):
        await asyncio.to_thread(shutil.rmtree, leftover, ignore_errors=True)
    new = own_directory(data.with_name(f"new-{secrets.token_hex(4)}"), uid=identity.uid, gid=identity.gid)
    # The built-in locale sorts alike on every machine, and an upgrade of the system cannot corrupt an index.
    done = await processes.run(
        identity,
        postgres_binary("initdb"),
        *("-D", new, "-U", "postgres", "--auth=peer", "--encoding=UTF8", "--no-instructions"),
        *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        *(() if durable else ("--no-sync",)),
    )
    if done.returncode:
        await asyncio.to_thread(shutil.rmtree, new, ignore_errors=True)
        raise start_failure("PostgreSQL", "\n".join(done.output.strip().splitlines()[-6:]))
    new.rename(data)
    if durable:
        _sync(data.parent)


def configure(data: Path, identity: Identity, *, sockets: Path, durable: bool) -> None:
    """Write the configuration, and let root and the caller in, whom the kernel tells apart."""
    safe = "on" if durable else "off"
    custom = "include 'custom.conf'\n" if (data / "custom.conf").exists() else ""
    names = sorted({pwd.getpwuid(uid).pw_name for uid in (0, os.geteuid())})
    users = "".join(f'local_user "{name}" {role}\n' for name in names for role in ("postgres", "fasttrack"))
    for file, text in (
        ("postgresql.conf", CONFIGURATION.format(sockets=sockets, durable=safe) + custom),
        ("pg_hba.conf", "local all all peer map=local_user\n"),
        ("pg_ident.conf", users),
    ):
        write_file(data / file, text, uid=identity.uid, gid=identity.gid)


def _sync(directory: Path) -> None:
    """Make a rename in `directory` survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
