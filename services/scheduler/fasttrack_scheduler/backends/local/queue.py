"""Which waiting session starts next.

Higher priority first, then arrival. A session that does not fit keeps a claim on all it asks for, and later ones may
start only from what is left beside the claims. So a large session is never starved by small ones, while a session that
waits for an accelerator does not hold up those that need only free cpu.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from .capacity import Slots, plain, show
from .devices import PLAIN, allot, pool_of
from .ledger import Entry

LOOK_AHEAD = 64
"""How many waiting sessions that do not fit are passed over in one round; bounds the cost of a long queue."""


def place(entries: Mapping[str, Entry], totals: Slots, *, owner: str, now: float) -> list[str]:
    """Give room to all waiting sessions that may start now, in `owner`'s name; returns which."""
    claims = in_use(entries.values())
    held = [entry.devices for entry in entries.values() if entry.owner]
    contended: set[str] = set()
    passed, chosen = 0, []
    waiting = sorted(
        (entry.priority * -1, entry.arrival, name, entry) for name, entry in entries.items() if not entry.owner
    )
    for _, _, name, entry in waiting:
        pools = {pool_of(slot) for slot in entry.slots if slot not in PLAIN}
        devices = None
        if missing(entry.slots, claims, totals) is None and contended.isdisjoint(pools):
            devices = allot(entry.slots, totals, held)
            if devices is None:
                # Enough in sum, but in pieces: whoever wants the same devices waits behind this one.
                contended |= pools
        for slot, amount in entry.slots.items():
            claims[slot] = claims.get(slot, Decimal(0)) + amount
        if devices is not None:
            entry.owner, entry.since, entry.devices = owner, now, devices
            held.append(devices)
            chosen.append(name)
        elif (passed := passed + 1) >= LOOK_AHEAD:
            break
    return chosen


def in_use(entries: Iterable[Entry]) -> dict[str, Decimal]:
    """The sum of what started sessions hold."""
    total: dict[str, Decimal] = {}
    for entry in entries:
        if entry.owner:
            for slot, amount in entry.slots.items():
                total[slot] = total.get(slot, Decimal(0)) + amount
    return total


def missing(slots: Slots, used: Slots, totals: Slots) -> str | None:
    """The first slot that there is not enough of, if any."""
    for slot, amount in slots.items():
        if amount > 0 and used.get(slot, Decimal(0)) + amount > totals.get(slot, Decimal(0)):
            return slot
    return None


def why_waiting(slots: Slots, used: Slots, totals: Slots) -> str:
    """One sentence for people about a session that waits."""
    short = missing(slots, used, totals)
    if short is None:
        return "waits for its turn: earlier or more urgent sessions are served first"
    taken, total = used.get(short, Decimal(0)), totals.get(short, Decimal(0))
    if short == "mem":
        return f"waits for {show('mem', slots[short])}: {show('mem', taken)} of {show('mem', total)} are in use"
    return f"waits for {plain(slots[short])} {short}: {plain(taken)} of {plain(total)} are in use"
