"""Stand-in managers on real sockets, for tests."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn

from fasttrack.backend_ai.gateway import Gateway
from fasttrack.backend_ai.signing import Keypair
from standin.agents import Agent
from standin.app import Manager, make_app

GENERATION_OF = {"23.09.10": "23.09", "26.9.6": "26"}
KEYPAIR = Keypair("AKIATEST", "secret of the test")


@asynccontextmanager
async def serving(
    release: str, root: Path, *, step: float = 0.02, agents: list[Agent] | None = None, pretends: bool = False
) -> AsyncIterator[tuple[Manager, str]]:
    """A manager of that release, and its address."""
    keys = {KEYPAIR.access_key: KEYPAIR.secret_key}
    manager = Manager(GENERATION_OF[release], root, keys=keys, step=step, agents=agents, pretends=pretends)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(make_app(manager), log_level="critical", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield manager, f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        manager.events.cut()
        server.should_exit = True
        await task
        await manager.lives.close()


def settings_for(address: str) -> dict[str, str]:
    """The settings that name it, with the key that is let in."""
    return {
        "backend": "backend_ai",
        "backend_ai_endpoint": address,
        "backend_ai_access_key": KEYPAIR.access_key,
        "backend_ai_secret_key": KEYPAIR.secret_key,
    }


@asynccontextmanager
async def gateway_to(address: str) -> AsyncIterator[Gateway]:
    """A gateway with the key that is let in."""
    gateway = Gateway(address, KEYPAIR)
    try:
        yield gateway
    finally:
        await gateway.close()
