"""Takes secrets out of a stream of bytes, also where one is cut by the end of a piece (I21: secrets appear nowhere).

Masked are the values of at least `SHORTEST` characters, as they are, percent-encoded and in base64 at any of its three
alignments; of values with several lines also every line that is long enough.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

SHORTEST = 8
MASK = b"***"


class Masker:
    """Masks one stream. Offsets of the stream stay those of the unmasked bytes."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = sorted({form for value in values for form in _forms(value)}, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, forms))) if forms else None
        # Every proper beginning of a form: what may turn out to be one when more comes.
        self._forms = forms
        self.longest = len(forms[0]) if forms else 0
        self._held = b""
        self._to_drop = 0

    def drop(self, count: int) -> None:
        """Print nothing of the next `count` bytes: they are read only to recognise what begins in them."""
        self._to_drop += count

    def feed(self, data: bytes, *, is_final: bool) -> bytes:
        """What may be printed now; what could be the beginning of a secret is held back until more comes."""
        if self._pattern is None:
            return self._after_drop(data)
        text = self._held + data
        shown = []
        at = 0
        for match in self._pattern.finditer(text):
            if not is_final and match.end() > len(text) - self.longest and self._could_grow(text[match.start() :]):
                break  # a longer form may begin here
            shown.append(self._after_drop(text[at : match.start()]))
            shown.append(self._masked(len(match.group())))
            at = match.end()
        keep = len(text) if is_final else max(at, self._held_from(text, at))
        shown.append(self._after_drop(text[at:keep]))
        self._held = text[keep:]
        return b"".join(shown)

    def _could_grow(self, tail: bytes) -> bool:
        return any(len(form) > len(tail) and form.startswith(tail) for form in self._forms)

    def _held_from(self, text: bytes, at: int) -> int:
        """Where the first possible beginning of a secret stands in the end of the text."""
        for start in range(max(at, len(text) - self.longest + 1), len(text)):
            if self._could_grow(text[start:]):
                return start
        return len(text)

    def _after_drop(self, text: bytes) -> bytes:
        dropped = min(self._to_drop, len(text))
        self._to_drop -= dropped
        return text[dropped:]

    def _masked(self, length: int) -> bytes:
        if self._to_drop >= length:
            self._to_drop -= length
            return b""
        self._to_drop = 0  # a secret that begins before and ends after the place is masked as a whole
        return MASK


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
