"""The layout of a large graph: every edge leads down, no two tasks share a place, and it is the same each time."""

from __future__ import annotations

from fasttrack_api.graphql.layout import lay_out


def test_ten_thousand_tasks_are_laid_out_the_same_way_each_time() -> None:
    names = [f"t{n}" for n in range(10_000)]
    tasks = [(name, names[max(n - 203, 0) : max(n - 200, 0)]) for n, name in enumerate(names)]
    graph = lay_out(tasks)
    for source, target in zip(graph.edges[::2], graph.edges[1::2], strict=True):
        assert graph.layers[source] < graph.layers[target]
    assert len(set(zip(graph.layers, graph.rows, strict=True))) == 10_000
    assert lay_out(tasks) == graph
