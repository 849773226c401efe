"""`fasttrack run`: start a job from a file or a stored pipeline, and watch it if wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..exits import OK
from ..invocation import Invocation
from ..output import plural, problem_json
from ..overriding import SET, read_overrides

if TYPE_CHECKING:
    from ..store import Begun, FromFile, FromVersion, Start, Store

SCHEDULER = Annotated[
    bool | None,
    typer.Option(
        "--scheduler/--no-scheduler",
        help="Run a scheduler in this process while waiting. By default only with the embedded database, where "
        "nobody else may be running one.",
        show_default=False,
    ),
]


async def run(
    call: Invocation,
    what: Annotated[
        str, typer.Argument(metavar="FILE|PIPELINE", help="A pipeline file (`-` is standard input), or a name.")
    ],
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="K=V", help="A parameter's value; may be repeated.")
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="TASK", help="Do not run this task; it counts as done.")
    ] = None,
    change: SET = None,
    priority: Annotated[
        int | None, typer.Option(min=-100, max=100, help="Larger is more urgent; over the file's own.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY", help="Idempotency key: the same key and request give the same job."),
    ] = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Of the version, if one is published.")] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="Which version of a named pipeline; else its newest.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Watch the job until it is over.")] = False,
    scheduler: SCHEDULER = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, then take it back.")] = False,
) -> int:
    """Start a job of a pipeline file, or of a stored pipeline.

    A file is published first: when it means something new, as a new version. With `--wait` the graph is shown while
    it runs, and the exit code is the job's: 0 succeeded, 1 failed or cancelled. Ctrl-C ends the watching, never the job.

    Without `--wait` the job's id is printed, and whoever runs a scheduler (`fasttrack up`) takes it up.

    Example: `fasttrack run train.yaml --param epochs=3 --skip report --set train.resources.mem=32g --wait`
    """
    from fasttrack.errors import InvalidPipeline

    from ..running import signals
    from ..store import FromFile, RunRequest
    from ..watching import tell_outcome, verdict, wait_for_job

    request = RunRequest(
        params=read_params(param or []),
        skip=tuple(skip or ()),
        overrides=read_overrides(change or []),
        priority=priority,
        key=key,
    )
    origin = _origin_of(what, message=message, version=version)
    # Signals are held from before the job exists: whoever interrupts is told what becomes of it.
    async with call.store(waits=wait, scheduler=scheduler) as store, signals() as came:
        try:
            start = await store.jobs.start(origin, request, dry_run=dry_run)
        except InvalidPipeline as error:
            if isinstance(origin, FromFile):
                error.facts["file"] = origin.name
            raise
        if isinstance(origin, FromFile) and not call.out.as_json:
            _tell_about_file(call, origin, start, dry_run=dry_run)
        if dry_run or start.job is None:
            return _tell_plan(call, start)
        if not wait:
            await _tell_started(call, store, start, start.job)
            return OK
        _say_which(call, start, start.job)
        state = await wait_for_job(store, call.out, start.job.id, came, scheduler=scheduler)
        if state is None:
            return verdict(state)
        return await tell_outcome(store, call.out, start.job.id, **_start_json(start))


def read_params(pairs: list[str]) -> dict[str, str | int | float | bool]:
    """The values of `--param NAME=VALUE`, as text; they are typed by the pipeline's own declaration."""
    params: dict[str, str | int | float | bool] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{pair!r} is not of the form NAME=VALUE", param_hint="--param")
        if name in params:
            raise typer.BadParameter(f"{name} is given twice", param_hint="--param")
        params[name] = value
    return params


def _origin_of(what: str, *, message: str | None, version: int | None) -> FromFile | FromVersion:
    """What `what` means: a file, or a pipeline by its name."""
    from ..files import is_file_name, read_file
    from ..store import FromFile, FromVersion

    if is_file_name(what):
        if version is not None:
            raise typer.BadParameter(
                "a file is run as it stands; give the pipeline's name to run a version", param_hint="--version"
            )
        return FromFile(*read_file(what), message or "")
    if message is not None:
        raise typer.BadParameter("a message belongs to a file that is published", param_hint="--message")
    return FromVersion(what, version)


def _tell_about_file(call: Invocation, origin: FromFile, start: Start, *, dry_run: bool) -> None:
    published = start.published
    assert published is not None
    for problem in published.warnings:
        call.out.problem(origin.name, problem)
    name, number = published.name, published.version.number
    if published.is_new:
        call.out.say(f"{'would publish' if dry_run else 'published'} {name}, version {number}")
    else:
        call.out.say(f"{name} is unchanged: version {number}")


def _say_which(call: Invocation, start: Start, job: Begun) -> None:
    name = start.name
    if job.is_new:
        call.out.say(f"{name} #{job.number}: job {job.id}, {plural(start.tasks, 'task')}")
    else:
        call.out.say(f"this key was used before; its job is {name} #{job.number}, {job.id}")


async def _tell_started(call: Invocation, store: Store, start: Start, job: Begun) -> None:
    from fasttrack.ids import short

    from ..records import job_json

    if call.out.as_json:
        record, _ = await store.jobs.read(job.id)
        call.out.document({"job": job_json(record), **_start_json(start)})
    else:
        _say_which(call, start, job)
        call.out.text(str(job.id))
    match store.is_scheduled:
        case False:
            call.out.say("Nobody schedules here yet: it starts when `fasttrack up` runs, or watch and run it with")
            call.out.say(f"  fasttrack job {short(job.id)} --wait")
        case _:
            call.out.say(f"Watch it with: fasttrack job {short(job.id)} --wait")


def _tell_plan(call: Invocation, start: Start) -> int:
    from ..view.picture import graph_text

    assert start.graph is not None
    tasks = start.graph.tasks
    if call.out.as_json:
        call.out.document({"dry_run": True, **_start_json(start), "tasks": [task.name for task in tasks]})
        return OK
    call.out.text(f"would run {start.name}, version {start.version.number}; nothing was changed")
    call.out.text(graph_text(start.graph, lambda i: f"{tasks[i].name}{'  (skipped)' if tasks[i].skip else ''}"))
    return OK


def _start_json(start: Start) -> dict[str, Any]:
    from ..records import version_json

    published = start.published
    is_new_job = {} if start.job is None else {"is_new_job": start.job.is_new}
    return {
        **is_new_job,
        "version": version_json(start.name, start.version),
        "is_new_version": published is not None and published.is_new,
        "warnings": [problem_json(p) for p in published.warnings] if published is not None else [],
    }
