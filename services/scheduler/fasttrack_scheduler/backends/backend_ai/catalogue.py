"""What the cluster has to run sessions on, as far as this key sees it: images, projects, resource groups, agents.

Asked when it is needed and kept for a while, so that a burst of sessions asks once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Generic, TypeVar
from uuid import UUID

import orjson

from fasttrack.backend_ai.answers import Away, Refused
from fasttrack.backend_ai.gateway import Gateway
from fasttrack.domain.resources import Slots, parse_size

T = TypeVar("T")
KEPT = 60.0
"""Seconds that what was asked holds."""
_PAGE = 100
_IMAGE_FIELDS = "id name tag registry architecture resource_limits { key min }"
_AGENTS = """query($offset: Int!) { agent_summary_list(limit: 100, offset: $offset) {
  total_count items { id status scaling_group schedulable available_slots occupied_slots } } }"""


@dataclass(frozen=True, slots=True)
class Image:
    """A container image that the cluster knows."""

    id: UUID
    reference: str
    minimum: Slots
    """What a container of it needs at least, shared memory apart."""


@dataclass(frozen=True, slots=True)
class Agent:
    """One machine of the cluster."""

    id: str
    group: str
    is_alive: bool
    slots: Slots
    used: Slots


class _Kept(Generic[T]):
    """Something that is asked for at most once in a while for each key, also when many want it at once."""

    def __init__(self, ask: Callable[[str], Awaitable[T]]) -> None:
        self._ask = ask
        self._known: dict[str, tuple[float, T]] = {}
        self._asking = asyncio.Lock()

    async def get(self, key: str, kept: float = KEPT) -> T:
        async with self._asking:
            known = self._known.get(key)
            if known is not None and time.monotonic() < known[0] + kept:
                return known[1]
            found = await self._ask(key)
            self._known[key] = time.monotonic(), found
            return found


class Catalogue:
    """What can be asked for."""

    def __init__(self, gateway: Gateway, *, domain: str, architecture: str) -> None:
        self._gateway = gateway
        self._domain = domain
        self._architecture = architecture
        self._images: _Kept[Image | None] = _Kept(self._ask_image)
        self._all_images: _Kept[list[str]] = _Kept(self._ask_images)
        self._projects: _Kept[dict[str, UUID]] = _Kept(self._ask_projects)
        self._groups: _Kept[list[str] | None] = _Kept(self._ask_groups)
        self._agents: _Kept[list[Agent] | None] = _Kept(self._ask_agents)

    async def image(self, reference: str) -> Image | None:
        """The image of that reference or alias; `None`: the cluster has none for this processor."""
        return await self._images.get(reference)

    async def images(self) -> list[str]:
        """References of all there are."""
        return await self._all_images.get("")

    async def projects(self) -> dict[str, UUID]:
        """Projects of the key's user, by name."""
        return await self._projects.get("")

    async def groups(self, project: str) -> list[str] | None:
        """Resource groups that the project may use; `None`: it is not told."""
        return await self._groups.get(project)

    async def agents(self, *, kept: float = KEPT) -> list[Agent] | None:
        """The machines; `None`: users are not shown them."""
        return await self._agents.get("", kept)

    async def totals(self, project: str) -> dict[str, Slots] | None:
        """What each group has in all, where agents are not shown; `None`: that is not told either."""
        body = {"group": project, "scaling_group": next(iter(await self.groups(project) or ["default"]))}
        try:
            answer = await self._gateway.call("POST", "/resource/check-presets", body=body, is_write=False)
        except Refused:
            return None
        groups = answer.get("scaling_groups") if isinstance(answer, Mapping) else None
        if not isinstance(groups, Mapping):
            return None
        found: dict[str, Slots] = {}
        for name, told in groups.items():
            using, remaining = slots_of(told.get("using")), slots_of(told.get("remaining"))
            found[str(name)] = {slot: using.get(slot, Decimal(0)) + left for slot, left in remaining.items()}
        return found

    async def _ask_image(self, reference: str) -> Image | None:
        query = f"query($r: String!, $a: String!) {{ image(reference: $r, architecture: $a) {{ {_IMAGE_FIELDS} }} }}"
        data = await self._gateway.graphql(query, {"r": reference, "a": self._architecture})
        found = data.get("image")
        if not found:
            return None
        limits = {limit["key"]: limit["min"] for limit in found.get("resource_limits") or () if limit.get("min")}
        return Image(UUID(str(found["id"])), _reference(found), slots_of(limits))

    async def _ask_images(self, _: str) -> list[str]:
        data = await self._gateway.graphql(
            "query { images(is_installed: true) { name tag registry architecture } }", {}
        )
        return sorted({_reference(i) for i in data.get("images") or () if i.get("architecture") == self._architecture})

    async def _ask_projects(self, _: str) -> dict[str, UUID]:
        data = await self._gateway.graphql("query { groups(is_active: true) { id name domain_name } }", {})
        rows = data.get("groups") or ()
        return {str(r["name"]): UUID(str(r["id"])) for r in rows if r.get("domain_name") in (None, self._domain)}

    async def _ask_groups(self, project: str) -> list[str] | None:
        try:
            answer = await self._gateway.call("GET", "/scaling-groups", query={"group": project})
        except Refused:
            return None
        rows = answer.get("scaling_groups") if isinstance(answer, Mapping) else None
        return None if rows is None else [str(row["name"]) for row in rows]

    async def _ask_agents(self, _: str) -> list[Agent] | None:
        found: list[Agent] = []
        while True:
            data = await self._gateway.graphql(_AGENTS, {"offset": len(found)})
            page = data.get("agent_summary_list")
            if not isinstance(page, Mapping):
                return None  # the cluster hides its agents from users
            found += [_agent(item) for item in page["items"] if item]
            if len(page["items"]) < _PAGE:
                return found


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


def _reference(image: Mapping[str, Any]) -> str:
    return f"{image['registry']}/{image['name']}:{image['tag']}"


def _agent(item: Mapping[str, Any]) -> Agent:
    try:
        return Agent(
            id=str(item["id"]),
            group=str(item.get("scaling_group") or ""),
            is_alive=item.get("status") == "ALIVE",
            slots=slots_of(item.get("available_slots")),
            used=slots_of(item.get("occupied_slots")),
        )
    except (KeyError, orjson.JSONDecodeError) as error:
        raise Away(f"the manager's list of agents cannot be read: {error!r}") from None
