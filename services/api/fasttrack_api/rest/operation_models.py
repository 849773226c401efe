"""What the REST API takes and gives of stored operations. Names are part of its contract: fields are added, never renamed."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from fasttrack.workflow.operations import MOST_CHARACTERS, MOST_STORED

from .models import body, example

_TEXT = "query Who { viewer { name } }"
_OPERATION = dict(
    sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", name="Who", text=_TEXT, created_by="ada",
    created_at="2026-11-24T09:00:00Z",
)  # fmt: skip


class StoredOperation(BaseModel):
    """A text of GraphQL that its callers may send the hash of, in place of the text."""

    model_config = example(**_OPERATION)
    sha256: str = Field(description="SHA-256 of the text, 64 digits from 0 to f: what clients send.")
    name: str = Field(description="What people call it.")
    text: str = Field(description="As it was stored.")
    created_by: str = Field(description="Who stored it.")
    created_at: datetime


class NewOperation(BaseModel):
    """An operation that is to be stored."""

    model_config = body(text=_TEXT)
    text: str = Field(
        min_length=1,
        max_length=MOST_CHARACTERS,
        description="As clients would send it, with its fragments; up to 64 KiB.",
    )
    name: str | None = Field(
        None, max_length=200, description="What people call it; `null`: as the operation is called in the text."
    )


class OperationsBody(BaseModel):
    """Operations that are to be stored, all of them or none."""

    model_config = body(operations=[dict(text=_TEXT)])
    operations: list[NewOperation] = Field(min_length=1, max_length=MOST_STORED)


class OperationOutcome(BaseModel):
    """What became of an operation: it was stored, or was there already."""

    model_config = example(operation=_OPERATION, is_new=True, cost=1)
    operation: StoredOperation
    is_new: bool = Field(description="Whether it was stored; not when it was there already.")
    cost: int = Field(description="What it costs without variables, in objects.")
