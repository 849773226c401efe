"""Tokens: made, shown once, renewed with an overlap, revoked; and from a token to its caller."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ..db import Db
from ..db import accounts as accounts_db
from ..db import tokens as stored
from ..db.tokens import Bearer, Token
from ..db.windows import FIRST_PAGE, Page, Window
from ..domain.access import AccountKind, Caller, Permission
from ..domain.tokens import NewToken, TokenKind, hash_token, new_token, require_token_name
from ..errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from ..ids import ProjectId
from .accounts import caller_of
from .audit import record

DEFAULT_LIFETIME = timedelta(days=90)
LONGEST_LIFETIME = timedelta(days=366)
DEFAULT_OVERLAP = timedelta(hours=24)
LONGEST_OVERLAP = timedelta(days=7)
MOST_LIVE = 100
"""Tokens that one account may have at a time."""


@dataclass(frozen=True, slots=True)
class CreatedToken:
    """A token that was just made, with its text, which nobody is told again."""

    token: Token
    secret: NewToken


# -- from a token to its caller -----------------------------------------------------------------------------------------


async def find_bearer(db: Db, text: str) -> Bearer:
    """Whom a token of the right form stands for. One statement.

    :raises Unauthenticated: nobody knows it.
    """
    bearer = await stored.find_bearer(db, hash_token(text))
    if bearer is None:
        raise Unauthenticated("the token is not known")
    return bearer


def caller_of_bearer(bearer: Bearer, *, origin: str, now: datetime) -> Caller:
    """The caller that a token is at this moment.

    :raises Unauthenticated: the token or its account is not worth anything now.
    """
    token, account = bearer.token, bearer.standing.account
    if token.revoked_at is not None:
        raise Unauthenticated("the token was revoked")
    if token.expires_at is not None and now >= token.expires_at:
        raise Unauthenticated("the token has expired; make a new one")
    if now < token.not_before:
        raise Unauthenticated("the token is not valid yet")
    if account.disabled_at is not None:
        raise Unauthenticated("the account of the token is disabled")
    return caller_of(
        bearer.standing,
        origin=origin,
        token_id=token.id,
        scopes=token.scopes,
        only_project=token.only_project,
        is_stored_only=token.stored_only,
    )


# -- making, listing, renewing, revoking --------------------------------------------------------------------------------


async def create_token(
    db: Db,
    caller: Caller,
    *,
    name: str,
    now: datetime,
    account: UUID | None = None,
    scopes: Collection[Permission] = tuple(Permission),
    only_project: ProjectId | None = None,
    lifetime: timedelta = DEFAULT_LIFETIME,
    not_before: datetime | None = None,
    stored_only: bool = False,
) -> CreatedToken:
    """Make a token: for oneself, or for a service account of a project that one manages; a superadmin for anybody, since
    somebody without a token, and without an identity provider, has no way to make the first.

    Nothing that a token may do goes beyond what the caller may: a token made with a token has at most the scopes, the
    one project and the time of the first, and runs stored operations only if that one does. Use `Database.transaction`, not `run`: the text cannot be told twice.

    :param scopes: what it allows at most.
    :param only_project: the one project that it is for; a service account's token is always for its own.
    :param stored_only: it runs stored operations of GraphQL, and is good for nothing else.
    :raises InvalidInput: the name, the scopes or the time cannot be.
    :raises NotFound: no such account or project, or it is not the caller's to see.
    :raises Forbidden: the caller may not do what the token would, or not make tokens for that account.
    :raises Conflict: the account has too many tokens, or is disabled.
    """
    require_token_name(name)
    if not scopes:
        raise InvalidInput("a token needs at least one scope: " + ", ".join(Permission))
    if not timedelta(seconds=1) <= lifetime <= LONGEST_LIFETIME:
        raise InvalidInput(f"a token lives for a second at least and {LONGEST_LIFETIME.days} days at most")
    owner = await _account_to_make_for(db, caller, account or caller.account_id)
    project = owner.project_id or only_project or caller.only_project
    _require_no_more(caller, frozenset(scopes), project)
    begins_at = not_before or now
    if not now - timedelta(days=1) <= begins_at <= now + LONGEST_LIFETIME:
        raise InvalidInput(f"a token begins to be valid within {LONGEST_LIFETIME.days} days from now")
    ends_at = await _end_within_own(db, caller, begins_at + lifetime)
    if ends_at <= begins_at:
        raise Forbidden("a token that is made with a token ends with it at the latest, which is before this one begins")
    if await stored.count_live_tokens(db, owner.id, now) >= MOST_LIVE:
        raise Conflict(f"{owner.name} has {MOST_LIVE} tokens, which is the most; revoke those that are not needed")
    secret = new_token(TokenKind.SERVICE if owner.kind is AccountKind.SERVICE else TokenKind.PERSONAL)
    token = await stored.insert_token(
        db,
        secret,
        owner.id,
        name=name,
        scopes=frozenset(scopes),
        only_project=project,
        by=caller.name,
        now=now,
        not_before=begins_at,
        expires_at=ends_at,
        stored_only=stored_only or caller.is_stored_only,
    )
    await _record(db, caller, "token.create", token, after=_facts(token))
    return CreatedToken(token, secret)


async def list_tokens(
    db: Db,
    caller: Caller,
    window: Window = FIRST_PAGE,
    *,
    account: UUID | None = None,
    project: ProjectId | None = None,
) -> Page[Token]:
    """Tokens, newest first: one's own, those of an account that one manages, or those for a project that one manages.

    :raises NotFound: no such account or project, or it is not the caller's to see.
    :raises Forbidden: they may see it, but not manage it.
    """
    if project is not None:
        caller.require(Permission.MANAGE, project)
        return await stored.list_tokens(db, window, only_project=project)
    wanted = account or caller.account_id
    if wanted != caller.account_id:
        await _require_manages(db, caller, wanted)
    return await stored.list_tokens(db, window, account=wanted, only_project=caller.only_project)


async def load_tokens(db: Db, caller: Caller, tokens: Collection[UUID]) -> dict[UUID, Token]:
    """Those of these tokens that some list of the caller's has, and the one that they came with."""
    found = await stored.load_tokens(db, tokens)
    return {identifier: token for identifier, token in found.items() if _may_see(caller, token)}


async def rotate_token(
    db: Db, caller: Caller, token: UUID, *, now: datetime, overlap: timedelta = DEFAULT_OVERLAP
) -> CreatedToken:
    """Make a token that takes the place of another, with the same limits and as long a life; both work for the overlap.

    Any token may do this to itself; those of a service account, whoever manages its project. A person's token for one
    project can be revoked by the project's admins, but not renewed: they would have a token in that person's name. Use `Database.transaction`, not `run`: the text cannot be told twice.

    :raises NotFound: no such token, or it is not the caller's to see.
    :raises Forbidden: it is of somebody else, or allows more than the token that the caller came with.
    :raises Conflict: it was rotated before, was revoked or has expired.
    :raises InvalidInput: the overlap is longer than a week.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise InvalidInput(f"old and new token may both work for {LONGEST_OVERLAP.days} days at most")
    old = await _require_token(db, caller, token)
    is_own = old.account_id == caller.account_id
    if not (is_own or old.account_project is not None or caller.may_everywhere(Permission.MANAGE)):
        raise Forbidden(f"only {old.account_name} may renew this token; you may revoke it")
    if old.rotated_to is not None:
        raise Conflict("the token was rotated already; rotate the one that took its place")
    if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
        raise Conflict("the token was revoked or has expired; make a new one")
    if old.id != caller.token_id:
        _require_no_more(caller, old.scopes, old.only_project)
        if caller.is_stored_only and not old.stored_only:
            raise Forbidden(
                "the token that you came with runs stored operations only, and cannot renew one that does more"
            )
    ends_at = None if old.expires_at is None else now + (old.expires_at - old.not_before)
    if old.id != caller.token_id and ends_at is not None:
        ends_at = await _end_within_own(db, caller, ends_at)
    secret = new_token(old.kind)
    new = await stored.insert_token(
        db,
        secret,
        old.account_id,
        name=old.name,
        scopes=old.scopes,
        only_project=old.only_project,
        by=caller.name,
        now=now,
        not_before=now,
        expires_at=ends_at,
        stored_only=old.stored_only,
    )
    await stored.set_rotated(db, old.id, new.id, now + overlap)
    await _record(db, caller, "token.rotate", old, before=_facts(old), after={"id": new.id, **_facts(new)})
    return CreatedToken(new, secret)


async def revoke_token(db: Db, caller: Caller, token: UUID, *, now: datetime) -> Token:
    """Have a token be worth nothing, on every entry within seconds. Once more changes nothing.

    :raises NotFound: no such token, or it is not the caller's to see.
    """
    found = await _require_token(db, caller, token)
    if await stored.set_revoked(db, [found.id], now):
        await _record(db, caller, "token.revoke", found, before={"revoked_at": None}, after={"revoked_at": now})
    again = await stored.find_token(db, token)
    assert again is not None
    return again


# -- inside -------------------------------------------------------------------------------------------------------------


def _may_see(caller: Caller, token: Token) -> bool:
    if token.id == caller.token_id or _may_manage(caller, token):
        return True
    return token.account_id == caller.account_id and caller.only_project in (None, token.only_project)


def _may_manage(caller: Caller, token: Token) -> bool:
    is_of_their_project = token.only_project is not None and caller.may(Permission.MANAGE, token.only_project)
    return is_of_their_project or caller.may_everywhere(Permission.MANAGE)


async def _account_to_make_for(db: Db, caller: Caller, account: UUID) -> accounts_db.Account:
    found = await accounts_db.find_account(db, account)
    if found is None:
        raise NotFound("there is no such account")
    if account == caller.account_id:
        if Permission.MANAGE not in caller.scopes:
            raise Forbidden("the token that you came with has not the scope manage, and cannot make tokens")
    elif found.project_id is not None:
        caller.require(Permission.MANAGE, found.project_id, what="account")
    elif not caller.may_everywhere(Permission.MANAGE):
        raise NotFound("there is no such account")
    if found.disabled_at is not None:
        raise Conflict(f"{found.name} is disabled; enable it first")
    return found


def _require_no_more(caller: Caller, scopes: frozenset[Permission], project: ProjectId | None) -> None:
    beyond = sorted(scopes - caller.scopes)
    if beyond:
        raise Forbidden(f"the token that you came with has not the scope {', '.join(beyond)}, and cannot give it")
    if caller.only_project is not None and project != caller.only_project:
        raise Forbidden("the token that you came with is for one project, and cannot make one for another")
    if project is not None:
        caller.require(Permission.READ if Permission.READ in caller.scopes else min(scopes), project)


async def _end_within_own(db: Db, caller: Caller, ends_at: datetime) -> datetime:
    """No token outlives the one that it was made with: a stolen one would live on in those that it made."""
    own = await stored.find_token(db, caller.token_id) if caller.token_id else None
    return ends_at if own is None or own.expires_at is None else min(ends_at, own.expires_at)


async def _require_manages(db: Db, caller: Caller, account: UUID) -> None:
    found = await accounts_db.find_account(db, account)
    if found is not None and found.project_id is not None:
        caller.require(Permission.MANAGE, found.project_id, what="account")
    elif found is None or not caller.may_everywhere(Permission.MANAGE):
        raise NotFound("there is no such account")


async def _require_token(db: Db, caller: Caller, token: UUID) -> Token:
    """The token, held, if the caller may renew and revoke it: it is theirs, or for a project that they manage."""
    found = await stored.lock_token(db, token)
    is_own = found is not None and found.account_id == caller.account_id
    if found is None or not (
        token == caller.token_id
        or (is_own and Permission.MANAGE in caller.scopes and caller.only_project in (None, found.only_project))
        or _may_manage(caller, found)
    ):
        raise NotFound("there is no such token")
    return found


async def _record(
    db: Db, caller: Caller, action: str, token: Token, *, before: object = None, after: object = None
) -> None:
    await record(
        db,
        caller,
        action,
        project=token.only_project,
        object_kind="token",
        object_id=token.id,
        before=before,
        after=after,
    )


def _facts(token: Token) -> dict[str, object]:
    names = ("account_name", "kind", "name", "scopes", "only_project", "not_before", "expires_at", "stored_only")
    return {name: getattr(token, name) for name in names}
