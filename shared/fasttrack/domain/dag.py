"""The graph of a pipeline: cycles, order, layers, what lies downstream.

A graph is a sequence: at position i stand the indexes that node i needs. Every function is linear in nodes and edges
and none recurses, so a chain of 10,000 tasks is as welcome as a short one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

Graph = Sequence[Sequence[int]]


def dependants(needs: Graph) -> list[list[int]]:
    """The graph turned round: for each node, the nodes that need it, in order of their indexes."""
    followers: list[list[int]] = [[] for _ in needs]
    for node, needed in enumerate(needs):
        for other in needed:
            followers[other].append(node)
    return followers


def layers(needs: Graph) -> list[list[int]]:
    """The nodes in waves: each node stands one wave after the last of those it needs. Nodes in a cycle are left out."""
    followers = dependants(needs)
    open_needs = [len(needed) for needed in needs]
    wave = [node for node, count in enumerate(open_needs) if count == 0]
    waves: list[list[int]] = []
    while wave:
        waves.append(wave)
        following: list[int] = []
        for node in wave:
            for follower in followers[node]:
                open_needs[follower] -= 1
                if open_needs[follower] == 0:
                    following.append(follower)
        wave = sorted(following)
    return waves


def topological_order(needs: Graph) -> list[int]:
    """Every node after all that it needs; among free choices, by index. Nodes in or behind a cycle are left out."""
    return [node for wave in layers(needs) for node in wave]


def is_acyclic(needs: Graph) -> bool:
    """Whether no node needs itself, directly or by others."""
    return sum(len(wave) for wave in layers(needs)) == len(needs)


def downstream(needs: Graph, start: Iterable[int]) -> set[int]:
    """All nodes that need one of `start`, directly or by others; `start` itself is not among them unless in a cycle."""
    return _closure(dependants(needs), start)


def upstream(needs: Graph, start: Iterable[int]) -> set[int]:
    """All nodes that one of `start` needs, directly or by others."""
    return _closure(needs, start)


def find_cycles(needs: Graph) -> list[list[int]]:
    """One cycle for each knot of the graph, each closed (`[0, 1, 0]`) and beginning at its smallest index.

    A knot is a set of nodes that all reach each other. Each node of a cycle is followed by one that needs it; a node
    that needs itself gives `[3, 3]`. Empty when the graph is acyclic.
    """
    found = [_shortest_cycle(needs, knot) for knot in _knots(needs)]
    return sorted(cycle for cycle in found if cycle)


def _closure(edges: Graph, start: Iterable[int]) -> set[int]:
    seen: set[int] = set()
    waiting = deque(other for node in start for other in edges[node])
    while waiting:
        node = waiting.popleft()
        if node not in seen:
            seen.add(node)
            waiting.extend(edges[node])
    return seen


def _knots(needs: Graph) -> list[list[int]]:
    # Tarjan's strongly connected components with the recursion unrolled into a stack of (node, next edge).
    number = [-1] * len(needs)
    low = [0] * len(needs)
    on_path = [False] * len(needs)
    path: list[int] = []
    knots: list[list[int]] = []
    count = 0
    for root in range(len(needs)):
        if number[root] >= 0:
            continue
        work = [(root, 0)]
        while work:
            node, edge = work.pop()
            if edge == 0:
                number[node] = low[node] = count
                count += 1
                path.append(node)
                on_path[node] = True
            advanced = False
            for position in range(edge, len(needs[node])):
                other = needs[node][position]
                if number[other] < 0:
                    work.append((node, position + 1))
                    work.append((other, 0))
                    advanced = True
                    break
                if on_path[other]:
                    low[node] = min(low[node], number[other])
            if advanced:
                continue
            if low[node] == number[node]:
                knot = _cut(path, node, on_path)
                if len(knot) > 1 or node in needs[node]:
                    knots.append(knot)
            if work:
                parent = work[-1][0]
                low[parent] = min(low[parent], low[node])
    return knots


def _cut(path: list[int], node: int, on_path: list[bool]) -> list[int]:
    knot: list[int] = []
    while True:
        last = path.pop()
        on_path[last] = False
        knot.append(last)
        if last == node:
            return knot


def _shortest_cycle(needs: Graph, knot: list[int]) -> list[int]:
    # From the smallest member breadth first; every member of a knot lies on some cycle, so this one closes.
    start = min(knot)
    members = set(knot)
    came_from: dict[int, int] = {}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        for other in needs[node]:
            if other == start:
                cycle = [start]
                while node != start:
                    cycle.append(node)
                    node = came_from[node]
                return [*cycle, start]  # against the edges walked: each node is needed by the one before it
            if other in members and other not in came_from:
                came_from[other] = node
                waiting.append(other)
    return []
