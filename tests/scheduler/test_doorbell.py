"""The doorbell on the real Valkey: it shortens waiting, and nothing depends on it (I18)."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis.asyncio as redis

from fasttrack.db import Database
from fasttrack.domain.states import JobState
from fasttrack.doorbell import Doorbell
from fasttrack.ids import JobId, ProjectId, new_id
from fasttrack.settings import Settings
from tests.engine import Engine
from tests.factories import a_file
from tests.waiting import eventually


@pytest.fixture
def slow_settings(settings: Settings) -> Settings:
    """A scheduler that would look by itself only after a long time."""
    return settings.model_copy(update={"reconcile_interval": type(settings.reconcile_interval)(seconds=60)})


@pytest.fixture
def rung(database: Database, project: ProjectId, slow_settings: Settings, doorbell: Doorbell) -> Engine:
    """The engine with its bell wired."""
    return Engine(database, project, slow_settings, doorbell)


async def test_a_rung_job_is_looked_at_at_once(rung: Engine) -> None:
    async with rung.scheduling():
        first = await rung.submit(a_file({"a": ""}))

        async def rings_and_looks() -> bool:
            # A ring may be lost on a busy machine, as it gives up after 200 ms; the next one is heard.
            await rung.doorbell.ring([first])  # type: ignore[union-attr]
            return (await rung.job(first)).state is JobState.SUCCEEDED

        await eventually(rings_and_looks)


async def test_ids_arrive_at_exactly_one_listener(doorbell: Doorbell, redis_url: str) -> None:
    heard: list[JobId] = []
    others = [Doorbell(redis_url), Doorbell(redis_url)]
    tasks = [asyncio.create_task(o.serve(heard.extend)) for o in others]
    jobs = [JobId(new_id()) for _ in range(20)]
    for job in jobs:
        await doorbell.ring([job])
    await eventually(lambda: len(heard) >= 20)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for other in others:
        await other.close()
    assert sorted(heard) == sorted(jobs)


async def test_a_bell_rung_by_a_machine_whose_clock_is_ahead_is_heard_at_once(
    doorbell: Doorbell, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """arq gives what is queued the sender's time as its due time."""
    monkeypatch.setattr("arq.connections.timestamp_ms", lambda: int((time.time() + 3600) * 1000))
    heard: list[JobId] = []
    other = Doorbell(redis_url)
    serving = asyncio.create_task(other.serve(heard.extend))
    job = JobId(new_id())
    await doorbell.ring([job])
    await eventually(lambda: heard == [job])
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    await other.close()


async def test_an_emptied_redis_loses_nothing(engine: Engine, redis_url: str) -> None:
    jobs = [await engine.submit(a_file({"a": "", "b": "a"})) for _ in range(5)]
    client = redis.Redis.from_url(redis_url)
    async with engine.scheduling():
        await client.flushdb()
        assert [await engine.ended(j) for j in jobs] == [JobState.SUCCEEDED] * 5
    await client.aclose()


async def test_without_redis_nobody_waits_and_nothing_raises() -> None:
    silent = Doorbell("redis://127.0.0.1:1/0")
    async with asyncio.timeout(2):
        await silent.ring([JobId(new_id())])
        await silent.announce(1)
    await silent.close()


async def test_what_travels_is_json_and_not_pickle(doorbell: Doorbell, redis_url: str) -> None:
    """Whoever can write to Redis must not run code in our processes (S69)."""
    job = JobId(new_id())
    await doorbell.ring([job])
    client = redis.Redis.from_url(redis_url)
    keys = [k async for k in client.scan_iter("arq:job:*")]
    texts = [await client.get(k) for k in keys]
    await client.aclose()
    assert any(t is not None and t.startswith(b"{") and str(job).encode() in t for t in texts)
