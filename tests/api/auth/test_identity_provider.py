"""Tokens of an outside identity provider: S8, first sight, roles, and keys that change."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fasttrack.db import Database
from fasttrack.domain.access import Role
from fasttrack.workflow.accounts import disable_account, find_account_named
from tests.api.auth.conftest import Door, MovableClock
from tests.api.auth.provider import AUDIENCE, Provider, a_provider
from tests.people import People, utc_now

ROLES = {"ml-team": "vision:editor speech:viewer nowhere:admin", "leads": "vision:admin", "it": "superadmin"}


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    """The provider of this test."""
    async with a_provider() as made:
        yield made


@pytest.fixture
def make_door(open_door: Callable[..., Door], provider: Provider) -> Callable[..., Door]:
    """An entrance that takes the provider's tokens."""

    def make(**changes: Any) -> Door:
        given = {
            "api_open_on_loopback": False,
            "api_wrong_tokens": 1000,
            "identity_issuer": provider.issuer,
            "identity_audience": AUDIENCE,
            "identity_roles": ROLES,
            "identity_leeway": 5,
        }
        return open_door(**{**given, **changes})

    return make


@pytest.fixture
def gate(make_door: Callable[..., Door]) -> Door:
    """The entrance with the usual settings."""
    return make_door()


async def test_an_account_is_made_at_first_sight_and_found_at_the_second(
    gate: Door, provider: Provider, people: People
) -> None:
    first = await gate.knock(provider.token())
    assert first.json() == {
        "name": "ada", "kind": "user", "superadmin": False, "roles": {}, "origin": "203.0.113.7",
        "scopes": ["edit", "manage", "operate", "read", "run", "secrets"],
    }  # fmt: skip
    again = await gate.knock(provider.token(jti="another"))
    assert again.json() == first.json()
    owner = await people.owner()
    account = await people.database.run(lambda db: find_account_named(db, owner, "ada"))
    assert (account.display_name, account.email, account.issuer) == ("Ada Lovelace", "ada@example.com", provider.issuer)
    assert [entry[:2] for entry in await people.audit()] == [("ada", "account.create")]
    await gate.knock(provider.token(name="Ada King", email="king@example.com"))
    account = await people.database.run(lambda db: find_account_named(db, owner, "ada"))
    assert (account.display_name, account.email) == ("Ada King", "king@example.com")


async def test_first_sight_many_times_at_once_makes_one_account(gate: Door, provider: Provider, people: People) -> None:
    answers = await asyncio.gather(*(gate.knock(provider.token(jti=str(i))) for i in range(8)))
    assert [a.json().get("name") for a in answers] == ["ada"] * 8
    assert [entry[1] for entry in await people.audit()] == ["account.create"]


async def test_a_name_that_is_taken_is_not_taken_over(gate: Door, provider: Provider, people: People) -> None:
    await people.user("ada", superadmin=True)
    mine = (await gate.knock(provider.token("id-1"))).json()
    other = (await gate.knock(provider.token("id-2"))).json()
    owner = (await gate.knock(provider.token("id-3", preferred_username="owner"))).json()
    names = [mine["name"], other["name"], owner["name"]]
    assert [n.rsplit("-", 1)[0] for n in names] == ["ada", "ada", "owner"]
    assert len({*names, "ada", "owner"}) == 5
    assert not any(who["superadmin"] for who in (mine, other, owner))


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Ada Lovelace", "Ada-Lovelace"),
        ("vision/nightly", "vision-nightly"),
        ("../../etc", "etc"),
        ("김철수", "user"),
        ("'; DROP TABLE account; --", "DROP-TABLE-account"),
        ("x" * 500, "x" * 48),
        ("", "ada@example.com"),
        (7, "ada@example.com"),
    ],
)
async def test_a_name_becomes_one_that_can_be_here(gate: Door, provider: Provider, said: Any, name: str) -> None:
    assert (await gate.knock(provider.token(preferred_username=said))).json()["name"] == name


async def test_roles_at_the_provider_are_roles_here_as_settings_say(
    gate: Door, provider: Provider, people: People
) -> None:
    vision, speech = str(await people.project("vision")), str(await people.project("speech"))
    team = await gate.knock(provider.token(groups=["ml-team", "unknown", 7, None, ["x"]]))
    assert team.json()["roles"] == {vision: "editor", speech: "viewer"}
    lead = await gate.knock(provider.token(groups="ml-team leads"))
    assert lead.json()["roles"] == {vision: "admin", speech: "viewer"}
    assert (await gate.knock(provider.token(groups=["it"]))).json()["superadmin"] is True
    # What the bearer's own token claims by our words means nothing.
    boasting = provider.token(
        groups=["superadmin", "vision:admin"], role="admin", is_superadmin=True, scopes=["manage"]
    )
    answer = (await gate.knock(boasting)).json()
    assert (answer["roles"], answer["superadmin"]) == ({}, False)


async def test_a_membership_and_a_role_at_the_provider_count_together(
    gate: Door, provider: Provider, people: People
) -> None:
    from fasttrack.workflow.members import add_member

    vision = await people.project("vision")
    await gate.knock(provider.token())
    owner = await people.owner()
    account = await people.database.run(lambda db: find_account_named(db, owner, "ada"))
    await people.database.run(lambda db: add_member(db, owner, vision, account.id, Role.OPERATOR))
    answer = await gate.knock(provider.token(groups=["ml-team"]))
    assert answer.json()["roles"] == {str(vision): "operator"}  # which is more than editor


async def test_roles_may_be_inside_another_claim(make_door: Callable[..., Door], provider: Provider) -> None:
    door = make_door(identity_roles_claim="realm_access.roles")
    inside = await door.knock(provider.token(realm_access={"roles": ["it"]}))
    assert inside.json()["superadmin"] is True
    for odd in ({"roles": None}, "it", ["it"], None):
        assert (await door.knock(provider.token(realm_access=odd))).json()["superadmin"] is False


async def test_a_disabled_account_is_refused_whatever_the_provider_says(
    gate: Door, provider: Provider, people: People
) -> None:
    await gate.knock(provider.token())
    owner = await people.owner()
    account = await people.database.run(lambda db: find_account_named(db, owner, "ada"))
    await people.database.run(lambda db: disable_account(db, owner, account.id, now=utc_now()))
    answer = await gate.knock(provider.token(groups=["it"]))
    assert (answer.status_code, answer.json()["detail"]) == (401, "the account is disabled")


def forged(provider: Provider, head: dict[str, Any], key: bytes = b"", **claims: Any) -> str:
    """A token with a header of one's own, signed with HMAC, or not at all."""
    import hashlib
    import hmac

    body = json.loads(base64.urlsafe_b64decode(provider.token(**claims).split(".")[1] + "=="))
    text = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (head, body))
    signature = hmac.new(key, text.encode(), hashlib.sha256).digest() if key else b""
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


async def test_forged_tokens_are_refused(gate: Door, provider: Provider, database: Database) -> None:
    public = provider.keys["first"][1].public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    mine = Provider(is_impostor=True)
    mine.issuer = provider.issuer
    jwk = {**mine.published[0], "kid": "mine"}
    good = provider.token()
    head, body, signature = good.split(".")
    tokens = {
        "no algorithm": forged(provider, {"alg": "none", "kid": "first"}),
        "no algorithm, in capitals": forged(provider, {"alg": "NONE", "kid": "first"}),
        "the public key as a shared secret": forged(provider, {"alg": "HS256", "kid": "first"}, pem),
        "an algorithm that is no text": forged(provider, {"alg": ["RS256"], "kid": "first"}, pem),
        "a key of somebody else": mine.token(),
        "a key in its own header": mine.token(head={"jwk": jwk, "kid": "mine"}),
        "an address of keys in its header": mine.token(head={"jku": "http://127.0.0.1:1/keys", "kid": "mine"}),
        "a certificate in its header": mine.token(head={"x5u": "http://127.0.0.1:1/", "kid": "mine"}),
        "a path as the key's name": mine.token(head={"kid": "../../../../dev/null"}),
        "a statement as the key's name": mine.token(head={"kid": "first' OR '1'='1"}),
        "a key's name that is no text": forged(provider, {"alg": "RS256", "kid": {"a": 1}}, pem),
        "an extension that must be understood": provider.token(head={"crit": ["b64"], "b64": False}),
        "another body": f"{head}.{base64.urlsafe_b64encode(b'{}').decode()}.{signature}",
        "no signature": f"{head}.{body}.",
        "half a signature": f"{head}.{body}.{signature[:100]}",
        "no JSON": "x.y.z",
        "deep JSON": ".".join(
            [base64.urlsafe_b64encode(b'{"alg":' + b"[" * 2000 + b"]" * 2000 + b"}").decode(), body, signature]
        ),
    }
    answers = {what: await gate.knock(token) for what, token in tokens.items()}
    assert {what: a.status_code for what, a in answers.items()} == dict.fromkeys(tokens, 401)
    assert {a.json()["code"] for a in answers.values()} == {"UNAUTHENTICATED"}
    assert gate.database.transactions == 0
    async with database.transaction() as db:
        assert await db.value("SELECT count(*) FROM account") == 1  # the owner alone
    assert (await gate.knock(good)).status_code == 200


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"aud": "another-service"}, "another audience"),
        ({"aud": ["another", "third"]}, "another audience"),
        ({"aud": None}, "is not valid here"),
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"iss": None}, "is not valid here"),
        ({"exp": None}, "is not valid here"),
        ({"exp": "never"}, "is not valid here"),
        ({"exp": 10**30}, "is not valid here"),
        ({"sub": ""}, "is not valid here"),
        ({"sub": "x" * 1000}, "is not valid here"),
    ],
)
async def test_claims_that_are_not_for_us_are_refused(
    gate: Door, provider: Provider, claims: dict[str, Any], says: str
) -> None:
    answer = await gate.knock(provider.token(**claims))
    assert answer.status_code == 401
    assert says in answer.json()["detail"]
    assert gate.database.transactions == 0


async def test_the_clocks_may_be_apart_by_the_leeway_and_no_more(gate: Door, provider: Provider) -> None:
    now = int(time.time())
    codes = {
        name: (await gate.knock(provider.token(**claims))).status_code
        for name, claims in {
            "ended a moment ago": {"exp": now - 2},
            "ended": {"exp": now - 60},
            "begins in a moment": {"nbf": now + 2},
            "begins later": {"nbf": now + 60},
            "made in a moment": {"iat": now + 2},
            "made later": {"iat": now + 60},
        }.items()
    }
    assert codes == {
        "ended a moment ago": 200, "ended": 401, "begins in a moment": 200, "begins later": 401,
        "made in a moment": 200, "made later": 401,
    }  # fmt: skip


async def test_a_token_that_was_let_in_a_moment_ago_ends_with_its_time(
    gate: Door, provider: Provider, clock: MovableClock
) -> None:
    token = provider.token()
    assert (await gate.knock(token)).status_code == 200
    clock.ahead = timedelta(minutes=6)
    assert (await gate.knock(token)).status_code == 401


async def test_keys_are_asked_for_once_and_again_when_the_provider_signs_with_a_new_one(
    gate: Door, provider: Provider
) -> None:
    keys = gate.desk.provider.keys  # type: ignore[union-attr]
    ahead = 0.0
    keys._clock = lambda: time.monotonic() + ahead
    await asyncio.gather(*(gate.knock(provider.token(jti=str(i))) for i in range(10)))
    assert provider.asked == 1
    provider.add_key("second", "ES256")
    ahead = 11
    assert (await gate.knock(provider.token(kid="second"))).status_code == 200
    assert provider.asked == 2
    # Names that somebody makes up do not make us ask over and over.
    codes = {(await gate.knock(provider.token(head={"kid": f"made-up-{i}"}))).status_code for i in range(20)}
    assert (codes, provider.asked) == ({401}, 2)


async def test_a_key_that_was_withdrawn_is_not_taken_for_longer_than_ten_minutes(
    gate: Door, provider: Provider
) -> None:
    keys = gate.desk.provider.keys  # type: ignore[union-attr]
    ahead = 0.0
    keys._clock = lambda: time.monotonic() + ahead
    assert (await gate.knock(provider.token())).status_code == 200
    provider.withdraw("first")
    provider.add_key("second")
    ahead = 601
    assert (await gate.knock(provider.token(jti="2"))).status_code == 401
    assert (await gate.knock(provider.token(kid="second"))).status_code == 200


async def test_known_keys_are_used_for_a_day_while_the_provider_is_away(gate: Door, provider: Provider) -> None:
    keys = gate.desk.provider.keys  # type: ignore[union-attr]
    ahead = 0.0
    keys._clock = lambda: time.monotonic() + ahead
    assert (await gate.knock(provider.token())).status_code == 200
    provider.is_away = True
    ahead = 3600
    assert (await gate.knock(provider.token(jti="2"))).status_code == 200
    ahead = 25 * 3600
    answer = await gate.knock(provider.token(jti="3"))
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")


@pytest.mark.parametrize(
    "announced",
    [
        {"issuer": "https://evil.example"},
        {"jwks_uri": "ftp://127.0.0.1/keys"},
        {"jwks_uri": None},
        {"jwks_uri": "endless"},
        {"jwks_uri": "elsewhere"},
    ],
)
async def test_a_provider_that_announces_nonsense_is_not_believed(
    gate: Door, provider: Provider, announced: dict[str, Any]
) -> None:
    if announced.get("jwks_uri") in ("endless", "elsewhere"):
        announced = {"jwks_uri": f"{provider.issuer}/{announced['jwks_uri']}"}
    provider.announced = announced
    answer = await gate.knock(provider.token())
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert provider.asked == 0
    assert gate.database.transactions == 0


@pytest.mark.parametrize(
    ("algorithm", "more", "code"),
    [
        ("ES256", {}, 200),
        ("EdDSA", {}, 200),
        ("RS256", {"size": 1024}, 401),  # too short to trust
        ("RS256", {"use": "enc"}, 401),
        ("RS256", {"alg": "PS256"}, 401),
        ("RS256", {"alg": "RS256"}, 200),
    ],
)
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_a_key_signs_only_what_it_is_for(
    gate: Door, provider: Provider, algorithm: str, more: dict[str, Any], code: int
) -> None:
    provider.add_key("other", algorithm, **more)
    assert (await gate.knock(provider.token(kid="other"))).status_code == code


async def test_an_algorithm_that_settings_leave_out_is_refused(
    make_door: Callable[..., Door], provider: Provider
) -> None:
    door = make_door(identity_algorithms="ES256")
    assert (await door.knock(provider.token())).status_code == 401
    assert provider.asked == 0


async def test_without_a_provider_such_tokens_are_nothing(door: Door, provider: Provider) -> None:
    answer = await door.knock(provider.token())
    assert answer.status_code == 401
    assert (provider.asked, door.database.transactions) == (0, 0)


async def test_a_token_without_a_name_of_a_key_is_taken_if_there_is_one_key(gate: Door, provider: Provider) -> None:
    body = jwt.decode(provider.token(), options={"verify_signature": False})
    nameless = jwt.encode(body, provider.keys["first"][1], "RS256")
    assert (await gate.knock(nameless)).status_code == 200
