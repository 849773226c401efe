"""The scheduler's process: the `fasttrack` command as it is, with counters around its statements, commits and passes.

    python -m bench.hosted BOARD PROFILE|- scheduler

A counter costs less than a microsecond, a statement a hundred times that.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asyncpg.transaction import Transaction

from fasttrack.db.engine import Db
from fasttrack.telemetry import PASS_SECONDS

from .board import COMMITS, PASSES, STATEMENTS, Board

_STATEMENTS = ("rows", "row", "value", "execute")


def count(board: Board) -> None:
    """Let the board count what this process does from now on."""
    cells = board.cells

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            cells[STATEMENTS] += 1
            return original(*args)

        return call

    for name in _STATEMENTS:
        setattr(Db, name, counted(getattr(Db, name)))

    leave = Transaction.__aexit__

    def left(self: Transaction, kind: Any, error: Any, trace: Any) -> Any:
        cells[COMMITS] += kind is None
        return leave(self, kind, error, trace)

    Transaction.__aexit__ = left

    observe = PASS_SECONDS.observe

    def observed(seconds: float, *args: Any) -> None:
        board.passed(int(seconds * 1e9), time.time_ns())
        observe(seconds, *args)

    PASS_SECONDS.observe = observed  # type: ignore[method-assign, assignment]


def main() -> None:
    place, profile, *command = sys.argv[1:]
    board = Board(Path(place))
    count(board)
    from fasttrack_cli.app import run

    if profile == "-":
        sys.exit(run(command))
    from .sampling import sampled

    with sampled(Path(profile), lambda: board.cells[PASSES] > 0):
        code = run(command)
    sys.exit(code)


if __name__ == "__main__":
    main()
