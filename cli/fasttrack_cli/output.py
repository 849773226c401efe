"""What the command line prints: answers on standard output, everything said to a person on standard error.

On a terminal with colour and borders, elsewhere as plain text that does not change with the width of a window, and
with `--json` as JSON: one document, or one object per line for streams.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fasttrack.errors import FastTrackError, InvalidPipeline, Problem, Severity

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


class Styled(str):
    """A text with the style it has on a terminal."""

    __slots__ = ("style",)
    style: str


def styled(text: str, style: str) -> Styled:
    """The text, to be shown in this style where styles can be shown."""
    value = Styled(text)
    value.style = style
    return value


class Output:
    """The two streams of one command."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")  # a narrow encoding must not turn an answer into a trace

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks at the answers."""
        return not self.as_json and sys.stdout.isatty()

    @cached_property
    def console(self) -> Console:
        """The terminal, for answers."""
        from rich.console import Console

        return Console(highlight=False, soft_wrap=False)

    @cached_property
    def progress(self) -> Console:
        """The terminal, for what is said meanwhile."""
        from rich.console import Console

        return Console(stderr=True, highlight=False)

    # -- answers ------------------------------------------------------------------------------------------------

    def document(self, value: Any) -> None:
        """The one JSON document of this command."""
        sys.stdout.write(encode(value, indent=True) + "\n")
        sys.stdout.flush()

    def record(self, value: Any) -> None:
        """One object of a stream, in one line, at once."""
        sys.stdout.write(encode(value) + "\n")
        sys.stdout.flush()

    def text(self, text: str = "") -> None:
        """A line of the answer as it stands."""
        sys.stdout.write(f"{text}\n")

    def show(self, renderable: RenderableType) -> None:
        """Something made for a terminal."""
        self.console.print(renderable)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table: on a terminal with colour, elsewhere in columns that are as wide as they must be."""
        if self.is_terminal:
            self.show(as_table(columns, rows))
            return
        for line in columns_of([[c.upper() for c in columns], *rows]):
            self.text(line)

    def facts(self, facts: Sequence[tuple[str, str]]) -> None:
        """Names and values, one pair per line; empty values are left out."""
        shown = [(name, value) for name, value in facts if value]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            if self.is_terminal:
                from rich.text import Text

                style = value.style if isinstance(value, Styled) else ""
                self.show(Text.assemble((f"{name:<{width}}  ", "bold"), (str(value), style)))
            else:
                self.text(f"{name:<{width}}  {value}")

    # -- messages -----------------------------------------------------------------------------------------------

    def say(self, message: str) -> None:
        """Tell a person what happens; never part of the answer."""
        self._message(message, "")

    def warn(self, message: str) -> None:
        """Tell a person what they would want to know."""
        self._message(message, "yellow", "warning: ")

    def error(self, message: str) -> None:
        """Tell a person what went wrong."""
        self._message(message, "red", "error: ")

    def problem(self, file: str, problem: Problem) -> None:
        """A problem of a file, in the form that editors jump to."""
        style = "red" if problem.severity is Severity.ERROR else "yellow"
        self._message(describe_problem(file, problem), style)

    def _message(self, message: str, style: str, prefix: str = "") -> None:
        # Looked up at each call: a live view puts its own stream there, so that lines appear above it.
        stream = sys.stderr
        if style and stream.isatty():
            from rich.text import Text

            self.progress.print(Text(f"{prefix}{message}", style=style), soft_wrap=True)
        else:
            stream.write(f"{prefix}{message}\n")
            stream.flush()


def print_error(out: Output, error: FastTrackError) -> None:
    """Tell why a command was refused: one sentence, or one JSON document; a bad file with each of its problems."""
    problems = error.problems if isinstance(error, InvalidPipeline) else ()
    if out.as_json:
        out.document(
            {
                "error": {
                    "code": error.code,
                    "message": error.message,
                    "retryable": error.retryable,
                    "problems": [problem_json(p) for p in problems],
                }
            }
        )
        return
    if not problems:
        out.error(error.message.replace("\n", "\n  "))
        return
    file = str(error.facts.get("file", "pipeline"))
    for problem in problems:
        out.problem(file, problem)
    count = sum(p.severity is Severity.ERROR for p in problems)
    out.error(f"{file} is not a valid pipeline: {plural(count, 'error')}. Nothing was changed.")


def describe_problem(file: str, problem: Problem) -> str:
    """`file:line:column: error: tasks[2].name: …`."""
    place = f":{problem.line}:{problem.column}" if problem.line else ""
    path = f"{problem.path}: " if problem.path else ""
    return f"{file}{place}: {problem.severity}: {path}{problem.message}"


def problem_json(problem: Problem) -> dict[str, Any]:
    """A problem for programs; line and column count from 1, 0 is no place."""
    return {
        "severity": problem.severity.value,
        "path": problem.path,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
    }


def as_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> RenderableType:
    """The rows for a terminal; long last columns are folded, the others are kept whole."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, column in enumerate(columns):
        is_last = index == len(columns) - 1
        table.add_column(column, no_wrap=not is_last, overflow="fold" if is_last else "ellipsis")
    for row in rows:
        table.add_row(*(Text(str(c), style=c.style if isinstance(c, Styled) else "") for c in row))
    return table


def columns_of(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows in columns of plain text, two spaces apart, nothing cut; a cell without a value is `-`."""
    cells = [[str(cell).replace("\n", " ") or "-" for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return ["  ".join(f"{cell:<{widths[i]}}" for i, cell in enumerate(row)).rstrip() for row in cells]


def plural(count: int, noun: str) -> str:
    """`1 task`, `2 tasks`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def encode(value: Any, *, indent: bool = False) -> str:
    """JSON text: times in UTC with a `Z`, identifiers and states as text, durations in seconds."""
    import orjson

    options = orjson.OPT_UTC_Z | (orjson.OPT_INDENT_2 if indent else 0)
    return orjson.dumps(value, default=_plain, option=options).decode()


def _plain(value: Any) -> Any:
    if hasattr(value, "total_seconds"):
        return value.total_seconds()
    return str(value)
