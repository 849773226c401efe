"""What can be known to be wrong with a session before it is asked for: the cluster's own refusals name no remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches

from fasttrack.domain.accelerators import find
from fasttrack.domain.pipeline import ClusterMode
from fasttrack.domain.resources import Slots, describe, format_amount, scale, shortfall
from fasttrack.domain.room import Room, how_often

from ..base import SessionSpec
from .agents import Agent
from .catalogue import Image

DEFAULT_SHMEM = Decimal(64 * 1024**2)
_SHOWN = 5
_FINEST = Decimal("0.001")
"""Managers round amounts to this; what an agent gives a kind of device out by is not shown to users."""


def unknown(what: str, name: str, there_are: Iterable[str], field: str) -> str:
    """A sentence about a name that the cluster does not know, with the nearest that it does."""
    names = sorted(there_are)
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        offer = f"did you mean {' or '.join(close)}?"
    elif names:
        shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        offer = f"there are {shown}"
    else:
        offer = "this key may use none"
    return f"the cluster has no {what} {name!r} (`{field}`); {offer}"


def too_little_memory(spec: SessionSpec, image: Image) -> str | None:
    """Whether the image needs more than is asked for, shared memory included."""
    asked = spec.slots.get("mem")
    least = image.minimum.get("mem")
    if asked is None or least is None:
        return None
    shmem = Decimal(spec.shmem) or DEFAULT_SHMEM
    if asked >= least + shmem and asked > shmem:
        return None
    return (
        f"it asks for {format_amount('mem', asked)} of memory (`resources.mem`), and the image {image.reference} needs "
        f"{format_amount('mem', least)} besides the shared memory of {format_amount('mem', shmem)} "
        f"(`resource_opts.shmem`): ask for at least {format_amount('mem', least + shmem)}"
    )


def clashing_kinds(slots: Slots) -> str | None:
    """Whether whole devices and parts of devices of one kind are asked for together, which no agent can give."""
    kinds: dict[str, list[str]] = {}
    for slot, amount in slots.items():
        if amount and "." in slot:
            kinds.setdefault(slot.partition(".")[0], []).append(slot)
    for found in kinds.values():
        if len(found) > 1:
            return f"it asks for {' and '.join(sorted(found))} together: they are the same devices; ask for one of them"
    return None


def too_fine(slots: Slots) -> str | None:
    """Whether an amount is no multiple of what its slot is given out by, as far as that is known."""
    for slot, amount in slots.items():
        known = find(slot)
        step = _FINEST if known is None or slot == "mem" else known.step
        if slot != "mem" and amount % step:
            near = max(round(amount / step) * step, step)
            return (
                f"it asks for {amount.normalize():f} {slot} (`resources.{slot}`), which is given out in steps of "
                f"{format_amount(slot, step)}: ask for {format_amount(slot, near)}"
            )
    return None


@dataclass(frozen=True, slots=True)
class Need:
    """What a session must find free at once: one place, or several that may be on one agent or on several."""

    group: str
    slots: Slots
    """In each place."""
    places: int = 1

    @classmethod
    def of(cls, group: str, slots: Slots, mode: ClusterMode, containers: int) -> Need:
        """:param slots: of each container; with a single node all of them are in one place."""
        asked = {slot: amount for slot, amount in slots.items() if amount}
        if mode is ClusterMode.SINGLE_NODE:
            return cls(group, scale(asked, containers))
        return cls(group, asked, containers)

    @property
    def in_all(self) -> Slots:
        return scale(self.slots, self.places)


def need_of(spec: SessionSpec) -> Need:
    return Need.of(spec.resource_group, spec.slots, spec.cluster_mode, spec.cluster_size)


def fits_nowhere(need: Need, agents: Sequence[Agent], rooms: Mapping[str, Room]) -> str | None:
    """Whether the group, were it empty, could not take what is needed.

    :param agents: that count; empty where they are hidden, and `rooms` tells sums.
    """
    room = rooms.get(need.group)
    members = [agent for agent in agents if agent.group == need.group]
    if room is None or (room.agents is not None and not members):
        return None
    whole = [agent.slots for agent in members] or [room.capacity]
    known = {slot for slots in whole for slot in slots}
    for slot in need.slots:
        if slot not in known:
            return (
                f"the resource group {need.group!r} has no {slot} (`resources.{slot}`); it has "
                f"{', '.join(sorted(known))}{_elsewhere(slot, rooms)}"
            )
    places = sum(how_often(need.slots, slots) for slots in whole)
    if places >= need.places:
        return None
    if places:
        return (
            f"it asks for {need.places} containers with {describe(need.slots)} each (`cluster_size`), and the agents of the "
            f"resource group {need.group!r} could hold {places} of them were they empty"
        )
    best = min(whole, key=lambda slots: len(shortfall(need.slots, slots)))
    missing = shortfall(need.slots, best)
    wanted = describe({slot: need.slots[slot] for slot in missing})
    has = describe({slot: best.get(slot, Decimal(0)) for slot in missing})
    return (
        f"it asks for {_amounts(need.slots, missing)}, and no agent of the resource group {need.group!r} has that much: asked "
        f"are {wanted}, the nearest has {has} (`resources`)"
    )


def _amounts(asked: Slots, of: Iterable[str]) -> str:
    return " and ".join(f"{format_amount(slot, asked[slot])} {slot}" for slot in of)


def _elsewhere(slot: str, rooms: Mapping[str, Room]) -> str:
    groups = sorted(group for group, room in rooms.items() if room.capacity.get(slot))
    return f"; {slot} is in {', '.join(groups)}" if groups else ""
