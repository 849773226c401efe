"""A hundred worlds with the real scheduler, workflow and feed: whatever goes wrong in them, the invariants hold."""

from __future__ import annotations

import ast
import json
import os
from collections import Counter
from pathlib import Path

import pytest

import fasttrack_scheduler

from .postgres import Postgres
from .runner import run_seed, run_seeds
from .watch import SOMETIMES

SEEDS = 100
"""So many worlds in each run of the tests; `make simulate` has more."""
MOST = 200
"""Within so many everything that may happen has happened."""
CHUNK = 20
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_that_goes_wrong_breaks_an_invariant(postgres: Postgres, first: int) -> None:
    outcome = run_seeds(range(first, first + CHUNK), postgres)
    _sightings(first).write_text(json.dumps(outcome.seen))
    assert not outcome.failures, outcome.explain()


@pytest.mark.timeout(600)
def test_the_worlds_go_through_everything_they_are_meant_to(postgres: Postgres) -> None:
    """Else they prove nothing about it. What the other tests of this run have seen counts; the rest is run here."""
    seen: Counter[str] = Counter()
    for first in sorted(range(0, MOST, CHUNK), key=lambda first: not _sightings(first).exists()):
        seen += _seen_in(first, postgres)
        if seen.keys() >= SOMETIMES:
            return
    assert seen.keys() >= SOMETIMES, f"never seen: {', '.join(sorted(SOMETIMES - seen.keys()))}"


@pytest.mark.timeout(120)
def test_a_seed_gives_the_same_history_each_time(postgres: Postgres) -> None:
    for seed in range(1000, 1005):
        once, again = run_seed(seed, postgres), run_seed(seed, postgres)
        assert once.hashes == again.hashes


def test_no_machine_s_clock_and_no_chance_decides_in_the_scheduler() -> None:
    """Time and chance come from the loop, the database and `ids`, or a seed could not be replayed."""
    package = Path(fasttrack_scheduler.__file__).parent
    found = []
    for module in [*package.glob("*.py"), *package.glob("loops/*.py")]:
        for node in ast.walk(ast.parse(module.read_text())):
            call = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if call in ("datetime.now", "time.time", "uuid4", "uuid7") or call.startswith("random."):
                found.append(f"{module.name}:{node.lineno} {call}")  # type: ignore[attr-defined]
    assert found == []


def _sightings(first: int) -> Path:
    return Path(os.environ["FASTTRACK_TEST_STATE"]) / f"sightings-{first}.json"


def _seen_in(first: int, postgres: Postgres) -> Counter[str]:
    """What that chunk has seen, if another test of this run has run it; else run it."""
    if _sightings(first).exists():
        return Counter(json.loads(_sightings(first).read_text()))
    return run_seeds(range(first, first + CHUNK), postgres).seen
