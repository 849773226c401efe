"""Secrets by name. Values go in and never come out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from fasttrack.db.secrets import find_secret
from fasttrack.db.secrets import list_secrets as list_stored
from fasttrack.domain.access import Permission
from fasttrack.errors import NotFound
from fasttrack.workflow.secrets import forget_secret, store_secret

from . import models
from .reach import InProject, OfCaller, the_project
from .revisions import OVERTAKEN, IfMatch, IfNoneMatch, expected_of, preconditions, tag_of
from .routing import Route

router = APIRouter(prefix="/api/v1/secrets", tags=["secrets"], route_class=Route)

SecretName = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$",
        description="1 to 64 letters, digits and `_`, not beginning with a digit.",
        examples=["HUB_TOKEN"],
    ),
]


@router.get("", summary="List secrets")
async def list_secrets(call: OfCaller, project: InProject = None) -> list[models.Secret]:
    """The names of the project's secrets, with who set them last and when; never their values."""
    async with call.parts.database.transaction() as db:
        found = await list_stored(db, await the_project(db, call, project))
    return [models.Secret.model_validate(secret) for secret in found]


@router.get("/{name}", summary="Read about a secret")
async def read_secret(call: OfCaller, response: Response, name: SecretName, project: InProject = None) -> models.Secret:
    """Who set a secret last and when; never its value. `If-Match` takes its `ETag` when it is replaced or forgotten."""
    async with call.parts.database.transaction() as db:
        found = await find_secret(db, await the_project(db, call, project), name)
    if found is None:
        raise NotFound(f"there is no secret named {name}")
    response.headers["ETag"] = tag_of(found.revision)
    return models.Secret.model_validate(found)


@router.put("/{name}", summary="Store a secret", status_code=204)
async def set_secret(
    call: OfCaller,
    name: SecretName,
    given: models.SecretBody,
    project: InProject = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Store a secret, or replace its value. A task reads it as `${{ secrets.NAME }}`."""
    expected = expected_of(if_match, if_none_match)
    async with call.parts.database.transaction() as db:
        where = await the_project(db, call, project, Permission.SECRETS)
        with preconditions():
            revision = await store_secret(
                db, call.caller, call.parts.box, where, name, given.value, expected_revision=expected
            )
    return Response(status_code=204, headers={"ETag": tag_of(revision)})


@router.delete("/{name}", summary="Forget a secret", status_code=204, responses=OVERTAKEN)
async def delete_secret(
    call: OfCaller, name: SecretName, project: InProject = None, if_match: IfMatch = None
) -> Response:
    """Forget a secret. Runs that still need it are refused."""
    expected = expected_of(if_match)
    async with call.parts.database.transaction() as db:
        where = await the_project(db, call, project, Permission.SECRETS)
        with preconditions():
            await forget_secret(db, call.caller, where, name, expected_revision=expected)
    return Response(status_code=204)
