"""`fasttrack up`: opens everything, tries again when a part is away, says what runs where, and ends in order."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AbstractAsyncContextManager, nullcontext, suppress

import structlog

from fasttrack.errors import FastTrackError, Unavailable

from .invocation import Invocation
from .running import signals
from .servers import ensure_servers, masked, stop_servers
from .workbench import Workbench

log = structlog.get_logger()

_LONGEST_REST = 5.0
_WATCH_SECONDS = 2.0
_ROUNDS_PER_CARE = 300
_END_SECONDS = 9.0  # in order on SIGTERM within ten


class Upkeep:
    """One run of `fasttrack up` or `fasttrack scheduler`."""

    def __init__(self, call: Invocation, stop: bool | None = None, *, api: bool = False) -> None:
        self._call = call
        self._stop = stop
        self._api = api
        self._started: tuple[str, ...] = ()

    async def run(self) -> None:
        """Until SIGINT or SIGTERM. A setting that is not valid, or a wrong schema, ends it at once."""
        async with signals() as came:
            await self._run(came)
        self._call.out.say("stopped")

    async def _run(self, came: asyncio.Event) -> None:
        rest = 0.5
        said = ""
        while not came.is_set():
            try:
                async with self._call.opened(log_level="info", any_project=True) as bench:
                    await self._serve(bench, came)
                    return
            except FastTrackError as error:
                if not isinstance(error, Unavailable):
                    raise
                if error.message != said:
                    self._call.out.warn(f"{error.message}. Trying again until it works; Ctrl-C ends it.")
                    said = error.message
            except Exception:
                # It will be looked for in the log, and nobody can repeat it with --debug.
                log.exception("FastTrack failed unexpectedly")
                raise
            with suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await came.wait()
            rest = min(rest * 2, _LONGEST_REST)

    async def _serve(self, bench: Workbench, came: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        self._started = self._started or bench.addresses.started
        async with bench.scheduling(), self._serving(bench) as address:
            # What is here now stays to the end: passes need not wait until it has been looked through for garbage.
            gc.collect()
            gc.freeze()
            self._say_what_runs(bench, address)
            watching = asyncio.create_task(self._keep_watch(bench))
            await came.wait()
            ends_at = loop.time() + _END_SECONDS
            self._call.out.say("\nending in order; running sessions go on")
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await self._stop_servers(bench, within=ends_at - loop.time())

    def _serving(self, bench: Workbench) -> AbstractAsyncContextManager[str | None]:
        if not self._api:
            return nullcontext()
        from .serving import serving_beside  # a scheduler alone has no use for the API's libraries

        return serving_beside(self._call, bench)

    async def _keep_watch(self, bench: Workbench) -> None:
        """Say when the database goes away and when it is back; start the embedded servers again."""
        is_away = False
        rounds = 0
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            try:
                await bench.feed.here()
            except Unavailable as error:
                if not is_away:
                    self._call.out.warn(f"{error.message}. Trying until it is back.")
                is_away = True
                if self._embedded(bench):
                    with suppress(Unavailable):
                        await ensure_servers(bench.settings)
            else:
                if is_away:
                    self._call.out.say("the database is back")
                is_away = False
                if self._embedded(bench) and (rounds := rounds + 1) % _ROUNDS_PER_CARE == 0:
                    # Looks after the servers' logs, which would grow without bound.
                    with suppress(Unavailable):
                        await ensure_servers(bench.settings)

    def _say_what_runs(self, bench: Workbench, address: str | None) -> None:
        settings, addresses = bench.settings, bench.addresses
        runs = [*(f"{name} (embedded)" for name in self._embedded(bench)), "scheduler"]
        facts: dict[str, str | list[str]] = {
            "state_dir": str(settings.state_dir),
            "database": masked(addresses.database_url),
            "redis": masked(addresses.redis_url),
            "backend": settings.backend,
            "runs": runs if address is None else [*runs, "api"],
        }
        if address is not None:
            facts["api"] = address
        if self._call.out.as_json:
            self._call.out.record({"ready": True, **facts})
            return
        self._call.out.say("FastTrack is up. Ctrl-C ends it; running sessions go on.")
        for name, value in facts.items():
            shown = ", ".join(value) if isinstance(value, list) else value
            self._call.out.say(f"  {name.replace('_', ' '):<10} {shown}")

    def _embedded(self, bench: Workbench) -> list[str]:
        given = {"postgres": bench.settings.database_url, "valkey": bench.settings.redis_url}
        return [name for name, url in given.items() if url is None]

    async def _stop_servers(self, bench: Workbench, *, within: float) -> None:
        """Stop the embedded servers where that is wanted and nobody else uses them."""
        wanted = bool(self._started) if self._stop is None else self._stop
        if not wanted or bench.presence is None:
            return
        if not bench.presence.is_alone():
            self._call.out.say("the servers go on: another fasttrack command uses them")
            return
        # Our own connections first: PostgreSQL waits for nobody, but a lost connection would be logged as an error.
        await bench.doorbell.close()
        await bench.database.close()
        try:
            async with asyncio.timeout(max(within, 1.0)):
                await stop_servers(bench.settings)
        except TimeoutError:
            self._call.out.warn("the servers did not stop in time; `fasttrack down` stops them")
        except Unavailable as error:
            self._call.out.warn(f"the servers were not stopped: {error.message}")
