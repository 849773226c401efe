"""Access tokens: how they look, and what of them is stored.

`ftp_` (personal) or `fts_` (service), 30 characters by chance, 6 of checksum, all letters and digits: a scanner of leaked
secrets finds them by their prefix, and a mistyped one is known without a question to the database. Chance gives 178 bits,
so a plain SHA-256 cannot be turned back by trying; a key in the hash would protect nothing more, and would make every
token worthless when that key is lost or differs between two machines.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass
from enum import StrEnum

from ..errors import InvalidInput


class TokenKind(StrEnum):
    """Whom a token stands for."""

    PERSONAL = "personal"  #: a person
    SERVICE = "service"  #: a service account


PREFIXES = {TokenKind.PERSONAL: "ftp_", TokenKind.SERVICE: "fts_"}
LENGTH = 40
"""Characters of every token."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY = 30
_CHECK = 6
_FORM = re.compile(r"(ft[ps])_([0-9A-Za-z]{30})([0-9A-Za-z]{6})", re.ASCII)
_KINDS = {prefix: kind for kind, prefix in PREFIXES.items()}
_ANYWHERE = re.compile(r"\bft[ps]_[0-9A-Za-z]{36}\b", re.ASCII)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made. The text is known here and now, and never again."""

    kind: TokenKind
    text: str

    def __repr__(self) -> str:
        return f"NewToken({PREFIXES[self.kind]}***)"  # a value in a log or a traceback must not be one that works

    @property
    def hash(self) -> bytes:
        """What is stored of it."""
        return hash_token(self.text)


def require_token_name(name: str) -> None:
    """Pass if it can say what a token is for. :raises InvalidInput: it cannot."""
    if not 0 < len(name.strip()) <= 64 or not name.isprintable():
        raise InvalidInput("a token's name has 1 to 64 printable characters")


def new_token(kind: TokenKind) -> NewToken:
    """A token of that kind, by chance."""
    head = PREFIXES[kind] + "".join(secrets.choice(_ALPHABET) for _ in range(_BODY))
    return NewToken(kind, head + _checksum(head))


def kind_of(text: str) -> TokenKind | None:
    """The kind of a token whose form and checksum are right, or `None`. Asks nobody."""
    match = _FORM.fullmatch(text)
    if match is None or _checksum(text[:-_CHECK]) != match[3]:
        return None
    return _KINDS[f"{match[1]}_"]


def looks_like_ours(text: str) -> bool:
    """Whether it begins as our tokens do, whatever follows."""
    return text.startswith(tuple(_KINDS))


def hash_token(text: str) -> bytes:
    """What is stored of a token, and what it is found by."""
    return hashlib.sha256(text.encode("ascii", "replace")).digest()


def mask_tokens(text: str) -> str:
    """The text with `***` in place of whatever could be a token."""
    return _ANYWHERE.sub("***", text)


def _checksum(head: str) -> str:
    number = zlib.crc32(head.encode())
    digits = ""
    for _ in range(_CHECK):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
