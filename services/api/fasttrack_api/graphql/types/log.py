"""Logs: what an attempt printed, by page and as it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from fasttrack.errors import InvalidInput
from fasttrack.logs import Characters, TextChunk

from ...streams.logs import MOST_PAGE, Printed, page_of

if TYPE_CHECKING:
    from ..context import Context

USUAL_PAGE = 64 * 1024
"""Bytes of a page where nobody says otherwise."""
_LEAST = 4  # one character may have as many bytes

OfAttempt = Annotated[int | None, strawberry.argument(description="The number of the attempt; null: the newest.")]
FromByte = Annotated[
    int, strawberry.argument(description="Begin at this byte: 0, or the `nextOffset` of a page before.")
]
MostBytes = Annotated[
    int, strawberry.argument(description=f"At most so many bytes of text, {_LEAST} to {MOST_PAGE} (256 KiB).")
]


@strawberry.type(
    description="A piece of a log. Offsets are in bytes, and no piece has half a character; bytes that are no UTF-8 are "
    "shown as U+FFFD. Values of the project's secrets are shown as `*`, one for each byte."
)
class LogPage:
    """Of one attempt."""

    text: str = strawberry.field(description="What was printed; empty when nothing was, or nothing yet.")
    offset: int = strawberry.field(description="Where the text begins, in bytes.")
    next_offset: int = strawberry.field(description="Where to read on, in bytes.")
    is_end: bool = strawberry.field(description="Whether the attempt is over and nothing follows.")
    attempt: int = strawberry.field(description="The number of the attempt; 0: there is none yet.")

    @classmethod
    def of(cls, chunk: TextChunk, attempt: int) -> LogPage:
        """As the schema shows it."""
        return cls(
            text=chunk.text,
            offset=chunk.offset,
            next_offset=chunk.next_offset,
            is_end=chunk.is_final,
            attempt=attempt,
        )


async def read_log_page(context: Context, instance: UUID, attempt: int | None, offset: int, limit: int) -> LogPage:
    """A page of the log of an attempt of that instance, which the caller may read.

    :raises NotFound: there is no such attempt. :raises LogPruned, FilesElsewhere: the log is not here.
    """
    require_offset(offset)
    if not _LEAST <= limit <= MOST_PAGE:
        raise InvalidInput(f"`limit` is {_LEAST} to {MOST_PAGE} bytes; read page by page")
    site = await context.loaders.instance_sites.load(instance)
    assert site is not None
    printed = Printed.chosen(site, attempt)
    masker = await context.loaders.maskers.load(site.project_id)
    assert masker is not None
    chunk = await page_of(context.parts, printed, masker, offset=offset, limit=limit)
    return LogPage.of(Characters(offset).read(chunk), printed.attempt)


def require_offset(offset: int) -> None:
    """Pass if a log may be read from there."""
    if offset < 0:
        raise InvalidInput("`offset` is a number of bytes, from 0 on")
