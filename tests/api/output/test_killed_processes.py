"""A log is followed over api processes that are killed in the middle: by its offset it goes on, and nothing is lost or told
twice.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from tests.api.output.conftest import Get, Machine
from tests.api.output.test_graphql_logs import FOLLOW, instance_of
from tests.api.streams.sockets import introduced
from tests.api.streams.test_processes import GONE, Processes
from tests.waiting import eventually


async def test_whoever_is_killed_the_log_is_followed_to_its_end(
    machine: Machine,
    processes: Processes,
    log: Get,
    tmp_path: Path,
) -> None:
    job = await machine.running(
        f"n=0; while [ ! -e {tmp_path}/go ]; do n=$((n+1)); echo line $n; sleep 0.005; done; echo done"
    )
    instance = await instance_of(machine, job)
    connects = 0

    async def over_rest() -> str:
        nonlocal connects
        got = b""
        while True:
            connects += 1
            try:
                url = f"{processes.address(connects)}/api/v1/jobs/{job}/tasks/a/logs"
                params = {"follow": "true", "offset": str(len(got))}
                async with httpx.AsyncClient(timeout=20) as client, client.stream("GET", url, params=params) as answer:
                    async for piece in answer.aiter_raw():
                        got += piece
                    return got.decode()
            except GONE:
                await asyncio.sleep(0.05)

    async def over_socket() -> str:
        nonlocal connects
        got: Any = {"nextOffset": 0, "isEnd": False}
        text = ""
        while not got["isEnd"]:
            connects += 1
            try:
                async with introduced(processes.address(connects)) as socket:
                    await socket.subscribe(FOLLOW, id=instance, offset=got["nextOffset"])
                    while not got["isEnd"]:
                        got = (await socket.next())["jobLog"]
                        text += got["text"]
            except GONE:
                await asyncio.sleep(0.05)
        return text

    following = [asyncio.create_task(over_rest()), asyncio.create_task(over_socket())]
    await eventually(lambda: connects >= 2)
    for _ in range(2):
        before = connects
        await processes.kill(0)  # the older one, which somebody follows at
        await eventually(lambda before=before: connects > before)  # type: ignore[misc]
        await processes.start()
    (tmp_path / "go").touch()
    await machine.engine.ended(job)
    whole = (await log(job)).text
    assert whole.endswith("\ndone\n")
    async with asyncio.timeout(40):
        assert await asyncio.gather(*following) == [whole, whole]
