"""Where the tasks of a graph are drawn: in layers, each task one layer after the last of those it needs.

Inside a layer tasks stand by the middle of their neighbours, swept down and up: few edges cross, and the same graph
always gives the same picture. Linear in tasks and edges but for the sorting; 10,000 tasks take well under a second.

Edges lie in two lists of numbers, not in a list per task: tens of thousands of new lists would have Python look through
everything that the process holds, to see what can go, and that takes longer than the layout.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

_SWEEPS = 2


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph that is laid out; tasks are meant by their index in the file."""

    names: list[str]
    layers: list[int]
    """The layer of each task, from 0."""
    rows: list[int]
    """Its place in the layer, from 0."""
    edges: list[int]
    """Pairs one after the other: the index of a task, then of one that needs it."""
    depth: int
    """The number of layers."""
    width: int
    """The number of tasks in the largest layer."""


def lay_out(tasks: Sequence[tuple[str, Sequence[str]]]) -> Graph:
    """The picture of the tasks, given by name with the names they need."""
    place = {name: index for index, (name, _) in enumerate(tasks)}
    needs = _Links.of((len(needed) for _, needed in tasks), [place[need] for _, needed in tasks for need in needed])
    followers = needs.turned()
    order, bounds = _waves(needs, followers)
    depth = len(bounds) - 1
    row, middle = [0] * len(tasks), [0.0] * len(tasks)
    for start, end in pairwise(bounds):
        _number(order, start, end, row)
    for _ in range(_SWEEPS):
        for wave in range(1, depth):
            _arrange(order, bounds[wave], bounds[wave + 1], needs, row, middle)
        for wave in reversed(range(depth - 1)):
            _arrange(order, bounds[wave], bounds[wave + 1], followers, row, middle)
    layers = [0] * len(tasks)
    for wave, (start, end) in enumerate(pairwise(bounds)):
        for node in order[start:end]:
            layers[node] = wave
    return Graph(
        names=[name for name, _ in tasks],
        layers=layers,
        rows=row,
        edges=[end for node in range(len(tasks)) for other in needs[node] for end in (other, node)],
        depth=depth,
        width=max((end - start for start, end in pairwise(bounds)), default=0),
    )


@dataclass(frozen=True, slots=True)
class _Links:
    """The neighbours of each node, all in one list."""

    starts: list[int]
    """Where those of each node begin, and at the end where the last one's end."""
    ends: list[int]

    @classmethod
    def of(cls, counts: Iterable[int], ends: list[int]) -> _Links:
        """So many for each node, in this order."""
        return cls([*accumulate(counts, initial=0)], ends)

    def __getitem__(self, node: int) -> list[int]:
        return self.ends[self.starts[node] : self.starts[node + 1]]

    def turned(self) -> _Links:
        """The other way round: for each node those that have it as a neighbour, in order of their indexes."""
        counts = [0] * (len(self.starts) - 1)
        for end in self.ends:
            counts[end] += 1
        turned = _Links.of(counts, [0] * len(self.ends))
        free = turned.starts[:-1]
        for node in range(len(counts)):
            for end in self[node]:
                turned.ends[free[end]] = node
                free[end] += 1
        return turned


def _waves(needs: _Links, followers: _Links) -> tuple[list[int], list[int]]:
    """The nodes, each one wave after the last of those it needs, and the bounds of the waves; nodes in a cycle are left out.

    As `fasttrack.domain.dag.layers` has them, in one list.
    """
    open_needs = [end - start for start, end in pairwise(needs.starts)]
    order = [node for node, count in enumerate(open_needs) if count == 0]
    bounds = [0]
    while bounds[-1] < len(order):
        wave = order[bounds[-1] :]
        bounds.append(len(order))
        following = []
        for node in wave:
            for follower in followers[node]:
                open_needs[follower] -= 1
                if open_needs[follower] == 0:
                    following.append(follower)
        order += sorted(following)
    return order, bounds


def _arrange(order: list[int], start: int, end: int, links: _Links, row: list[int], middle: list[float]) -> None:
    """Sort the wave by the middle of each task's neighbours; one without any stays where it is."""
    wave = sorted(order[start:end])  # what has the same middle keeps the order of the file
    for node in wave:
        neighbours = links[node]
        middle[node] = sum(map(row.__getitem__, neighbours)) / len(neighbours) if neighbours else row[node]
    wave.sort(key=middle.__getitem__)
    order[start:end] = wave
    _number(order, start, end, row)


def _number(order: list[int], start: int, end: int, row: list[int]) -> None:
    for position, node in enumerate(order[start:end]):
        row[node] = position
