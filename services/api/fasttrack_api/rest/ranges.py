"""Parts of a body: `Range`, `If-Range`, and what goes with them (RFC 9110, section 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.exceptions import HTTPException

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes of an answer, from `start` up to `end`, of `size` in all."""

    start: int
    end: int
    size: int
    is_part: bool
    """Whether it answers a `Range`, with 206."""

    @property
    def status(self) -> int:
        return 206 if self.is_part else 200

    def headers(self, *, is_whole: bool = True) -> dict[str, str]:
        """:param is_whole: `size` is not going to grow."""
        found = {"Accept-Ranges": "bytes", "Content-Length": str(self.end - self.start)}
        if self.is_part:
            found["Content-Range"] = f"bytes {self.start}-{self.end - 1}/{self.size if is_whole else '*'}"
        return found


def span_of(given: str | None, size: int, *, if_range: str | None = None, tag: str | None = None) -> Span:
    """What a `Range` asks for of so many bytes. All of it if there is none, if it is none of ours, or if it was meant for
    another content than the one with this tag.

    :raises HTTPException: 416: it asks for what is not there.
    """
    whole = Span(0, size, size, is_part=False)
    found = _RANGE.fullmatch(given.strip()) if given is not None else None
    if found is None or found[0] == "bytes=-" or (if_range is not None and if_range.strip() != tag):
        return whole  # several parts at once are answered with the whole, as anybody may
    first, last = found[1], found[2]
    if first == "":
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return whole
    if start >= end:
        raise HTTPException(
            416, f"the range {given!r} is not in these {size} bytes", {"Content-Range": f"bytes */{size}"}
        )
    return Span(start, end, size, is_part=True)
