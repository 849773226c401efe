"""The root of writes: one module per noun, each a part of `Mutation`."""

from __future__ import annotations

from typing import Any

import strawberry

from .accounts import AccountWrites
from .catalog import CatalogWrites
from .credentials import CredentialWrites
from .drafts import DraftWrites
from .jobs import JobWrites
from .members import MemberWrites
from .operations import OperationWrites
from .pipelines import PipelineWrites
from .projects import ProjectWrites
from .refused import WritesDownRefusals
from .tasks import TaskWrites
from .tokens import TokenWrites


@strawberry.type(
    description="Everything that can be done. Each takes one input and answers what it did, with `errors` as data: "
    "empty when it was done, and nothing was changed otherwise."
)
class Mutation(
    PipelineWrites,
    DraftWrites,
    CatalogWrites,
    JobWrites,
    TaskWrites,
    ProjectWrites,
    OperationWrites,
    MemberWrites,
    AccountWrites,
    TokenWrites,
    CredentialWrites,
):
    """The root of writes."""


_definition: Any = Mutation.__strawberry_definition__  # type: ignore[attr-defined]
for _field in _definition.fields:
    _field.extensions.append(WritesDownRefusals())
