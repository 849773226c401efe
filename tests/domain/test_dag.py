"""The graph: cycles by path, order, layers, closures; linear, without recursion, and in agreement with networkx."""

from itertools import pairwise

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasttrack.domain import dag

DIAMOND = [(), (0,), (0,), (1, 2)]


@st.composite
def graphs(draw):
    size = draw(st.integers(0, 12))
    if size == 0:
        return []
    return [tuple(draw(st.lists(st.integers(0, size - 1), unique=True, max_size=3))) for _ in range(size)]


def as_networkx(needs):
    graph = networkx.DiGraph()
    graph.add_nodes_from(range(len(needs)))
    graph.add_edges_from((other, node) for node, needed in enumerate(needs) for other in needed)
    return graph


def test_a_diamond_has_three_layers():
    assert dag.layers(DIAMOND) == [[0], [1, 2], [3]]
    assert dag.topological_order(DIAMOND) == [0, 1, 2, 3]
    assert dag.dependants(DIAMOND) == [[1, 2], [3], [3], []]


def test_what_lies_downstream_and_upstream():
    assert dag.downstream(DIAMOND, [1]) == {3}
    assert dag.downstream(DIAMOND, [0]) == {1, 2, 3}
    assert dag.upstream(DIAMOND, [3]) == {0, 1, 2}
    assert dag.downstream(DIAMOND, []) == set()


def test_a_cycle_is_the_way_round_from_its_smallest_member():
    assert dag.find_cycles([(2,), (0,), (1,)]) == [[0, 1, 2, 0]]
    assert dag.find_cycles([(), (1,)]) == [[1, 1]]
    assert dag.find_cycles(DIAMOND) == []


def test_every_knot_gives_one_cycle():
    assert dag.find_cycles([(1,), (0,), (3, 0), (2,), (2,)]) == [[0, 1, 0], [2, 3, 2]]


@pytest.mark.parametrize("size", [10_000])
def test_a_long_chain_and_a_long_ring_need_no_recursion(size):
    chain = [(), *((i,) for i in range(size - 1))]
    assert dag.topological_order(chain) == list(range(size))
    assert len(dag.downstream(chain, [0])) == size - 1
    assert dag.find_cycles(chain) == []
    ring = [(size - 1,), *((i,) for i in range(size - 1))]
    assert dag.find_cycles(ring) == [[*range(size), 0]]


def test_a_wide_graph_of_a_million_edges_is_linear():
    needs = [()] * 1000 + [tuple(range(1000))] * 1000
    assert [len(wave) for wave in dag.layers(needs)] == [1000, 1000]
    assert dag.find_cycles(needs) == []


@given(graphs())
def test_cycles_agree_with_networkx(needs):
    graph = as_networkx(needs)
    assert dag.is_acyclic(needs) == networkx.is_directed_acyclic_graph(graph)
    cycles = dag.find_cycles(needs)
    knots = [c for c in networkx.strongly_connected_components(graph) if len(c) > 1 or graph.has_edge(*list(c) * 2)]
    assert len(cycles) == len(knots)
    for cycle in cycles:
        assert cycle[0] == cycle[-1] == min(cycle)
        assert len(set(cycle)) == len(cycle) - 1
        assert all(graph.has_edge(a, b) for a, b in pairwise(cycle))


@given(graphs())
def test_layers_and_order_agree_with_networkx(needs):
    graph = as_networkx(needs)
    if not networkx.is_directed_acyclic_graph(graph):
        return
    assert dag.layers(needs) == [sorted(layer) for layer in networkx.topological_generations(graph)]
    place = {node: at for at, node in enumerate(dag.topological_order(needs))}
    assert len(place) == len(needs)
    assert all(place[a] < place[b] for a, b in graph.edges)


@given(graphs(), st.data())
def test_closures_agree_with_networkx(needs, data):
    if not needs:
        return
    start = data.draw(st.integers(0, len(needs) - 1))
    graph = as_networkx(needs)
    assert dag.downstream(needs, [start]) - {start} == networkx.descendants(graph, start)
    assert dag.upstream(needs, [start]) - {start} == networkx.ancestors(graph, start)
