"""The keys that jobs run with on a cluster: of projects, and of people. Secret halves go in and never come out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Query, Response

from fasttrack.backend_ai.whose import examine
from fasttrack.db import Db
from fasttrack.db.credential_records import CredentialRecord, allows_personal_keys
from fasttrack.domain.access import Permission
from fasttrack.domain.credentials import Holder
from fasttrack.errors import NotFound
from fasttrack.workflow import credentials

from . import credential_models as models
from .reach import Call, InProject, OfCaller, the_account, the_project
from .revisions import OVERTAKEN, IfMatch, IfNoneMatch, expected_of, preconditions, tag_of
from .routing import Route

router = APIRouter(prefix="/api/v1/credentials", tags=["credentials"], route_class=Route)

OfAccount = Annotated[
    str | None,
    Query(
        alias="account",
        min_length=1,
        max_length=200,
        description="Whose, by name or id, for superadmins; unset is your own.",
        examples=["ada"],
    ),
]
AccessKey = Annotated[
    str | None,
    Query(
        max_length=100,
        description="One that is retiring, to be forgotten alone: sessions that still run under it are given up, and their "
        "tasks tried again under the one in use.",
    ),
]
AnotherUser = Annotated[
    bool, Query(description="Do it even if pipelines of the project have folders of the user of the cluster.")
]
Whose = Callable[[Db], Awaitable[Holder]]


@router.get("", summary="List credentials")
async def list_credentials(call: OfCaller) -> list[models.Credential]:
    """Those of the projects that you manage, by name, and your own; for superadmins all there are, at most 1000."""
    async with call.parts.database.transaction() as db:
        found = await credentials.list_credentials(db, call.caller)
    return [_shown(record) for record in found]


@router.get("/project", summary="Read about the key of a project")
async def read_project_credential(call: OfCaller, response: Response, project: InProject = None) -> models.Credential:
    """What the project's jobs run with; 404 if that is the key of the settings. Needs `manage`."""
    return await _read(call, response, _of_project(call, project))


@router.put("/project", summary="Set or rotate the key of a project")
async def set_project_credential(
    call: OfCaller,
    response: Response,
    given: models.CredentialBody,
    project: InProject = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> models.Credential:
    """Have the project's jobs run with this key, which the cluster is asked about first. A key that was in use goes on with
    what began under it, and is gone after that. Needs `manage`.
    """
    return await _set(call, response, _of_project(call, project), given, expected_of(if_match, if_none_match))


@router.delete("/project", summary="Forget the key of a project", status_code=204, responses=OVERTAKEN)
async def remove_project_credential(
    call: OfCaller,
    project: InProject = None,
    access_key: AccessKey = None,
    another_user: AnotherUser = False,
    if_match: IfMatch = None,
) -> Response:
    """Forget the credential when none of its jobs is left to run, or one of its retiring keys. Needs `manage`."""
    return await _remove(call, _of_project(call, project), access_key, another_user, expected_of(if_match))


@router.get("/person", summary="Read about the key of a person")
async def read_person_credential(call: OfCaller, response: Response, account: OfAccount = None) -> models.Credential:
    """What your jobs run with, in projects that allow it; 404 if you have no key of your own."""
    return await _read(call, response, _of_person(call, account))


@router.put("/person", summary="Set or rotate the key of a person")
async def set_person_credential(
    call: OfCaller,
    response: Response,
    given: models.CredentialBody,
    account: OfAccount = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> models.Credential:
    """Have your jobs run with this key, in projects that allow it. Needs `secrets`, and a token that is not for one project."""
    return await _set(call, response, _of_person(call, account), given, expected_of(if_match, if_none_match))


@router.delete("/person", summary="Forget the key of a person", status_code=204, responses=OVERTAKEN)
async def remove_person_credential(
    call: OfCaller, account: OfAccount = None, access_key: AccessKey = None, if_match: IfMatch = None
) -> Response:
    """Forget the credential when none of its jobs is left to run, or one of its retiring keys."""
    return await _remove(call, _of_person(call, account), access_key, True, expected_of(if_match))


@router.get("/personal-keys", summary="Read whether people's own keys are used")
async def read_personal_keys(call: OfCaller, project: InProject = None) -> models.PersonalKeys:
    """Whether people's jobs in the project run with their own keys, where they have one."""
    async with call.parts.database.transaction() as db:
        where = await the_project(db, call, project)
        return models.PersonalKeys(is_allowed=(await allows_personal_keys(db, [where]))[where])


@router.put("/personal-keys", summary="Allow people's own keys, or not")
async def allow_personal_keys(
    call: OfCaller, given: models.PersonalKeys, project: InProject = None
) -> models.PersonalKeys:
    """Have people's jobs in the project run with their own keys, or with the project's. Needs `manage`."""
    async with call.parts.database.transaction() as db:
        where = await the_project(db, call, project, Permission.MANAGE)
        await credentials.set_personal_keys(db, call.caller, where, allowed=given.is_allowed)
    return given


def _of_project(call: Call, name: str | None) -> Whose:
    async def find(db: Db) -> Holder:
        return Holder(project=await the_project(db, call, name, Permission.MANAGE))

    return find


def _of_person(call: Call, name: str | None) -> Whose:
    async def find(db: Db) -> Holder:
        holder = Holder(account=call.caller.account_id if name is None else await the_account(db, call, name))
        credentials.require_holder(call.caller, holder)
        return holder

    return find


async def _read(call: Call, response: Response, whose: Whose) -> models.Credential:
    async with call.parts.database.transaction() as db:
        found = await credentials.read_credential(db, call.caller, await whose(db))
    if found is None:
        raise NotFound("there is no credential")
    response.headers["ETag"] = tag_of(found.revision, *(key.sessions for key in found.keys))
    return _shown(found)


async def _set(
    call: Call, response: Response, whose: Whose, given: models.CredentialBody, expected: int | None
) -> models.Credential:
    parts = call.parts
    async with parts.database.transaction() as db:
        holder = await whose(db)
    examined = await examine(parts.settings, given.access_key, given.secret_key)
    async with parts.database.transaction() as db:
        with preconditions():
            stored = await credentials.store_key(
                db,
                call.caller,
                parts.box,
                holder,
                given.access_key,
                given.secret_key,
                examined,
                another_user=given.another_user,
                expected_revision=expected,
            )
    response.headers["ETag"] = tag_of(stored.revision, *(key.sessions for key in stored.keys))
    return _shown(stored)


async def _remove(
    call: Call, whose: Whose, access_key: str | None, another_user: bool, expected: int | None
) -> Response:
    async with call.parts.database.transaction() as db:
        holder = await whose(db)
        with preconditions():
            await credentials.forget_credential(
                db,
                call.caller,
                holder,
                access_key=access_key,
                another_user=another_user,
                expected_revision=expected,
            )
    return Response(status_code=204)


def _shown(record: CredentialRecord) -> models.Credential:
    return models.Credential.model_validate(record, from_attributes=True)
