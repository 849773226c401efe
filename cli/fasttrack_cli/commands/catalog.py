"""`fasttrack pipelines create`, `copy`, `rename`, `tag`, `describe`, `archive`, `restore`, `remake-folder` and `delete`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..completion import complete_pipelines, complete_projects, complete_templates
from ..exits import OK
from ..invocation import Invocation

if TYPE_CHECKING:
    from ..store import Pipeline

PIPELINE = Annotated[
    str,
    typer.Argument(
        metavar="PIPELINE", help="The pipeline's name or id.", show_default=False, autocompletion=complete_pipelines
    ),
]
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
        typer.Option(
            "--template",
            "-t",
            metavar="TEMPLATE",
            help="Begin with this template, by name or id.",
            autocompletion=complete_templates,
        ),
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
    from ..files import read_file
    from ..store import NewPipeline

    text = None if file is None else _text(*read_file(file))
    new = NewPipeline(name=name, description=description, tags=tag or None, yaml=text, template=template)
    async with call.store() as store:
        made = await store.catalog.create(new, key=key)
    return _tell_made(call, made)


async def copy(
    call: Invocation,
    pipeline: PIPELINE,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Its name; a free one if not given.")] = None,
    version: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Which version; the newest otherwise.")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="PROJECT", help="Into this project.", autocompletion=complete_projects),
    ] = None,
) -> int:
    """Copy a pipeline: one of its versions becomes the first of another.

    Example: `fasttrack pipelines copy train train-on-ours --to vision`
    """
    async with call.store() as store:
        made = await store.catalog.copy(pipeline, name=name, version=version, project=to)
    return _tell_made(call, made)


async def rename(call: Invocation, pipeline: PIPELINE, name: str, expect: REVISION = None) -> int:
    """Give a pipeline another name; its newest version is published again with it.

    Example: `fasttrack pipelines rename train train-small`
    """
    async with call.store() as store:
        changed = await store.catalog.update(pipeline, name=name, expect=expect)
    return _tell_changed(call, changed)


async def describe(call: Invocation, pipeline: PIPELINE, text: str, expect: REVISION = None) -> int:
    """Say what a pipeline is for.

    Example: `fasttrack pipelines describe train "Fits the small model on the nightly data."`
    """
    async with call.store() as store:
        changed = await store.catalog.update(pipeline, description=text, expect=expect)
    return _tell_changed(call, changed)


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
    async with call.store() as store:
        changed = await store.catalog.tag(pipeline, tags or (), remove or (), expect=expect)
    return _tell_changed(call, changed)


async def archive(call: Invocation, pipeline: PIPELINE, expect: REVISION = None) -> int:
    """Archive a pipeline: it starts nothing, leaves the list, and keeps its history. Its name is free again.

    Example: `fasttrack pipelines archive train`
    """
    async with call.store() as store:
        archived = await store.catalog.archive(pipeline, expect=expect)
    _tell(call, archived, f"archived {archived.name}; `fasttrack pipelines restore {archived.id}` brings it back")
    return OK


async def restore(call: Invocation, pipeline: PIPELINE, expect: REVISION = None) -> int:
    """Bring an archived pipeline back under its name.

    Example: `fasttrack pipelines restore train`
    """
    async with call.store() as store:
        back = await store.catalog.unarchive(pipeline, expect=expect)
    _tell(call, back, f"{back.name} is back")
    return OK


async def remake_folder(call: Invocation, pipeline: PIPELINE) -> int:
    """Begin with an empty folder, where that of a pipeline was deleted on the cluster; what was in it is lost.

    Its next job makes the folder. One that is in the trash of the cluster is restored there instead. A pipeline that has
    not lost its folder is left as it is.

    Example: `fasttrack pipelines remake-folder train`
    """
    async with call.store() as store:
        remade = await store.catalog.remake_folder(pipeline)
    _tell(call, remade, f"{remade.name} may run: a folder that was lost is made by its next job, empty")
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
    async with call.store() as store:
        deleted = await store.catalog.delete(pipeline, confirm=confirm, expect=expect)
    if call.out.as_json:
        call.out.document({"deleted": {"id": deleted.id, "name": deleted.name}})
    else:
        call.out.text(f"deleted {deleted.name}; what it leaves on disk is removed in the background")
    return OK


COMMANDS = (
    ("create", create),
    ("copy", copy),
    ("rename", rename),
    ("describe", describe),
    ("tag", tag),
    ("archive", archive),
    ("restore", restore),
    ("remake-folder", remake_folder),
    ("delete", delete),
)


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        from fasttrack.errors import InvalidInput

        raise InvalidInput(f"{name} is not UTF-8 text; save it as UTF-8") from None


def _tell_made(call: Invocation, made: Pipeline) -> int:
    _tell(call, made, f"made {made.name}{'' if made.latest_version else ', empty: publish a file with that name'}")
    return OK


def _tell_changed(call: Invocation, changed: Pipeline) -> int:
    tags = f" [{', '.join(changed.tags)}]" if changed.tags else ""
    _tell(call, changed, f"{changed.name}{tags}{': ' if changed.description else ''}{changed.description}")
    return OK


def _tell(call: Invocation, pipeline: Pipeline, sentence: str) -> None:
    from ..records import pipeline_json

    if call.out.as_json:
        call.out.document({"pipeline": pipeline_json(pipeline)})
    else:
        call.out.text(sentence)
