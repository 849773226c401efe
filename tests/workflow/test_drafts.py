"""Drafts as the workflow keeps them: lost answers, overtaking, and what is remembered of a text."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fasttrack.db import Database, Db
from fasttrack.domain.access import Caller
from fasttrack.errors import Conflict, Unavailable
from fasttrack.ids import PipelineId, ProjectId, new_id
from fasttrack.spec import source
from fasttrack.spec.edit import AddTask, ChangeTask
from fasttrack.workflow import draft_changes, drafts
from fasttrack.workflow.draft_changes import MoveTasks, SaveText
from fasttrack.workflow.drafts import Expected, change_draft, discard_draft, publish_draft, read_draft
from fasttrack.workflow.publish import publish
from fasttrack.workflow.recent_texts import RecentTexts
from tests.factories import a_file

ADA = Caller(new_id(), "ada")
ANY = Expected()


class Editor:
    """Ada at the draft of one pipeline."""

    def __init__(self, database: Any, pipeline: PipelineId) -> None:
        self.database = database
        self.pipeline = pipeline

    async def find(self, _: Db) -> PipelineId:
        return self.pipeline

    async def change(self, change: Any, expected: Expected = ANY) -> Any:
        return await change_draft(self.database, self.find, ADA, change, expected)

    async def publish(self, expected: Expected = ANY) -> Any:
        return await publish_draft(self.database, self.find, ADA, expected)

    async def read(self) -> Any:
        return await read_draft(self.database, self.find)

    async def noted(self) -> list[str]:
        async with self.database.transaction() as db:
            return [r["action"] for r in await db.rows("SELECT action FROM audit_entry ORDER BY id")]


@pytest.fixture
async def editor(database: Database, project: ProjectId) -> Editor:
    done = await database.run(lambda db: publish(db, project, a_file({"a": "", "b": "a"}), by="ada"))
    return Editor(database, done.pipeline.id)


class LosesAnswers:
    """A database whose first commit is made, and whose answer to it is lost."""

    def __init__(self, real: Database) -> None:
        self.real = real
        self.lost = 0

    def transaction(self) -> Any:
        return self.real.transaction()

    async def run(self, work: Any) -> Any:
        @asynccontextmanager
        async def transaction() -> Any:
            async with self.real.transaction() as db:
                yield db
            if not self.lost:
                self.lost += 1
                raise Unavailable("the connection broke while it committed")

        class Lossy(Database):
            def __init__(self) -> None:
                pass

        lossy = Lossy()
        lossy.transaction = transaction  # type: ignore[method-assign,assignment]
        return await lossy.run(work)


async def test_an_edit_whose_answer_was_lost_is_made_once(editor: Editor) -> None:
    lossy = LosesAnswers(editor.database)
    seen = await Editor(lossy, editor.pipeline).change(AddTask({"name": "c"}), Expected(revision=0))
    assert (lossy.lost, seen.draft.revision, [t.name for t in seen.outline.tasks]) == (1, 1, ["a", "b", "c"])
    assert await editor.noted() == ["draft.add_task"]


async def test_a_publication_whose_answer_was_lost_is_made_once(editor: Editor) -> None:
    await editor.change(ChangeTask("a", {"command": "date"}))
    lossy = LosesAnswers(editor.database)
    done = await Editor(lossy, editor.pipeline).publish()
    assert (lossy.lost, done.version.number) == (1, 2)
    now = await editor.read()
    assert (now.draft.is_begun, now.draft.latest_version, now.draft.revision) == (False, 2, 2)
    assert await editor.noted() == ["draft.change_task", "pipeline.publish"]


async def test_a_draft_that_was_discarded_meanwhile_is_not_published(
    editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await editor.change(ChangeTask("a", {"command": "date"}))
    compiled, loop = drafts._compiled, asyncio.get_running_loop()

    def slowly(draft: Any) -> Any:
        asyncio.run_coroutine_threadsafe(discard_draft(editor.database, editor.find, ADA, ANY), loop).result(10)
        return compiled(draft)

    monkeypatch.setattr(drafts, "_compiled", slowly)
    with pytest.raises(Conflict, match="in between"):
        await editor.publish()
    assert (await editor.read()).draft.latest_version == 1


async def test_a_version_published_while_a_draft_begins_is_what_it_begins_from(
    editor: Editor, project: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edit was made of version 1; by the time it is stored there is a version 2, and it is made again of that."""
    real = draft_changes.apply
    newer = a_file({"a": "", "b": "a", "n": ""})
    loop = asyncio.get_running_loop()
    times = []

    def slowly(*args: Any) -> Any:
        if not times:
            work = editor.database.run(lambda db: publish(db, project, newer, by="grace"))
            asyncio.run_coroutine_threadsafe(work, loop).result(10)
        times.append(1)
        return real(*args)

    monkeypatch.setattr(draft_changes, "apply", slowly)
    seen = await editor.change(AddTask({"name": "c"}))
    assert (len(times), seen.draft.base_version) == (2, 2)
    assert [t.name for t in seen.outline.tasks] == ["a", "b", "n", "c"]


async def test_a_second_edit_reads_nothing_anew_and_a_move_compiles_nothing(
    editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await editor.change(AddTask({"name": "c", "command": "date"}))

    def never(*_: Any) -> Any:
        raise AssertionError("what is known was asked for again")

    monkeypatch.setattr(draft_changes, "read_tree", never)
    second = await editor.change(AddTask({"name": "d", "command": "date"}))
    monkeypatch.setattr(draft_changes, "outline", never)
    moved = await editor.change(MoveTasks({"a": (1, 2)}))
    assert (second.draft.revision, moved.draft.revision) == (2, 3)
    assert moved.outline.tasks == second.outline.tasks


async def test_edits_of_an_older_generation_do_not_forget_its_words(editor: Editor) -> None:
    old = a_file({"a": "", "b": "a"}).replace("type: custom", "type: default")
    await editor.change(SaveText(old))
    for n in range(3):
        seen = await editor.change(ChangeTask("b", {"command": f"echo {n}"}))
        assert not seen.rewritten
    assert seen.text == old.replace("command: 'true'", "command: echo 2").replace(
        "command: echo 2", "command: 'true'", 1
    )


def test_what_is_remembered_has_a_limit() -> None:
    kept: RecentTexts[int] = RecentTexts(most=10)
    for n in range(5):
        kept.put(n, str(n) * 4)
    assert [kept.get(str(n) * 4) for n in range(5)] == [None, None, None, 3, 4]
    assert (kept.take("3333"), kept.take("3333")) == (3, None)
    kept.put(9, "9" * 11)
    assert kept.get("9" * 11) is None


def test_a_tree_says_what_its_text_says_after_being_drawn() -> None:
    text = a_file({"a": ""})
    root = source.read_tree(text)
    _, kept = draft_changes.outline(text, "demo", root)
    assert kept == source.read_tree(text)
    _, older = draft_changes.outline(text.replace("type: custom", "type: default"), "demo")
    assert older is None
