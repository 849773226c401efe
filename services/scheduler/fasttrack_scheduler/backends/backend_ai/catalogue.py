"""What the cluster has to run sessions on, as far as this key sees it: images, projects, resource groups, agents.

Asked when it is needed and kept for a while, so that a burst of sessions asks once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fasttrack.backend_ai.answers import Refused
from fasttrack.backend_ai.gateway import Gateway
from fasttrack.domain.resources import Slots

from .agents import Agents, slots_of
from .kept import Kept

_IMAGE_FIELDS = "id name tag registry architecture resource_limits { key min }"


@dataclass(frozen=True, slots=True)
class Image:
    """A container image that the cluster knows."""

    id: UUID
    reference: str
    minimum: Slots
    """What a container of it needs at least, shared memory apart."""


class Catalogue:
    """What can be asked for. `agents` has what there is room for."""

    def __init__(self, gateway: Gateway, *, domain: str, architecture: str) -> None:
        self._gateway = gateway
        self._domain = domain
        self._architecture = architecture
        self._images: Kept[Image | None] = Kept(self._ask_image)
        self._all_images: Kept[list[str]] = Kept(self._ask_images)
        self._projects: Kept[dict[str, UUID]] = Kept(self._ask_projects)
        self._groups: Kept[list[str] | None] = Kept(self._ask_groups)
        self.agents = Agents(gateway, self.projects, architecture=architecture)

    async def image(self, reference: str) -> Image | None:
        """The image of that reference or alias; `None`: the cluster has none for this processor."""
        return await self._images.get(reference)

    async def images(self) -> list[str]:
        """References of all there are."""
        return await self._all_images.get()

    async def projects(self) -> dict[str, UUID]:
        """Projects of the key's user, by name."""
        return await self._projects.get()

    async def groups(self, project: str) -> list[str] | None:
        """Resource groups that the project may use; `None`: it is not told."""
        return await self._groups.get(project)

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


def _reference(image: Mapping[str, Any]) -> str:
    return f"{image['registry']}/{image['name']}:{image['tag']}"
