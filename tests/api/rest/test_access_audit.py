"""Every route that writes leaves one entry in the audit log, and one that says so when it is refused."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi.routing import APIRoute

from fasttrack.db import Database
from fasttrack.domain.access import Role
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from fasttrack_api import refusals
from fasttrack_api.refusals import action_of
from fasttrack_api.rest import ROUTERS
from standin.app import Manager
from tests.api.rest.conftest import YAML, Become, problem_of
from tests.api.rest.test_access import NEEDS, OFFSET, OWN, a_world, send
from tests.factories import a_file
from tests.lost_folders import lose_folder
from tests.people import entries


def operations() -> dict[tuple[str, str], str]:
    """Each write with the name of the function that serves it."""
    return {
        (method, route.path_format): route.name
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods - {"GET", "HEAD", "OPTIONS"}
    }


async def test_every_write_leaves_an_entry(
    client: httpx.AsyncClient, database: Database, project: ProjectId, settings: Settings, cluster: Manager
) -> None:
    """In the order in which each has something to change; what is not in the list here fails at the end."""
    done: set[tuple[str, str]] = set()
    names: dict[str, str] = {"pipeline": "demo"}

    async def do(method: str, path: str, **options: Any) -> Any:
        seen = len(await entries(database))
        answer = await client.request(method, f"/api/v1{path}".format(**names), **options)
        assert answer.is_success, answer.text
        [entry] = (await entries(database))[seen:]
        assert entry["action"] == action_of(operations()[method, f"/api/v1{path}"])
        assert (entry["account_name"], entry["origin"], entry["outcome"]) == ("owner", "127.0.0.1", "done")
        assert entry["project_id"] == project or path.startswith(
            ("/accounts", "/domains", "/projects", "/credentials/person")
        )
        assert "canary" not in str(entry)
        done.add((method, f"/api/v1{path}"))
        return answer.json() if answer.content else None

    text = a_file({"a": ""}).encode()
    await do("PUT", "/pipelines/{pipeline}", content=text, headers=YAML)
    await do("POST", "/versions", content=a_file({"a": "", "b": "a"}).encode(), headers=YAML)
    names["number"] = "1"
    await do("POST", "/pipelines/{pipeline}/versions/{number}/restore")
    await do("POST", "/pipelines/{pipeline}/pause")
    await do("POST", "/pipelines/{pipeline}/resume")
    names["job"] = (await do("POST", "/pipelines/{pipeline}/runs", json={"skip": ["a"]}))["id"]
    await do("POST", "/jobs/{job}/rerun")
    names["job"] = (await do("POST", "/pipelines/{pipeline}/runs", headers={"Idempotency-Key": "k"}))["id"]
    await do("POST", "/jobs/{job}/pause")
    await do("POST", "/jobs/{job}/resume")
    await do("PUT", "/pipelines/{pipeline}/draft", content=text + b"# a comment\n", headers=YAML)
    await do("DELETE", "/pipelines/{pipeline}/draft")
    await do("POST", "/jobs/{job}/cancel")
    (settings.state_dir / "local").mkdir(parents=True)
    (settings.state_dir / "local" / "site").write_text(f"{UUID(int=5)}\n")  # a local backend has run here
    names["path"] = "data"
    await do("PUT", "/pipelines/{pipeline}/vfroot/{path}", content=b"x")
    await do("DELETE", "/pipelines/{pipeline}/vfroot/{path}")
    for last in ("PATCH", "DELETE"):
        begin = {"Upload-Length": "1", "Upload-Metadata": "path eA=="}
        names["upload"] = (await do("POST", "/pipelines/{pipeline}/uploads", headers=begin))["id"]
        await do(
            last,
            "/pipelines/{pipeline}/uploads/{upload}",
            **({"content": b"x", "headers": OFFSET} if last == "PATCH" else {}),
        )
    names["job"] = (await do("POST", "/runs", json={"pipeline": "demo"}))["job"]["id"]
    await do("POST", "/jobs/pause", json={"jobs": [names["job"]]})
    await do("POST", "/jobs/resume", json={"jobs": [names["job"]]})
    await do("POST", "/jobs/cancel", json={"jobs": [names["job"]]})
    names |= {"task": "a", "job": (await do("POST", "/pipelines/{pipeline}/runs"))["id"]}
    await do("POST", "/jobs/{job}/tasks/{task}/skip")
    names["job"] = (await do("POST", "/pipelines/{pipeline}/runs"))["id"]
    await do("POST", "/jobs/{job}/skip", json={"tasks": ["a"]})
    await do("PATCH", "/retention", json={"logs": 7})
    await do("DELETE", "/retention")
    [made] = await do("POST", "/operations", json={"operations": [{"text": "{ viewer { name } }"}]})
    names["sha256"] = made["operation"]["sha256"]
    await do("DELETE", "/operations/{sha256}")
    names |= {"scope": "pool", "name": "GPU"}
    for path in ("/limits/project", "/limits/{scope}/{name}"):
        await do("PUT", path, json={"slots": 3})
        await do("DELETE", path)
    await do("PUT", "/secrets/{name}", json={"value": "canary"})
    await do("DELETE", "/secrets/{name}")
    await do("POST", "/pipelines", json={"name": "beside", "yaml": a_file({"a": ""})})
    names["pipeline"] = "beside"
    await do("PATCH", "/pipelines/{pipeline}", json={"tags": ["nightly"]})
    await do("PUT", "/pipelines/{pipeline}/template", json={"scope": "project"})
    await do("DELETE", "/pipelines/{pipeline}/template")
    await lose_folder(database, "beside")
    await do("POST", "/pipelines/{pipeline}/remake-folder")
    await do("POST", "/pipelines/{pipeline}/archive")
    await do("POST", "/pipelines/{pipeline}/unarchive")
    await do("DELETE", "/pipelines/{pipeline}", params={"confirm": "beside"})
    names["pipeline"] = "demo"
    await do("POST", "/accounts", json={"name": "ada", "email": "ada@example.com"})
    names["account"] = "ada"
    await do("POST", "/members", json={"account": "ada", "role": "viewer"})
    await do("PUT", "/members/{account}", json={"role": "editor"})
    await do("DELETE", "/members/{account}")
    await do("POST", "/accounts/{account}/disable")
    await do("POST", "/accounts/{account}/enable")
    await do("PUT", "/accounts/{account}/superadmin", json={"is_superadmin": True})
    names["domain"] = "research"
    await do("PUT", "/domains/{domain}/admins/{account}")
    await do("DELETE", "/domains/{domain}/admins/{account}")
    await do("POST", "/projects", json={"name": "vision"})
    names["project"] = "vision"
    await do("PUT", "/projects/{project}/domain", json={"domain": "research"})
    await do("POST", "/accounts/service", json={"name": "nightly"})
    token = await do("POST", "/tokens", json={"name": "ci", "account": "default/nightly", "scopes": ["run"]})
    names["token"] = token["token"]["id"]
    renewed = await do("POST", "/tokens/{token}/rotate")
    await do("POST", "/tokens/{token}/revoke")
    await do("PUT", "/credentials/personal-keys", json={"is_allowed": True})
    for path in ("/credentials/project", "/credentials/person"):
        await do("PUT", path, json={"access_key": "AKIAONE", "secret_key": "canary-one"})
        await do("DELETE", path)
    for made in (token, renewed):
        assert made["secret"] not in str(await entries(database))
    assert done == operations().keys()

    before = await entries(database)
    for method, path, options in (
        ("PUT", "/pipelines/{pipeline}", {"content": text, "headers": YAML}),
        ("POST", "/pipelines/{pipeline}/resume", {}),
        ("POST", "/pipelines/{pipeline}/runs", {"headers": {"Idempotency-Key": "k"}}),
        ("POST", "/jobs/{job}/cancel", {}),
    ):
        assert (await client.request(method, f"/api/v1{path}".format(**names), **options)).is_success
    assert await entries(database) == before


async def test_every_refused_write_leaves_an_entry_that_says_so(
    client: httpx.AsyncClient, become: Become, database: Database, project: ProjectId
) -> None:
    names = await a_world(database, project)
    become(Role.VIEWER)
    refused = operations().keys() - OWN
    for route in sorted(refused):
        seen = len(await entries(database))
        problem_of(await send(client, route, names, {"project": "default"}), 403, "FORBIDDEN")
        [entry] = (await entries(database))[seen:]
        action = action_of(operations()[route])
        assert (entry["account_name"], entry["action"], entry["outcome"]) == ("grace", action, "refused")
        assert entry["project_id"] == (project if route in NEEDS else None)
        kinds = [kind for kind in ("pipeline", "job", "account", "project") if f"{{{kind}}}" in route[1]]
        assert entry["object_kind"] == (kinds or [action.partition(".")[0]])[0]
        assert (entry["before"], entry["after"]) == (None, None)
    become(None)
    before = await entries(database)
    for route in sorted(refused & NEEDS.keys()):
        problem_of(await send(client, route, names, {"project": "default"}), 404, "NOT_FOUND")
    assert await entries(database) == before


async def test_refusals_are_written_down_up_to_a_bound(
    client: httpx.AsyncClient, become: Become, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "MOST", 2)
    become(Role.VIEWER)
    for _ in range(4):
        problem_of(await client.delete("/api/v1/secrets/HUB"), 403, "FORBIDDEN")
    assert [e["object_id"] for e in await entries(database)] == ["HUB", "HUB"]
