"""`python -m tests.simulation`: run many seeds over all processors, or one seed again, line by line."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed

from .postgres import Postgres
from .runner import Outcome, run_seed, run_seeds
from .servers import databases
from .watch import SOMETIMES

_CHUNK = 10


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one again and print all that happens in it")
    parser.add_argument("--seeds", type=int, default=200, help="how many to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    return _one(asked.seed) if asked.seed is not None else _many(asked.first, asked.seeds, asked.processes)


def _one(seed: int) -> int:
    with databases(1) as (url,):
        outcome = run_seed(seed, Postgres(url), trace=True)
    _say(outcome.explain() or f"seed {seed} holds; history {outcome.hashes[seed]}")
    return 1 if outcome.failures else 0


def _many(first: int, number: int, processes: int) -> int:
    began = time.perf_counter()
    total = Outcome()
    chunks = [range(at, min(at + _CHUNK, first + number)) for at in range(first, first + number, _CHUNK)]
    with databases(processes) as urls, ProcessPoolExecutor(processes, initializer=_begin, initargs=(urls,)) as pool:
        for done in as_completed([pool.submit(_work, chunk) for chunk in chunks]):
            total.add(done.result())
            took = time.perf_counter() - began
            sys.stderr.write(
                f"\r{total.seeds} of {number} seeds, {total.virtual_seconds / 3600:.1f} virtual hours, "
                f"{total.seeds / took:.1f} seeds/s, {len(total.failures)} failing "
            )
            sys.stderr.flush()
    sys.stderr.write("\n")
    took = time.perf_counter() - began
    _say(
        f"{total.seeds} worlds of {total.virtual_seconds / total.seeds:.0f} virtual seconds, {total.sessions} sessions, "
        f"{total.kills} kills in {took:.0f} s: {total.virtual_seconds / took:.0f} times as fast as the clock"
    )
    for what in sorted(SOMETIMES):
        _say(f"  {total.seen[what]:7d} × {what}")
    missing = sorted(SOMETIMES - total.seen.keys())
    if missing:
        _say(f"never seen, so this run proves nothing about it: {', '.join(missing)}")
    if total.failures:
        _say(total.explain())
    return 1 if total.failures or missing else 0


_postgres: Postgres


def _begin(urls: list[str]) -> None:
    global _postgres
    import multiprocessing

    number = multiprocessing.current_process()._identity[0]  # type: ignore[attr-defined]
    _postgres = Postgres(urls[(number - 1) % len(urls)])


def _work(seeds: range) -> Outcome:
    return run_seeds(seeds, _postgres)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
