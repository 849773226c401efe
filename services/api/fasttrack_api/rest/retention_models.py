"""What the REST API takes and gives of retention. Names are part of its contract: fields are added, never renamed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from .models import body, example

_BY_SETTING = dict(days=30, source="settings")


class Kept(BaseModel):
    """How long one kind is kept."""

    model_config = example(**_BY_SETTING)
    days: int | None = Field(description="After the end of the job; `null`: for ever.")
    source: Literal["project", "settings"] = Field(description="What says so.")


class Retention(BaseModel):
    """How long a project keeps what belongs to its jobs, and the jobs themselves."""

    model_config = example(
        events=dict(days=90, source="settings"), logs=dict(days=7, source="project"), outputs=_BY_SETTING,
        jobs=dict(days=None, source="project"),
    )  # fmt: skip
    events: Kept = Field(description="A job's history and its part of the feed.")
    logs: Kept = Field(description="What tasks printed.")
    outputs: Kept = Field(description="What tasks wrote.")
    jobs: Kept = Field(description="The job itself, which outlives its parts.")


Figure = Annotated[
    int | Annotated[str, StringConstraints(max_length=40)] | None,
    Field(description="Days from 1 to 36500, or `forever`; `null`: as it is."),
]


class RetentionBody(BaseModel):
    """Figures of the project's own; what is left out, or `null`, stays as it is."""

    model_config = body(logs=7, outputs="forever", jobs="forever")
    events: Figure = None
    logs: Figure = None
    outputs: Figure = None
    jobs: Figure = None
