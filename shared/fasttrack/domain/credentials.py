"""The keys that sessions on a cluster are made with, as everybody but the cluster may know them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from uuid import UUID

from ..errors import InvalidInput
from ..ids import CredentialId, PipelineId, ProjectId

MOST_ACCESS_KEY = 100
MOST_SECRET_KEY = 256
_ACCESS_KEY = re.compile(r"[\x21-\x39\x3b-\x7e]+")  # printable, no blank, and no colon, which ends it in a signature


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a credential, without its secret half. The key of the settings is none of them."""

    credential: CredentialId
    id: UUID | None
    """`None`: the credential was removed, and its keys with it."""
    access_key: str
    holder: str
    """Whose it is, such as `project vision` or `alice`."""
    site: str
    """The cluster that it is of."""
    is_retiring: bool = field(default=False, compare=False)
    """Whether another took its place, and only what began with it goes on with it."""

    def __str__(self) -> str:
        return f"the key {self.access_key} of {self.holder}" if self.id is not None else f"the key of {self.holder}"


@dataclass(frozen=True, slots=True)
class HeldSession:
    """A session that is not one of the settings' key."""

    name: str
    pipeline: PipelineId
    key: Key
    """The one that it was made with; the present one if that is gone, or none was chosen yet."""
    is_elsewhere: bool
    """Whether the key that it was made with is gone: the cluster lists it to no other, and only its files are left."""
    has_begun: bool
    """Whether the cluster ever told of it."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose credential it is: exactly one of the two."""

    project: ProjectId | None = None
    account: UUID | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """What a cluster said of a key."""

    site: str
    user: str
    """Whose key it is there."""
    default_user: str
    """Whose the key of the settings is, which jobs without a credential run with."""


def require_keypair(access_key: str, secret_key: str) -> None:
    """Pass if a cluster could have such a key. :raises InvalidInput: it could not; the secret is not repeated."""
    if len(access_key) > MOST_ACCESS_KEY or not _ACCESS_KEY.fullmatch(access_key):
        raise InvalidInput(f"an access key has 1 to {MOST_ACCESS_KEY} characters, no blank and no colon among them")
    if not 0 < len(secret_key) <= MOST_SECRET_KEY or not secret_key.isascii() or not secret_key.isprintable():
        raise InvalidInput(f"a secret key has 1 to {MOST_SECRET_KEY} printable characters of ASCII")
    if secret_key != secret_key.strip():
        raise InvalidInput("the secret key begins or ends with a blank: give it without")
