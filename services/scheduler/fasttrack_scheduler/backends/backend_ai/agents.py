"""The machines of the cluster: what each has, what of it is free, and what that makes of a resource group."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from fasttrack.backend_ai.answers import Away, Refused
from fasttrack.backend_ai.gateway import Gateway
from fasttrack.domain.resources import Slots, parse_size
from fasttrack.domain.room import Room

from .kept import KEPT, Kept

_PAGE = 500
_HIDDEN_FOR = 600.0
"""Seconds after which a cluster that hides its agents from users is asked for them again."""
_LIST = f"""query($offset: Int!) {{ agent_summary_list(limit: {_PAGE}, offset: $offset) {{
  total_count items {{ id status scaling_group schedulable available_slots occupied_slots architecture }} }} }}"""


@dataclass(frozen=True, slots=True)
class Agent:
    """One machine of the cluster."""

    id: str
    group: str
    is_alive: bool
    takes_sessions: bool
    """Whether sessions may be placed on it: an admin can keep them off one that is alive."""
    slots: Slots
    used: Slots


@dataclass(frozen=True, slots=True)
class Seen:
    """The cluster's machines at one moment."""

    agents: tuple[Agent, ...]
    """Empty where users are not shown them."""
    rooms: Mapping[str, Room]
    """By resource group; a group all of whose agents are lost is there, with nothing."""


class Agents:
    """What is asked of all of them at once: one request for up to 500 machines, shared by all who want to know. Those with
    another processor than our sessions are left out.
    """

    def __init__(
        self, gateway: Gateway, projects: Callable[[], Awaitable[Iterable[str]]], *, architecture: str
    ) -> None:
        """:param projects: of the key's user, through which a cluster that hides its agents tells sums."""
        self._gateway = gateway
        self._projects = projects
        self._architecture = architecture
        self._seen: Kept[Seen] = Kept(self._ask)
        self._hidden_until = float("-inf")

    async def look(self, *, kept: float = KEPT) -> Seen:
        """The machines, as they were at most `kept` seconds ago."""
        return await self._seen.get(kept=kept)

    @property
    def latest(self) -> Seen | None:
        """As they were seen last, however long ago."""
        return self._seen.latest()

    async def _ask(self, _: str) -> Seen:
        agents = None if time.monotonic() < self._hidden_until else await self._ask_agents()
        if agents is not None:
            return Seen(tuple(agents), rooms_of(agents))
        told = await asyncio.gather(*(self._ask_project(project) for project in await self._projects()))
        return Seen((), {group: room for groups in told for group, room in groups.items()})

    async def _ask_agents(self) -> list[Agent] | None:
        items: list[Any] = []
        while True:
            data = await self._gateway.graphql(_LIST, {"offset": len(items)})
            page = data.get("agent_summary_list")
            if not isinstance(page, Mapping):
                self._hidden_until = time.monotonic() + _HIDDEN_FOR
                return None
            items += page["items"]
            if len(page["items"]) < _PAGE:
                return [_agent(i) for i in items if i and i.get("architecture") in (None, self._architecture)]

    async def _ask_project(self, project: str) -> dict[str, Room]:
        """One request for each project, of which most users have one: a project is told of its own groups."""
        try:
            answer = await self._gateway.call(
                "POST", "/resource/check-presets", body={"group": project}, is_write=False
            )
        except Refused:
            return {}
        groups = answer.get("scaling_groups") if isinstance(answer, Mapping) else None
        if not isinstance(groups, Mapping):
            return {}
        return {
            str(name): Room.in_sum(slots_of(told.get("using")), slots_of(told.get("remaining")))
            for name, told in groups.items()
        }


def rooms_of(agents: Iterable[Agent]) -> dict[str, Room]:
    """By resource group."""
    members: dict[str, list[Agent]] = {}
    for agent in agents:
        members.setdefault(agent.group, []).append(agent)
    return {
        group: Room.of((a.slots, a.used, a.takes_sessions) for a in found if a.is_alive)
        for group, found in members.items()
    }


def slots_of(told: Any) -> dict[str, Decimal]:
    """Amounts as managers write them: numbers in texts, sizes as `64m`, JSON inside a text; without the endless ones."""
    if isinstance(told, str):
        told = orjson.loads(told) if told else {}
    found: dict[str, Decimal] = {}
    for name, value in (told or {}).items():
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            try:
                amount = Decimal(parse_size(str(value)))
            except ValueError:
                continue
        if amount.is_finite():
            found[str(name)] = amount
    return found


def _agent(item: Mapping[str, Any]) -> Agent:
    try:
        is_alive = item.get("status") == "ALIVE"
        return Agent(
            id=str(item["id"]),
            group=str(item.get("scaling_group") or ""),
            is_alive=is_alive,
            takes_sessions=is_alive and item.get("schedulable") is not False,
            slots=slots_of(item.get("available_slots")),
            used=slots_of(item.get("occupied_slots")),
        )
    except (KeyError, orjson.JSONDecodeError) as error:
        raise Away(f"the manager's list of agents cannot be read: {error!r}") from None
