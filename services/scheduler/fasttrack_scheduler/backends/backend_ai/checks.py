"""What can be known to be wrong with a session before it is asked for: the cluster's own refusals name no remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches

from fasttrack.domain.pipeline import ClusterMode
from fasttrack.domain.resources import Slots, describe, format_amount, scale, shortfall

from ..base import SessionSpec
from .catalogue import Agent, Image

DEFAULT_SHMEM = Decimal(64 * 1024**2)
_SHOWN = 5


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


def fits_nowhere(spec: SessionSpec, agents: Sequence[Agent] | None) -> str | None:
    """Whether no machine of the group, were it empty, could take what is asked for; nothing where they are hidden."""
    members = [agent for agent in agents or () if agent.group == spec.resource_group]
    if not members:
        return None
    asked = dict(spec.slots)
    if spec.cluster_mode is ClusterMode.SINGLE_NODE:
        asked = scale(asked, spec.cluster_size)
    known = {slot for agent in members for slot in agent.slots}
    for slot, amount in asked.items():
        if amount and slot not in known:
            return (
                f"the resource group {spec.resource_group!r} has no {slot} (`resources.{slot}`); it has "
                f"{', '.join(sorted(known))}{_elsewhere(slot, agents or ())}"
            )
    if any(not shortfall(asked, agent.slots) for agent in members):
        return None
    best = min(members, key=lambda agent: len(shortfall(asked, agent.slots)))
    missing = shortfall(asked, best.slots)
    wanted = describe({slot: asked[slot] for slot in missing})
    has = describe({slot: best.slots.get(slot, Decimal(0)) for slot in missing})
    return (
        f"it asks for {_amounts(asked, missing)}, and no agent of the resource group {spec.resource_group!r} has that "
        f"much: asked are {wanted}, the nearest has {has} (`resources`)"
    )


def _amounts(asked: Slots, of: Mapping[str, Decimal]) -> str:
    return " and ".join(f"{format_amount(slot, asked[slot])} {slot}" for slot in of)


def _elsewhere(slot: str, agents: Iterable[Agent]) -> str:
    groups = sorted({agent.group for agent in agents if agent.slots.get(slot)})
    return f"; {slot} is in {', '.join(groups)}" if groups else ""
