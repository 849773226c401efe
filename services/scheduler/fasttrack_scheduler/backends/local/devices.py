"""Which accelerators of this machine a session gets: numbered devices, whole or in shares, and how it is told.

`cuda.device` and `cuda.shares` are two ways to ask for the same devices: whole ones, or fractions of one (an amount
above 1 takes whole devices and the rest of another). Devices of other names are pools of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from decimal import Decimal

VISIBLE = {
    "cuda": ("CUDA_VISIBLE_DEVICES",),
    "rocm": ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"),
    "atom": ("RBLN_DEVICES",),
    "tpu": ("TPU_VISIBLE_CHIPS",),
    "gaudi": ("HABANA_VISIBLE_MODULES",),
    "gaudi2": ("HABANA_VISIBLE_MODULES",),
    "gaudi3": ("HABANA_VISIBLE_MODULES",),
    "tt-n300": ("TT_VISIBLE_DEVICES",),
}
"""How a vendor's runtime is told which devices to use. Others find theirs in FASTTRACK_DEVICES_<SLOT>."""

PLAIN = frozenset({"cpu", "mem"})
"""Slots that are amounts, not devices."""

Held = Mapping[str, Mapping[str, str]]
"""Pool to device number to the held part of it, as kept in files."""


def pool_of(slot: str) -> str:
    """The devices that a slot is about: `cuda` for `cuda.device` and `cuda.shares`, else the slot itself."""
    family, _, unit = slot.rpartition(".")
    return family if unit in ("device", "shares") else slot


def allot(slots: Mapping[str, Decimal], totals: Mapping[str, Decimal], held: Iterable[Held]) -> Held | None:
    """Devices for a session that asks for `slots` while others hold `held`; `None` if there are not enough."""
    free = _free(totals, held)
    taken: dict[str, dict[str, str]] = {}
    for slot, amount in slots.items():
        if slot in PLAIN or not amount:
            continue
        pool = free.get(pool_of(slot), {})
        whole, rest = divmod(amount, 1)
        idle = [number for number, left in pool.items() if left == 1]
        if len(idle) < whole:
            return None
        parts = dict.fromkeys(idle[: int(whole)], Decimal(1))
        if rest:
            # The fullest device that still has room, so that whole ones stay whole for others.
            fitting = [number for number, left in pool.items() if left >= rest and number not in parts]
            if not fitting:
                return None
            parts[min(fitting, key=lambda number: pool[number])] = rest
        for number, part in parts.items():
            pool[number] -= part
        taken.setdefault(pool_of(slot), {}).update({number: str(part) for number, part in parts.items()})
    return taken


def free(totals: Mapping[str, Decimal], used: Mapping[str, Decimal], held: Iterable[Held]) -> dict[str, Decimal]:
    """The most of each slot that one more session could get: of shares, all idle devices and the largest rest of one."""
    pools = _free(totals, held)
    found = {}
    for slot, total in totals.items():
        if slot in PLAIN:
            found[slot] = max(total - used.get(slot, Decimal(0)), Decimal(0))
            continue
        pool = list(pools[pool_of(slot)].values())[: int(total)]
        idle = sum(left == 1 for left in pool)
        rest = max((left for left in pool if left < 1), default=Decimal(0)) if slot.endswith(".shares") else 0
        found[slot] = Decimal(idle + rest)
    return found


def _free(totals: Mapping[str, Decimal], held: Iterable[Held]) -> dict[str, dict[str, Decimal]]:
    free: dict[str, dict[str, Decimal]] = {}
    for slot, total in totals.items():
        if slot not in PLAIN:
            pool = free.setdefault(pool_of(slot), {})
            for index in range(len(pool), int(total)):
                pool[str(index)] = Decimal(1)
    for holding in held:
        for name, parts in holding.items():
            for number, part in parts.items():
                if number in free.get(name, {}):
                    free[name][number] -= Decimal(part)
    return free


def variables(held: Held, totals: Mapping[str, Decimal]) -> dict[str, str]:
    """What tells a session its devices. Pools of the site that it holds nothing of are hidden from it."""
    found = {}
    for pool in {"cuda", *(pool_of(slot) for slot in totals if slot not in PLAIN)}:
        numbers = ",".join(_physical(pool, number) for number in held.get(pool, {}))
        found.update(dict.fromkeys(VISIBLE.get(pool, ()), numbers))
    for slot in totals:
        if slot not in PLAIN:
            numbers = ",".join(held.get(pool_of(slot), {}))
            found[f"FASTTRACK_DEVICES_{''.join(c if c.isalnum() else '_' for c in slot).upper()}"] = numbers
    return found


def _physical(pool: str, number: str) -> str:
    # A service that was itself given some of the machine's devices passes on those.
    given = os.environ.get(VISIBLE.get(pool, ("",))[0], "")
    ids = [part for part in given.split(",") if part]
    return ids[int(number)] if int(number) < len(ids) else number
