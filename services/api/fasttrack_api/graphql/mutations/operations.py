"""Writes to stored operations: what callers may send the hash of, and what some tokens may run at all."""

from __future__ import annotations

from typing import Annotated

import strawberry

from fasttrack.db import Db
from fasttrack.domain.access import Permission
from fasttrack.errors import InvalidInput
from fasttrack.ids import ProjectId
from fasttrack.workflow.operations import MOST_CHARACTERS, remove_operation, store_operation

from ..context import Context, Info
from ..measuring import Limits
from ..stored import examine
from ..types.operation import StoredOperation
from .base import BadInput, MutationError, bounded, project_for, tried


@strawberry.input(description="An operation that is to be stored.")
class StoreOperationInput:
    """Of `storeOperation`."""

    project_id: strawberry.ID | None = strawberry.field(
        default=None, description="The global id of the project whose callers may run it; null: those of every project."
    )
    text: str = strawberry.field(
        description="The operation as clients would send it, with its fragments; up to 64 KiB."
    )
    name: str | None = strawberry.field(
        default=None,
        description="What people call it, up to 200 characters; null: as the operation is called in the text.",
    )


@strawberry.input(description="A stored operation that is to be forgotten.")
class RemoveOperationInput:
    """Of `removeOperation`."""

    project_id: strawberry.ID | None = strawberry.field(
        default=None, description="The global id of its project; null: it is for callers of every project."
    )
    sha256: str = strawberry.field(description="SHA-256 of its text.")


@strawberry.type(description="The operation that was stored.")
class StoreOperationPayload:
    """Of `storeOperation`."""

    operation: StoredOperation | None = strawberry.field(
        default=None, description="The operation; null when nothing was done."
    )
    is_new: bool = strawberry.field(default=False, description="Whether it was stored; not when it was there already.")
    cost: int | None = strawberry.field(
        default=None, description="What it costs without variables, in objects; null when nothing was done."
    )
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type(description="The operation that was removed.")
class RemoveOperationPayload:
    """Of `removeOperation`."""

    operation: StoredOperation | None = strawberry.field(
        default=None, description="As it was; null when nothing was done."
    )
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type
class OperationWrites:
    """The part of `Mutation` that is about stored operations."""

    @strawberry.mutation(
        description="Store an operation, which is checked and measured now. Repeatable. Needs MANAGE in the project; for "
        "every project it is for superadmins."
    )
    async def store_operation(
        self, info: Info, input: Annotated[StoreOperationInput, strawberry.argument(description="Which one.")]
    ) -> StoreOperationPayload:
        """Store an operation."""
        context = info.context

        async def work(db: Db) -> tuple[StoredOperation, bool, int]:
            project = await _project(db, context, input.project_id)
            text = bounded("text", input.text, MOST_CHARACTERS)
            try:
                found = examine(text, info._raw_info.schema, Limits.of(context.parts.settings))
            except InvalidInput as error:
                raise BadInput("text", error.message) from None
            stored, is_new = await store_operation(
                db, context.caller, project, name=input.name or found.name, text=text
            )
            return StoredOperation.of(stored), is_new, found.cost

        done, errors = await tried(lambda: context.writing(work))
        if done is None:
            return StoreOperationPayload(errors=errors)
        return StoreOperationPayload(operation=done[0], is_new=done[1], cost=done[2], errors=[])

    @strawberry.mutation(
        description="Forget a stored operation: within five seconds nobody runs it by its hash. Needs MANAGE."
    )
    async def remove_operation(
        self, info: Info, input: Annotated[RemoveOperationInput, strawberry.argument(description="Which one.")]
    ) -> RemoveOperationPayload:
        """Forget a stored operation."""
        context = info.context

        async def work(db: Db) -> StoredOperation:
            project = await _project(db, context, input.project_id)
            try:
                key = bytes.fromhex(bounded("sha256", input.sha256, 64))
            except ValueError:
                raise BadInput("sha256", "64 digits from 0 to f") from None
            return StoredOperation.of(await remove_operation(db, context.caller, project, key))

        operation, errors = await tried(lambda: context.writing(work))
        return RemoveOperationPayload(operation=operation, errors=errors)


async def _project(db: Db, context: Context, text: str | None) -> ProjectId | None:
    return None if text is None else await project_for(db, context, text, Permission.MANAGE)
