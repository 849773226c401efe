"""Accounts and members: who may make, change and see them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fasttrack.db import Database, Db
from fasttrack.db.windows import Window
from fasttrack.domain.access import OWNER, AccountKind, Permission, Role
from fasttrack.errors import Conflict, Forbidden, InvalidInput, NotFound
from fasttrack.ids import ProjectId, new_id
from fasttrack.workflow import accounts, members
from tests.people import CountedDatabase, People, everything, refused, utc_now


@pytest.fixture
def people(database: Database) -> People:
    return People(database)


async def test_the_owner_is_there_from_the_first(people: People) -> None:
    owner = await people.owner()
    assert (owner.account_id, owner.name, owner.is_superadmin) == (OWNER, "root", True)
    found = await people.database.run(lambda db: accounts.find_account(db, owner, OWNER))
    assert (found.name, found.kind, found.is_superadmin) == ("owner", AccountKind.USER, True)


async def test_only_a_superadmin_makes_people(people: People) -> None:
    admin = await people.caller(await people.user("ada", vision="admin"))
    await refused(people, Forbidden, lambda db: accounts.create_user(db, admin, "grace"))
    root = await people.user("root2", superadmin=True)
    narrow = await people.caller(root, only_project=await people.project("vision"))
    await refused(people, Forbidden, lambda db: accounts.create_user(db, narrow, "grace"))
    reader = await people.caller(root, scopes=frozenset({Permission.READ}))
    await refused(people, Forbidden, lambda db: accounts.create_user(db, reader, "grace"))
    full = await people.caller(root)
    made = await people.database.run(lambda db: accounts.create_user(db, full, "grace", email="g@example.com"))
    assert (made.name, made.email, made.is_superadmin) == ("grace", "g@example.com", False)
    assert (await people.audit())[-1] == (
        "root2",
        "account.create",
        None,
        {"name": "grace", "kind": "user", "display_name": "", "email": "g@example.com", "is_superadmin": False},
    )
    await refused(people, Conflict, lambda db: accounts.create_user(db, full, "grace"), "there is an account grace")


@pytest.mark.parametrize("name", ["", " ", "a b", "a/b", "-a", "x" * 65, "a\n", "é", "a\0", "../x", "'; --"])
async def test_a_name_that_cannot_be_is_refused(people: People, name: str) -> None:
    owner = await people.owner()
    await refused(people, InvalidInput, lambda db: accounts.create_user(db, owner, name), "cannot be a name")


async def test_an_admin_makes_programs_of_the_own_project_alone(people: People) -> None:
    admin = await people.caller(await people.user("ada", vision="admin"))
    editor = await people.caller(await people.user("grace", vision="editor"))
    vision, speech = await people.project("vision"), await people.project("speech")

    def make(caller: Any, project: ProjectId) -> Callable[[Db], Awaitable[Any]]:
        return lambda db: accounts.create_service_account(db, caller, project, "vision", "nightly", Role.EDITOR)

    await refused(people, NotFound, make(admin, speech))
    await refused(people, Forbidden, make(editor, vision))
    made = await people.database.run(make(admin, vision))
    assert (made.name, made.kind, made.project_id) == ("vision/nightly", AccountKind.SERVICE, vision)
    assert (await people.caller(made)).roles == {vision: Role.EDITOR}
    await refused(people, Conflict, make(admin, vision), "service account nightly already")
    owner = await people.owner()
    await refused(people, InvalidInput, lambda db: accounts.change_superadmin(db, owner, made.id, True))
    await refused(people, NotFound, lambda db: members.add_member(db, owner, speech, made.id, Role.VIEWER))
    await refused(
        people, InvalidInput, lambda db: members.change_domain_admin(db, owner, made.id, "default", is_admin=True)
    )


async def test_the_last_superadmin_stays_one(people: People) -> None:
    owner = await people.owner()
    await refused(
        people, Conflict, lambda db: accounts.disable_account(db, owner, OWNER, now=utc_now()), "last superadmin"
    )
    await refused(people, Conflict, lambda db: accounts.change_superadmin(db, owner, OWNER, False), "last superadmin")
    other = await people.user("grace", superadmin=True)
    await people.database.run(lambda db: accounts.disable_account(db, owner, OWNER, now=utc_now()))
    grace = await people.caller(other)
    await refused(people, Conflict, lambda db: accounts.change_superadmin(db, grace, other.id, False))
    back = await people.database.run(lambda db: accounts.enable_account(db, grace, OWNER))
    assert back.disabled_at is None


async def test_of_two_superadmins_who_remove_each_other_at_once_one_stays(people: People) -> None:
    owner = await people.owner()
    other = await people.user("grace", superadmin=True)
    grace = await people.caller(other)
    outcomes = await asyncio.gather(
        people.database.run(lambda db: accounts.change_superadmin(db, owner, other.id, False)),
        people.database.run(lambda db: accounts.change_superadmin(db, grace, OWNER, False)),
        return_exceptions=True,
    )
    assert sorted(type(o).__name__ for o in outcomes) == ["Account", "Conflict"]


async def test_who_may_disable_whom(people: People) -> None:
    ada = await people.user("ada", vision="admin")
    grace = await people.user("grace", vision="editor", speech="editor")
    stranger = await people.user("alan")
    robot, other = await people.service("vision", "nightly"), await people.service("speech", "nightly")
    admin = await people.caller(ada)
    now = utc_now()
    await refused(people, Forbidden, lambda db: accounts.disable_account(db, admin, grace.id, now=now))
    for hidden in (stranger.id, other.id, new_id()):
        await refused(people, NotFound, lambda db, h=hidden: accounts.disable_account(db, admin, h, now=now))
    gone = await people.database.run(lambda db: accounts.disable_account(db, admin, robot.id, now=now))
    assert gone.disabled_at == now
    again = await people.database.run(lambda db: accounts.disable_account(db, admin, robot.id, now=utc_now()))
    assert again.disabled_at == now
    assert [entry[1] for entry in await people.audit()].count("account.disable") == 1


async def test_accounts_are_seen_by_those_who_share_a_project(people: People) -> None:
    ada = await people.user("ada", vision="viewer")
    await people.user("grace", vision="editor", speech="editor")
    alan = await people.user("alan", speech="admin")
    await people.service("vision", "nightly")
    caller = await people.caller(ada)

    async def names(who: Any, **page: Any) -> list[str]:
        found = await people.database.run(lambda db: accounts.list_accounts(db, who, Window(**{"size": 50} | page)))
        return [a.name for a in found.items]

    assert await names(caller) == ["ada", "grace", "vision/nightly"]
    assert await names(await people.owner()) == ["ada", "alan", "grace", "owner", "vision/nightly"]
    assert await names(caller, size=2) == ["ada", "grace"]
    assert await names(caller, size=2, after=["grace"]) == ["vision/nightly"]
    assert await names(await people.caller(ada, scopes=frozenset({Permission.RUN}))) == []
    assert await names(await people.caller(await people.user("new"))) == []
    for find in (
        lambda db: accounts.find_account(db, caller, alan.id),
        lambda db: accounts.find_account_named(db, caller, "alan"),
        lambda db: accounts.find_account_named(db, caller, "nobody"),
    ):
        await refused(people, NotFound, find, "there is no ")
    admin = await people.caller(alan)
    assert (await people.database.run(lambda db: accounts.find_account_named(db, admin, "ada"))).id == ada.id
    await refused(people, NotFound, lambda db: accounts.find_account_named(db, admin, "vision/nightly"))


async def test_members_are_added_changed_and_removed_and_written_down(people: People) -> None:
    admin = await people.caller(await people.user("ada", vision="admin"))
    grace = await people.user("grace")
    vision = await people.project("vision")
    run = people.database.run
    added = await run(lambda db: members.add_member(db, admin, vision, grace.id, Role.VIEWER))
    assert (added.name, added.role, added.added_by) == ("grace", Role.VIEWER, "ada")
    await refused(people, Conflict, lambda db: members.add_member(db, admin, vision, grace.id, Role.ADMIN), "already")
    changed = await run(lambda db: members.change_member(db, admin, vision, grace.id, Role.OPERATOR))
    assert changed.role is Role.OPERATOR
    listed = await run(lambda db: members.list_members(db, admin, vision))
    assert [(m.name, m.role) for m in listed.items] == [("ada", Role.ADMIN), ("grace", Role.OPERATOR)]
    await run(lambda db: members.remove_member(db, admin, vision, grace.id))
    await refused(people, NotFound, lambda db: members.remove_member(db, admin, vision, grace.id), "no member")
    await refused(
        people, NotFound, lambda db: members.change_member(db, admin, vision, grace.id, Role.ADMIN), "no member"
    )
    assert [entry for entry in await people.audit() if entry[0] == "ada"] == [
        ("ada", "member.add", None, {"name": "grace", "role": "viewer"}),
        ("ada", "member.change", {"name": "grace", "role": "viewer"}, {"name": "grace", "role": "operator"}),
        ("ada", "member.remove", {"name": "grace", "role": "operator"}, None),
    ]


async def test_what_is_so_already_is_not_written_down(people: People) -> None:
    owner, ada = await people.owner(), await people.user("ada", superadmin=True, vision="editor")
    vision = await people.project("vision")
    before = await everything(people)
    member = await people.database.run(lambda db: members.change_member(db, owner, vision, ada.id, Role.EDITOR))
    assert member.role is Role.EDITOR
    assert (await people.database.run(lambda db: accounts.change_superadmin(db, owner, ada.id, True))).is_superadmin
    await people.database.run(lambda db: members.change_domain(db, owner, vision, "default"))
    assert await everything(people) == before


@pytest.mark.parametrize("role", ["viewer", "editor", "operator"])
async def test_members_are_for_admins(people: People, role: str) -> None:
    caller = await people.caller(await people.user("ada", vision=role))
    grace, alan = await people.user("grace", vision="viewer"), await people.user("alan")
    vision = await people.project("vision")
    await refused(people, Forbidden, lambda db: members.add_member(db, caller, vision, alan.id, Role.VIEWER))
    await refused(people, Forbidden, lambda db: members.change_member(db, caller, vision, grace.id, Role.ADMIN))
    await refused(
        people, Forbidden, lambda db: members.change_member(db, caller, vision, caller.account_id, Role.ADMIN)
    )
    await refused(people, Forbidden, lambda db: members.remove_member(db, caller, vision, grace.id))
    reader = await people.caller(grace, scopes=frozenset({Permission.READ}))
    await refused(people, Forbidden, lambda db: members.remove_member(db, reader, vision, grace.id))
    await people.database.run(lambda db: members.remove_member(db, caller, vision, caller.account_id))  # leaves


async def test_another_project_is_as_if_it_were_not_there(people: People) -> None:
    admin = await people.caller(await people.user("ada", vision="admin"))
    grace = await people.user("grace", speech="editor")
    speech = await people.project("speech")
    for project in (speech, ProjectId(new_id())):
        for work in (
            lambda db, p=project: members.list_members(db, admin, p),
            lambda db, p=project: members.add_member(db, admin, p, grace.id, Role.VIEWER),
            lambda db, p=project: members.change_member(db, admin, p, grace.id, Role.VIEWER),
            lambda db, p=project: members.remove_member(db, admin, p, grace.id),
        ):
            await refused(people, NotFound, work, "there is no such project")


async def test_the_last_admin_stays(people: People) -> None:
    ada = await people.user("ada", vision="admin")
    admin, vision = await people.caller(ada), await people.project("vision")
    await refused(people, Conflict, lambda db: members.remove_member(db, admin, vision, ada.id), "last admin")
    await refused(
        people, Conflict, lambda db: members.change_member(db, admin, vision, ada.id, Role.VIEWER), "last admin"
    )
    grace = await people.user("grace", vision="admin")
    other = await people.caller(grace)
    outcomes = await asyncio.gather(
        people.database.run(lambda db: members.remove_member(db, admin, vision, grace.id)),
        people.database.run(lambda db: members.change_member(db, other, vision, ada.id, Role.VIEWER)),
        return_exceptions=True,
    )
    assert sorted(type(o).__name__ for o in outcomes) in (["Conflict", "NoneType"], ["Conflict", "Member"])


async def test_the_admin_of_a_domain_is_admin_of_its_projects(people: People) -> None:
    owner, ada = await people.owner(), await people.user("ada", vision="viewer")
    vision, speech, text = [await people.project(n) for n in ("vision", "speech", "text")]
    run = people.database.run
    for project in (vision, speech):
        await run(lambda db, p=project: members.change_domain(db, owner, p, "research"))
    await run(lambda db: members.change_domain_admin(db, owner, ada.id, "research", is_admin=True))
    await run(lambda db: members.change_domain_admin(db, owner, ada.id, "research", is_admin=True))
    assert (await people.caller(ada)).roles == {vision: Role.ADMIN, speech: Role.ADMIN}
    await run(lambda db: members.change_domain(db, owner, text, "research"))
    assert text in (await people.caller(ada)).roles
    await run(lambda db: members.change_domain_admin(db, owner, ada.id, "research", is_admin=False))
    assert (await people.caller(ada)).roles == {vision: Role.VIEWER}
    caller = await people.caller(ada)
    await refused(
        people, Forbidden, lambda db: members.change_domain_admin(db, caller, ada.id, "research", is_admin=True)
    )
    await refused(people, Forbidden, lambda db: members.change_domain(db, caller, vision, "mine"))
    await refused(people, NotFound, lambda db: members.change_domain(db, owner, ProjectId(new_id()), "mine"))
    actions = [entry[1] for entry in await people.audit()]
    assert [actions.count(a) for a in ("domain.add_admin", "domain.remove_admin", "project.change")] == [1, 1, 3]


async def test_lists_cost_one_statement_however_long(people: People) -> None:
    vision, owner = await people.project("vision"), await people.owner()
    counts = []
    for size in (2, 20):
        for i in range(size):
            await people.user(f"user-{size}-{i}", vision="viewer")
        counted = CountedDatabase(people.database)
        async with counted.transaction() as db:
            assert len((await members.list_members(db, owner, vision)).items) == (2 if size == 2 else 22)
            await accounts.list_accounts(db, owner)
        counts.append(counted.statements)
    assert counts == [2, 2]
