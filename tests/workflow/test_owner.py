"""The owner's token in the state directory."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from fasttrack.db import Database
from fasttrack.domain.access import OWNER, Permission
from fasttrack.domain.tokens import kind_of
from fasttrack.errors import InvalidInput, Unauthenticated
from fasttrack.settings import Settings
from fasttrack.workflow.owner import owner_token
from fasttrack.workflow.tokens import caller_of_bearer, find_bearer
from tests.people import People, utc_now


async def works(database: Database, text: str) -> bool:
    async with database.transaction() as db:
        try:
            caller = caller_of_bearer(await find_bearer(db, text), origin="", now=utc_now())
        except Unauthenticated:
            return False
    assert caller.account_id == OWNER
    assert caller.may_everywhere(Permission.MANAGE)
    return True


async def test_it_is_readable_by_its_owner_alone_and_works(settings: Settings, database: Database) -> None:
    path = await owner_token(settings, database)
    assert path == settings.state_dir / "owner-token"
    assert (path.stat().st_mode & 0o777, path.stat().st_uid) == (0o600, os.getuid())
    assert [p.name for p in settings.state_dir.iterdir()] == ["owner-token"]
    text = path.read_text()
    assert text.endswith("\n")
    assert kind_of(text.strip())
    assert await works(database, text.strip())
    [(_, action, _, after)] = await People(database).audit()
    assert (action, text.strip() in str(after)) == ("token.create", False)


async def test_it_stays_as_long_as_it_works(settings: Settings, database: Database) -> None:
    path = await owner_token(settings, database)
    first = path.read_text()
    assert (await owner_token(settings, database)).read_text() == first
    async with database.transaction() as db:
        assert await db.value("SELECT count(*) FROM token") == 1


async def test_many_that_start_at_once_make_one(settings: Settings, database: Database) -> None:
    await asyncio.gather(*(owner_token(settings, database) for _ in range(5)))
    async with database.transaction() as db:
        assert await db.value("SELECT count(*) FROM token") == 1
    assert await works(database, (settings.state_dir / "owner-token").read_text().strip())


@pytest.mark.parametrize("what", ["removed", "open to others", "garbage", "empty"])
async def test_one_that_is_lost_or_could_be_read_is_replaced_and_revoked(
    settings: Settings, database: Database, what: str
) -> None:
    path = await owner_token(settings, database)
    old = path.read_text().strip()
    if what == "removed":
        path.unlink()
    elif what == "open to others":
        path.chmod(0o644)
    else:
        path.write_text({"garbage": "\xff\x00 not a token", "empty": ""}[what], encoding="latin-1")
    new = (await owner_token(settings, database)).read_text().strip()
    assert new != old
    assert path.stat().st_mode & 0o777 == 0o600
    assert await works(database, new)
    assert not await works(database, old)


async def test_a_database_that_was_made_anew_gets_a_new_one(settings: Settings, database: Database) -> None:
    path = await owner_token(settings, database)
    old = path.read_text()
    async with database.transaction() as db:
        await db.execute("DELETE FROM token")
    assert (await owner_token(settings, database)).read_text() != old


async def test_a_link_is_not_followed(settings: Settings, database: Database, tmp_path: Path) -> None:
    settings.state_dir.mkdir(parents=True)
    target = tmp_path / "elsewhere"
    target.write_text("mine")
    (settings.state_dir / "owner-token").symlink_to(target)
    with pytest.raises(InvalidInput, match="cannot be kept at"):
        await owner_token(settings, database)
    assert target.read_text() == "mine"
    async with database.transaction() as db:
        assert await db.value("SELECT count(*) FROM token") == 0


async def test_each_state_directory_has_its_own(settings: Settings, database: Database, tmp_path: Path) -> None:
    other = Settings(state_dir=tmp_path / ("a-long-name-" * 10))
    texts = [(await owner_token(s, database)).read_text().strip() for s in (settings, other)]
    assert len(set(texts)) == 2
    (settings.state_dir / "owner-token").unlink()
    await owner_token(settings, database)
    assert [await works(database, text) for text in texts] == [False, True]
