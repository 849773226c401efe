"""`fasttrack resources`: what there is to run on, what is taken of it, and by whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..exits import OK
from ..invocation import Invocation

if TYPE_CHECKING:
    from decimal import Decimal

    from fasttrack.domain.usage import ResourceGroup, Use


async def resources(call: Invocation) -> int:
    """List resource groups: what each has of every slot, what is used, waits and is free, and who uses it.

    What a site has is known once a scheduler of it has run.

    Example: `fasttrack resources`
    """
    async with call.store(any_project=True) as store:
        groups = await store.resources.groups()
    if call.out.as_json:
        call.out.document({"resource_groups": [_json(group) for group in groups]})
        return OK
    if not groups:
        call.out.say("No site has told what it has yet: a scheduler has to run first.")
        return OK
    call.out.table(
        ["group", "site", "slot", "capacity", "used", "waiting", "free", "largest"],
        [[g.name, g.site, slot, *_amounts(g, slot)] for g in groups for slot in g.slots],
    )
    if any(g.uses for g in groups):
        call.out.table(
            ["group", "project", "pipeline", "started by", "sessions", "waiting", "holds"],
            [[g.name, *_row(use)] for g in groups for use in g.uses],
        )
    return OK


def _amounts(group: ResourceGroup, slot: str) -> list[str]:
    amounts = (group.capacity.get(slot), group.free(slot), group.largest_free(slot))
    capacity, free, largest = ("unknown" if x is None else _say(slot, x) for x in amounts)
    used, waiting = (_say(slot, x) if x else "0" for x in (group.used.get(slot), group.waiting.get(slot)))
    return [capacity, used, waiting, free, largest]


def _row(use: Use) -> list[str]:
    from fasttrack.domain.resources import describe

    who = [use.user.project, use.user.pipeline, use.user.submitted_by] if use.user else ["others", "", ""]
    return [*who, str(use.sessions), str(use.waiting), describe(use.slots) if use.slots else ""]


def _say(slot: str, amount: Decimal) -> str:
    from fasttrack.domain.resources import format_amount

    return format_amount(slot, amount)


def _json(group: ResourceGroup) -> dict[str, Any]:
    return {
        "name": group.name,
        "site": group.site,
        "is_whole_site": group.is_whole_site,
        "seen_at": group.seen_at,
        "agents": group.told.agents if group.told else None,
        "slots": [
            {
                "name": slot,
                "capacity": _number(group.capacity.get(slot)),
                "used": _number(group.used.get(slot)) or 0,
                "waiting": _number(group.waiting.get(slot)) or 0,
                "free": _number(group.free(slot)),
                "used_by_anybody": _number(group.used_by_anybody(slot)),
                "largest_free": _number(group.largest_free(slot)),
            }
            for slot in group.slots
        ],
        "used_by": [_use_json(use) for use in group.uses],
    }


def _use_json(use: Use) -> dict[str, Any]:
    from fasttrack.domain.usage import in_order

    return {
        "project": use.user.project if use.user else None,
        "pipeline": use.user.pipeline if use.user else None,
        "submitted_by": use.user.submitted_by if use.user else None,
        "sessions": use.sessions,
        "waiting": use.waiting,
        "slots": {slot: _number(use.slots[slot]) for slot in in_order(use.slots)},
    }


def _number(amount: Decimal | None) -> int | float | None:
    return None if amount is None else int(amount) if amount == int(amount) else float(amount)
