"""The zoo of hostile requests: each is refused with a code, and with little said in the log. `bench/api.py` has the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from structlog.testing import capture_logs

from bench.zoo import REFUSED
from fasttrack.domain.access import Role
from fasttrack_api.graphql.ids import Kind
from tests.api.graphql.conftest import OWNER, Asking, gid
from tests.engine import Engine
from tests.factories import a_file


@pytest.mark.parametrize("case", sorted(REFUSED))
async def test_it_is_refused_quietly_and_asks_nothing_of_the_database(
    case: str, ask: Asking, statements: Callable[[], Any]
) -> None:
    query, code = REFUSED[case]
    with capture_logs() as logs, statements() as count:
        body = await ask.raw(query)
    assert body["data"] is None
    assert {e["extensions"]["code"] for e in body["errors"]} == {code}
    assert len(body["errors"]) <= 20
    assert all(len(e["message"]) <= 400 for e in body["errors"])
    assert sum(len(str(line)) for line in logs) <= 2000
    assert count[0] == 0


@pytest.mark.parametrize("number", [10**9, -1, 0, 101])
async def test_a_page_is_bounded_also_by_a_variable(ask: Asking, number: int, statements: Callable[[], Any]) -> None:
    with statements() as count:
        assert await ask.code("query($n: Int) { projects(first: $n) { nodes { id } } }", n=number) == "PAGE_SIZE"
    assert count[0] == 0


async def test_a_variables_default_counts(ask: Asking) -> None:
    assert await ask.code("query($n: Int = 1000) { projects(first: $n) { nodes { id } } }") == "PAGE_SIZE"


async def test_the_cost_is_told_and_can_be_asked_before(ask: Asking, statements: Callable[[], Any]) -> None:
    query = "query($n: Int) { projects(first: $n) { nodes { pipelines(first: 10) { nodes { name } } } } }"
    body = await ask.raw(query, {"n": 20})
    # The connection, 20 projects, 20 connections, 200 pipelines.
    assert body["extensions"]["cost"] == {"requested": 241, "limit": 10_000}
    with statements() as count:
        asked = await ask.raw(query, {"n": 20}, extensions={"costOnly": True})
    assert asked == {"data": None, "extensions": {"cost": {"requested": 241, "limit": 10_000}}}
    assert count[0] == 0
    through = "query { ...f } fragment f on Query { projects(first: 20) { edges { node { ...g } } } } "
    through += "fragment g on Project { pipelines(first: 10) { nodes { name } } }"
    assert (await ask.raw(through))["extensions"]["cost"]["requested"] == 241


async def test_the_standard_introspection_passes_and_costs_nothing(ask: Asking) -> None:
    from graphql import get_introspection_query

    body = await ask.raw(get_introspection_query())
    assert len(body["data"]["__schema"]["types"]) > 50
    assert body["extensions"]["cost"]["requested"] == 0


async def post(client: httpx.AsyncClient, content: bytes, kind: str = "application/json") -> httpx.Response:
    return await client.post("/graphql", content=content, headers={"Content-Type": kind})


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"query": "{ viewer { name } }", "variables": {"x": "' + b"x" * 1_100_000 + b'"}}', "application/json", 413),
        (
            b'{"query": "{ viewer { name } }", "variables": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            "application/json",
            400,
        ),
        (b'{"query": "{ viewer { name } }", "variables": {"x": "\\ud800"}}', "application/json", 400),
        (b'{"query": "{ viewer { name } }", "query": "{ projects { nodes { id } } }"}', "application/json", 400),
        (b'{"query": "{ viewer { name } }", "variables": {"x": 1, "x": 2}}', "application/json", 400),
        (b'{"query": "{ viewer { name } }", "variables": {"x": NaN}}', "application/json", 400),
        (b'{"query": "{ viewer { name } }", "variables": {"x": "\\u0000"}}', "application/json", 400),
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'"x"', "application/json", 400),
        (b'{"query": 3}', "application/json", 400),
        (b'{"query": "{ viewer { name } }", "variables": [1]}', "application/json", 400),
        (b'{"query": "{ viewer { name } }", "operationName": 3}', "application/json", 400),
        (orjson.dumps([{"query": "{ viewer { name } }"}] * 1000), "application/json", 400),
        (b'{"query": "query a { viewer { name } } query b { viewer { name } }"}', "application/json", 200),
        (b"query=%7Bviewer%7D", "application/x-www-form-urlencoded", 415),
        (b"{ viewer { name } }", "text/plain", 415),
        (b'{"query": "{ viewer { name } }"}', "multipart/form-data; boundary=x", 415),
        (b'{"query": "{ viewer { name } }"}', "", 415),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str | int) else str(value[:40]),
)
async def test_a_body_that_is_no_request_is_a_problem(
    ask: Asking, client: httpx.AsyncClient, content: bytes, kind: str, status: int
) -> None:
    with capture_logs() as logs:
        answer = await post(client, content, kind)
    assert answer.status_code == status, answer.text
    assert len(answer.content) < 1000
    assert sum(len(str(line)) for line in logs) <= 2000
    if status != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"]


async def test_a_body_without_a_length_is_bounded_too(ask: Asking, client: httpx.AsyncClient) -> None:
    async def endless() -> Any:
        for _ in range(1000):
            yield b"x" * 10_000

    answer = await client.post("/graphql", content=endless(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "HTTP_413")


async def test_many_variables_that_nobody_asked_for_are_passed_over(ask: Asking) -> None:
    data = await ask("{ viewer { name } }", **{f"v{n}": n for n in range(10_000)})
    assert data == {"viewer": {"name": "owner"}}


async def test_a_mutation_is_never_run_by_get(ask: Asking, client: httpx.AsyncClient) -> None:
    answer = await client.get("/graphql", params={"query": 'mutation { createProject(input: {name: "x"}) { isNew } }'})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert (await client.put("/graphql", json={"query": "{ viewer { name } }"})).status_code == 405
    assert [p["name"] for p in (await ask("{ projects { nodes { name } } }"))["projects"]["nodes"]] == ["default"]


@pytest.mark.parametrize(
    ("variables", "query"),
    [
        (
            {"f": {"createdFrom": "yesterday"}},
            'query($f: JobFilter) { project(name: "default") { jobs(filter: $f) { nodes { id } } } }',
        ),
        (
            {"f": {"states": ["NOPE"]}},
            'query($f: JobFilter) { project(name: "default") { jobs(filter: $f) { nodes { id } } } }',
        ),
        (
            {"n": 2**40},
            'query($n: Int!) { project(name: "default") { pipeline(name: "x") { version(number: $n) { id } } } }',
        ),
        ({"n": "x"}, "query($n: Int!) { projects(first: $n) { nodes { id } } }"),
        ({}, "query($n: Int!) { projects(first: $n) { nodes { id } } }"),
    ],
)
async def test_a_wrong_variable_is_the_clients_mistake(ask: Asking, variables: dict[str, Any], query: str) -> None:
    with capture_logs() as logs:
        body = await ask.raw(query, variables)
    assert [e["extensions"]["code"] for e in body["errors"]] == ["GRAPHQL_INVALID"]
    assert _told(logs) == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ('{ project(name: "a\\u0000b") { id } }', "INVALID_INPUT"),
        ('{ project(name: "default") { pipelines(filter: {search: "\\u0000"}) { nodes { id } } } }', None),
        ('{ projects(after: "AAAA") { nodes { id } } }', "CURSOR_INVALID"),
        ('{ projects(after: "") { nodes { id } } }', "CURSOR_INVALID"),
        ("{ projects(first: 1, last: 1) { nodes { id } } }", "INVALID_INPUT"),
        ("{ project { id } }", "INVALID_INPUT"),
        (
            '{ project(name: "default") { jobs(filter: {createdFrom: "0001-01-01T00:00:00Z"}) { nodes { id } } } }',
            "INVALID_INPUT",
        ),
        (
            '{ project(name: "default") { jobs(filter: {createdBefore: "9999-12-31T23:59:59Z"}) { nodes { id } } } }',
            "INVALID_INPUT",
        ),
    ],
)
async def test_odd_values_are_refused_or_harmless(ask: Asking, query: str, code: str | None) -> None:
    with capture_logs() as logs:
        body = await ask.raw(query)
    assert [e["extensions"]["code"] for e in body.get("errors", [])] == ([code] if code else [])
    assert _told(logs) == []


async def test_a_cursor_holds_for_its_own_list_only(ask: Asking, engine: Engine) -> None:
    await engine.submit(a_file({"a": ""}))
    data = await ask('{ project(name: "default") { jobs { pageInfo { endCursor } } } }')
    cursor = data["project"]["jobs"]["pageInfo"]["endCursor"]
    query = 'query($c: String) { project(name: "default") { pipelines(after: $c) { nodes { id } } } }'
    assert await ask.code(query, c=cursor) == "CURSOR_INVALID"


async def test_a_fault_of_ours_is_masked_and_found_in_the_log(
    ask: Asking, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fasttrack_api.graphql import queries

    async def broken(*_: object) -> None:
        raise RuntimeError("SELECT secret FROM /etc/passwd")

    monkeypatch.setattr(queries, "find_visible_project", broken)
    with capture_logs() as logs:
        body = await ask.raw('{ project(name: "a") { id } b: project(name: "b") { id } }')
    error = body["errors"][0]
    number = error["extensions"]["errorId"]
    assert error["message"] == f"something went wrong here; the log has it as {number}"
    assert error["extensions"] == {"code": "INTERNAL", "retryable": False, "errorId": number}
    assert "passwd" not in str(body)
    assert [line["error_id"] for line in _told(logs)] == [number]


async def test_what_takes_too_long_is_ended_and_may_be_tried_again(
    ask: Asking, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fasttrack_api.graphql import queries

    async def slow(*_: object) -> None:
        await asyncio.sleep(5)

    monkeypatch.setattr(queries, "find_visible_project", slow)
    within(app, 0.05)
    body = await ask.raw('{ project(name: "a") { id } }')
    assert body["errors"][0]["extensions"] == {"code": "QUERY_TOO_SLOW", "retryable": True}


def within(app: Any, seconds: float) -> None:
    """From here on, an operation has so long."""
    short = app.state.parts.settings.model_copy(update={"api_query_seconds": timedelta(seconds=seconds)})
    object.__setattr__(app.state.parts, "settings", short)


async def test_an_operation_of_many_short_steps_is_ended_as_a_whole(
    ask: Asking, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fasttrack_api.graphql import queries

    find = queries.find_visible_project

    async def slow(*args: Any) -> Any:
        await asyncio.sleep(0.1)
        return await find(*args)

    monkeypatch.setattr(queries, "find_visible_project", slow)
    monkeypatch.setattr("fasttrack_api.graphql.schema._GRACE", 60)
    within(app, 0.3)
    body = await ask.raw("{" + " ".join(f'p{n}: project(name: "default") {{ name }}' for n in range(16)) + "}")
    assert {e["extensions"]["code"] for e in body["errors"]} == {"QUERY_TOO_SLOW"}
    within(app, 60)
    assert "errors" not in await ask.raw(
        '{ a: project(name: "default") { name } b: project(name: "default") { name } }'
    )


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_what_waits_for_something_else_is_ended_too(
    ask: Asking, app: Any, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    from fasttrack_api.graphql import queries
    from fasttrack_api.graphql.mutations import projects

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(queries, "read_nodes", never)
    monkeypatch.setattr(projects, "tried", never)
    monkeypatch.setattr("fasttrack_api.graphql.schema._GRACE", 0.05)
    within(app, 0.1)
    for query, code in (
        ('{ node(id: "x") { id } }', "QUERY_TOO_SLOW"),
        ('mutation { createProject(input: {name: "x"}) { isNew } }', "OUTCOME_UNKNOWN"),
    ):
        answer = await ask.client.post("/graphql", json={"query": query}, headers={"Accept": accept})
        assert f'"code":"{code}"' in answer.text
        assert '"data":null' in answer.text


async def test_a_write_whose_turn_comes_too_late_is_not_begun(
    ask: Asking, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fasttrack_api.graphql.mutations import projects

    async def hangs(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(projects, "create_project", hangs)
    monkeypatch.setattr("fasttrack_api.graphql.schema._GRACE", 60)
    within(app, 0.1)
    one = 'createProject(input: {name: "%s"}) { project { name } errors { code retryable } }'
    data = await ask("mutation { a: " + one % "a" + " b: " + one % "b" + " }")
    assert [data[n]["errors"] for n in "ab"] == [
        [{"code": "OUTCOME_UNKNOWN", "retryable": False}],
        [{"code": "QUERY_TOO_SLOW", "retryable": True}],
    ]


HINTED = [
    ("{ viewe { name } }", {}, "Cannot query field"),
    ("{ viewer { ... on Viewe { name } } }", {}, "Unknown type"),
    ("{ projects(frist: 1) { nodes { id } } }", {}, "Unknown argument"),
    (
        'query($f: JobFilter) { project(name: "default") { jobs(filter: $f) { nodes { id } } } }',
        {"f": {"states": ["RUNNIN"]}},
        "RUNNIN",
    ),
]


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("everybody", ["superadmin", "viewer", "nobody's"]),
        ("members", ["superadmin", "viewer"]),
        ("superadmins", ["superadmin"]),
        ("nobody", []),
    ],
)
async def test_the_schema_and_names_of_it_are_told_to_whom_the_setting_says(
    ask: Asking, app: Any, setting: str, told: list[str]
) -> None:
    settings = app.state.parts.settings.model_copy(update={"api_introspection": setting})
    object.__setattr__(app.state.parts, "settings", settings)
    callers = {"superadmin": OWNER, "viewer": None, "nobody's": None}
    for who in [*callers, *callers]:  # a second time, when every text was validated before for somebody else
        if who == "superadmin":
            ask.caller = OWNER
        else:
            ask.as_member(Role.VIEWER if who == "viewer" else None)
        for query in ("{ __schema { types { name } } }", '{ __type(name: "Job") { name } }'):
            body = await ask.raw(query)
            codes = [e["extensions"]["code"] for e in body.get("errors", [])]
            assert codes == ([] if who in told else ["INTROSPECTION_OFF"]), who
        assert await ask("{ viewer { __typename } }") == {"viewer": {"__typename": "Viewer"}}
        for query, variables, says in HINTED:
            message = (await ask.raw(query, variables))["errors"][0]["message"]
            assert says in message
            assert ("Did you mean" in message) is (who in told), (who, message)


@pytest.mark.parametrize(
    "text", ["", "x", "Sm9iOjE=", "A" * 100_000, "é" * 23, "../../etc", "00000000-0000-0000-0000-000000000000"]
)
@pytest.mark.parametrize("field", ["job", "pipeline", "version", "taskInstance", "project"])
async def test_whatever_is_no_id_finds_nothing(ask: Asking, field: str, text: str) -> None:
    assert await ask.code(f"query($id: ID!) {{ {field}(id: $id) {{ id }} }}", id=text) == "NOT_FOUND"
    assert await ask("query($id: ID!) { node(id: $id) { id } }", id=text) == {"node": None}


async def test_an_id_of_another_kind_finds_nothing(ask: Asking, engine: Engine) -> None:
    job = await engine.submit(a_file({"a": ""}))
    for field in ("pipeline", "version", "taskInstance", "project"):
        assert await ask.code(f"query($id: ID!) {{ {field}(id: $id) {{ id }} }}", id=gid(Kind.JOB, job)) == "NOT_FOUND"


def _told(logs: list[Any]) -> list[Any]:
    """What was logged besides the line that every request has."""
    return [line for line in logs if line["event"] != "request"]
