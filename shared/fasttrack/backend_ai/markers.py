"""The two lines between which a session's log is what its command printed; the wrapper of the command prints them."""

from __future__ import annotations

import re


def cut(log: str, name: str) -> tuple[bytes, int | None]:
    """What the command printed, from the manager's log of its session, and its exit code once it has ended.

    The rest of a container's log (what its runner says before and after) is left out. Of a log that grows, each answer
    begins with the one before. A log that lost its beginning is taken from where it begins; one of a session that never
    ran the command is empty.
    """
    text = log.replace("\r\n", "\n")
    begin, end = f"=== fasttrack {name} begins ===\n", f"\n=== fasttrack {name} ends with code "
    ends = list(re.finditer(re.escape(end) + r"(\d{1,3}) ===(?:\n|\Z)", text))
    at = text.find(begin)
    if at < 0 and not ends:
        return b"", None
    start = 0 if at < 0 else at + len(begin)
    if ends and ends[-1].start() >= start:
        return _bytes(text[start : ends[-1].start()]), int(ends[-1][1])
    text = text[start:]
    return _bytes(text[: len(text) - _unsettled(text, end)]), None


def _unsettled(text: str, end: str) -> int:
    """How many characters at the end may turn out to belong to the marker, or to a line end."""
    if (found := re.search(re.escape(end) + r"(\d{1,3}( =?=?=?\r?)?)?\Z", text)) is not None:
        return len(text) - found.start()
    body = text.removesuffix("\r")
    length = max((n for n in range(1, len(end)) if body.endswith(end[:n])), default=0)
    return length + len(text) - len(body)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
