"""The drawing of a graph and the board: pure, so no terminal is needed."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console

from fasttrack.domain.events import FeedEvent
from fasttrack.domain.states import FailureClass, InstanceState, JobState
from fasttrack.ids import new_id
from fasttrack_cli.store import Board, TaskView
from fasttrack_cli.view.colours import INSTANCE_COLOURS, JOB_COLOURS, SYMBOLS
from fasttrack_cli.view.lanes import draw, list_rows
from fasttrack_cli.view.picture import board_text, graph_rows, graph_text, picture
from fasttrack_cli.view.words import duration
from tests.factories import NOW, a_pipeline


def drawn(graph: dict[str, str]) -> str:
    pipeline = a_pipeline(graph)
    return "\n" + graph_text(pipeline, lambda i: pipeline.tasks[i].name) + "\n"


def test_a_chain_is_straight() -> None:
    assert drawn({"a": "", "b": "a", "c": "b"}) == "\n●  a\n●  b\n●  c\n"


def test_a_diamond_opens_and_closes() -> None:
    assert drawn({"a": "", "b": "a", "c": "a", "d": "b c"}) == (
        """
●    a
├─╮
● │  b
│ ●  c
├─╯
●    d
"""
    )


def test_a_fan_of_three() -> None:
    assert drawn({"a": "", "b": "a", "c": "a", "d": "a", "e": "b c d"}) == (
        """
●      a
├─┬─╮
● │ │  b
│ ● │  c
├─╯ │
│   ●  d
├───╯
●      e
"""
    )


def test_a_lane_that_has_nothing_to_do_with_it_passes_behind() -> None:
    assert drawn({"a": "", "b": "", "c": "", "d": "c a", "e": "b"}) == (
        """
●      a
│ ●    b
│ │ ●  c
├─│─╯
● │    d
  ●    e
"""
    )


def test_separate_tasks_stand_side_by_side_only_while_they_lead_somewhere() -> None:
    assert drawn({"a": "", "b": ""}) == "\n●  a\n●  b\n"


def test_what_is_too_wide_is_listed_by_layers() -> None:
    graph = {"start": ""} | {f"t{i}": "start" for i in range(200)} | {"end": " ".join(f"t{i}" for i in range(200))}
    pipeline = a_pipeline(graph)
    assert draw([t.needs for t in pipeline.tasks]) is None
    rows = graph_rows(pipeline)
    assert [row.task for row in rows] == list(range(202))
    assert [rows[0].node, rows[1].node, rows[201].node] == [0, 2, 4]


def test_a_very_deep_graph_is_drawn_in_linear_time() -> None:
    rows = draw([(i - 1,) if i else () for i in range(10_000)])
    assert rows is not None
    assert len(rows) == 10_000
    assert len(list_rows([(i - 1,) if i else () for i in range(10_000)])) == 10_000


def test_every_state_has_a_colour_and_a_symbol_of_one_cell() -> None:
    assert INSTANCE_COLOURS.keys() == set(InstanceState)
    assert JOB_COLOURS.keys() == set(JobState)
    assert {len(symbol) for symbol in SYMBOLS.values()} == {1}
    assert len(SYMBOLS) == len(InstanceState)


def test_colours_are_those_of_fasttrack() -> None:
    assert INSTANCE_COLOURS[InstanceState.RUNNING] == "deep_sky_blue1"
    assert INSTANCE_COLOURS[InstanceState.READY] == "yellow"
    assert INSTANCE_COLOURS[InstanceState.SKIPPED] == "hot_pink"
    assert INSTANCE_COLOURS[InstanceState.SUCCEEDED] == "green"
    assert INSTANCE_COLOURS[InstanceState.FAILED] == "red"


def a_board(graph: dict[str, str], **states: InstanceState) -> Board:
    from fasttrack.db.jobs import JobRecord
    from fasttrack.ids import JobId, PipelineId, VersionId

    pipeline = a_pipeline(graph)
    job = JobRecord(
        id=JobId(new_id()),
        pipeline_id=PipelineId(new_id()),
        pipeline="demo",
        number=3,
        version_id=VersionId(new_id()),
        version=2,
        state=JobState.RUNNING,
        reason="",
        params={},
        submitted_by="ada",
        tasks=len(graph),
        open_tasks=len(graph),
        seq=1,
        created_at=NOW,
        started_at=NOW,
        ended_at=None,
    )
    tasks = {name: TaskView(name, states.get(name, InstanceState.PENDING)) for name in graph}
    return Board(job, pipeline, tasks, job.state, "", 1, None)


def an_event(board: Board, seq: int, kind: str, task: str | None = None, **payload: Any) -> FeedEvent:
    at = NOW + timedelta(seconds=seq)
    return FeedEvent(seq, board.job.id, seq, kind, at, task, None, payload)


def test_a_board_follows_the_events_and_ignores_what_it_knows() -> None:
    board = a_board({"a": "", "b": "a"})
    assert board.apply(an_event(board, 2, "task.starting", "a", to="STARTING", attempt=1))
    assert board.apply(an_event(board, 3, "task.running", "a", to="RUNNING", attempt=1))
    assert not board.apply(an_event(board, 3, "task.running", "a", to="RUNNING", attempt=1))
    assert board.tasks["a"].state is InstanceState.RUNNING
    assert board.tasks["a"].elapsed(NOW + timedelta(seconds=5)) == timedelta(seconds=2)
    assert board.tasks["a"].waited(NOW) == timedelta(seconds=1)
    failed = an_event(
        board, 4, "task.failed", "a", to="FAILED", failure="user", exit_code=3, reason="exited with code 3"
    )
    board.apply(failed)
    task = board.tasks["a"]
    assert (task.state, task.failure, task.exit_code) == (InstanceState.FAILED, FailureClass.USER, 3)
    board.apply(an_event(board, 5, "job.failed", None, to="FAILED", reason="a task did not succeed"))
    assert (board.state, board.reason, board.seq) == (JobState.FAILED, "a task did not succeed", 5)
    assert board.ended_at == NOW + timedelta(seconds=5)


def test_a_note_changes_only_the_reason() -> None:
    board = a_board({"a": ""}, a=InstanceState.QUEUED)
    board.apply(an_event(board, 2, "task.noted", "a", reason="waits for 4 cpu"))
    assert (board.tasks["a"].state, board.tasks["a"].reason) == (InstanceState.QUEUED, "waits for 4 cpu")


def test_a_new_attempt_starts_the_clock_again() -> None:
    board = a_board({"a": ""})
    board.apply(an_event(board, 2, "task.running", "a", to="RUNNING", attempt=1))
    board.apply(an_event(board, 3, "task.ready", "a", to="READY", attempt=1, failure="user", exit_code=1))
    board.apply(an_event(board, 4, "task.starting", "a", to="STARTING", attempt=2))
    task = board.tasks["a"]
    assert (task.attempt, task.started_at, task.failure, task.exit_code) == (2, None, None, None)


def shown(board: Board, height: int = 10_000, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(picture(board, graph_rows(board.pipeline), now=NOW + timedelta(seconds=4), height=height))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines())


def test_the_picture_tells_state_time_attempt_and_reason() -> None:
    board = a_board({"a": "", "b": "a"}, a=InstanceState.RUNNING)
    board.tasks["a"].started_at = NOW
    board.tasks["a"].attempt = 2
    board.tasks["b"].reason = "waits for a"
    assert shown(board).splitlines()[2:] == [
        "●  a  RUNNING  4.0s  try 2",
        "○  b  PENDING        waits for a",
        "1 pending   1 running",
    ]
    assert shown(board).startswith("demo #3  RUNNING  4.0s  job ")


def test_what_does_not_fit_is_left_out_from_the_least_interesting_on() -> None:
    graph = {f"t{i}": "" for i in range(50)}
    board = a_board(graph, t7=InstanceState.FAILED, t9=InstanceState.RUNNING)
    lines = shown(board, height=10).splitlines()
    assert len(lines) <= 10
    assert lines[2].startswith("✗  t7")
    assert lines[3].startswith("●  t9")
    assert "… and 45 more tasks" in lines
    assert lines[-1] == "48 pending   1 running   1 failed"


def test_a_note_about_the_view_stands_last() -> None:
    board = a_board({"a": ""})
    board.note = "the database is away"
    assert shown(board).splitlines()[-1] == "the database is away"


def test_a_board_is_plain_text_too() -> None:
    board = a_board({"a": "", "b": "a"}, a=InstanceState.SUCCEEDED, b=InstanceState.FAILED)
    assert board_text(board) == "✓  a  SUCCEEDED\n✗  b  FAILED"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0s"), (0.44, "0.4s"), (9.94, "9.9s"), (9.96, "10s"), (59.4, "59s"), (59.9, "1m00s"), (185, "3m05s"),
     (3600, "1h00m"), (7810, "2h10m"), (4 * 86400 + 3 * 3600, "4d3h")],
)  # fmt: skip
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(timedelta(seconds=seconds)) == text
    assert duration(None) == ""


def test_a_board_counts_in_the_order_of_states() -> None:
    board = a_board({"a": "", "b": "", "c": ""}, a=InstanceState.SUCCEEDED)
    assert list(board.counts().items()) == [(InstanceState.PENDING, 2), (InstanceState.SUCCEEDED, 1)]
    assert replace(board.tasks["a"], state=InstanceState.FAILED).state is InstanceState.FAILED
