"""Model services as the manager lists them, and what a record means. One listing tells of all of them.

`GET /services` of 26 lists none that it made itself, so GraphQL is asked. Ended ones are not looked for: 23.09 forgets them,
and 26 keeps every one there ever was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from fasttrack.backend_ai.answers import Away
from fasttrack.backend_ai.gateway import Gateway
from fasttrack.backend_ai.gathering import Gathering

from ..base import Observation, SessionStatus
from .service_requests import Tag, ends_with_its_job

PAGE = 100
_MOST_PAGES = 100
_FIELDS = "endpoint_id name tag resource_group desired_session_count lifecycle_stage retries url routings {{ status error_data {health} }}"
_LIST = """query($limit: Int!, $offset: Int!, $filter: String) {
  endpoint_list(limit: $limit, offset: $offset, filter: $filter) { total_count items { FIELDS } } }"""
_LIVING = 'lifecycle_stage != "destroyed"'
_SETTLED = frozenset({"READY", "CREATED"})
_GOING = frozenset({"DESTROYING", "DESTROYED"})
MOST_RETRIES = 5
"""Managers give a service up after so many sessions of it that did not start (`SERVICE_MAX_RETRIES`)."""


@dataclass(frozen=True, slots=True)
class Service:
    """A model service as its manager has it."""

    id: str
    name: str
    group: str
    tag: Tag
    stage: str
    replicas: int
    """How many are wanted."""
    healthy: int
    """How many answer."""
    retries: int
    error: str
    """The last that the manager tells of a replica that did not come up."""
    url: str

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Service:
        """From an item of GraphQL."""
        routes = [route for route in record.get("routings") or () if route]
        errors = [text for route in routes if (text := _error(route.get("error_data")))]
        return cls(
            id=str(record["endpoint_id"]),
            name=str(record["name"]),
            group=str(record.get("resource_group") or ""),
            tag=Tag.read(str(record.get("tag") or "")),
            # 23.09 says CREATED, 26 says it with the name of its own type in front.
            stage=str(record.get("lifecycle_stage") or "").rpartition(".")[2].upper(),
            replicas=int(record.get("desired_session_count") or 0),
            healthy=sum(_is_healthy(route) for route in routes),
            retries=int(record.get("retries") or 0),
            error=errors[-1] if errors else "",
            url=str(record.get("url") or ""),
        )

    @property
    def session(self) -> str:
        """The name of the session it stands for; empty: of none."""
        return self.tag.session

    @property
    def is_going(self) -> bool:
        """Whether it is being ended, or is over."""
        return self.stage in _GOING

    @property
    def serves(self) -> bool:
        """Whether every replica that is wanted answers, of what was last asked for."""
        return self.stage in _SETTLED and self.healthy >= self.replicas

    @property
    def is_given_up(self) -> bool:
        """Whether its manager tries no more."""
        return not self.is_going and self.retries > MOST_RETRIES

    @property
    def is_ephemeral(self) -> bool:
        """Whether it ends with its job."""
        return ends_with_its_job(self.name, self.session)

    def observation(self) -> Observation:
        """What the engine is told."""
        status, reason = SessionStatus.RUNNING, self.words()
        if self.is_going:
            status, reason = SessionStatus.STOPPING, ""
        elif self.serves:
            status, reason = SessionStatus.SUCCEEDED, ""
        facts = {"service": self.name, "service_id": self.id, "ends": "with the job" if self.is_ephemeral else "never"}
        if self.url:
            facts["address"] = self.url
        return Observation(
            name=self.session,
            session_id=self.id,
            status=status,
            reason=reason,
            exit_code=0 if status is SessionStatus.SUCCEEDED else None,
            facts=facts,
        )

    def words(self) -> str:
        """How far it has come, and what keeps it."""
        found = f"{self.healthy} of {self.replicas} replicas answer"
        return f"{found}; the cluster says: {self.error}" if self.error else found


class Services:
    """What the manager has of this key's services."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._asked: Gathering[str, list[Service]] = Gathering(self._gathered, 1)

    async def close(self) -> None:
        """Stop asking."""
        await self._asked.close()

    async def living(self) -> list[Service]:
        """All that are not over, other people's included where the key sees them; the oldest first."""
        return await self._asked("") or []

    async def _gathered(self, _: Sequence[str]) -> Mapping[str, list[Service]]:
        generation = await self._gateway.generation()
        fields = _FIELDS.format(health="health_status" if generation.has_health_of_routes else "")
        query = _LIST.replace("FIELDS", fields)
        asked = {"filter": _LIVING} if generation.lists_ended_services else {}  # 23.09 leaves the others out by itself
        items, total = await self._page(query, 0, asked)
        offsets = range(PAGE, min(total, PAGE * _MOST_PAGES), PAGE)
        for page, _n in await asyncio.gather(*(self._page(query, offset, asked) for offset in offsets)):
            items += page
        found = {service.id: service for item in items if item for service in [Service.of(item)]}
        return {"": list(reversed(found.values()))}

    async def _page(self, query: str, offset: int, asked: Mapping[str, str]) -> tuple[list[Any], int]:
        data = await self._gateway.graphql(query, {"limit": PAGE, "offset": offset, **asked})
        listed = data.get("endpoint_list")
        if not isinstance(listed, Mapping):
            raise Away("the manager did not list its services")
        return list(listed["items"]), int(listed["total_count"])


def _is_healthy(route: Mapping[str, Any]) -> bool:
    # To 26.4.1 the status tells whether it answers; since then there are two of them.
    return route.get("status") == "HEALTHY" or (
        route.get("status") == "RUNNING" and route.get("health_status") == "HEALTHY"
    )


def _error(told: Any) -> str:
    if isinstance(told, str):
        try:
            told = orjson.loads(told) if told else None
        except orjson.JSONDecodeError:
            return ""
    errors = told.get("errors") if isinstance(told, Mapping) else None
    if not isinstance(errors, Sequence) or not errors or not isinstance(errors[-1], Mapping):
        return ""
    return str(errors[-1].get("repr") or errors[-1].get("name") or "")[:300]
