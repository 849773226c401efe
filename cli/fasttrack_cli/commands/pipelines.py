"""`fasttrack pipelines`, `versions`, `publish` and `restore`: what is stored, and its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..exits import OK
from ..files import read_file
from ..invocation import Invocation
from ..output import plural, problem_json

if TYPE_CHECKING:
    from fasttrack.db import Db
    from fasttrack.db.pipelines import PipelineRecord, VersionRecord
    from fasttrack.workflow.publish import Published

PIPELINE = Annotated[str, typer.Argument(metavar="PIPELINE", help="The pipeline's name.")]


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
    from fasttrack.db.pipelines import list_archived, list_pipelines
    from fasttrack.domain.catalog import checked_tags

    from ..records import pipeline_json
    from ..view.words import moment

    wanted = checked_tags(tag or ())
    async with call.opened() as bench:

        async def read(db: Db) -> list[PipelineRecord]:
            if archived:
                return await list_archived(db, bench.project, limit=limit, search=search, tags=wanted)
            return await list_pipelines(db, bench.project, limit=limit, after=after, search=search, tags=wanted)

        found = await bench.database.run(read)
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
    from fasttrack.db.pipelines import list_versions

    from ..lookup import require_pipeline
    from ..records import version_json
    from ..view.words import moment

    async with call.opened() as bench:

        async def read(db: Db) -> list[VersionRecord]:
            record = await require_pipeline(db, bench.project, pipeline)
            return await list_versions(db, record.id, limit=limit, before=before)

        found = await bench.database.run(read)
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
    from fasttrack.workflow.writes import publish_pipeline

    name, text = read_file(file)
    async with call.opened() as bench:

        async def work(db: Db) -> Published:
            caller = await bench.caller(db)
            return await publish_pipeline(db, caller, bench.project, text, message=message, expected_version=expect)

        try:
            published = await bench.database.run(work)
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
    from fasttrack.workflow.writes import restore_version

    async with call.opened() as bench:

        async def work(db: Db) -> Published:
            return await restore_version(db, await bench.caller(db), bench.project, pipeline, version)

        published = await bench.database.run(work)
    _tell(call, published, f"restored version {version} as")
    return OK


def _tell(call: Invocation, published: Published, verb: str) -> None:
    from ..records import version_json

    name, number = published.pipeline.name, published.version.number
    if call.out.as_json:
        call.out.document(
            {
                "version": version_json(name, published.version),
                "is_new_version": published.is_new,
                "warnings": [problem_json(p) for p in published.warnings],
            }
        )
    elif published.is_new:
        call.out.text(f"{verb} {name}, version {number}: {plural(len(published.compiled.tasks), 'task')}")
    else:
        call.out.text(f"{name} is unchanged: version {number} means the same")
