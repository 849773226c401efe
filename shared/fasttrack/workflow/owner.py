"""The owner's token: whoever can read the state directory may do everything, and nobody needs to sign in first."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from ..db import Database, Db
from ..db import tokens as stored
from ..db.accounts import load_standing
from ..domain.access import OWNER, Caller, Permission
from ..domain.tokens import NewToken, TokenKind, hash_token, kind_of, new_token
from ..errors import Conflict, InvalidInput
from ..settings import Settings
from .accounts import caller_of
from .audit import record

FILE = "owner-token"
"""Of the state directory."""


async def owner_token(settings: Settings, database: Database) -> Path:
    """The file `owner-token` of the state directory, readable by its owner only, with a token that works; made if need be.

    The token is the machine owner's, allows everything and does not expire; removing the file and calling this again
    makes a new one and revokes the old. Safe to race. The text is in the file and nowhere else.

    :raises InvalidInput: the file cannot be written, or others could read it and that cannot be mended.
    :raises Unavailable: the database is away.
    """
    path = settings.state_dir / FILE

    async def work(db: Db) -> Path:
        await stored.lock_owner_token(db)
        with _naming(path):
            text = _read(path)
        if not await _works(db, text):
            await _renew(db, path)
        return path

    return await database.run(work)


async def local_caller(db: Db, name: str) -> Caller:
    """The machine's owner at the command line: whoever has the address of the database may do everything anyhow.

    :param name: of the user of the machine, for the audit log.
    """
    standing = await load_standing(db, OWNER)
    if standing is None:
        raise Conflict("the owner's account is missing from the database; restore it, or run `fasttrack db check`")
    caller = caller_of(standing, origin="command line")
    return Caller(OWNER, name, caller.kind, is_superadmin=True, roles=caller.roles, origin=caller.origin)


async def _works(db: Db, text: str) -> bool:
    if kind_of(text) is None:
        return False
    bearer = await stored.find_bearer(db, hash_token(text))
    return bearer is not None and bearer.token.revoked_at is None and bearer.token.account_id == OWNER


async def _renew(db: Db, path: Path) -> None:
    now = datetime.now(UTC)
    # Of this state directory of this machine alone: another one's token goes on working.
    place = hashlib.sha256(f"{socket.gethostname()}:{path.parent.resolve()}".encode()).hexdigest()[:12]
    name = f"owner-token {socket.gethostname()[:30]} {place}"
    caller = await local_caller(db, "owner")
    await stored.set_revoked(db, await stored.find_live_named(db, OWNER, name), now)
    secret = new_token(TokenKind.PERSONAL)
    token = await stored.insert_token(
        db,
        secret,
        OWNER,
        name=name,
        scopes=frozenset(Permission),
        only_project=None,
        by="owner",
        now=now,
        not_before=now,
        expires_at=None,
    )
    await record(db, caller, "token.create", object_kind="token", object_id=token.id, after={"name": name})
    # Before the commit: should that fail, the file holds a token that nobody knows, and the next start makes another.
    with _naming(path):
        _write(path, secret, token.id)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    # In a transaction a fault of the disk would be taken for one of the way to the database, and tried again.
    try:
        yield
    except OSError as error:
        raise InvalidInput(f"the owner's token cannot be kept at {path}: {error.strerror}") from error


def _read(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return ""
    with open(descriptor, encoding="ascii", errors="replace") as file:
        status = os.fstat(descriptor)
        if status.st_uid != os.getuid():
            raise InvalidInput(f"{path} belongs to another user; remove it")
        # Others could have read it: it is worth nothing any more.
        return "" if status.st_mode & 0o077 else file.read(200).strip()


def _write(path: Path, secret: NewToken, token: UUID) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_name(f".{path.name}.{token.hex[-8:]}{uuid4().hex[:8]}")
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
        file.write(f"{secret.text}\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
