"""Accounts, members, tokens and the audit log over GraphQL, by people with tokens of their own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from fasttrack.db import Database
from fasttrack.domain.access import Permission
from fasttrack.domain.tokens import TokenKind, kind_of
from fasttrack.ids import ProjectId
from fasttrack.workflow import tokens as workflow_tokens
from fasttrack_api.graphql.ids import Kind
from tests.api.graphql.conftest import Asking, gid
from tests.factories import a_file
from tests.people import People, entries

TOKEN = "secret token { id uuid name kind accountName scopes project { name } expiresAt revokedAt rotatedTo }"


@pytest.fixture
def people(database: Database) -> People:
    return People(database)


class Desk:
    """GraphQL as whoever has a token; without one it is the owner, from this machine."""

    def __init__(self, app: FastAPI, project: ProjectId) -> None:
        self.app = app
        self.project = project

    def __call__(self, token: str | None = None) -> Asking:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 5000), raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers)
        return Asking(client, self.project)


@pytest.fixture
def desk(app: FastAPI, project: ProjectId) -> Desk:
    return Desk(app, project)


async def done(ask: Asking, name: str, fields: str, /, **input: Any) -> Any:
    payload = await ask.do(name, fields, **input)
    assert payload["errors"] == [], (name, payload)
    return payload


async def codes(ask: Asking, name: str, /, **input: Any) -> list[str]:
    return [e["code"] for e in (await ask.do(name, "__typename", **input))["errors"]]


async def test_from_nothing_to_a_program_that_runs_a_pipeline(desk: Desk, database: Database) -> None:
    owner = desk()
    project = {"projectId": owner.project_id}
    await done(owner, "createAccount", "account { id }", name="ada", displayName="Ada L.", email="ada@example.com")
    member = await done(
        owner,
        "addMember",
        "member { role addedBy account { id name kind } }",
        **project,
        accountName="ada",
        role="ADMIN",
    )
    assert member["member"]["account"] | {"id": ""} == {"id": "", "name": "ada", "kind": "USER"}
    assert (member["member"]["role"], member["member"]["addedBy"]) == ("ADMIN", "owner")
    first = await done(owner, "createToken", TOKEN, name="laptop", accountId=member["member"]["account"]["id"])

    ada = desk(first["secret"])
    program = await done(
        ada,
        "createServiceAccount",
        "account { id name kind project { name } }",
        **project,
        name="nightly",
        role="EDITOR",
    )
    assert program["account"] | {"id": ""} == {
        "id": "", "name": "default/nightly", "kind": "SERVICE", "project": {"name": "default"},
    }  # fmt: skip
    made = await done(
        ada, "createToken", TOKEN, name="ci", accountId=program["account"]["id"], scopes=["READ", "EDIT", "RUN"]
    )
    assert kind_of(made["secret"]) is TokenKind.SERVICE
    assert (made["token"]["scopes"], made["token"]["project"]) == (["READ", "EDIT", "RUN"], {"name": "default"})

    nightly = desk(made["secret"])
    published = await done(nightly, "publishPipeline", "pipeline { id }", **project, yaml=a_file({"a": ""}))
    ran = await done(nightly, "runPipeline", "job { submittedBy }", pipelineId=published["pipeline"]["id"])
    assert ran["job"]["submittedBy"] == "default/nightly"
    assert await codes(nightly, "createToken", name="more") == ["FORBIDDEN"]

    log = '{ project(name: "default") { auditEntries { nodes { accountName action outcome tokenId account { name } } } } }'
    seen = [e for e in (await ada(log))["project"]["auditEntries"]["nodes"] if e["accountName"] != "owner"]
    assert [(e["accountName"], e["action"], e["outcome"]) for e in seen] == [
        ("default/nightly", "job.run", "DONE"),
        ("default/nightly", "pipeline.publish", "DONE"),
        ("ada", "token.create", "DONE"),
        ("ada", "account.create", "DONE"),
    ]
    assert [e["tokenId"] for e in seen] == [made["token"]["id"]] * 2 + [first["token"]["id"]] * 2
    assert [e["account"]["name"] for e in seen] == [e["accountName"] for e in seen]
    assert made["secret"] not in str(await entries(database))


async def test_whoever_calls_sees_itself_its_tokens_and_the_one_it_came_with(desk: Desk, people: People) -> None:
    ada = await people.user("ada", default="editor")
    old, new = await people.token(ada), await people.token(ada, Permission.READ)
    query = "{ viewer { name scopes account { id uuid name email } currentToken { id name scopes } tokens(first: 1) { nodes { id } pageInfo { hasNextPage endCursor } } } }"
    viewer = (await desk(new.secret.text)(query))["viewer"]
    assert viewer["account"] == {"id": gid(Kind.ACCOUNT, ada.id), "uuid": str(ada.id), "name": "ada", "email": ""}
    assert viewer["currentToken"] == {"id": gid(Kind.TOKEN, new.token.id), "name": "test", "scopes": ["READ"]}
    assert viewer["tokens"]["nodes"] == [{"id": gid(Kind.TOKEN, new.token.id)}]
    after = viewer["tokens"]["pageInfo"]["endCursor"]
    more = await desk(new.secret.text)("query($a: String) { viewer { tokens(after: $a) { nodes { id } } } }", a=after)
    assert more["viewer"]["tokens"]["nodes"] == [{"id": gid(Kind.TOKEN, old.token.id)}]
    here = (await desk()("{ viewer { name account { name } currentToken { id } } }"))["viewer"]
    assert here == {"name": "owner", "account": {"name": "owner"}, "currentToken": None}


async def test_a_token_is_renewed_and_revoked_and_its_text_told_once(desk: Desk, people: People) -> None:
    ada = await people.user("ada", default="editor")
    secret = (await people.token(ada)).secret.text
    ask = desk(secret)
    own = (await ask("{ viewer { currentToken { id } } }"))["viewer"]["currentToken"]["id"]
    renewed = await done(ask, "rotateToken", TOKEN, tokenId=own, overlapSeconds=60)
    new = desk(renewed["secret"])
    assert (await new("{ viewer { currentToken { id } } }"))["viewer"]["currentToken"]["id"] == renewed["token"]["id"]
    assert await codes(ask, "rotateToken", tokenId=own) == ["CONFLICT"]
    assert await codes(new, "rotateToken", tokenId=renewed["token"]["id"], overlapSeconds=604_801) == ["INVALID_INPUT"]
    for _ in range(2):
        revoked = await done(new, "revokeToken", "token { id revokedAt rotatedTo }", tokenId=own)
        assert revoked["token"]["revokedAt"] is not None
        assert revoked["token"]["rotatedTo"] == renewed["token"]["id"]
    everything = await new.raw("{ viewer { tokens { nodes { id name revokedAt rotatedTo lastUsedAt createdBy } } } }")
    for text in (secret, renewed["secret"]):
        assert text not in str(everything)
    assert [a for _, a, _, _ in await people.audit()][-2:] == ["token.rotate", "token.revoke"]


async def test_a_token_gives_no_more_than_it_has(desk: Desk, people: People, project: ProjectId) -> None:
    ada = await people.user("ada", default="admin")
    program = gid(Kind.ACCOUNT, (await people.service("default", "nightly")).id)
    narrow = desk((await people.token(ada, Permission.READ, Permission.MANAGE)).secret.text)
    assert await codes(narrow, "createToken", name="x", scopes=["READ", "RUN"]) == ["FORBIDDEN"]
    assert await codes(narrow, "createToken", name="x", accountId=program, scopes=["RUN"]) == ["FORBIDDEN"]
    assert (await done(narrow, "createToken", TOKEN, name="x"))["token"]["scopes"] == ["READ", "MANAGE"]
    for_one = desk((await people.token(ada, only_project=project)).secret.text)
    assert (await done(for_one, "createToken", TOKEN, name="x"))["token"]["project"] == {"name": "default"}
    grace = gid(Kind.ACCOUNT, (await people.user("grace", default="viewer")).id)
    assert await codes(narrow, "createToken", name="x", accountId=grace) == ["NOT_FOUND"]
    bound = await done(narrow, "createToken", "secret token { isStoredOnly }", name="x", isStoredOnly=True)
    assert bound["token"] == {"isStoredOnly": True}
    assert await desk(bound["secret"]).code("{ viewer { name } }") == "STORED_OPERATIONS_ONLY"
    soon = datetime.now(UTC) + timedelta(days=1)
    ending = await done(desk(), "createToken", TOKEN, name="x", expiresAt=soon.isoformat())
    assert datetime.fromisoformat(ending["token"]["expiresAt"]) == soon
    for wrong in (
        {"name": ""}, {"name": "x", "scopes": []}, {"name": "x", "expiresAt": "2026-11-24T09:00:00"},
        {"name": "x", "expiresAt": (soon - timedelta(days=2)).isoformat()},
        {"name": "x", "expiresAt": (soon + timedelta(days=400)).isoformat()},
    ):  # fmt: skip
        assert await codes(desk(), "createToken", **wrong) == ["INVALID_INPUT"], wrong


async def test_a_token_is_made_once_whatever_becomes_of_the_commit(
    desk: Desk, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    async def broken(*_: object, **__: object) -> None:
        tries.append(1)
        raise asyncpg.SerializationError("could not serialize access")

    monkeypatch.setattr(workflow_tokens.stored, "insert_token", broken)
    assert await codes(desk(), "createToken", name="x") == ["UNAVAILABLE"]
    assert len(tries) == 1
    assert await people.audit() == []


async def test_members_change_leave_and_the_last_admin_stays(desk: Desk, people: People) -> None:
    project = {"projectId": desk().project_id}
    ada, grace = await people.user("ada", default="admin"), await people.user("grace", default="viewer")
    admin = desk((await people.token(ada)).secret.text)
    viewer = desk((await people.token(grace)).secret.text)
    of_ada, of_grace = ({"accountId": gid(Kind.ACCOUNT, a.id)} for a in (ada, grace))
    assert await codes(admin, "changeMemberRole", **project, **of_ada, role="VIEWER") == ["CONFLICT"]
    assert await codes(admin, "removeMember", **project, **of_ada) == ["CONFLICT"]
    assert await codes(viewer, "changeMemberRole", **project, **of_grace, role="ADMIN") == ["FORBIDDEN"]
    assert await codes(admin, "addMember", **project, **of_grace, role="ADMIN") == ["CONFLICT"]
    assert await codes(admin, "addMember", **project, role="ADMIN") == ["INVALID_INPUT"]
    assert await codes(admin, "addMember", **project, accountName="nobody", role="ADMIN") == ["NOT_FOUND"]
    changed = await done(
        admin, "changeMemberRole", "member { role account { name } }", **project, **of_grace, role="OPERATOR"
    )
    assert changed["member"] == {"role": "OPERATOR", "account": {"name": "grace"}}
    left = await done(viewer, "removeMember", "accountId", **project, **of_grace)
    assert left["accountId"] == of_grace["accountId"]
    listed = await admin('{ project(name: "default") { members { nodes { role account { name } } } } }')
    assert listed["project"]["members"]["nodes"] == [{"role": "ADMIN", "account": {"name": "ada"}}]


async def test_a_domains_admin_is_one_of_each_of_its_projects(desk: Desk, people: People) -> None:
    owner = desk()
    ada = await people.user("ada")
    of_ada = {"accountId": gid(Kind.ACCOUNT, ada.id)}
    made = await done(owner, "createProject", "project { id domain }", name="vision", domain="research")
    assert made["project"]["domain"] == "research"
    assert await codes(owner, "createProject", name="vision", domain="sales") == ["CONFLICT"]
    assert await codes(owner, "createProject", name="speech", domain="a b") == ["INVALID_INPUT"]
    await done(owner, "addDomainAdmin", "account { name }", **of_ada, domain="research")
    admin = desk((await people.token(ada)).secret.text)
    query = "{ projects { nodes { name domain viewerPermissions } } }"
    assert (await admin(query))["projects"]["nodes"] == [
        {"name": "vision", "domain": "research", "viewerPermissions": [p.name for p in Permission]}
    ]
    moved = await done(owner, "changeDomain", "project { domain }", projectId=made["project"]["id"], domain="sales")
    assert moved["project"] == {"domain": "sales"}
    async with people.database.transaction() as db:
        assert await db.value("SELECT count(*) FROM project WHERE domain = 'sales'") == 1
    assert await codes(owner, "addDomainAdmin", **of_ada, domain="a b") == ["INVALID_INPUT"]


async def test_accounts_are_disabled_and_the_last_superadmin_stays(desk: Desk, people: People) -> None:
    owner = desk()
    of_owner = {"accountId": (await owner("{ viewer { account { id } } }"))["viewer"]["account"]["id"]}
    assert await codes(owner, "changeSuperadmin", **of_owner, isSuperadmin=False) == ["CONFLICT"]
    assert await codes(owner, "disableAccount", **of_owner) == ["CONFLICT"]
    program = {"accountId": gid(Kind.ACCOUNT, (await people.service("default", "nightly")).id)}
    assert await codes(owner, "changeSuperadmin", **program, isSuperadmin=True) == ["INVALID_INPUT"]
    off = await done(owner, "disableAccount", "account { disabledAt }", **program)
    assert off["account"]["disabledAt"] is not None
    assert await codes(owner, "createToken", **program, name="x") == ["CONFLICT"]
    assert (await done(owner, "enableAccount", "account { disabledAt }", **program))["account"] == {"disabledAt": None}
    ada = {"accountId": (await done(owner, "createAccount", "account { id }", name="ada"))["account"]["id"]}
    assert await codes(owner, "createAccount", name="ada") == ["CONFLICT"]
    assert await codes(owner, "createAccount", name="no/slash") == ["INVALID_INPUT"]
    raised = await done(owner, "changeSuperadmin", "account { isSuperadmin }", **ada, isSuperadmin=True)
    assert raised["account"] == {"isSuperadmin": True}


async def test_an_address_is_seen_by_its_owner_and_by_who_manages_a_project_of_theirs(
    desk: Desk, people: People, statements: Callable[[], Any]
) -> None:
    boss = await people.user("ada", email="ada@example.com", default="admin", vision="viewer")
    grace = await people.user("grace", email="grace@example.com", default="editor")
    await people.user("linus", email="linus@example.com", default="viewer", vision="viewer")
    await people.user("zoe", email="zoe@example.com", vision="admin")
    head = await people.user("head")
    await done(desk(), "createProject", "__typename", name="speech", domain="research")
    await done(desk(), "addDomainAdmin", "__typename", accountId=gid(Kind.ACCOUNT, head.id), domain="research")
    await people.user("tim", email="tim@example.com", speech="viewer")

    async def seen(ask: Asking) -> dict[str, str | None]:
        nodes = (await ask("{ accounts { nodes { name email } } }"))["accounts"]["nodes"]
        return {node["name"]: node["email"] for node in nodes}

    everybody = {
        "ada": "ada@example.com", "grace": "grace@example.com", "head": "", "linus": "linus@example.com", "owner": "",
        "tim": "tim@example.com", "zoe": "zoe@example.com",
    }  # fmt: skip
    assert await seen(desk()) == everybody
    admin = desk((await people.token(boss)).secret.text)
    member = desk((await people.token(grace)).secret.text)
    assert await seen(admin) == {
        "ada": "ada@example.com", "grace": "grace@example.com", "linus": "linus@example.com", "zoe": None,
    }  # fmt: skip
    assert await seen(member) == {"ada": None, "grace": "grace@example.com", "linus": None}
    assert await seen(desk((await people.token(head)).secret.text)) == {"tim": "tim@example.com"}
    # A token that does not manage shows what a member sees.
    narrow = desk((await people.token(boss, Permission.READ)).secret.text)
    assert await seen(narrow) == {"ada": "ada@example.com", "grace": None, "linus": None, "zoe": None}
    # Found by name so as to be made a member, and no more than that.
    assert (await admin('{ account(name: "tim") { name email } }'))["account"] == {"name": "tim", "email": None}
    assert (await member("{ viewer { account { email } } }"))["viewer"]["account"] == {"email": "grace@example.com"}
    of_members = '{ project(name: "default") { members { nodes { account { email } } } } }'
    shown = (await member(of_members))["project"]["members"]["nodes"]
    assert [m["account"]["email"] for m in shown] == [None, "grace@example.com", None]
    with statements() as one:
        await member("{ accounts(first: 1) { nodes { name email } } }")
    with statements() as many:
        await member("{ accounts { nodes { name email } } }")
    assert one == many


async def test_who_may_not_manage_gets_the_rest_and_null(desk: Desk, people: People) -> None:
    viewer = desk((await people.token(await people.user("ada", default="viewer"))).secret.text)
    answer = await viewer.raw(
        '{ project(name: "default") { name tokens { nodes { id } } auditEntries { nodes { id } } members { nodes { role } } } }'
    )
    assert answer["data"]["project"] == {
        "name": "default", "tokens": None, "auditEntries": None, "members": {"nodes": [{"role": "VIEWER"}]},
    }  # fmt: skip
    assert sorted(e["path"][-1] for e in answer["errors"]) == ["auditEntries", "tokens"]
    assert {e["extensions"]["code"] for e in answer["errors"]} == {"FORBIDDEN"}
    assert await viewer.code("{ auditEntries { nodes { id } } }") == "FORBIDDEN"
    assert [n["name"] for n in (await viewer("{ accounts { nodes { name } } }"))["accounts"]["nodes"]] == ["ada"]


async def test_a_node_of_somebody_else_is_null(desk: Desk, people: People) -> None:
    theirs = await people.service("elsewhere", "nightly")
    token = (await people.token(theirs)).token.id
    async with people.database.transaction() as db:
        entry = await db.value("SELECT id FROM audit_entry WHERE action = 'token.create'")
    ids = [gid(Kind.ACCOUNT, theirs.id), gid(Kind.TOKEN, token), gid(Kind.AUDIT_ENTRY, entry)]
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { id __typename } }"
    found = (await desk()(query, ids=ids))["nodes"]
    assert found == [
        {"id": i, "__typename": kind} for i, kind in zip(ids, ("Account", "Token", "AuditEntry"), strict=True)
    ]
    admin = desk((await people.token(await people.user("ada", default="admin"))).secret.text)
    assert (await admin(query, ids=ids))["nodes"] == [None, None, None]
    assert await admin.code("query($i: ID!) { account(id: $i) { id } }", i=ids[0]) == "NOT_FOUND"
    assert await admin.code('{ account(name: "elsewhere/nightly") { id } }') == "NOT_FOUND"
    assert (await admin('{ account(name: "owner") { name } }'))["account"] == {"name": "owner"}  # to be made a member
    assert await admin.code("{ account { name } }") == "INVALID_INPUT"


async def test_the_audit_log_is_asked_for_by_who_what_and_when(desk: Desk, people: People, project: ProjectId) -> None:
    ada = await people.user("ada", default="admin")
    admin = desk((await people.token(ada)).secret.text)
    secret = {"projectId": admin.project_id, "name": "HUB"}
    await done(admin, "putSecret", "secret { name }", **secret, value="canary-value")
    await done(admin, "deleteSecret", "name", **secret)

    async def actions(filter: dict[str, Any], *, of_project: bool = False) -> list[str]:
        part = "auditEntries(filter: $f) { nodes { action } }"
        whole = f'project(name: "default") {{ {part} }}' if of_project else part
        found = await admin(f"query($f: AuditFilter) {{ {whole} }}", f=filter)
        return [e["action"] for e in (found["project"] if of_project else found)["auditEntries"]["nodes"]]

    mine = ["secret.delete", "secret.put"]
    assert await actions({"accountId": gid(Kind.ACCOUNT, ada.id)}) == mine
    assert await actions({"accountId": gid(Kind.ACCOUNT, ada.id)}, of_project=True) == mine
    assert await actions({"action": "secret.put"}) == ["secret.put"]
    assert await actions({"objectKind": "secret", "objectId": "HUB"}) == mine
    assert await actions({"objectKind": "secret", "objectId": "OTHER"}) == []
    assert await actions({"objectKind": "secret", "outcome": "REFUSED"}) == []
    now = datetime.now(UTC)
    assert await actions({"objectKind": "secret", "since": (now - timedelta(hours=1)).isoformat()}) == mine
    assert await actions({"since": (now + timedelta(hours=1)).isoformat()}) == []
    assert await actions({"before": (now - timedelta(hours=1)).isoformat()}) == []
    for wrong in ({"objectId": "HUB"}, {"action": "x" * 201}, {"since": "2026-11-24T09:00:00"}):
        assert (
            await admin.code("query($f: AuditFilter) { auditEntries(filter: $f) { nodes { id } } }", f=wrong)
            == "INVALID_INPUT"
        )
    assert {e["project_id"] for e in await entries(people.database) if e["account_name"] == "ada"} == {project}


LISTS = {
    "accounts": "accounts(%s) { nodes { name project { name } } pageInfo { hasNextPage endCursor startCursor } }",
    "members": 'project(name: "default") { members(%s) { nodes { role account { name } } pageInfo { hasNextPage endCursor startCursor } } }',
    "serviceAccounts": 'project(name: "default") { serviceAccounts(%s) { nodes { name } pageInfo { hasNextPage endCursor startCursor } } }',
    "tokens": 'project(name: "default") { tokens(%s) { nodes { id account { name } } pageInfo { hasNextPage endCursor startCursor } } }',
    "auditEntries": "auditEntries(%s) { nodes { id account { name } project { name } } pageInfo { hasNextPage endCursor startCursor } }",
}


@pytest.mark.parametrize("name", sorted(LISTS))
async def test_lists_are_pages_both_ways_and_cost_the_same_however_long(
    desk: Desk, people: People, statements: Callable[[], Any], name: str
) -> None:
    owner = desk()

    async def page(arguments: str) -> Any:
        found = await owner("{ " + LISTS[name] % arguments + " }")
        return (found.get("project") or found)[name]

    async def more(*names: str) -> None:
        for one in names:
            await people.token(await people.service("default", one))

    counts = []
    for names in ("ab", "cde"):
        await more(*names)
        await page("first: 1")  # who calls is looked up once for some seconds
        with statements() as count:
            whole = await page("first: 100")
        counts.append(count[0])
    assert counts[0] == counts[1] <= 3
    seen, after = [], ""
    while True:
        part = await page(f"first: 2{after}")
        seen += part["nodes"]
        if not part["pageInfo"]["hasNextPage"]:
            break
        after = f', after: "{part["pageInfo"]["endCursor"]}"'
    assert seen == whole["nodes"]
    last = await page("last: 3")
    assert last["nodes"] == whole["nodes"][-3:]
    before = await page(f'last: 1, before: "{last["pageInfo"]["startCursor"]}"')
    assert before["nodes"] == [whole["nodes"][-4]]
