"""`fasttrack prune`: removes what is kept long enough, now, or tells what would go."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..exits import INTERRUPTED, NO, OK
from ..invocation import Invocation

if TYPE_CHECKING:
    from fasttrack_scheduler.pruning import Pruned

    from ..workbench import Workbench

_TELL_EVERY = 2.0


async def prune(
    call: Invocation,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would go; change nothing.")] = False,
) -> int:
    """Remove logs, outputs, events and jobs that are older than the retention of their project, in all projects.

    A scheduler does the same by itself every few minutes. With `--project` only that project is looked at. What runs is
    never touched. The exit code is 1 when something could not be removed.

    Example: `fasttrack prune --dry-run`
    """
    from ..running import Interrupted, signals, unless_interrupted

    async with call.opened(any_project=call.project is None) as bench, signals() as came:
        try:
            done, keys = await unless_interrupted(_prune(call, bench, dry_run=dry_run), came)
        except Interrupted:
            call.out.say("What was removed is removed; the same command goes on with the rest.")
            return INTERRUPTED
    _print(call, done, keys, dry_run=dry_run)
    for pruned in done:
        for sentence in pruned.stuck:
            call.out.warn(f"{pruned.project}: could not remove {sentence}")
    return NO if any(pruned.stuck for pruned in done) else OK


async def _prune(call: Invocation, bench: Workbench, *, dry_run: bool) -> tuple[list[Pruned], int]:
    from fasttrack_scheduler.pruning import Pruning

    # Not started: a dry run must not start what waits, and removing needs nothing that runs.
    backend = bench.backend()
    pruning = Pruning(bench.database, backend, bench.settings, dry_run=dry_run, tell=_Progress(call, dry_run=dry_run))
    dues, now = await pruning.due()
    keys = await pruning.keys(now) if call.project is None else 0
    chosen = [due for due in dues if call.project is None or due.project == bench.project]
    return [await pruning.project(due, now) for due in chosen], keys


class _Progress:
    """Says now and then how far it is, when it takes long."""

    def __init__(self, call: Invocation, *, dry_run: bool) -> None:
        self._call = call
        self._verb = "looking" if dry_run else "removing"
        self._next = time.monotonic() + _TELL_EVERY

    def __call__(self, pruned: Pruned) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _TELL_EVERY
            so_far = ", ".join(f"{tally.count} {kind}" for kind, tally in pruned.kinds.items() if tally.count)
            self._call.out.say(f"{self._verb}, {pruned.project}: {so_far} so far")


def _print(call: Invocation, done: Sequence[Pruned], keys: int, *, dry_run: bool) -> None:
    from ..output import plural
    from ..view.words import file_size, moment

    if call.out.as_json:
        call.out.document({"dry_run": dry_run, "projects": [_document(pruned) for pruned in done], "keys": keys})
        return
    rows = [
        (pruned.project, kind.value, str(t.count), file_size(t.size), moment(t.oldest), moment(t.newest))
        for pruned in done
        for kind, t in pruned.kinds.items()
        if t.count
    ]
    if rows:
        call.out.table(("project", "kind", "count", "size", "ended from", "ended to"), rows)
    if keys:
        call.out.say(f"{plural(keys, 'idempotency key')}, older than a week")
    if not rows and not keys:
        call.out.say("Nothing is kept longer than it should be.")
    elif dry_run:
        call.out.say("Nothing was removed: this is what `fasttrack prune` would remove.")


def _document(pruned: Pruned) -> dict[str, Any]:
    kinds = {
        kind.value: {"count": t.count, "bytes": t.size, "ended_from": t.oldest, "ended_to": t.newest}
        for kind, t in pruned.kinds.items()
    }
    return {"project": pruned.project, **kinds, "stuck": pruned.stuck}
