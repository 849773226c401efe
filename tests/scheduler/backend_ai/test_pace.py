"""A key's requests stay within our share of its limit, whoever else uses it."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasttrack.backend_ai.pace import SHARE, SLOWEST, WINDOW, Pace, burst_of, rate_of


@given(limit=st.integers(100, 1_000_000), used=st.integers(0, 2_000_000))
def test_it_slows_down_as_the_window_fills_and_never_stops(limit: int, used: int) -> None:
    full = limit * SHARE / WINDOW
    assert 0 < rate_of(limit, used) <= full
    assert rate_of(limit, used + 1) <= rate_of(limit, used)
    assert rate_of(limit, 0) == full


@pytest.mark.parametrize("schedulers", [1, 2, 5])
def test_several_schedulers_on_one_key_stay_near_the_share_without_knowing_of_each_other(schedulers: int) -> None:
    """Two windows, second by second, all of them with more to ask than they may."""
    limit = 10_000
    sent: list[float] = []
    for second in range(int(2 * WINDOW)):
        used = sum(sent[max(0, second - int(WINDOW)) :])
        sent.append(schedulers * rate_of(limit, int(used)))
        assert used <= limit * SHARE * (1 + schedulers * SLOWEST), second


@given(limit=st.integers(100, 1_000_000), used=st.integers(0, 2_000_000), schedulers=st.integers(1, 5))
def test_schedulers_that_burst_together_stop_together_before_the_share_is_used(
    limit: int, used: int, schedulers: int
) -> None:
    """Request by request: each sends while it has room, and is told what is left with its answer."""
    room, began = [burst_of(limit, used)] * schedulers, used
    for turn in itertools.count():
        one = turn % schedulers
        if room[one] >= 1:
            used += 1
            room[one] = min(room[one] - 1, burst_of(limit, used))
        elif max(room) < 1:
            break
        if turn > 20_000:  # enough of a long one
            break
    assert used <= max(limit * SHARE, began + schedulers)


def told(limit: int, used: int) -> dict[str, str]:
    return {"x-ratelimit-limit": str(limit), "x-ratelimit-remaining": str(limit - used)}


async def passes(pace: Pace) -> bool:
    """Whether a request may be sent now."""
    waiting = asyncio.create_task(pace.wait())
    await asyncio.sleep(0)
    is_through = waiting.done()
    waiting.cancel()
    return is_through


async def test_a_burst_is_let_through_and_the_rest_waits_its_turn() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    pace.note(told(9000, 320))  # 6 per second, and half of the 4,000 that are left to the brakes at once
    for _ in range(2000):
        await asyncio.wait_for(pace.wait(), 1)
    assert not await passes(pace)
    now = 1 / 6 + 0.001
    assert await passes(pace)
    assert not await passes(pace)


async def test_room_that_others_take_is_gone_with_the_next_answer() -> None:
    pace = Pace(lambda: 0.0)
    pace.note(told(9000, 0))
    assert await passes(pace)
    pace.note(told(9000, 5000))
    assert await passes(pace)
    assert not await passes(pace)


async def test_refusals_for_too_many_requests_brake_at_once_and_many_no_more_than_one() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    pace.note(told(30_000, 0))  # 20 per second
    for _ in range(16):
        pace.exhausted()
    assert not await passes(pace)
    now = 1 / (20 * SLOWEST) + 0.001
    assert await passes(pace)


@pytest.mark.parametrize("headers", [{}, {"x-ratelimit-limit": "many", "x-ratelimit-remaining": "1"}])
async def test_an_answer_without_figures_changes_nothing(headers: dict[str, str]) -> None:
    pace = Pace(lambda: 0.0)
    pace.note(headers)
    await asyncio.wait_for(pace.wait(), 1)
