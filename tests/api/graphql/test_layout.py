"""The layout of a large graph: every edge leads down, no two tasks share a place, and it is the same each time."""

from __future__ import annotations

import gc
import random

import pytest

from fasttrack.domain import dag
from fasttrack_api.graphql.layout import lay_out

NAMES = [f"t{n}" for n in range(10_000)]
WIDE = [(name, NAMES[max(n - 203, 0) : max(n - 200, 0)]) for n, name in enumerate(NAMES)]
CHAIN = [(name, NAMES[max(n - 1, 0) : n]) for n, name in enumerate(NAMES)]


def test_ten_thousand_tasks_are_laid_out_the_same_way_each_time() -> None:
    graph = lay_out(WIDE)
    for source, target in zip(graph.edges[::2], graph.edges[1::2], strict=True):
        assert graph.layers[source] < graph.layers[target]
    assert len(set(zip(graph.layers, graph.rows, strict=True))) == 10_000
    assert lay_out(WIDE) == graph


@pytest.mark.parametrize("seed", range(20))
def test_layers_are_those_of_the_graph_and_rows_are_counted_in_each(seed: int) -> None:
    chance = random.Random(seed)
    names = NAMES[: seed * 3]
    needs = [chance.sample(range(n), min(n, chance.randrange(4))) for n in range(len(names))]
    graph = lay_out([(name, [names[o] for o in needed]) for name, needed in zip(names, needs, strict=True)])
    waves = dag.layers(needs)
    assert (graph.depth, graph.width) == (len(waves), max(map(len, waves), default=0))
    for number, wave in enumerate(waves):
        assert {graph.layers[node] for node in wave} == {number}
        assert sorted(graph.rows[node] for node in wave) == [*range(len(wave))]


def test_tasks_stand_by_the_middle_of_their_neighbours() -> None:
    # b needs nothing but is drawn right of c, as what needs it is right of what needs c.
    graph = lay_out([("a", []), ("b", []), ("c", []), ("x", ["a", "c"]), ("y", ["b"]), ("z", ["b"])])
    assert dict(zip(graph.names, graph.rows, strict=True)) == {"a": 0, "c": 1, "b": 2, "x": 0, "y": 1, "z": 2}


@pytest.mark.parametrize("tasks", [WIDE, CHAIN], ids=["wide", "chain"])
def test_a_layout_has_python_look_through_nothing(tasks: list[tuple[str, list[str]]]) -> None:
    gc.collect()
    before = sum(generation["collections"] for generation in gc.get_stats())
    lay_out(tasks)
    # One falls due by chance; a list per task would make it dozens.
    assert sum(generation["collections"] for generation in gc.get_stats()) - before <= 1
