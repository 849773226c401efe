"""A board as lines for a terminal: the graph with its states, as much of it as there is room for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fasttrack.domain.pipeline import Pipeline
from fasttrack.domain.states import InstanceState
from fasttrack.ids import short

from ..store import Board, TaskView
from .colours import INSTANCE_COLOURS, JOB_COLOURS, SYMBOLS
from .lanes import Row, draw, list_rows
from .words import duration

# When not all fits: what a person wants to see first.
_INTEREST = (
    InstanceState.FAILED,
    InstanceState.RUNNING,
    InstanceState.STOPPING,
    InstanceState.PREPARING,
    InstanceState.QUEUED,
    InstanceState.STARTING,
    InstanceState.READY,
    InstanceState.CANCELLED,
    InstanceState.PENDING,
    InstanceState.UPSTREAM_FAILED,
    InstanceState.SKIPPED,
    InstanceState.SUCCEEDED,
)


def graph_rows(pipeline: Pipeline) -> list[Row]:
    """The drawing of a pipeline; without connectors when it is too wide for them."""
    needs = [task.needs for task in pipeline.tasks]
    return draw(needs) or list_rows(needs)


def graph_text(pipeline: Pipeline, label: Callable[[int], str], symbol: Callable[[int], str] = lambda _: "●") -> str:
    """The drawing as plain text, each task with its label."""
    lines = []
    for row in graph_rows(pipeline):
        if row.task is None:
            lines.append(row.cells.rstrip())
        else:
            cells = row.cells[: row.node] + symbol(row.task) + row.cells[row.node + 1 :]
            lines.append(f"{cells}  {label(row.task)}".rstrip())
    return "\n".join(lines)


def board_text(board: Board) -> str:
    """The graph with its states as plain text."""
    width = max(len(task.name) for task in board.pipeline.tasks)

    def label(index: int) -> str:
        task = board.tasks[board.pipeline.tasks[index].name]
        return f"{task.name:<{width}}  {task.state}"

    return graph_text(board.pipeline, label, lambda i: SYMBOLS[board.tasks[board.pipeline.tasks[i].name].state])


def picture(board: Board, rows: Sequence[Row], *, now: datetime, height: int = 10_000) -> RenderableType:
    """The whole view, at most `height` lines: heading, graph (or the tasks that matter most), counts.

    :param rows: the drawing of the board's pipeline, made once.
    """
    room = max(height - 4 - bool(board.note), 1)
    body: RenderableType
    hidden = 0
    if len(rows) <= room:
        body = _grid([(_lanes(row, board), _task_of(row, board)) for row in rows], now)
    else:
        order = {state: place for place, state in enumerate(_INTEREST)}
        chosen = sorted(board.tasks.values(), key=lambda task: order[task.state])[: room - 1]
        hidden = len(board.tasks) - len(chosen)
        body = _grid([(_mark(task), task) for task in chosen], now)
    parts: list[RenderableType] = [heading(board, now=now), Text(), body]
    if hidden:
        parts.append(Text(f"… and {hidden} more tasks", style="dim"))
    parts.append(_counts(board))
    if board.note:
        parts.append(Text(board.note, style="yellow"))
    return Group(*parts)


def heading(board: Board, *, now: datetime) -> Text:
    """`demo #3  RUNNING  4.2s   job 5f3a09c1, version 2`."""
    job = board.job
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{job.pipeline} #{job.number}", style="bold")
    text.append(f"  {board.state}", style=JOB_COLOURS[board.state])
    text.append(f"  {duration((board.ended_at or now) - job.created_at)}")
    text.append(f"  job {short(job.id)}, version {job.version}", style="dim")
    if board.reason:
        text.append(f"  {board.reason}")
    return text


def _grid(lines: list[tuple[Text, TaskView | None]], now: datetime) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_column(no_wrap=True, overflow="ellipsis")
    for lanes, task in lines:
        if task is None:
            grid.add_row(lanes)
        else:
            colour = INSTANCE_COLOURS[task.state]
            words = [f"try {task.attempt}"] if task.attempt > 1 else []
            words += [task.reason] if task.reason else []
            grid.add_row(
                lanes,
                Text(task.name),
                Text(task.state.value, style=colour),
                Text(duration(task.elapsed(now)), style="dim"),
                Text("  ".join(words), style="dim"),
            )
    return grid


def _lanes(row: Row, board: Board) -> Text:
    task = _task_of(row, board)
    if task is None:
        return Text(row.cells, style="grey50")
    text = Text(row.cells[: row.node], style="grey50")
    text.append_text(_mark(task))
    text.append(row.cells[row.node + 1 :], style="grey50")
    return text


def _mark(task: TaskView) -> Text:
    return Text().append(SYMBOLS[task.state], style=f"bold {INSTANCE_COLOURS[task.state]}")


def _task_of(row: Row, board: Board) -> TaskView | None:
    return None if row.task is None else board.tasks[board.pipeline.tasks[row.task].name]


def _counts(board: Board) -> Text:
    text = Text()
    for state, count in board.counts().items():
        text.append(f"{count} {state.lower().replace('_', ' ')}", style=INSTANCE_COLOURS[state])
        text.append("   ")
    return text
