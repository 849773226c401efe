"""Secrets: encrypted at rest with a key that the database never sees, read by name at the last moment.

AES-256-GCM; the project and the name are authenticated with the value, so that a ciphertext moved to another row does not
decrypt (S61). `ciphertext` is nonce (12 bytes) and sealed text.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..errors import Conflict, InvalidInput
from ..ids import ProjectId
from ..settings import Settings
from .engine import Db


class SecretBox:
    """Seals and opens secrets with one 32-byte key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self.key_id = hashlib.sha256(b"fasttrack key id" + key).hexdigest()[:16]

    @classmethod
    def from_settings(cls, settings: Settings) -> SecretBox:
        """The box whose key `FASTTRACK_SECRET_KEY` gives, or a key file in the state directory, made if missing.

        :raises InvalidInput: the key is not 32 bytes in base64, or the file cannot be used.
        """
        if settings.secret_key is not None:
            return cls(_decode(settings.secret_key.get_secret_value(), "FASTTRACK_SECRET_KEY"))
        path = settings.state_dir / "secret.key"
        try:
            return cls(_decode(_read_or_make(path), str(path)))
        except OSError as error:
            raise InvalidInput(f"the key of the secrets cannot be read or made at {path}: {error.strerror}") from error

    def seal(self, owner: UUID, name: str, value: str) -> bytes:
        """The value, encrypted and bound to its name and to what it belongs to, such as a project."""
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, value.encode(), _bound_to(owner, name))

    def open(self, owner: UUID, name: str, sealed: bytes) -> str:
        """The value. :raises Conflict: another key sealed it, or it was tampered with."""
        try:
            return self._cipher.decrypt(sealed[:12], sealed[12:], _bound_to(owner, name)).decode()
        except InvalidTag:
            raise Conflict(
                f"secret {name} cannot be decrypted with the present key; set it again, or restore FASTTRACK_SECRET_KEY"
            ) from None


def _decode(text: str, place: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise InvalidInput(f"{place} must hold 32 bytes in base64, such as `head -c32 /dev/urandom | base64` prints")
    return key


def _read_or_make(path: Path) -> str:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Written aside and linked into place: of two first starts one wins, and nobody reads half a key.
        aside = path.with_name(f"{path.name}.{os.getpid()}")
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(base64.b64encode(os.urandom(32)).decode())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(aside, path)
        aside.unlink()
    return path.read_text()


def _bound_to(owner: UUID, name: str) -> bytes:
    return owner.bytes + name.encode()


_SHOWN = "SELECT name, updated_by, updated_at, revision FROM secret"


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """A secret as lists show it: never its value."""

    name: str
    updated_by: str
    updated_at: datetime
    revision: int
    """Another one with every value; a number is never used twice, nor by another secret."""


async def put_secret(
    db: Db, box: SecretBox, project: ProjectId, name: str, value: str, *, by: str, over: int | None = None
) -> int | None:
    """Store a secret, over an older value of that name; its revision.

    :param over: the revision that is held, 0 for none. `None` is answered if somebody was faster.
    """
    revision: int | None = await db.value(
        """INSERT INTO secret AS held (project_id, name, key_id, ciphertext, updated_by, revision)
           VALUES ($1, $2, $3, $4, $5, nextval('revision'))
           ON CONFLICT (project_id, name) DO UPDATE SET key_id = excluded.key_id, ciphertext = excluded.ciphertext,
             updated_by = excluded.updated_by, updated_at = now(), revision = excluded.revision
           WHERE $6::int IS NULL OR held.revision = $6 RETURNING revision""",
        project,
        name,
        box.key_id,
        box.seal(project, name, value),
        by,
        over,
    )
    return revision


async def find_secret(db: Db, project: ProjectId, name: str, *, lock: bool = False) -> SecretRecord | None:
    """What lists show of the secret; `None`: there is none. :param lock: nobody changes it until the transaction ends."""
    row = await db.row(f"{_SHOWN} WHERE project_id = $1 AND name = $2{' FOR UPDATE' if lock else ''}", project, name)
    return SecretRecord(**row) if row else None


async def delete_secret(db: Db, project: ProjectId, name: str) -> bool:
    """Forget a secret. `False`: there was none."""
    return await db.execute("DELETE FROM secret WHERE project_id = $1 AND name = $2", project, name) == 1


async def list_secrets(db: Db, project: ProjectId) -> list[SecretRecord]:
    """Names of the project's secrets, never their values."""
    rows = await db.rows(f"{_SHOWN} WHERE project_id = $1 ORDER BY name", project)
    return [SecretRecord(**r) for r in rows]


async def read_secrets(db: Db, box: SecretBox, project: ProjectId, names: Collection[str]) -> dict[str, str]:
    """The values of these secrets; a name that is not there is left out. :raises Conflict: the key is another."""
    rows = await db.rows(
        "SELECT name, ciphertext FROM secret WHERE project_id = $1 AND name = ANY($2::text[])", project, list(names)
    )
    return {r["name"]: box.open(project, r["name"], r["ciphertext"]) for r in rows}


async def load_secret_values(db: Db, box: SecretBox, projects: Collection[UUID]) -> dict[UUID, list[str]]:
    """The values of all secrets of these projects, to be looked for in what is shown; those of another key are left out."""
    found: dict[UUID, list[str]] = {project: [] for project in projects}
    sql = "SELECT project_id, name, ciphertext FROM secret WHERE project_id = ANY($1::uuid[]) ORDER BY project_id, name"
    for project, name, sealed in await db.rows(sql, list(projects)):
        with suppress(Conflict):  # sealed with another key: no task of ours can have had it
            found[project].append(box.open(project, name, sealed))
    return found


async def missing_secrets(db: Db, project: ProjectId, names: Collection[str]) -> list[str]:
    """Which of these names the project has no secret for, sorted."""
    rows = await db.rows(
        "SELECT n FROM unnest($2::text[]) AS n WHERE n NOT IN (SELECT name FROM secret WHERE project_id = $1)",
        project,
        list(names),
    )
    return sorted(r["n"] for r in rows)
