"""Members, accounts, tokens and the audit log over REST."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from fasttrack.db import Database
from fasttrack.domain.tokens import TokenKind, kind_of
from fasttrack.ids import ProjectId, new_id
from tests.api.rest.conftest import counting, problem_of
from tests.people import People, entries

API = "/api/v1"


@pytest.fixture
def people(database: Database) -> People:
    return People(database)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_from_an_account_to_a_token_that_works(
    client: httpx.AsyncClient, database: Database, project: ProjectId
) -> None:
    made = await client.post(f"{API}/accounts", json={"name": "ada", "display_name": "Ada L."})
    assert (made.status_code, made.json()["name"], made.json()["kind"]) == (201, "ada", "user")
    problem_of(await client.post(f"{API}/accounts", json={"name": "ada"}), 409, "CONFLICT")
    member = await client.post(f"{API}/members", json={"account": "ada", "role": "admin"})
    assert (member.status_code, member.json()["account_id"], member.json()["role"]) == (201, made.json()["id"], "admin")
    created = await client.post(f"{API}/tokens", json={"name": "laptop", "account": "ada"})
    assert (created.status_code, created.headers["cache-control"]) == (201, "no-store")
    text = created.json()["secret"]
    assert kind_of(text) is TokenKind.PERSONAL

    mine = bearer(text)
    program = await client.post(f"{API}/accounts/service", json={"name": "nightly", "role": "viewer"}, headers=mine)
    assert (program.status_code, program.json()["name"]) == (201, "default/nightly")
    body = {"name": "ci", "account": "default/nightly", "scopes": ["read"]}
    token = (await client.post(f"{API}/tokens", json=body, headers=mine)).json()
    assert (token["token"]["scopes"], token["token"]["only_project"]) == (["read"], str(project))
    seen = await client.get(f"{API}/projects", headers=bearer(token["secret"]))
    assert [p["name"] for p in seen.json()["items"]] == ["default"]
    problem_of(await client.get(f"{API}/audit", headers=bearer(token["secret"])), 403, "FORBIDDEN")
    everything = str(await entries(database))
    assert text not in everything
    assert token["secret"] not in everything


async def test_members_are_listed_changed_and_removed(client: httpx.AsyncClient, people: People) -> None:
    ada, grace = await people.user("ada", default="admin"), await people.user("grace", default="viewer")
    listed = (await client.get(f"{API}/members", params={"limit": 1})).json()
    assert ([m["name"] for m in listed["items"]], listed["next"]) == (["ada"], "ada")
    listed = (await client.get(f"{API}/members", params={"limit": 1, "after": "ada"})).json()
    assert ([(m["name"], m["role"]) for m in listed["items"]], listed["next"]) == ([("grace", "viewer")], None)
    changed = await client.put(f"{API}/members/grace", json={"role": "operator"})
    assert changed.json()["role"] == "operator"
    problem_of(await client.put(f"{API}/members/{ada.id}", json={"role": "viewer"}), 409, "CONFLICT")
    problem_of(await client.put(f"{API}/members/grace", json={"role": "king"}), 422, "INVALID_INPUT")
    assert (await client.delete(f"{API}/members/{grace.id}")).status_code == 204
    problem_of(await client.delete(f"{API}/members/{grace.id}"), 404, "NOT_FOUND")
    problem_of(await client.delete(f"{API}/members/ada"), 409, "CONFLICT")


async def test_tokens_are_listed_renewed_and_revoked(
    client: httpx.AsyncClient, people: People, project: ProjectId
) -> None:
    robot, ada = await people.service("default", "nightly"), await people.user("ada", default="editor")
    old, narrow = await people.token(robot), await people.token(ada, only_project=project)

    async def ids(**query: Any) -> list[str]:
        return [t["id"] for t in (await client.get(f"{API}/tokens", params=query)).json()["items"]]

    assert await ids() == []
    assert await ids(account=str(robot.id)) == [str(old.token.id)]
    assert await ids(project="default") == [str(narrow.token.id), str(old.token.id)]
    assert await ids(project="default", limit=1, after=str(narrow.token.id)) == [str(old.token.id)]
    renewed = await client.post(f"{API}/tokens/{old.token.id}/rotate", json={"overlap_seconds": 60})
    assert (renewed.status_code, renewed.json()["token"]["name"]) == (201, "test")
    assert (await client.get(f"{API}/jobs", headers=bearer(renewed.json()["secret"]))).status_code == 200
    problem_of(await client.post(f"{API}/tokens/{old.token.id}/rotate"), 409, "CONFLICT")
    for _ in range(2):
        revoked = await client.post(f"{API}/tokens/{old.token.id}/revoke")
        assert (revoked.status_code, revoked.json()["rotated_to"]) == (200, renewed.json()["token"]["id"])
    page = await client.get(f"{API}/tokens", params={"project": "default"})
    for secret in (old.secret.text, renewed.json()["secret"], narrow.secret.text):
        assert secret not in page.text
    assert page.headers["etag"]
    theirs = bearer(narrow.secret.text)
    problem_of(await client.get(f"{API}/tokens", params={"project": "default"}, headers=theirs), 403, "FORBIDDEN")
    for action in ("rotate", "revoke"):  # whoever may not manage it does not see it, as one that is not there
        for token in (renewed.json()["token"]["id"], new_id()):
            problem_of(await client.post(f"{API}/tokens/{token}/{action}", headers=theirs), 404, "NOT_FOUND")


async def test_what_cannot_be_a_token_is_refused(client: httpx.AsyncClient, people: People) -> None:
    now = datetime.now(UTC)
    for wrong in (
        {"name": ""}, {"name": "x", "scopes": []}, {"name": "x", "scopes": ["everything"]},
        {"name": "x", "expires_at": "2026-11-24T09:00:00"}, {"name": "x", "expires_at": now.isoformat()},
        {"name": "x", "expires_at": (now + timedelta(days=400)).isoformat()}, {"name": "x", "role": "admin"},
        {"name": "x", "account_id": "1"}, {"name": "x", "lifetime_seconds": 0}, {"name": "x", "lifetime_seconds": 366 * 86_400 + 1},
        {"name": "x", "lifetime_seconds": 60, "expires_at": (now + timedelta(days=4)).isoformat()},
    ):  # fmt: skip
        problem_of(await client.post(f"{API}/tokens", json=wrong), 422, "INVALID_INPUT")
    problem_of(await client.post(f"{API}/tokens", json={"name": "x", "account": "nobody"}), 404, "NOT_FOUND")
    assert await people.audit() == []


async def test_a_token_lives_as_long_as_it_says_by_the_servers_clock(client: httpx.AsyncClient) -> None:
    made = await client.post(f"{API}/tokens", json={"name": "x", "lifetime_seconds": 366 * 86_400})
    token = made.json()["token"]
    ends, begins = (datetime.fromisoformat(token[name]) for name in ("expires_at", "not_before"))
    assert (made.status_code, ends - begins) == (201, timedelta(days=366))


async def test_whoever_calls_is_told_the_project_of_requests_that_name_none(
    client: httpx.AsyncClient, people: People, project: ProjectId
) -> None:
    """Unless they may not see it: then there is nothing to tell."""
    assert (await client.get(f"{API}/whoami")).json()["default_project"] == "default"
    ada, grace = await people.user("ada", default="viewer"), await people.user("grace", vision="admin")
    for account, project in ((ada, "default"), (grace, None)):
        mine = bearer((await people.token(account)).secret.text)
        assert (await client.get(f"{API}/whoami", headers=mine)).json()["default_project"] == project


async def test_the_audit_log_is_read_by_who_what_and_when(client: httpx.AsyncClient, people: People) -> None:
    ada = await people.user("ada", default="admin")
    mine = bearer((await people.token(ada)).secret.text)
    await client.put(f"{API}/secrets/HUB", json={"value": "canary-value"}, headers=mine)
    await client.delete(f"{API}/secrets/HUB", headers=mine)

    async def actions(**query: Any) -> list[str]:
        answer = await client.get(f"{API}/audit", params=query, headers=mine)
        assert answer.status_code == 200, answer.text
        assert "canary-value" not in answer.text
        return [e["action"] for e in answer.json()["items"]]

    of_secrets = ["secret.delete", "secret.put"]
    assert await actions() == [*of_secrets, "member.add"]
    assert await actions(project="default", account="ada") == of_secrets
    assert await actions(action="secret.put") == ["secret.put"]
    assert await actions(object_kind="secret", object_id="HUB") == of_secrets
    assert await actions(outcome="refused") == []
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert (await actions(since=later), await actions(before=later, object_kind="secret")) == ([], of_secrets)
    for wrong in (
        {"object_id": "HUB"},
        {"outcome": "maybe"},
        {"since": "2026-11-24T09:00:00"},
        {"who": "ada"},
        {"since": "0001-01-01T00:00:00Z"},
        {"before": "9999-12-31T23:59:59Z"},
    ):
        problem_of(await client.get(f"{API}/audit", params=wrong, headers=mine), 422, "INVALID_INPUT")
    first = (await client.get(f"{API}/audit", params={"limit": 2}, headers=mine)).json()
    rest = (await client.get(f"{API}/audit", params={"after": first["next"]}, headers=mine)).json()
    assert ([e["action"] for e in rest["items"]], rest["next"]) == (["member.add"], None)


async def test_accounts_are_listed_read_and_switched(client: httpx.AsyncClient, people: People) -> None:
    ada = await people.user("ada", default="viewer")
    await people.user("grace")
    listed = (await client.get(f"{API}/accounts", params={"limit": 2})).json()
    assert ([a["name"] for a in listed["items"]], listed["next"]) == (["ada", "grace"], "grace")
    mine = bearer((await people.token(ada)).secret.text)
    assert [a["name"] for a in (await client.get(f"{API}/accounts", headers=mine)).json()["items"]] == ["ada"]
    problem_of(await client.get(f"{API}/accounts/grace", headers=mine), 404, "NOT_FOUND")
    await people.service("default", "nightly")
    await people.service("vision", "nightly")

    async def named(name: str, **more: Any) -> list[str]:
        answer = await client.get(f"{API}/accounts", params={"name": name}, **more)
        assert answer.json()["next"] is None
        return [a["name"] for a in answer.json()["items"]]

    assert await named("default/nightly", headers=mine) == ["default/nightly"]
    assert [await named(name, headers=mine) for name in ("vision/nightly", "grace", "nobody", "")] == [[]] * 4
    assert await named("vision/nightly") == ["vision/nightly"]
    for verb, is_off in (("disable", True), ("disable", True), ("enable", False)):
        answer = await client.post(f"{API}/accounts/grace/{verb}")
        assert (answer.json()["disabled_at"] is not None) is is_off
    raised = await client.put(f"{API}/accounts/grace/superadmin", json={"is_superadmin": True})
    assert raised.json()["is_superadmin"]
    problem_of(await client.post(f"{API}/accounts/{new_id()}/disable"), 404, "NOT_FOUND")


async def test_an_address_is_seen_by_its_owner_and_by_who_manages_a_project_of_theirs(
    client: httpx.AsyncClient, people: People
) -> None:
    ada = await people.user("ada", email="ada@example.com", default="admin")
    grace = await people.user("grace", email="grace@example.com", default="editor")
    await people.user("zoe", email="zoe@example.com")

    async def seen(headers: dict[str, str]) -> dict[str, str | None]:
        listed = (await client.get(f"{API}/accounts", headers=headers)).json()["items"]
        for one in listed:
            assert (await client.get(f"{API}/accounts/{one['id']}", headers=headers)).json() == one
            named = await client.get(f"{API}/accounts", params={"name": one["name"]}, headers=headers)
            assert named.json()["items"] == [one]
        return {account["name"]: account["email"] for account in listed}

    theirs = {"ada": "ada@example.com", "grace": "grace@example.com"}
    assert await seen({}) == theirs | {"owner": "", "zoe": "zoe@example.com"}
    assert await seen(bearer((await people.token(ada)).secret.text)) == theirs
    assert await seen(bearer((await people.token(grace)).secret.text)) == theirs | {"ada": None}
    robot = await client.post(f"{API}/accounts/service", json={"name": "nightly", "role": "editor"})
    assert robot.json()["email"] == ""


async def test_a_project_is_made_in_a_domain_whose_admins_are_its(client: httpx.AsyncClient, people: People) -> None:
    made = await client.post(f"{API}/projects", json={"name": "vision", "domain": "research"})
    assert (made.status_code, made.json()["domain"]) == (201, "research")
    assert (await client.post(f"{API}/projects", json={"name": "vision"})).status_code == 200
    problem_of(await client.post(f"{API}/projects", json={"name": "vision", "domain": "sales"}), 409, "CONFLICT")
    ada = await people.user("ada")
    assert (await client.put(f"{API}/domains/research/admins/ada")).status_code == 204
    mine = bearer((await people.token(ada)).secret.text)
    seen = (await client.get(f"{API}/projects", headers=mine)).json()["items"]
    assert [(p["name"], p["domain"]) for p in seen] == [("vision", "research")]
    moved = await client.put(f"{API}/projects/vision/domain", json={"domain": "sales"})
    assert moved.json()["domain"] == "sales"
    assert (await client.delete(f"{API}/domains/research/admins/{ada.id}")).status_code == 204


@pytest.mark.parametrize("path", ["accounts", "members", "tokens?project=default", "audit"])
async def test_lists_cost_the_same_however_long(
    client: httpx.AsyncClient, app: FastAPI, people: People, path: str
) -> None:
    counts = []
    for names in ("ab", "cde"):
        for name in names:
            await people.token(await people.service("default", name))
        await client.get(f"{API}/{path}")  # who calls is looked up once for some seconds
        with counting() as statements:
            assert (await client.get(f"{API}/{path}")).status_code == 200
        counts.append(statements.count)
    assert counts[0] == counts[1] <= 2
