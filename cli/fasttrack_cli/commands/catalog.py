"""`fasttrack pipelines create`, `copy`, `rename`, `tag`, `describe`, `archive`, `restore` and `delete`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ..exits import OK
from ..invocation import Invocation

if TYPE_CHECKING:
    from fasttrack.db import Db
    from fasttrack.db.pipelines import PipelineRecord
    from fasttrack.domain.access import Caller
    from fasttrack.workflow.catalog import PipelineChanges
    from fasttrack.workflow.creating import NewPipeline

    from ..workbench import Workbench

T = TypeVar("T")
PIPELINE = Annotated[str, typer.Argument(metavar="PIPELINE", help="The pipeline's name or id.", show_default=False)]
TAGS = Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="A tag of it; repeatable.")]
DESCRIPTION = Annotated[str | None, typer.Option("--description", "-d", metavar="TEXT", help="What it is for.")]
REVISION = Annotated[
    int | None,
    typer.Option("--expect", min=1, metavar="N", help="The revision you know of (`--json` shows it); else a conflict."),
]


async def create(
    call: Invocation,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Its name; that of the file or template if not given.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("--file", "-f", metavar="FILE", help="Begin with this file; `-` is standard input.")
    ] = None,
    template: Annotated[
        str | None,
        typer.Option("--template", "-t", metavar="TEMPLATE", help="Begin with this template, by name or id."),
    ] = None,
    description: DESCRIPTION = None,
    tag: TAGS = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="TEXT", help="The same key makes one pipeline, however often.")
    ] = None,
) -> int:
    """Make a pipeline: empty, from a file, or from a template.

    Example: `fasttrack pipelines create my-training --template train-and-evaluate --tag nlp`
    """
    from fasttrack.workflow.creating import NewPipeline

    from ..files import read_file
    from .templates import find

    text = None if file is None else _text(*read_file(file))

    async def wanted(db: Db, caller: Caller, bench: Workbench) -> NewPipeline:
        found = None if template is None else (await find(db, caller, template)).id
        return NewPipeline(
            bench.project, name=name, description=description, tags=tag or None, yaml=text, template=found
        )

    return await _make(call, wanted, key)


async def copy(
    call: Invocation,
    pipeline: PIPELINE,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Its name; a free one if not given.")] = None,
    version: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Which version; the newest otherwise.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="PROJECT", help="Into this project.")] = None,
) -> int:
    """Copy a pipeline: one of its versions becomes the first of another.

    Example: `fasttrack pipelines copy train train-on-ours --to vision`
    """
    from fasttrack.db.projects import find_project
    from fasttrack.errors import NotFound
    from fasttrack.workflow.creating import NewPipeline

    from ..lookup import require_any_pipeline

    async def wanted(db: Db, caller: Caller, bench: Workbench) -> NewPipeline:
        source = await require_any_pipeline(db, bench.project, pipeline)
        target = bench.project if to is None else await find_project(db, to)
        if target is None:
            raise NotFound(f"there is no project {to}; `fasttrack projects create {to}` makes it")
        return NewPipeline(target, name=name, copy_of=source.id, version=version)

    return await _make(call, wanted, None)


async def rename(call: Invocation, pipeline: PIPELINE, name: str, expect: REVISION = None) -> int:
    """Give a pipeline another name; its newest version is published again with it.

    Example: `fasttrack pipelines rename train train-small`
    """
    from fasttrack.workflow.catalog import PipelineChanges

    return await _update(call, pipeline, lambda _: PipelineChanges(name=name), expect)


async def describe(call: Invocation, pipeline: PIPELINE, text: str, expect: REVISION = None) -> int:
    """Say what a pipeline is for.

    Example: `fasttrack pipelines describe train "Fits the small model on the nightly data."`
    """
    from fasttrack.workflow.catalog import PipelineChanges

    return await _update(call, pipeline, lambda _: PipelineChanges(description=text), expect)


async def tag(
    call: Invocation,
    pipeline: PIPELINE,
    tags: Annotated[list[str] | None, typer.Argument(metavar="[TAG]...", help="Tags to add.")] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", "-r", metavar="TAG", help="A tag to take away; repeatable.")
    ] = None,
    expect: REVISION = None,
) -> int:
    """Add tags to a pipeline, or take some away.

    Example: `fasttrack pipelines tag train nlp gpu --remove draft`
    """
    from fasttrack.workflow.catalog import PipelineChanges

    def changed(record: PipelineRecord) -> PipelineChanges:
        return PipelineChanges(tags=sorted({*record.tags, *(tags or ())} - {*(remove or ())}))

    return await _update(call, pipeline, changed, expect)


async def archive(call: Invocation, pipeline: PIPELINE, expect: REVISION = None) -> int:
    """Archive a pipeline: it starts nothing, leaves the list, and keeps its history. Its name is free again.

    Example: `fasttrack pipelines archive train`
    """
    from fasttrack.workflow.catalog import archive_pipeline

    record = await _change(
        call, pipeline, lambda db, caller, it: archive_pipeline(db, caller, it.id, expected_revision=expect)
    )
    _tell(call, record, f"archived {record.name}; `fasttrack pipelines restore {record.id}` brings it back")
    return OK


async def restore(call: Invocation, pipeline: PIPELINE, expect: REVISION = None) -> int:
    """Bring an archived pipeline back under its name.

    Example: `fasttrack pipelines restore train`
    """
    from fasttrack.workflow.catalog import unarchive_pipeline

    record = await _change(
        call, pipeline, lambda db, caller, it: unarchive_pipeline(db, caller, it.id, expected_revision=expect)
    )
    _tell(call, record, f"{record.name} is back")
    return OK


async def delete(
    call: Invocation,
    pipeline: PIPELINE,
    confirm: Annotated[str, typer.Option("--confirm", metavar="NAME", help="The pipeline's name, once more.")],
    expect: REVISION = None,
) -> int:
    """Delete a pipeline with its versions, jobs, events and outputs. It cannot be brought back.

    Example: `fasttrack pipelines delete old-train --confirm old-train`
    """
    from fasttrack.workflow.catalog import delete_pipeline
    from fasttrack.workflow.owner import local_caller

    from ..lookup import require_any_pipeline

    async with call.opened() as bench:

        async def work(db: Db) -> PipelineRecord:
            caller = await local_caller(db, bench.by)
            record = await require_any_pipeline(db, bench.project, pipeline)
            await delete_pipeline(db, caller, record.id, confirm_name=confirm, expected_revision=expect)
            return record

        record = await bench.database.run(work)
    if call.out.as_json:
        call.out.document({"deleted": {"id": record.id, "name": record.name}})
    else:
        call.out.text(f"deleted {record.name}; what it leaves on disk is removed in the background")
    return OK


COMMANDS = (
    ("create", create),
    ("copy", copy),
    ("rename", rename),
    ("describe", describe),
    ("tag", tag),
    ("archive", archive),
    ("restore", restore),
    ("delete", delete),
)


async def _make(
    call: Invocation, wanted: Callable[[Db, Caller, Workbench], Awaitable[NewPipeline]], key: str | None
) -> int:
    from fasttrack.db.pipelines import find_pipelines
    from fasttrack.workflow.creating import create_pipeline
    from fasttrack.workflow.owner import local_caller

    async with call.opened() as bench:

        async def work(db: Db) -> PipelineRecord:
            caller = await local_caller(db, bench.by)
            new = await wanted(db, caller, bench)
            made = await create_pipeline(db, caller, new, key=key)
            return (await find_pipelines(db, new.project, str(made.pipeline)))[0]

        record = await bench.database.run(work)
    is_empty = not record.latest_version
    _tell(call, record, f"made {record.name}{', empty: publish a file with that name' if is_empty else ''}")
    return OK


async def _update(
    call: Invocation, pipeline: str, changes: Callable[[PipelineRecord], PipelineChanges], expect: int | None
) -> int:
    from fasttrack.workflow.catalog import update_pipeline

    record = await _change(
        call,
        pipeline,
        lambda db, caller, it: update_pipeline(db, caller, it.id, changes(it), expected_revision=expect or it.revision),
    )
    tags = f" [{', '.join(record.tags)}]" if record.tags else ""
    _tell(call, record, f"{record.name}{tags}{': ' if record.description else ''}{record.description}")
    return OK


async def _change(
    call: Invocation, pipeline: str, change: Callable[[Db, Caller, PipelineRecord], Awaitable[None]]
) -> PipelineRecord:
    """Do something to the pipeline; the pipeline as it is then."""
    from fasttrack.db.pipelines import find_pipelines
    from fasttrack.workflow.owner import local_caller

    from ..lookup import require_any_pipeline

    async with call.opened() as bench:

        async def work(db: Db) -> PipelineRecord:
            caller = await local_caller(db, bench.by)
            record = await require_any_pipeline(db, bench.project, pipeline)
            await change(db, caller, record)
            return (await find_pipelines(db, bench.project, str(record.id)))[0]

        return await bench.database.run(work)


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        from fasttrack.errors import InvalidInput

        raise InvalidInput(f"{name} is not UTF-8 text; save it as UTF-8") from None


def _tell(call: Invocation, record: PipelineRecord, sentence: str) -> None:
    from ..records import pipeline_json
    from ..store import Pipeline, as_told

    if call.out.as_json:
        call.out.document({"pipeline": pipeline_json(as_told(Pipeline, record))})
    else:
        call.out.text(sentence)
