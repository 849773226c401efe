"""The root of writes: one module per noun, each a part of `Mutation`."""

from __future__ import annotations

from typing import Any

import strawberry

from .accounts import AccountWrites
from .jobs import JobWrites
from .members import MemberWrites
from .operations import OperationWrites
from .pipelines import PipelineWrites
from .projects import ProjectWrites
from .refused import WritesDownRefusals
from .tokens import TokenWrites


@strawberry.type(
    description="Everything that can be done. Each takes one input and answers what it did, with `errors` as data: "
    "empty when it was done, and nothing was changed otherwise."
)
class Mutation(PipelineWrites, JobWrites, ProjectWrites, OperationWrites, MemberWrites, AccountWrites, TokenWrites):
    """The root of writes."""


_definition: Any = Mutation.__strawberry_definition__  # type: ignore[attr-defined]
for _field in _definition.fields:
    _field.extensions.append(WritesDownRefusals())
