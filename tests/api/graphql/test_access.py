"""Whose things are whose: generated over every place of the schema that takes an id."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from graphql import GraphQLInputObjectType, GraphQLObjectType, get_named_type

from fasttrack.db.listings import load_jobs
from fasttrack.domain.access import Role
from fasttrack_api.graphql.ids import Kind
from fasttrack_api.graphql.measuring import Limits
from fasttrack_api.graphql.schema import make_schema
from tests.api.graphql.conftest import INPUTS, Asking, gid
from tests.engine import Engine
from tests.factories import a_file

SCHEMA = make_schema(Limits())._schema

READS = {
    "Query.project.id": ("PROJECT", "query($id: ID!) { project(id: $id) { id } }"),
    "Query.pipeline.id": ("PIPELINE", "query($id: ID!) { pipeline(id: $id) { id } }"),
    "Query.version.id": ("VERSION", "query($id: ID!) { version(id: $id) { id } }"),
    "Query.job.id": ("JOB", "query($id: ID!) { job(id: $id) { id } }"),
    "Query.taskInstance.id": ("TASK_INSTANCE", "query($id: ID!) { taskInstance(id: $id) { id } }"),
    "Query.node.id": ("JOB", "query($id: ID!) { node(id: $id) { id } }"),
    "Query.nodes.ids": ("JOB", "query($id: ID!) { nodes(ids: [$id]) { id } }"),
    "Project.jobStatistics.pipelineId": (
        "PIPELINE",
        'query($id: ID!) { project(name: "default") { jobStatistics(pipelineId: $id) { succeededCount } } }',
    ),
    "JobFilter.pipelineId": (
        "PIPELINE",
        'query($id: ID!) { project(name: "default") { jobs(filter: {pipelineId: $id}) { nodes { id } } } }',
    ),
    "JobFilter.versionId": (
        "VERSION",
        'query($id: ID!) { project(name: "default") { jobs(filter: {versionId: $id}) { nodes { id } } } }',
    ),
}
"""Each place of a read that takes an id, with a query that uses it."""
WRITES: dict[str, dict[str, Any]] = {
    "publishPipeline": {"projectId": "PROJECT", "yaml": a_file({"a": ""})},
    "restoreVersion": {"pipelineId": "PIPELINE", "number": 1},
    "pausePipeline": {"pipelineId": "PIPELINE"},
    "resumePipeline": {"pipelineId": "PIPELINE"},
    "runPipeline": {"pipelineId": "PIPELINE"},
    "rerunJob": {"jobId": "JOB"},
    "cancelJob": {"jobId": "JOB"},
    "pauseJob": {"jobId": "JOB"},
    "resumeJob": {"jobId": "JOB"},
    "skipTaskInstance": {"taskInstanceId": "TASK_INSTANCE"},
    "setLimit": {"projectId": "PROJECT", "scope": "PROJECT", "slots": 1},
    "removeLimit": {"projectId": "PROJECT", "scope": "PROJECT"},
    "putSecret": {"projectId": "PROJECT", "name": "HUB", "value": "x"},
    "deleteSecret": {"projectId": "PROJECT", "name": "HUB"},
}
"""Each write that takes an id, with an input whose upper-case values of ids stand for ids of that kind."""
RIGHT = {
    "publishPipeline": Role.EDITOR,
    "restoreVersion": Role.EDITOR,
    "pausePipeline": Role.EDITOR,
    "resumePipeline": Role.EDITOR,
    "runPipeline": Role.EDITOR,
    "rerunJob": Role.EDITOR,
    "cancelJob": Role.EDITOR,
    "pauseJob": Role.EDITOR,
    "resumeJob": Role.EDITOR,
    "skipTaskInstance": Role.EDITOR,
    "setLimit": Role.OPERATOR,
    "removeLimit": Role.OPERATOR,
    "putSecret": Role.EDITOR,
    "deleteSecret": Role.EDITOR,
}
"""The least role that may do each."""
ORDER = [Role.VIEWER, Role.EDITOR, Role.OPERATOR, Role.ADMIN]
TABLES = ("project", "pipeline", "pipeline_version", "job", "event", "concurrency_limit", "secret")


def _takes_id(field: Any) -> bool:
    return str(get_named_type(field.type)) == "ID"


def test_every_place_that_takes_an_id_is_in_the_tables_here() -> None:
    reads, writes = set(), set()
    for kind in SCHEMA.type_map.values():
        # What can be followed is held to the same by the tests of the streams.
        if isinstance(kind, GraphQLObjectType) and kind not in (SCHEMA.mutation_type, SCHEMA.subscription_type):
            for name, field in kind.fields.items():
                reads |= {f"{kind.name}.{name}.{a}" for a, argument in field.args.items() if _takes_id(argument)}
        elif isinstance(kind, GraphQLInputObjectType) and kind.name not in INPUTS.values():
            reads |= {f"{kind.name}.{name}" for name, field in kind.fields.items() if _takes_id(field)}
    assert SCHEMA.mutation_type is not None
    for name, field in SCHEMA.mutation_type.fields.items():
        given = get_named_type(field.args["input"].type)
        assert isinstance(given, GraphQLInputObjectType)
        if any(_takes_id(f) for f in given.fields.values()):
            writes.add(name)
    assert reads == READS.keys()
    assert writes == WRITES.keys()
    assert RIGHT.keys() == WRITES.keys()


@pytest.fixture
async def theirs(elsewhere: Engine) -> dict[str, str]:
    """The ids of things of the other project."""
    job = await elsewhere.submit(a_file({"a": ""}))
    async with elsewhere.database.transaction() as db:
        record = (await load_jobs(db, None, [job]))[job]
        instance = await db.value("SELECT id FROM task_instance WHERE job_id = $1", job)
    return {
        "PROJECT": gid(Kind.PROJECT, elsewhere.project),
        "PIPELINE": gid(Kind.PIPELINE, record.pipeline_id),
        "VERSION": gid(Kind.VERSION, record.version_id),
        "JOB": gid(Kind.JOB, job),
        "TASK_INSTANCE": gid(Kind.TASK_INSTANCE, instance),
    }


async def rows(engine: Engine) -> dict[str, list[Any]]:
    async with engine.database.transaction() as db:
        return {table: [dict(r) for r in await db.rows(f"SELECT * FROM {table} ORDER BY 1, 2")] for table in TABLES}


@pytest.mark.parametrize("place", sorted(READS))
@pytest.mark.parametrize("role", [None, Role.ADMIN])
async def test_a_foreign_id_is_answered_as_an_unknown_one(
    ask: Asking, theirs: dict[str, str], place: str, role: Role | None
) -> None:
    """The caller is an admin of `default`, or of nothing; the thing is of another project."""
    kind, query = READS[place]
    unknown = gid(Kind[kind], uuid4())
    owners = await ask.raw(query, {"id": theirs[kind]})
    ask.as_member(role)
    foreign = await ask.raw(query, {"id": theirs[kind]})
    assert foreign == await ask.raw(query, {"id": unknown})
    if not place.startswith(("JobFilter", "Project.")):  # those are asked for within another project
        assert foreign != owners
    assert theirs[kind] not in str(foreign.get("data"))


@pytest.mark.parametrize("name", sorted(WRITES))
async def test_a_foreign_id_is_not_written_to(ask: Asking, theirs: dict[str, str], engine: Engine, name: str) -> None:
    place = next(key for key in WRITES[name] if key.endswith("Id"))
    kind = WRITES[name][place]
    ask.as_member(Role.ADMIN)
    before = await rows(engine)
    foreign = await ask.do(name, "__typename", **WRITES[name] | {place: theirs[kind]})
    unknown = await ask.do(name, "__typename", **WRITES[name] | {place: gid(Kind[kind], uuid4())})
    assert foreign == unknown
    assert [e["code"] for e in foreign["errors"]] == ["NOT_FOUND"]
    assert await rows(engine) == before


@pytest.mark.parametrize("name", sorted(WRITES))
async def test_who_may_only_do_less_is_told_so_and_nothing_changes(
    ask: Asking, theirs: dict[str, str], elsewhere: Engine, name: str
) -> None:
    place = next(key for key in WRITES[name] if key.endswith("Id"))
    input = WRITES[name] | {place: theirs[WRITES[name][place]]}
    before = await rows(elsewhere)
    least = ORDER.index(RIGHT[name])
    for role in ORDER[:least]:
        ask.as_member(role, elsewhere.project)
        refused = await ask.do(name, "__typename", **input)
        assert [e["code"] for e in refused["errors"]] == ["FORBIDDEN"], role
    assert await rows(elsewhere) == before
    ask.as_member(ORDER[least], elsewhere.project)
    done = await ask.do(name, "__typename", **input)
    assert "FORBIDDEN" not in [e["code"] for e in done["errors"]]


async def test_only_a_superadmin_makes_projects(ask: Asking, engine: Engine) -> None:
    ask.as_member(Role.ADMIN)
    before = await rows(engine)
    refused = await ask.do("createProject", "isNew", name="vision")
    assert [e["code"] for e in refused["errors"]] == ["FORBIDDEN"]
    assert await rows(engine) == before


async def test_lists_show_the_callers_projects_only(ask: Asking, theirs: dict[str, str], engine: Engine) -> None:
    query = "{ projects { nodes { id name jobs { nodes { id } } } } }"
    await engine.submit(a_file({"a": ""}))
    ask.as_member(Role.VIEWER)
    seen = (await ask(query))["projects"]["nodes"]
    assert [p["name"] for p in seen] == ["default"]
    assert theirs["JOB"] not in str(seen)
    ask.as_member(None)
    assert (await ask(query))["projects"]["nodes"] == []


async def test_mine_and_theirs_together_give_mine_and_null(ask: Asking, theirs: dict[str, str], engine: Engine) -> None:
    mine = gid(Kind.JOB, await engine.submit(a_file({"a": ""})))
    ask.as_member(Role.VIEWER)
    data = await ask("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[theirs["JOB"], mine])
    assert data["nodes"] == [None, {"id": mine}]
