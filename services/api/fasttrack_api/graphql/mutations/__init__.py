"""The root of writes: one module per noun, each a part of `Mutation`."""

from __future__ import annotations

import strawberry

from .jobs import JobWrites
from .pipelines import PipelineWrites
from .projects import ProjectWrites
from .tasks import TaskWrites


@strawberry.type(
    description="Everything that can be done. Each takes one input and answers what it did, with `errors` as data: "
    "empty when it was done, and nothing was changed otherwise."
)
class Mutation(PipelineWrites, JobWrites, TaskWrites, ProjectWrites):
    """The root of writes."""
