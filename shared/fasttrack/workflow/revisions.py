"""Changes by people who have seen what they change: whoever was overtaken is told, and changes nothing."""

from __future__ import annotations

from ..errors import Conflict


class Overtaken(Conflict):
    """Somebody changed it since the caller looked at it."""


def require_revision(what: str, revision: int, expected: int | None) -> None:
    """Pass if a thing is as the caller has seen it. Its row must be held, or the write must check it again.

    :param what: how it is called, such as `secret HUB_TOKEN`.
    :param revision: the one it is at, 0 if there is none.
    :param expected: the one that the caller has seen, 0 for none; `None`: whatever there is.
    :raises Overtaken: it is another.
    """
    if expected in (None, revision):
        return
    if not expected:
        raise Overtaken(f"there is a {what} already, at revision {revision}; look at it and decide again")
    if not revision:
        raise Overtaken(f"{what} is not there any more: somebody removed it in between")
    raise Overtaken(
        f"{what} is at revision {revision}, not {expected}: somebody changed it in between; look at it and decide again"
    )
