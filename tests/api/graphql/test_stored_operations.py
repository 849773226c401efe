"""Stored operations: asked for by their hash, over HTTP and sockets, and all that some tokens may run."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from fasttrack.db import Database
from fasttrack.domain.access import Permission, Role
from fasttrack.errors import Forbidden
from fasttrack.ids import ProjectId
from fasttrack.workflow.operations import MOST_STORED, hash_of, store_operation
from fasttrack.workflow.tokens import create_token, rotate_token
from fasttrack_api.auth import StoredOnly, caller_of_token
from fasttrack_api.graphql.ids import Kind, to_global
from fasttrack_api.graphql.stored import StoredOperations
from tests.api.graphql.conftest import Asking
from tests.api.streams.sockets import introduced
from tests.people import People, utc_now

WHO = "query Who { viewer { name } }"
PROJECTS = "query Mine($n: Int = 10) { projects(first: $n) { nodes { name } } }"
STORE = """mutation($input: StoreOperationInput!) { storeOperation(input: $input) {
    operation { sha256 name text createdBy } isNew cost errors { code message path retryable } } }"""
REMOVE = """mutation($input: RemoveOperationInput!) { removeOperation(input: $input) {
    operation { name } errors { code path } } }"""
LIST = """query($project: ID) { storedOperations(projectId: $project, first: 2) {
    nodes { sha256 name } pageInfo { hasNextPage } } }"""


def sha(text: str) -> str:
    return hash_of(text).hex()


@pytest.fixture
def people(database: Database) -> People:
    return People(database)


@pytest.fixture
async def elsewhere_id(people: People) -> ProjectId:
    return await people.project("elsewhere")


async def rows(people: People) -> list[str]:
    async with people.database.transaction() as db:
        return [r[0] for r in await db.rows("SELECT o::text FROM stored_operation o ORDER BY 1")]


class Program:
    """Whoever has a token."""

    def __init__(self, client: httpx.AsyncClient, text: str) -> None:
        self.text = text
        self.headers = {"Authorization": f"Bearer {text}"}
        self.client = client

    async def post(self, **body: Any) -> dict[str, Any]:
        answer = await self.client.post("/graphql", json=body, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def by_hash(self, text: str, **body: Any) -> Any:
        body["extensions"] = {"persistedQuery": {"version": 1, "sha256Hash": sha(text)}}
        return outcome(await self.post(**body))


def outcome(body: dict[str, Any]) -> Any:
    """The data, or the code of the one error."""
    if "errors" in body:
        assert len(body["errors"]) == 1, body
        return body["errors"][0]["extensions"]["code"]
    return body["data"]


@pytest.fixture
async def store(people: People, project: ProjectId) -> Callable[..., Any]:
    owner = await people.owner()

    async def make(text: str, where: ProjectId | None = project) -> None:
        await people.database.run(lambda db: store_operation(db, owner, where, name="test", text=text))

    return make


@pytest.fixture
async def limited(client: httpx.AsyncClient, people: People) -> Program:
    """A program of the default project that may run stored operations only."""
    account = await people.user("portal", default="editor")
    return Program(client, (await people.token(account, stored_only=True)).secret.text)


# -- storing ----------------------------------------------------------------------------------------------------------


async def test_an_admin_stores_an_operation_which_is_checked_and_measured(ask: Asking, people: People) -> None:
    stored = (await ask(STORE, input={"projectId": ask.project_id, "text": PROJECTS}))["storeOperation"]
    assert stored == {
        "operation": {"sha256": sha(PROJECTS), "name": "Mine", "text": PROJECTS, "createdBy": "owner"},
        "isNew": True,
        "cost": 11,
        "errors": [],
    }
    again = (await ask(STORE, input={"projectId": ask.project_id, "text": PROJECTS, "name": "other"}))["storeOperation"]
    assert (again["isNew"], again["operation"]["name"]) == (False, "Mine")
    await ask(STORE, input={"text": WHO, "name": "who am I"})
    assert await ask(LIST, project=ask.project_id) == {
        "storedOperations": {
            "nodes": [{"sha256": sha(PROJECTS), "name": "Mine"}],
            "pageInfo": {"hasNextPage": False},
        }
    }
    assert (await ask(LIST))["storedOperations"]["nodes"] == [{"sha256": sha(WHO), "name": "who am I"}]
    assert [(who, action, after) for who, action, _, after in await people.audit()] == [
        ("owner", "operation.store", {"name": "Mine", "text": PROJECTS}),
        ("owner", "operation.store", {"name": "who am I", "text": WHO}),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{ viewer { nothing } }", "the schema does not have this operation: line 1, column 12: Cannot query field"),
        ("{ viewer { name }", "the text is not GraphQL: line 1, column 18: Syntax Error"),
        ("", "the text is not GraphQL"),
        ("fragment f on Viewer { name }", "the text has no operation"),
        ("{ projects(first: 1000) { nodes { name } } }", "a page has 1 to 100 items"),
        ("{" + " ".join(f"a{n}: viewer {{ name }}" for n in range(40)) + "}", "40 fields at the top"),
        ("{" + "viewer " * 2100 + "}", "the text is not GraphQL"),
        ("query A { viewer { name } } query B { " + "projects { nodes { pipelines { nodes { jobs { nodes { id } } } } } } }",
         "the cost is"),
        ("#" + "x" * 70_000, "at most 65536 characters"),
    ],
)  # fmt: skip
async def test_what_could_not_be_run_is_not_stored(ask: Asking, people: People, text: str, says: str) -> None:
    refused = (await ask(STORE, input={"projectId": ask.project_id, "text": text}))["storeOperation"]
    assert (refused["operation"], refused["cost"]) == (None, None)
    assert [(e["code"].startswith("INTERNAL"), e["path"]) for e in refused["errors"]] == [(False, ["input", "text"])]
    assert says in refused["errors"][0]["message"]
    assert (await ask(LIST, project=ask.project_id))["storedOperations"]["nodes"] == []
    assert await people.audit() == []


async def test_who_does_not_manage_the_project_stores_and_removes_nothing(
    ask: Asking, people: People, store: Any, elsewhere_id: ProjectId
) -> None:
    await store(WHO)
    await store(WHO, None)
    before, written = await rows(people), await people.audit()
    ask.as_member(Role.OPERATOR)
    theirs, foreign = ask.project_id, to_global(Kind.PROJECT, elsewhere_id)
    for where, code in ((theirs, "FORBIDDEN"), (foreign, "NOT_FOUND"), (None, "FORBIDDEN")):
        stored = await ask(STORE, input={"projectId": where, "text": PROJECTS})
        removed = await ask(REMOVE, input={"projectId": where, "sha256": sha(WHO)})
        assert [e["code"] for e in stored["storeOperation"]["errors"]] == [code]
        assert [e["code"] for e in removed["removeOperation"]["errors"]] == [code]
    assert await ask.code(LIST, project=foreign) == "NOT_FOUND"
    assert await rows(people) == before
    refused = [("grace", action, None, None) for action in ("operation.store", "operation.remove")]
    assert await people.audit() == written + refused * 2, "what was not theirs to see is not written down"
    ask.as_member(Role.ADMIN)
    removed = (await ask(REMOVE, input={"projectId": theirs, "sha256": sha(WHO)}))["removeOperation"]
    assert removed == {"operation": {"name": "test"}, "errors": []}
    again = (await ask(REMOVE, input={"projectId": theirs, "sha256": sha(WHO)}))["removeOperation"]
    assert (again["operation"], again["errors"][0]["code"]) == (None, "NOT_FOUND")
    odd = (await ask(REMOVE, input={"projectId": theirs, "sha256": "zz"}))["removeOperation"]
    assert odd["errors"] == [{"code": "INVALID_INPUT", "path": ["input", "sha256"]}]


async def test_a_project_stores_so_many_and_no_more(ask: Asking, database: Database, project: ProjectId) -> None:
    async with database.transaction() as db:
        await db.execute(
            """INSERT INTO stored_operation (id, project_id, hash, name, text, created_by)
               SELECT gen_random_uuid(), $1, sha256(n::text::bytea), 'n', n::text, 'test' FROM generate_series(1, $2) n""",
            project, MOST_STORED,
        )  # fmt: skip
    refused = (await ask(STORE, input={"projectId": ask.project_id, "text": WHO}))["storeOperation"]
    assert [e["code"] for e in refused["errors"]] == ["CONFLICT"]
    assert (await ask(STORE, input={"text": WHO}))["storeOperation"]["isNew"] is True


# -- running ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["apollo", "document id", "bare document id", "with its text"])
async def test_an_operation_is_run_by_its_hash(ask: Asking, store: Any, form: str) -> None:
    await store(PROJECTS)
    bodies: dict[str, dict[str, Any]] = {
        "apollo": {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha(PROJECTS)}}},
        "document id": {"documentId": f"sha256:{sha(PROJECTS)}"},
        "bare document id": {"documentId": sha(PROJECTS), "extensions": {}},
        "with its text": {"query": PROJECTS, "extensions": {"persistedQuery": {"sha256Hash": sha(PROJECTS)}}},
    }
    answer = (await ask.client.post("/graphql", json={"variables": {"n": 3}, **bodies[form]})).json()
    assert answer["data"] == {"projects": {"nodes": [{"name": "default"}]}}
    assert answer["extensions"]["cost"]["requested"] == 4


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"extensions": {"persistedQuery": {"sha256Hash": sha("{ other }")}}}, "PERSISTED_QUERY_NOT_FOUND"),
        ({"documentId": "sha256:" + "0" * 64}, "PERSISTED_QUERY_NOT_FOUND"),
        ({"query": WHO, "documentId": sha(PROJECTS)}, "PERSISTED_QUERY_HASH_MISMATCH"),
        ({"documentId": "x-mine"}, "INVALID_INPUT"),
        ({"documentId": 7}, "INVALID_INPUT"),
        ({"documentId": "é" * 64}, "INVALID_INPUT"),
        ({"extensions": {"persistedQuery": {}}}, "INVALID_INPUT"),
        ({"extensions": {"persistedQuery": [1]}}, "INVALID_INPUT"),
        ({"extensions": {"persistedQuery": {"sha256Hash": "0" * 63}}}, "INVALID_INPUT"),
    ],
)
async def test_a_hash_that_is_of_nothing_is_a_typed_error(ask: Asking, body: dict[str, Any], code: str) -> None:
    answer = await ask.client.post("/graphql", json=body)
    assert (answer.status_code, outcome(answer.json())) == (200, code)


async def test_a_request_with_neither_text_nor_hash_is_none(ask: Asking) -> None:
    answer = await ask.client.post("/graphql", json={"variables": {}})
    assert (answer.status_code, answer.json()["code"]) == (400, "GRAPHQL_BAD_REQUEST")


async def test_an_operation_of_another_project_is_as_if_it_were_not_stored(
    client: httpx.AsyncClient, people: People, store: Any, elsewhere_id: ProjectId
) -> None:
    await store(WHO, elsewhere_id)
    ada = Program(client, (await people.token(await people.user("ada", default="admin"))).secret.text)
    eve = Program(client, (await people.token(await people.user("eve", elsewhere="viewer"))).secret.text)
    assert await eve.by_hash(WHO) == {"viewer": {"name": "eve"}}
    assert await ada.by_hash(WHO) == "PERSISTED_QUERY_NOT_FOUND"
    await store(WHO, None)
    StoredOperations.of(client._transport.app.state.parts)._known.clear()  # type: ignore[attr-defined]
    assert await ada.by_hash(WHO) == {"viewer": {"name": "ada"}}


async def test_texts_are_looked_up_parsed_and_validated_once(
    ask: Asking, store: Any, statements: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fasttrack_api.graphql import extensions

    await store(WHO)
    body = {"documentId": sha(WHO)}
    await ask.client.post("/graphql", json=body)
    parse, check = extensions._PARSE_STORED, extensions._VALIDATE_STORED
    before = parse.cache_info().misses, check.cache_info().misses
    with statements() as count:
        for _ in range(5):
            assert (await ask.client.post("/graphql", json=body)).json()["data"]["viewer"]["name"] == "owner"
    assert count[0] == 0
    assert (parse.cache_info().misses, check.cache_info().misses) == before


async def test_what_was_removed_is_not_run_any_more(ask: Asking, store: Any, app: FastAPI) -> None:
    await store(WHO)
    body = {"documentId": sha(WHO)}
    assert "data" in (await ask.client.post("/graphql", json=body)).json()
    await ask(REMOVE, input={"projectId": ask.project_id, "sha256": sha(WHO)})
    known = StoredOperations.of(app.state.parts)._known
    known.update({key: (0.0, *rest) for key, (_, *rest) in known.items()})  # as if two seconds had gone by
    answer = await ask.client.post("/graphql", json=body)
    assert outcome(answer.json()) == "PERSISTED_QUERY_NOT_FOUND"
    assert known == {}


# -- a token that runs nothing else -----------------------------------------------------------------------------------


async def test_a_token_for_stored_operations_runs_these_and_no_others(limited: Program, store: Any) -> None:
    await store(WHO)
    assert await limited.by_hash(WHO) == {"viewer": {"name": "portal"}}
    assert outcome(await limited.post(query=WHO)) == {"viewer": {"name": "portal"}}, "the text itself is as good"
    assert outcome(await limited.post(query=WHO + " ")) == "STORED_OPERATIONS_ONLY"
    assert outcome(await limited.post(query=PROJECTS)) == "STORED_OPERATIONS_ONLY"
    assert outcome(await limited.post(query="{ __schema { types { name } } }")) == "STORED_OPERATIONS_ONLY"
    assert await limited.by_hash(PROJECTS) == "PERSISTED_QUERY_NOT_FOUND"
    streamed = await limited.client.post(
        "/graphql", json={"query": PROJECTS}, headers=limited.headers | {"Accept": "text/event-stream"}
    )
    assert outcome(streamed.json()) == "STORED_OPERATIONS_ONLY"


async def test_it_is_good_for_nothing_of_rest(limited: Program, app: FastAPI) -> None:
    paths = [p for p, item in app.openapi()["paths"].items() if "get" in item and p.startswith("/api/v1/")]
    assert len(paths) > 10
    for path in [re.sub(r"{\w+}", "1", p) for p in paths]:
        answer = await limited.client.get(path, headers=limited.headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "STORED_OPERATIONS_ONLY"), path
    written = await limited.client.put("/api/v1/secrets/A", json={"value": "x"}, headers=limited.headers)
    assert (written.status_code, written.json()["code"]) == (403, "STORED_OPERATIONS_ONLY")
    assert (await limited.client.get("/api/v1", headers=limited.headers)).status_code == 200
    with pytest.raises(StoredOnly):
        await caller_of_token(app.state.parts, limited.text, "127.0.0.1")


async def test_it_makes_and_renews_no_token_that_does_more(people: People) -> None:
    ada = await people.user("ada", default="admin")
    made = await people.token(ada, stored_only=True)
    free = await people.token(ada)
    caller = await people.caller(ada, token_id=made.token.id, is_stored_only=True)
    async with people.database.transaction() as db:
        child = await create_token(db, caller, name="child", scopes=[Permission.READ], now=utc_now())
        assert child.token.stored_only
        assert (await rotate_token(db, caller, made.token.id, now=utc_now())).token.stored_only
        with pytest.raises(Forbidden, match="stored operations only"):
            await rotate_token(db, caller, free.token.id, now=utc_now())


async def test_over_a_socket_as_well(address: str, limited: Program, store: Any) -> None:
    await store(WHO)
    async with introduced(address, {"authorization": f"Bearer {limited.text}"}) as socket:
        for number, payload in enumerate(
            ({"documentId": sha(WHO)}, {"extensions": {"persistedQuery": {"sha256Hash": sha(WHO)}}}, {"query": WHO})
        ):
            await socket.send({"type": "subscribe", "id": str(number), "payload": payload})
            assert await socket.next(str(number)) == {"viewer": {"name": "portal"}}
            assert (await socket.receive())["type"] == "complete"
        for number, (payload, code) in enumerate(
            (
                ({"query": PROJECTS}, "STORED_OPERATIONS_ONLY"),
                ({"documentId": sha(PROJECTS)}, "PERSISTED_QUERY_NOT_FOUND"),
                ({"documentId": "7"}, "INVALID_INPUT"),
            )
        ):
            await socket.send({"type": "subscribe", "id": str(number), "payload": payload})
            message = await socket.receive()
            assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", code)
        await socket.send({"type": "subscribe", "id": "9", "payload": {"variables": {}}})
        assert await socket.closed() == 4400
