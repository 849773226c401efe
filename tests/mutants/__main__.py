"""`python -m tests.mutants`: run every mutant until a world notices it, and print which."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.__main__ import _begin
from tests.simulation.runner import Outcome, run_seeds
from tests.simulation.servers import databases

from .safeguards import MUTANTS

SEEDS = 120
"""Within so many worlds a mutant must be noticed."""


def main() -> int:
    """Run them all, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="some of the mutants")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    asked = parser.parse_args()
    names = asked.names or list(MUTANTS)
    processes = os.cpu_count() or 1
    survivors = []
    with databases(processes) as urls, ProcessPoolExecutor(processes, initializer=_begin, initargs=(urls,)) as pool:
        sys.stdout.write(f"{'mutant':20} {'noticed by seed':>15} {'seconds':>8}  how\n")
        for name, (outcome, took) in zip(names, pool.map(_hunt, names, [asked.seeds] * len(names)), strict=True):
            seed, how = next(((s, v[0]) for s, v in outcome.failures.items()), (None, "SURVIVED"))
            survivors += [name] if seed is None else []
            sys.stdout.write(f"{name:20} {'–' if seed is None else seed:>15} {took:8.1f}  {how[:110]}\n")
            sys.stdout.flush()
    return 1 if survivors else 0


def _hunt(name: str, seeds: int) -> tuple[Outcome, float]:
    from tests.simulation import __main__ as simulation

    began = time.perf_counter()
    return run_seeds(range(seeds), simulation._postgres, mutation=MUTANTS[name]), time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
