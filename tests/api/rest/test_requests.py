"""What holds for every request: bad input, sizes, headers, ids, origins, and what is logged."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI
from structlog.testing import capture_logs

from fasttrack.db import Database
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from fasttrack_api.app import create_app
from fasttrack_api.parts import Parts
from tests.api.rest.conftest import contents, problem_of, put

RUNS = "/api/v1/pipelines/demo/runs"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def said() -> Iterator[list[Any]]:
    """What is logged, with the ids of the requests."""
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        yield lines


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"params":' * 40 + b"1" + b"}" * 40,
        b'{"params": {"a": 1, "a": 2}}',
        b'{"params": {"a": ' + b"9" * 5000 + b"}}",
        b'{"params": {"a": 123456789012345678901234567890}}',
        b'{"params": {"a": NaN}}',
        b'{"params": {"a": 1e999}}',
        b'{"params": {"\\ud800": 1}}',
        b'{"params": {"a": "\\udfff"}}',
        b'{"params": {"a": "\\u0000"}}',
        b"\xff\xfe{}",
        b'{"params": {' + b",".join(b'"k%d": 1' % n for n in range(60_000)) + b"}}",
        b'{"priority": 1',
        b"{'priority': 1}",
    ],
    ids=[
        "deep list", "deep map", "key twice", "digits", "beyond 64 bits", "NaN", "infinity", "surrogate key", "surrogate",
        "NUL", "not UTF-8", "many keys", "cut off", "other quotes",
    ],
)  # fmt: skip
async def test_json_that_is_a_trap_is_refused_quickly_and_quietly(
    client: httpx.AsyncClient, project: ProjectId, database: Database, said: list[Any], content: bytes
) -> None:
    await put(client)
    before = await contents(database)
    said.clear()
    began = time.process_time()
    answer = await client.post(RUNS, content=content, headers=JSON)
    assert time.process_time() - began < 0.5  # the bar is 0.2 s on a quiet machine
    problem_of(answer, 400, "HTTP_400")
    assert await contents(database) == before
    assert len(json.dumps(said, default=str)) < 2000
    assert all("exc_info" not in line for line in said)


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    client: httpx.AsyncClient, project: ProjectId, database: Database
) -> None:
    before = await contents(database)
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while read < 64 * 2**20:
            read += 2**16
            yield b" " * 2**16

    answer = await client.post(RUNS, content=endless(), headers=JSON | {"Content-Length": str(64 * 2**20)})
    problem_of(answer, 413, "HTTP_413")
    assert read == 0
    problem_of(await client.post(RUNS, content=endless(), headers=JSON), 413, "HTTP_413")
    assert read <= 2**20 + 2 * 2**16
    answer = await client.put(
        "/api/v1/pipelines/demo", content=b"#" * (2**20 + 1), headers={"Content-Type": "text/yaml"}
    )
    problem_of(answer, 413, "HTTP_413")
    for length in ("-1", "1e3", "9" * 30):
        request = client.build_request("POST", RUNS, headers=JSON | {"Content-Length": length})
        assert (await client.send(request)).status_code in (400, 413)
    assert await contents(database) == before


async def test_what_no_address_has_is_refused(client: httpx.AsyncClient, project: ProjectId) -> None:
    problem_of(await client.get("/api/v1/jobs", params={"stat": "FAILED"}), 422, "INVALID_INPUT")
    for query in (
        "limit=0",
        "limit=501",
        "limit=1e3",
        "limit=-1",
        "state=OVER",
        "after=x",
        "after=",
        "limit=" + "9" * 400,
    ):
        problem_of(await client.get(f"/api/v1/jobs?{query}"), 422, "INVALID_INPUT")
    problem_of(await client.get("/api/v1/pipelines?after=%00"), 400, "HTTP_400")
    problem_of(await client.get("/api/v1/pipelines/a%00b"), 400, "HTTP_400")
    problem_of(await client.get("/api/v1/pipelines/" + "a" * 9000), 414, "HTTP_414")
    problem_of(await client.get("/api/v1/pipelines?project=" + "a" * 70), 422, "INVALID_INPUT")
    problem_of(await client.get("/api/v1/nothing"), 404, "HTTP_404")
    for url in (
        "/api/v1/jobs/",
        "//api/v1/jobs",
        "/api/v1/../metrics",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/",
        "/api/v2",
    ):
        answer = await client.get(url)
        assert answer.status_code in (200, 404)
        assert "create_app" not in answer.text
    answer = await client.request("PATCH", "/api/v1/jobs")
    problem_of(answer, 405, "HTTP_405")
    assert answer.headers["allow"] == "GET"


async def test_wildcards_and_quotes_in_filters_are_plain_text(client: httpx.AsyncClient, project: ProjectId) -> None:
    await put(client)
    for text in ("%", "_emo", "demo' OR '1'='1", "demo;DROP TABLE job", "(a+)+$", "$.*", "\\"):
        problem_of(await client.get("/api/v1/jobs", params={"pipeline": text}), 404, "NOT_FOUND")
        problem_of(await client.get("/api/v1/jobs", params={"project": text}), 404, "NOT_FOUND")
        assert (await client.get("/api/v1/pipelines", params={"after": text})).status_code == 200


async def test_a_body_of_another_kind_or_form_is_refused(
    client: httpx.AsyncClient, project: ProjectId, database: Database
) -> None:
    await put(client)
    before = await contents(database)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        answer = await client.post(RUNS, content=b'{"priority": 1}', headers={"Content-Type": kind})
        problem_of(answer, 415, "HTTP_415")
    assert await contents(database) == before


async def test_every_answer_has_the_headers_that_keep_browsers_safe(
    client: httpx.AsyncClient, project: ProjectId
) -> None:
    for url in ("/api/v1/jobs", "/api/v1/nothing", "/healthz", "/metrics", "/docs", "/graphql/ui", "/static/docs.js"):
        headers = (await client.get(url)).headers
        assert headers["x-content-type-options"] == "nosniff", url
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers
        assert "strict-transport-security" not in headers
        assert "access-control-allow-origin" not in headers
    over_tls = httpx.ASGITransport(client._transport.app, client=("127.0.0.1", 1))  # type: ignore[attr-defined]
    async with httpx.AsyncClient(transport=over_tls, base_url="https://localhost") as safe:
        assert (await safe.get("/healthz")).headers["strict-transport-security"] == "max-age=31536000"


async def test_a_sane_request_id_is_kept_and_is_in_the_log_and_no_query_is(
    client: httpx.AsyncClient, project: ProjectId, said: list[Any]
) -> None:
    answer = await client.get(
        "/api/v1/nothing?token=canary-1", headers={"X-Request-Id": "abc-1.2_3", "Authorization": "Bearer canary-2"}
    )
    assert problem_of(answer, 404, "HTTP_404")["request_id"] == "abc-1.2_3"
    (line,) = [line for line in said if line["event"] == "request"]
    assert (line["request_id"], line["method"], line["status"], line["route"]) == ("abc-1.2_3", "GET", 404, "none")
    assert "canary" not in str(said)
    for bad in ("x" * 65, "a b", "a\tb", '"}{', "é"):
        given = (await client.get("/healthz", headers={"X-Request-Id": bad.encode()})).headers["x-request-id"]
        assert len(given) == 32
    assert await client.get("/api/v1/jobs/" + "%0Aevil%1b[31m" * 50)
    assert all(len(str(line["path"])) <= 200 for line in said if line["event"] == "request")


async def test_a_fault_of_ours_says_a_number_and_nothing_else(
    client: httpx.AsyncClient, project: ProjectId, monkeypatch: pytest.MonkeyPatch, said: list[Any]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret of /home/me and SELECT")

    monkeypatch.setattr("fasttrack_api.rest.jobs.list_stored", broken)
    body = problem_of(await client.get("/api/v1/jobs"), 500, "INTERNAL")
    assert body["error_id"] in [line.get("error_id") for line in said]
    assert "secret" not in json.dumps(body)


async def test_a_page_of_another_site_cannot_call_in_its_readers_name(
    client: httpx.AsyncClient, project: ProjectId, database: Database
) -> None:
    await put(client)
    before = await contents(database)
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        problem_of(await client.post(RUNS, headers=headers), 403, "HTTP_403")
    for host in ("evil.example", "127.0.0.1.evil.example", "", "[", "localhost.evil"):
        problem_of(await client.post(RUNS, headers={"Host": host}), 421, "HTTP_421")
        problem_of(await client.get("/api/v1/jobs", headers={"Host": host}), 421, "HTTP_421")
    assert await contents(database) == before
    assert (await client.post(RUNS, headers={"Origin": "http://127.0.0.1"})).status_code == 201
    assert (
        await client.post(RUNS, headers={"Host": "localhost:8811", "Origin": "http://localhost:8811"})
    ).status_code == 201


async def test_only_origins_of_the_list_may_call(settings: Settings, app: FastAPI) -> None:
    portal = "https://portal.example.com"
    parts: Parts = app.state.parts
    open_to = create_app(settings.model_copy(update={"api_cors_origins": [portal]}), given=parts)
    open_to.state.parts = parts
    transport = httpx.ASGITransport(open_to, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        ask = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "if-match"}
        yes = await client.options("/api/v1/jobs", headers={"Origin": portal, **ask})
        assert (yes.status_code, yes.headers["access-control-allow-origin"]) == (200, portal)
        assert "origin" in yes.headers["vary"].lower()
        no = await client.options("/api/v1/jobs", headers={"Origin": "https://evil.example", **ask})
        assert (no.status_code, no.headers["content-type"]) == (400, "application/problem+json")
        assert (no.json()["code"], "(origin)" in no.json()["detail"]) == ("CORS_REFUSED", True)
        assert "access-control-allow-origin" not in no.headers
        read = await client.get("/healthz", headers={"Origin": portal})
        assert read.headers["access-control-allow-origin"] == portal
        assert "access-control-allow-credentials" not in read.headers
        other = await client.get("/healthz", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


async def test_many_requests_at_once_leave_no_connection_in_use(
    client: httpx.AsyncClient, project: ProjectId, database: Database
) -> None:
    await put(client)
    answers = await asyncio.gather(*(client.get("/api/v1/jobs") for _ in range(50)))
    assert {a.status_code for a in answers} == {200}
    assert database.in_use == 0
