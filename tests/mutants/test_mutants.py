"""The product with a safeguard taken out is noticed; a simulation that lets one through checks nothing."""

from __future__ import annotations

import pytest

from tests.simulation.conftest import postgres as postgres
from tests.simulation.postgres import Postgres
from tests.simulation.runner import run_seeds

from .__main__ import SEEDS
from .safeguards import MUTANTS


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", MUTANTS)
def test_a_world_notices_the_mutant(postgres: Postgres, name: str) -> None:
    assert run_seeds(range(SEEDS), postgres, mutation=MUTANTS[name]).failures, MUTANTS[name].sentence
