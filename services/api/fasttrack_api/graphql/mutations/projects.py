"""Writes to projects: themselves, their limits and their secrets."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

import strawberry

from fasttrack.db import Db
from fasttrack.db.limits import list_limits
from fasttrack.db.listings import load_projects
from fasttrack.db.secrets import find_secret
from fasttrack.domain.access import Permission
from fasttrack.ids import JobId
from fasttrack.workflow import writes
from fasttrack.workflow.projects import create_project
from fasttrack.workflow.secrets import forget_secret, store_secret

from ..context import Info
from ..types.enums import LimitScope
from ..types.project import Limit, Project, Secret
from .base import REVISION, MutationError, bounded, project_for, tried

_STORED = "The revision that you have seen, 0 for none; another is a CONFLICT. Null: whatever there is."


@strawberry.input(description="A project that is to be made.")
class CreateProjectInput:
    """Of `createProject`."""

    name: str = strawberry.field(description="Its name: 1 to 64 printable characters.")
    domain: str | None = strawberry.field(
        default=None, description="The domain that it belongs to, whose admins are its admins. Null: `default`."
    )


@strawberry.input(description="A limit that is to be set.")
class SetLimitInput:
    """Of `setLimit`."""

    project_id: strawberry.ID = strawberry.field(description="The global id of the project.")
    scope: LimitScope = strawberry.field(description="What it is of.")
    name: str = strawberry.field(default="", description="The resource group or pool; empty for the project itself.")
    slots: int = strawberry.field(description="How many at once, 0 (none starts) to 100,000.")
    expected_revision: int | None = strawberry.field(default=None, description=_STORED)


@strawberry.input(description="A limit that is to be removed.")
class RemoveLimitInput:
    """Of `removeLimit`."""

    project_id: strawberry.ID = strawberry.field(description="The global id of the project.")
    scope: LimitScope = strawberry.field(description="What it is of.")
    name: str = strawberry.field(default="", description="The resource group or pool; empty for the project itself.")
    expected_revision: int | None = strawberry.field(default=None, description=REVISION)


@strawberry.input(description="A secret that is to be stored.")
class PutSecretInput:
    """Of `putSecret`."""

    project_id: strawberry.ID = strawberry.field(description="The global id of the project.")
    name: str = strawberry.field(description="Its name: 1 to 64 letters, digits and `_`, not beginning with a digit.")
    value: str = strawberry.field(description="Its value, 1 to 65,536 bytes. It is encrypted, and never shown.")
    expected_revision: int | None = strawberry.field(default=None, description=_STORED)


@strawberry.input(description="A secret that is to be forgotten.")
class DeleteSecretInput:
    """Of `deleteSecret`."""

    project_id: strawberry.ID = strawberry.field(description="The global id of the project.")
    name: str = strawberry.field(description="Its name.")
    expected_revision: int | None = strawberry.field(default=None, description=REVISION)


@strawberry.type(description="The project that was asked for.")
class CreateProjectPayload:
    """Of `createProject`."""

    project: Project | None = strawberry.field(default=None, description="The project; null when nothing was done.")
    is_new: bool = strawberry.field(default=False, description="Whether it was made; not when it was there already.")
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type(description="The limit that was set.")
class SetLimitPayload:
    """Of `setLimit`."""

    limit: Limit | None = strawberry.field(default=None, description="As it is now; null when nothing was done.")
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type(description="Whether something was removed.")
class RemovePayload:
    """Of `removeLimit` and `deleteSecret`."""

    name: str | None = strawberry.field(default=None, description="What was removed; null when nothing was.")
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type(description="The secret that was stored.")
class PutSecretPayload:
    """Of `putSecret`."""

    secret: Secret | None = strawberry.field(default=None, description="The secret; null when nothing was done.")
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type
class ProjectWrites:
    """The part of `Mutation` that is about projects."""

    @strawberry.mutation(
        description="Make a project; one that is there already is left as it is. For superadmins only."
    )
    async def create_project(
        self, info: Info, input: Annotated[CreateProjectInput, strawberry.argument(description="Which one.")]
    ) -> CreateProjectPayload:
        """Make a project."""
        caller = info.context.caller

        async def work(db: Db) -> tuple[Project, bool]:
            project, is_new = await create_project(db, caller, input.name, domain=input.domain)
            return Project.of((await load_projects(db, None, [project]))[project]), is_new

        done, errors = await tried(lambda: info.context.writing(work))
        if done is None:
            return CreateProjectPayload(errors=errors)
        return CreateProjectPayload(project=done[0], is_new=done[1], errors=[])

    @strawberry.mutation(
        description="Set a limit, over an older one; what runs beyond a lower one goes on. Repeatable. Needs OPERATE."
    )
    async def set_limit(
        self, info: Info, input: Annotated[SetLimitInput, strawberry.argument(description="Which limit.")]
    ) -> SetLimitPayload:
        """Set a limit."""

        async def work(db: Db) -> tuple[Limit, Collection[JobId]]:
            project = await project_for(db, info.context, input.project_id, Permission.OPERATE)
            name = bounded("name", input.name, 255)
            touched = await writes.change_limit(
                db,
                info.context.caller,
                project,
                str(input.scope),
                name,
                input.slots,
                expected_revision=input.expected_revision,
            )
            limits = await list_limits(db, project)
            now = next(one for one in limits if (one.scope, one.name) == (str(input.scope), name))
            return Limit.of(now), touched

        done, errors = await tried(lambda: info.context.writing(work))
        if done is None:
            return SetLimitPayload(errors=errors)
        await info.context.parts.doorbell.ring(done[1])
        return SetLimitPayload(limit=done[0], errors=[])

    @strawberry.mutation(description="Remove a limit. Needs OPERATE.")
    async def remove_limit(
        self, info: Info, input: Annotated[RemoveLimitInput, strawberry.argument(description="Which limit.")]
    ) -> RemovePayload:
        """Remove a limit."""

        async def work(db: Db) -> Collection[JobId]:
            project = await project_for(db, info.context, input.project_id, Permission.OPERATE)
            name = bounded("name", input.name, 255)
            return await writes.change_limit(
                db,
                info.context.caller,
                project,
                str(input.scope),
                name,
                None,
                expected_revision=input.expected_revision,
            )

        touched, errors = await tried(lambda: info.context.writing(work))
        if touched is None:
            return RemovePayload(errors=errors)
        await info.context.parts.doorbell.ring(touched)
        return RemovePayload(name=input.name, errors=[])

    @strawberry.mutation(description="Store a secret, over an older value of that name. Repeatable. Needs SECRETS.")
    async def put_secret(
        self, info: Info, input: Annotated[PutSecretInput, strawberry.argument(description="Which secret.")]
    ) -> PutSecretPayload:
        """Store a secret."""
        context = info.context

        async def work(db: Db) -> Secret:
            project = await project_for(db, context, input.project_id, Permission.SECRETS)
            await store_secret(
                db,
                context.caller,
                context.parts.box,
                project,
                input.name,
                input.value,
                expected_revision=input.expected_revision,
            )
            stored = await find_secret(db, project, input.name)
            assert stored is not None
            return Secret.of(stored)

        secret, errors = await tried(lambda: context.writing(work))
        return PutSecretPayload(secret=secret, errors=errors)

    @strawberry.mutation(description="Forget a secret; jobs that still need it will be refused. Needs SECRETS.")
    async def delete_secret(
        self, info: Info, input: Annotated[DeleteSecretInput, strawberry.argument(description="Which secret.")]
    ) -> RemovePayload:
        """Forget a secret."""

        async def work(db: Db) -> str:
            project = await project_for(db, info.context, input.project_id, Permission.SECRETS)
            await forget_secret(db, info.context.caller, project, input.name, expected_revision=input.expected_revision)
            return input.name

        name, errors = await tried(lambda: info.context.writing(work))
        return RemovePayload(name=name, errors=errors)
