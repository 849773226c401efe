"""Asking GraphQL as different callers, and counting what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from fasttrack.db import Database, Db
from fasttrack.db.projects import ensure_project
from fasttrack.domain.access import Caller, Role
from fasttrack.ids import ProjectId
from fasttrack_api.graphql import context as context_module
from fasttrack_api.graphql.ids import Kind, to_global
from tests.engine import Engine

OWNER = Caller(UUID(int=1), "owner", is_superadmin=True, origin="127.0.0.1")


class Asking:
    """GraphQL as some caller."""

    def __init__(self, client: httpx.AsyncClient, project: ProjectId) -> None:
        self.client = client
        self.project = project
        self.project_id = to_global(Kind.PROJECT, project)
        self.caller = OWNER

    def as_member(self, role: Role | None, project: ProjectId | None = None) -> None:
        """From now on, as a member of the project with that role; `None`: of no project."""
        roles = {} if role is None else {project or self.project: role}
        self.caller = Caller(UUID(int=7), "grace", roles=roles)

    async def raw(self, query: str, variables: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """The whole answer."""
        answer = await self.client.post("/graphql", json={"query": query, "variables": variables or {}, **more})
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def __call__(self, query: str, **variables: Any) -> Any:
        """The data of an answer without errors."""
        body = await self.raw(query, variables)
        assert "errors" not in body, body["errors"]
        return body["data"]

    async def do(self, name: str, fields: str, /, **input: Any) -> Any:
        """The payload of a mutation, with its errors."""
        kind = INPUTS[name]
        query = f"mutation($input: {kind}!) {{ {name}(input: $input) {{ {fields} errors {{ code message path retryable }} }} }}"
        return (await self(query, input=input))[name]

    async def code(self, query: str, **variables: Any) -> str:
        """The code of the one error of an answer."""
        errors = (await self.raw(query, variables))["errors"]
        assert len(errors) == 1, errors
        code: str = errors[0]["extensions"]["code"]
        return code


INPUTS = {
    "publishPipeline": "PublishPipelineInput",
    "restoreVersion": "RestoreVersionInput",
    "createPipeline": "CreatePipelineInput",
    "updatePipeline": "UpdatePipelineInput",
    "archivePipeline": "ArchivePipelineInput",
    "unarchivePipeline": "ArchivePipelineInput",
    "remakeFolder": "RemakeFolderInput",
    "deletePipeline": "DeletePipelineInput",
    "shareTemplate": "ShareTemplateInput",
    "unshareTemplate": "UnshareTemplateInput",
    "pausePipeline": "PipelineInput",
    "resumePipeline": "PipelineInput",
    "saveDraft": "SaveDraftInput",
    "addTask": "AddTaskInput",
    "changeTask": "ChangeTaskInput",
    "moveTask": "MoveTaskInput",
    "moveTasks": "MoveTasksInput",
    "duplicateTask": "DuplicateTaskInput",
    "deleteTask": "DeleteTaskInput",
    "connectTasks": "ConnectTasksInput",
    "disconnectTasks": "ConnectTasksInput",
    "publishDraft": "PublishDraftInput",
    "discardDraft": "DraftInput",
    "runPipeline": "RunPipelineInput",
    "rerunJob": "RerunJobInput",
    "cancelJob": "JobInput",
    "pauseJob": "PauseJobInput",
    "resumeJob": "JobInput",
    "skipTaskInstance": "TaskInstanceInput",
    "createProject": "CreateProjectInput",
    "setLimit": "SetLimitInput",
    "removeLimit": "RemoveLimitInput",
    "putSecret": "PutSecretInput",
    "deleteSecret": "DeleteSecretInput",
    "storeOperation": "StoreOperationInput",
    "removeOperation": "RemoveOperationInput",
    "addMember": "AddMemberInput",
    "changeMemberRole": "ChangeMemberRoleInput",
    "removeMember": "RemoveMemberInput",
    "createAccount": "CreateAccountInput",
    "createServiceAccount": "CreateServiceAccountInput",
    "disableAccount": "AccountInput",
    "enableAccount": "AccountInput",
    "changeSuperadmin": "ChangeSuperadminInput",
    "addDomainAdmin": "DomainAdminInput",
    "removeDomainAdmin": "DomainAdminInput",
    "changeDomain": "ChangeDomainInput",
    "createToken": "CreateTokenInput",
    "rotateToken": "RotateTokenInput",
    "revokeToken": "RevokeTokenInput",
    "setBackendCredential": "SetBackendCredentialInput",
    "removeBackendCredential": "RemoveBackendCredentialInput",
    "allowPersonalKeys": "AllowPersonalKeysInput",
}


@pytest.fixture
def ask(client: httpx.AsyncClient, project: ProjectId, monkeypatch: pytest.MonkeyPatch) -> Asking:
    """Asks as the owner until told otherwise."""
    asking = Asking(client, project)

    async def caller_of(_: object) -> Caller:
        return asking.caller

    monkeypatch.setattr(context_module, "caller_of", caller_of)
    return asking


@pytest.fixture
async def elsewhere(database: Database, app: FastAPI, engine: Engine) -> Engine:
    """The engine in another project, of which the asking caller is no member unless made one."""
    project = await database.run(lambda db: ensure_project(db, "elsewhere"))
    return Engine(database, project, engine.settings, engine.doorbell)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Counts the statements inside a block: `with statements() as count: …; count[0]`."""

    @contextmanager
    def counting() -> Iterator[list[int]]:
        count = [0]
        with monkeypatch.context() as patch:
            for name in ("rows", "row", "value", "execute"):
                original = getattr(Db, name)

                def counted(*args: Any, _original: Any = original) -> Any:
                    count[0] += 1
                    return _original(*args)

                patch.setattr(Db, name, counted)
            yield count

    return counting


def gid(kind: Kind, identifier: UUID) -> str:
    """A global id."""
    return to_global(kind, identifier)
