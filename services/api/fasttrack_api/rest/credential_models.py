"""What the REST API takes and gives about the keys that jobs run with on a cluster."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from .models import body, example

_ID = "01936f2e-7a10-7c3e-9d55-0a1b2c3d4e5f"
_WHEN = "2026-11-24T09:00:00Z"
_KEY = dict(access_key="AKIAIOSFODNN7EXAMPLE", added_by="ada", created_at=_WHEN, retired_at=None, sessions=3)


class BackendKey(BaseModel):
    """A key of a credential, never its secret half."""

    model_config = example(**_KEY)
    access_key: str
    added_by: str
    created_at: datetime
    retired_at: datetime | None = Field(
        description="Since when another is used in its place: it goes when nothing runs under it any more. `null`: it is in use."
    )
    sessions: int = Field(description="How many sessions that are not over were made with it.")


class Credential(BaseModel):
    """What the jobs of a project, or of a person, run with on a cluster: keys of one user of it."""

    model_config = example(
        project_id=_ID, account_id=None, holder="vision", site="backend_ai:manager.example.com",
        cluster_user="vision@example.com", created_by="ada", created_at=_WHEN, revision=7, keys=[_KEY],
    )  # fmt: skip
    project_id: UUID | None = Field(description="The project whose it is; `null`: it is a person's.")
    account_id: UUID | None = Field(description="The account whose it is; `null`: it is a project's.")
    holder: str = Field(description="The name of the project or account.")
    site: str = Field(description="The cluster that it is of.")
    cluster_user: str = Field(description="Whose the keys are on the cluster, and the folders that jobs write to.")
    created_by: str
    created_at: datetime
    revision: int = Field(description='Another one with every change; `If-Match` takes 7 as `"r7"`.')
    keys: list[BackendKey] = Field(
        description="The one in use, and after it those that are kept until nothing runs under them."
    )


class CredentialBody(BaseModel):
    """Both halves of a key."""

    model_config = body(**{"access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "the secret half"})
    access_key: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    secret_key: Annotated[str, StringConstraints(min_length=1, max_length=256)] = Field(
        repr=False, description="It is encrypted, and never given out again."
    )
    another_user: bool = Field(
        default=False,
        description="Do it even if pipelines of the project have folders of another user of the cluster.",
    )


class PersonalKeys(BaseModel):
    """Whether people's jobs in a project run with their own keys, where they have one."""

    model_config = body(is_allowed=True)
    is_allowed: bool
