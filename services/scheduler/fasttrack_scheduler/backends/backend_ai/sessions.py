"""Sessions as the manager lists them: many in one question, the living by pages, those that ended by their names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from fasttrack.backend_ai.answers import Away
from fasttrack.backend_ai.gateway import Gateway
from fasttrack.backend_ai.gathering import Gathering

from .truth import FIELDS, Session

PAGE = 500
"""Sessions of one answer, which both generations give; a manager of 26.9.6 took 0.12 s for as many names."""
_MOST_PAGES = 1000
_GATHER = 0.05  # seconds: in a burst, answers to creates come apart by about as much
_LIST = f"""query($limit: Int!, $offset: Int!, $filter: String, $status: String, $order: String) {{
  compute_session_list(limit: $limit, offset: $offset, filter: $filter, status: $status, order: $order) {{
    total_count items {{ {FIELDS} }} }} }}"""


class Sessions:
    """What the manager has of this key's sessions."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._named: Gathering[str, Session] = Gathering(self.named, PAGE, wait=_GATHER)

    async def close(self) -> None:
        """Stop asking."""
        await self._named.close()

    async def find(self, name: str) -> Session | None:
        """The session of that name, over or not; asked together with others that are asked for at about that time."""
        return await self._named(name)

    async def named(self, names: Sequence[str]) -> dict[str, Session]:
        """Those of these names, over or not. Of several that had the same name it is the first: the one that ran."""
        found: dict[str, Session] = {}
        for start in range(0, len(names), PAGE):
            chosen = orjson.dumps(list(names[start : start + PAGE])).decode()
            for session in await self._list(filter=f"name in {chosen}", order="created_at"):
                found.setdefault(session.name, session)
        return found

    async def living(self) -> list[Session]:
        """All that are not over."""
        generation = await self._gateway.generation()
        return await self._list(status=generation.living, order="created_at")

    async def some(self, names: Sequence[str]) -> dict[str, Session]:
        """As `named`, for many of which most are not over: pages of what lives, and the rest by name."""
        if len(names) <= PAGE:
            return await self.named(names)
        wanted = set(names)
        found: dict[str, Session] = {}
        for session in await self.living():
            if session.name in wanted:
                found.setdefault(session.name, session)
        return found | await self.named([name for name in names if name not in found])

    async def _list(self, **asked: str) -> list[Session]:
        items, total = await self._page(0, asked)
        offsets = range(PAGE, min(total, PAGE * _MOST_PAGES), PAGE)
        for page, _ in await asyncio.gather(*(self._page(offset, asked) for offset in offsets)):
            items += page
        return list({session.id: session for session in _sessions(items)}.values())

    async def _page(self, offset: int, asked: Mapping[str, str]) -> tuple[list[Any], int]:
        data = await self._gateway.graphql(_LIST, {"limit": PAGE, "offset": offset, **asked})
        found = data.get("compute_session_list")
        if not isinstance(found, Mapping):
            raise Away("the manager did not list its sessions")
        return list(found["items"]), int(found["total_count"])


def _sessions(items: Iterable[Any]) -> Iterable[Session]:
    return (Session.of(item) for item in items if item)
