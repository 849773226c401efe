"""From a connection to its caller."""

from __future__ import annotations

from uuid import UUID

from starlette.requests import HTTPConnection

from fasttrack.domain.access import Caller
from fasttrack.errors import Unauthenticated

_OWNER = UUID(int=1)


async def caller_of(connection: HTTPConnection) -> Caller:
    """Who calls. Asked for each request, and again while a stream is open.

    On loopback it is the machine's owner, as whoever can use the machine's ports can use its files.

    :raises Unauthenticated: nobody knows.
    """
    host = connection.client.host if connection.client else ""
    if host in ("127.0.0.1", "::1"):
        return Caller(_OWNER, "owner", is_superadmin=True, origin=host)
    raise Unauthenticated
