"""Tokens: nothing that one may do goes beyond what its maker may."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fasttrack.db import Database
from fasttrack.db.windows import Window
from fasttrack.domain.access import OWNER, Permission
from fasttrack.errors import Conflict, Forbidden, InvalidInput, NotFound
from fasttrack.ids import ProjectId, new_id
from fasttrack.workflow.accounts import disable_account
from fasttrack.workflow.tokens import MOST_LIVE, create_token, list_tokens, revoke_token, rotate_token
from tests.people import People, refused, utc_now


@pytest.fixture
def people(database: Database) -> People:
    return People(database)


def asks(caller: Any, **more: Any) -> Any:
    return lambda db: create_token(db, caller, **{"name": "ci", "now": utc_now(), **more})


async def test_a_token_is_made_with_its_limits_and_written_down_without_its_text(people: People) -> None:
    ada = await people.user("ada", vision="editor")
    caller, vision, now = await people.caller(ada), await people.project("vision"), utc_now()
    made = await people.database.run(
        asks(caller, scopes=[Permission.READ, Permission.RUN], only_project=vision, lifetime=timedelta(days=2), now=now)
    )
    token = made.token
    assert (token.account_name, token.name, token.only_project) == ("ada", "ci", vision)
    assert token.scopes == {Permission.READ, Permission.RUN}
    assert (token.not_before, token.expires_at) == (now, now + timedelta(days=2))
    who, action, before, after = (await people.audit())[-1]
    assert (who, action, before) == ("ada", "token.create", None)
    assert after["scopes"] == ["read", "run"]
    assert made.secret.text not in str(await people.audit())
    assert made.secret.hash.hex() not in str(await people.audit())


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"name": ""}, "1 to 64"),
        ({"name": "x" * 65}, "1 to 64"),
        ({"name": "a\nb"}, "1 to 64"),
        ({"scopes": []}, "at least one scope"),
        ({"lifetime": timedelta(0)}, "lives for a second"),
        ({"lifetime": timedelta(days=367)}, "366 days"),
        ({"not_before": utc_now() + timedelta(days=400)}, "begins to be valid"),
        ({"not_before": utc_now() - timedelta(days=2)}, "begins to be valid"),
    ],
)
async def test_what_no_token_can_be_is_refused(people: People, more: dict[str, Any], says: str) -> None:
    caller = await people.caller(await people.user("ada"))
    await refused(people, InvalidInput, asks(caller, **more), says)


async def test_a_token_made_with_a_token_is_no_more_than_that(people: People) -> None:
    ada = await people.user("ada", vision="admin", speech="editor")
    vision, speech = await people.project("vision"), await people.project("speech")
    first = await people.token(
        ada, Permission.READ, Permission.MANAGE, only_project=vision, lifetime=timedelta(hours=1)
    )
    caller = await people.caller(
        ada, token_id=first.token.id, scopes=first.token.scopes, only_project=first.token.only_project
    )
    await refused(people, Forbidden, asks(caller), "has not the scope edit, operate, run, secrets")
    await refused(people, Forbidden, asks(caller, scopes=[Permission.READ], only_project=speech), "for one project")
    late = utc_now() + timedelta(hours=2)
    await refused(people, Forbidden, asks(caller, scopes=[Permission.READ], not_before=late), "at the latest")
    made = await people.database.run(asks(caller, scopes=[Permission.READ]))
    assert made.token.only_project == vision
    assert made.token.expires_at == first.token.expires_at
    reader = await people.caller(ada, token_id=first.token.id, scopes=frozenset({Permission.READ}))
    await refused(people, Forbidden, asks(reader, scopes=[Permission.READ]), "cannot make tokens")


async def test_for_whom_a_token_may_be_made(people: People) -> None:
    ada = await people.caller(await people.user("ada", vision="admin"))
    grace = await people.user("grace", vision="editor")
    robot, other = await people.service("vision", "nightly"), await people.service("speech", "nightly")
    vision = await people.project("vision")
    made = await people.database.run(asks(ada, account=robot.id))
    assert (made.token.account_name, made.token.only_project) == ("vision/nightly", vision)
    for hidden in (grace.id, other.id, OWNER, new_id()):
        await refused(people, NotFound, asks(ada, account=hidden), "no such account")
    await refused(people, NotFound, asks(ada, only_project=await people.project("speech")), "no such project")
    await refused(people, NotFound, asks(ada, only_project=ProjectId(new_id())), "no such project")
    editor = await people.caller(grace)
    await refused(people, Forbidden, asks(editor, account=robot.id))
    owner = await people.owner()
    assert (await people.database.run(asks(owner, account=grace.id))).token.account_name == "grace"
    await people.database.run(lambda db: disable_account(db, owner, grace.id, now=utc_now()))
    await refused(people, Conflict, asks(owner, account=grace.id), "is disabled")


async def test_an_account_has_a_hundred_live_tokens_at_most(people: People) -> None:
    ada = await people.user("ada")
    caller = await people.caller(ada)
    for _ in range(MOST_LIVE):
        made = await people.database.run(asks(caller))
    await refused(people, Conflict, asks(caller), "revoke those")
    await people.database.run(lambda db: revoke_token(db, caller, made.token.id, now=utc_now()))
    await people.database.run(asks(caller))


async def test_who_sees_which_tokens(people: People) -> None:
    ada, grace = await people.user("ada", vision="admin"), await people.user("grace", vision="editor")
    robot = await people.service("vision", "nightly")
    vision, speech = await people.project("vision"), await people.project("speech")
    own = [(await people.token(ada)).token.id for _ in range(3)]
    robots = (await people.token(robot)).token.id
    narrow = (await people.token(grace, only_project=vision)).token.id
    wide = (await people.token(grace)).token.id
    admin, editor = await people.caller(ada), await people.caller(grace)

    async def ids(caller: Any, **more: Any) -> list[Any]:
        window = Window(more.pop("size", 50), after=more.pop("after", None))
        return [t.id for t in (await people.database.run(lambda db: list_tokens(db, caller, window, **more))).items]

    assert await ids(admin) == own[::-1]
    assert await ids(admin, size=2) == own[:0:-1]
    assert await ids(admin, size=2, after=[own[1]]) == [own[0]]
    assert await ids(admin, account=robot.id) == [robots]
    assert await ids(admin, project=vision) == [narrow, robots]
    assert await ids(editor) == [wide, narrow]
    assert await ids(await people.caller(grace, only_project=vision)) == [narrow]
    assert await ids(await people.owner(), account=grace.id) == [wide, narrow]
    await refused(people, NotFound, lambda db: list_tokens(db, admin, account=grace.id))
    await refused(people, NotFound, lambda db: list_tokens(db, admin, project=speech))
    await refused(people, Forbidden, lambda db: list_tokens(db, editor, project=vision))


async def test_who_revokes_and_renews_which_tokens(people: People) -> None:
    ada, grace = await people.user("ada", vision="admin"), await people.user("grace", vision="editor")
    vision = await people.project("vision")
    admin, editor = await people.caller(ada), await people.caller(grace)
    narrow, wide = await people.token(grace, only_project=vision), await people.token(grace)
    mine = await people.token(ada)
    now = utc_now()
    for caller, token in ((admin, wide), (editor, mine)):
        await refused(people, NotFound, lambda db, c=caller, t=token: revoke_token(db, c, t.token.id, now=now))
        await refused(people, NotFound, lambda db, c=caller, t=token: rotate_token(db, c, t.token.id, now=now))
    await refused(people, NotFound, lambda db: revoke_token(db, admin, new_id(), now=now))
    # Its text would let the admin act in grace's name.
    await refused(people, Forbidden, lambda db: rotate_token(db, admin, narrow.token.id, now=now), "only grace")
    robots = await people.token(await people.service("vision", "nightly"))
    renewed = await people.database.run(lambda db: rotate_token(db, admin, robots.token.id, now=now))
    assert renewed.token.account_name == "vision/nightly"
    reader = await people.caller(grace, token_id=narrow.token.id, scopes=frozenset({Permission.READ}))
    await refused(people, NotFound, lambda db: revoke_token(db, reader, wide.token.id, now=now))
    gone = await people.database.run(lambda db: revoke_token(db, admin, narrow.token.id, now=now))
    assert gone.revoked_at == now
    again = await people.database.run(lambda db: revoke_token(db, editor, narrow.token.id, now=utc_now()))
    assert again.revoked_at == now
    assert [entry[1] for entry in await people.audit()].count("token.revoke") == 1


async def test_a_rotated_token_lives_as_long_as_the_old_one_did_and_no_longer_beside_it(people: People) -> None:
    ada = await people.user("ada")
    old = await people.token(ada, Permission.READ, lifetime=timedelta(days=10))
    # Any token may renew itself, whatever else it may not do.
    caller = await people.caller(ada, token_id=old.token.id, scopes=old.token.scopes)
    now = utc_now()
    new = await people.database.run(lambda db: rotate_token(db, caller, old.token.id, now=now))
    assert (new.token.name, new.token.scopes, new.token.account_id) == (old.token.name, old.token.scopes, ada.id)
    assert new.token.expires_at == now + timedelta(days=10)
    assert new.secret.text != old.secret.text
    listed = await people.database.run(lambda db: list_tokens(db, caller))
    assert [(t.id, t.rotated_to, t.expires_at) for t in listed.items] == [
        (new.token.id, None, now + timedelta(days=10)),
        (old.token.id, new.token.id, now + timedelta(hours=24)),
    ]
    who, action, before, after = (await people.audit())[-1]
    assert (who, action, before["name"], after["id"]) == ("ada", "token.rotate", "test", str(new.token.id))
    await refused(people, Conflict, lambda db: rotate_token(db, caller, old.token.id, now=now), "rotated already")
    await people.database.run(lambda db: revoke_token(db, caller, old.token.id, now=now))
    full = await people.caller(ada)
    await people.database.run(lambda db: revoke_token(db, full, new.token.id, now=now))
    await refused(people, Conflict, lambda db: rotate_token(db, full, new.token.id, now=now), "was revoked")
    await refused(
        people,
        InvalidInput,
        lambda db: rotate_token(db, full, new.token.id, now=now, overlap=timedelta(days=8)),
        "7 days",
    )


async def test_an_overlap_never_makes_the_old_token_live_longer(people: People) -> None:
    ada = await people.user("ada")
    old = await people.token(ada, lifetime=timedelta(hours=1))
    caller = await people.caller(ada)
    await people.database.run(lambda db: rotate_token(db, caller, old.token.id, now=utc_now()))
    listed = await people.database.run(lambda db: list_tokens(db, caller))
    assert listed.items[1].expires_at == old.token.expires_at
