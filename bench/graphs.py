"""The workloads' pipelines, as text. Flow style: 10,000 tasks fit into the size that a file may have."""

from __future__ import annotations

import random
from collections.abc import Sequence

Graph = Sequence[Sequence[int]]
"""Per task, the indexes of those it needs."""


def chain(tasks: int) -> Graph:
    """Each task after the one before."""
    return [[i - 1] if i else [] for i in range(tasks)]


def fan(tasks: int) -> Graph:
    """One task, all but two after it, one after them."""
    return [[], *([0] for _ in range(tasks - 2)), list(range(1, tasks - 1))]


def layers(count: int, width: int, *, seed: int = 7) -> Graph:
    """Layers of equal width; each task needs one to three of the layer above."""
    chance = random.Random(seed)
    graph: list[list[int]] = [[] for _ in range(width)]
    for layer in range(1, count):
        above = range((layer - 1) * width, layer * width)
        graph += [sorted(chance.sample(above, min(chance.randint(1, 3), width))) for _ in range(width)]
    return graph


def diamond(tasks: int) -> Graph:
    """One task, two rows of equal width with all edges between them, one after them."""
    width = max((tasks - 2) // 2, 1)
    upper, lower = range(1, 1 + width), range(1 + width, 1 + 2 * width)
    return [[], *([0] for _ in upper), *(list(upper) for _ in lower), list(lower)]


def pipeline(name: str, graph: Graph) -> str:
    """A file whose tasks do nothing."""
    lines = [f"name: {name}", "tasks:"]
    for index, needs in enumerate(graph):
        after = f", dependencies: [{', '.join(f't{n}' for n in needs)}]" if needs else ""
        lines.append(f"- {{name: t{index}, command: 'true', environment: {{image: none}}{after}}}")
    return "\n".join(lines) + "\n"
