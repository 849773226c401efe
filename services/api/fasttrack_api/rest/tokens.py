"""Tokens. Their text is answered once, and kept nowhere."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from fasttrack.db import Db
from fasttrack.db import tokens as stored
from fasttrack.db.windows import Window
from fasttrack.workflow import tokens

from . import access_models as models
from .models import Page
from .reach import AnId, Limited, OfCaller, the_account, the_project
from .routing import Route

router = APIRouter(prefix="/api/v1/tokens", tags=["tokens"], route_class=Route)

AToken = Annotated[UUID, Path(alias="token", description="The token's id.")]
OfProject = Annotated[
    str | None,
    Query(alias="project", min_length=1, max_length=64, description="Of this one project, by its name or id."),
]


@router.get("", summary="List tokens")
async def list_tokens(
    call: OfCaller,
    project: OfProject = None,
    account: Annotated[str | None, Query(max_length=200, description="Of this account, by its id or name.")] = None,
    after: AnId = None,
    limit: Limited = 50,
) -> Page[models.Token]:
    """Your own tokens, newest first; or those for a project, or of a service account, that you manage."""
    async with call.parts.database.transaction() as db:
        where = None if project is None else await the_project(db, call, project)
        of = None if account is None else await the_account(db, call, account)
        window = Window(limit, after=None if after is None else (after,))
        page = await tokens.list_tokens(db, call.caller, window, account=of, project=where)
    items = [models.Token.model_validate(t) for t in page.items]
    return Page(items=items, next=str(items[-1].id) if page.has_more else None)


@router.post("", summary="Make a token", status_code=201)
async def create_token(
    call: OfCaller, given: models.TokenBody, response: Response, project: OfProject = None
) -> models.CreatedToken:
    """Make a token, and tell its text; with `project` it is for that one alone. Needs the scope `manage`.

    Each request makes one: list your tokens before you repeat one whose answer was lost, and revoke what it made.
    """
    now = call.parts.clock.now()
    begins_at = given.not_before or now
    lifetime = given.lifetime(begins_at)
    # Not `run`: a second try would make a second token, and tell the text of one of them to nobody.
    async with call.parts.database.transaction() as db:
        made = await tokens.create_token(
            db,
            call.caller,
            name=given.name,
            now=now,
            account=None if given.account is None else await the_account(db, call, given.account),
            scopes=call.caller.scopes if given.scopes is None else given.scopes,
            only_project=None if project is None else await the_project(db, call, project),
            lifetime=tokens.DEFAULT_LIFETIME if lifetime is None else lifetime,
            not_before=begins_at,
            stored_only=given.stored_only,
        )
    return _told(made, response)


@router.post("/{token}/rotate", summary="Renew a token", status_code=201)
async def rotate_token(
    call: OfCaller, token: AToken, response: Response, given: models.RotateBody | None = None
) -> models.CreatedToken:
    """Make a token that takes the place of another, with its limits and as long a life; both work for a while.

    Any token may renew itself; those of service accounts, whoever manages their project.
    """
    overlap = timedelta(seconds=(given or models.RotateBody()).overlap_seconds)
    async with call.parts.database.transaction() as db:
        made = await tokens.rotate_token(db, call.caller, token, now=call.parts.clock.now(), overlap=overlap)
    return _told(made, response)


@router.post("/{token}/revoke", summary="Revoke a token")
async def revoke_token(call: OfCaller, token: AToken) -> models.Token:
    """Have a token be worth nothing: refused everywhere within seconds, on open streams too. May be repeated.

    Your own, and those that are for a project that you manage; for superadmins all.
    """

    async def work(db: Db) -> stored.Token:
        return await tokens.revoke_token(db, call.caller, token, now=call.parts.clock.now())

    return models.Token.model_validate(await call.parts.database.run(work))


def _told(made: tokens.CreatedToken, response: Response) -> models.CreatedToken:
    response.headers["Cache-Control"] = "no-store"
    token = models.Token.model_validate(made.token)
    return models.CreatedToken(token=token, secret=made.secret.text)
