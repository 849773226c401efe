"""Runs worlds, one seed after the other, and says what came of them."""

from __future__ import annotations

import gc
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from .mutation import Mutation
from .postgres import Postgres
from .world import World


@dataclass
class Outcome:
    """What one world, or many, came to."""

    seeds: int = 0
    virtual_seconds: float = 0.0
    real_seconds: float = 0.0
    kills: int = 0
    sessions: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    failures: dict[int, list[str]] = field(default_factory=dict)
    """Violations, by seed."""
    hashes: dict[int, str] = field(default_factory=dict)

    def add(self, other: Outcome) -> None:
        self.seeds += other.seeds
        self.virtual_seconds += other.virtual_seconds
        self.real_seconds += other.real_seconds
        self.kills += other.kills
        self.sessions += other.sessions
        self.seen += other.seen
        self.failures |= other.failures
        self.hashes |= other.hashes

    def explain(self) -> str:
        """What went wrong, and how to see it again."""
        lines = []
        for seed, violations in sorted(self.failures.items()):
            lines.append(f"seed {seed}; replay it with: python -m tests.simulation --seed {seed}")
            lines += [f"    {v}" for v in violations[:5]]
        return "\n".join(lines)


def run_seed(seed: int, postgres: Postgres, *, mutation: Mutation | None = None, trace: bool = False) -> Outcome:
    """Run one world to its end; with `trace`, its lines go to standard output."""
    began = time.perf_counter()
    world = World(seed, postgres, mutation=mutation, trace=trace)
    with _logs_of(world):
        world.run()
    gc.collect()
    if trace:
        sys.stdout.write("\n".join([f"faults: {world.faults}", *world.lines, ""]))
    return Outcome(
        seeds=1,
        virtual_seconds=world.elapsed(),
        real_seconds=time.perf_counter() - began,
        kills=world.kills,
        sessions=len(world.cluster.ledger.sessions),
        seen=world.watch.seen,
        failures={seed: world.watch.violations} if world.watch.violations else {},
        hashes={seed: world.history_hash()},
    )


def run_seeds(seeds: Iterable[int], postgres: Postgres, *, mutation: Mutation | None = None) -> Outcome:
    """Run these worlds; with a mutation, until the first that notices it."""
    total = Outcome()
    for seed in seeds:
        total.add(run_seed(seed, postgres, mutation=mutation))
        if mutation is not None and total.failures:
            break
    return total


@contextmanager
def _logs_of(world: World) -> Iterator[None]:
    """What the product logs goes to the world; an error with a trace is one that nobody has thought of."""

    def note(_: Any, level: str, event: Any) -> Any:
        world.log(f"{level}: {event}")
        if level == "error":
            world.watch.violate("log", f"{event['event']}: {sys.exc_info()[1]!r}")
        raise structlog.DropEvent

    before = structlog.get_config()
    level = logging.DEBUG if world.trace else logging.ERROR
    structlog.configure(
        processors=[note], wrapper_class=structlog.make_filtering_bound_logger(level), cache_logger_on_first_use=False
    )
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_collecting:
            gc.enable()
        structlog.configure(**before)
