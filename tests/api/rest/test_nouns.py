"""Projects, limits, secrets and exports over REST."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from fasttrack.db import Database
from fasttrack.db.feed import place_events
from fasttrack.db.secrets import SecretBox, read_secrets
from fasttrack.domain.access import Role
from fasttrack.errors import Unavailable
from fasttrack.ids import JobId, ProjectId
from fasttrack.settings import Settings
from fasttrack_api.rest import exports
from fasttrack_api.server import address_of, listen, serving
from tests.api.rest.conftest import Become, contents, counting, problem_of, put
from tests.engine import Engine
from tests.factories import a_file


async def test_projects_are_listed_by_name_and_read_by_name_or_id(
    client: httpx.AsyncClient, project: ProjectId, foreign: ProjectId
) -> None:
    await client.get("/api/v1/projects")  # who calls is known from here on
    with counting() as statements:
        page = (await client.get("/api/v1/projects", params={"limit": 1})).json()
    assert statements.count == 1
    assert [p["name"] for p in page["items"]] == ["default"]
    rest = (await client.get("/api/v1/projects", params={"after": page["next"]})).json()
    assert ([p["name"] for p in rest["items"]], rest["next"]) == (["foreign"], None)
    one = (await client.get("/api/v1/projects/foreign")).json()
    assert one["id"] == str(foreign)
    assert (await client.get(f"/api/v1/projects/{foreign}")).json() == one
    problem_of(await client.get("/api/v1/projects/nowhere"), 404, "NOT_FOUND")


async def test_limits_are_set_listed_and_removed(
    client: httpx.AsyncClient, project: ProjectId, database: Database
) -> None:
    assert (await client.put("/api/v1/limits/pool/gpu", json={"slots": 2})).status_code == 204
    assert (await client.put("/api/v1/limits/project", json={"slots": 9})).status_code == 204
    assert (await client.put("/api/v1/limits/pool/gpu", json={"slots": 3})).status_code == 204
    listed = (await client.get("/api/v1/limits")).json()
    assert [(one.pop("revision") > 0, one) for one in listed] == [
        (True, {"scope": "pool", "name": "gpu", "slots": 3, "used": 0, "waiting": 0}),
        (True, {"scope": "project", "name": "", "slots": 9, "used": 0, "waiting": 0}),
    ]
    before = await contents(database)
    for slots in (-1, 100_001, 1.5, "many", None):
        problem_of(await client.put("/api/v1/limits/pool/gpu", json={"slots": slots}), 422, "INVALID_INPUT")
    problem_of(await client.put("/api/v1/limits/planet/x", json={"slots": 1}), 422, "INVALID_INPUT")
    problem_of(await client.delete("/api/v1/limits/pool/other"), 404, "NOT_FOUND")
    assert await contents(database) == before
    assert (await client.delete("/api/v1/limits/pool/gpu")).status_code == 204
    assert (await client.delete("/api/v1/limits/project")).status_code == 204
    assert (await client.get("/api/v1/limits")).json() == []


async def test_a_secret_goes_in_and_never_comes_out(
    client: httpx.AsyncClient, project: ProjectId, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    canary = "canary-5d41402a"
    assert (await client.put("/api/v1/secrets/TOKEN", json={"value": canary})).status_code == 204
    listed = await client.get("/api/v1/secrets")
    assert [(s["name"], s["updated_by"]) for s in listed.json()] == [("TOKEN", "owner")]
    assert canary not in listed.text
    box = SecretBox(b"k" * 32)
    assert await database.run(lambda db: read_secrets(db, box, project, ["TOKEN"])) == {"TOKEN": canary}
    before = await contents(database)
    for name in ("1A", "a-b", "A" * 65, "A%0A"):
        problem_of(await client.put(f"/api/v1/secrets/{name}", json={"value": canary}), 422, "INVALID_INPUT")
    for value in ("", None, 5, "x" * 65537, "ü" * 40000):
        problem_of(await client.put("/api/v1/secrets/TOKEN", json={"value": value}), 422, "INVALID_INPUT")
    problem_of(await client.put("/api/v1/secrets/TOKEN", json={"value": canary, "x": canary}), 422, "INVALID_INPUT")
    assert await contents(database) == before
    problem_of(await client.delete("/api/v1/secrets/OTHER"), 404, "NOT_FOUND")
    assert (await client.delete("/api/v1/secrets/TOKEN")).status_code == 204
    assert (await client.get("/api/v1/secrets")).json() == []
    out, err = capsys.readouterr()
    assert canary not in out + err


def lines(answer: httpx.Response) -> list[Any]:
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_exports_give_every_row_once_over_any_number_of_pages(
    client: httpx.AsyncClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(client, text=a_file({"a": "", "b": "a", "c": ""}))
    made = [(await client.post("/api/v1/pipelines/demo/runs")).json()["id"] for _ in range(5)]
    async with engine.scheduling():
        for job in made:
            await engine.ended(JobId(UUID(job)))
    await engine.database.run(place_events)
    whole = {}
    for size in (500, 4, 1):
        monkeypatch.setattr(exports, "_PAGE", size)
        for noun in ("jobs", "tasks", "events"):
            found = lines(await client.get(f"/api/v1/exports/{noun}"))
            assert whole.setdefault(noun, found) == found
    assert [j["id"] for j in whole["jobs"]] == made[::-1]
    assert [(t["job_id"], t["name"]) for t in whole["tasks"]] == [(j, n) for j in made[::-1] for n in "abc"]
    seqs: dict[str, list[int]] = {}
    for event in whole["events"]:
        seqs.setdefault(event["job_id"], []).append(event["seq"])
    assert seqs == {j["id"]: list(range(1, j["seq"] + 1)) for j in whole["jobs"]}

    # What was cut off goes on behind the line that was read last.
    assert lines(await client.get("/api/v1/exports/jobs", params={"after": made[3]})) == whole["jobs"][2:]
    place = f"{made[3]}:1"
    assert lines(await client.get("/api/v1/exports/tasks", params={"after": place})) == whole["tasks"][5:]
    cursor = whole["events"][6]["cursor"]
    assert lines(await client.get("/api/v1/exports/events", params={"after": cursor})) == whole["events"][7:]
    of_one = lines(await client.get("/api/v1/exports/events", params={"job": made[2]}))
    assert of_one == [e for e in whole["events"] if e["job_id"] == made[2]]


@pytest.mark.parametrize("fault", ["revoked", "away"])
async def test_an_export_is_cut_off_when_its_caller_may_no_longer_read_or_the_database_goes_away(
    client: httpx.AsyncClient,
    app: FastAPI,
    settings: Settings,
    become: Become,
    project: ProjectId,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    await put(client)
    for _ in range(6):
        await client.post("/api/v1/pipelines/demo/runs")
    pages = 0
    original = exports.list_jobs

    async def list_jobs(*args: Any, **options: Any) -> Any:
        nonlocal pages
        pages += 1
        if fault == "revoked":
            become(None)
        elif pages > 1:
            raise Unavailable("away at /somewhere")
        return await original(*args, **options)

    monkeypatch.setattr(exports, "_PAGE", 2)
    monkeypatch.setattr(exports, "list_jobs", list_jobs)
    become(Role.VIEWER)
    listening = listen("127.0.0.1", 0)
    with capture_logs() as said:
        async with serving(app, settings, listening), httpx.AsyncClient(base_url=address_of(listening)) as far:
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
                await far.get("/api/v1/exports/jobs")
    assert pages == (1 if fault == "revoked" else 6)  # the database is asked five times before it is given up
    assert [line["event"] for line in said] == ["an export was cut off", "request"]
    assert all("exc_info" not in line for line in said)


async def test_a_place_that_is_none_is_refused(client: httpx.AsyncClient, project: ProjectId) -> None:
    for after in ("x", "x:1", f"{project}:-1", f"{project}:", f"{project}:9999999999", f"{project}:²"):
        problem_of(await client.get("/api/v1/exports/tasks", params={"after": after}), 422, "INVALID_INPUT")
    problem_of(await client.get("/api/v1/exports/events", params={"after": "no cursor"}), 422, "CURSOR_INVALID")
    other_feed = "A" * 32
    problem_of(await client.get("/api/v1/exports/events", params={"after": other_feed}), 410, "CURSOR_EXPIRED")
    problem_of(await client.get("/api/v1/exports/jobs", params={"after": "7"}), 422, "INVALID_INPUT")
