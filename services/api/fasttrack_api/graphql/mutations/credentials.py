"""Writes to the keys that jobs run with on a cluster."""

from __future__ import annotations

from typing import Annotated

import strawberry

from fasttrack.backend_ai.whose import examine
from fasttrack.db import Db
from fasttrack.db.credential_records import CredentialRecord
from fasttrack.db.listings import load_projects
from fasttrack.domain.access import Permission
from fasttrack.domain.credentials import Holder
from fasttrack.workflow import credentials

from ..context import Context, Info
from ..ids import Kind, require_id
from ..types.credential import BackendCredential
from ..types.project import Project
from .base import REVISION, BadInput, MutationError, bounded, project_for, tried

_PROJECT = "The global id of the project whose it is, which you manage; null: it is a person's."
_ACCOUNT = (
    "The global id of the person whose it is, if that is not you: for superadmins. Null: it is yours, or a project's."
)
_ANOTHER = (
    "Do it even if pipelines of the project have folders of another user of the cluster, which are not seen then."
)


@strawberry.input(description="A key that jobs are to run with on the cluster.")
class SetBackendCredentialInput:
    """Of `setBackendCredential`."""

    project_id: strawberry.ID | None = strawberry.field(default=None, description=_PROJECT)
    account_id: strawberry.ID | None = strawberry.field(default=None, description=_ACCOUNT)
    access_key: str = strawberry.field(description="Its public half, at most 100 characters.")
    secret_key: str = strawberry.field(
        description="Its secret half, at most 256 characters. It is encrypted, and never shown."
    )
    another_user: bool = strawberry.field(default=False, description=_ANOTHER)
    expected_revision: int | None = strawberry.field(
        default=None,
        description="The revision that you have seen, 0 for none; another is a CONFLICT. Null: whatever there is.",
    )


@strawberry.input(description="A credential, or a key of it, that is to be forgotten.")
class RemoveBackendCredentialInput:
    """Of `removeBackendCredential`."""

    project_id: strawberry.ID | None = strawberry.field(default=None, description=_PROJECT)
    account_id: strawberry.ID | None = strawberry.field(default=None, description=_ACCOUNT)
    access_key: str | None = strawberry.field(
        default=None,
        description="One that is retiring: sessions that still run under it are given up, and their tasks tried again "
        "under the one in use. Null: the whole credential.",
    )
    another_user: bool = strawberry.field(default=False, description=_ANOTHER)
    expected_revision: int | None = strawberry.field(default=None, description=REVISION)


@strawberry.input(description="Whether people's jobs in a project run with their own keys.")
class AllowPersonalKeysInput:
    """Of `allowPersonalKeys`."""

    project_id: strawberry.ID = strawberry.field(description="The global id of the project.")
    is_allowed: bool = strawberry.field(
        description="True: with their own, where they have one. False: with the project's."
    )


@strawberry.type(description="The credential that something was done to.")
class BackendCredentialPayload:
    """Of `setBackendCredential` and `removeBackendCredential`."""

    credential: BackendCredential | None = strawberry.field(
        default=None, description="As it is now; null when nothing was done, or nothing is left of it."
    )
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type(description="The project that something was done to.")
class AllowPersonalKeysPayload:
    """Of `allowPersonalKeys`."""

    project: Project | None = strawberry.field(default=None, description="As it is now; null when nothing was done.")
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type
class CredentialWrites:
    """The part of `Mutation` that is about keys on a cluster."""

    @strawberry.mutation(
        description="Have the jobs of a project, or your own, run with this key on the cluster, which is asked about it "
        "first. A key that was in use goes on with what began under it, and is gone after that. Repeatable. Needs MANAGE of "
        "a project; your own needs SECRETS."
    )
    async def set_backend_credential(
        self, info: Info, input: Annotated[SetBackendCredentialInput, strawberry.argument(description="Which key.")]
    ) -> BackendCredentialPayload:
        """Set or rotate a key."""
        context = info.context

        async def work() -> BackendCredential:
            access_key = bounded("accessKey", input.access_key, 100)
            secret_key = bounded("secretKey", input.secret_key, 256)
            async with context.reading() as db:
                holder = await _holder(db, context, input.project_id, input.account_id)
            examined = await examine(context.parts.settings, access_key, secret_key)

            async def store(db: Db) -> CredentialRecord:
                return await credentials.store_key(
                    db,
                    context.caller,
                    context.parts.box,
                    holder,
                    access_key,
                    secret_key,
                    examined,
                    another_user=input.another_user,
                    expected_revision=input.expected_revision,
                )

            return BackendCredential.of(await context.writing(store))

        credential, errors = await tried(work)
        return BackendCredentialPayload(credential=credential, errors=errors)

    @strawberry.mutation(
        description="Forget a credential when none of its jobs is left to run: the next ones run with the key of the "
        "settings. Or forget one of its retiring keys. Needs MANAGE of a project; your own needs SECRETS."
    )
    async def remove_backend_credential(
        self,
        info: Info,
        input: Annotated[RemoveBackendCredentialInput, strawberry.argument(description="Whose.")],
    ) -> BackendCredentialPayload:
        """Forget a credential."""
        context = info.context

        async def work(db: Db) -> list[CredentialRecord]:
            holder = await _holder(db, context, input.project_id, input.account_id)
            left = await credentials.forget_credential(
                db,
                context.caller,
                holder,
                access_key=input.access_key,
                another_user=input.another_user,
                expected_revision=input.expected_revision,
            )
            return [left] if left is not None else []

        done, errors = await tried(lambda: context.writing(work))
        left = [BackendCredential.of(record) for record in done or ()]
        return BackendCredentialPayload(credential=left[0] if left else None, errors=errors)

    @strawberry.mutation(
        description="Have people's jobs in a project run with their own keys, where they have one, or with the project's. "
        "Jobs that are there stay with what they run with. Repeatable. Needs MANAGE."
    )
    async def allow_personal_keys(
        self, info: Info, input: Annotated[AllowPersonalKeysInput, strawberry.argument(description="Where.")]
    ) -> AllowPersonalKeysPayload:
        """Allow people's own keys, or not."""
        context = info.context

        async def work(db: Db) -> Project:
            project = await project_for(db, context, input.project_id, Permission.MANAGE)
            await credentials.set_personal_keys(db, context.caller, project, allowed=input.is_allowed)
            return Project.of((await load_projects(db, None, [project]))[project])

        done, errors = await tried(lambda: context.writing(work))
        return AllowPersonalKeysPayload(project=done, errors=errors)


async def _holder(db: Db, context: Context, project: str | None, account: str | None) -> Holder:
    """Whose credential is meant, which the caller may change."""
    if project is not None and account is not None:
        raise BadInput(
            "accountId", "a credential is of a project or of a person: give one of the two, or none for your own"
        )
    if project is not None:
        holder = Holder(project=await project_for(db, context, project, Permission.MANAGE))
    else:
        holder = Holder(account=context.caller.account_id if account is None else require_id(Kind.ACCOUNT, account))
    credentials.require_holder(context.caller, holder)
    return holder
