"""Writing to an upload of a cluster: in parts, each a request; what has a checksum only when it is known to be right."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Awaitable, Callable
from typing import IO

from .base import TooLarge, WrongChecksum

PART = 8 * 2**20
"""Bytes of one request to the storage proxy at most; they are in memory meanwhile."""


class ClusterAppending:
    """Writes to one upload, within a block."""

    def __init__(
        self,
        send: Callable[[int, bytes], Awaitable[int]],
        length: int,
        offset: int,
        checksum: tuple[str, bytes] | None,
    ) -> None:
        """:param send: sends bytes that belong to an offset, and says where to go on."""
        self.offset = offset
        """How far the cluster has it."""
        self._send = send
        self._left = length - offset
        self._length = length
        self._part = bytearray()
        self._checksum = checksum
        self._digest = hashlib.new(checksum[0], usedforsecurity=False) if checksum is not None else None
        self._aside: IO[bytes] | None = None
        self._has_failed = False

    async def __aenter__(self) -> ClusterAppending:
        if self._digest is not None:
            self._aside = await asyncio.to_thread(tempfile.SpooledTemporaryFile, PART)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._aside is not None:
            await asyncio.to_thread(self._aside.close)

    async def write(self, data: bytes) -> None:
        """As the contract says."""
        if len(data) > self._left:
            raise TooLarge(f"the upload was to have {self._length} bytes, and this is more; begin another one")
        self._left -= len(data)
        if self._digest is not None and self._aside is not None:
            self._digest.update(data)
            await asyncio.to_thread(self._aside.write, data)
            return
        self._part += data
        while len(self._part) >= PART:
            await self._send_part(PART)

    async def settle(self, *, is_whole: bool) -> None:
        """Send what was not sent yet, or may be now. :raises WrongChecksum: it is not what was meant to come."""
        if self._has_failed:
            return
        if self._digest is not None and self._aside is not None:
            if not is_whole:
                return
            if self._digest.digest() != (self._checksum or ("", b""))[1]:
                raise WrongChecksum
            await asyncio.to_thread(self._aside.seek, 0)
            while data := await asyncio.to_thread(self._aside.read, PART):
                self._part += data
                await self._send_part(PART)
        elif self._part:
            await self._send_part(PART)

    async def _send_part(self, count: int) -> None:
        part = bytes(self._part[:count])
        try:
            self.offset = await self._send(self.offset, part)
        except BaseException:
            self._has_failed = True  # some of it may be there: whoever goes on asks how much
            raise
        del self._part[:count]
