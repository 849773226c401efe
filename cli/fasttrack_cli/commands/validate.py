"""`fasttrack validate`: everything that is wrong with a pipeline file, without running or storing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..exits import NO, OK
from ..files import read_file
from ..invocation import Invocation
from ..output import Output, plural, problem_json

if TYPE_CHECKING:
    from fasttrack.domain.pipeline import Pipeline
    from fasttrack.errors import Problem


def validate(
    call: Invocation,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Pipeline files; `-` is standard input.")],
    strict: Annotated[bool, typer.Option("--strict", help="Count warnings as errors.")] = False,
) -> int:
    """Check pipeline files and show their graphs. Needs no database and changes nothing.

    Every problem is told at once, as `file:line:column: severity: path: what is wrong and what would be right`.

    Exit code 0: all files can be run; 1: at least one has errors.

    Example: `fasttrack validate pipelines/*.yaml`
    """
    reports = []
    for path in files:
        name, text = read_file(path)
        reports.append(_look_at(name, text, strict=strict))
    if call.out.as_json:
        call.out.document({"valid": all(r["valid"] for r in reports), "files": [_without_graph(r) for r in reports]})
    else:
        for report in reports:
            _tell(call.out, report)
    return OK if all(report["valid"] for report in reports) else NO


def _look_at(name: str, text: bytes, *, strict: bool) -> dict[str, Any]:
    from fasttrack import spec
    from fasttrack.domain import dag
    from fasttrack.errors import InvalidPipeline

    try:
        _, pipeline, problems = spec.load_pipeline(text)
    except InvalidPipeline as error:
        return {"file": name, "valid": False, "problems": error.problems, "pipeline": None}
    layers = dag.layers([task.needs for task in pipeline.tasks])
    return {
        "file": name,
        "valid": not (strict and problems),
        "problems": problems,
        "compiled": pipeline,
        "pipeline": {
            "name": pipeline.name,
            "tasks": len(pipeline.tasks),
            "layers": [[pipeline.tasks[i].name for i in layer] for layer in layers],
            "params": [{"name": p.name, "type": p.type, "default": p.default} for p in pipeline.params],
            "secrets": sorted(pipeline.secrets),
        },
    }


def _without_graph(report: dict[str, Any]) -> dict[str, Any]:
    problems: tuple[Problem, ...] = report["problems"]
    return {
        "file": report["file"],
        "valid": report["valid"],
        "pipeline": report["pipeline"],
        "problems": [problem_json(p) for p in problems],
    }


def _tell(out: Output, report: dict[str, Any]) -> None:
    from fasttrack.errors import Severity

    for problem in report["problems"]:
        out.problem(report["file"], problem)
    errors = sum(p.severity is Severity.ERROR for p in report["problems"])
    warnings = len(report["problems"]) - errors
    counts = ", ".join(plural(n, w) for n, w in ((errors, "error"), (warnings, "warning")) if n)
    if report["pipeline"] is None:
        out.text(f"{report['file']}: not valid: {counts}")
        return
    pipeline: Pipeline = report["compiled"]
    layers = report["pipeline"]["layers"]
    words = f"{plural(len(pipeline.tasks), 'task')} in {plural(len(layers), 'layer')}, at most "
    words += f"{max(len(layer) for layer in layers)} at once"
    state = "valid" if report["valid"] else "not valid, because warnings count"
    out.text(f"{report['file']}: {state}: pipeline {pipeline.name}, {words}" + (f"; {counts}" if counts else ""))
    if pipeline.params:
        out.text("  params   " + ", ".join(_param(p.name, p.type, p.default) for p in pipeline.params))
    if pipeline.secrets:
        out.text("  secrets  " + ", ".join(sorted(pipeline.secrets)))
    if len(pipeline.tasks) <= 60:
        _show_graph(out, pipeline)


def _param(name: str, kind: str, default: object) -> str:
    return f"{name} ({kind})" if default is None else f"{name} ({kind}, {default})"


def _show_graph(out: Output, pipeline: Pipeline) -> None:
    from ..view.picture import graph_text

    for line in graph_text(pipeline, lambda index: pipeline.tasks[index].name).splitlines():
        out.text(f"  {line}")
