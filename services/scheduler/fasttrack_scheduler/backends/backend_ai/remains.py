"""What the wrapper of a command left in the session's directory: how it ended, whatever the manager remembers."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from uuid import UUID

from fasttrack.backend_ai.answers import Refused
from fasttrack.backend_ai.folders import Folders
from fasttrack.ids import PipelineId
from fasttrack.storage.cluster_layout import folder_of, session_path

from .truth import Exit, Session

_MOST = 10_000
_LONGEST = 4096


class Remains:
    """Reads them, and keeps what was read: it does not change."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._known: OrderedDict[str, Exit] = OrderedDict()

    def note(self, name: str, code: int) -> None:
        """Take what an event told: only releases to 25.12 tell it, and it is told once."""
        self._known.setdefault(name, Exit(code))

    def forget(self, name: str) -> None:
        """Read it again if it is asked for."""
        self._known.pop(name, None)

    async def of(self, session: Session) -> Exit | None:
        """How its command ended; `None`: it did not end by itself, or what it left is gone.

        :raises ManagerError: it cannot be read now.
        """
        known = self._known.get(session.name)
        if known is not None and (known.at is not None or session.result != "UNDEFINED"):
            return known
        pipeline = pipeline_of(session)
        if pipeline is None:
            return known
        try:
            found = await self._folders.read(
                folder_of(pipeline), f"{session_path(session.name)}/exit", offset=0, limit=_LONGEST
            )
        except Refused:
            return known
        left = parse_exit(found[0]) if found is not None else None
        if left is not None:
            self._known[session.name] = left
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
        return left or known


def pipeline_of(session: Session) -> PipelineId | None:
    """Whose session it is, by its tag; `None` for one that is not ours."""
    try:
        return PipelineId(UUID(hex=session.tag))
    except ValueError:
        return None


def parse_exit(data: bytes) -> Exit | None:
    """What the wrapper wrote: lines `code=3` and `ended=<ISO 8601>`; `None` if it is not that."""
    lines = dict(line.partition("=")[::2] for line in data.decode(errors="replace").splitlines())
    try:
        code = int(lines["code"])
    except (KeyError, ValueError):
        return None
    try:
        at = datetime.fromisoformat(lines.get("ended", ""))
    except ValueError:
        return Exit(code)
    return Exit(code, at if at.tzinfo else at.replace(tzinfo=UTC))
