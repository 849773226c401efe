"""Identifiers: time-ordered UUIDs (version 7), one type each, so that a job's id is never taken for a pipeline's.

Time order keeps primary-key indexes dense and lets a list page by id.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import NewType
from uuid import UUID

from uuid_utils.compat import uuid7

ProjectId = NewType("ProjectId", UUID)
PipelineId = NewType("PipelineId", UUID)
VersionId = NewType("VersionId", UUID)
JobId = NewType("JobId", UUID)
InstanceId = NewType("InstanceId", UUID)
TemplateId = NewType("TemplateId", UUID)
CredentialId = NewType("CredentialId", UUID)

__all__ = [
    "CredentialId",
    "InstanceId",
    "JobId",
    "PipelineId",
    "ProjectId",
    "TemplateId",
    "VersionId",
    "make_ids_with",
    "new_id",
    "parse_id",
    "parse_session_name",
    "session_name",
    "short",
]


_make: Callable[[], UUID] = uuid7


def new_id() -> UUID:
    """A fresh version-7 UUID; later calls in one process sort later."""
    return _make()


def parse_id(text: str) -> UUID | None:
    """The id that the text is, written as we write ids; `None`: it is none."""
    if len(text) != 36:
        return None
    try:
        return UUID(text)
    except ValueError:
        return None


def make_ids_with(source: Callable[[], UUID] | None) -> None:
    """Take this process's new ids from `source`, as a simulation that is to be replayed must; `None`: real ones."""
    global _make
    _make = source or uuid7


def session_name(instance: InstanceId, attempt: int) -> str:
    r"""The compute session's name for one attempt: the same after any replay, so that a lost answer can be looked up.

    33 characters of `[a-z0-9-]`: legal in every Backend.AI release (4–64, `\w[\w.-]*\w`), and no name is a prefix
    of another.
    """
    text = base64.b32encode(instance.bytes).decode("ascii").rstrip("=").lower()
    return f"ft-{text}-{attempt:03d}"


def parse_session_name(name: str) -> tuple[InstanceId, int] | None:
    """The instance and attempt a session name stands for, or `None` if the name is not one of ours."""
    parts = name.split("-")
    if len(parts) != 3 or parts[0] != "ft" or len(parts[1]) != 26 or not parts[2].isdigit():
        return None
    try:
        return InstanceId(UUID(bytes=base64.b32decode(parts[1].upper() + "======"))), int(parts[2])
    except ValueError:
        return None


def short(identifier: UUID) -> str:
    """The last eight hex digits: enough for a person to tell jobs apart (the first ones are the clock)."""
    return identifier.hex[-8:]
