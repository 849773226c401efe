"""Every mutation there is leaves one entry in the audit log; what changes nothing leaves none; what is refused, one that says so."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from fasttrack.db import Database
from fasttrack.domain.access import Role
from fasttrack.ids import ProjectId
from fasttrack_api import refusals
from fasttrack_api.graphql.mutations import Mutation
from fasttrack_api.refusals import action_of
from standin.app import Manager
from tests.api.graphql.conftest import INPUTS, Asking
from tests.factories import a_file
from tests.lost_folders import lose_folder
from tests.people import entries

WHO = "query Who { viewer { name } }"
READS_ONLY = {"validatePipeline"}
"""Mutations that store nothing."""


OF_THE_ENGINE = {
    "publishPipeline", "restoreVersion", "pausePipeline", "resumePipeline", "runPipeline", "rerunJob", "pauseJob",
    "resumeJob", "cancelJob", "createProject", "setLimit", "removeLimit", "putSecret", "deleteSecret", "storeOperation", "removeOperation",
}  # fmt: skip
"""Those whose entries are looked at closely here; the others' are by the tests of their use cases."""


def operations() -> dict[str, str]:
    """Each mutation with the name of the function that serves it."""
    fields: Any = Mutation.__strawberry_definition__.fields  # type: ignore[attr-defined]
    return {_camel(f.python_name): f.python_name for f in fields}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


class Log:
    """What the audit log has got since it was looked at last."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.seen = 0

    async def news(self) -> list[dict[str, Any]]:
        found = await entries(self.database)
        news, self.seen = found[self.seen :], len(found)
        return news

    async def one(self) -> dict[str, Any]:
        [entry] = await self.news()
        return entry


@pytest.fixture
def log(database: Database) -> Log:
    return Log(database)


async def done(ask: Asking, name: str, fields: str = "__typename", /, **input: Any) -> Any:
    payload = await ask.do(name, fields, **input)
    assert payload["errors"] == [], name
    return payload


async def test_every_mutation_leaves_an_entry_that_says_what_was_done(
    ask: Asking, log: Log, cluster: Manager, database: Database
) -> None:
    """In the order in which each has something to change; what is not in the list here fails at the end."""
    told: dict[str, dict[str, Any]] = {}

    async def do(name: str, fields: str = "__typename", /, **input: Any) -> Any:
        payload = await done(ask, name, fields, **input)
        entry = await log.one()
        assert entry["action"] == action_of(operations()[name])
        assert (entry["account_name"], entry["origin"], entry["outcome"]) == ("owner", "127.0.0.1", "done")
        told[name] = entry
        return payload

    project = {"projectId": ask.project_id}
    published = await do("publishPipeline", "pipeline { id uuid }", **project, yaml=a_file({"a": ""}), message="one")
    pipeline = {"pipelineId": published["pipeline"]["id"]}
    await done(ask, "publishPipeline", **project, yaml=a_file({"a": "", "b": "a"}))
    assert (await log.one())["before"] == {"version": 1}
    await do("restoreVersion", **pipeline, number=1)
    await do("pausePipeline", **pipeline)
    await do("resumePipeline", **pipeline)
    ran = await do("runPipeline", "job { id uuid }", **pipeline, skip=["a"])
    await do("rerunJob", jobId=ran["job"]["id"])
    job = {"jobId": (await done(ask, "runPipeline", "job { id }", **pipeline))["job"]["id"]}
    assert (await log.one())["action"] == "job.run"
    await do("pauseJob", **job, stop=True)
    await do("resumeJob", **job)
    await do("cancelJob", **job)
    job = {"jobId": (await done(ask, "runPipeline", "job { id }", **pipeline))["job"]["id"]}
    await log.news()
    tasks = (await ask("query($id: ID!) { job(id: $id) { taskInstances { nodes { id name } } } }", id=job["jobId"]))[
        "job"
    ]
    last = next(node["id"] for node in tasks["taskInstances"]["nodes"] if node["name"] == "a")
    await do("skipTaskInstance", taskInstanceId=last)
    await do("saveDraft", **pipeline, yaml=a_file({"a": ""}) + "# a comment\n")
    await do("addTask", **pipeline, fields={"name": "b", "type": "custom", "command": "true"})
    await do("changeTask", **pipeline, task="b", fields={"command": "date"})
    await do("moveTask", **pipeline, task="b", position={"x": 1, "y": 2})
    await do("moveTasks", **pipeline, positions=[{"task": "b", "x": 3, "y": 4}])
    await do("connectTasks", **pipeline, fromTask="a", toTask="b")
    await do("disconnectTasks", **pipeline, fromTask="a", toTask="b")
    await do("duplicateTask", **pipeline, task="b")
    await do("deleteTask", **pipeline, task="b")
    await do("discardDraft", **pipeline)
    await done(ask, "saveDraft", **pipeline, yaml=a_file({"a": "", "c": "a"}))
    await log.news()
    await do("publishDraft", **pipeline)
    await do("createProject", name="vision", domain="research")
    await do("setLimit", **project, scope="POOL", name="gpu", slots=4)
    await do("removeLimit", **project, scope="POOL", name="gpu")
    await do("putSecret", **project, name="HUB", value="canary-value")
    await do("deleteSecret", **project, name="HUB")
    await do("storeOperation", **project, text=WHO)
    await do("removeOperation", **project, sha256=sha256(WHO.encode()).hexdigest())

    new = await do("createPipeline", "pipeline { id }", **project, name="beside", yaml=a_file({"a": ""}))
    beside = {"pipelineId": new["pipeline"]["id"]}
    await do("updatePipeline", **beside, tags=["nightly"])
    await do("shareTemplate", **beside, scope="PROJECT")
    await do("unshareTemplate", **beside)
    await lose_folder(database, "beside")
    await do("remakeFolder", **beside)
    await do("archivePipeline", **beside)
    await do("unarchivePipeline", **beside)
    await do("deletePipeline", **beside, confirmName="beside")

    made = await do("createAccount", "account { id uuid }", name="ada", email="ada@example.com")
    ada = {"accountId": made["account"]["id"]}
    await do("addMember", **project, **ada, role="VIEWER")
    await do("changeMemberRole", **project, **ada, role="EDITOR")
    await do("removeMember", **project, **ada)
    await do("disableAccount", **ada)
    await do("enableAccount", **ada)
    await do("changeSuperadmin", **ada, isSuperadmin=True)
    await do("addDomainAdmin", **ada, domain="research")
    await do("removeDomainAdmin", **ada, domain="research")
    await do("changeDomain", **project, domain="research")
    program = await do("createServiceAccount", "account { id }", **project, name="nightly")
    token = await do("createToken", "secret token { id uuid }", accountId=program["account"]["id"], name="ci")
    renewed = await do("rotateToken", "secret", tokenId=token["token"]["id"])
    await do("revokeToken", tokenId=token["token"]["id"])

    await do("allowPersonalKeys", **project, isAllowed=True)
    await do("setBackendCredential", **project, accessKey="AKIAONE", secretKey="canary-one")
    rotated = await done(ask, "setBackendCredential", **project, accessKey="AKIATWO", secretKey="canary-two")
    assert rotated["errors"] == []
    entry = await log.one()
    assert (entry["action"], entry["before"]["in_use"], entry["after"]["in_use"], entry["after"]["retiring"]) == (
        "credential.rotate", "AKIAONE", "AKIATWO", ["AKIAONE"]
    )  # fmt: skip
    await do("removeBackendCredential", **project)

    assert told.keys() | READS_ONLY == operations().keys() == INPUTS.keys() | READS_ONLY
    everything = str(told)
    for secret in ("canary-value", "canary-one", "canary-two", token["secret"], renewed["secret"]):
        assert secret not in everything
    assert {name: (told[name]["before"], told[name]["after"]) for name in OF_THE_ENGINE} == {
        "publishPipeline": (None, {"name": "demo", "version": 1, "message": "one"}),
        "restoreVersion": (
            {"version": 2}, {"name": "demo", "version": 3, "message": "restored from version 1", "restored": 1}
        ),
        "pausePipeline": ({"name": "demo", "is_paused": False}, {"name": "demo", "is_paused": True}),
        "resumePipeline": ({"name": "demo", "is_paused": True}, {"name": "demo", "is_paused": False}),
        "runPipeline": (None, {"pipeline": "demo", "version": 3, "number": 1, "skip": ["a"]}),
        "rerunJob": (None, {"pipeline": "demo", "version": 3, "number": 2, "origin": ran["job"]["uuid"]}),
        "pauseJob": ({"state": "PENDING"}, {"state": "PAUSED", "stop": True}),
        "resumeJob": ({"state": "PAUSED"}, None),
        "cancelJob": ({"state": "PENDING"}, {"state": "CANCELLING"}),
        "createProject": (None, {"name": "vision", "domain": "research"}),
        "setLimit": (None, {"slots": 4}),
        "removeLimit": ({"slots": 4}, None),
        "putSecret": (None, None),
        "deleteSecret": (None, None),
        "storeOperation": (None, {"name": "Who", "text": WHO}),
        "removeOperation": ({"name": "Who", "text": WHO}, None),
    }  # fmt: skip
    assert (told["runPipeline"]["object_kind"], told["runPipeline"]["object_id"]) == ("job", ran["job"]["uuid"])
    assert told["setLimit"]["object_id"] == "pool:gpu"
    assert told["putSecret"]["object_id"] == "HUB"
    assert {told[name]["project_id"] for name in OF_THE_ENGINE if name != "createProject"} == {ask.project}
    changes = ("changeMemberRole", "changeDomain", "updatePipeline", "archivePipeline", "deletePipeline")
    plain = {"name": "beside", "description": "", "tags": []}
    assert [(told[name]["before"], told[name]["after"]) for name in changes] == [
        ({"name": "ada", "role": "viewer"}, {"name": "ada", "role": "editor"}),
        ({"domain": "default"}, {"domain": "research"}),
        (plain, plain | {"tags": ["nightly"]}),
        (None, {"name": "beside"}),
        ({"name": "beside", "versions": 1}, None),
    ]


async def test_what_changes_nothing_leaves_no_entry(ask: Asking, log: Log) -> None:
    project = {"projectId": ask.project_id}
    published = await done(ask, "publishPipeline", "pipeline { id }", **project, yaml=a_file({"a": ""}))
    pipeline = {"pipelineId": published["pipeline"]["id"]}
    job = {"jobId": (await done(ask, "runPipeline", "job { id }", **pipeline, idempotencyKey="k"))["job"]["id"]}
    over = {"jobId": (await done(ask, "runPipeline", "job { id }", **pipeline, skip=["a"]))["job"]["id"]}
    for name, input in (
        ("pausePipeline", pipeline), ("pauseJob", job), ("setLimit", {**project, "scope": "PROJECT", "slots": 1}),
        ("createProject", {"name": "vision"}),
    ):  # fmt: skip
        await done(ask, name, **input)
    assert len(await log.news()) == 7
    await done(ask, "publishPipeline", **project, yaml="# a comment\n" + a_file({"a": ""}))
    await done(ask, "restoreVersion", **pipeline, number=1)
    await done(ask, "remakeFolder", **pipeline)
    await done(ask, "pausePipeline", **pipeline)
    await done(ask, "pauseJob", **job)
    await done(ask, "setLimit", **project, scope="PROJECT", slots=1)
    await done(ask, "createProject", name="vision", domain="default")
    await done(ask, "runPipeline", **pipeline, idempotencyKey="k")
    await done(ask, "runPipeline", **pipeline, dryRun=True)
    await done(ask, "rerunJob", **over, dryRun=True)
    await done(ask, "cancelJob", **over)
    assert await log.news() == []
    await done(ask, "cancelJob", **job)
    assert (await log.one())["action"] == "job.cancel"
    await done(ask, "cancelJob", **job)  # asked before, whatever has become of it
    for name, input in (
        ("deleteSecret", {**project, "name": "HUB"}), ("removeLimit", {**project, "scope": "POOL", "name": "gpu"}),
        ("publishPipeline", {**project, "yaml": "name: ["}), ("pauseJob", over),
        ("createProject", {"name": "vision", "domain": "research"}),
    ):  # fmt: skip
        assert (await ask.do(name, "__typename", **input))["errors"] != []
    assert await log.news() == []


async def test_a_refusal_is_written_down_and_what_is_not_there_is_not(
    ask: Asking, log: Log, project: ProjectId
) -> None:
    published = await done(
        ask, "publishPipeline", "pipeline { id uuid }", projectId=ask.project_id, yaml=a_file({"a": ""})
    )
    pipeline = published["pipeline"]
    await log.news()
    ask.as_member(Role.VIEWER)
    answer = await ask.do("pausePipeline", "__typename", pipelineId=pipeline["id"])
    assert [e["code"] for e in answer["errors"]] == ["FORBIDDEN"]
    await ask.do("putSecret", "__typename", projectId=ask.project_id, name="HUB", value="canary-value")
    await ask.do("createProject", "__typename", name="vision")
    await ask.do("runPipeline", "__typename", pipelineId=pipeline["id"])
    assert [
        (e["account_name"], e["action"], e["project_id"], e["object_kind"], e["object_id"], e["before"], e["after"], e["outcome"])
        for e in await log.news()
    ] == [
        ("grace", "pipeline.pause", project, "pipeline", pipeline["uuid"], None, None, "refused"),
        ("grace", "secret.put", project, "secret", "HUB", None, None, "refused"),
        ("grace", "project.create", None, "project", "vision", None, None, "refused"),
        ("grace", "job.run", project, "pipeline", pipeline["uuid"], None, None, "refused"),
    ]  # fmt: skip
    await ask.do("runPipeline", "__typename", pipelineId=pipeline["id"], dryRun=True)
    ask.as_member(None)
    await ask.do("pausePipeline", "__typename", pipelineId=pipeline["id"])
    assert await log.news() == []


async def test_refusals_are_written_down_up_to_a_bound(ask: Asking, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MOST", 2)
    secret = {"projectId": ask.project_id, "name": "HUB", "value": "x"}
    ask.as_member(Role.VIEWER)
    for _ in range(4):
        answer = await ask.do("putSecret", "__typename", **secret)
        assert [e["code"] for e in answer["errors"]] == ["FORBIDDEN"]
    assert len(await log.news()) == 2


async def test_an_audit_log_that_cannot_be_written_hides_no_refusal(
    ask: Asking, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(refusals, "record", broken)
    ask.as_member(Role.VIEWER)
    answer = await ask.do("putSecret", "__typename", projectId=ask.project_id, name="HUB", value="x")
    assert [e["code"] for e in answer["errors"]] == ["FORBIDDEN"]
    assert await log.news() == []
