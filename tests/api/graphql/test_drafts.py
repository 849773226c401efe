"""Drafts by GraphQL: what a canvas sees, who overtakes whom, and what a refusal leaves as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fasttrack_api.graphql.ids import Kind
from tests.api.graphql.conftest import Asking, gid
from tests.engine import Engine
from tests.factories import a_file

DRAFT = """draft { revision isBegun baseVersion yaml isReadable isValid updatedBy updatedAt positions graph
    problems { message line column path severity } tasks { name dependencies line fields position } }"""
AFTER = f"task isRewritten {DRAFT}"
SEEN = f"query($id: ID!) {{ pipeline(id: $id) {{ positions latestVersionNumber {DRAFT} }} }}"
TEXT = """\
name: demo
tasks:
  - name: a   # the first
    command: echo a
    environment: {image: x}
  - name: b
    dependencies: [a]
    command: echo b
    environment: {image: x}
"""


@pytest.fixture
async def pipeline(ask: Asking) -> str:
    """A pipeline with one version."""
    done = await ask.do("publishPipeline", "pipeline { id }", projectId=ask.project_id, yaml=TEXT)
    identifier: str = done["pipeline"]["id"]
    return identifier


async def seen(ask: Asking, pipeline: str) -> Any:
    return (await ask(SEEN, id=pipeline))["pipeline"]


async def audited(engine: Engine) -> list[tuple[str, Any]]:
    async with engine.database.transaction() as db:
        rows = await db.rows("SELECT action, after FROM audit_entry WHERE action LIKE 'draft.%' ORDER BY id")
    return [(r["action"], r["after"]) for r in rows]


async def test_a_draft_is_what_the_newest_version_says_until_something_is_changed(ask: Asking, pipeline: str) -> None:
    draft = (await seen(ask, pipeline))["draft"]
    assert (draft["revision"], draft["isBegun"], draft["baseVersion"], draft["yaml"]) == (0, False, 1, TEXT)
    assert (draft["isValid"], draft["problems"], draft["positions"]) == (True, [], {})
    assert (draft["updatedBy"], draft["updatedAt"]) == (None, None)
    assert draft["tasks"][1] == {
        "name": "b",
        "dependencies": ["a"],
        "line": 6,
        "fields": {"name": "b", "dependencies": ["a"], "command": "echo b", "environment": {"image": "x"}},
        "position": None,
    }
    assert draft["graph"] == {
        "name": ["a", "b"], "layer": [0, 1], "row": [0, 0], "layers": 2, "rows": 1, "edges": [0, 1],
    }  # fmt: skip


async def test_a_pipeline_without_a_version_has_a_draft_without_tasks(ask: Asking, engine: Engine) -> None:
    async with engine.database.transaction() as db:
        made = await db.value(
            """INSERT INTO pipeline (id, project_id, name, created_by)
               VALUES (gen_random_uuid(), $1, 'new: one', 'ada') RETURNING id""",
            engine.project,
        )
    new = gid(Kind.PIPELINE, made)
    draft = (await seen(ask, new))["draft"]
    assert (draft["yaml"], draft["baseVersion"], draft["tasks"]) == ("name: 'new: one'\n", 0, [])
    assert [p["message"] for p in draft["problems"]] == ["The pipeline has no task. Add at least one under `tasks`."]
    added = await ask.do("addTask", AFTER, pipelineId=new, fields={"command": "date", "environment": {"image": "x"}})
    assert (added["task"], added["draft"]["isValid"]) == ("task", True)
    done = await ask.do("publishDraft", "isNew version { number }", pipelineId=new, expectedVersion=0)
    assert (done["isNew"], done["version"], done["errors"]) == (True, {"number": 1}, [])


async def test_every_edit_answers_the_new_draft(ask: Asking, pipeline: str, engine: Engine) -> None:
    at = {"x": 120.5, "y": -40}
    fields = {"name": "c", "dependencies": ["b"], "environment": {"image": "x", "envs": {"TOKEN": "hush"}}}
    added = await ask.do("addTask", AFTER, pipelineId=pipeline, fields=fields, position=at, expectedRevision=0)
    assert added["errors"] == []
    assert (added["task"], added["isRewritten"], added["draft"]["revision"]) == ("c", False, 1)
    assert (added["draft"]["isBegun"], added["draft"]["updatedBy"]) == (True, "owner")
    assert added["draft"]["yaml"].startswith(TEXT)
    problem = next(p for p in added["draft"]["problems"] if p["severity"] == "ERROR")
    assert (problem["line"], problem["path"]) == (10, "tasks[2]")
    assert added["draft"]["tasks"][2]["position"] == [120.5, -40]
    changed = await ask.do(
        "changeTask",
        AFTER,
        pipelineId=pipeline,
        task="c",
        fields={"name": "see", "command": "date"},
        expectedRevision=1,
    )
    assert (changed["task"], changed["draft"]["problems"]) == ("see", [])
    assert changed["draft"]["positions"] == {"see": [120.5, -40]}
    copied = await ask.do("duplicateTask", AFTER, pipelineId=pipeline, task="see", expectedRevision=2)
    assert (copied["task"], copied["draft"]["positions"]["see-2"]) == ("see-2", [160.5, 0])
    linked = await ask.do("connectTasks", AFTER, pipelineId=pipeline, fromTask="a", toTask="see", expectedRevision=3)
    assert linked["draft"]["graph"]["edges"] == [0, 1, 0, 2, 1, 2, 1, 3]
    parted = await ask.do("disconnectTasks", AFTER, pipelineId=pipeline, fromTask="b", toTask="see", expectedRevision=4)
    assert parted["draft"]["tasks"][2]["dependencies"] == ["a"]
    gone = await ask.do("deleteTask", AFTER, pipelineId=pipeline, task="a", expectedRevision=5)
    assert [(t["name"], t["dependencies"]) for t in gone["draft"]["tasks"]] == [
        ("b", []),
        ("see", []),
        ("see-2", ["b"]),
    ]
    moved = await ask.do(
        "moveTask", AFTER, pipelineId=pipeline, task="b", position={"x": 1, "y": 2}, expectedRevision=6
    )
    assert (moved["draft"]["yaml"], moved["draft"]["positions"]["b"]) == (gone["draft"]["yaml"], [1, 2])
    many = await ask.do(
        "moveTasks",
        AFTER,
        pipelineId=pipeline,
        positions=[{"task": "b", "x": 5, "y": 6}, {"task": "see", "x": 7, "y": 8}],
    )
    assert (many["draft"]["revision"], many["draft"]["positions"]["see"]) == (8, [7, 8])
    told = await audited(engine)
    assert [action for action, _ in told] == [
        "draft.add_task", "draft.change_task", "draft.duplicate_task", "draft.connect_tasks", "draft.disconnect_tasks",
        "draft.delete_task", "draft.move_tasks", "draft.move_tasks",
    ]  # fmt: skip
    assert "hush" not in str(told)
    assert told[3][1] == {"revision": 4, "task": "see", "dependency": "a"}


async def test_an_edit_that_comes_to_nothing_makes_no_revision(ask: Asking, pipeline: str, engine: Engine) -> None:
    for name, input in (
        ("connectTasks", {"fromTask": "a", "toTask": "b"}),
        ("disconnectTasks", {"fromTask": "b", "toTask": "a"}),
        ("changeTask", {"task": "a", "fields": {"command": "echo a", "retry": None}}),
        ("saveDraft", {"yaml": TEXT}),
        ("discardDraft", {}),
    ):
        done = await ask.do(name, "draft { revision isBegun }", pipelineId=pipeline, **input)
        assert (done["errors"], done["draft"]) == ([], {"revision": 0, "isBegun": False})
    assert await audited(engine) == []


async def test_whoever_has_seen_less_is_told_and_changes_nothing(ask: Asking, pipeline: str) -> None:
    await ask.do("moveTask", AFTER, pipelineId=pipeline, task="a", position={"x": 1, "y": 1})
    before = await seen(ask, pipeline)
    edits: list[tuple[str, dict[str, Any]]] = [
        ("saveDraft", {"yaml": "name: demo"}),
        ("addTask", {"fields": {}}),
        ("changeTask", {"task": "a", "fields": {"command": "x"}}),
        ("moveTask", {"task": "a", "position": {"x": 9, "y": 9}}),
        ("duplicateTask", {"task": "a"}),
        ("deleteTask", {"task": "a"}),
        ("disconnectTasks", {"fromTask": "a", "toTask": "b"}),
        ("discardDraft", {}),
    ]
    for name, input in edits:
        for late in ({"expectedRevision": 0}, {"expectedVersion": 0}):
            refused = await ask.do(name, AFTER, pipelineId=pipeline, **input, **late)
            assert ([e["code"] for e in refused["errors"]], refused["draft"]) == (["CONFLICT"], None), name
    refused = await ask.do("publishDraft", "isNew", pipelineId=pipeline, expectedRevision=0)
    assert [e["code"] for e in refused["errors"]] == ["CONFLICT"]
    assert await seen(ask, pipeline) == before


async def test_a_revision_never_comes_to_mean_another_text(ask: Asking, pipeline: str) -> None:
    await ask.do("deleteTask", AFTER, pipelineId=pipeline, task="b")
    discarded = await ask.do("discardDraft", AFTER, pipelineId=pipeline, expectedRevision=1)
    assert (discarded["draft"]["revision"], discarded["draft"]["isBegun"], discarded["draft"]["yaml"]) == (
        2,
        False,
        TEXT,
    )
    again = await ask.do("addTask", AFTER, pipelineId=pipeline, fields={})
    assert again["draft"]["revision"] == 3
    late = await ask.do("addTask", AFTER, pipelineId=pipeline, fields={}, expectedRevision=1)
    assert [e["code"] for e in late["errors"]] == ["CONFLICT"]


async def test_edits_of_two_people_at_once_are_both_made(ask: Asking, pipeline: str) -> None:
    """Neither says what they have seen, so whoever is overtaken is tried again on the newer text."""
    done = await asyncio.gather(
        *(ask.do("addTask", AFTER, pipelineId=pipeline, fields={"name": f"n{n}"}) for n in range(4))
    )
    assert [d["errors"] for d in done] == [[]] * 4
    draft = (await seen(ask, pipeline))["draft"]
    assert draft["revision"] == 4
    assert {t["name"] for t in draft["tasks"]} == {"a", "b", "n0", "n1", "n2", "n3"}
    both = await asyncio.gather(
        *(ask.do("addTask", AFTER, pipelineId=pipeline, fields={"name": f"m{n}"}, expectedRevision=4) for n in range(2))
    )
    assert sorted([e["code"] for e in d["errors"]] for d in both) == [[], ["CONFLICT"]]
    assert (await seen(ask, pipeline))["draft"]["revision"] == 5


async def test_a_draft_that_is_not_yaml_is_kept_and_says_where(ask: Asking, pipeline: str) -> None:
    broken = TEXT.replace("image: x}", "image: x")
    saved = await ask.do("saveDraft", AFTER, pipelineId=pipeline, yaml=broken)
    assert (saved["errors"], saved["draft"]["yaml"], saved["draft"]["isReadable"]) == ([], broken, False)
    assert (saved["draft"]["tasks"], len(saved["draft"]["problems"])) == ([], 1)
    line = saved["draft"]["problems"][0]["line"]
    for name, input in (("addTask", {"fields": {}}), ("moveTask", {"task": "a", "position": {"x": 1, "y": 1}})):
        refused = await ask.do(name, AFTER, pipelineId=pipeline, **input)
        assert [e["code"] for e in refused["errors"]] == ["INVALID_INPUT"]
        assert f"line {line}, column " in refused["errors"][0]["message"]
    assert (await seen(ask, pipeline))["draft"]["revision"] == 1


async def test_a_draft_is_published_with_its_places_and_gone(ask: Asking, pipeline: str, engine: Engine) -> None:
    await ask.do(
        "moveTasks",
        AFTER,
        pipelineId=pipeline,
        positions=[{"task": "a", "x": 1, "y": 2}, {"task": "b", "x": 3, "y": 4}],
    )
    await ask.do("saveDraft", AFTER, pipelineId=pipeline, yaml=TEXT.replace("name: b", "name: c"))
    fields = "isNew pipeline { latestVersionNumber positions } version { number message source } problems { message }"
    done = await ask.do("publishDraft", fields, pipelineId=pipeline, message="c it is", expectedRevision=2)
    assert done["errors"] == []
    assert done["version"] == {"number": 2, "message": "c it is", "source": TEXT.replace("name: b", "name: c")}
    assert done["pipeline"] == {"latestVersionNumber": 2, "positions": {"a": [1, 2]}}
    now = await seen(ask, pipeline)
    assert (now["positions"], now["draft"]["isBegun"], now["draft"]["revision"]) == ({"a": [1, 2]}, False, 3)
    assert (now["draft"]["baseVersion"], now["draft"]["positions"]) == (2, {"a": [1, 2]})
    again = await ask.do("publishDraft", fields, pipelineId=pipeline)
    assert [(e["code"], e["message"]) for e in again["errors"]] == [
        ("CONFLICT", "pipeline demo has no draft that could be published")
    ]
    await ask.do("moveTask", AFTER, pipelineId=pipeline, task="a", position={"x": 9, "y": 9})
    await ask.do("discardDraft", AFTER, pipelineId=pipeline)
    assert (await seen(ask, pipeline))["positions"] == {"a": [1, 2]}
    assert [action for action, _ in await audited(engine)] == [
        "draft.move_tasks",
        "draft.save",
        "draft.move_tasks",
        "draft.discard",
    ], "a publication is written down as one, of the pipeline"


async def test_a_draft_does_not_overlook_a_version_that_somebody_published(ask: Asking, pipeline: str) -> None:
    await ask.do("deleteTask", AFTER, pipelineId=pipeline, task="b")
    newer = TEXT.replace("echo b", "echo bb")
    await ask.do("publishPipeline", "isNew", projectId=ask.project_id, yaml=newer)
    refused = await ask.do("publishDraft", "isNew", pipelineId=pipeline)
    assert [e["code"] for e in refused["errors"]] == ["CONFLICT"]
    assert "at version 2, not 1" in refused["errors"][0]["message"]
    draft = (await seen(ask, pipeline))["draft"]
    assert (draft["isBegun"], draft["baseVersion"], draft["revision"]) == (True, 1, 1)
    done = await ask.do("publishDraft", "isNew version { number }", pipelineId=pipeline, expectedVersion=2)
    assert (done["isNew"], done["version"]["number"]) == (True, 3)


async def test_a_draft_with_errors_or_another_name_is_not_published(ask: Asking, pipeline: str) -> None:
    for text, line, part in (
        (TEXT.replace("[a]", "[nobody]"), 7, "no task `nobody`"),
        (TEXT.replace("demo", "other"), 1, "The file names the pipeline `other`, and this one is `demo`"),
    ):
        saved = await ask.do("saveDraft", AFTER, pipelineId=pipeline, yaml=text)
        refused = await ask.do("publishDraft", "problems { message line column path severity }", pipelineId=pipeline)
        assert [(e["code"], e["path"]) for e in refused["errors"]] == [("INVALID_PIPELINE", ["input", "yaml"])]
        errors = [p for p in saved["draft"]["problems"] if p["severity"] == "ERROR"]
        assert refused["problems"] == errors
        assert (errors[0]["line"], part in errors[0]["message"]) == (line, True)
    now = await seen(ask, pipeline)
    assert (now["latestVersionNumber"], now["draft"]["isBegun"]) == (1, True)


async def test_a_draft_follows_a_rename_of_its_pipeline_and_can_be_published(ask: Asking, pipeline: str) -> None:
    edited = TEXT.replace("echo b", "echo c")
    await ask.do("saveDraft", AFTER, pipelineId=pipeline, yaml=edited)
    renamed = await ask.do("updatePipeline", "pipeline { name latestVersionNumber }", pipelineId=pipeline, name="fresh")
    assert renamed["pipeline"] == {"name": "fresh", "latestVersionNumber": 2}
    draft = (await seen(ask, pipeline))["draft"]
    assert (draft["yaml"], draft["problems"]) == (edited.replace("demo", "fresh"), [])
    assert (draft["revision"], draft["baseVersion"]) == (2, 2)
    late = await ask.do("saveDraft", AFTER, pipelineId=pipeline, yaml=edited, expectedRevision=1)
    assert [e["code"] for e in late["errors"]] == ["CONFLICT"]
    done = await ask.do("publishDraft", "isNew pipeline { name } version { number source }", pipelineId=pipeline)
    assert (done["errors"], done["isNew"], done["pipeline"]["name"]) == ([], True, "fresh")
    assert done["version"] == {"number": 3, "source": edited.replace("demo", "fresh")}


@pytest.mark.parametrize("text", ["name: [demo", "tasks: []\n", "name: other\ntasks: []\n", "name: >-\n  demo\n"])
async def test_a_rename_leaves_a_draft_that_does_not_say_the_old_name_as_it_is(
    ask: Asking, pipeline: str, text: str
) -> None:
    await ask.do("saveDraft", AFTER, pipelineId=pipeline, yaml=text)
    await ask.do("updatePipeline", "pipeline { name }", pipelineId=pipeline, name="fresh")
    draft = (await seen(ask, pipeline))["draft"]
    assert (draft["yaml"], draft["baseVersion"], draft["isBegun"]) == (text, 2, True)


async def test_a_draft_that_was_overtaken_before_the_rename_still_is(ask: Asking, pipeline: str) -> None:
    await ask.do("saveDraft", AFTER, pipelineId=pipeline, yaml=TEXT.replace("echo b", "echo c"))
    await ask.do("publishPipeline", "isNew", projectId=ask.project_id, yaml=TEXT.replace("echo a", "echo z"))
    await ask.do("updatePipeline", "pipeline { name }", pipelineId=pipeline, name="fresh")
    assert (await seen(ask, pipeline))["draft"]["baseVersion"] == 1
    refused = await ask.do("publishDraft", "isNew", pipelineId=pipeline)
    assert [e["code"] for e in refused["errors"]] == ["CONFLICT"]


@pytest.mark.parametrize(
    ("name", "input", "code"),
    [
        ("connectTasks", {"fromTask": "b", "toTask": "a"}, "INVALID_INPUT"),
        ("connectTasks", {"fromTask": "a", "toTask": "nobody"}, "NOT_FOUND"),
        ("changeTask", {"task": "a", "fields": []}, "INVALID_INPUT"),
        ("changeTask", {"task": "a", "fields": {"name": "b"}}, "INVALID_INPUT"),
        ("addTask", {"fields": {}, "position": {"x": 2e6, "y": 0}}, "INVALID_INPUT"),
        ("moveTask", {"task": "nobody", "position": {"x": 1, "y": 1}}, "NOT_FOUND"),
        ("moveTasks", {"positions": []}, "INVALID_INPUT"),
        ("publishDraft", {"message": "x" * 1001}, "INVALID_INPUT"),
    ],
)
async def test_an_edit_that_cannot_be_made_changes_nothing(
    ask: Asking, pipeline: str, name: str, input: dict[str, Any], code: str
) -> None:
    refused = await ask.do(name, "__typename", pipelineId=pipeline, **input)
    assert [e["code"] for e in refused["errors"]] == [code]
    draft = (await seen(ask, pipeline))["draft"]
    assert (draft["revision"], draft["isBegun"]) == (0, False)


@pytest.mark.parametrize(
    ("name", "kind", "input"),
    [
        ("saveDraft", "SaveDraftInput", '"yaml": "a\\ud800"'),
        ("addTask", "AddTaskInput", '"fields": {"x": 1e999}'),
        ("changeTask", "ChangeTaskInput", '"task": "a", "fields": {"x\\ud800": 1}'),
    ],
)
async def test_what_only_json_can_write_is_refused(
    ask: Asking, pipeline: str, name: str, kind: str, input: str
) -> None:
    query = f"mutation($i: {kind}!) {{ {name}(input: $i) {{ errors {{ code }} }} }}"
    body = f'{{"query": "{query}", "variables": {{"i": {{"pipelineId": "{pipeline}", {input}}}}}}}'
    answer = await ask.client.post("/graphql", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (200, 400)
    if answer.status_code == 200 and "data" in answer.json():
        assert answer.json()["data"][name]["errors"] == [{"code": "INVALID_INPUT"}]
    assert (await seen(ask, pipeline))["draft"]["revision"] == 0


async def test_a_circle_in_a_draft_is_drawn_and_told(ask: Asking, pipeline: str) -> None:
    text = TEXT.replace("command: echo a", "command: echo a\n    dependencies: [b, a, nobody]")
    saved = await ask.do("saveDraft", AFTER, pipelineId=pipeline, yaml=text)
    assert saved["draft"]["graph"]["edges"] == [0, 0, 1, 0, 0, 1]
    assert (saved["draft"]["graph"]["layer"], saved["draft"]["isValid"]) == ([0, 1], False)
    parted = await ask.do("disconnectTasks", AFTER, pipelineId=pipeline, fromTask="a", toTask="b")
    assert parted["draft"]["graph"]["layer"] == [1, 0]


async def test_drafts_of_many_pipelines_cost_a_constant_number_of_statements(
    ask: Asking, pipeline: str, statements: Callable[[], Any]
) -> None:
    query = '{ project(name: "default") { pipelines(first: 20) { nodes { positions draft { revision yaml } } } } }'
    with statements() as few:
        await ask(query)
    for n in range(5):
        await ask.do("publishPipeline", "isNew", projectId=ask.project_id, yaml=a_file({"a": ""}, f"p{n}"))
    with statements() as many:
        found = await ask(query)
    assert len(found["project"]["pipelines"]["nodes"]) == 6
    assert many[0] == few[0]
