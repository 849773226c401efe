"""How long a project keeps things: the settings' figures, and its own over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ..db import Db
from ..db.retention import OwnDays, list_retentions, lock_retention, write_retention
from ..domain.retention import Days, Kind, Retention, require_consistent
from ..errors import InvalidInput
from ..ids import ProjectId
from ..settings import FOREVER, Settings, as_days


def retention_of(settings: Settings, own: OwnDays) -> Retention:
    """What holds for a project with these figures of its own."""
    figures = {kind: _days(getattr(settings, f"retention_{kind}_days")) for kind in Kind}
    return Retention().over(figures).over({kind: _days(own[kind]) for kind in Kind if kind in own})


async def read_retention(db: Db, project: ProjectId, settings: Settings) -> tuple[Retention, frozenset[Kind]]:
    """What holds for the project, and for which kinds by a figure of its own."""
    own = next((p.own for p in await list_retentions(db) if p.id == project), {})
    return retention_of(settings, own), frozenset(kind for kind in Kind if kind in own)


async def change_retention(
    db: Db, project: ProjectId, settings: Settings, changes: Mapping[Kind, str | int]
) -> Retention:
    """Give the project figures of its own, days or `forever`; those it has besides stay. What holds from here on.

    :raises InvalidInput: a figure is none, or something would outlive the job it belongs to. Nothing was changed.
    """
    wanted = {kind: _read(kind, value) for kind, value in changes.items()}
    own = {**await lock_retention(db, project), **{kind.value: value for kind, value in wanted.items()}}
    retention = retention_of(settings, own)
    require_consistent(retention)
    await write_retention(db, project, own)
    return retention


async def reset_retention(db: Db, project: ProjectId, settings: Settings) -> Retention:
    """Have the settings alone hold for the project again; what holds from here on."""
    await lock_retention(db, project)
    await write_retention(db, project, {})
    return retention_of(settings, {})


def _read(kind: Kind, value: str | int) -> int | Literal["forever"]:
    try:
        return as_days(value)
    except ValueError as error:
        raise InvalidInput(f"{kind}: {str(value)[:40]!r} {error}. Nothing was changed.") from None


def _days(value: int | str) -> Days:
    return None if value == FOREVER else int(value)
