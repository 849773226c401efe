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


def _asked(input: Any) -> dict[str, object]:
    """What the input names: ids by the kind of thing they are of, and the rest as it is."""
    asked: dict[str, object] = {}
    for name, value in vars(input).items():
        parsed = parse_global(value) if name.endswith("_id") and value else None
        asked[name.removesuffix("_id")] = parsed[1] if parsed is not None else value
    return {name: value for name, value in asked.items() if value is not None}
