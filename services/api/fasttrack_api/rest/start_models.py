"""What is started, asked of several, and told of the caller: the larger requests of clients that work like a person."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from fasttrack.domain.access import AccountKind, Permission, Role

from . import models
from .models import Name, body, example

_JOB = "01936f2e-7a10-7c3e-9d55-0a1b2c3d4e5f"
_VERSION = "01936f2e-0000-7c3e-9d55-0a1b2c3d4e5f"
_WHEN = "2026-11-24T09:00:00Z"


class StartBody(models.RunBody):
    """What to run, and how: a file or a pipeline."""

    model_config = body(source="name: train\ntasks:\n  - name: fit\n    type: custom\n    command: python fit.py\n")
    source: str | None = Field(None, min_length=1, description="A pipeline file, as YAML.")
    message: str = Field("", max_length=1000, description="Why, in a line; of the version, if one is published.")
    pipeline: Name | None = Field(None, description="A stored pipeline, by its name or id.")
    version: int | None = Field(None, ge=1, le=2**31 - 1, description="Which one of it; `null` is the newest.")


class Started(BaseModel):
    """The job of a file or a pipeline."""

    model_config = example(
        job=dict(id=_JOB, number=12, is_new=True, refused=""), name="train", tasks=4, published=None,
        version=dict(id=_VERSION, number=3, author="ada", message="", hash="5f3a09c1", created_at=_WHEN),
    )  # fmt: skip
    job: models.Submitted | None = Field(description="`null`: it was only tried.")
    name: str = Field(description="The pipeline's name.")
    tasks: int = Field(description="How many tasks it has.")
    version: models.Version
    published: models.Published | None = Field(
        description="What publishing the file gave; `null` for a stored pipeline."
    )


class JobsBody(BaseModel):
    """Some jobs."""

    model_config = body(jobs=[_JOB])
    jobs: list[UUID] = Field(min_length=1, max_length=100, description="Their ids.")


class TasksBody(BaseModel):
    """Some tasks of a job."""

    model_config = body(tasks=["upload"])
    tasks: list[Name] = Field(min_length=1, max_length=100, description="Their names.")


class ResumeManyBody(BaseModel):
    """Some jobs and pipelines."""

    model_config = body(jobs=[_JOB], pipelines=["train"])
    jobs: list[UUID] = Field(default_factory=list, max_length=100, description="Ids of jobs.")
    pipelines: list[Name] = Field(default_factory=list, max_length=100, description="Names or ids of pipelines.")


class PauseManyBody(ResumeManyBody):
    """Some jobs and pipelines, and how to pause them."""

    stop: bool = Field(False, description="End what the jobs run as well; it begins anew when they are resumed.")


class RoleIn(BaseModel):
    """What the caller is in a project."""

    model_config = example(project="default", role="editor")
    project: str
    role: Role | None = Field(description="`null`: no member; a superadmin sees it all the same.")


class Whoami(BaseModel):
    """Who calls."""

    model_config = example(
        name="ada", kind="user", is_superadmin=False, scopes=["read", "run"], only_project=None, default_project="default", token_name="laptop",  # noqa: S106
        expires_at=_WHEN, projects=[dict(project="default", role="editor")],
    )  # fmt: skip
    name: str
    kind: AccountKind
    is_superadmin: bool = Field(description="Whether they may do everything everywhere, as far as the scopes allow.")
    scopes: list[Permission] = Field(description="What they may do at most, in any project.")
    only_project: str | None = Field(description="The one project that the token is for; `null`: it is for all.")
    default_project: str | None = Field(
        description="The project of requests that name none; `null`: it is not theirs to see."
    )
    token_name: str | None = Field(description="What the token is for; `null`: they came without a stored one.")
    expires_at: datetime | None = Field(description="When the token ends; `null`: it has no end, or there is none.")
    projects: list[RoleIn] = Field(description="The first hundred they may read, by name.")
