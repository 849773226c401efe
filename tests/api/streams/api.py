"""An api process of its own: `python -m tests.api.streams.api`. Prints its port, and serves until it is killed."""

from __future__ import annotations

import asyncio

import uvicorn

from fasttrack.settings import Settings
from fasttrack.telemetry import set_up_logging
from fasttrack_api.app import create_app


async def main() -> None:
    set_up_logging("warning", "json")
    app = create_app(Settings())
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="websockets-sansio", loop="uvloop"))
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        print(server.servers[0].sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await serving


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
