"""Writes that are refused are written down, whichever mutation it was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from strawberry.extensions import FieldExtension

from fasttrack.errors import Forbidden

from ...refusals import Refusals
from ..context import Info
from ..ids import parse_global


class WritesDownRefusals(FieldExtension):
    """Of every mutation."""

    async def resolve_async(
        self,
        next_: Callable[..., Awaitable[Any]],
        source: Any,
        info: Info,
        **given: Any,
    ) -> Any:
        """The payload, after its refusal is in the audit log. A dry run is no write."""
        payload = await next_(source, info, **given)
        input = given["input"]
        errors = getattr(payload, "errors", ())  # none where nothing can be refused
        for error in () if getattr(input, "dry_run", False) else errors:
            if isinstance(error.cause, Forbidden):
                context = info.context
                await Refusals.of(context.parts).note(context.caller, info.python_name, error.cause, _asked(input))
        return payload


def _asked(input: Any) -> str:
    """What the write was asked of: the id that is not of the project, or the name."""
    for name, value in vars(input).items():
        parsed = parse_global(value) if name.endswith("_id") and name != "project_id" and value else None
        if parsed is not None:
            return str(parsed[1])
    return str(getattr(input, "name", ""))
