"""Agents with their slots, in resource groups: what has room for a session, and what never will."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from .catalogue import id_of
from .ledger import Session

_GIB = 1024**3


@dataclass
class Agent:
    """One machine."""

    id: str
    group: str
    slots: dict[str, Decimal]
    used: dict[str, Decimal] = field(default_factory=dict)
    is_alive: bool = True
    is_schedulable: bool = True
    """Whether its admins let sessions on it."""
    architecture: str = "x86_64"

    def has_room(self, wanted: Mapping[str, Decimal]) -> bool:
        """Whether it could take a container with these slots now."""
        return (
            self.is_alive
            and self.is_schedulable
            and all(
                self.used.get(name, Decimal(0)) + amount <= self.slots.get(name, Decimal(0))
                for name, amount in wanted.items()
                if amount
            )
        )

    def change(self, slots: Mapping[str, Decimal], sign: int) -> None:
        for name, amount in slots.items():
            self.used[name] = self.used.get(name, Decimal(0)) + sign * amount


def default_agents(times: int = 1) -> list[Agent]:
    """Those of the cluster that was recorded: five machines in three groups, with five kinds of accelerator.

    :param times: how many times as much each of them has.
    """

    def make(name: str, group: str, **accelerators: int) -> Agent:
        more = {key.replace("_", "."): Decimal(amount * times) for key, amount in accelerators.items()}
        return Agent(name, group, {"cpu": Decimal(8 * times), "mem": Decimal(16 * _GIB * times), **more})

    return [
        make("i-cuda", "default", cuda_shares=27),
        make("i-atom", "default", atom_device=4),
        make("i-warboy", "default", warboy_device=2),
        make("i-ipu", "npu", ipu_device=4),
        make("i-hetero", "mixed", cuda_device=2, atom_device=2),
    ]


class Agents:
    """The machines of the cluster."""

    def __init__(self, agents: list[Agent]) -> None:
        self.all = agents

    @property
    def groups(self) -> list[str]:
        return sorted({agent.group for agent in self.all})

    def group_by_id(self, identifier: str) -> str | None:
        """The name of the resource group with that UUID."""
        return next((name for name in self.groups if id_of("resource-group", name) == identifier), None)

    def slot_types(self) -> dict[str, str]:
        """Every slot that some agent has, with how it is counted."""
        names = sorted({name for agent in self.all for name in agent.slots} - {"cpu", "mem"})
        return {"cpu": "count", "mem": "bytes", **dict.fromkeys(names, "count")}

    def place(self, session: Session) -> bool:
        """Put all containers of the session on agents of its group, or none. Whether there was room."""
        members = [agent for agent in self.all if agent.group == session.group]
        if session.cluster_mode == "single-node":  # all of them on one machine
            whole = {name: amount * len(session.kernels) for name, amount in session.slots.items()}
            members = [agent for agent in members if agent.has_room(whole)][:1]
        placed: list[Agent] = []
        for _ in session.kernels:
            found = next((agent for agent in members if agent.has_room(session.slots)), None)
            if found is None:
                for agent in placed:
                    agent.change(session.slots, -1)
                return False
            found.change(session.slots, +1)
            placed.append(found)
        for agent, kernel in zip(placed, session.kernels, strict=True):
            kernel.agent = agent.id
        return True

    def release(self, session: Session) -> None:
        """Give back what it has."""
        for kernel in session.kernels:
            agent = self.find(kernel.agent)
            if agent is not None:
                agent.change(session.slots, -1)

    def find(self, name: str | None) -> Agent | None:
        return next((a for a in self.all if a.id == name), None)
