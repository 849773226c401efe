"""Drafts: read, changed one edit at a time, published or discarded.

A change is made in three steps, as a large file takes its time: read (a short transaction), edit and compile (none),
store if the draft is still what was read (a short transaction). What was overtaken meanwhile is done again on the newer
text, unless the caller said which revision they had seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from .. import spec
from ..db import Db
from ..db.drafts import DraftRecord, end_draft, load_drafts, lock_draft, write_draft
from ..db.pipelines import find_version
from ..domain.access import Caller
from ..domain.pipeline import Pipeline
from ..errors import Conflict, InvalidPipeline, Problem
from ..ids import PipelineId
from ..spec.outline import problem_of_name
from .audit import record
from .draft_changes import Change, Changed, SeenDraft, change_of, drawn, text_of, told
from .publish import Published, publish
from .writes import publish_pipeline

T = TypeVar("T")
_TRIES = 5


class Transactions(Protocol):
    """Where transactions come from: a `Database`, or one that keeps an eye on the time."""

    def transaction(self) -> AbstractAsyncContextManager[Db]:
        """A short transaction for reads."""

    def run(self, work: Callable[[Db], Awaitable[T]]) -> Awaitable[T]:
        """Run `work` in a transaction, as a whole again after a transient fault."""


Find = Callable[[Db], Awaitable[PipelineId]]
"""Finds the pipeline, and raises what is to be answered when the caller may not edit it."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the caller has seen; `None` stands for whatever there is."""

    revision: int | None = None
    version: int | None = None
    """The version that the draft began from."""


async def read_draft(transactions: Transactions, find: Find) -> SeenDraft:
    """The draft of a pipeline, or what one would begin with: its newest version, or no task at all."""
    async with transactions.transaction() as db:
        draft = (await load_drafts(db, [pipeline := await find(db)]))[pipeline]
    return await see(draft)


async def see(draft: DraftRecord) -> SeenDraft:
    """What a canvas draws of a draft; read and compiled beside the event loop."""
    return await asyncio.to_thread(drawn, draft, Changed(text_of(draft), draft.positions))


async def change_draft(
    transactions: Transactions,
    find: Find,
    caller: Caller,
    change: Change,
    expected: Expected,
    *,
    at: tuple[float, float] | None = None,
) -> SeenDraft:
    """Change the draft of a pipeline, which is begun if there is none. A change that comes to nothing makes no revision.

    :param at: where a new task stands on the canvas.
    :raises Conflict: the draft is not what the caller has seen. :raises InvalidInput, NotFound: as `spec.edit.apply`.
    """
    for _ in range(_TRIES):
        async with transactions.transaction() as db:
            draft = (await load_drafts(db, [pipeline := await find(db)]))[pipeline]
        _require(draft, expected)
        seen, changed = await asyncio.to_thread(change_of, draft, change, at)
        if changed is None:
            return seen

        async def store(db: Db, draft: DraftRecord = draft, changed: Changed = changed) -> DraftRecord | None:
            return await _store(db, find, caller, change, draft, changed)

        stored = await transactions.run(store)
        if stored is not None:
            return replace(seen, draft=stored, is_new=not draft.is_begun)
        if expected.revision is not None:
            raise Conflict(f"somebody changed the draft of {draft.pipeline} in between; read it again")
    raise Conflict(f"the draft of {draft.pipeline} is being changed by others all the time; try again")


async def publish_draft(
    transactions: Transactions, find: Find, caller: Caller, expected: Expected, *, message: str = ""
) -> Published:
    """Publish the draft as the next version of its pipeline, and remove it. Positions become those of the pipeline.

    :param expected: its version is the newest one that the caller knows of; by default the one the draft began from.
    :raises InvalidPipeline: with every problem of the text. :raises Conflict: there is no draft, or somebody overtook.
    """
    async with transactions.transaction() as db:
        draft = (await load_drafts(db, [pipeline := await find(db)]))[pipeline]
    _require(draft, Expected(expected.revision))
    if not draft.is_begun:
        raise Conflict(f"pipeline {draft.pipeline} has no draft that could be published")
    loaded = await asyncio.to_thread(_compiled, draft)

    async def work(db: Db) -> Published:
        await find(db)
        now = await lock_draft(db, draft.pipeline_id)
        if now.revision == draft.revision + 1 and not now.is_begun:
            newest = await find_version(db, draft.pipeline_id, now.latest_version)
            if newest is not None and newest.source == draft.source:
                # Our own commit, whose answer was lost.
                return await publish(db, draft.project_id, text_of(draft), by=caller.name, loaded=loaded)
        if now.revision != draft.revision:
            raise Conflict(f"somebody changed the draft of {draft.pipeline} in between; read it again")
        version = draft.base_version if expected.version is None else expected.version
        published = await publish_pipeline(
            db,
            caller,
            draft.project_id,
            text_of(draft),
            message=message,
            expected_version=version,
            loaded=loaded,
        )
        kept = {name: place for name, place in draft.positions.items() if name in loaded[1].by_name}
        await end_draft(db, draft.pipeline_id, by=caller.name, published=kept)
        if not published.is_new:  # what is published has its entry already
            await _note(db, caller, "discard", draft, {"version": published.version.number})
        return published

    return await transactions.run(work)


async def discard_draft(transactions: Transactions, find: Find, caller: Caller, expected: Expected) -> SeenDraft:
    """Remove the draft; without one, nothing changes. Answers what the next would begin with.

    :raises Conflict: the draft is not what the caller has seen.
    """

    async def work(db: Db) -> DraftRecord:
        pipeline = await find(db)
        if (await load_drafts(db, [pipeline]))[pipeline].is_begun and (
            draft := await lock_draft(db, pipeline)
        ).is_begun:
            _require(draft, expected)
            await end_draft(db, draft.pipeline_id, by=caller.name)
            await _note(db, caller, "discard", draft, {"base_version": draft.base_version})
        return (await load_drafts(db, [pipeline]))[pipeline]

    return await see(await transactions.run(work))


async def _store(
    db: Db, find: Find, caller: Caller, change: Change, draft: DraftRecord, changed: Changed
) -> DraftRecord | None:
    """Store the change; `None`: the draft is not what was read any more."""
    await find(db)
    now = await lock_draft(db, draft.pipeline_id)
    if now.revision == draft.revision + 1 and (now.source, now.positions) == (changed.text, changed.positions):
        return now  # our own commit, whose answer was lost, or somebody who did the same
    if (now.revision, now.base_version, now.pipeline) != (draft.revision, draft.base_version, draft.pipeline):
        return None
    await write_draft(db, draft, changed.text, changed.positions, by=caller.name)
    verb, facts = told(change, changed)
    await _note(db, caller, verb, draft, facts)
    return (await load_drafts(db, [draft.pipeline_id]))[draft.pipeline_id]


def _require(draft: DraftRecord, expected: Expected) -> None:
    if expected.revision not in (None, draft.revision):
        raise Conflict(
            f"the draft of {draft.pipeline} is at revision {draft.revision}, not {expected.revision}: "
            "somebody changed it in between; read it again"
        )
    if expected.version not in (None, draft.base_version):
        raise Conflict(
            f"the draft of {draft.pipeline} is based on version {draft.base_version}, not {expected.version}; read it again"
        )


def _compiled(draft: DraftRecord) -> tuple[spec.Document, Pipeline, tuple[Problem, ...]]:
    loaded = spec.load_pipeline(text_of(draft))
    if (problem := problem_of_name(loaded[0], draft.pipeline)) is not None:
        raise InvalidPipeline([problem])
    return loaded


async def _note(db: Db, caller: Caller, verb: str, draft: DraftRecord, facts: Mapping[str, Any]) -> None:
    await record(
        db,
        caller,
        f"draft.{verb}",
        object_kind="pipeline",
        object_id=draft.pipeline_id,
        project=draft.project_id,
        before={"revision": draft.revision},
        after={"revision": draft.revision + 1, **facts},
    )
