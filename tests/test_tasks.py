"""Tasks end when they are told to, also those that lose what they are told."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from fasttrack import tasks
from fasttrack.tasks import end_tasks


async def test_a_task_that_loses_a_cancellation_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_AGAIN_AFTER", 0.01)
    lost = 0

    async def loses_two() -> None:
        nonlocal lost
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            lost += 1
            if lost == 3:
                return

    task = asyncio.create_task(loses_two())
    await asyncio.sleep(0)
    await asyncio.wait_for(end_tasks(task), 5)
    assert lost == 3


async def test_what_tasks_raise_at_their_end_is_theirs() -> None:
    async def fails() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError

    over = asyncio.create_task(asyncio.sleep(0))
    await over
    failing = asyncio.create_task(fails())
    await asyncio.sleep(0)
    await end_tasks(over, failing)
    assert isinstance(failing.exception(), ValueError)
    await end_tasks()
