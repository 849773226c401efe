"""`Database.run`: the same work again, as a whole, after every fault that passes; each of them provoked for real."""

from __future__ import annotations

import asyncio

import pytest

from fasttrack.db import Database, Db, connect
from fasttrack.db.jobs import find_job
from fasttrack.errors import Unavailable
from fasttrack.ids import JobId, new_id
from fasttrack.workflow.publish import publish
from fasttrack.workflow.submit import RunRequest, Submitted, submit
from tests.cli.command_line import a_cable
from tests.db.cutting import deadlocks
from tests.engine import Engine
from tests.factories import NOW, a_file
from tests.waiting import eventually

MY_PID = "SELECT pg_backend_pid()"


async def add_one(db: Db) -> None:
    await db.execute("UPDATE feed_head SET pos = pos + 1")


async def total(database: Database) -> int:
    return int(await database.run(lambda db: db.value("SELECT pos FROM feed_head")))


async def test_a_connection_that_the_server_ends_is_replaced_and_the_work_done_once(database: Database) -> None:
    """57P01, as in a restart: what the first try wrote is gone."""
    pids = []

    async def work(db: Db) -> None:
        pids.append(await db.value(MY_PID))
        await add_one(db)
        if len(pids) == 1:
            await database.run(lambda other: other.value("SELECT pg_terminate_backend($1)", pids[0]))
        await add_one(db)

    await database.run(work)
    assert len(set(pids)) == len(pids) == 2
    assert await total(database) == 2


async def test_a_serialization_failure_is_tried_again_on_fresh_data(database: Database) -> None:
    """40001: another transaction changed the row after ours had looked."""
    seen = []

    async def work(db: Db) -> None:
        await db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        seen.append(await db.value("SELECT pos FROM feed_head"))
        if len(seen) == 1:
            await database.run(add_one)
        await add_one(db)

    await database.run(work)
    assert seen == [0, 1]
    assert await total(database) == 2


async def test_the_loser_of_a_deadlock_goes_again_and_both_get_through(database: Database, database_url: str) -> None:
    """40P01: and the counter that other tests hold at zero does count."""
    tries = []
    both_hold_one = asyncio.Barrier(2)

    async def lock(db: Db, first: int, second: int) -> None:
        tries.append(first)
        await db.value("SELECT pg_advisory_xact_lock($1)", first)
        if len(tries) <= 2:
            await both_hold_one.wait()
        await db.value("SELECT pg_advisory_xact_lock($1)", second)
        await add_one(db)

    await asyncio.gather(database.run(lambda db: lock(db, 1, 2)), database.run(lambda db: lock(db, 2, 1)))
    assert len(tries) == 3
    assert await total(database) == 2
    assert await deadlocks(database, database_url) == 1


async def test_a_transaction_that_was_left_idle_too_long_is_done_again(database: Database) -> None:
    """25P03: the process was stopped, or the machine slept, in the middle of a pass (F35)."""
    tries = []

    async def work(db: Db) -> None:
        tries.append(await db.value(MY_PID))
        await add_one(db)
        if len(tries) == 1:
            await db.execute("SET LOCAL idle_in_transaction_session_timeout = '10ms'")

            async def ended() -> bool:
                return not await database.run(
                    lambda other: other.value("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", tries[0])
                )

            await eventually(ended)
        await add_one(db)

    await database.run(work)
    assert len(tries) == 2
    assert await total(database) == 2


@pytest.mark.parametrize("state", ["25006", "53100", "53300", "55P03", "57P03"])
async def test_a_database_that_cannot_write_now_is_away_and_not_broken(database: Database, state: str) -> None:
    """F10: read-only after a failover, disk full, no connection left, a lock held too long, starting up."""
    tries = []

    async def work(db: Db) -> None:
        tries.append(state)
        await db.execute(f"DO $$ BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '{state}'; END $$")

    with pytest.raises(Unavailable, match="not now"):
        await database.run(work, tries=2)
    assert tries == [state, state]


async def test_a_pool_whose_connections_all_died_is_filled_anew(database: Database) -> None:
    """After a restart of the server, not each of them costs a try."""
    pids: list[int] = []
    everyone = asyncio.Barrier(6)

    async def work(db: Db) -> None:
        pids.append(await db.value(MY_PID))
        await everyone.wait()

    await asyncio.gather(*(database.run(work) for _ in range(6)))
    assert len(set(pids)) == 6
    await database.run(
        lambda db: db.rows("SELECT pg_terminate_backend(p) FROM unnest($1::int[]) p WHERE p <> pg_backend_pid()", pids)
    )
    with pytest.raises(Unavailable):
        await database.run(lambda db: db.value("SELECT pg_terminate_backend(pg_backend_pid())"), tries=1)
    # One try for a connection whose end has not come through yet.
    assert await database.run(lambda db: db.value(MY_PID), tries=2) not in pids


async def test_a_fault_that_stays_is_told_after_five_tries(database: Database) -> None:
    tries = []

    async def work(db: Db) -> None:
        tries.append(None)
        await db.value("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(Unavailable):
        await database.run(work)
    assert len(tries) == 5


async def test_an_error_of_the_work_itself_is_not_tried_again(database: Database) -> None:
    tries = []

    async def work(db: Db) -> None:
        tries.append(None)
        await add_one(db)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.run(work)
    assert len(tries) == 1
    assert await total(database) == 0


async def test_a_commit_whose_answer_is_lost_is_found_again_and_not_repeated(engine: Engine, database_url: str) -> None:
    """The connection breaks while the server commits, and the next try comes before it is done (F8, I17)."""
    published = await engine.database.run(lambda db: publish(db, engine.project, a_file({"a": ""}), by="ada"))
    async with engine.database.transaction() as db:
        await db.execute("CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS "
                         "$$ BEGIN PERFORM pg_sleep(0.6); RETURN NULL; END $$")  # fmt: skip
        await db.execute("CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON job DEFERRABLE INITIALLY DEFERRED "
                         "FOR EACH ROW EXECUTE FUNCTION dawdle()")  # fmt: skip
    job = JobId(new_id())

    async def work(db: Db) -> Submitted:
        known = await find_job(db, engine.project, job)
        if known is not None:
            return Submitted(known.id, known.number, is_new=True)
        request = RunRequest(by="ada")
        return await submit(db, engine.project, published.version, published.compiled, request, now=NOW, job_id=job)

    async def is_committing() -> bool:
        async with engine.database.transaction() as db:
            return bool(await db.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' "
                                       "AND datname = current_database()"))  # fmt: skip

    async with a_cable(database_url) as cable:
        far = connect(cable.url)
        asking = asyncio.create_task(far.run(work))
        await eventually(is_committing)
        await cable.cut()
        await cable.mend()
        answer = await asking
        await far.close()
    assert (answer.job_id, answer.number) == (job, 1)
    async with engine.database.transaction() as db:
        assert await db.value("SELECT count(*) FROM job") == 1
        assert await db.value("SELECT latest_job FROM pipeline") == 1
