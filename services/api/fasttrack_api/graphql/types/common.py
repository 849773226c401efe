"""What several types share."""

from __future__ import annotations

from datetime import datetime

import strawberry

from fasttrack.domain.states import InstanceState, JobState
from fasttrack.errors import Problem, Severity


@strawberry.interface(description="Something with a global id, which `node` finds again.")
class Node:
    """Whatever has a global id."""

    id: strawberry.ID = strawberry.field(description="Its global id: opaque, never changes, at most 64 characters.")


@strawberry.type(description="How many jobs are in a state.")
class JobStateCount:
    """Of one state."""

    state: JobState = strawberry.field(description="The state.")
    count: int = strawberry.field(description="How many jobs are in it; at least 1.")


@strawberry.type(description="How many task instances are in a state.")
class TaskInstanceStateCount:
    """Of one state."""

    state: InstanceState = strawberry.field(description="The state.")
    count: int = strawberry.field(description="How many task instances are in it; at least 1.")


@strawberry.type(description="A name with a text.")
class NamedText:
    """Such as an environment variable."""

    name: str = strawberry.field(description="The name.")
    value: str = strawberry.field(
        description="The text. A reference to a secret, `${{ secrets.NAME }}`, stays one: no value is ever shown."
    )


@strawberry.type(description="One thing that is wrong with a pipeline file.")
class PipelineProblem:
    """Of a file."""

    message: str = strawberry.field(description="What is wrong and what would be right.")
    path: str = strawberry.field(description="Where, such as `tasks[2].resources.cpu`; empty: the file as a whole.")
    line: int | None = strawberry.field(description="Its line, from 1; null when it belongs to no place.")
    column: int | None = strawberry.field(description="Its column, from 1; null when it belongs to no place.")
    severity: Severity = strawberry.field(description="How bad it is.")

    @classmethod
    def of(cls, problem: Problem) -> PipelineProblem:
        """As the schema shows it."""
        return cls(
            message=problem.message,
            path=problem.path,
            line=problem.line or None,
            column=problem.column or None,
            severity=problem.severity,
        )


def seconds(start: datetime | None, end: datetime | None) -> float | None:
    """From one moment to the other, never less than 0; `None` if one of them has not come."""
    return None if start is None or end is None else max((end - start).total_seconds(), 0.0)
