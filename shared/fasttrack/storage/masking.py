"""Takes secrets out of what is shown (S62), wherever a reader begins and ends.

Masked are the values of at least `SHORTEST` characters, as they are, percent-encoded and in base64 at any of its three
alignments; of values with several lines also every line that is long enough.

Every byte of every occurrence becomes `*`, only line ends stay. So a masked text is as long as what was written, an offset
means the same in both, and whether a byte is masked depends on its neighbourhood alone: pieces that are read one by one,
by whoever and in whatever order, are pieces of one and the same text.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

SHORTEST = 8
_STARS = bytes(c if c in b"\r\n" else ord("*") for c in range(256))
_SEED = 4  # bytes of a form that are looked for before it is compared


class Masker:
    """Knows the secrets of one project."""

    def __init__(self, values: Iterable[str]) -> None:
        self._forms = sorted({form for value in values for form in _forms(value)}, key=len)
        self.reach = max(len(self._forms[-1]) - 1, 0) if self._forms else 0
        """How many bytes before and after a byte have a say in whether it is masked."""

    def mask(self, text: bytes) -> bytes:
        """The text with all that is secret in it masked; of the same length."""
        found = bytearray(text)
        for form in self._forms:
            for start, end in _occurrences(text, form):
                found[start:end] = text[start:end].translate(_STARS)
        return bytes(found)

    def settled(self, text: bytes) -> int:
        """How much of the text cannot come to be secret by what follows: up to where one may have begun."""
        return min((_begun(text, form) for form in self._forms), default=len(text))


def _occurrences(text: bytes, form: bytes) -> Iterator[tuple[int, int]]:
    """Where the form stands in the text; occurrences that touch or overlap are told as one."""
    at = text.find(form)
    while at >= 0:
        start, end = at, at + len(form)
        at = text.find(form, at + 1)
        while 0 <= at <= end:
            end = at + len(form)
            at = text.find(form, at + 1)
        yield start, end


def _begun(text: bytes, form: bytes) -> int:
    """Where in the end of the text the form may have begun without being whole; the text's length if nowhere."""
    at = max(len(text) - len(form) + 1, 0)
    seed, view = form[:_SEED], memoryview(text)
    while (at := text.find(seed, at)) >= 0:
        if form.startswith(view[at:]):
            return at
        at += 1
    short = range(max(len(text) - _SEED + 1, 0), len(text))
    return next((place for place in short if form.startswith(text[place:])), len(text))


def _forms(value: str) -> set[bytes]:
    lines = [line for line in value.splitlines() if line != value] if len(value.splitlines()) > 1 else []
    plain = [text for text in (value, value.strip(), *lines) if len(text) >= SHORTEST]
    return {form for text in plain for form in _encodings(text)}


def _encodings(text: str) -> set[bytes]:
    raw = text.encode()
    forms = {raw, quote(text, safe="").encode(), quote_plus(text).encode(), quote(text).encode()}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        forms.update((encode(raw), encode(raw).rstrip(b"=")))
        for shift in range(3):
            # Inside a longer text the value may begin at any third of a group: the characters it shares are left out.
            encoded = encode(b"\0" * shift + raw)
            first = (0, 2, 3)[shift]
            last = len(raw) + shift
            whole = last // 3 * 4 + (0, 1, 2)[last % 3]
            forms.add(encoded[first:whole])
    return {form for form in forms if len(form) >= SHORTEST}
