"""`fasttrack pipelines`, `versions`, `publish` and `restore`: what is stored, and its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..completion import complete_pipelines
from ..exits import OK
from ..files import read_file
from ..invocation import Invocation
from ..output import plural, problem_json

if TYPE_CHECKING:
    from ..store import Published

PIPELINE = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="The pipeline's name.", autocompletion=complete_pipelines)
]


async def pipelines(
    call: Invocation,
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 100,
    after: Annotated[str | None, typer.Option(metavar="NAME", help="Only names after this one.")] = None,
    search: Annotated[str, typer.Option(metavar="TEXT", help="Only names with this in them, in any case.")] = "",
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="Only those with this tag; repeatable.")] = None,
    archived: Annotated[bool, typer.Option("--archived", help="Those that are archived, newest first.")] = False,
) -> int:
    """List the project's pipelines by name, or do something to one of them.

    Example: `fasttrack pipelines --json | jq -r '.pipelines[].name'`
    """
    if context.invoked_subcommand is not None:
        return OK
    from fasttrack.domain.catalog import checked_tags

    from ..records import pipeline_json
    from ..view.words import moment

    wanted = checked_tags(tag or ())
    async with call.store() as store:
        found = await store.pipelines.page(limit=limit, after=after, search=search, tags=wanted, archived=archived)
    if call.out.as_json:
        call.out.document({"pipelines": [pipeline_json(p) for p in found]})
    elif found:
        rows = [
            (p.name, str(p.latest_version), str(p.latest_job), ", ".join(p.tags), p.created_by, moment(p.created_at))
            + ((str(p.id),) if archived else ())
            for p in found
        ]
        head = ("pipeline", "version", "jobs", "tags", "by", "created", *(("id",) if archived else ()))
        call.out.table(head, rows)
        for p in found:
            if p.problem is not None:
                call.out.say(f"{p.name} starts nothing: {p.problem}")
    elif archived or search or wanted:
        call.out.say("There are no such pipelines.")
    else:
        call.out.say("There are no pipelines yet: `fasttrack publish FILE` or `fasttrack run FILE` makes one.")
    return OK


async def versions(
    call: Invocation,
    pipeline: PIPELINE,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 50,
    before: Annotated[int | None, typer.Option(min=1, help="Only versions with a smaller number.")] = None,
) -> int:
    """List the versions of a pipeline, newest first: who published what and why.

    Example: `fasttrack versions train`
    """
    from ..records import version_json
    from ..view.words import moment

    async with call.store() as store:
        found = await store.pipelines.versions(pipeline, limit=limit, before=before)
    if call.out.as_json:
        call.out.document({"versions": [version_json(pipeline, v) for v in found]})
    else:
        rows = [(str(v.number), moment(v.created_at), v.author, v.hash[:12], v.message) for v in found]
        call.out.table(("version", "published", "by", "hash", "message"), rows)
    return OK


async def publish(
    call: Invocation,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A pipeline file; `-` is standard input.")],
    message: Annotated[str, typer.Option("--message", "-m", help="Why, in a line.")] = "",
    expect: Annotated[
        int | None,
        typer.Option("--expect", min=0, metavar="N", help="The newest version you know of; another is a conflict."),
    ] = None,
) -> int:
    """Publish a pipeline file as the next version of the pipeline it names.

    A file that means the same as the newest version (layout, comments and the order of keys play no part) makes none.

    Example: `fasttrack publish train.yaml -m "more epochs" --expect 4`
    """
    from fasttrack.errors import InvalidPipeline

    name, text = read_file(file)
    async with call.store() as store:
        try:
            published = await store.pipelines.publish(text, message=message, expect=expect)
        except InvalidPipeline as error:
            error.facts["file"] = name
            raise
    if not call.out.as_json:
        for problem in published.warnings:
            call.out.problem(name, problem)
    _tell(call, published, "published")
    return OK


async def restore(
    call: Invocation,
    pipeline: PIPELINE,
    version: Annotated[int, typer.Argument(min=1, metavar="V", help="The number of the version to bring back.")],
) -> int:
    """Publish an old version again, as the newest one. History is only ever added to.

    Example: `fasttrack restore train 3`
    """
    async with call.store() as store:
        published = await store.pipelines.restore(pipeline, version)
    _tell(call, published, f"restored version {version} as")
    return OK


def _tell(call: Invocation, published: Published, verb: str) -> None:
    from ..records import version_json

    name, number = published.name, published.version.number
    if call.out.as_json:
        call.out.document(
            {
                "version": version_json(name, published.version),
                "is_new_version": published.is_new,
                "warnings": [problem_json(p) for p in published.warnings],
            }
        )
    elif published.is_new:
        call.out.text(f"{verb} {name}, version {number}: {plural(published.tasks, 'task')}")
    else:
        call.out.text(f"{name} is unchanged: version {number} means the same")
