"""Enums of the domain with the meanings that their sources give."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Any

import strawberry

from fasttrack.domain.access import AccountKind, Permission, Role
from fasttrack.domain.catalog import TemplateScope
from fasttrack.domain.pipeline import ClusterMode, Collision, RunIf, TaskKind
from fasttrack.domain.states import FailureClass, InstanceState, JobState
from fasttrack.domain.tokens import TokenKind
from fasttrack.errors import Severity


def meanings(kind: type[Enum]) -> dict[str, str]:
    """The sentence under each member in its source."""
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for node, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(node, ast.Assign) and isinstance(following, ast.Expr):
            text = following.value
            if isinstance(text, ast.Constant) and isinstance(node.targets[0], ast.Name):
                found[node.targets[0].id] = " ".join(str(text.value).split()).replace("`", "")
    return found


def expose(
    kind: type[Enum], description: str, *, name: str | None = None, texts: Mapping[str, str] | None = None
) -> None:
    """Make an enum of the domain one of the schema, every value with its meaning."""
    strawberry.enum(kind, name=name, description=description)
    definition: Any = kind.__strawberry_definition__  # type: ignore[attr-defined]
    told = meanings(kind) | dict(texts or {})
    for value in definition.values:
        value.description = told[value.name]


class LimitScope(StrEnum):
    """What a limit is of."""

    PROJECT = "project"
    """All tasks of the project."""
    RESOURCE_GROUP = "resource_group"
    """Tasks of one resource group."""
    POOL = "pool"
    """Tasks that name the pool, each taking as many slots as it says."""


class PipelineOrder(StrEnum):
    """What pipelines are listed by."""

    NAME = "name"
    """By name, from a to z."""
    NAME_DESC = "name_desc"
    """By name, from z to a."""
    CREATED = "created"
    """The oldest first."""
    CREATED_DESC = "created_desc"
    """The newest first."""


class OriginKind(StrEnum):
    """What a pipeline was made from."""

    PIPELINE = "pipeline"
    """It is a copy of another pipeline."""
    TEMPLATE = "template"
    """It was made from a template."""


class Generation(StrEnum):
    """A generation of pipeline files."""

    G25_6 = "25.6"
    """As FastTrack 25.6 writes them."""
    G25_15 = "25.15"
    """As FastTrack 25.15 writes them."""
    G26_4 = "26.4"
    """As FastTrack 26.4 writes them: the newest."""


class AuditOutcome(StrEnum):
    """What became of a write."""

    DONE = "done"
    """It was done."""
    REFUSED = "refused"
    """The caller may see the thing, but not do this to it; nothing was changed."""


expose(JobState, "Where a job stands. The first four may change; the last three are final.")
expose(InstanceState, "Where one task of one job stands. The last five are final.", name="TaskInstanceState")
expose(FailureClass, "Why an attempt did not succeed.")
expose(TaskKind, "What a task is.")
expose(RunIf, "Which outcome of its dependencies lets a task run, once all of them have ended.")
expose(LimitScope, "What a limit is of.")
expose(PipelineOrder, "What pipelines are listed by.")
expose(TemplateScope, "Who a template is for.")
expose(OriginKind, "What a pipeline was made from.")
expose(Generation, "A generation of pipeline files.")
expose(
    Collision,
    "What a new job does when the pipeline's concurrency limit is reached.",
    texts={
        "QUEUE": "It waits for its turn.",
        "SKIP": "It is cancelled at once.",
        "CANCEL_OLDER": "The oldest active jobs are cancelled to make room.",
    },
)
expose(
    ClusterMode,
    "How the containers of one session are placed.",
    texts={"SINGLE_NODE": "All on one machine.", "MULTI_NODE": "Each where there is room."},
)
expose(
    Severity,
    "How bad a problem in a pipeline file is.",
    texts={
        "ERROR": "The file cannot be published or run.",
        "WARNING": "The file is accepted; the author probably wants to know.",
    },
)
expose(
    Permission,
    "What a caller may do in a project.",
    texts={
        "READ": "See everything but the values of secrets.",
        "EDIT": "Make and change pipelines.",
        "RUN": "Run, cancel, pause and run again.",
        "SECRETS": "Store and delete secrets.",
        "OPERATE": "Change limits and retention.",
        "MANAGE": "Change members and tokens.",
    },
)
expose(
    AccountKind,
    "What calls.",
    texts={"USER": "A person, or the owner of the machine.", "SERVICE": "A program with an account of its own."},
)
expose(AuditOutcome, "What became of a write.")
expose(
    Role,
    "What a member is in a project; each may do all that the one before may.",
    texts={
        "VIEWER": "Sees everything of the project but the values of secrets.",
        "EDITOR": "Makes and changes pipelines, stores secrets; runs, cancels, pauses and runs again.",
        "OPERATOR": "Changes limits and retention, and what others made.",
        "ADMIN": "Manages members, tokens and service accounts, and reads the audit log.",
    },
)
expose(
    TokenKind,
    "Whom a token stands for.",
    texts={"PERSONAL": "A person; it begins with ftp_.", "SERVICE": "A service account; it begins with fts_."},
)
