"""What the tests of the REST API share: a client on a project with something in it, callers of several kinds, and counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest
from starlette.requests import HTTPConnection

from fasttrack.db import Database, Db
from fasttrack.db.projects import ensure_project
from fasttrack.domain.access import Caller, Role
from fasttrack.ids import ProjectId
from tests.factories import a_file

YAML = {"Content-Type": "application/yaml"}

TABLES = (
    "project", "pipeline", "pipeline_version", "pipeline_draft", "job", "task_instance", "attempt", "event", "secret", "idempotency",
    "concurrency_limit", "account", "member", "domain_admin", "token", "template", "former_name", "idempotent_answer",
    "stored_operation",
)  # fmt: skip


@dataclass
class Statements:
    """The statements that were sent to the database."""

    sent: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.sent)


@contextmanager
def counting() -> Iterator[Statements]:
    """Count the statements of every transaction while the block runs."""
    counted = Statements()
    patch = pytest.MonkeyPatch()
    for name in ("rows", "row", "value", "execute"):
        original = getattr(Db, name)

        def counted_call(self: Db, sql: str, *args: object, _original: Any = original) -> Any:
            counted.sent.append(sql)
            return _original(self, sql, *args)

        patch.setattr(Db, name, counted_call)
    try:
        yield counted
    finally:
        patch.undo()


Become = Callable[..., None]


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch, project: ProjectId) -> Become:
    """`become(Role.VIEWER)`: from here on calls come from a member of the default project, or of none with `None`."""

    def become(role: Role | None, **changes: Any) -> None:
        roles = {} if role is None else {project: role}
        caller = Caller(uuid4(), "grace", **({"roles": roles} | changes))

        async def caller_of(_: HTTPConnection) -> Caller:
            return caller

        monkeypatch.setattr("fasttrack_api.rest.reach.caller_of", caller_of)

    return become


@pytest.fixture
async def foreign(database: Database) -> ProjectId:
    """A project that is not the default one."""
    return await database.run(lambda db: ensure_project(db, "foreign"))


async def put(client: httpx.AsyncClient, name: str = "demo", text: str = "", **options: Any) -> httpx.Response:
    """Publish a file of one task, or the one that is given."""
    content = (text or a_file({"a": ""}, name=name)).encode()
    headers = YAML | options.pop("headers", {})
    return await client.put(f"/api/v1/pipelines/{name}", content=content, headers=headers, **options)


async def contents(database: Database) -> dict[str, list[str]]:
    """Every row of every table: what a refusal must leave as it is."""
    async with database.transaction() as db:
        return {t: [str(r[0]) for r in await db.rows(f"SELECT x::text FROM {t} x ORDER BY 1")] for t in TABLES}


def problem_of(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem of a refusal, checked for what every one of them has."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    body: dict[str, Any] = answer.json()
    assert (body["status"], body["code"], body["type"]) == (status, code, "about:blank")
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["detail"]
    for inside in ("Traceback", "asyncpg", "SELECT", "fasttrack.", "/home", "/tmp", ".py"):
        assert inside not in answer.text
    return body
