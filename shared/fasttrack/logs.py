"""What one attempt printed, as people may see it: masked, read from any byte, or followed until the attempt is over.

Offsets are those of the bytes as they were written; masking changes no length. A page of a running attempt ends before
what may turn out to be a secret, and the next one begins there.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from uuid import UUID

from .db import Db
from .db.secrets import SecretBox, load_secret_values
from .errors import Unavailable
from .storage import LogChunk, LogSource, Masker

PIECE = 64 * 1024
"""Bytes that are read at once where nobody says otherwise."""
_BLOCK = 256 * 1024


@dataclass(frozen=True, slots=True)
class TextChunk:
    """A piece of a log as text. Offsets are in bytes."""

    text: str
    offset: int
    next_offset: int
    is_final: bool
    """The attempt is over and nothing follows."""


async def load_maskers(db: Db, box: SecretBox, projects: Collection[UUID]) -> dict[UUID, Masker]:
    """Know the secrets of each of these projects as they are now: ask when an attempt has begun, for it had those of then."""
    return {project: Masker(values) for project, values in (await load_secret_values(db, box, projects)).items()}


class Characters:
    """Turns chunks that follow one another into text, never with half a character."""

    def __init__(self, offset: int) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._offset = offset

    def read(self, chunk: LogChunk) -> TextChunk:
        """The text up to the last whole character; what is no UTF-8 becomes U+FFFD."""
        text = self._decoder.decode(chunk.data, final=chunk.is_final)
        offset, self._offset = self._offset, chunk.next_offset - len(self._decoder.getstate()[0])
        return TextChunk(text, offset, self._offset, chunk.is_final)


class MaskedLog:
    """The output of one compute session."""

    def __init__(self, source: LogSource, name: str, masker: Masker) -> None:
        self._source = source
        self._name = name
        self._masker = masker

    async def read(self, offset: int, limit: int) -> LogChunk:
        """At most `limit` bytes from `offset` on. :raises Unavailable: the site cannot be asked."""
        lead = min(offset, self._masker.reach)
        raw = await self._source.logs(self._name, offset=offset - lead, limit=lead + limit + self._masker.reach)
        if not self._masker.reach:
            return raw
        return await asyncio.to_thread(self._masked, raw, offset, lead, limit)

    def _masked(self, raw: LogChunk, offset: int, lead: int, limit: int) -> LogChunk:
        settled = len(raw.data) if raw.is_final else self._masker.settled(raw.data)
        data = self._masker.mask(raw.data)[lead : min(lead + limit, max(settled, lead))]
        reached = offset + len(data)
        is_final = raw.is_final and reached >= raw.next_offset
        return LogChunk(data, reached, is_final, raw.size)

    async def end(self) -> LogChunk:
        """How far it can be read at this moment, with no data. :raises Unavailable: the site cannot be asked."""
        size = (await self._source.logs(self._name, offset=0, limit=0)).size or 0
        last = await self.read(max(size - self._masker.reach, 0), self._masker.reach)
        return LogChunk(b"", max(last.next_offset, 0), last.is_final, size)

    async def begin_of_tail(self, lines: int, end: int) -> int:
        """Where the last so many lines before `end` begin."""
        if lines == 0:
            return end
        at, missing, is_last = end, lines, True
        while at > 0:
            start = max(at - _BLOCK, 0)
            data = (await self._source.logs(self._name, offset=start, limit=at - start)).data
            place = len(data)
            if is_last and data.endswith(b"\n"):
                place -= 1  # it ends the last line, and begins none
            is_last = False
            while (place := data.rfind(b"\n", 0, place)) >= 0:
                missing -= 1
                if missing == 0:
                    return start + place + 1
            at = start
        return 0

    async def is_gone(self) -> bool:
        """Whether nothing of it is there any more, or yet: of an attempt that is over it says that it was pruned."""
        chunk = await self._source.logs(self._name, offset=0, limit=1)
        return not chunk.data and not chunk.is_final


@dataclass(frozen=True)
class Pace:
    """How one who follows waits."""

    is_open: Callable[[], Awaitable[bool]]
    """Whether the attempt still has, or may get, a session. May be asked often."""
    rest: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits at most so many seconds; sooner if there is reason to look."""
    shortest: float = 0.1
    longest: float = 1.0
    quiet: float = 15.0
    """After so many seconds without a word an empty chunk says that it goes on."""


async def followed(log: MaskedLog, offset: int, pace: Pace, *, piece: int = PIECE) -> AsyncIterator[LogChunk]:
    """Everything from `offset` on, as it is written; the last chunk is final. Reads only as fast as it is asked.

    Outlives its site being away for a while.
    """
    rest, was_over = pace.shortest, False
    loop = asyncio.get_running_loop()
    told = loop.time()
    while True:
        if loop.time() - told >= pace.quiet:
            told = loop.time()
            yield LogChunk(b"", offset, is_final=False)
        try:
            chunk = await log.read(offset, piece)
        except Unavailable:
            await pace.rest(pace.longest)
            continue
        if chunk.data:
            yield chunk
            if chunk.is_final:
                return
            offset, rest, told = chunk.next_offset, pace.shortest, loop.time()
            continue
        if chunk.is_final or rest > pace.shortest:
            # The attempt knows best: a session that is only being created may look like one that ended without a word,
            # and one whose files are gone like one that runs. What it wrote last is read after it is known to be over.
            is_over = not await pace.is_open()
            if is_over and (chunk.is_final or was_over):
                yield LogChunk(b"", offset, is_final=True)
                return
            was_over = is_over
        await pace.rest(rest)
        rest = min(rest * 1.5, pace.longest)
