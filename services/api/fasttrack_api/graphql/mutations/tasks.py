"""Writes to task instances."""

from __future__ import annotations

from typing import Annotated

import strawberry

from fasttrack.db import Db
from fasttrack.db.instances import InstanceListing, load_instances
from fasttrack.domain.states import InstanceState
from fasttrack.errors import NotFound
from fasttrack.workflow.control import Skipped, skip_task

from ..context import Context, Info
from ..ids import Kind, require_id
from ..types.instance import TaskInstance
from .base import MutationError, tried


@strawberry.input(description="A task instance that something is to be done to.")
class TaskInstanceInput:
    """Of `skipTaskInstance`."""

    task_instance_id: strawberry.ID = strawberry.field(description="The global id of the task instance.")


@strawberry.type(description="The task instance that something was done to.")
class TaskInstancePayload:
    """Of `skipTaskInstance`."""

    task_instance: TaskInstance | None = strawberry.field(
        default=None, description="As it is now; null when nothing was done."
    )
    state_before: InstanceState | None = strawberry.field(
        default=None, description="Where it stood before; null when nothing was done."
    )
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type
class TaskWrites:
    """The part of `Mutation` that is about task instances."""

    @strawberry.mutation(
        description="Have a task of a job that goes on not be run: it counts as done, its dependants go on, and a re-run "
        "of the job skips it as well. Repeatable; one that has a compute session, or is over otherwise, is a CONFLICT. "
        "Needs RUN."
    )
    async def skip_task_instance(
        self, info: Info, input: Annotated[TaskInstanceInput, strawberry.argument(description="Which task instance.")]
    ) -> TaskInstancePayload:
        """Skip a task."""
        context = info.context

        async def work(db: Db) -> tuple[InstanceListing, Skipped]:
            found = await _instance_for(db, context, input.task_instance_id)
            skipped = await skip_task(db, context.caller, found.project_id, found.job_id, found.name)
            return await _instance_for(db, context, input.task_instance_id), skipped

        done, errors = await tried(lambda: context.writing(work))
        if done is None:
            return TaskInstancePayload(errors=errors)
        instance, skipped = done
        await context.parts.doorbell.ring(skipped.look_at)
        return TaskInstancePayload(task_instance=TaskInstance.of(instance), state_before=skipped.before, errors=[])


async def _instance_for(db: Db, context: Context, text: str) -> InstanceListing:
    """The task instance. :raises NotFound: there is none that the caller may read."""
    identifier = require_id(Kind.TASK_INSTANCE, text)
    found = (await load_instances(db, context.caller.projects, [identifier])).get(identifier)
    if found is None:
        raise NotFound("there is no such task instance")
    return found
