"""Without a token: only from this machine, only if settings say so, and never for a page of another site."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError
from starlette.requests import HTTPConnection

from fasttrack.db import Database
from fasttrack.db.accounts import set_disabled
from fasttrack.domain.access import OWNER
from fasttrack.errors import Unauthenticated
from fasttrack.settings import Settings
from fasttrack_api.auth import caller_of
from tests.api.auth.conftest import Door
from tests.people import People, utc_now

OUTSIDE = "postgresql://someone@db.example/fasttrack"


@pytest.mark.parametrize(
    ("given", "url", "is_open"),
    [
        (None, None, True),
        (None, OUTSIDE, False),
        (True, OUTSIDE, True),
        (False, None, False),
        (True, None, True),
        (False, OUTSIDE, False),
    ],
)
def test_it_is_open_by_itself_only_with_the_embedded_database(
    given: bool | None, url: str | None, is_open: bool, tmp_path: Path
) -> None:
    settings = Settings(state_dir=tmp_path, api_open_on_loopback=given, database_url=url)
    assert settings.is_open_on_loopback is is_open


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8811", "localhost", "localhost:8811", "[::1]:8811"])
@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
async def test_a_program_of_this_machine_is_its_owner(open_door: Callable[..., Door], peer: str, host: str) -> None:
    answer = await open_door().knock(peer=peer, host=host)
    assert answer.status_code == 200
    assert (answer.json()["name"], answer.json()["superadmin"], answer.json()["origin"]) == ("owner", True, peer)


@pytest.mark.parametrize(
    "peer", ["203.0.113.7", "10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "", "unix", "127.0.0.1.evil"]
)
async def test_whoever_is_elsewhere_needs_a_token(open_door: Callable[..., Door], peer: str) -> None:
    door = open_door()
    answer = await door.knock(peer=peer, host="127.0.0.1")
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")
    assert door.database.transactions == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.7"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=203.0.113.7"},
        {"X-Real-IP": "203.0.113.7"},
        {"Via": "1.1 proxy"},
        {"X-Forwarded-Host": "x"},
        {"X-Forwarded-Proto": "https"},
        {"Host": "evil.example"},  # a name that was bound to 127.0.0.1
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "[::1"},
        {"Host": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_a_proxy_or_a_page_of_another_site_is_not_the_owner(
    open_door: Callable[..., Door], headers: dict[str, str]
) -> None:
    door = open_door()
    answer = await door.knock(peer="127.0.0.1", host="127.0.0.1", headers=headers)
    assert answer.status_code == 401
    assert door.database.transactions == 0


@pytest.mark.parametrize("origin", ["http://127.0.0.1", "http://localhost:5173", "http://[::1]:8811"])
async def test_a_page_of_this_machine_is(open_door: Callable[..., Door], origin: str) -> None:
    answer = await open_door().knock(peer="127.0.0.1", host="127.0.0.1", headers={"Origin": origin})
    assert answer.status_code == 200


async def test_a_token_counts_more_than_where_it_comes_from(open_door: Callable[..., Door], people: People) -> None:
    door = open_door()
    made = await people.token(await people.user("ada"))
    assert (await door.knock(made.secret.text, peer="127.0.0.1", host="127.0.0.1")).json()["name"] == "ada"
    wrong = await door.knock("ftp_" + "a" * 36, peer="127.0.0.1", host="127.0.0.1")
    assert wrong.status_code == 401


async def test_it_is_closed_when_settings_say_so(door: Door) -> None:
    assert (await door.knock(peer="127.0.0.1", host="127.0.0.1")).status_code == 401


async def test_a_disabled_owner_needs_a_token_of_somebody_else(
    open_door: Callable[..., Door], database: Database
) -> None:
    await database.run(lambda db: set_disabled(db, OWNER, utc_now()))
    answer = await open_door().knock(peer="127.0.0.1", host="127.0.0.1")
    assert (answer.status_code, answer.json()["detail"]) == (401, "the owner's account is disabled; a token is needed")


@pytest.mark.parametrize(
    "changes",
    [
        {"identity_issuer": "https://login.example"},
        {"identity_issuer": "http://login.example", "identity_audience": "x"},
        {"identity_issuer": "https://user:pw@login.example", "identity_audience": "x"},
        {"identity_issuer": "file:///etc/passwd", "identity_audience": "x"},
        {"identity_algorithms": "HS256"},
        {"identity_algorithms": "none"},
        {"identity_algorithms": ""},
        {"identity_roles": {"x": "vision:king"}},
        {"identity_roles": {"x": "vision"}},
        {"identity_leeway": "3600"},
        {"api_wrong_tokens": 0},
    ],
)
def test_settings_that_would_let_the_wrong_in_are_refused(changes: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        Settings(state_dir=tmp_path, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ([(b"host", b"127.0.0.1:8811")], "owner"),
        ([(b"host", b"127.0.0.1:8811"), (b"origin", b"http://127.0.0.1:8811")], "owner"),
        ([(b"host", b"127.0.0.1:8811"), (b"origin", b"https://evil.example")], None),
        ([(b"host", b"evil.example")], None),
    ],
)
async def test_the_same_holds_for_sockets(
    open_door: Callable[..., Door], headers: list[tuple[bytes, bytes]], name: str | None
) -> None:
    scope = {
        "type": "websocket",
        "path": "/graphql",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
    }
    socket = HTTPConnection({**scope, "app": open_door().app})
    if name is None:
        with pytest.raises(Unauthenticated):
            await caller_of(socket)
    else:
        assert (await caller_of(socket)).name == name
