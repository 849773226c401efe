"""People that an identity provider vouches for: their account is made at first sight, and is theirs by the provider's id."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime

from ..db import Db
from ..db import accounts as stored
from ..db.accounts import Standing
from ..domain.access import AccountKind, Caller, Role
from ..errors import Unauthenticated
from .accounts import caller_of
from .audit import record


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is at a provider, as a token that was verified says."""

    issuer: str
    subject: str
    """Their id there; it is never given to somebody else."""
    name: str
    email: str
    display_name: str
    expires_at: datetime
    roles: tuple[tuple[str, Role], ...] = field(default=())
    """Roles in projects, by the projects' names; a project that is not there is passed over."""
    is_superadmin: bool = False


async def caller_of_identity(db: Db, identity: Identity, *, origin: str) -> Caller:
    """The caller that somebody is, with an account that is made if there is none.

    The roles that the provider vouches for hold with those that members have; the higher one counts.

    :raises Unauthenticated: the account is disabled.
    """
    standing = await stored.load_standing_of_identity(db, identity.issuer, identity.subject)
    if standing is None:
        standing = await _make(db, identity, origin)
    account = standing.account
    if account.disabled_at is not None:
        raise Unauthenticated("the account is disabled")
    if (account.display_name, account.email) != (identity.display_name, identity.email):
        await stored.set_profile(db, account.id, identity.display_name, identity.email)
    projects = await stored.find_projects(db, [name for name, _ in identity.roles]) if identity.roles else {}
    granted = [(projects[name], role) for name, role in identity.roles if name in projects]
    return caller_of(standing, origin=origin, granted=granted, is_superadmin=identity.is_superadmin)


async def _make(db: Db, identity: Identity, origin: str) -> Standing:
    name = re.sub(r"[^A-Za-z0-9._@+-]+", "-", identity.name).strip("-.@+_")[:48] or "user"
    # A name that somebody has already is not theirs to take, whoever vouches for it.
    digest = hashlib.sha256(f"{identity.issuer} {identity.subject}".encode()).hexdigest()
    for candidate in (name, f"{name}-{digest[:8]}"):
        made = await stored.insert_account(
            db,
            AccountKind.USER,
            candidate,
            display_name=identity.display_name,
            email=identity.email,
            identity=(identity.issuer, identity.subject),
        )
        if made is not None:
            standing = Standing(made, ())
            await record(
                db,
                caller_of(standing, origin=origin),
                "account.create",
                object_kind="account",
                object_id=made.id,
                after={"name": made.name, "email": made.email, "issuer": identity.issuer, "subject": identity.subject},
            )
            return standing
        # Another request of theirs may have been first.
        found = await stored.load_standing_of_identity(db, identity.issuer, identity.subject)
        if found is not None:
            return found
    raise Unauthenticated("no account could be made for you: its name is taken; ask an admin")
