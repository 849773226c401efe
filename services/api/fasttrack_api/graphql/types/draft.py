"""Drafts: the text of a pipeline while it is edited, and what a canvas draws of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import strawberry
from strawberry.scalars import JSON

from fasttrack.domain import dag
from fasttrack.spec.outline import TaskOutline
from fasttrack.workflow.draft_changes import SeenDraft

from ..layout import Graph, lay_out
from .common import PipelineProblem
from .picture import outline_of


@strawberry.type(description="A task of a draft as it is written; it may be wrong or not whole.")
class DraftTask:
    """A task of a draft."""

    name: str = strawberry.field(description="Its name.")
    dependencies: list[str] = strawberry.field(
        description="The names it waits for, whether there are such tasks or not."
    )
    line: int = strawberry.field(description="The line of the YAML in which it begins, from 1.")
    fields: JSON = strawberry.field(
        description="Its fields by key, as the YAML has them and `changeTask` takes them, without defaults; "
        "a number with a fraction is a text."
    )
    position: list[float] | None = strawberry.field(
        description="Where it stands on the canvas, `[x, y]`; null: nobody put it anywhere, `graph` says where it fits."
    )


@strawberry.type(
    description="The draft of a pipeline, which all its editors share; or, while none is begun, what one would begin with: "
    "the newest version, or no task at all."
)
class Draft:
    """A draft."""

    revision: int = strawberry.field(
        description="One more with every change; never used twice. `expectedRevision` of a write takes it."
    )
    is_begun: bool = strawberry.field(description="Whether there is a draft; not until something is changed.")
    base_version: int = strawberry.field(
        description="The number of the version it began from, 0 for none. `expectedVersion` of a write takes it."
    )
    yaml: str = strawberry.field(description="The whole file as it is written, comments included.")
    is_readable: bool = strawberry.field(
        description="Whether that is YAML, so that its tasks can be edited one by one."
    )
    is_valid: bool = strawberry.field(description="Whether it could be published: it has no error.")
    problems: list[PipelineProblem] = strawberry.field(
        description="Everything that is wrong with it, errors and warnings, in the order of the file."
    )
    positions: JSON = strawberry.field(
        description="Where tasks stand on the canvas, `[x, y]` by name; those that nobody put anywhere are not in it."
    )
    updated_by: str | None = strawberry.field(description="Who changed it last; null: no draft is begun.")
    updated_at: datetime | None = strawberry.field(description="When it was changed last; null: no draft is begun.")

    seen: strawberry.Private[SeenDraft]

    @classmethod
    def of(cls, seen: SeenDraft) -> Draft:
        """As the schema shows it."""
        draft, outline = seen.draft, seen.outline
        return cls(
            revision=draft.revision,
            is_begun=draft.is_begun,
            base_version=draft.base_version,
            yaml=seen.text,
            is_readable=outline.is_readable,
            is_valid=outline.is_valid,
            problems=[PipelineProblem.of(problem) for problem in outline.problems],
            positions={name: list(place) for name, place in draft.positions.items()},  # type: ignore[arg-type]
            updated_by=draft.updated_by,
            updated_at=draft.updated_at,
            seen=seen,
        )

    @strawberry.field(
        description="Its tasks in the order of the file, those that have a name; none when it is not YAML.",
        metadata={"size": 100},
    )
    def tasks(self) -> list[DraftTask]:
        """Its tasks."""
        positions = self.seen.draft.positions
        return [
            DraftTask(
                name=task.name,
                dependencies=list(task.dependencies),
                line=task.line,
                fields=task.fields,  # type: ignore[arg-type]
                position=list(positions[task.name]) if task.name in positions else None,
            )
            for task in self.seen.outline.tasks
        ]

    @strawberry.field(
        description="Its graph to be drawn: `name`, `layer`, `row`, `edges`, `layers`, `rows` as in `Job.graph`, by the "
        "places of `tasks`; names that no task has are left out.",
        metadata={"cost": 10},
    )
    async def graph(self) -> JSON:
        """Its graph."""
        graph = await asyncio.to_thread(graph_of_draft, self.seen.outline.tasks)
        return outline_of(graph)  # type: ignore[return-value]


def graph_of_draft(tasks: Sequence[TaskOutline]) -> Graph:
    """The picture of tasks that may wait for each other in a circle, for themselves, or for nobody there is."""
    place = {task.name: index for index, task in enumerate(tasks)}
    needs = [sorted({place[need] for need in task.dependencies if need in place}) for task in tasks]
    placed = {index for wave in dag.layers(needs) for index in wave}
    # What stands in a circle or behind one is drawn as if it waited only for tasks before it in the file.
    straight = [
        [need for need in needed if index in placed or need in placed or need < index]
        for index, needed in enumerate(needs)
    ]
    graph = lay_out([(str(index), [str(need) for need in needed]) for index, needed in enumerate(straight)])
    edges = [end for index, needed in enumerate(needs) for other in needed for end in (other, index)]
    return replace(graph, names=[task.name for task in tasks], edges=edges)
