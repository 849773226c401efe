"""What the REST API gives of resource groups. Names are part of its contract: fields are added, never renamed."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from .models import example

Amount = int | float
"""Cores of `cpu`, bytes of `mem`, else the slot's own unit."""

_CPU = dict(name="cpu", unit="core", capacity=16, used=4, waiting=0, free=12, used_by_anybody=4, largest_free=12)
_USE = dict(project="default", pipeline="train", submitted_by="ada", sessions=2, waiting=0, slots={"cpu": 4})


class GroupSlot(BaseModel):
    """How much a resource group has of one kind of resource."""

    model_config = example(**_CPU)
    name: str
    unit: str | None = Field(
        description="What is counted: `core`, `byte`, `GPU` …; `null` for a slot that is not known."
    )
    capacity: Amount | None = Field(description="In all, taken or not; `null`: the site has not told.")
    used: Amount = Field(description="Held by sessions that were given it.")
    waiting: Amount = Field(description="Asked for by sessions that were not given it yet.")
    free: Amount | None = Field(description="Held by nobody, at least 0; `null`: the capacity is not known.")
    used_by_anybody: Amount | None = Field(
        description="Held by anybody, other sessions of the site included, as told at `seen_at`; `null`: not told."
    )
    largest_free: Amount | None = Field(description="The most that is free on one agent; `null`: agents are not shown.")


class ResourceUse(BaseModel):
    """What one takes of a resource group: the jobs of one pipeline that one caller started."""

    model_config = example(**_USE)
    project: str | None = Field(description="`null`: all others together, of projects you may not read, or beyond 100.")
    pipeline: str | None
    submitted_by: str | None
    sessions: int = Field(description="That hold their slots.")
    waiting: int = Field(description="Sessions that were not given their slots yet.")
    slots: dict[str, Amount] = Field(description="What is held.")


class ResourceGroup(BaseModel):
    """A named part of a site that sessions are placed in."""

    model_config = example(
        name="default", site="local:5f3a09c1", is_whole_site=True, seen_at="2026-11-24T09:00:00Z", agents=1, slots=[_CPU],
        used_by=[_USE],
    )  # fmt: skip
    name: str = Field(description="As `scaling-group` of a pipeline file says it.")
    site: str = Field(description="A cluster, or one machine's state directory.")
    is_whole_site: bool = Field(description="Sessions of any group's name are placed here, as on one machine.")
    seen_at: datetime | None = Field(description="When a scheduler of the site last told what it has; `null`: never.")
    agents: int | None = Field(description="Alive at `seen_at`; `null`: the site does not show them.")
    slots: list[GroupSlot] = Field(description="`cpu` and `mem` first.")
    used_by: list[ResourceUse] = Field(description="The most sessions first, at most 100; then all others together.")


class Accelerator(BaseModel):
    """A kind of accelerator that is known by name."""

    model_config = example(
        slot="cuda.shares", label="NVIDIA GPU, fractional", unit="fGPU", step=0.01, offered_slots=["cuda.shares"]
    )
    slot: str = Field(description="With a `*` for the size it is a family, such as `cuda.mig-*`.")
    label: str
    unit: str
    step: Amount = Field(description="The smallest difference between two amounts.")
    offered_slots: list[str] = Field(description="Slots of this kind that some resource group has.")
