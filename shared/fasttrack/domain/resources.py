"""Amounts of resources: how they are written, read, added and compared.

A slot map is a mapping of slot name to a `Decimal`: `cpu` in cores, `mem` in bytes, any accelerator in its own unit. A
slot that is not in the map is zero.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from .accelerators import find, fractional_sibling, is_whole

Slots = Mapping[str, Decimal]

_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4, "p": 1024**5}
_SIZE = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([kmgtp]?)(?:i?b|i)?\s*\Z", re.IGNORECASE)
_AMOUNT = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})\s*\Z")


def parse_size(text: str | int) -> int:
    """The bytes that `16g`, `16GiB`, `512m`, `0.5t` or `1048576` mean. Multiples are binary, as in Backend.AI.

    A fraction of a byte is cut off.

    :raises ValueError: with a sentence that says what a size looks like.
    """
    found = _SIZE.match(str(text))
    if found is None:
        raise ValueError(f"{str(text)[:40]!r} is not a size. Write a number and a unit, such as 512m or 16g.")
    number, unit = found.groups()
    return int(Decimal(number) * _UNITS[unit.lower()])


def format_size(size: int) -> str:
    """A size in the largest unit that divides it: `16g`, `1536m`, `0g`; plain bytes when none does."""
    if size == 0:
        return "0g"
    for unit in ("p", "t", "g", "m", "k"):
        if size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]}{unit}"
    return str(size)


def parse_amount(slot: str, text: str | int | float | Decimal) -> Decimal:
    """How much of a slot is meant: a size for `mem`, otherwise a number; whole where the slot is whole.

    :raises ValueError: with a sentence that says what would be right.
    """
    if slot == "mem":
        return Decimal(parse_size(str(text)))
    if str(text).strip().startswith("-"):
        raise ValueError(f"{text} is negative. Ask for 0 or more of `{slot}`.")
    found = _AMOUNT.match(str(text))
    if found is None:
        raise ValueError(f"{str(text)[:40]!r} is not an amount of `{slot}`. Write a number, such as 1.")
    amount = Decimal(found.group(1))
    if is_whole(slot) and amount != int(amount):
        shares = fractional_sibling(slot)
        instead = f", or ask for part of a device with `{shares}`" if shares else ""
        raise ValueError(
            f"{amount} of `{slot}` is not possible: it is counted in whole units. Write {_up(amount)}{instead}."
        )
    return amount


def format_amount(slot: str, amount: Decimal) -> str:
    """The amount in its shortest form: `16g` for `mem`, otherwise a number without needless zeros."""
    if slot == "mem":
        return format_size(int(amount))
    if amount == int(amount):
        return str(int(amount))
    return format(amount.normalize(), "f")


def add(left: Slots, right: Slots) -> dict[str, Decimal]:
    """The sum, slot by slot."""
    return {slot: left.get(slot, Decimal(0)) + right.get(slot, Decimal(0)) for slot in {**left, **right}}


def subtract(left: Slots, right: Slots) -> dict[str, Decimal]:
    """What is left of `left`; a slot of which there was too little becomes negative."""
    return {slot: left.get(slot, Decimal(0)) - right.get(slot, Decimal(0)) for slot in {**left, **right}}


def scale(slots: Slots, times: int) -> dict[str, Decimal]:
    """The slots of `times` equal containers."""
    return {slot: amount * times for slot, amount in slots.items()}


def fits(wanted: Slots, free: Slots) -> bool:
    """Whether all that is wanted is free."""
    return all(amount <= free.get(slot, Decimal(0)) for slot, amount in wanted.items())


def shortfall(wanted: Slots, free: Slots) -> dict[str, Decimal]:
    """How much is missing, only of the slots of which there is too little; empty when it fits."""
    missing = {slot: amount - free.get(slot, Decimal(0)) for slot, amount in wanted.items()}
    return {slot: amount for slot, amount in missing.items() if amount > 0}


def unit_of(slot: str) -> str | None:
    """What is counted of a slot: `core`, `byte`, `GPU` …; `None` for one that is not known."""
    known = find(slot)
    return {"cpu": "core", "mem": "byte"}.get(slot) if known is None else known.unit


def describe(slots: Slots) -> str:
    """The slots for people, in a fixed order: `cpu 4, mem 16g, cuda.shares 1.5`."""
    order = sorted(slots, key=lambda slot: (slot != "cpu", slot != "mem", slot))
    return ", ".join(f"{slot} {format_amount(slot, slots[slot])}" for slot in order) or "nothing"


def _up(amount: Decimal) -> int:
    return int(amount) + 1
