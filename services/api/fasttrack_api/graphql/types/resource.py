"""Resource groups: what they have, what is taken of it, and by whom; and the accelerators that are known by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal

import strawberry

from fasttrack.domain import accelerators, usage
from fasttrack.domain.resources import unit_of

from .task import Slot


@strawberry.type(description="How much a resource group has of one kind of resource.")
class GroupSlot:
    """Of a resource group. Amounts are decimal numbers: cores of `cpu`, bytes of `mem`, else the slot's unit."""

    name: str = strawberry.field(description="The slot: `cpu`, `mem`, or the name of an accelerator.")
    label: str = strawberry.field(description="For people, such as `NVIDIA GPU`; the name of one that is not known.")
    unit: str | None = strawberry.field(
        description="What is counted: `core`, `byte`, `GPU`, `NPU` …; null for a slot that is not known."
    )
    capacity: str | None = strawberry.field(
        description="How much there is, taken or not, a decimal number; null when the site has not told."
    )
    used: str = strawberry.field(description="How much is held by sessions that were given it, a decimal number.")
    used_by_anybody: str | None = strawberry.field(
        description="How much is held by anybody, sessions on the site that are not FastTrack's included, as told at "
        "`seenAt`, a decimal number; null when the site has not told."
    )
    waiting: str = strawberry.field(
        description="How much is asked for by sessions that were not given it yet, a decimal number."
    )
    free: str | None = strawberry.field(
        description="How much nobody holds, a decimal number, at least 0; null when the capacity is not known."
    )

    largest_free: str | None = strawberry.field(
        description="The most that is free on one agent, a decimal number: a session that asks for more of it on one waits, "
        "whatever `free` is; null when the site does not show its agents."
    )

    @classmethod
    def of(cls, group: usage.ResourceGroup, slot: str) -> GroupSlot:
        """As the schema shows it."""
        known = accelerators.find(slot)
        return cls(
            name=slot,
            label=known.label if known else slot,
            unit=unit_of(slot),
            capacity=_amount(group.capacity[slot]) if slot in group.capacity else None,
            used=_amount(group.used.get(slot, Decimal(0))),
            used_by_anybody=_known(group.used_by_anybody(slot)),
            waiting=_amount(group.waiting.get(slot, Decimal(0))),
            free=_known(group.free(slot)),
            largest_free=_known(group.largest_free(slot)),
        )


@strawberry.type(description="What one takes of a resource group: the jobs of one pipeline that one caller started.")
class ResourceUse:
    """Of a resource group."""

    project_name: str | None = strawberry.field(
        description="The project; null: all others together, of projects that you may not read, or beyond the first 100."
    )
    pipeline_name: str | None = strawberry.field(description="The pipeline; null: the others.")
    submitted_by: str | None = strawberry.field(description="Who started the jobs; null: the others.")
    session_count: int = strawberry.field(description="Compute sessions that hold their slots.")
    waiting_count: int = strawberry.field(description="Compute sessions that were not given their slots yet.")
    slots: list[Slot] = strawberry.field(description="What is held.")

    @classmethod
    def of(cls, use: usage.Use) -> ResourceUse:
        """As the schema shows it."""
        user = use.user
        return cls(
            project_name=user.project if user else None,
            pipeline_name=user.pipeline if user else None,
            submitted_by=user.submitted_by if user else None,
            session_count=use.sessions,
            waiting_count=use.waiting,
            slots=slots_of(use.slots),
        )


@strawberry.type(description="A named part of a site that compute sessions are placed in.")
class ResourceGroup:
    """One group of one site."""

    name: str = strawberry.field(description="Its name, as `scaling-group` of a pipeline file says it.")
    site: str = strawberry.field(description="Where it is: a cluster, or one machine's state directory.")
    is_whole_site: bool = strawberry.field(
        description="Whether the site makes no difference between groups, as one machine does: sessions of any group's "
        "name are placed in this one."
    )
    seen_at: datetime | None = strawberry.field(
        description="When a scheduler of the site last told what it has, about once a minute while one runs; null: never."
    )
    agent_count: int | None = strawberry.field(
        description="How many agents of it were alive at `seenAt`; null when the site does not show them."
    )
    slots: list[GroupSlot] = strawberry.field(
        description="What it has of each slot, and what is taken: `cpu` and `mem` first.",
        metadata={"cost": 0, "size": 5},
    )
    used_by: list[ResourceUse] = strawberry.field(
        description="Who takes of it, the most sessions first, at most 100; then all others together.",
        metadata={"cost": 0, "size": 20},
    )

    @classmethod
    def of(cls, group: usage.ResourceGroup) -> ResourceGroup:
        """As the schema shows it."""
        return cls(
            name=group.name,
            site=group.site,
            is_whole_site=group.is_whole_site,
            seen_at=group.seen_at,
            agent_count=group.told.agents if group.told else None,
            slots=[GroupSlot.of(group, slot) for slot in group.slots],
            used_by=[ResourceUse.of(use) for use in group.uses],
        )


@strawberry.type(
    description="A kind of accelerator that is known by name. Slots of any other name can be asked for too."
)
class Accelerator:
    """Of the catalogue."""

    slot: str = strawberry.field(
        description="The slot's name; with a `*` for the size it is a family, such as `cuda.mig-*`."
    )
    label: str = strawberry.field(description="For people, such as `NVIDIA GPU`.")
    unit: str = strawberry.field(description="What one of it is: `GPU`, `NPU`, `slice` …")
    step: str = strawberry.field(description="The smallest difference between two amounts, a decimal number.")
    is_fractional: bool = strawberry.field(description="Whether a part of a device can be asked for.")
    offered_slots: list[str] = strawberry.field(
        description="The slots of this kind that some resource group has; empty: none has any."
    )

    @classmethod
    def of(cls, known: accelerators.Accelerator, offered: Collection[str]) -> Accelerator:
        """As the schema shows it."""
        return cls(
            slot=known.slot,
            label=known.label,
            unit=known.unit,
            step=_amount(known.step),
            is_fractional=known.is_fractional,
            offered_slots=sorted(slot for slot in offered if accelerators.find(slot) is known),
        )


def slots_of(slots: Mapping[str, Decimal]) -> list[Slot]:
    """The amounts, `cpu` and `mem` first."""
    return [Slot(name=name, amount=_amount(slots[name])) for name in usage.in_order(slots)]


def _known(amount: Decimal | None) -> str | None:
    return None if amount is None else _amount(amount)


def _amount(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
