"""`fasttrack pools`: how many tasks may have a session at once, by pool, resource group, or in the whole project."""

from __future__ import annotations

from typing import Annotated

import typer

from ..exits import OK
from ..invocation import Invocation

LIMIT = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A pool, or `resource_group:NAME`, or `project` for all tasks of the project. (A pool that is called "
        "`project` is `pool:project`.)",
        show_default=False,
    ),
]


async def list_(call: Invocation) -> int:
    """List the project's limits: slots, how many are taken by live sessions, and how many tasks wait.

    Example: `fasttrack pools list`
    """
    async with call.store() as store:
        limits = await store.limits.all()
    if call.out.as_json:
        call.out.document(
            {
                "limits": [
                    {"scope": x.scope, "name": x.name, "slots": x.slots, "used": x.used, "waiting": x.waiting}
                    for x in limits
                ]
            }
        )
    elif limits:
        rows = [[_say(x.scope, x.name), str(x.slots), str(x.used), str(x.waiting)] for x in limits]
        call.out.table(["limit", "slots", "used", "waiting"], rows)
    else:
        call.out.say("There are no limits.")
    return OK


async def set_(
    call: Invocation,
    name: LIMIT,
    slots: Annotated[int, typer.Argument(metavar="SLOTS", help="How many at once; 0 lets nothing start.")],
) -> int:
    """Set a limit. A lowered one ends nothing that runs; a raised one lets the next in at once.

    A task takes slots of a pool by `pool: NAME` (and `pool_slots: N`) in its pipeline file.

    Example: `fasttrack pools set gpu-loaders 4`
    """
    return await _change(call, name, slots)


async def delete(call: Invocation, name: LIMIT) -> int:
    """Remove a limit: what waited for it starts.

    Example: `fasttrack pools delete gpu-loaders`
    """
    return await _change(call, name, None)


async def _change(call: Invocation, name: str, slots: int | None) -> int:
    scope, own = _read(name)
    async with call.store() as store:
        await store.limits.change(scope, own, slots)
    if call.out.as_json:
        call.out.document({"limit": {"scope": scope, "name": own, "slots": slots}})
    else:
        call.out.text(f"{_say(scope, own)}: {'no limit' if slots is None else slots}")
    return OK


def _read(name: str) -> tuple[str, str]:
    scope, colon, own = name.partition(":")
    if name == "project":
        return "project", ""
    return (scope, own) if colon else ("pool", name)


def _say(scope: str, name: str) -> str:
    return name if scope == "pool" and name != "project" else f"{scope}:{name}" if name else scope


COMMANDS = (("list", list_), ("set", set_), ("delete", delete))
