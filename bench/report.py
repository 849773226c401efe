"""The table of a run: as text, as JSON, as a part of a Markdown page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from .measures import TARGETS, Figures, Target, measure
from .stage import Counts

FORMAT = 1
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
_COSTS = (
    ("tasks/s", "tasks_per_s"),
    ("hop p50 ms", "hop_p50_ms"),
    ("hop p95 ms", "hop_p95_ms"),
    ("CPU ms", "cpu_ms_per_task"),
    ("… scheduler", "scheduler_cpu_ms_per_task"),
    ("… PostgreSQL", "postgres_cpu_ms_per_task"),
    ("… Valkey", "valkey_cpu_ms_per_task"),
    ("statements", "statements_per_task"),
    ("commits", "commits_per_task"),
    ("bytes", "bytes_per_task"),
    ("WAL bytes", "wal_per_task"),
    ("peak MB", "peak_mb"),
)


@dataclass
class Result:
    """What a workload gave."""

    name: str
    what: str
    backend: str
    rounds: list[Figures] = field(default_factory=list)
    floors: list[Figures] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    fault: str = ""

    @property
    def figures(self) -> Figures:
        """Of each figure the median over the rounds."""
        return {k: v for k, v in _medians(self.rounds).items() if not k.startswith("floor:")}

    @property
    def floor(self) -> Figures:
        own = {k.removeprefix("floor:"): v for k, v in _medians(self.rounds).items() if k.startswith("floor:")}
        return _medians(self.floors) | own


def _medians(rounds: Sequence[Figures]) -> Figures:
    names = dict.fromkeys(name for figures in rounds for name in figures)
    return {name: median(figures[name] for figures in rounds if name in figures) for name in names}


@dataclass(frozen=True)
class Row:
    """One figure with a target."""

    workload: str
    measure: str
    label: str
    unit: str
    value: float
    floor: float | None
    ratio: float | None
    target: float
    target_ratio: float | None
    met: bool
    ratio_met: bool | None
    """`None` where there is no floor to compare with."""

    @property
    def verdict(self) -> str:
        if self.met:
            return "met" if self.ratio_met is not False else "met, ratio not"
        return "by ratio" if self.ratio_met else "not met"


def rows(results: Sequence[Result]) -> list[Row]:
    """Every figure that has a target, in the order of the targets."""
    by_name = {result.name: result for result in results}
    found = []
    for target in TARGETS:
        result = by_name.get(target.workload)
        if result is not None:
            names = list(result.figures) if target.measure == "*" else [target.measure]
            found += [_row(result, target, name) for name in names if name in result.figures]
    return found


def _row(result: Result, target: Target, name: str) -> Row:
    value, floor, shown = result.figures[name], result.floor.get(name), measure(name)
    ratio = value / floor if floor else None
    return Row(
        result.name,
        name,
        shown.label,
        shown.unit,
        value,
        floor,
        ratio,
        target.limit,
        target.ratio,
        target.is_met(value),
        None if ratio is None or target.ratio is None else target.is_ratio_met(value, floor),
    )


def document(results: Sequence[Result], machine: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """All of it, for programs."""
    return {
        "format": FORMAT,
        "ok": not any(result.fault for result in results),
        "machine": machine,
        "options": options,
        "rows": [asdict(row) | {"verdict": row.verdict} for row in rows(results)],
        "workloads": {
            result.name: {
                "what": result.what,
                "backend": result.backend,
                "fault": result.fault,
                "counts": asdict(result.counts),
                "figures": result.figures,
                "floor": result.floor,
                "rounds": result.rounds,
                "floors": result.floors,
            }
            for result in results
        },
    }


def write_json(path: Path, made: dict[str, Any]) -> None:
    path.write_bytes(orjson.dumps(made, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def write_markdown(path: Path, results: Sequence[Result], machine: dict[str, Any]) -> None:
    """Put the tables between the page's marks."""
    page = path.read_text() if path.exists() else f"{BEGIN}\n{END}\n"
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} has no place for the tables: it needs a line {BEGIN} and a line {END}")
    path.write_text(f"{before}{BEGIN}\n\n{markdown(results, machine)}\n{END}{after}")


def markdown(results: Sequence[Result], machine: dict[str, Any]) -> str:
    """The tables as Markdown."""
    lines = [_where(machine), "", _line(*_HEAD), _line("---", "---", *("--:",) * 4, "---")]
    lines += [_line(*cells) for cells in _cells(results)]
    costly = [result for result in results if "cpu_ms_per_task" in result.figures]
    if costly:
        lines += [
            "",
            "Per task:",
            "",
            _line("", *(title for title, _ in _COSTS)),
            _line("---", *("--:",) * len(_COSTS)),
        ]
        lines += [_line(*cells) for cells in _cost_cells(costly)]
    return "\n".join(lines) + "\n"


def text(results: Sequence[Result], machine: dict[str, Any]) -> str:
    """The tables for a terminal."""
    costly = [result for result in results if "cpu_ms_per_task" in result.figures]
    parts = [_where(machine), _aligned([_HEAD, *_cells(results)])]
    if costly:
        parts += ["per task", _aligned([("", *(title for title, _ in _COSTS)), *_cost_cells(costly)])]
    parts += [f"{result.name} FAILED: {result.fault}" for result in results if result.fault]
    return "\n\n".join(parts) + "\n"


_HEAD = ("workload", "measure", "value", "floor", "ratio", "target", "")


def _cells(results: Sequence[Result]) -> list[tuple[str, ...]]:
    shown: list[tuple[str, ...]] = []
    last = ""
    for row in rows(results):
        sign = "≥" if measure(row.measure).is_more_better else "≤"
        target = f"{sign} {row.target:g}" + (f", {sign} {row.target_ratio:g} ×" if row.target_ratio else "")
        shown.append(
            (
                "" if row.workload == last else row.workload,
                f"{row.label}, {row.unit}" if row.unit else row.label,
                _number(row.value, row.measure),
                "–" if row.floor is None else _number(row.floor, row.measure),
                "–" if row.ratio is None else f"{row.ratio:.2f}",
                target,
                row.verdict,
            )
        )
        last = row.workload
    return shown


def _cost_cells(results: Sequence[Result]) -> list[tuple[str, ...]]:
    return [
        (
            result.name,
            *(_number(result.figures[name], name) if name in result.figures else "–" for _, name in _COSTS),
        )
        for result in results
    ]


def _number(value: float, name: str) -> str:
    return f"{value:,.{measure(name).digits}f}"


def _where(machine: dict[str, Any]) -> str:
    return (
        f"{machine['cpus']} cores, load {machine['load_before']} before, Python {machine['python']}, "
        f"PostgreSQL {machine['postgresql']} with its durable defaults, Valkey {machine['valkey']}."
    )


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _aligned(table: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    )
