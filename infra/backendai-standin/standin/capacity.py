"""Presets of resources, and what there is room for."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .agents import Agent
from .bodies import object_of, schema_violation
from .catalogue import PROJECT, PROJECT_ID, id_of
from .manager import Manager
from .policy import used_by
from .problems import Problem

_PRESETS = {
    "cpu01-small": {"cpu": "1", "mem": "268435456"},
    "cuda01-small": {"cpu": "1", "mem": "268435456", "cuda.shares": "0.5"},
    "atom01-small": {"cpu": "1", "mem": "268435456", "atom.device": "1"},
}
Slots = dict[str, Decimal]


class Capacity:
    """`/resource/presets` and `/resource/check-presets`."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    async def presets(self, request: Request, key: str) -> Response:
        return JSONResponse({"presets": [self._preset(name) for name in _PRESETS]})

    async def check(self, request: Request, key: str) -> Response:
        """What the key may have, what its groups of machines have left, and which presets fit into both."""
        m = self._manager
        given = await object_of(request)
        self._check_project(given.get("group"))
        group = given.get("scaling_group")
        if group is not None and group not in m.agents.groups:
            raise Problem(400, "invalid-api-params", "Unknown scaling group")
        groups = [group] if group is not None else m.agents.groups
        agents = [agent for agent in m.agents.all if agent.group in groups and agent.is_alive]
        using = used_by([s for s in m.ledger.sessions.values() if s.access_key == key and s.has_slots])
        limits = {slot: m.policy.total_resource_slots.get(slot, Decimal("Infinity")) for slot in self._names()}
        left = {slot: limit - using.get(slot, Decimal(0)) for slot, limit in limits.items()}
        unknown = dict.fromkeys(self._names(), "NaN")
        return JSONResponse(
            {
                "keypair_limits": self._shown(limits),
                "keypair_using": self._shown(using),
                "keypair_remaining": self._shown(left),
                "group_limits": unknown,
                "group_using": unknown,
                "group_remaining": unknown,
                "scaling_group_remaining": self._shown(self._remaining(agents)),
                "scaling_groups": {
                    name: {
                        "using": self._shown(_sum([a.used for a in m.agents.all if a.group == name])),
                        "remaining": self._shown(self._remaining([a for a in agents if a.group == name])),
                    }
                    for name in groups
                },
                "presets": [
                    {**self._preset(name), "allocatable": _fits(_PRESETS[name], agents, left)} for name in _PRESETS
                ],
            }
        )

    def _check_project(self, given: Any) -> None:
        if given is None:
            if self._manager.generation.is_strict:
                raise Problem(400, "invalid-api-params", "Input validation error", data={"group": "is required"})
            raise schema_violation("group", "Field required")
        if given not in (PROJECT, PROJECT_ID):
            raise Problem(400, "invalid-api-params", "Unknown user group")

    def _preset(self, name: str) -> dict[str, Any]:
        slots = {**dict.fromkeys(self._names(), "0"), **_PRESETS[name]}
        identified = {} if self._manager.generation.is_strict else {"id": id_of("preset", name)}
        return {**identified, "name": name, "shared_memory": None, "resource_slots": slots}

    def _remaining(self, agents: list[Agent]) -> Slots:
        used = _sum([agent.used for agent in agents])
        left = {slot: amount - used.get(slot, Decimal(0)) for slot, amount in _sum([a.slots for a in agents]).items()}
        if self._manager.generation.is_strict:
            return left
        return {slot: amount.quantize(Decimal("1.000000")) for slot, amount in left.items()}  # as its database has it

    def _names(self) -> list[str]:
        return list(self._manager.agents.slot_types())

    def _shown(self, slots: Mapping[str, Decimal]) -> dict[str, str]:
        return {name: str(slots.get(name, Decimal(0))) for name in self._names()}


def _fits(preset: Mapping[str, str], agents: list[Agent], left: Slots) -> bool:
    wanted = {slot: Decimal(amount) for slot, amount in preset.items()}
    return any(a.has_room(wanted) for a in agents) and all(left[slot] >= amount for slot, amount in wanted.items())


def _sum(several: list[Slots]) -> Slots:
    found: Slots = {}
    for slots in several:
        for slot, amount in slots.items():
            found[slot] = found.get(slot, Decimal(0)) + amount
    return found
