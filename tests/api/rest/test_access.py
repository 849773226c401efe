"""Who may do what: asked of every route there is, so that a new one that is not in the table fails here."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from fasttrack.db import Database
from fasttrack.domain.access import OWNER as OWNERS_ID
from fasttrack.domain.access import Caller, Permission, Role
from fasttrack.domain.catalog import TemplateScope
from fasttrack.ids import ProjectId, new_id
from fasttrack.workflow.publish import publish
from fasttrack.workflow.submit import RunRequest, submit
from fasttrack.workflow.templates import share_template
from fasttrack_api.rest import ROUTERS
from fasttrack_api.rest.routing import Route, _query_names
from tests.api.rest.conftest import YAML, Become, contents, problem_of
from tests.factories import a_file
from tests.people import People

OWNER = Caller(OWNERS_ID, "owner", is_superadmin=True)
JOB = "the job of the world"  # where a body has to name it

# What each operation needs at least; a body that is right, where one is needed.
R, E, U, S, O, A = Role.VIEWER, Role.EDITOR, Role.EDITOR, Role.EDITOR, Role.OPERATOR, Role.ADMIN  # noqa: E741
OFFSET = {"content-type": "application/offset+octet-stream", "upload-offset": "0"}
NEEDS: dict[tuple[str, str], tuple[Role, dict[str, Any]]] = {
    ("GET", "/api/v1/pipelines"): (R, {}),
    ("GET", "/api/v1/pipelines/{pipeline}"): (R, {}),
    ("PUT", "/api/v1/pipelines/{pipeline}"): (E, {"content": a_file({"a": ""}).encode(), "headers": YAML}),
    ("GET", "/api/v1/pipelines/{pipeline}/draft"): (R, {}),
    ("PUT", "/api/v1/pipelines/{pipeline}/draft"): (E, {"content": b"name: demo", "headers": YAML}),
    ("DELETE", "/api/v1/pipelines/{pipeline}/draft"): (E, {}),
    ("GET", "/api/v1/pipelines/{pipeline}/versions"): (R, {}),
    ("GET", "/api/v1/pipelines/{pipeline}/versions/{number}"): (R, {}),
    ("POST", "/api/v1/pipelines"): (E, {"json": {"name": "new"}}),
    ("PATCH", "/api/v1/pipelines/{pipeline}"): (E, {"json": {"tags": ["new"]}}),
    ("POST", "/api/v1/pipelines/{pipeline}/archive"): (E, {}),
    ("POST", "/api/v1/pipelines/{pipeline}/unarchive"): (E, {}),
    ("POST", "/api/v1/pipelines/{pipeline}/remake-folder"): (E, {}),
    ("DELETE", "/api/v1/pipelines/{pipeline}"): (O, {"params": {"confirm": "demo"}}),
    ("GET", "/api/v1/pipelines/{pipeline}/template"): (R, {}),
    ("PUT", "/api/v1/pipelines/{pipeline}/template"): (E, {"json": {"scope": "project"}}),
    ("DELETE", "/api/v1/pipelines/{pipeline}/template"): (E, {}),
    ("GET", "/api/v1/templates"): (R, {}),
    ("GET", "/api/v1/templates/{template}"): (R, {}),
    ("POST", "/api/v1/pipelines/{pipeline}/pause"): (U, {}),
    ("POST", "/api/v1/pipelines/{pipeline}/resume"): (U, {}),
    ("POST", "/api/v1/pipelines/{pipeline}/runs"): (U, {}),
    ("POST", "/api/v1/versions"): (E, {"content": a_file({"a": ""}).encode(), "headers": YAML}),
    ("POST", "/api/v1/pipelines/{pipeline}/versions/{number}/restore"): (E, {}),
    ("POST", "/api/v1/runs"): (E, {"json": {"source": a_file({"a": ""})}}),
    ("GET", "/api/v1/jobs"): (R, {}),
    ("GET", "/api/v1/jobs/{job}/version"): (R, {}),
    ("POST", "/api/v1/jobs/cancel"): (U, {"json": {"jobs": [JOB]}}),
    ("POST", "/api/v1/jobs/pause"): (U, {"json": {"jobs": [JOB]}}),
    ("POST", "/api/v1/jobs/resume"): (U, {"json": {"jobs": [JOB]}}),
    ("GET", "/api/v1/jobs/{job}"): (R, {}),
    ("GET", "/api/v1/jobs/{job}/tasks"): (R, {}),
    ("POST", "/api/v1/jobs/{job}/tasks/{task}/skip"): (U, {}),
    ("GET", "/api/v1/jobs/{job}/tasks/{task}/logs"): (R, {}),
    ("GET", "/api/v1/jobs/{job}/tasks/{task}/outputs"): (R, {}),
    ("GET", "/api/v1/jobs/{job}/tasks/{task}/outputs.zip"): (R, {}),
    ("GET", "/api/v1/jobs/{job}/tasks/{task}/outputs/{path}"): (R, {}),
    ("GET", "/api/v1/pipelines/{pipeline}/vfroot"): (R, {}),
    ("GET", "/api/v1/pipelines/{pipeline}/vfroot.zip"): (R, {}),
    ("GET", "/api/v1/pipelines/{pipeline}/vfroot/{path}"): (R, {}),
    ("PUT", "/api/v1/pipelines/{pipeline}/vfroot/{path}"): (E, {"content": b"x"}),
    ("DELETE", "/api/v1/pipelines/{pipeline}/vfroot/{path}"): (E, {}),
    ("OPTIONS", "/api/v1/pipelines/{pipeline}/uploads"): (R, {}),
    ("POST", "/api/v1/pipelines/{pipeline}/uploads"): (
        E,
        {"headers": {"upload-length": "1", "upload-metadata": "path eA=="}},
    ),
    ("GET", "/api/v1/pipelines/{pipeline}/uploads/{upload}"): (E, {}),
    ("PATCH", "/api/v1/pipelines/{pipeline}/uploads/{upload}"): (E, {"headers": OFFSET}),
    ("DELETE", "/api/v1/pipelines/{pipeline}/uploads/{upload}"): (E, {}),
    ("POST", "/api/v1/jobs/{job}/skip"): (U, {"json": {"tasks": ["a"]}}),
    ("POST", "/api/v1/jobs/{job}/cancel"): (U, {}),
    ("POST", "/api/v1/jobs/{job}/pause"): (U, {}),
    ("POST", "/api/v1/jobs/{job}/resume"): (U, {}),
    ("POST", "/api/v1/jobs/{job}/rerun"): (U, {}),
    ("GET", "/api/v1/projects"): (R, {}),
    ("GET", "/api/v1/projects/{project}"): (R, {}),
    ("GET", "/api/v1/resource-groups"): (R, {}),
    ("GET", "/api/v1/accelerators"): (R, {}),
    ("GET", "/api/v1/statistics/jobs"): (R, {}),
    ("GET", "/api/v1/pipelines/{pipeline}/task-durations"): (R, {}),
    ("GET", "/api/v1/limits"): (R, {}),
    ("GET", "/api/v1/limits/project"): (R, {}),
    ("PUT", "/api/v1/limits/project"): (O, {"json": {"slots": 1}}),
    ("DELETE", "/api/v1/limits/project"): (O, {}),
    ("GET", "/api/v1/limits/{scope}/{name}"): (R, {}),
    ("PUT", "/api/v1/limits/{scope}/{name}"): (O, {"json": {"slots": 1}}),
    ("DELETE", "/api/v1/limits/{scope}/{name}"): (O, {}),
    ("GET", "/api/v1/retention"): (R, {}),
    ("PATCH", "/api/v1/retention"): (O, {"json": {"logs": 7}}),
    ("DELETE", "/api/v1/retention"): (O, {}),
    ("GET", "/api/v1/secrets"): (R, {}),
    ("GET", "/api/v1/secrets/{name}"): (R, {}),
    ("PUT", "/api/v1/secrets/{name}"): (S, {"json": {"value": "v"}}),
    ("DELETE", "/api/v1/secrets/{name}"): (S, {}),
    ("GET", "/api/v1/credentials/project"): (A, {}),
    ("PUT", "/api/v1/credentials/project"): (A, {"json": {"access_key": "AKIAONE", "secret_key": "x"}}),
    ("DELETE", "/api/v1/credentials/project"): (A, {}),
    ("GET", "/api/v1/credentials/personal-keys"): (R, {}),
    ("PUT", "/api/v1/credentials/personal-keys"): (A, {"json": {"is_allowed": True}}),
    ("GET", "/api/v1/members"): (R, {}),
    ("POST", "/api/v1/members"): (A, {"json": {"account": "nobody", "role": "viewer"}}),
    ("PUT", "/api/v1/members/{account}"): (A, {"json": {"role": "viewer"}}),
    ("DELETE", "/api/v1/members/{account}"): (A, {}),
    ("GET", "/api/v1/accounts/{account}"): (R, {}),
    ("POST", "/api/v1/accounts/service"): (A, {"json": {"name": "weekly"}}),
    ("POST", "/api/v1/accounts/{account}/disable"): (A, {}),
    ("POST", "/api/v1/accounts/{account}/enable"): (A, {}),
    ("GET", "/api/v1/tokens"): (A, {}),
    ("GET", "/api/v1/operations"): (R, {}),
    ("GET", "/api/v1/operations/{sha256}"): (R, {}),
    ("POST", "/api/v1/operations"): (A, {"json": {"operations": [{"text": "{ viewer { name } }"}]}}),
    ("DELETE", "/api/v1/operations/{sha256}"): (A, {}),
    ("GET", "/api/v1/audit"): (A, {}),
    ("GET", "/api/v1/exports/jobs"): (R, {}),
    ("GET", "/api/v1/exports/tasks"): (R, {}),
    ("GET", "/api/v1/exports/events"): (R, {}),
}
SUPERADMINS: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/v1/projects"): {"json": {"name": "vision"}},
    ("PUT", "/api/v1/projects/{project}/domain"): {"json": {"domain": "research"}},
    ("POST", "/api/v1/accounts"): {"json": {"name": "alan"}},
    ("PUT", "/api/v1/accounts/{account}/superadmin"): {"json": {"is_superadmin": True}},
    ("PUT", "/api/v1/domains/{domain}/admins/{account}"): {},
    ("DELETE", "/api/v1/domains/{domain}/admins/{account}"): {},
}
"""What superadmins do alone."""
OWN = {
    ("GET", "/api/v1/whoami"),
    ("GET", "/api/v1/accounts"),
    ("POST", "/api/v1/tokens"),
    ("POST", "/api/v1/tokens/{token}/rotate"),
    ("POST", "/api/v1/tokens/{token}/revoke"),
    ("GET", "/api/v1/credentials"),
    ("GET", "/api/v1/credentials/person"),
    ("PUT", "/api/v1/credentials/person"),
    ("DELETE", "/api/v1/credentials/person"),
}
"""What everybody does for themselves; whose else is whose is in the tests of access."""
OPEN = {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/api/v1")}
TAKE_PROJECT = {
    (method, route.path)
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, Route) and "project" in _query_names(route.dependant)
    for method in route.methods
}
OF_NO_PROJECT = {("GET", f"/api/v1/{noun}") for noun in ("projects", "templates", "resource-groups", "accelerators")}
"""What is not of one project: everybody may ask, and is told only of what they may read."""
ROUTES = sorted(NEEDS)
ORDER = [Role.VIEWER, Role.EDITOR, Role.OPERATOR, Role.ADMIN]
NAMES = [f"{method} {path}" for method, path in ROUTES]


def test_every_route_is_in_the_table(app: FastAPI) -> None:
    served = {
        (method.upper(), path)
        for path, item in app.openapi()["paths"].items()
        for method in item
        if method != "head"  # answers as GET does, and has no body to look at
        if path.startswith("/api/v1/exports") or "/events" not in path  # those have a table of their own
    }
    assert served == NEEDS.keys() | OPEN | OWN | SUPERADMINS.keys()


async def a_world(database: Database, project: ProjectId) -> dict[str, str]:
    """Something of everything in the project, and how it is named in addresses."""

    async def work(db: Any) -> dict[str, str]:
        published = await publish(db, project, a_file({"a": ""}), by="ada")
        made = await submit(db, project, published.version, published.compiled, RunRequest(by="ada"))
        template = await share_template(db, OWNER, published.pipeline.id, TemplateScope.PROJECT, name="private")
        names = {"pipeline": published.pipeline.id, "job": made.job_id, "template": template.id}
        return {name: str(value) for name, value in names.items()}

    names = await database.run(work)
    people = People(database)
    name = await database.run(lambda db: db.value("SELECT name FROM project WHERE id = $1", project))
    program = await people.service(name, "nightly")
    names |= {"account": str(program.id), "token": str((await people.token(program)).token.id), "domain": "research"}
    return names | {
        "path": "x",
        "upload": str(new_id()),
        "number": "1",
        "scope": "pool",
        "name": "GPU",
        "sha256": "0" * 64,
        "task": "a",
        "project": str(project),
    }


async def send(
    client: httpx.AsyncClient, route: tuple[str, str], names: dict[str, str], query: dict[str, str]
) -> httpx.Response:
    method, path = route
    needs_project = route in TAKE_PROJECT or path.startswith("/api/v1/exports")
    options = dict(NEEDS[route][1] if route in NEEDS else SUPERADMINS.get(route, {}))
    params = (query if needs_project else {}) | options.pop("params", {})
    if options.get("json", {}).get("jobs") == [JOB]:
        options["json"] = {"jobs": [names["job"]]}
        params = {}  # what is asked of jobs needs no project
    return await client.request(method, path.format(**names), params=params, **options)


@pytest.mark.parametrize("route", ROUTES, ids=NAMES)
async def test_what_is_foreign_answers_as_what_is_not_there(
    client: httpx.AsyncClient,
    become: Become,
    database: Database,
    foreign: ProjectId,
    route: tuple[str, str],
) -> None:
    there = await a_world(database, foreign)
    unknown = there | {n: str(new_id()) for n in ("pipeline", "job", "project", "account", "template")}
    before = await contents(database)
    for role in (None, Role.ADMIN):  # of no project at all, and the most one can be in another one
        become(role)
        answers = []
        for names, project in ((there, "foreign"), (unknown, "nowhere")):
            answer = await send(client, route, names, {"project": project})
            if route in OF_NO_PROJECT:
                assert "foreign" not in answer.text
                assert "private" not in answer.text
                continue
            body = problem_of(answer, 404, "NOT_FOUND")
            body.pop("request_id")
            named = [*names.values(), project]
            for word in sorted(named, key=len, reverse=True):
                body["detail"] = body["detail"].replace(f"'{word}'", "'…'").replace(f" {word}", " …")
            answers.append(body)
        assert answers == answers[:1] * len(answers)
    assert await contents(database) == before


@pytest.mark.parametrize("route", ROUTES, ids=NAMES)
async def test_each_role_may_do_what_it_should_and_a_refusal_changes_nothing(
    client: httpx.AsyncClient, become: Become, database: Database, project: ProjectId, route: tuple[str, str]
) -> None:
    names = await a_world(database, project)
    before = await contents(database)
    for role in ORDER:
        become(role)
        answer = await send(client, route, names, {"project": "default"})
        if ORDER.index(role) < ORDER.index(NEEDS[route][0]):
            problem_of(answer, 403, "FORBIDDEN")
            assert await contents(database) == before
        else:
            assert answer.status_code not in (401, 403), answer.text
            assert answer.status_code < 500
            break


@pytest.mark.parametrize("route", ROUTES, ids=NAMES)
async def test_a_token_of_another_scope_or_project_opens_nothing(
    client: httpx.AsyncClient, become: Become, database: Database, project: ProjectId, foreign: ProjectId,
    route: tuple[str, str],
) -> None:  # fmt: skip
    names = await a_world(database, project)
    before = await contents(database)
    for limits in ({"scopes": frozenset[Permission]()}, {"only_project": foreign}):
        become(Role.ADMIN, **limits)
        answer = await send(client, route, names, {"project": "default"})
        if route in OF_NO_PROJECT:
            assert answer.status_code == 200
            told = answer.json()
            items = told["items"] if isinstance(told, dict) else told
            assert "default" not in str([i for i in items if not i.get("is_shipped")])
        else:
            problem_of(answer, 404, "NOT_FOUND")
    assert await contents(database) == before


@pytest.mark.parametrize("route", ROUTES, ids=NAMES)
async def test_an_id_that_is_none_or_of_another_thing_is_refused(
    client: httpx.AsyncClient, database: Database, project: ProjectId, route: tuple[str, str]
) -> None:
    names = await a_world(database, project)
    path = route[1]
    if not any(kind in path for kind in ("{job}", "{pipeline}", "{project}", "{account}")):
        return
    before = await contents(database)
    swapped = names | {
        "job": names["pipeline"],
        "pipeline": names["job"],
        "project": names["job"],
        "account": names["job"],
    }
    others = [
        {"job": text, "pipeline": text, "project": text, "account": text}
        for text in (
            "-1",
            "0",
            "x",
            "9" * 40,
            "{" + "0" * 34 + "}",
            "%27%20OR%201=1--",
            "%25",
            "_",
            "a" * 300,
            "%F0%9F%98%80",
            "..%2f..%2fetc",
        )
    ]
    for odd in [swapped, *({**names, **other} for other in others)]:
        answer = await send(client, route, odd, {"project": "default"})
        assert answer.status_code in (404, 422), f"{odd} {answer.text}"
        assert answer.json()["code"] in ("NOT_FOUND", "INVALID_INPUT", "HTTP_404")
    assert await contents(database) == before


@pytest.mark.parametrize("route", sorted(SUPERADMINS), ids=str)
async def test_only_a_superadmin_does_what_is_of_no_one_project(
    client: httpx.AsyncClient, become: Become, database: Database, project: ProjectId, route: tuple[str, str]
) -> None:
    names = await a_world(database, project)
    before = await contents(database)
    become(Role.ADMIN)
    problem_of(await send(client, route, names, {}), 403, "FORBIDDEN")
    assert await contents(database) == before


async def test_who_is_not_known_is_asked_for_a_token(app: FastAPI, database: Database, project: ProjectId) -> None:
    names = await a_world(database, project)
    before = await contents(database)
    transport = httpx.ASGITransport(app, client=("203.0.113.9", 5000), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://fasttrack.example.com") as stranger:
        for route in ROUTES:
            answer = await send(stranger, route, names, {"project": "default"})
            problem_of(answer, 401, "UNAUTHENTICATED")
            assert answer.headers["www-authenticate"] == "Bearer"
    assert await contents(database) == before
