"""Bearer tokens at the entrance: S1 to S7, S17 and S19."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from fasttrack.db import Database
from fasttrack.db.accounts import find_account
from fasttrack.domain.access import Permission, Role
from fasttrack.domain.tokens import TokenKind, kind_of, new_token
from fasttrack.errors import Unauthenticated, Unavailable
from fasttrack.workflow.accounts import disable_account
from fasttrack.workflow.members import change_member, remove_member
from fasttrack.workflow.tokens import list_tokens, revoke_token, rotate_token
from fasttrack_api.auth import caller_of_token
from fasttrack_api.auth.desk import running
from fasttrack_api.auth.known import LIFETIME
from tests.api.auth.conftest import Door, MovableClock
from tests.people import People, utc_now
from tests.waiting import eventually


def forget(door: Door) -> None:
    """As if two seconds had gone by."""
    door.desk.known._known.clear()


async def test_a_token_says_who_calls_and_within_which_limits(door: Door, people: People) -> None:
    ada = await people.user("ada", vision="editor", speech="viewer")
    made = await people.token(ada, Permission.READ, Permission.RUN)
    answer = await door.knock(made.secret.text)
    assert answer.status_code == 200
    vision, speech = await people.project("vision"), await people.project("speech")
    assert answer.json() == {
        "name": "ada",
        "kind": "user",
        "superadmin": False,
        "roles": {str(vision): "editor", str(speech): "viewer"},
        "scopes": ["read", "run"],
        "origin": "203.0.113.7",
    }
    assert door.database.statements == 1


async def test_a_wrong_checksum_costs_no_question_to_the_database(door: Door, people: People) -> None:
    made = await people.token(await people.user("ada"))
    text = made.secret.text
    wrong = text[:-1] + ("a" if text[-1] != "a" else "b")
    for bad in (
        wrong,
        text[:-1],
        text + "a",
        "ftp_" + "a" * 36,
        "ftx_" + text[4:],
        "x",
        "",
        "a.b.c",
        "ftp_" + "é" * 36,
    ):
        answer = await door.knock(peer="203.0.113.7", headers=[("Authorization", f"Bearer {bad}".encode("latin-1"))])  # type: ignore[list-item]
        assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED"), bad
        assert answer.headers["www-authenticate"] == "Bearer"
    assert door.database.transactions == 0


async def test_requests_that_follow_one_another_ask_the_database_once(door: Door, people: People) -> None:
    made = await people.token(await people.user("ada"))
    answers = await asyncio.gather(*(door.knock(made.secret.text) for _ in range(20)))
    assert {a.status_code for a in answers} == {200}
    assert door.database.statements == 1


async def test_what_is_stored_cannot_be_used(door: Door, people: People, database: Database) -> None:
    made = await people.token(await people.user("ada"))
    async with database.transaction() as db:
        tables = await db.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        dump = "".join([await db.value(f"SELECT string_agg(t::text, '') FROM {r[0]} t") or "" for r in tables])
        stored = await db.value("SELECT encode(hash, 'hex') FROM token")
    assert stored in dump
    assert made.secret.text not in dump
    assert made.secret.text[4:34] not in dump
    assert made.secret.text not in repr(made)
    assert (await door.knock(stored)).status_code == 401


async def test_a_token_works_from_its_beginning_to_its_end(door: Door, people: People, clock: MovableClock) -> None:
    begins = utc_now() + timedelta(hours=1)
    made = await people.token(await people.user("ada"), not_before=begins, lifetime=timedelta(hours=2))
    early = await door.knock(made.secret.text)
    assert (early.status_code, early.json()["detail"]) == (401, "the token is not valid yet")
    clock.ahead = timedelta(hours=1, seconds=1)
    assert (await door.knock(made.secret.text)).status_code == 200
    clock.ahead = timedelta(hours=3, seconds=1)  # at once, although it was let in a moment ago
    late = await door.knock(made.secret.text)
    assert (late.status_code, late.json()["detail"]) == (401, "the token has expired; make a new one")


async def test_revoked_disabled_and_removed_are_refused_within_five_seconds(
    door: Door, people: People, database: Database
) -> None:
    assert LIFETIME <= 2.0
    ada, grace, alan = [await people.user(n, vision="editor") for n in ("ada", "grace", "alan")]
    tokens = [await people.token(a) for a in (ada, grace, alan)]
    assert [(await door.knock(t.secret.text)).status_code for t in tokens] == [200, 200, 200]
    owner, vision = await people.owner(), await people.project("vision")
    await database.run(lambda db: revoke_token(db, owner, tokens[0].token.id, now=utc_now()))
    await database.run(lambda db: disable_account(db, owner, grace.id, now=utc_now()))
    await database.run(lambda db: remove_member(db, owner, vision, alan.id))

    async def refused() -> list[Any]:
        answers = [await door.knock(t.secret.text) for t in tokens]
        assert [a.status_code for a in answers] == [401, 401, 200]
        assert answers[2].json()["roles"] == {}
        return [a.json().get("detail") for a in answers[:2]]

    assert await eventually(refused, within=5) == ["the token was revoked", "the account of the token is disabled"]


async def test_an_open_stream_that_asks_again_ends_within_five_seconds(
    door: Door, people: People, database: Database
) -> None:
    ada = await people.user("ada", vision="editor")
    made = await people.token(ada)
    owner, loop = await people.owner(), asyncio.get_running_loop()
    seen: list[str] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            seen.extend(message.get("body", b"").decode().splitlines())

    async def receive() -> Any:
        await asyncio.Event().wait()

    scope = {
        "type": "http", "method": "GET", "path": "/follow", "raw_path": b"/follow", "query_string": b"", "root_path": "",
        "headers": [(b"host", b"x"), (b"authorization", f"Bearer {made.secret.text}".encode())],
        "client": ("203.0.113.7", 1), "server": ("x", 80), "scheme": "http", "http_version": "1.1",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
    }  # fmt: skip
    stream = asyncio.create_task(door.app(scope, receive, send))
    await eventually(lambda: "ada 1" in seen)
    await database.run(lambda db: revoke_token(db, owner, made.token.id, now=utc_now()))
    revoked_at = loop.time()
    await eventually(stream.done, within=5)
    assert seen[-1] == "end"
    assert loop.time() - revoked_at < 5


async def test_a_changed_role_is_seen_by_the_next_look(door: Door, people: People, database: Database) -> None:
    ada = await people.user("ada", vision="viewer")
    made, vision, owner = await people.token(ada), await people.project("vision"), await people.owner()
    assert (await door.knock(made.secret.text)).json()["roles"] == {str(vision): "viewer"}
    await database.run(lambda db: change_member(db, owner, vision, ada.id, Role.ADMIN))
    forget(door)
    assert (await door.knock(made.secret.text)).json()["roles"] == {str(vision): "admin"}


async def test_after_a_rotation_both_work_for_the_overlap_and_then_the_new_one(
    door: Door, people: People, database: Database, clock: MovableClock
) -> None:
    ada = await people.user("ada")
    old = await people.token(ada)
    owner = await people.owner()
    async with database.transaction() as db:
        new = await rotate_token(db, owner, old.token.id, now=utc_now())
    assert [(await door.knock(t.secret.text)).status_code for t in (old, new)] == [200, 200]
    clock.ahead = timedelta(hours=23, minutes=59)
    assert [(await door.knock(t.secret.text)).status_code for t in (old, new)] == [200, 200]
    clock.ahead = timedelta(hours=24, minutes=1)
    assert [(await door.knock(t.secret.text)).status_code for t in (old, new)] == [401, 200]


async def test_the_last_use_is_written_for_all_at_once_and_once_a_minute(
    door: Door, people: People, database: Database, clock: MovableClock
) -> None:
    ada = await people.user("ada")
    tokens = [await people.token(ada) for _ in range(3)]
    owner = await people.owner()

    async def uses() -> list[bool]:
        async with database.transaction() as db:
            return [t.last_used_at is not None for t in (await list_tokens(db, owner, account=ada.id)).items]

    for made in tokens[:2]:
        assert (await door.knock(made.secret.text)).status_code == 200
    assert await uses() == [False, False, False]  # no request waits for it
    before = door.database.statements
    assert await door.desk.last_uses.write(door.database) == 2
    assert door.database.statements == before + 1
    assert sorted(await uses()) == [False, True, True]
    await door.knock(tokens[0].secret.text)
    assert await door.desk.last_uses.write(door.database) == 0
    clock.ahead = timedelta(seconds=61)
    await door.knock(tokens[0].secret.text)
    assert await door.desk.last_uses.write(door.database) == 1


async def test_what_is_still_unwritten_at_the_end_is_written_then(
    door: Door, people: People, database: Database
) -> None:
    made = await people.token(await people.user("ada"))
    async with running(door.parts):
        await door.knock(made.secret.text)
    async with database.transaction() as db:
        assert await db.value("SELECT last_used_at IS NOT NULL FROM token")


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Basic YTpi")],
        [("Authorization", "Bearer")],
        [("Authorization", "Token abc")],
        [("Authorization", "Bearer " + "a" * 10_000)],
        [("Cookie", "token=ftp_x")],
        [("X-Forwarded-User", "ada")],
        [("X-Forwarded-For", "127.0.0.1")],
        [("X-Api-Key", "ada")],
        [],
    ],
)
async def test_nothing_but_one_bearer_token_lets_anybody_in(door: Door, people: People, headers: Any) -> None:
    await people.user("ada", superadmin=True)
    answer = await door.knock(headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")
    assert door.database.transactions == 0


async def test_the_scheme_may_be_written_in_any_case(door: Door, people: People) -> None:
    made = await people.token(await people.user("ada"))
    for scheme in ("bearer", "BEARER", "Bearer"):
        answer = await door.knock(headers={"Authorization": f"{scheme}  {made.secret.text}"})
        assert answer.status_code == 200, scheme


async def test_a_token_twice_or_in_a_cookie_or_address_is_refused(
    door: Door, people: People, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (await people.token(await people.user("ada"))).secret.text
    twice = await door.knock(headers=[("Authorization", f"Bearer {text}"), ("Authorization", f"Bearer {text}")])
    assert (twice.status_code, "more than once" in twice.json()["detail"]) == (401, True)
    cookie = await door.knock(headers={"Cookie": f"access_token={text}"})
    assert cookie.status_code == 401
    address = await door.knock(path=f"/whoami?access_token={text}")
    assert (address.status_code, "revoke this one" in address.json()["detail"]) == (401, True)
    assert text not in twice.text + cookie.text + address.text
    assert text not in "".join(capsys.readouterr())
    assert door.database.transactions == 0


async def test_headers_of_an_untrusted_peer_make_nobody_else(door: Door, people: People) -> None:
    await people.user("root-of-all", superadmin=True)
    made = await people.token(await people.user("ada"))
    said = {"X-Forwarded-User": "root-of-all", "X-Remote-User": "owner", "X-Forwarded-For": "127.0.0.1"}
    answer = await door.knock(made.secret.text, headers=said)
    assert (answer.json()["name"], answer.json()["superadmin"], answer.json()["origin"]) == (
        "ada",
        False,
        "203.0.113.7",
    )


async def test_wrong_tokens_of_one_address_are_looked_at_twenty_times_a_minute(door: Door, people: People) -> None:
    made = await people.token(await people.user("ada"))
    assert (await door.knock(made.secret.text)).status_code == 200
    asked = door.database.transactions
    answers = [await door.knock(new_token(TokenKind.PERSONAL).text) for _ in range(100)]
    codes = [a.status_code for a in answers]
    # A minute may begin meanwhile, and with it another twenty.
    assert codes.count(401) in (20, 40)
    assert codes[:20] == [401] * 20
    assert set(codes) == {401, 429}
    assert door.database.transactions - asked <= 42
    refused = answers[codes.index(429)]
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert (refused.json()["code"], refused.json()["retryable"]) == ("TOO_MANY_REQUESTS", True)
    # Whoever has the right one is not locked out, and neither is anybody elsewhere.
    forget(door)
    assert (await door.knock(made.secret.text)).status_code == 200
    assert (await door.knock(new_token(TokenKind.PERSONAL).text, peer="203.0.113.8")).status_code == 401


async def test_wrong_tokens_are_counted_over_all_processes(open_door: Any) -> None:
    doors = [open_door(api_open_on_loopback=False, api_wrong_tokens=5) for _ in range(3)]
    codes = [(await doors[i % 3].knock("x")).status_code for i in range(30)]
    assert codes.count(401) in (5, 10)
    assert codes[:5] == [401] * 5


async def test_wrong_tokens_are_counted_here_when_valkey_is_away(open_door: Any) -> None:
    door: Door = open_door(api_open_on_loopback=False, api_wrong_tokens=5)

    async def away(*_: object) -> None:
        return None

    door.parts.doorbell.count = away  # type: ignore[method-assign]
    codes = [(await door.knock("x")).status_code for _ in range(12)]
    assert codes.count(401) in (5, 10)
    assert codes[:5] == [401] * 5


async def test_a_network_of_ipv6_is_one_address(open_door: Any) -> None:
    door: Door = open_door(api_open_on_loopback=False, api_wrong_tokens=5)
    codes = [(await door.knock("x", peer=f"2001:db8::{i:x}")).status_code for i in range(12)]
    assert codes.count(401) in (5, 10)
    assert codes[:5] == [401] * 5
    assert (await door.knock("x", peer="2001:db8:0:1::1")).status_code == 401


async def test_unknown_and_known_but_worthless_tokens_cost_the_same(
    door: Door, people: People, database: Database
) -> None:
    made = await people.token(await people.user("ada"))
    owner = await people.owner()
    await database.run(lambda db: revoke_token(db, owner, made.token.id, now=utc_now()))
    costs = []
    for text in (made.secret.text, new_token(TokenKind.PERSONAL).text, new_token(TokenKind.SERVICE).text):
        before = door.database.statements
        assert (await door.knock(text)).status_code == 401
        costs.append(door.database.statements - before)
    assert costs == [1, 1, 1]


async def test_a_service_token_knows_no_project_but_its_own(door: Door, people: People) -> None:
    robot = await people.service("vision", "nightly", "editor")
    await people.project("speech")
    made = await people.token(robot)
    assert kind_of(made.secret.text) is TokenKind.SERVICE
    vision, speech = await people.project("vision"), await people.project("speech")
    caller = await caller_of_token(door.parts, made.secret.text, "203.0.113.7")
    assert caller.name == "vision/nightly"
    assert caller.projects == {vision}
    assert caller.may(Permission.RUN, vision)
    assert not caller.may(Permission.READ, speech)


async def test_a_token_of_a_socket_is_read_with_and_without_the_scheme(door: Door, people: People) -> None:
    text = (await people.token(await people.user("ada"))).secret.text
    for given in (text, f"Bearer {text}", f" bearer {text} "):
        assert (await caller_of_token(door.parts, given, "203.0.113.7")).name == "ada"
    for bad in ("", "Bearer", f"Basic {text}", "x" * 100_000, "\0"):
        with pytest.raises(Unauthenticated):
            await caller_of_token(door.parts, bad, "203.0.113.7")


async def test_who_leaves_while_it_is_looked_up_leaves_the_others_their_answer(door: Door, people: People) -> None:
    text = (await people.token(await people.user("ada"))).secret.text
    first = asyncio.create_task(caller_of_token(door.parts, text, "a"))
    await asyncio.sleep(0)
    second = asyncio.create_task(caller_of_token(door.parts, text, "b"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).origin == "b"


async def test_a_database_that_is_away_is_no_wrong_token(door: Door, people: People, database: Database) -> None:
    text = (await people.token(await people.user("ada"))).secret.text

    real = door.database.real
    door.database.real = _Away()  # type: ignore[assignment]
    codes = [(await door.knock(text)).status_code for _ in range(25)]
    assert codes == [503] * 25
    door.database.real = real
    assert (await door.knock(text)).status_code == 200


class _Away:
    def transaction(self) -> Any:
        raise Unavailable("the database is away")


async def test_an_account_is_not_locked_by_wrong_tokens(door: Door, people: People, database: Database) -> None:
    ada = await people.user("ada")
    for _ in range(30):
        await door.knock(new_token(TokenKind.PERSONAL).text)
    async with database.transaction() as db:
        found = await find_account(db, ada.id)
    assert found is not None
    assert found.disabled_at is None
    assert (await door.knock((await people.token(ada)).secret.text, peer="198.51.100.1")).status_code == 200
