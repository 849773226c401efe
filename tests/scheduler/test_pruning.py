"""What is kept long enough goes, exactly that and no more, and nobody who schedules waits for it (I21)."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fasttrack.db.projects import ensure_project
from fasttrack.db.retention import EndedJob, lock_ended
from fasttrack.domain.retention import Kind
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.errors import Conflict, Unavailable
from fasttrack.feed import Cursor, CursorExpired, Feed
from fasttrack.ids import JobId, ProjectId
from fasttrack.settings import Settings
from fasttrack.workflow.prune import give_up_outputs, remove_events
from fasttrack.workflow.rerun import FAILURE, plan_rerun, rerun
from fasttrack.workflow.retention import change_retention
from fasttrack_scheduler.backends.simulated import Script, SimulatedBackend
from fasttrack_scheduler.loops.pruner import Pruner
from fasttrack_scheduler.pruning import Pruned, Pruning
from tests.engine import Engine
from tests.factories import a_file


async def finish(engine: Engine, *files: str, **request: Any) -> list[JobId]:
    """Run these to their end."""
    jobs = [await engine.submit(file, **request) for file in files]
    async with engine.scheduling():
        await engine.settled(*jobs)
    return jobs


async def run_again(engine: Engine, job: JobId, start: str = FAILURE) -> JobId:
    """Run the job again from what failed, or from a task."""

    async def work(db: Any) -> JobId:
        plan = await plan_rerun(db, engine.project, job, start=start)
        return (await rerun(db, engine.project, plan, by="ada", now=datetime.now(UTC))).job_id

    return await engine.database.run(work)


async def finish_again(engine: Engine, job: JobId) -> list[JobId]:
    """Run the job again from what failed, to its end."""
    again = await run_again(engine, job)
    async with engine.scheduling():
        await engine.settled(again)
    return [again]


def in_days(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


async def age(engine: Engine, days: int, project: ProjectId | None = None) -> None:
    """Let the jobs have ended so many days ago, for whoever goes by the database's clock."""
    async with engine.database.transaction() as db:
        ended = "ended_at = ended_at - make_interval(days => $1)"
        await db.execute(f"UPDATE job SET {ended} WHERE project_id = $2", days, project or engine.project)
        await db.execute("DELETE FROM retention_mark")


async def prune(engine: Engine, days: float, *, backend: Any = None, dry_run: bool = False) -> dict[str, Pruned]:
    """A round as if so many days had passed; what it did, by project."""
    pruning = Pruning(engine.database, backend or SimulatedBackend(engine.site), engine.settings, dry_run=dry_run)
    dues, now = await pruning.due(in_days(days))
    await pruning.keys(now)
    return {due.name: await pruning.project(due, now) for due in dues}


def counts(pruned: Pruned) -> dict[str, int]:
    return {kind.value: tally.count for kind, tally in pruned.kinds.items() if tally.count}


async def rows(engine: Engine) -> dict[str, int]:
    tables = ("job", "task_instance", "attempt", "event", "idempotency", "retention_mark")
    async with engine.database.transaction() as db:
        found = {table: await db.value(f"SELECT count(*) FROM {table}") for table in tables}
        found["marked"] = await db.value("SELECT count(*) FROM job WHERE pruned_at IS NOT NULL")
        found["pruned_pos"] = await db.value("SELECT max(pruned_pos) FROM project")
    return found


async def test_each_kind_goes_at_its_time_and_the_job_last(engine: Engine) -> None:
    engine.site.script("a", Script(log=b"hello"))
    (job,) = await finish(engine, a_file({"a": "", "b": "a"}), idempotency_key="k")
    events = len(await engine.history(job))
    before = await rows(engine)
    assert (before["job"], before["task_instance"], before["attempt"], before["idempotency"]) == (1, 2, 2, 1)

    assert counts((await prune(engine, 29))["default"]) == {}
    assert (await rows(engine))["idempotency"] == 0, "keys go after a week"
    assert counts((await prune(engine, 31))["default"]) == {"logs": 2, "outputs": 1}
    assert engine.site.outputs == set()
    assert counts((await prune(engine, 89))["default"]) == {}
    assert await engine.history(job) != []
    assert counts((await prune(engine, 91))["default"]) == {"events": events}
    assert await engine.history(job) == []
    assert (await engine.job(job)).state is JobState.SUCCEEDED
    assert counts((await prune(engine, 364))["default"]) == {}
    assert counts((await prune(engine, 366))["default"]) == {"jobs": 1}
    after = await rows(engine)
    assert (after["job"], after["task_instance"], after["attempt"], after["event"]) == (0, 0, 0, 0)


async def test_a_round_long_after_removes_all_at_once_and_again_nothing(engine: Engine) -> None:
    jobs = await finish(engine, a_file({"a": ""}), a_file({"a": ""}))
    events = sum([len(await engine.history(job)) for job in jobs])
    (pruned,) = (await prune(engine, 400)).values()
    assert counts(pruned) == {"events": events, "logs": 2, "outputs": 2, "jobs": 2}
    left = await rows(engine)
    assert counts((await prune(engine, 400))["default"]) == {}
    assert await rows(engine) == left


async def test_what_runs_is_untouched_however_old(engine: Engine) -> None:
    engine.site.script("held", Script(held=True))
    job = await engine.submit(a_file({"a": "", "held": "a"}))
    async with engine.scheduling():
        await engine.reached(job, "held", InstanceState.RUNNING)
        before = await rows(engine)
        assert counts((await prune(engine, 36500))["default"]) == {}
        after = await rows(engine)
        assert {**after, "retention_mark": 0} == {**before, "retention_mark": 0}
        assert job in engine.site.outputs
        engine.site.finish(engine.site.ledger.created[-1])
        assert await engine.ended(job) is JobState.SUCCEEDED


async def test_a_dry_run_tells_the_same_and_changes_nothing(engine: Engine) -> None:
    engine.site.script("a", Script(log=b"hello"))
    await finish(engine, a_file({"a": "", "b": "a"}), a_file({"a": ""}), idempotency_key=None)
    before = await rows(engine)
    told = await prune(engine, 400, dry_run=True)
    assert await rows(engine) == before
    assert len(engine.site.outputs) == 2
    assert told["default"].kinds[Kind.LOGS].size == 10
    assert await prune(engine, 400) == told


async def test_projects_keep_to_their_own_figures(engine: Engine) -> None:
    other = await engine.database.run(lambda db: ensure_project(db, "short"))
    changes = {Kind.LOGS: 1, Kind.OUTPUTS: 2, Kind.EVENTS: 3, Kind.JOBS: 4}
    await engine.database.run(lambda db: change_retention(db, other, engine.settings, changes))
    theirs = Engine(engine.database, other, engine.settings, None)
    theirs.site = engine.site
    await finish(engine, a_file({"a": ""}))
    (gone,) = await finish(theirs, a_file({"a": ""}))
    events = len(await theirs.history(gone))

    def short(done: dict[str, Pruned]) -> dict[str, int]:
        assert counts(done["default"]) == {}
        return counts(done["short"])

    assert short(await prune(engine, 1.5)) == {"logs": 1}
    assert short(await prune(engine, 2.5)) == {"outputs": 1}
    assert short(await prune(engine, 3.5)) == {"events": events}
    assert short(await prune(engine, 4.5)) == {"jobs": 1}
    assert (await rows(engine))["job"] == 1


async def test_a_job_that_an_open_job_runs_again_keeps_its_outputs_and_itself(engine: Engine) -> None:
    origin, _ = await finish(engine, a_file({"a": ""}), a_file({"a": ""}))
    engine.site.script("a", Script(held=True))
    again = await engine.submit(a_file({"a": ""}), origin=origin)
    async with engine.scheduling():
        await engine.reached(again, "a", InstanceState.RUNNING)
        assert counts((await prune(engine, 40))["default"]) == {"logs": 2, "outputs": 1}
        assert origin in engine.site.outputs
        assert counts((await prune(engine, 400))["default"]) | {"events": 0} == {"events": 0, "jobs": 1}
        assert (await engine.job(origin)).id == origin
        engine.site.finish(engine.site.ledger.created[-1])
        await engine.ended(again)
    # Not passed over for good: the next round takes it.
    assert counts((await prune(engine, 41))["default"])["outputs"] == 2


async def test_outputs_that_a_re_run_stands_on_stay_also_those_of_an_earlier_job(engine: Engine) -> None:
    engine.site.script("b", Script(exit_code=1), Script(exit_code=1), Script(held=True))
    (first,) = await finish(engine, a_file({"a": "", "b": "a"}))
    (second,) = await finish_again(engine, first)
    third = await run_again(engine, second)
    async with engine.scheduling():
        await engine.reached(third, "b", InstanceState.RUNNING)
        assert counts((await prune(engine, 40))["default"]) == {"logs": 3}
        assert engine.site.outputs >= {first, second}
        engine.site.finish(engine.site.ledger.created[-1])
        await engine.ended(third)
    await prune(engine, 40)
    assert engine.site.outputs == set()
    before = await rows(engine)
    with pytest.raises(
        Conflict, match=f"the outputs of job {first} are gone by retention, or with their folder; only the whole job"
    ):
        await run_again(engine, third, start="b")
    assert await rows(engine) == before


async def test_outputs_that_a_finished_re_run_reuses_go_when_its_own_go(engine: Engine) -> None:
    engine.site.script("b", Script(exit_code=1), Script())
    (first,) = await finish(engine, a_file({"a": "", "b": "a"}))
    await age(engine, 20)
    (second,) = await finish_again(engine, first)
    assert counts((await prune(engine, 15, dry_run=True))["default"]) == {"logs": 2}
    assert counts((await prune(engine, 15))["default"]) == {"logs": 2}
    assert engine.site.outputs == {first, second}, "the first one's time had come 5 days ago"
    async with engine.database.transaction() as db:
        mark = await db.value("SELECT ended_before FROM retention_mark WHERE kind = 'outputs'")
    assert mark > in_days(-16), "what a finished job keeps holds up no mark: a turn costs what it removes"
    assert counts((await prune(engine, 31, dry_run=True))["default"]) == {"logs": 1, "outputs": 2}
    assert counts((await prune(engine, 31))["default"]) == {"logs": 1, "outputs": 2}
    assert engine.site.outputs == set()


async def test_a_job_is_kept_while_a_finished_re_run_reuses_its_outputs(engine: Engine) -> None:
    engine.site.script("b", Script(exit_code=1), Script())
    (first,) = await finish(engine, a_file({"a": "", "b": "a"}))
    await age(engine, 350)
    (second,) = await finish_again(engine, first)
    assert "jobs" not in counts((await prune(engine, 20))["default"])
    assert engine.site.outputs == {first, second}
    assert counts((await prune(engine, 31))["default"])["jobs"] == 1
    assert engine.site.outputs == set()


async def test_a_re_run_and_a_prune_at_once_agree(engine: Engine) -> None:
    """Whoever holds the job's row first wins: outputs that are given up are not built upon, and the other way round."""
    engine.site.script("b", Script(exit_code=1))
    (job,) = await finish(engine, a_file({"a": "", "b": "a"}))
    ended = EndedJob(job, (await engine.job(job)).pipeline_id, in_days(0))

    async with engine.database.transaction() as db:
        plan = await plan_rerun(db, engine.project, job, start=FAILURE)
        await rerun(db, engine.project, plan, by="ada", now=in_days(0))
        assert await engine.database.run(lambda other: give_up_outputs(other, [ended], now=in_days(31))) == []
    assert await engine.database.run(lambda db: give_up_outputs(db, [ended], now=in_days(31))) == []

    (other,) = await finish(engine, a_file({"a": "", "b": "a"}))
    ended = EndedJob(other, ended.pipeline_id, in_days(0))
    async with engine.database.transaction() as db:
        assert await give_up_outputs(db, [ended], now=in_days(31)) == [ended]
        late = asyncio.create_task(run_again(engine, other))
        await asyncio.sleep(0.1)
        assert not late.done(), "it waits to see what comes of it"
    with pytest.raises(Conflict):
        await late


async def test_a_crash_between_the_mark_and_the_files_is_made_good(engine: Engine) -> None:
    (job,) = await finish(engine, a_file({"a": ""}))

    class Cut(SimulatedBackend):
        async def forget_outputs(self, *_: Any, **__: Any) -> Any:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await prune(engine, 31, backend=Cut(engine.site))
    assert (await rows(engine))["marked"] == 1, "it cannot be run again in part any more"
    assert engine.site.outputs == {job}
    assert counts((await prune(engine, 31))["default"]) == {"outputs": 1}
    assert engine.site.outputs == set()


async def test_a_backend_that_is_away_holds_up_only_the_files(engine: Engine) -> None:
    (job,) = await finish(engine, a_file({"a": ""}))
    engine.site.is_away = True
    with pytest.raises(Unavailable):
        await prune(engine, 400)
    assert (await rows(engine))["event"] == 0
    assert (await engine.job(job)).id == job
    engine.site.is_away = False
    assert counts((await prune(engine, 400))["default"]) == {"logs": 1, "outputs": 1, "jobs": 1}


async def test_files_of_another_site_are_its_own_to_remove_until_it_is_long_gone(engine: Engine) -> None:
    (job,) = await finish(engine, a_file({"a": ""}))
    events = len(await engine.history(job))
    elsewhere = SimulatedBackend(engine.site, name="elsewhere")
    assert counts((await prune(engine, 366, backend=elsewhere))["default"]) == {"events": events}
    assert engine.site.outputs == {job}
    assert counts((await prune(engine, 366 + 30, backend=elsewhere))["default"]) == {"logs": 1, "outputs": 1, "jobs": 1}


async def test_big_jobs_go_in_batches(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fasttrack.db.retention.BATCH", 7)
    monkeypatch.setattr("fasttrack_scheduler.pruning._PAGE", 2)
    jobs = await finish(engine, *[a_file({f"t{n}": "" for n in range(5)}) for _ in range(5)])
    events = sum([len(await engine.history(job)) for job in jobs])
    told = await prune(engine, 400, dry_run=True)
    done = await prune(engine, 400)
    assert counts(done["default"]) == {"events": events, "logs": 25, "outputs": 5, "jobs": 5}
    assert done == told
    assert {k: v for k, v in (await rows(engine)).items() if k in ("job", "task_instance", "attempt", "event")} == {
        "job": 0, "task_instance": 0, "attempt": 0, "event": 0,
    }  # fmt: skip


async def test_two_schedulers_may_prune_at_once(engine: Engine) -> None:
    jobs = await finish(engine, *[a_file({"a": "", "b": ""}) for _ in range(8)])
    done = await asyncio.gather(prune(engine, 400), prune(engine, 400), prune(engine, 400))
    assert sum(d["default"].kinds[Kind.JOBS].count for d in done) == len(jobs)
    assert (await rows(engine))["job"] == 0


async def test_a_pass_goes_on_while_a_prune_transaction_is_open(engine: Engine) -> None:
    (old,) = await finish(engine, a_file({"a": ""}))
    ended = EndedJob(old, (await engine.job(old)).pipeline_id, in_days(0))
    async with engine.database.transaction() as db:
        assert [j.id for j in await give_up_outputs(db, [ended], now=in_days(31))] == [old]
        (other,) = await finish(engine, a_file({"a": "", "b": "a"}))
        assert (await engine.job(other)).state is JobState.SUCCEEDED


async def test_a_job_that_somebody_holds_is_left_for_later(engine: Engine) -> None:
    (job,) = await finish(engine, a_file({"a": ""}))
    ended = EndedJob(job, (await engine.job(job)).pipeline_id, in_days(0))
    async with engine.database.transaction() as db:
        assert await lock_ended(db, [ended]) == {job}
        assert counts((await prune(engine, 31))["default"]) == {"logs": 1}
    assert counts((await prune(engine, 31))["default"]) == {"outputs": 1}


async def test_events_without_a_place_stay_until_they_have_one(engine: Engine) -> None:
    (job,) = await finish(engine, a_file({"a": ""}))
    async with engine.database.transaction() as db:
        last = await db.row("SELECT * FROM feed_range ORDER BY pos DESC LIMIT 1")
        assert last is not None
        await db.execute("DELETE FROM feed_range WHERE pos = $1", last["pos"])
        await db.execute("INSERT INTO unplaced_range VALUES ($1, $2, $3)", last["job_id"], last["seq"], last["events"])
    events = len(await engine.history(job))
    assert counts((await prune(engine, 400))["default"]) == {"events": events - last["events"], "logs": 1, "outputs": 1}
    assert (await engine.job(job)).id == job
    async with engine.scheduling():
        await engine.settled()
    assert counts((await prune(engine, 400))["default"]) == {"events": last["events"], "jobs": 1}


async def test_a_scheduler_prunes_by_the_database_s_clock(engine: Engine) -> None:
    (job,) = await finish(engine, a_file({"a": ""}))
    await age(engine, 31)
    pruner = Pruner(engine.database, SimulatedBackend(engine.site), engine.settings)
    assert await pruner.turn() == 600.0
    assert engine.site.outputs == set()
    assert len(await engine.history(job)) > 0


async def test_a_project_that_cannot_be_pruned_holds_up_no_other(engine: Engine) -> None:
    other = await engine.database.run(lambda db: ensure_project(db, "zeta"))
    theirs = Engine(engine.database, other, engine.settings, None)
    theirs.site = engine.site
    (mine,) = await finish(engine, a_file({"a": ""}))
    await finish(theirs, a_file({"a": ""}))
    await age(engine, 31)
    await age(engine, 31, other)

    class Breaks(SimulatedBackend):
        async def forget_outputs(self, jobs: Any, **more: Any) -> Any:
            if jobs[0][1] == mine:
                raise ZeroDivisionError
            return await super().forget_outputs(jobs, **more)

    await Pruner(engine.database, Breaks(engine.site), engine.settings).turn()
    assert engine.site.outputs == {mine}


# -- the feed ----------------------------------------------------------------------------------------------------


async def first_event(feed: Feed, cursor: Cursor, job: JobId | None = None) -> Any:
    async with aclosing(feed.follow(cursor, job=job, every=0.01)) as events:
        async with asyncio.timeout(5):
            return (await anext(events))[1]


async def test_a_cursor_before_what_was_removed_is_expired_and_one_at_the_boundary_is_not(engine: Engine) -> None:
    feed = Feed(engine.database, engine.project)
    start = await feed.here()
    (old,) = await finish(engine, a_file({"a": ""}))
    boundary = await feed.here()
    assert counts((await prune(engine, 91))["default"])["events"] == boundary.pos - start.pos
    (new,) = await finish(engine, a_file({"a": ""}))

    for cursor in (start, Cursor(boundary.epoch, boundary.pos - 1)):
        with pytest.raises(CursorExpired, match="list again"):
            await first_event(feed, cursor)
    seen = await first_event(feed, boundary)
    assert (seen.job_id, seen.seq, seen.pos) == (new, 1, boundary.pos + 1)
    assert (await first_event(feed, start, job=new)).seq == 1, "of this job nothing is missing"
    with pytest.raises(CursorExpired):
        await first_event(feed, start, job=old)


async def test_what_another_project_lost_expires_nobody_s_cursor(engine: Engine) -> None:
    feed = Feed(engine.database, engine.project)
    start = await feed.here()
    other = await engine.database.run(lambda db: ensure_project(db, "short"))
    theirs = Engine(engine.database, other, engine.settings, None)
    theirs.site = engine.site
    await finish(theirs, a_file({"a": ""}))
    (mine,) = await finish(engine, a_file({"a": ""}))
    await age(engine, 91, other)
    done = await prune(engine, 0)
    assert done["short"].kinds[Kind.EVENTS].count > 0
    assert (await first_event(feed, start)).job_id == mine
    with pytest.raises(CursorExpired):
        await first_event(Feed(engine.database, other), start)


async def test_a_follower_that_fell_behind_is_told_and_not_skipped(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fasttrack.feed._PAGE", 2)
    feed = Feed(engine.database, engine.project)
    start = await feed.here()
    await finish(engine, a_file({"a": ""}))
    async with aclosing(feed.follow(start)) as events:
        seen = [(await anext(events))[1].seq for _ in range(2)]
        await prune(engine, 91)
        with pytest.raises(CursorExpired):
            await anext(events)
    assert seen == [1, 2]


async def test_a_removal_in_the_middle_expires_those_who_have_not_seen_all_of_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut short after one batch, only that batch is gone, and only its readers have missed something."""
    monkeypatch.setattr("fasttrack.db.retention.BATCH", 2)
    feed = Feed(engine.database, engine.project)
    start = await feed.here()
    (job,) = await finish(engine, a_file({"a": ""}))
    ended = EndedJob(job, (await engine.job(job)).pipeline_id, in_days(0))
    assert (await engine.database.run(lambda db: remove_events(db, engine.project, [ended])))[job].rows == 2
    with pytest.raises(CursorExpired):
        await first_event(feed, Cursor(start.epoch, start.pos + 1))
    assert (await first_event(feed, Cursor(start.epoch, start.pos + 2))).seq == 3


async def test_settings_say_how_often() -> None:
    assert Settings().prune_interval == timedelta(minutes=10)
