"""`fasttrack diff`, `export` and `schema`: pipelines as text."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..exits import NO, OK
from ..files import is_file_name, read_file, write_file
from ..invocation import Invocation
from ..output import Output
from .pipelines import PIPELINE

if TYPE_CHECKING:
    from ..store import Store, Version

SOURCE = Annotated[bool, typer.Option("--source", help="The text as it was published, comments included.")]


class Generation(StrEnum):
    """A generation of pipeline files."""

    G25_6 = "25.6"
    G25_15 = "25.15"
    G26_4 = "26.4"


async def diff(
    call: Invocation,
    pipeline: PIPELINE,
    old: Annotated[int, typer.Argument(min=1, metavar="V1", help="The one version.")],
    new: Annotated[int | None, typer.Argument(min=1, metavar="V2", help="The other; the newest by default.")] = None,
    source: SOURCE = False,
) -> int:
    """Show what differs between two versions of a pipeline, in canonical form: only differences in meaning.

    Exit code 0: they are the same; 1: they differ, as with `diff`.

    Example: `fasttrack diff train 3 5`
    """
    from difflib import unified_diff

    async with call.store() as store:
        versions = [await store.pipelines.version(pipeline, number) for number in (old, new)]
    texts = [version.source if source else _canonical(version) for version in versions]
    names = [f"{pipeline} version {version.number}" for version in versions]
    # A last line without a line break would run into the line after it.
    before, after = ([f"{line}\n" for line in text.splitlines()] for text in texts)
    lines = list(unified_diff(before, after, names[0], names[1]))
    if call.out.as_json:
        call.out.document(
            {
                "pipeline": pipeline,
                "from": versions[0].number,
                "to": versions[1].number,
                "same": not lines,
                "diff": "".join(lines),
            }
        )
    else:
        _show_diff(call.out, lines)
    return NO if lines else OK


async def export(
    call: Invocation,
    what: Annotated[
        str,
        typer.Argument(
            metavar="PIPELINE|JOB|FILE", help="A pipeline's name, the id of a job that was made of it, or a file."
        ),
    ],
    version: Annotated[int | None, typer.Option(min=1, help="Which version; the newest by default.")] = None,
    generation: Annotated[
        Generation, typer.Option(help="Write it as this FastTrack generation does.")
    ] = Generation.G26_4,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file.")] = None,
    source: SOURCE = False,
) -> int:
    """Print a pipeline as YAML: a stored one, the one a job was made from, or a file brought into another generation.

    For a file no database is needed, and nothing is stored.

    Example: `fasttrack export train --version 3 --generation 25.6 -o train.yaml`
    """
    from fasttrack import spec

    number: int | None = None
    if is_file_name(what):
        if version is not None:
            raise typer.BadParameter("a file is taken as it stands", param_hint="--version")
        name, original, document = _load(call, what)
    else:
        async with call.store() as store:
            name, wanted = await _named(store, what, version)
            record = await store.pipelines.version(name, wanted)
        number, original, document = record.number, record.source, record.spec
    text = original if source else spec.to_yaml(spec.document_from_json(document), generation=generation.value)
    if output is not None:
        write_file(output, text)
        call.out.say(f"wrote {name} to {output}")
    if call.out.as_json:
        written = None if source else generation.value
        call.out.document(
            {"pipeline": name, "version": number, "generation": written, "text": text, "document": document}
        )
    elif output is None:
        call.out.text(text.removesuffix("\n"))
    return OK


def _load(call: Invocation, path: str) -> tuple[str, str, dict[str, Any]]:
    """A file's pipeline name, its text, and its canonical document."""
    from fasttrack import spec
    from fasttrack.errors import InvalidPipeline

    file, text = read_file(path)
    try:
        document, pipeline, warnings = spec.load_pipeline(text)
    except InvalidPipeline as error:
        error.facts["file"] = file
        raise
    for problem in () if call.out.as_json else warnings:
        call.out.problem(file, problem)
    return pipeline.name, text.decode(), spec.document_json(document)


async def _named(store: Store, what: str, version: int | None) -> tuple[str, int | None]:
    """The pipeline's name and the version's number that `what` means."""
    from fasttrack.errors import InvalidInput, NotFound

    if await store.pipelines.find(what) is not None:
        return what, version
    try:
        job = await store.jobs.find(what)
    except (InvalidInput, NotFound) as error:
        if "more than one" in error.message:
            raise
        raise NotFound(f"there is no pipeline and no job named {what}") from None
    return job.pipeline, version or job.version


def schema(call: Invocation) -> int:
    """Print the JSON Schema of pipeline files, for editors: completion and checks while writing.

    Example: `fasttrack schema > pipeline.schema.json`
    """
    from fasttrack import spec

    call.out.document(spec.json_schema())
    return OK


def _canonical(version: Version) -> str:
    from fasttrack import spec

    return spec.to_yaml(spec.document_from_json(version.spec))


def _show_diff(out: Output, lines: list[str]) -> None:
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in lines:
        if out.is_terminal:
            from rich.text import Text

            out.console.print(Text(line.rstrip("\n"), style=colours.get(line[:1], "")), soft_wrap=True)
        else:
            out.text(line.rstrip("\n"))
