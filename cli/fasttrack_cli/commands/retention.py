"""`fasttrack retention`: how long the project keeps logs, outputs, events and jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..exits import OK
from ..invocation import Invocation

if TYPE_CHECKING:
    from fasttrack.domain.retention import Kind, Retention

_FIGURE = "1 to 36500, or `forever`."


async def show(call: Invocation) -> int:
    """Show how many days after the end of a job each kind is kept, and whether the project or a setting says so.

    Example: `fasttrack retention show`
    """
    async with call.store() as store:
        retention, own = await store.retention.read()
    return _print(call, retention, own)


async def set_(
    call: Invocation,
    events_days: Annotated[
        str | None, typer.Option(metavar="DAYS", help=f"A job's history and its part of the feed: {_FIGURE}")
    ] = None,
    logs_days: Annotated[str | None, typer.Option(metavar="DAYS", help=f"What tasks printed: {_FIGURE}")] = None,
    outputs_days: Annotated[str | None, typer.Option(metavar="DAYS", help=f"What tasks wrote: {_FIGURE}")] = None,
    jobs_days: Annotated[
        str | None, typer.Option(metavar="DAYS", help=f"The job itself, which outlives its parts: {_FIGURE}")
    ] = None,
) -> int:
    """Give the project figures of its own, over the settings; those that are not named stay as they are.

    What is due by them goes at the next round of a scheduler, within minutes, and does not come back.

    Example: `fasttrack retention set --logs-days 7 --outputs-days forever --jobs-days forever`
    """
    from fasttrack.domain.retention import Kind
    from fasttrack.errors import InvalidInput

    given = {Kind.EVENTS: events_days, Kind.LOGS: logs_days, Kind.OUTPUTS: outputs_days, Kind.JOBS: jobs_days}
    changes = {kind: value for kind, value in given.items() if value is not None}
    if not changes:
        raise InvalidInput(
            "nothing to set: name at least one of --events-days, --logs-days, --outputs-days, --jobs-days"
        )
    async with call.store() as store:
        retention, own = await store.retention.change(changes)
    return _print(call, retention, own)


async def reset(call: Invocation) -> int:
    """Have the settings alone say again how long things are kept.

    Example: `fasttrack retention reset`
    """
    async with call.store() as store:
        retention, own = await store.retention.reset()
    return _print(call, retention, own)


def _print(call: Invocation, retention: Retention, own: frozenset[Kind]) -> int:
    from fasttrack.domain.retention import Kind

    found = [(kind.value, retention.days(kind), "project" if kind in own else "settings") for kind in Kind]
    if call.out.as_json:
        # Days, or null for ever.
        call.out.document({"retention": {kind: {"days": days, "source": source} for kind, days, source in found}})
    else:
        call.out.table(
            ("kind", "kept", "says"),
            [(kind, "for ever" if days is None else f"{days} days", source) for kind, days, source in found],
        )
    return OK


COMMANDS = (("show", show), ("set", set_), ("reset", reset))
