"""Writes to the members of projects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import strawberry

from fasttrack.db import Db
from fasttrack.db import accounts as accounts_db
from fasttrack.domain.access import Permission, Role
from fasttrack.ids import ProjectId
from fasttrack.workflow import members
from fasttrack.workflow.accounts import find_account_named

from ..context import Context, Info
from ..ids import Kind, require_id
from ..types.account import Member
from .base import BadInput, MutationError, project_for, tried


@strawberry.input(description="An account that is to become a member.")
class AddMemberInput:
    """Of `addMember`."""

    project_id: strawberry.ID = strawberry.field(description="The global id of the project.")
    account_id: strawberry.ID | None = strawberry.field(
        default=None, description="The global id of the account; null: by name."
    )
    account_name: str | None = strawberry.field(default=None, description="The name of the account; null: by id.")
    role: Role = strawberry.field(description="What it becomes.")


@strawberry.input(description="A member that is to be something else.")
class ChangeMemberRoleInput:
    """Of `changeMemberRole`."""

    project_id: strawberry.ID = strawberry.field(description="The global id of the project.")
    account_id: strawberry.ID = strawberry.field(description="The global id of the account.")
    role: Role = strawberry.field(description="What it becomes.")


@strawberry.input(description="A member that is to be one no more.")
class RemoveMemberInput:
    """Of `removeMember`."""

    project_id: strawberry.ID = strawberry.field(description="The global id of the project.")
    account_id: strawberry.ID = strawberry.field(description="The global id of the account; your own to leave.")


@strawberry.type(description="The member that something was done to.")
class MemberPayload:
    """Of `addMember` and `changeMemberRole`."""

    member: Member | None = strawberry.field(default=None, description="As it is now; null when nothing was done.")
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type(description="Whether a member was removed.")
class RemoveMemberPayload:
    """Of `removeMember`."""

    account_id: strawberry.ID | None = strawberry.field(
        default=None, description="The global id of who is a member no more; null when nothing was done."
    )
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type
class MemberWrites:
    """The part of `Mutation` that is about the members of a project."""

    @strawberry.mutation(
        description="Make an account a member of a project. One that is a member already is a CONFLICT. Needs MANAGE."
    )
    async def add_member(
        self, info: Info, input: Annotated[AddMemberInput, strawberry.argument(description="Whom, and as what.")]
    ) -> MemberPayload:
        """Make an account a member."""
        caller = info.context.caller

        async def add(db: Db, project: ProjectId) -> accounts_db.Member:
            if (input.account_id is None) == (input.account_name is None):
                raise BadInput("accountId", "give either the `accountId` or the `accountName`")
            if input.account_id is not None:
                account = require_id(Kind.ACCOUNT, input.account_id)
            else:
                account = (await find_account_named(db, caller, input.account_name or "")).id
            return await members.add_member(db, caller, project, account, input.role)

        return await _change_member(info.context, input.project_id, add)

    @strawberry.mutation(description="Give a member another role; the last admin of a project stays one. Needs MANAGE.")
    async def change_member_role(
        self, info: Info, input: Annotated[ChangeMemberRoleInput, strawberry.argument(description="Whose, and which.")]
    ) -> MemberPayload:
        """Give a member another role."""

        async def change(db: Db, project: ProjectId) -> accounts_db.Member:
            account = require_id(Kind.ACCOUNT, input.account_id)
            return await members.change_member(db, info.context.caller, project, account, input.role)

        return await _change_member(info.context, input.project_id, change)

    @strawberry.mutation(
        description="Have an account be a member no more: within seconds it sees nothing of the project. The last admin "
        "stays. Needs MANAGE; whoever is a member may leave."
    )
    async def remove_member(
        self, info: Info, input: Annotated[RemoveMemberInput, strawberry.argument(description="Whom.")]
    ) -> RemoveMemberPayload:
        """Have an account be a member no more."""
        context = info.context

        async def work(db: Db) -> strawberry.ID:
            project = await project_for(db, context, input.project_id, Permission.READ)
            await members.remove_member(db, context.caller, project, require_id(Kind.ACCOUNT, input.account_id))
            return input.account_id

        removed, errors = await tried(lambda: context.writing(work))
        return RemoveMemberPayload(account_id=removed, errors=errors)


async def _change_member(
    context: Context, project_id: str, change: Callable[[Db, ProjectId], Awaitable[accounts_db.Member]]
) -> MemberPayload:
    async def work(db: Db) -> Member:
        return Member.of(await change(db, await project_for(db, context, project_id, Permission.MANAGE)))

    member, errors = await tried(lambda: context.writing(work))
    return MemberPayload(member=member, errors=errors)
