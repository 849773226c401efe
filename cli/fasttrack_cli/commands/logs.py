"""`fasttrack logs`: what a task printed, with the project's secrets masked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..exits import INTERRUPTED, OK
from ..invocation import Invocation
from .jobs import JOB

if TYPE_CHECKING:
    from ..store import LogWriter


async def logs(
    call: Invocation,
    identifier: JOB,
    task: Annotated[str, typer.Argument(help="The task's name.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Read on until the attempt is over.")] = False,
    attempt: Annotated[int | None, typer.Option(min=1, help="Which attempt; else the newest.")] = None,
    offset: Annotated[int, typer.Option(min=0, help="Begin at this byte.")] = 0,
    tail: Annotated[int | None, typer.Option(min=0, help="Only so many last lines (of what is there now).")] = None,
) -> int:
    """Print what a task wrote to its output, while it runs or after it ended.

    Values of the project's secrets that appear in it are shown as `*`, each byte as one: those of at least 8 characters,
    also in base64 and percent-encoded.

    With `--json` one object per piece: `text`, `next_offset` (to read on later with `--offset`) and `is_final`.

    Example: `fasttrack logs 5f3a09c1 train --follow`
    """
    from ..running import Interrupted, signals, unless_interrupted

    async with call.store() as store, signals() as came:
        reading = store.logs.read(
            identifier, task, _writer(call), attempt=attempt, offset=offset, tail=tail, follow=follow
        )
        try:
            notes = await unless_interrupted(reading, came)
        except Interrupted:
            return INTERRUPTED
        for note in notes:
            call.out.say(note)
    return OK


def _writer(call: Invocation) -> LogWriter:
    import sys

    def write(text: bytes, next_offset: int, is_final: bool) -> None:
        if call.out.as_json:
            call.out.record({"text": text.decode(errors="replace"), "next_offset": next_offset, "is_final": is_final})
        elif text:
            sys.stdout.buffer.write(text)
            sys.stdout.buffer.flush()

    return write
