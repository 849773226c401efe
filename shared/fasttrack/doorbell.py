"""Wake-ups over Redis or Valkey: arq carries job ids from whoever submits to some scheduler, publish tells all readers
that the feed has moved.

A doorbell, not a queue: what it loses is a delay of one reconcile interval, what it repeats is one harmless look. Every
call gives up after 200 ms, and none of them raises; the database is the queue of record. This is the only module that
knows arq.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping
from contextlib import aclosing, suppress
from typing import Any, cast
from uuid import UUID, uuid4

import orjson
import redis.asyncio as redis
import structlog
from arq.connections import RedisSettings, create_pool
from arq.constants import job_key_prefix
from arq.jobs import serialize_job
from arq.worker import Worker, func
from redis.exceptions import RedisError

from .ids import JobId
from .tasks import end_tasks
from .telemetry import LogLimiter

log = structlog.get_logger()

QUEUE = "fasttrack:jobs"
_WAKE = "fasttrack:wake"
_FEED = "fasttrack:feed"
_PATIENCE = 0.2  # no request waits longer than this for a wake-up that is only a convenience
_KEPT_MS = 24 * 3600 * 1000
_LONG_AGO = 1  # a score that is due by every clock; arq takes 0 for none
_FAULTS = (RedisError, OSError, TimeoutError)


# arq pickles by default, and whoever can write to Redis could then run code in our processes.
def _dumps(value: Any) -> bytes:
    return orjson.dumps(value, default=str)


class Doorbell:
    """Rings, and hears others ring."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._redis = redis.Redis.from_url(url, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE)
        self._limiter = LogLimiter()

    async def ring(self, jobs: Collection[JobId]) -> None:
        """Ask some scheduler to look at these jobs now. Call it after the commit."""
        with self._forgiving("ring"):
            job = serialize_job("look_at", ([str(j) for j in jobs],), {}, None, 0, serializer=_dumps)
            name = uuid4().hex
            async with asyncio.timeout(_PATIENCE), self._redis.pipeline(transaction=True) as pipe:
                # What `enqueue_job` does, in one round trip instead of four, and due whatever this machine's clock says.
                pipe.psetex(job_key_prefix + name, _KEPT_MS, job)
                pipe.zadd(QUEUE, {name: _LONG_AGO})
                pipe.publish(_WAKE, b"")
                await pipe.execute()

    async def is_near(self) -> bool:
        """Whether Redis or Valkey answers right now."""
        try:
            async with asyncio.timeout(_PATIENCE):
                return bool(await self._redis.ping())
        except _FAULTS:
            return False

    async def announce(self, pos: int) -> None:
        """Tell readers everywhere that the feed has reached `pos`."""
        with self._forgiving("announce"):
            async with asyncio.timeout(_PATIENCE):
                await self._redis.publish(_FEED, str(pos))

    async def count(self, key: str, seconds: int) -> int | None:
        """One more of `key`, forgotten after that many seconds: how many there are over all processes.

        `None`: Redis is away. Count in this process then.
        """
        with self._forgiving("count"):
            async with asyncio.timeout(_PATIENCE), self._redis.pipeline(transaction=True) as pipe:
                pipe.incr(f"fasttrack:count:{key}")
                pipe.expire(f"fasttrack:count:{key}", seconds)
                count, _ = await pipe.execute()
                return int(count)
        return None

    async def count_many(self, counts: Mapping[str, int], seconds: int) -> dict[str, int] | None:
        """So many more of each key, in one round trip: how many there are of each over all processes.

        `None`: Redis is away. Count in this process then.
        """
        with self._forgiving("count"):
            async with asyncio.timeout(_PATIENCE), self._redis.pipeline(transaction=False) as pipe:
                for key, count in counts.items():
                    pipe.incrby(f"fasttrack:count:{key}", count)
                    pipe.expire(f"fasttrack:count:{key}", seconds)
                answers = await pipe.execute()
                return dict(zip(counts, map(int, answers[::2]), strict=True))
        return None

    async def feed_moves(self) -> AsyncIterator[None]:
        """Yields whenever the feed may have moved; ends never, and survives Redis going away."""
        while True:
            with self._forgiving("listen"):
                async with aclosing(self._messages(_FEED)) as messages:
                    async for _ in messages:
                        yield
            await asyncio.sleep(1.0)
            yield  # whatever was announced while we could not hear

    async def serve(self, on_jobs: Callable[[Collection[JobId]], None]) -> None:
        """Hand every job id that is rung to `on_jobs`, until cancelled. Restarts when Redis does."""
        while True:
            try:
                with self._forgiving("serve"):
                    await self._serve_once(on_jobs)
            except Exception:
                log.exception("the doorbell failed and is hung up anew")  # a listener that is gone would hear no more
            await asyncio.sleep(1.0)

    async def _serve_once(self, on_jobs: Callable[[Collection[JobId]], None]) -> None:
        async def look_at(_ctx: dict[Any, Any], jobs: list[str]) -> None:
            on_jobs([JobId(UUID(j)) for j in jobs])

        pool = await create_pool(
            _settings(self._url),
            job_serializer=_dumps,
            job_deserializer=orjson.loads,
            default_queue_name=QUEUE,
        )
        worker = _WakingWorker(
            functions=[func(cast("Any", look_at), name="look_at", keep_result=0, max_tries=1, timeout=30)],
            redis_pool=pool,
            queue_name=QUEUE,
            handle_signals=False,
            job_serializer=_dumps,
            job_deserializer=orjson.loads,
            max_jobs=50,
            poll_delay=0.5,
            log_results=False,
        )
        listener = asyncio.create_task(self._wake(worker))
        try:
            await worker.main()
        finally:
            # Not worker.close(): it leaves the pool open when a job is being carried.
            helpers = [listener, *worker.tasks.values()]
            await end_tasks(*helpers)
            with suppress(*_FAULTS):
                await pool.aclose(close_connection_pool=True)

    async def _wake(self, worker: _WakingWorker) -> None:
        async with aclosing(self._messages(_WAKE)) as messages:
            async for _ in messages:
                worker.wake.set()

    async def _messages(self, channel: str) -> AsyncGenerator[None, None]:
        client = redis.Redis.from_url(self._url, socket_connect_timeout=1.0)
        async with client, client.pubsub() as pubsub:
            await pubsub.subscribe(channel)
            async for message in pubsub.listen():
                if message["type"] == "message":
                    yield

    def _forgiving(self, what: str) -> _Forgiving:
        return _Forgiving(what, self._limiter)

    async def close(self) -> None:
        """Let the connections go."""
        with suppress(*_FAULTS):
            await self._redis.aclose()


class _Forgiving:
    """A block in which Redis may be away: said at most every ten seconds, never raised."""

    def __init__(self, what: str, limiter: LogLimiter) -> None:
        self._what = what
        self._limiter = limiter

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, _FAULTS):
            return False
        if self._limiter.allows(self._what):
            log.warning("the doorbell is away; work goes on, a little later", what=self._what, error=str(error))
        return True


class _WakingWorker(Worker):
    """arq's worker, polling at once when told to instead of every half second only.

    It relies on two private methods of arq 0.28, which is why that version is pinned and `tests/doorbell` holds them.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wake = asyncio.Event()

    async def main(self) -> None:
        while True:
            self.wake.clear()
            await self._poll_iteration()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.poll_delay_s):
                    await self.wake.wait()


def _settings(url: str) -> RedisSettings:
    settings = RedisSettings.from_dsn(url)
    settings.conn_timeout = 1
    settings.conn_retries = 0
    return settings
