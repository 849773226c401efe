"""What a resource group has and what of it is free now, machine by machine: pure sums.

Two devices that are free on two agents are no room for a session that wants both on one. So what is free is kept in
pieces, one for each agent, and whether something has room is asked of them, never of the sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce

from .resources import Slots, add

_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Room:
    """Of one resource group at one moment, whoever uses it."""

    capacity: Slots
    """What its living agents have in all, taken or not."""
    used: Slots
    """What is taken of it."""
    free: Slots
    """What is taken by nobody, in sum, where sessions are placed now."""
    pieces: tuple[Slots, ...] | None
    """The same, for each agent that takes sessions; `None`: its agents are not shown, only sums are known."""
    agents: int | None
    """How many of its agents are alive; `None`: they are not shown."""

    @classmethod
    def of(cls, agents: Iterable[tuple[Slots, Slots, bool]]) -> Room:
        """Of living agents: what each has, what is taken of it, and whether it takes sessions."""
        told = list(agents)
        pieces = tuple(left(slots, used) for slots, used, takes_sessions in told if takes_sessions)
        return cls(_sum(s for s, _, _ in told), _sum(u for _, u, _ in told), _sum(pieces), pieces, len(told))

    @classmethod
    def in_sum(cls, used: Slots, free: Slots) -> Room:
        """Of a group whose agents are not shown."""
        return cls(add(used, free), used, free, pieces=None, agents=None)

    @property
    def largest(self) -> dict[str, Decimal] | None:
        """Slot by slot, the most that is free on one agent; `None` where agents are not shown."""
        if self.pieces is None:
            return None
        return {slot: max((p.get(slot, _NOTHING) for p in self.pieces), default=_NOTHING) for slot in self.capacity}

    def takes(self, slots: Slots, containers: int = 1) -> bool:
        """Whether so many containers with these slots each have room now, each on one agent. Where agents are not shown
        it is said of the sum: `True` means that they may.
        """
        pieces = (self.free,) if self.pieces is None else self.pieces
        return sum(how_often(slots, piece) for piece in pieces) >= containers


def left(slots: Slots, used: Slots) -> dict[str, Decimal]:
    """What is not used, slot by slot, never less than nothing."""
    return {slot: max(amount - used.get(slot, _NOTHING), _NOTHING) for slot, amount in slots.items()}


def how_often(slots: Slots, piece: Slots) -> int:
    """How many containers with these slots there is room for in one piece; a great number for such as ask for nothing."""
    return min(
        (int(piece.get(slot, _NOTHING) // amount) for slot, amount in slots.items() if amount > 0), default=10**6
    )


def _sum(several: Iterable[Slots]) -> dict[str, Decimal]:
    return reduce(add, several, {})
