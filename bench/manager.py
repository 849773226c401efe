"""A stand-in for a Backend.AI manager, in a process of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from fasttrack.ids import JobId

GENERATIONS = {"backend_ai-26": "26", "backend_ai-23.09": "23.09"}
"""What the stand-in plays, by the name of a workload's backend."""
LIMIT = 30_000
"""Requests of a key in 900 seconds: what managers are shipped with."""
_STANDIN = Path(__file__).parents[1] / "infra" / "backendai-standin"
_KEY, _SECRET = "AKIABENCH", "of the bench"


@dataclass
class Cluster:
    """A stand-in for a manager."""

    address: str
    pid: int
    held: JobId | None = None
    """The job whose sessions run all the time."""

    @property
    def settings(self) -> dict[str, str]:
        """Of the scheduler that works on it."""
        return {
            "FASTTRACK_BACKEND": "backend_ai",
            "FASTTRACK_BACKEND_AI_ENDPOINT": self.address,
            "FASTTRACK_BACKEND_AI_ACCESS_KEY": _KEY,
            "FASTTRACK_BACKEND_AI_SECRET_KEY": _SECRET,
        }

    async def told(self) -> dict[str, Any]:
        """What it saw: requests by kind, and every session there was."""
        async with httpx.AsyncClient(base_url=self.address, timeout=30) as client:
            answer = (await client.get("/standin/faults")).json()
        assert isinstance(answer, dict)
        return answer

    async def change(self, what: str, **given: Any) -> None:
        """Its `policy` or its `faults`."""
        async with httpx.AsyncClient(base_url=self.address, timeout=30) as client:
            (await client.post(f"/standin/{what}", json=given)).raise_for_status()


@asynccontextmanager
async def cluster(backend: str, state_dir: Path) -> AsyncIterator[Cluster]:
    """A cluster of that generation with room for everything, while the block runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (state_dir / f"{backend}.log").open("wb")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "standin", "--generation", GENERATIONS[backend], "--port", str(port)),
        *("--dir", str(state_dir / backend), "--access-key", _KEY, "--secret-key", _SECRET),
        *("--pretend", "--times", "1000", "--step", "0.05", "--quiet"),
        cwd=_STANDIN,
        env=os.environ | {"PYTHONPATH": str(_STANDIN)},
        stdout=log,
        stderr=log,
    )
    found = Cluster(f"http://127.0.0.1:{port}", process.pid)
    try:
        async with asyncio.timeout(30):
            while True:
                try:
                    await found.change("policy", max_concurrent_sessions=100_000, rate_limit=LIMIT)
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
                else:
                    break
        yield found
    finally:
        process.kill()
        await process.wait()
        log.close()
