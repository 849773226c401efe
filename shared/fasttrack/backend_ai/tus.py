"""Sending a file to the storage proxy in parts, as tus 1.0 has it.

Proxies of 23.09 append whatever comes, wherever its sender believes to be; later ones refuse another offset than theirs.
"""

from __future__ import annotations

from .answers import Away, ManagerError, Refused
from .gateway import Gateway

_TUS = {"Tus-Resumable": "1.0.0"}
_GONE = frozenset({400, 401, 403, 404, 410})
_CONTENDED = frozenset({409, 423})


class Contended(ManagerError):
    """Another request has written to it meanwhile, or is writing: nothing was taken."""


async def offset_of(gateway: Gateway, address: str) -> int | None:
    """How many bytes the proxy has; `None`: it knows no such upload, or not any more. :raises Away: no answer came."""
    status, headers = await gateway.exchange("HEAD", address, headers=_TUS)
    if status in _GONE:
        return None
    return _offset(status, headers.get("Upload-Offset", ""))


async def send(gateway: Gateway, address: str, offset: int, data: bytes) -> int | None:
    """Add a part; where to go on, or `None`: it knows no such upload. The last part puts the file in its place.

    :raises Contended: it is at another offset. :raises ManagerError: it may have taken some of it: ask how far it is.
    """
    headers = {**_TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    status, told = await gateway.exchange("PATCH", address, headers=headers, content=data)
    if status in _GONE:
        return None
    if status in _CONTENDED:
        raise Contended(f"the storage proxy has it at another offset than {offset}", status)
    return _offset(status, told.get("Upload-Offset", ""))


def _offset(status: int, told: str) -> int:
    if status >= 500 or status == 429:
        raise Away(f"the storage proxy answered {status}", status)
    if status >= 300 or not told.isdecimal():
        raise Refused(f"the storage proxy does not take files as it should: it answered {status}", status)
    return int(told)
