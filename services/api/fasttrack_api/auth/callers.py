"""From a connection to its caller."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from fasttrack.domain.access import Caller
from fasttrack.domain.tokens import looks_like_ours
from fasttrack.errors import Forbidden, Unauthenticated

from ..parts import Parts
from .desk import Desk
from .loopback import is_from_this_machine

TAKES_STORED = "fasttrack.takes_stored"
"""In a scope: what is asked for may be a stored operation, and whoever answers looks that it is (`graphql/stored.py`)."""


class StoredOnly(Forbidden):
    """The token runs stored operations of GraphQL, and is good for nothing else."""

    code = "STORED_OPERATIONS_ONLY"


async def caller_of(connection: HTTPConnection) -> Caller:
    """Who calls. Ask for each request, and every two seconds while a stream is open: what was revoked ends so.

    The token is in the header `Authorization` and nowhere else. Without one it is the machine's owner if the call comes
    from this machine and settings say that this is enough.

    :raises Unauthenticated: nobody knows, or the token is not worth anything.
    :raises StoredOnly: the token runs stored operations only, and these are not asked for here.
    :raises TooManyRequests: too many wrong tokens came from that address.
    :raises Unavailable: the database, or the identity provider, is away.
    """
    caller = await _caller_of(connection)
    if caller.is_stored_only and not connection.scope.get(TAKES_STORED):
        raise StoredOnly
    return caller


async def _caller_of(connection: HTTPConnection) -> Caller:
    parts = Parts.of(connection)
    desk = Desk.of(parts)
    origin = connection.client.host if connection.client else ""
    given = connection.headers.getlist("authorization")
    if not given:
        _refuse_token_in_address(connection)
        if parts.settings.is_open_on_loopback and is_from_this_machine(connection):
            return await desk.owner(origin)
        raise Unauthenticated
    if len(given) > 1:
        raise Unauthenticated("the header Authorization is there more than once; send one token")
    scheme, _, text = given[0].strip().partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("the header Authorization must be `Bearer TOKEN`")
    return await desk.caller_of(text.strip(), origin)


async def caller_of_token(parts: Parts, token: str, origin: str) -> Caller:
    """Who a token stands for that came in another way, such as in the first message of a socket.

    :param token: with or without `Bearer` before it.
    :param origin: the address of the peer.
    :raises Unauthenticated: the token is not worth anything.
    :raises StoredOnly: it runs stored operations only.
    :raises TooManyRequests: too many wrong tokens came from that address.
    :raises Unavailable: the database, or the identity provider, is away.
    """
    scheme, _, text = token.strip().partition(" ")
    bare = text.strip() if scheme.lower() == "bearer" else token.strip()
    caller = await Desk.of(parts).caller_of(bare, origin)
    if caller.is_stored_only:
        raise StoredOnly
    return caller


def _refuse_token_in_address(connection: HTTPConnection) -> None:
    if any(looks_like_ours(value) for _, value in connection.query_params.multi_items()):
        raise Unauthenticated(
            "a token does not belong into an address, which many programs write down: "
            "revoke this one, and send another as `Authorization: Bearer TOKEN`"
        )
