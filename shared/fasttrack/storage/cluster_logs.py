"""Reading the output of a cluster's sessions: from the file that the command's wrapper writes, by ranges.

Following costs the manager nothing: bytes come from the storage proxy. Where the wrapper could write no file, its two marker
lines say which part of the manager's own log the command printed.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from ..backend_ai.answers import Away, ManagerError, Refused
from ..backend_ai.folders import Folders
from ..backend_ai.gateway import Gateway
from ..backend_ai.markers import cut
from ..errors import Unavailable
from ..ids import PipelineId
from .base import LogChunk
from .cluster_layout import folder_of, session_path

_ONE = """query($filter: String!) {
  compute_session_list(limit: 1, offset: 0, filter: $filter, order: "created_at") { items { id tag status } } }"""
_OVER = frozenset({"TERMINATED", "CANCELLED", "ERROR"})
_LOOKS = 3.0  # seconds between two questions to the manager about one session that is being followed
_MOST = 10_000


@dataclass(slots=True)
class _Place:
    """Where a session's log is, as far as is known."""

    session_id: str
    folder: str
    is_over: bool
    asked_at: float


class ClusterLogs:
    """The output of the sessions of one key. A `LogSource`."""

    def __init__(self, gateway: Gateway, folders: Folders) -> None:
        self._gateway = gateway
        self._folders = folders
        self._places: OrderedDict[str, _Place] = OrderedDict()

    async def logs(self, name: str, *, offset: int, limit: int, pipeline: PipelineId | None = None) -> LogChunk:
        """As the contract says. :param pipeline: whose session it was, where another key had it: its file is all there is."""
        try:
            return await self._read(name, offset, limit, pipeline)
        except Refused as error:
            raise Unavailable(f"the output of session {name} cannot be read: {error}") from error
        except ManagerError as error:
            raise Unavailable(f"the cluster cannot be asked for the output of session {name}: {error}") from error

    async def _read(self, name: str, offset: int, limit: int, pipeline: PipelineId | None) -> LogChunk:
        known = None if pipeline is None else _Place("", folder_of(pipeline), is_over=False, asked_at=0.0)
        place = known or await self._place(name)
        if place is None:
            return LogChunk(b"", offset, False, 0)
        directory = session_path(name)
        # Asked first: what is written before the end is then read.
        is_over = (
            place.is_over or await self._folders.read(place.folder, f"{directory}/exit", offset=0, limit=1) is not None
        )
        found = await self._folders.read(place.folder, f"{directory}/log", offset=offset, limit=max(1, limit))
        if found is None:
            return await self._from_manager(name, place, offset, limit)
        data, size = found[0][:limit], found[1]
        return LogChunk(data, offset + len(data), is_over and offset + len(data) >= size, size)

    async def _from_manager(self, name: str, place: _Place, offset: int, limit: int) -> LogChunk:
        """What the manager kept, if nothing was removed on purpose: the session's directory is there, without a log."""
        if not place.is_over or await self._folders.entries(place.folder, session_path(name)) is None:
            return LogChunk(b"", offset, place.is_over, 0)
        try:
            answer = await self._gateway.call("GET", f"/session/{place.session_id}/logs")
        except Refused:
            return LogChunk(b"", offset, True, 0)
        except Away as error:
            if error.status != 500:
                raise
            return LogChunk(b"", offset, True, 0)  # what both generations answer where no container ever started
        told = answer.get("result") if isinstance(answer, Mapping) else None
        text = str(told.get("logs") or "") if isinstance(told, Mapping) else ""
        whole, _ = cut(text, name)
        data = whole[offset : offset + limit]
        return LogChunk(data, offset + len(data), offset + len(data) >= len(whole), len(whole))

    async def _place(self, name: str) -> _Place | None:
        known = self._places.get(name)
        if known is not None and (known.is_over or time.monotonic() < known.asked_at + _LOOKS):
            return known
        data = await self._gateway.graphql(_ONE, {"filter": f'name == "{name}"'})
        found = data.get("compute_session_list")
        items = found.get("items") if isinstance(found, Mapping) else None
        if not items:
            return None
        try:
            folder = folder_of(PipelineId(UUID(hex=str(items[0].get("tag")))))
        except ValueError:
            return None  # a stranger's
        place = _Place(str(items[0]["id"]), folder, items[0]["status"] in _OVER, time.monotonic())
        self._places[name] = place
        while len(self._places) > _MOST:
            self._places.popitem(last=False)
        return place
