"""Serves the API from a command: beside the scheduler in `fasttrack up`, or alone in `fasttrack api`."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fasttrack.clock import SystemClock
from fasttrack.db import migrate
from fasttrack.settings import Settings
from fasttrack.storage import Sites
from fasttrack.workflow.owner import owner_token
from fasttrack_api.app import create_app
from fasttrack_api.parts import Parts, opened
from fasttrack_api.server import PortTaken, address_of, listen, serving

from .diagnostics import set_up_logging
from .invocation import Invocation
from .presence import SERVERS
from .running import signals
from .servers import ensure_servers
from .workbench import Workbench, sharing

_PATIENCE_BESIDE = 2  # of the ten seconds that `up` has for its end
_PATIENCE_ALONE = 5


@asynccontextmanager
async def serving_beside(call: Invocation, bench: Workbench) -> AsyncIterator[str | None]:
    """The API is served while the block runs; its address, or `None` when its port is taken."""
    settings = bench.settings
    try:
        listening = listen(settings.api_host, settings.api_port)
    except PortTaken as error:
        call.out.warn(f"The API is not served here: {error.message}. Everything else runs.")
        yield None
        return
    address = address_of(listening)
    sites = Sites(settings, bench.keyring)
    parts = Parts(settings, bench.database, bench.doorbell, bench.box, SystemClock(), sites=sites)
    app = create_app(settings, given=parts)
    if settings.is_embedded:
        await owner_token(settings, bench.database)
    try:
        async with serving(app, settings, listening, patience=_PATIENCE_BESIDE):
            yield address
    finally:
        await sites.close()


async def serve_alone(call: Invocation, host: str | None, port: int | None) -> None:
    """Serve the API until SIGINT or SIGTERM. :raises PortTaken: another process listens there."""
    given = {"api_host": host, "api_port": port}
    settings = call.settings.model_copy(update={name: value for name, value in given.items() if value is not None})
    set_up_logging(settings, "info")
    async with signals() as came:
        listening = listen(settings.api_host, settings.api_port)
        address = address_of(listening)
        with sharing(settings, SERVERS):
            is_ours, settings = settings.is_embedded, await _with_addresses(settings)
            async with opened(settings) as parts, AsyncExitStack() as stack:
                if is_ours:
                    await owner_token(settings, parts.database)
                app = create_app(settings, given=parts)
                running = await stack.enter_async_context(serving(app, settings, listening, patience=_PATIENCE_ALONE))
                gc.collect()
                gc.freeze()  # it stays to the end, and requests need not wait until it has been looked through
                if call.out.as_json:
                    call.out.record({"ready": True, "api": address})
                else:
                    call.out.say(f"The API is at {address}, its documentation at {address}/docs. Ctrl-C ends it.")
                ended = asyncio.create_task(came.wait())
                await asyncio.wait({ended, running}, return_when=asyncio.FIRST_COMPLETED)
                ended.cancel()
    call.out.say("stopped")


async def _with_addresses(settings: Settings) -> Settings:
    """The settings with the addresses of the embedded servers, which are started where none are given."""
    if settings.database_url is not None and settings.redis_url is not None:
        return settings
    from pydantic import SecretStr

    addresses = await ensure_servers(settings)
    if settings.is_embedded:
        await migrate.upgrade(addresses.database_url)
    # Asked before the addresses are known: the servers are this machine's own.
    found: dict[str, object] = {"api_open_on_loopback": settings.is_open_on_loopback}
    found |= {"database_url": SecretStr(addresses.database_url), "redis_url": SecretStr(addresses.redis_url)}
    return settings.model_copy(update=found)
