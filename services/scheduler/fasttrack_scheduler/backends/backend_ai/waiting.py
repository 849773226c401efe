"""Why a session waits, in words: what it needs compared with what is free, for all that wait by one look at the cluster.

Managers say next to nothing (26.x) or that no agent has room (23.09), and nothing when what a session needs has gone with
the agent that had it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from decimal import Decimal

from fasttrack.backend_ai.answers import ManagerError
from fasttrack.domain.resources import describe, format_amount
from fasttrack.domain.room import Room, how_often

from .agents import Agent, Agents, Seen
from .checks import Need, fits_nowhere
from .truth import Session

_LOOKS = 10.0
"""Seconds that a look at the agents holds for those that wait."""
_LOOKS_AGAIN = 1.0
"""The same where it shows room for one that has just begun to wait: most likely the look was before it was taken."""
_TOLD_FOR = 300.0
"""Seconds that words stay of which only the numbers have changed: each change is a line of the task's history."""
_TURN = "turn"
_NONE = Decimal(0)


class Waiting:
    """What sessions that wait are told, by their names."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents
        self._since: dict[str, float] = {}
        self._told: dict[str, tuple[str, str, float]] = {}
        self._why: tuple[Seen | None, dict[object, tuple[str, str]]] = None, {}

    async def look(self, sessions: Collection[Session]) -> None:
        """Learn what is free if any of these waits: at most one request, for the most part none."""
        now, kept = time.monotonic(), None
        for session in sessions:
            if session.need is None:
                self.forget(session.name)
                continue
            since = self._since.setdefault(session.name, now)
            kept = _LOOKS if kept is None else kept
            if self._reason(session.need)[0] == _TURN:
                kept = min(kept, max(now - since, _LOOKS_AGAIN))
        if kept is not None:
            with suppress(ManagerError):  # then what was known stands
                await self._agents.look(kept=kept)

    def words(self, session: Session) -> str:
        """One sentence; empty where nothing is known."""
        if session.need is None:
            return ""
        kind, words = self._reason(session.need)
        now = time.monotonic()
        told = self._told.get(session.name)
        if told is not None and told[0] == kind and now - told[2] < _TOLD_FOR:
            return told[1]
        self._told[session.name] = kind, words, now
        return words

    def forget(self, name: str) -> None:
        """It waits no more."""
        self._since.pop(name, None)
        self._told.pop(name, None)

    def _reason(self, need: Need) -> tuple[str, str]:
        """What kind of reason it is, and its words; found out once for all that need the same."""
        seen = self._agents.latest
        if seen is None:
            return "", ""
        if self._why[0] is not seen:
            self._why = seen, {}
        key = need.group, need.places, tuple(sorted(need.slots.items()))
        found = self._why[1].get(key)
        if found is None:
            found = self._why[1][key] = reason(need, seen)
        return found


def reason(need: Need, seen: Seen) -> tuple[str, str]:
    """What kind of reason it is that a session with this need waits, and its words; both empty: nothing is known."""
    room = seen.rooms.get(need.group)
    if room is None:
        return "", ""
    members = [agent for agent in seen.agents if agent.group == need.group]
    present = [agent for agent in members if agent.takes_sessions]
    if members and not present:
        return "nobody", f"no agent of the resource group {need.group!r} takes sessions now: {_away(members)}"
    never = fits_nowhere(need, present, seen.rooms)
    if never is not None:
        absent = [a for a in members if not a.takes_sessions and how_often(need.slots, a.slots)]
        more = f"; {_away(absent)}" if absent else ""
        return f"never {more}", f"it cannot run as the cluster is now: {never}{more}"
    if room.takes(need.slots, need.places):
        return _TURN, (
            f"waits for its turn: the resource group {need.group!r} has room for it, and the cluster starts others first"
        )
    return _short_of(need, room)


def _short_of(need: Need, room: Room) -> tuple[str, str]:
    where = f"in the resource group {need.group!r}"
    for slot, amount in need.in_all.items():
        in_all, free = room.capacity.get(slot, _NONE), room.free.get(slot, _NONE)
        if free < amount:
            return f"sum {slot}", (
                f"waits for {format_amount(slot, amount)} {slot} {where}: {format_amount(slot, in_all)} in all, "
                f"{format_amount(slot, free)} free"
            )
    if need.places > 1:
        places = sum(how_often(need.slots, piece) for piece in room.pieces or ())
        return "places", (
            f"waits for {need.places} places with {describe(need.slots)} each {where}: there are {places} free"
        )
    largest = room.largest or {}
    for slot, amount in need.slots.items():
        most = largest.get(slot, _NONE)
        if most < amount:
            return f"piece {slot}", (
                f"waits for {format_amount(slot, amount)} {slot} on one agent {where}: "
                f"{format_amount(slot, room.free[slot])} are free, at most {format_amount(slot, most)} on one"
            )
    return "together", f"waits for {describe(need.slots)} on one agent {where}: no agent has all of it free"


def _away(agents: Sequence[Agent]) -> str:
    """Which agents are missed, and why."""
    return " and ".join(
        f"the agent {a.id} {'is kept from taking any' if a.is_alive else 'is lost'}" for a in agents[:3]
    )
