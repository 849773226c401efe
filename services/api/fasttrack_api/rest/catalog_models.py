"""What the REST API takes and gives about the life of pipelines, and about templates."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from fasttrack.domain.catalog import LONGEST_DESCRIPTION, LONGEST_NAME, LONGEST_TAG, MOST_TAGS, TemplateScope

from .models import Finding, Pipeline, Version, body, example

_TEMPLATE = "00000000-0000-0000-0000-000000000001"
_PIPELINE = "01936f2e-0000-7c3e-9d55-0a1b2c3d4e5f"
_WHEN = "2026-11-24T09:00:00Z"
_NAME = "1 to 64 characters in one line, without `/`"
_TAGS = f"At most {MOST_TAGS}, of 1 to {LONGEST_TAG} characters, without commas"


class NewPipelineBody(BaseModel):
    """A pipeline to make: empty, or from one of `yaml`, `template` and `copy_of`."""

    model_config = body(name="my-training", template=_TEMPLATE, tags=["nlp"])
    name: str | None = Field(
        None, max_length=LONGEST_NAME, description=f"{_NAME}; `null`: of the file or template, or one that is free."
    )
    description: str | None = Field(
        None, max_length=LONGEST_DESCRIPTION, description="`null`: of the file, or of what is copied."
    )
    tags: list[str] | None = Field(
        None, max_length=MOST_TAGS, description=f"{_TAGS}; `null`: none, or of what is copied."
    )
    yaml: str | None = Field(None, description="A pipeline file.")
    template: UUID | None = Field(None, description="A template's id.")
    copy_of: UUID | None = Field(None, description="The id of a pipeline that you may read, of any project.")
    version: int | None = Field(
        None, ge=1, le=2**31 - 1, description="With `copy_of`, which version; `null` is the newest."
    )
    message: str = Field("", max_length=1000, description="Why, in a line.")


class CreatedPipeline(BaseModel):
    """The pipeline that was made."""

    model_config = example(
        pipeline=dict(id=_PIPELINE, name="train", latest_version=1, latest_job=0, created_by="ada", created_at=_WHEN),
        version=dict(id=_PIPELINE, number=1, author="ada", message="", hash="5f3a09c1", created_at=_WHEN),
        warnings=[], is_new=True,
    )  # fmt: skip
    pipeline: Pipeline
    version: Version | None = Field(description="Its first version; `null`: it is empty.")
    warnings: list[Finding]
    is_new: bool = Field(description="`false`: the idempotency key was used before, and this is its pipeline.")


class PipelineBody(BaseModel):
    """What is to be different about a pipeline; what is left out, or `null`, stays as it is."""

    model_config = body(tags=["nlp", "gpu"], expected_revision=2)
    name: str | None = Field(None, max_length=LONGEST_NAME, description=f"{_NAME}.")
    description: str | None = Field(None, max_length=LONGEST_DESCRIPTION, description="What it is for.")
    tags: list[str] | None = Field(None, max_length=MOST_TAGS, description=f"All its tags. {_TAGS}.")
    expected_revision: int | None = Field(
        None, ge=1, le=2**31 - 1, description="The revision that was read: another one is a 409."
    )


class Template(BaseModel):
    """What pipelines can be made from."""

    model_config = example(
        id=_TEMPLATE, name="hello", description="The smallest pipeline.", scope="everyone", is_shipped=True,
        shared_by=None, version=None, created_at=None, revision=None,
    )  # fmt: skip
    id: UUID
    name: str
    description: str
    scope: TemplateScope = Field(description="Who it is for: `project`, `domain` or `everyone`.")
    is_shipped: bool = Field(description="Whether it comes with FastTrack.")
    shared_by: str | None = Field(description="Who offers it; `null`: it comes with FastTrack.")
    version: int | None = Field(description="The number of the version it is of; `null`: it comes with FastTrack.")
    created_at: datetime | None = Field(description="Since when it is offered; `null`: it comes with FastTrack.")
    revision: int | None = Field(
        description='Another one whenever it is changed; `If-Match` takes 7 as `"r7"`. `null`: it comes with FastTrack.'
    )


class TemplateParam(BaseModel):
    """A parameter of a template."""

    model_config = example(name="who", type="string", default="world", description="Who is greeted.")
    name: str
    type: str = Field(description="`string`, `integer`, `number` or `boolean`.")
    default: str | int | float | bool | None = Field(description="`null`: a value must be given.")
    description: str


class TemplateDocument(Template):
    """A template with its file."""

    model_config = example(
        id=_TEMPLATE, name="hello", description="The smallest pipeline.", scope="everyone", is_shipped=True,
        shared_by=None, version=None, created_at=None, revision=None, yaml="name: hello\ntasks: []\n", params=[], secret_names=[],
    )  # fmt: skip
    yaml: str = Field(description="The file, comments included.")
    params: list[TemplateParam]
    secret_names: list[str] = Field(description="The secrets that its tasks refer to; never their values.")


class ShareBody(BaseModel):
    """What to offer of a pipeline, and to whom."""

    model_config = body(scope="everyone", version=3)
    scope: TemplateScope = Field(description="`project`, `domain` or `everyone`; the last two need OPERATE.")
    version: int | None = Field(None, ge=1, le=2**31 - 1, description="Which version; `null` is the newest.")
    name: str | None = Field(None, max_length=LONGEST_NAME, description=f"{_NAME}; `null`: as the pipeline.")
    description: str | None = Field(None, max_length=LONGEST_DESCRIPTION, description="`null`: the pipeline's.")
