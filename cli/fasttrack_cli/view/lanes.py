"""A graph as lines of text: one row per task, parents above, and connectors that show what leads where.

Every task that somebody above leads to has one lane; lanes of several parents join in it. `None` instead of a drawing
means: too wide to be read, show it without connectors.

    a    ●
         ├─╮
    b    ● │
    c    │ ●
         ├─╯
    d    ●
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fasttrack.domain import dag

WIDEST = 12

# Which sides of a cell a line leaves by: up, down, left, right.
_BOX = {
    (False, False, False, False): " ",
    (True, True, False, False): "│",
    (False, False, True, True): "─",
    (True, False, False, True): "╰",
    (True, False, True, False): "╯",
    (False, True, False, True): "╭",
    (False, True, True, False): "╮",
    (True, True, False, True): "├",
    (True, True, True, False): "┤",
    (False, True, True, True): "┬",
    (True, False, True, True): "┴",
    (True, True, True, True): "┼",
    (True, False, False, False): "╵",
    (False, True, False, False): "╷",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the drawing."""

    cells: str
    """Lanes and connectors; at `node` stands the place for the task's symbol."""
    task: int | None = None
    """The task of this line; `None` for a line of connectors only."""
    node: int = 0
    """Where in `cells` the task stands."""


def draw(needs: dag.Graph, *, widest: int = WIDEST) -> list[Row] | None:
    """The drawing, tasks in topological layers; `None` when more than `widest` lanes were needed side by side."""
    followers = dag.dependants(needs)
    lanes: list[int | None] = []
    rows: list[Row] = []
    for task in dag.topological_order(needs):
        place = lanes.index(task) if task in lanes else _free(lanes)
        lanes[place] = task
        if len(lanes) > widest:
            return None
        rows.append(Row(_through(lanes, place), task, 2 * place))
        before = list(lanes)
        lanes[place] = None
        targets = [_lane_of(follower, lanes, place) for follower in followers[task]]
        if len(lanes) > widest:
            return None
        if targets and targets != [place]:
            rows.append(Row(_connectors(before, lanes, place, targets)))
        while lanes and lanes[-1] is None:
            lanes.pop()
    width = max((len(row.cells) for row in rows), default=0)
    return [Row(row.cells.ljust(width), row.task, row.node) for row in rows]


def list_rows(needs: dag.Graph) -> list[Row]:
    """The same order without connectors, one layer further to the right each; for graphs that cannot be drawn."""
    layers = dag.layers(needs)
    step = 2 if len(layers) <= 2 * WIDEST else 0
    width = step * max(len(layers) - 1, 0) + 1
    return [Row(" " * width, task, step * depth) for depth, layer in enumerate(layers) for task in layer]


def _free(lanes: list[int | None]) -> int:
    if None in lanes:
        return lanes.index(None)
    lanes.append(None)
    return len(lanes) - 1


def _lane_of(task: int, lanes: list[int | None], near: int) -> int:
    """The lane that leads to the task, a new one if there is none: the parent's own where it is free."""
    if task in lanes:
        return lanes.index(task)
    if lanes[near] is None:
        place = near
    else:
        place = next((i for i in range(near, len(lanes)) if lanes[i] is None), len(lanes))
        if place == len(lanes):
            lanes.append(None)
    lanes[place] = task
    return place


def _through(lanes: Sequence[int | None], node: int) -> str:
    cells = ["│" if lane is not None else " " for lane in lanes]
    cells[node] = "●"
    return " ".join(cells)


def _connectors(before: Sequence[int | None], after: Sequence[int | None], place: int, targets: Sequence[int]) -> str:
    left, right = min(place, *targets), max(place, *targets)
    text = []
    for lane in range(max(len(before), len(after))):
        up = lane < len(before) and before[lane] is not None
        down = lane < len(after) and after[lane] is not None
        is_joined = lane == place or lane in targets
        crosses = left <= lane <= right
        if crosses and not is_joined and up:
            text.append("│")  # passes behind; it has nothing to do with this task
        else:
            text.append(_BOX[up, down, crosses and lane > left, crosses and lane < right])
        text.append("─" if left <= lane < right else " ")
    return "".join(text).rstrip()
