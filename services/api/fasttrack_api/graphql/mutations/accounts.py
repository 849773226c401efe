"""Writes to accounts, and to domains and their admins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

import strawberry

from fasttrack.db import Db
from fasttrack.db import accounts as accounts_db
from fasttrack.db.listings import load_projects
from fasttrack.domain.access import Caller, Permission, Role
from fasttrack.workflow import accounts, members

from ..context import Context, Info
from ..ids import Kind, require_id
from ..types.account import Account
from ..types.project import Project
from .base import MutationError, project_named_for, tried


@strawberry.input(description="A person who is to have an account.")
class CreateAccountInput:
    """Of `createAccount`."""

    name: str = strawberry.field(
        description="1 to 64 letters, digits and `.`, `_`, `@`, `+`, `-`, beginning with a letter or a digit."
    )
    display_name: str = strawberry.field(default="", description="How it is shown, at most 200 characters.")
    email: str = strawberry.field(default="", description="An address, at most 200 characters.")
    is_superadmin: bool = strawberry.field(default=False, description="Whether it may do everything everywhere.")


@strawberry.input(description="A program that is to have an account.")
class CreateServiceAccountInput:
    """Of `createServiceAccount`."""

    project_id: strawberry.ID = strawberry.field(description="The global id of the project that it belongs to.")
    name: str = strawberry.field(description="As of a person; the account is called `PROJECT/NAME`.")
    role: Role = strawberry.field(default=Role.EDITOR, description="What it is in the project.")
    display_name: str = strawberry.field(default="", description="How it is shown, at most 200 characters.")


@strawberry.input(description="An account that something is to be done to.")
class AccountInput:
    """Of `disableAccount` and `enableAccount`."""

    account_id: strawberry.ID = strawberry.field(description="The global id of the account.")


@strawberry.input(description="A person who is to be a superadmin, or one no more.")
class ChangeSuperadminInput:
    """Of `changeSuperadmin`."""

    account_id: strawberry.ID = strawberry.field(description="The global id of the account.")
    is_superadmin: bool = strawberry.field(description="Whether it may do everything everywhere.")


@strawberry.input(description="A person who is to be the admin of a domain, or one no more.")
class DomainAdminInput:
    """Of `addDomainAdmin` and `removeDomainAdmin`."""

    account_id: strawberry.ID = strawberry.field(description="The global id of the account.")
    domain: str = strawberry.field(description="The name of the domain; it need not have a project yet.")


@strawberry.input(description="A project that is to belong to another domain.")
class ChangeDomainInput:
    """Of `changeDomain`."""

    project_id: strawberry.ID = strawberry.field(description="The global id of the project.")
    domain: str = strawberry.field(description="The name of the domain, by the rule for names of accounts.")


@strawberry.type(description="The account that something was done to.")
class AccountPayload:
    """Of what is done to accounts."""

    account: Account | None = strawberry.field(default=None, description="As it is now; null when nothing was done.")
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type(description="The project that something was done to.")
class ProjectPayload:
    """Of `changeDomain`."""

    project: Project | None = strawberry.field(default=None, description="As it is now; null when nothing was done.")
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type
class AccountWrites:
    """The part of `Mutation` that is about accounts and domains."""

    @strawberry.mutation(
        description="Make an account for a person; a name that is taken is a CONFLICT. For superadmins."
    )
    async def create_account(
        self, info: Info, input: Annotated[CreateAccountInput, strawberry.argument(description="For whom.")]
    ) -> AccountPayload:
        """Make an account for a person."""

        async def make(db: Db, caller: Caller) -> accounts_db.Account:
            more = {"display_name": input.display_name, "email": input.email}
            return await accounts.create_user(db, caller, input.name, is_superadmin=input.is_superadmin, **more)

        return await _change_account(info.context, make)

    @strawberry.mutation(
        description="Make an account for a program, as a member of the one project that it belongs to. Needs MANAGE."
    )
    async def create_service_account(
        self, info: Info, input: Annotated[CreateServiceAccountInput, strawberry.argument(description="Which one.")]
    ) -> AccountPayload:
        """Make an account for a program."""

        async def make(db: Db, caller: Caller) -> accounts_db.Account:
            project = await project_named_for(db, info.context, input.project_id, Permission.MANAGE)
            return await accounts.create_service_account(
                db, caller, project.id, project.name, input.name, input.role, display_name=input.display_name
            )

        return await _change_account(info.context, make)

    @strawberry.mutation(
        description="Have an account do nothing any more: its tokens are refused within seconds; what it made stays. "
        "Repeatable. For superadmins; a service account also for whoever manages its project."
    )
    async def disable_account(
        self, info: Info, input: Annotated[AccountInput, strawberry.argument(description="Which one.")]
    ) -> AccountPayload:
        """Have an account do nothing any more."""
        now = info.context.parts.clock.now()
        return await _change_account(
            info.context, lambda db, caller: accounts.disable_account(db, caller, _account(input), now=now)
        )

    @strawberry.mutation(
        description="Let a disabled account act again, with the tokens it has. Repeatable. For those who may disable it."
    )
    async def enable_account(
        self, info: Info, input: Annotated[AccountInput, strawberry.argument(description="Which one.")]
    ) -> AccountPayload:
        """Let a disabled account act again."""
        return await _change_account(
            info.context, lambda db, caller: accounts.enable_account(db, caller, _account(input))
        )

    @strawberry.mutation(
        description="Make a person a superadmin, or one no more; the last one stays. Repeatable. For superadmins."
    )
    async def change_superadmin(
        self, info: Info, input: Annotated[ChangeSuperadminInput, strawberry.argument(description="Whom.")]
    ) -> AccountPayload:
        """Make a person a superadmin, or one no more."""
        return await _change_account(
            info.context,
            lambda db, caller: accounts.change_superadmin(db, caller, _account(input), input.is_superadmin),
        )

    @strawberry.mutation(
        description="Make a person the admin of all projects of a domain, those to come too. Repeatable. For superadmins."
    )
    async def add_domain_admin(
        self, info: Info, input: Annotated[DomainAdminInput, strawberry.argument(description="Whom, and of what.")]
    ) -> AccountPayload:
        """Make a person the admin of a domain."""
        return await _change_domain_admin(info.context, input, is_admin=True)

    @strawberry.mutation(
        description="Have a person be the admin of a domain no more; memberships stay. Repeatable. For superadmins."
    )
    async def remove_domain_admin(
        self, info: Info, input: Annotated[DomainAdminInput, strawberry.argument(description="Whom, and of what.")]
    ) -> AccountPayload:
        """Have a person be the admin of a domain no more."""
        return await _change_domain_admin(info.context, input, is_admin=False)

    @strawberry.mutation(
        description="Have a project belong to another domain, whose admins are its admins from then on. Repeatable. "
        "For superadmins."
    )
    async def change_domain(
        self, info: Info, input: Annotated[ChangeDomainInput, strawberry.argument(description="Which, and to what.")]
    ) -> ProjectPayload:
        """Have a project belong to another domain."""
        context = info.context

        async def work(db: Db) -> Project:
            found = await project_named_for(db, context, input.project_id, Permission.READ)
            await members.change_domain(db, context.caller, found.id, input.domain)
            return Project.of((await load_projects(db, None, [found.id]))[found.id])

        project, errors = await tried(lambda: context.writing(work))
        return ProjectPayload(project=project, errors=errors)


def _account(input: Any) -> UUID:
    return require_id(Kind.ACCOUNT, input.account_id)


async def _change_account(
    context: Context, change: Callable[[Db, Caller], Awaitable[accounts_db.Account]]
) -> AccountPayload:
    async def work(db: Db) -> Account:
        return Account.of(await change(db, context.caller))

    account, errors = await tried(lambda: context.writing(work))
    return AccountPayload(account=account, errors=errors)


async def _change_domain_admin(context: Context, input: DomainAdminInput, *, is_admin: bool) -> AccountPayload:
    async def change(db: Db, caller: Caller) -> accounts_db.Account:
        await members.change_domain_admin(db, caller, _account(input), input.domain, is_admin=is_admin)
        return await accounts.find_account(db, caller, _account(input))

    return await _change_account(context, change)
