"""Whose things are whose: generated over every place of the schema that takes an id."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from graphql import GraphQLInputObjectType, GraphQLObjectType, get_named_type

from fasttrack.db.listings import load_jobs
from fasttrack.domain.access import Role
from fasttrack.domain.catalog import TemplateScope
from fasttrack.workflow.templates import share_template
from fasttrack_api.graphql.ids import Kind
from fasttrack_api.graphql.measuring import Limits
from fasttrack_api.graphql.schema import make_schema
from tests.api.graphql.conftest import INPUTS, OWNER, Asking, gid
from tests.engine import Engine
from tests.factories import a_file
from tests.people import People

SCHEMA = make_schema(Limits())._schema

READS = {
    "Query.project.id": ("PROJECT", "query($id: ID!) { project(id: $id) { id } }"),
    "Query.pipeline.id": ("PIPELINE", "query($id: ID!) { pipeline(id: $id) { id } }"),
    "Query.version.id": ("VERSION", "query($id: ID!) { version(id: $id) { id } }"),
    "Query.job.id": ("JOB", "query($id: ID!) { job(id: $id) { id } }"),
    "Query.taskInstance.id": ("TASK_INSTANCE", "query($id: ID!) { taskInstance(id: $id) { id } }"),
    "Query.template.id": ("TEMPLATE", "query($id: ID!) { template(id: $id) { id } }"),
    "Query.node.id": ("JOB", "query($id: ID!) { node(id: $id) { id } }"),
    "Query.nodes.ids": ("JOB", "query($id: ID!) { nodes(ids: [$id]) { id } }"),
    "Query.storedOperations.projectId": (
        "PROJECT",
        "query($id: ID!) { storedOperations(projectId: $id) { nodes { name } } }",
    ),
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
    "Query.account.id": ("ACCOUNT", "query($id: ID!) { account(id: $id) { id } }"),
    "AuditFilter.accountId": ("ACCOUNT", "query($id: ID!) { auditEntries(filter: {accountId: $id}) { nodes { id } } }"),
}
"""Each place of a read that takes an id, with a query that uses it."""
WRITES: dict[str, dict[str, Any]] = {
    "publishPipeline": {"projectId": "PROJECT", "yaml": a_file({"a": ""})},
    "restoreVersion": {"pipelineId": "PIPELINE", "number": 1},
    "createPipeline": {"projectId": "PROJECT", "name": "new"},
    "updatePipeline": {"pipelineId": "PIPELINE", "tags": ["new"]},
    "archivePipeline": {"pipelineId": "PIPELINE"},
    "unarchivePipeline": {"pipelineId": "PIPELINE"},
    "remakeFolder": {"pipelineId": "PIPELINE"},
    "deletePipeline": {"pipelineId": "PIPELINE", "confirmName": "demo"},
    "shareTemplate": {"pipelineId": "PIPELINE", "scope": "PROJECT"},
    "unshareTemplate": {"pipelineId": "PIPELINE"},
    "pausePipeline": {"pipelineId": "PIPELINE"},
    "resumePipeline": {"pipelineId": "PIPELINE"},
    "saveDraft": {"pipelineId": "PIPELINE", "yaml": "name: other"},
    "addTask": {"pipelineId": "PIPELINE", "fields": {"name": "b"}},
    "changeTask": {"pipelineId": "PIPELINE", "task": "a", "fields": {"command": "date"}},
    "moveTask": {"pipelineId": "PIPELINE", "task": "a", "position": {"x": 1, "y": 2}},
    "moveTasks": {"pipelineId": "PIPELINE", "positions": [{"task": "a", "x": 3, "y": 4}]},
    "duplicateTask": {"pipelineId": "PIPELINE", "task": "a"},
    "deleteTask": {"pipelineId": "PIPELINE", "task": "a"},
    "connectTasks": {"pipelineId": "PIPELINE", "fromTask": "a", "toTask": "a"},
    "disconnectTasks": {"pipelineId": "PIPELINE", "fromTask": "a", "toTask": "a"},
    "publishDraft": {"pipelineId": "PIPELINE"},
    "discardDraft": {"pipelineId": "PIPELINE"},
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
    "storeOperation": {"projectId": "PROJECT", "text": "{ viewer { name } }"},
    "removeOperation": {"projectId": "PROJECT", "sha256": "0" * 64},
    "addMember": {"projectId": "PROJECT", "accountName": "nobody", "role": "VIEWER"},
    "changeMemberRole": {"projectId": "PROJECT", "accountId": "ACCOUNT", "role": "VIEWER"},
    "removeMember": {"projectId": "PROJECT", "accountId": "ACCOUNT"},
    "createServiceAccount": {"projectId": "PROJECT", "name": "weekly"},
    "disableAccount": {"accountId": "ACCOUNT"},
    "enableAccount": {"accountId": "ACCOUNT"},
    "createToken": {"accountId": "ACCOUNT", "name": "ci"},
    "rotateToken": {"tokenId": "TOKEN"},
    "revokeToken": {"tokenId": "TOKEN"},
    "setBackendCredential": {"projectId": "PROJECT", "accessKey": "AKIAONE", "secretKey": "x"},
    "removeBackendCredential": {"projectId": "PROJECT"},
    "allowPersonalKeys": {"projectId": "PROJECT", "isAllowed": True},
}
"""Each write that takes an id, with an input whose upper-case values of ids stand for ids of that kind."""
RIGHT = {
    "publishPipeline": Role.EDITOR,
    "restoreVersion": Role.EDITOR,
    "createPipeline": Role.EDITOR,
    "updatePipeline": Role.EDITOR,
    "archivePipeline": Role.EDITOR,
    "unarchivePipeline": Role.EDITOR,
    "remakeFolder": Role.EDITOR,
    "deletePipeline": Role.OPERATOR,
    "shareTemplate": Role.EDITOR,
    "unshareTemplate": Role.EDITOR,
    "pausePipeline": Role.EDITOR,
    "resumePipeline": Role.EDITOR,
    **dict.fromkeys(
        (
            "saveDraft",
            "addTask",
            "changeTask",
            "moveTask",
            "moveTasks",
            "duplicateTask",
            "deleteTask",
            "connectTasks",
            "disconnectTasks",
            "publishDraft",
            "discardDraft",
        ),
        Role.EDITOR,
    ),
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
    "storeOperation": Role.ADMIN,
    "removeOperation": Role.ADMIN,
    "addMember": Role.ADMIN,
    "changeMemberRole": Role.ADMIN,
    "removeMember": Role.ADMIN,
    "createServiceAccount": Role.ADMIN,
    "disableAccount": Role.ADMIN,
    "enableAccount": Role.ADMIN,
    "createToken": Role.ADMIN,
    "rotateToken": Role.ADMIN,
    "revokeToken": Role.ADMIN,
    "setBackendCredential": Role.ADMIN,
    "removeBackendCredential": Role.ADMIN,
    "allowPersonalKeys": Role.ADMIN,
}
"""The least role that may do each."""
HIDDEN = {"rotateToken", "revokeToken"}
"""Of things that those who may not change them do not see either."""
EVERYWHERE: dict[str, dict[str, Any]] = {
    "createProject": {"name": "vision"},
    "createAccount": {"name": "alan"},
    "changeSuperadmin": {"accountId": "ACCOUNT", "isSuperadmin": True},
    "addDomainAdmin": {"accountId": "ACCOUNT", "domain": "default"},
    "removeDomainAdmin": {"accountId": "ACCOUNT", "domain": "default"},
    "changeDomain": {"projectId": "PROJECT", "domain": "research"},
}
"""What superadmins do alone."""
ORDER = [Role.VIEWER, Role.EDITOR, Role.OPERATOR, Role.ADMIN]
TABLES = (
    "project", "pipeline", "pipeline_version", "pipeline_draft", "job", "event", "concurrency_limit", "secret", "account",
    "member", "token", "domain_admin", "stored_operation", "template", "credential", "credential_key",
)  # fmt: skip


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
    assert writes == WRITES.keys() | {
        name for name, input in EVERYWHERE.items() if any(k.endswith("Id") for k in input)
    }
    assert RIGHT.keys() == WRITES.keys()


@pytest.fixture
async def theirs(elsewhere: Engine) -> dict[str, str]:
    """The ids of things of the other project."""
    job = await elsewhere.submit(a_file({"a": ""}))
    async with elsewhere.database.transaction() as db:
        record = (await load_jobs(db, None, [job]))[job]
        instance = await db.value("SELECT id FROM task_instance WHERE job_id = $1", job)
        template = await share_template(db, OWNER, record.pipeline_id, TemplateScope.PROJECT)
    people = People(elsewhere.database)
    program = await people.service("elsewhere", "nightly")
    return {
        "PROJECT": gid(Kind.PROJECT, elsewhere.project),
        "PIPELINE": gid(Kind.PIPELINE, record.pipeline_id),
        "VERSION": gid(Kind.VERSION, record.version_id),
        "JOB": gid(Kind.JOB, job),
        "TASK_INSTANCE": gid(Kind.TASK_INSTANCE, instance),
        "ACCOUNT": gid(Kind.ACCOUNT, program.id),
        "TOKEN": gid(Kind.TOKEN, (await people.token(program)).token.id),
        "TEMPLATE": gid(Kind.TEMPLATE, template.id),
    }


def filled(input: dict[str, Any], theirs: dict[str, str]) -> dict[str, Any]:
    """The input with the ids that its upper-case values stand for."""
    return {key: theirs[value] if key.endswith("Id") else value for key, value in input.items()}


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
    if "Filter." not in place and not place.startswith("Project."):  # those are asked for within another project
        assert foreign != owners
    assert theirs[kind] not in str(foreign.get("data"))


@pytest.mark.parametrize("name", sorted(WRITES))
async def test_a_foreign_id_is_not_written_to(ask: Asking, theirs: dict[str, str], engine: Engine, name: str) -> None:
    place = next(key for key in WRITES[name] if key.endswith("Id"))
    kind = WRITES[name][place]
    ask.as_member(Role.ADMIN)
    before = await rows(engine)
    input = filled(WRITES[name], theirs)
    foreign = await ask.do(name, "__typename", **input)
    unknown = await ask.do(name, "__typename", **input | {place: gid(Kind[kind], uuid4())})
    assert foreign == unknown
    assert [e["code"] for e in foreign["errors"]] == ["NOT_FOUND"]
    assert await rows(engine) == before


@pytest.mark.parametrize("name", sorted(WRITES))
async def test_who_may_only_do_less_is_told_so_and_nothing_changes(
    ask: Asking, theirs: dict[str, str], elsewhere: Engine, name: str
) -> None:
    input = filled(WRITES[name], theirs)
    before = await rows(elsewhere)
    expected = "NOT_FOUND" if name in HIDDEN else "FORBIDDEN"
    least = ORDER.index(RIGHT[name])
    for role in ORDER[:least]:
        ask.as_member(role, elsewhere.project)
        refused = await ask.do(name, "__typename", **input)
        assert [e["code"] for e in refused["errors"]] == [expected], role
    assert await rows(elsewhere) == before
    ask.as_member(ORDER[least], elsewhere.project)
    done = await ask.do(name, "__typename", **input)
    assert expected not in [e["code"] for e in done["errors"]]


@pytest.mark.parametrize("name", sorted(EVERYWHERE))
async def test_only_a_superadmin_does_what_is_of_no_one_project(
    ask: Asking, theirs: dict[str, str], elsewhere: Engine, name: str
) -> None:
    ask.as_member(Role.ADMIN, elsewhere.project)
    before = await rows(elsewhere)
    refused = await ask.do(name, "__typename", **filled(EVERYWHERE[name], theirs))
    assert [e["code"] for e in refused["errors"]] == ["FORBIDDEN"]
    assert await rows(elsewhere) == before


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
