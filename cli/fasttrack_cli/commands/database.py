"""`fasttrack db`: the schema of the database."""

from __future__ import annotations

from ..exits import NO, OK
from ..invocation import Invocation


async def upgrade(call: Invocation) -> int:
    """Bring the database to the schema this FastTrack needs. Safe to repeat, and to run from many places at once.

    The embedded database is upgraded by every command by itself; this is for one you run yourself.

    Example: `FASTTRACK_DATABASE_URL=postgresql://… fasttrack db upgrade`
    """
    from fasttrack.db import migrate

    from ..servers import ensure_servers

    addresses = await ensure_servers(call.settings)
    before = await migrate.check(addresses.database_url, compare=False)
    after = await migrate.upgrade(addresses.database_url)
    if call.out.as_json:
        call.out.document({"before": before.current, "current": after.current})
    elif before.current == after.current:
        call.out.text(f"the schema is current: {after.current}")
    else:
        call.out.text(f"upgraded the schema from {before.current or 'nothing'} to {after.current}")
    return OK


async def check(call: Invocation) -> int:
    """Compare the database's schema with what this FastTrack needs. Changes nothing.

    Exit code 0: it is current; 1: it is not, and every difference is told.

    Example: `fasttrack db check`
    """
    from fasttrack.db import migrate

    from ..servers import ensure_servers

    addresses = await ensure_servers(call.settings)
    status = await migrate.check(addresses.database_url)
    if call.out.as_json:
        call.out.document(
            {
                "is_current": status.is_current,
                "current": status.current,
                "needed": status.head,
                "differences": list(status.differences),
            }
        )
        return OK if status.is_current else NO
    if status.is_current:
        call.out.text(f"the schema is current: {status.current}")
        return OK
    if status.current != status.head:
        call.out.text(f"the schema is {status.current or 'empty'}, needed is {status.head}: run `fasttrack db upgrade`")
    for difference in status.differences:
        call.out.text(f"differs: {difference}")
    return NO


COMMANDS = (("upgrade", upgrade), ("check", check))
