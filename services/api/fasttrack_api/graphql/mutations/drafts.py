"""Writes to drafts: the whole text, or one task after the other as a canvas does it; publish, discard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Annotated, TypeVar

import strawberry
from strawberry.scalars import JSON

from fasttrack.db import Db
from fasttrack.db.listings import load_versions
from fasttrack.domain.access import Permission
from fasttrack.errors import InvalidPipeline, Problem
from fasttrack.ids import PipelineId
from fasttrack.spec.document import MAX_TASKS
from fasttrack.spec.edit import AddTask, ChangeTask, Connect, DeleteTask, Disconnect, DuplicateTask
from fasttrack.workflow.draft_changes import Change, MoveTasks, SaveText
from fasttrack.workflow.drafts import Expected, Find, change_draft, discard_draft, publish_draft

from ..context import Context, Info
from ..types.draft import Draft
from .base import BadInput, MutationError, bounded, pipeline_for, tried
from .pipelines import PublishPipelinePayload, published_payload

T = TypeVar("T")
_COST = {"cost": 100}  # the whole file is read and compiled


@strawberry.input(description="A draft, and what is known of it.")
class DraftInput:
    """Of `discardDraft`, and part of every other."""

    pipeline_id: strawberry.ID = strawberry.field(description="The global id of the pipeline.")
    expected_revision: int | None = strawberry.field(
        default=None, description="The revision you know of; another one is a CONFLICT. Null: whatever there is."
    )
    expected_version: int | None = strawberry.field(
        default=None,
        description="The `baseVersion` you know of; another one is a CONFLICT. Null: whatever there is; for "
        "`publishDraft` the draft's own, so that nobody's version is overlooked.",
    )


@strawberry.input(description="Another text.")
class SaveDraftInput(DraftInput):
    """Of `saveDraft`."""

    yaml: str = strawberry.field(description="The whole file, of any generation; it may have mistakes, or be no YAML.")


@strawberry.input(description="A place on a canvas, in whatever unit the editor draws in, up to a million each way.")
class PositionInput:
    """Of a task."""

    x: float = strawberry.field(description="To the right.")
    y: float = strawberry.field(description="Down.")


@strawberry.input(description="A new task.")
class AddTaskInput(DraftInput):
    """Of `addTask`."""

    fields: JSON = strawberry.field(
        description='Its fields by key, as the YAML has them: `{"name": "train", "command": "python train.py"}`. Without '
        "`name` it gets one that is free. What is wrong with them comes back in `problems`."
    )
    after: str | None = strawberry.field(
        default=None, description="The name of the task behind which it stands in the file. Null: all of them."
    )
    position: PositionInput | None = strawberry.field(
        default=None, description="Where it stands on the canvas. Null: wherever `graph` has room."
    )


@strawberry.input(description="What is to be different about a task.")
class ChangeTaskInput(DraftInput):
    """Of `changeTask`."""

    task: str = strawberry.field(description="Its name.")
    fields: JSON = strawberry.field(
        description="Fields by key, as the YAML has them: maps are joined key by key, null removes a key, all else is "
        "replaced (RFC 7396). A new `name` goes into the `dependencies` of all others."
    )


@strawberry.input(description="Where a task goes.")
class TaskPositionInput(PositionInput):
    """Of `moveTasks`."""

    task: str = strawberry.field(description="Its name.")


@strawberry.input(description="Where one task goes.")
class MoveTaskInput(DraftInput):
    """Of `moveTask`."""

    task: str = strawberry.field(description="Its name.")
    position: PositionInput = strawberry.field(description="Where it stands from now on.")


@strawberry.input(description="Where many tasks go.")
class MoveTasksInput(DraftInput):
    """Of `moveTasks`."""

    positions: list[TaskPositionInput] = strawberry.field(description="Tasks and places; at most 10,000.")


@strawberry.input(description="A task that is to be there twice.")
class DuplicateTaskInput(DraftInput):
    """Of `duplicateTask`."""

    task: str = strawberry.field(description="Its name.")
    name: str | None = strawberry.field(
        default=None, description="The name of the copy. Null: one that is free, such as `train-2`."
    )
    position: PositionInput | None = strawberry.field(
        default=None, description="Where the copy stands on the canvas. Null: a little aside of the task."
    )


@strawberry.input(description="A task that is to go.")
class DeleteTaskInput(DraftInput):
    """Of `deleteTask`."""

    task: str = strawberry.field(description="Its name.")


@strawberry.input(description="Two tasks, in the order in which they run.")
class ConnectTasksInput(DraftInput):
    """Of `connectTasks` and `disconnectTasks`."""

    from_task: str = strawberry.field(description="The one that ends first.")
    to_task: str = strawberry.field(description="The one that waits for it.")


@strawberry.input(description="A draft that is to be the next version.")
class PublishDraftInput(DraftInput):
    """Of `publishDraft`."""

    message: str = strawberry.field(default="", description="Why, in a line; at most 1,000 characters.")


@strawberry.type(description="The draft after a write.")
class DraftPayload:
    """Of every write to a draft but `publishDraft`."""

    draft: Draft | None = strawberry.field(default=None, description="As it is now; null when nothing was done.")
    task: str | None = strawberry.field(
        default=None, description="The name, as it is now, of the task that was edited; null when it was not one task."
    )
    is_rewritten: bool = strawberry.field(
        default=False,
        description="Whether the whole file was written anew, without its comments: the way it was written did not allow "
        "to edit the task alone, as when all tasks stand in one pair of brackets.",
    )
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@dataclass(frozen=True, slots=True)
class _InTime:
    """Transactions that end in the time of one operation."""

    context: Context

    def transaction(self) -> AbstractAsyncContextManager[Db]:
        return self.context.reading()

    async def run(self, work: Callable[[Db], Awaitable[T]]) -> T:
        return await self.context.writing(work)


@strawberry.type
class DraftWrites:
    """The part of `Mutation` that is about drafts."""

    @strawberry.mutation(
        description="Save the whole text of a draft, whatever it says; what is wrong with it comes back in `problems`. Needs EDIT.",
        metadata=_COST,
    )
    async def save_draft(
        self, info: Info, input: Annotated[SaveDraftInput, strawberry.argument(description="What to save.")]
    ) -> DraftPayload:
        """Save a text."""
        return await _changed(info, input, SaveText(input.yaml))

    @strawberry.mutation(description="Add a task to a draft. Needs EDIT.", metadata=_COST)
    async def add_task(
        self, info: Info, input: Annotated[AddTaskInput, strawberry.argument(description="What to add.")]
    ) -> DraftPayload:
        """Add a task."""
        return await _changed(info, input, AddTask(input.fields, input.after), at=input.position)  # type: ignore[arg-type]

    @strawberry.mutation(
        description="Change fields of a task of a draft; only the values that change are written anew. Needs EDIT.",
        metadata=_COST,
    )
    async def change_task(
        self, info: Info, input: Annotated[ChangeTaskInput, strawberry.argument(description="What to change.")]
    ) -> DraftPayload:
        """Change a task."""
        return await _changed(info, input, ChangeTask(input.task, input.fields))  # type: ignore[arg-type]

    @strawberry.mutation(
        description="Move a task of a draft on the canvas; the file stays as it is. Needs EDIT.", metadata=_COST
    )
    async def move_task(
        self, info: Info, input: Annotated[MoveTaskInput, strawberry.argument(description="What to move where.")]
    ) -> DraftPayload:
        """Move a task."""
        return await _changed(info, input, MoveTasks({input.task: (input.position.x, input.position.y)}))

    @strawberry.mutation(
        description="Move many tasks of a draft on the canvas at once; the file stays as it is. Needs EDIT.",
        metadata=_COST,
    )
    async def move_tasks(
        self, info: Info, input: Annotated[MoveTasksInput, strawberry.argument(description="What to move where.")]
    ) -> DraftPayload:
        """Move tasks."""
        return await _changed(info, input, MoveTasks({p.task: (p.x, p.y) for p in input.positions}))

    @strawberry.mutation(
        description="Add a copy of a task of a draft behind it, with the same dependencies. Needs EDIT.",
        metadata=_COST,
    )
    async def duplicate_task(
        self, info: Info, input: Annotated[DuplicateTaskInput, strawberry.argument(description="What to copy.")]
    ) -> DraftPayload:
        """Copy a task."""
        return await _changed(info, input, DuplicateTask(input.task, input.name), at=input.position)

    @strawberry.mutation(
        description="Delete a task of a draft, and take it out of the `dependencies` of all others. Needs EDIT.",
        metadata=_COST,
    )
    async def delete_task(
        self, info: Info, input: Annotated[DeleteTaskInput, strawberry.argument(description="What to delete.")]
    ) -> DraftPayload:
        """Delete a task."""
        return await _changed(info, input, DeleteTask(input.task))

    @strawberry.mutation(
        description=(
            "Have one task of a draft wait for another; repeatable. A connection that would close a cycle is refused, "
            "with the way round, so that an editor can let it spring back. Needs EDIT."
        ),
        metadata=_COST,
    )
    async def connect_tasks(
        self, info: Info, input: Annotated[ConnectTasksInput, strawberry.argument(description="Which two.")]
    ) -> DraftPayload:
        """Connect two tasks."""
        return await _changed(info, input, Connect(input.from_task, input.to_task))

    @strawberry.mutation(
        description="Have one task of a draft not wait for another any more; repeatable. Needs EDIT.", metadata=_COST
    )
    async def disconnect_tasks(
        self, info: Info, input: Annotated[ConnectTasksInput, strawberry.argument(description="Which two.")]
    ) -> DraftPayload:
        """Disconnect two tasks."""
        return await _changed(info, input, Disconnect(input.from_task, input.to_task))

    @strawberry.mutation(
        description=(
            "Publish a draft as the next version of its pipeline, and remove it; positions stay with the pipeline. With "
            "errors in the file nothing is done. Needs EDIT."
        ),
        metadata=_COST,
    )
    async def publish_draft(
        self, info: Info, input: Annotated[PublishDraftInput, strawberry.argument(description="What to publish.")]
    ) -> PublishPipelinePayload:
        """Publish a draft."""
        context, problems = info.context, tuple[Problem, ...]()

        async def work() -> tuple[object, object]:
            nonlocal problems
            message = bounded("message", input.message, 1000)
            try:
                published = await publish_draft(
                    _InTime(context), _find(context, input), context.caller, _expected(input), message=message
                )
            except InvalidPipeline as error:
                problems = error.problems
                raise
            async with context.reading() as db:
                return published, (await load_versions(db, None, [published.version.id]))[published.version.id]

        done, errors = await tried(work)
        return await published_payload(info, done, problems, errors)  # type: ignore[arg-type]

    @strawberry.mutation(
        description="Remove a draft; without one nothing happens. Answers what the next would begin with. Needs EDIT.",
        metadata=_COST,
    )
    async def discard_draft(
        self, info: Info, input: Annotated[DraftInput, strawberry.argument(description="Which one.")]
    ) -> DraftPayload:
        """Discard a draft."""
        context = info.context
        done, errors = await tried(
            lambda: discard_draft(_InTime(context), _find(context, input), context.caller, _expected(input))
        )
        return DraftPayload(draft=Draft.of(done) if done is not None else None, errors=errors)


async def _changed(info: Info, input: DraftInput, change: Change, *, at: PositionInput | None = None) -> DraftPayload:
    context = info.context

    async def work() -> DraftPayload:
        if isinstance(change, MoveTasks) and not 1 <= len(change.positions) <= MAX_TASKS:
            raise BadInput("positions", f"give 1 to {MAX_TASKS:,} tasks")
        place = (at.x, at.y) if at is not None else None
        expected = _expected(input)
        done = await change_draft(_InTime(context), _find(context, input), context.caller, change, expected, at=place)
        return DraftPayload(draft=Draft.of(done), task=done.task, is_rewritten=done.rewritten, errors=[])

    done, errors = await tried(work)
    return done if done is not None else DraftPayload(errors=errors)


def _find(context: Context, input: DraftInput) -> Find:
    async def find(db: Db) -> PipelineId:
        return (await pipeline_for(db, context, input.pipeline_id, Permission.EDIT)).id

    return find


def _expected(input: DraftInput) -> Expected:
    return Expected(input.expected_revision, input.expected_version)
