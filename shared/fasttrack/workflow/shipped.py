"""The templates that come with FastTrack: files beside this module, read once, never changed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from uuid import UUID

from .. import spec
from ..domain.pipeline import Pipeline
from ..ids import TemplateId

_NAMES = ("hello", "train-and-evaluate", "fan-out-and-in", "retry-and-cleanup")
"""Add at the end: a place here is an id that clients keep."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """A template that comes with FastTrack."""

    id: TemplateId
    name: str
    description: str
    text: str
    pipeline: Pipeline


@cache
def shipped() -> tuple[Shipped, ...]:
    """All of them, in the order they were added."""
    return tuple(_read(number, name) for number, name in enumerate(_NAMES, start=1))


def _read(number: int, name: str) -> Shipped:
    text = (files(__package__) / "shipped_templates" / f"{name}.yaml").read_text(encoding="utf-8")
    _, pipeline, _ = spec.load_pipeline(text)
    return Shipped(TemplateId(UUID(int=number)), pipeline.name, pipeline.description, text, pipeline)
