"""The life of pipelines and templates over GraphQL: what is made, changed, offered and deleted, and what is then read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fasttrack.db import Database
from fasttrack.domain.access import Role
from fasttrack_api.graphql.ids import Kind
from tests.api.graphql.conftest import Asking, gid
from tests.engine import Engine
from tests.factories import a_file
from tests.lost_folders import GONE, TRASHED, lose_folder

MADE = """isNew freeName pipeline { id name description tags revision latestVersionNumber latestVersion { number } archivedAt
          createdFrom { kind name versionNumber pipeline { name } template { name isShipped } } }
          version { number source } problems { message severity }"""
NOW = "freeName pipeline { name tags revision archivedAt }"
LIST = 'query($f: PipelineFilter) { project(name: "default") { pipelines(filter: $f) { nodes { name } } } }'


async def create(ask: Asking, **input: Any) -> Any:
    done = await ask.do("createPipeline", MADE, **({"projectId": ask.project_id} | input))
    assert done["errors"] == []
    return done


async def listed(ask: Asking, **filter: Any) -> list[str]:
    return [p["name"] for p in (await ask(LIST, f=filter))["project"]["pipelines"]["nodes"]]


async def test_a_pipeline_is_made_empty_from_a_file_from_a_template_and_as_a_copy(ask: Asking) -> None:
    empty = await create(ask, name="empty")
    assert empty["pipeline"] | {"id": ""} == {
        "id": "", "name": "empty", "description": "", "tags": [], "revision": 1, "latestVersionNumber": 0,
        "latestVersion": None, "archivedAt": None, "createdFrom": None,
    }  # fmt: skip
    assert empty["version"] is None
    file = await create(ask, yaml=a_file({"a": ""}), name="mine", tags=["nlp", "gpu"], description="Ours.")
    assert (file["pipeline"]["name"], file["pipeline"]["tags"], file["version"]["number"]) == (
        "mine",
        ["gpu", "nlp"],
        1,
    )
    assert file["version"]["source"] == a_file({"a": ""}, name="mine")
    hello = (await ask('{ templates(filter: {search: "GREET"}) { nodes { id name } } }'))["templates"]["nodes"]
    assert [t["name"] for t in hello] == ["hello"]
    made = await create(ask, templateId=hello[0]["id"])
    assert made["pipeline"]["createdFrom"] == {
        "kind": "TEMPLATE", "name": "hello", "versionNumber": None, "pipeline": None,
        "template": {"name": "hello", "isShipped": True},
    }  # fmt: skip
    copy = await create(ask, copyOf=file["pipeline"]["id"])
    assert (copy["pipeline"]["name"], copy["pipeline"]["tags"]) == ("mine-copy", ["gpu", "nlp"])
    assert copy["pipeline"]["createdFrom"] == {
        "kind": "PIPELINE", "name": "mine", "versionNumber": 1, "pipeline": {"name": "mine"}, "template": None,
    }  # fmt: skip


async def test_what_cannot_be_made_says_why_and_a_taken_name_says_which_is_free(ask: Asking) -> None:
    await create(ask, name="a")
    taken = await ask.do("createPipeline", MADE, projectId=ask.project_id, name="a")
    assert (taken["errors"][0]["code"], taken["freeName"], taken["pipeline"]) == ("CONFLICT", "a-2", None)
    wrong = await ask.do("createPipeline", MADE, projectId=ask.project_id, yaml=a_file({"a": "nobody"}))
    assert [(e["code"], e["path"]) for e in wrong["errors"]] == [("INVALID_PIPELINE", ["input", "yaml"])]
    assert wrong["problems"][0]["severity"] == "ERROR"
    unknown = await ask.do("createPipeline", MADE, projectId=ask.project_id, templateId=ask.project_id)
    assert unknown["errors"][0]["message"] == "there is no such template"
    assert await listed(ask) == ["a"]


async def test_the_same_key_makes_one_pipeline_and_answers_it_again(ask: Asking) -> None:
    one, two = [await create(ask, name="a", idempotencyKey="k") for _ in range(2)]
    assert (one["isNew"], two) == (True, one | {"isNew": False})
    other = await ask.do("createPipeline", MADE, projectId=ask.project_id, name="b", idempotencyKey="k")
    assert (other["errors"][0]["code"], other["freeName"]) == ("CONFLICT", None)
    gone = await ask.do("deletePipeline", "pipelineId", pipelineId=one["pipeline"]["id"], confirmName="a")
    assert gone == {"pipelineId": one["pipeline"]["id"], "errors": []}
    again = await ask.do("createPipeline", MADE, projectId=ask.project_id, name="a", idempotencyKey="k")
    assert [e["code"] for e in again["errors"]] == ["NOT_FOUND"]


async def test_an_empty_pipeline_can_be_read_everywhere_and_is_not_run(ask: Asking) -> None:
    pipeline = (await create(ask, name="empty"))["pipeline"]["id"]
    query = """query($id: ID!) { pipeline(id: $id) { latestVersion { number } versions { nodes { number } } lastJob { id }
               jobs { nodes { id } } template { name } createdFrom { name } } }"""
    assert (await ask(query, id=pipeline))["pipeline"] == {
        "latestVersion": None, "versions": {"nodes": []}, "lastJob": None, "jobs": {"nodes": []}, "template": None,
        "createdFrom": None,
    }  # fmt: skip
    refused = await ask.do("runPipeline", "isNew", pipelineId=pipeline)
    assert [e["code"] for e in refused["errors"]] == ["NOT_FOUND"]
    assert "is empty: it has no version yet" in refused["errors"][0]["message"]
    published = await ask.do(
        "publishPipeline",
        "pipeline { id }",
        projectId=ask.project_id,
        yaml=a_file({"a": ""}, "empty"),
        expectedVersion=0,
    )
    assert published == {"pipeline": {"id": pipeline}, "errors": []}
    assert (await ask.do("runPipeline", "isNew", pipelineId=pipeline))["isNew"]


async def test_pipelines_are_found_by_all_of_the_tags_that_are_asked_for(ask: Asking, elsewhere: Engine) -> None:
    await create(ask, name="a", tags=["gpu", "nlp"])
    await create(ask, name="b", tags=["gpu"])
    await create(ask, name="c")
    await create(ask, projectId=gid(Kind.PROJECT, elsewhere.project), name="d", tags=["gpu"])
    assert await listed(ask, tags=["gpu"]) == ["a", "b"]
    assert await listed(ask, tags=["nlp", "gpu"]) == ["a"]
    assert await listed(ask, tags=["gpu"], search="B") == ["b"]
    assert await listed(ask, tags=["Gpu"]) == []
    assert await listed(ask, tags=[]) == ["a", "b", "c"]
    assert await ask.code(LIST, f={"tags": ["x" * 41]}) == "INVALID_INPUT"


async def test_a_pipeline_is_changed_only_from_the_revision_that_was_seen(ask: Asking) -> None:
    pipeline = (await create(ask, name="a"))["pipeline"]["id"]
    await create(ask, name="b")
    done = await ask.do("updatePipeline", NOW, pipelineId=pipeline, name="c", tags=["x"], expectedRevision=1)
    assert done["pipeline"] == {"name": "c", "tags": ["x"], "revision": 2, "archivedAt": None}
    late = await ask.do("updatePipeline", NOW, pipelineId=pipeline, tags=[], expectedRevision=1)
    assert [e["code"] for e in late["errors"]] == ["CONFLICT"]
    taken = await ask.do("updatePipeline", NOW, pipelineId=pipeline, name="b")
    assert (taken["errors"][0]["code"], taken["freeName"]) == ("CONFLICT", "b-2")
    assert await listed(ask) == ["b", "c"]


async def test_an_archived_pipeline_leaves_the_list_and_comes_back_under_its_name(ask: Asking) -> None:
    pipeline = (await create(ask, name="a", yaml=a_file({"a": ""})))["pipeline"]["id"]
    done = await ask.do("archivePipeline", NOW, pipelineId=pipeline, expectedRevision=1)
    assert (done["pipeline"]["archivedAt"] is not None, done["pipeline"]["revision"]) == (True, 2)
    assert (await listed(ask), await listed(ask, isArchived=True)) == ([], ["a"])
    for name in ("runPipeline", "pausePipeline"):
        refused = await ask.do(name, "__typename", pipelineId=pipeline)
        assert [e["code"] for e in refused["errors"]] == ["CONFLICT"], name
    await create(ask, name="a")
    taken = await ask.do("unarchivePipeline", NOW, pipelineId=pipeline)
    assert (taken["errors"][0]["code"], taken["freeName"]) == ("CONFLICT", "a-2")
    other = (await ask('{ project(name: "default") { pipeline(name: "a") { id } } }'))["project"]["pipeline"]["id"]
    await ask.do("archivePipeline", NOW, pipelineId=other)
    back = await ask.do("unarchivePipeline", NOW, pipelineId=pipeline)
    assert (back["errors"], back["pipeline"]["archivedAt"], back["pipeline"]["name"]) == ([], None, "a")


async def test_a_pipeline_without_its_folder_is_shown_as_such_and_remade(ask: Asking, database: Database) -> None:
    pipeline = (await create(ask, name="a", yaml=a_file({"a": ""})))["pipeline"]["id"]
    await lose_folder(database, "a", TRASHED)
    sentence = f"the pipeline starts nothing: {TRASHED.sentence}"
    for more in ({}, {"dryRun": True}):
        refused = await ask.do("runPipeline", "job { id }", pipelineId=pipeline, **more)
        assert refused["job"] is None
        assert [(e["code"], e["message"]) for e in refused["errors"]] == [("CONFLICT", sentence)]
    kept = await ask.do("remakeFolder", "pipeline { problem }", pipelineId=pipeline)
    assert [e["code"] for e in kept["errors"]] == ["CONFLICT"]
    shown = await ask('{ project(name: "default") { pipeline(name: "a") { problem jobCount } } }')
    assert shown["project"]["pipeline"] == {"problem": TRASHED.sentence, "jobCount": 0}
    await lose_folder(database, "a", GONE)
    for _ in range(2):
        done = await ask.do("remakeFolder", "pipeline { problem revision }", pipelineId=pipeline)
        assert (done["errors"], done["pipeline"]) == ([], {"problem": None, "revision": 1})
    assert (await ask.do("runPipeline", "job { number }", pipelineId=pipeline))["job"] == {"number": 1}


async def test_a_page_of_pipelines_with_their_templates_costs_the_same_however_many(
    ask: Asking, statements: Callable[[], Any]
) -> None:
    query = """{ project(name: "default") { pipelines { nodes { tags template { name yaml } createdFrom { name
                 pipeline { name } template { name } } } } } }"""
    counts = []
    for n in range(3):
        made = await create(ask, name=f"p{n}", yaml=a_file({"a": ""}), tags=["x"])
        await create(ask, copyOf=made["pipeline"]["id"])
        await ask.do("shareTemplate", "template { id }", pipelineId=made["pipeline"]["id"], scope="EVERYONE")
        with statements() as count:
            page = (await ask(query))["project"]["pipelines"]["nodes"]
        counts.append(count[0])
        assert [p["template"] and p["template"]["name"] for p in page] == [
            x for k in range(n + 1) for x in (f"p{k}", None)
        ]
    assert counts[0] == counts[1] == counts[2]


# -- templates ------------------------------------------------------------------------------------------------------

TEMPLATES = "query($f: TemplateFilter) { templates(filter: $f) { nodes { name scope isShipped } } }"
SHIPPED = ["retry-and-cleanup", "fan-out-and-in", "train-and-evaluate", "hello"]


async def names(ask: Asking, **filter: Any) -> list[str]:
    found = (await ask(TEMPLATES, f=filter))["templates"]["nodes"]
    return [t["name"] for t in found if not t["isShipped"]]


async def test_templates_come_with_fasttrack_and_are_read_only(ask: Asking) -> None:
    ask.as_member(None)
    found = (await ask(TEMPLATES))["templates"]["nodes"]
    assert found == [{"name": n, "scope": "EVERYONE", "isShipped": True} for n in SHIPPED]
    query = """{ templates(first: 1, filter: {search: "hello"}) { nodes { id name description sharedBy createdAt
                 versionNumber pipeline { id } yaml params { name } secretNames tasks { name } } } }"""
    (hello,) = (await ask(query))["templates"]["nodes"]
    assert hello.pop("yaml").startswith("# Two tasks")
    identifier = hello.pop("id")
    assert hello == {
        "name": "hello", "description": "The smallest pipeline: one task greets, another one shouts.", "sharedBy": None,
        "createdAt": None, "versionNumber": None, "pipeline": None, "params": [{"name": "who"}], "secretNames": [],
        "tasks": [{"name": "greet"}, {"name": "shout"}],
    }  # fmt: skip
    assert (await ask("query($id: ID!) { node(id: $id) { id } }", id=identifier))["node"] == {"id": identifier}


async def test_templates_are_paged_through_once_each_in_both_directions(ask: Asking) -> None:
    for n in range(3):
        made = await create(ask, name=f"p{n}", yaml=a_file({"a": ""}))
        await ask.do("shareTemplate", "template { id }", pipelineId=made["pipeline"]["id"], scope="PROJECT")
    wanted = ["p2", "p1", "p0", *SHIPPED]
    page = "nodes { name } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
    seen: list[str] = []
    cursor = None
    while True:
        found = (await ask(f"query($a: String) {{ templates(first: 2, after: $a) {{ {page} }} }}", a=cursor))[
            "templates"
        ]
        seen += [t["name"] for t in found["nodes"]]
        cursor = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
    assert seen == wanted
    seen, cursor = [], None
    while True:
        found = (await ask(f"query($b: String) {{ templates(last: 2, before: $b) {{ {page} }} }}", b=cursor))[
            "templates"
        ]
        seen = [t["name"] for t in found["nodes"]] + seen
        cursor = found["pageInfo"]["startCursor"]
        if not found["pageInfo"]["hasPreviousPage"]:
            break
    assert seen == wanted


async def test_a_template_is_seen_in_its_scope_and_shows_nothing_but_its_file(
    ask: Asking, engine: Engine, elsewhere: Engine
) -> None:
    top = {"params": [{"name": "epochs", "type": "integer", "default": 1}]}
    text = a_file({"a": ""}, "train", _top=top, a={"command": "echo ${{ secrets.HUB }}"})
    made = await create(ask, yaml=text)
    pipeline = made["pipeline"]["id"]
    await create(ask, projectId=gid(Kind.PROJECT, elsewhere.project), name="theirs")
    share = "template { id name scope versionNumber sharedBy pipeline { name } }"
    done = await ask.do(
        "shareTemplate", share, pipelineId=pipeline, scope="PROJECT", name="Trainer", description="Fits."
    )
    template = done["template"].pop("id")
    assert done["template"] == {
        "name": "Trainer", "scope": "PROJECT", "versionNumber": 1, "sharedBy": "owner", "pipeline": {"name": "train"},
    }  # fmt: skip
    query = """query($id: ID!) { template(id: $id) { name description yaml params { name } secretNames tasks { name }
               pipeline { id } } }"""

    ask.as_member(Role.ADMIN, elsewhere.project)
    assert await ask.code(query, id=template) == "NOT_FOUND"
    assert await names(ask) == []

    async with engine.database.transaction() as db:
        await db.execute("UPDATE project SET domain = 'lab' WHERE name = 'default'")
    ask.as_member(Role.OPERATOR)
    assert (await ask.do("shareTemplate", share, pipelineId=pipeline, scope="DOMAIN"))["template"]["id"] == template
    ask.as_member(Role.ADMIN, elsewhere.project)
    assert await names(ask) == []
    async with engine.database.transaction() as db:
        await db.execute("UPDATE project SET domain = 'lab'")
    assert await names(ask, scope="DOMAIN") == ["train"]
    assert (await ask(query, id=template))["template"] == {
        "name": "train", "description": "", "yaml": text, "params": [{"name": "epochs"}], "secretNames": ["HUB"],
        "tasks": [{"name": "a"}], "pipeline": None,
    }  # fmt: skip
    for kind, what in (("pipeline", pipeline), ("project", ask.project_id)):
        assert await ask.code(f"query($id: ID!) {{ {kind}(id: $id) {{ id }} }}", id=what) == "NOT_FOUND"
    copied = await create(ask, projectId=gid(Kind.PROJECT, elsewhere.project), templateId=template, name="mine")
    assert copied["pipeline"]["createdFrom"]["template"] == {"name": "train", "isShipped": False}

    ask.as_member(Role.OPERATOR)
    await ask.do("shareTemplate", share, pipelineId=pipeline, scope="EVERYONE")
    ask.as_member(None)
    assert await names(ask) == ["train"]
    ask.as_member(Role.OPERATOR)
    assert (await ask.do("unshareTemplate", "template { id }", pipelineId=pipeline)) == {"template": None, "errors": []}
    ask.as_member(None)
    assert await names(ask) == []


async def test_what_leaves_the_project_is_offered_and_withdrawn_by_operators_only(ask: Asking) -> None:
    pipeline = (await create(ask, name="a", yaml=a_file({"a": ""})))["pipeline"]["id"]
    ask.as_member(Role.EDITOR)
    for scope in ("DOMAIN", "EVERYONE"):
        refused = await ask.do("shareTemplate", "template { id }", pipelineId=pipeline, scope=scope)
        assert [e["code"] for e in refused["errors"]] == ["FORBIDDEN"]
    assert await names(ask) == []
    assert (await ask.do("shareTemplate", "template { id }", pipelineId=pipeline, scope="PROJECT"))["errors"] == []
    ask.as_member(Role.OPERATOR)
    assert (await ask.do("shareTemplate", "template { id }", pipelineId=pipeline, scope="EVERYONE"))["errors"] == []
    ask.as_member(Role.EDITOR)
    for name, more in (("unshareTemplate", {}), ("shareTemplate", {"scope": "PROJECT"})):
        refused = await ask.do(name, "template { id }", pipelineId=pipeline, **more)
        assert [e["code"] for e in refused["errors"]] == ["FORBIDDEN"], name
    assert await names(ask, scope="EVERYONE") == ["a"]


async def test_an_empty_or_archived_pipeline_is_not_offered(ask: Asking) -> None:
    empty = (await create(ask, name="empty"))["pipeline"]["id"]
    pipeline = (await create(ask, name="a", yaml=a_file({"a": ""})))["pipeline"]["id"]
    share = {"pipelineId": pipeline, "scope": "EVERYONE"}
    refused = await ask.do("shareTemplate", "template { id }", **share | {"pipelineId": empty})
    assert [(e["code"], e["message"]) for e in refused["errors"]] == [
        ("CONFLICT", "pipeline empty is empty; publish a version first")
    ]
    missing = await ask.do("shareTemplate", "template { id }", **share, version=2)
    assert [e["code"] for e in missing["errors"]] == ["NOT_FOUND"]
    assert await names(ask) == []
    await ask.do("shareTemplate", "template { id }", **share)
    await ask.do("archivePipeline", NOW, pipelineId=pipeline)
    assert await names(ask) == []
    assert [e["code"] for e in (await ask.do("shareTemplate", "template { id }", **share))["errors"]] == ["CONFLICT"]
    await ask.do("unarchivePipeline", NOW, pipelineId=pipeline)
    assert await names(ask) == ["a"]


async def test_the_examples_of_the_page_work(ask: Asking, database: Database) -> None:
    page = (Path(__file__).parents[3] / "docs" / "capabilities" / "pipelines.md").read_text()
    create_, update, search, remake, delete, share, listing = re.findall(r"^```graphql\n(.*?)^```", page, re.M | re.S)
    (hello,) = (await ask(listing))["templates"]["nodes"]
    assert (hello["name"], hello["isShipped"]) == ("hello", True)
    made = (await ask(create_, project=ask.project_id, template=hello["id"]))["createPipeline"]
    assert (made["errors"], made["pipeline"]["createdFrom"]["template"]) == ([], {"name": "hello"})
    pipeline = made["pipeline"]["id"]
    changed = (await ask(update, pipeline=pipeline))["updatePipeline"]
    assert changed["pipeline"] == {"name": "greeter", "tags": ["nlp"], "revision": 2, "latestVersionNumber": 2}
    found = (await ask(search, project=ask.project_id))["project"]["pipelines"]["nodes"]
    assert found == [{"name": "greeter", "tags": ["nlp"]}]
    await lose_folder(database, "greeter")
    remade = (await ask(remake, pipeline=pipeline))["remakeFolder"]
    assert remade == {"pipeline": {"problem": None}, "errors": []}
    offered = (await ask(share, pipeline=pipeline))["shareTemplate"]
    assert (offered["template"]["name"], offered["template"]["versionNumber"]) == ("greeter", 2)
    assert (await ask(delete, pipeline=pipeline))["deletePipeline"] == {"pipelineId": pipeline, "errors": []}
