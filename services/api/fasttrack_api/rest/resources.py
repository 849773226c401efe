"""Resource groups: what they have, what is taken of it, and by whom."""

from __future__ import annotations

from decimal import Decimal

from fastapi import APIRouter

from fasttrack.domain import accelerators, usage
from fasttrack.domain.resources import unit_of
from fasttrack.workflow.capacity import read_groups

from . import resource_models as models
from .reach import Call, OfCaller
from .routing import Route

router = APIRouter(prefix="/api/v1", tags=["resources"], route_class=Route)


@router.get("/resource-groups", summary="List resource groups")
async def list_resource_groups(call: OfCaller) -> list[models.ResourceGroup]:
    """The resource groups of every site: capacity, what is taken and by whom. Of projects you may not read, only sums."""
    return [_group(group) for group in await _read(call)]


@router.get("/accelerators", summary="List kinds of accelerator")
async def list_accelerators(call: OfCaller) -> list[models.Accelerator]:
    """The kinds of accelerator that are known by name, and which slots of them a resource group has."""
    offered = {slot for group in await _read(call) for slot in group.capacity}
    return [
        models.Accelerator(
            slot=known.slot,
            label=known.label,
            unit=known.unit,
            step=_number(known.step),
            offered_slots=sorted(slot for slot in offered if accelerators.find(slot) is known),
        )
        for known in accelerators.ACCELERATORS
    ]


async def _read(call: Call) -> list[usage.ResourceGroup]:
    return await read_groups(call.parts.database.transaction, call.parts.versions, call.caller.projects)


def _group(group: usage.ResourceGroup) -> models.ResourceGroup:
    slots = [
        models.GroupSlot(
            name=slot,
            unit=unit_of(slot),
            capacity=_number(group.capacity[slot]) if slot in group.capacity else None,
            used=_number(group.used.get(slot, Decimal(0))),
            waiting=_number(group.waiting.get(slot, Decimal(0))),
            free=_known(group.free(slot)),
            used_by_anybody=_known(group.used_by_anybody(slot)),
            largest_free=_known(group.largest_free(slot)),
        )
        for slot in group.slots
    ]
    return models.ResourceGroup(
        name=group.name,
        site=group.site,
        is_whole_site=group.is_whole_site,
        seen_at=group.seen_at,
        agents=group.told.agents if group.told else None,
        slots=slots,
        used_by=[_use(use) for use in group.uses],
    )


def _use(use: usage.Use) -> models.ResourceUse:
    user = use.user
    return models.ResourceUse(
        project=user.project if user else None,
        pipeline=user.pipeline if user else None,
        submitted_by=user.submitted_by if user else None,
        sessions=use.sessions,
        waiting=use.waiting,
        slots={slot: _number(use.slots[slot]) for slot in usage.in_order(use.slots)},
    )


def _known(amount: Decimal | None) -> int | float | None:
    return None if amount is None else _number(amount)


def _number(amount: Decimal) -> int | float:
    return int(amount) if amount == int(amount) else float(amount)
