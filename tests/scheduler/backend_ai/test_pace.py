"""A key's requests stay within our share of its limit, whoever else uses it."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasttrack.backend_ai.pace import SHARE, SLOWEST, WINDOW, Pace, rate_of


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


async def test_a_burst_is_let_through_and_the_rest_waits_its_turn() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    pace.note({"x-ratelimit-limit": "9000", "x-ratelimit-remaining": "9000"})  # 6 per second, 180 at once
    for _ in range(180):
        await asyncio.wait_for(pace.wait(), 1)
    late = asyncio.create_task(pace.wait())
    await asyncio.sleep(0)
    assert not late.done()
    now = 1.0
    await asyncio.wait_for(late, 2)


async def test_a_refusal_for_too_many_requests_brakes_at_once() -> None:
    pace = Pace(lambda: 0.0)
    pace.exhausted()
    waiting = asyncio.create_task(pace.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


@pytest.mark.parametrize("headers", [{}, {"x-ratelimit-limit": "many", "x-ratelimit-remaining": "1"}])
async def test_an_answer_without_figures_changes_nothing(headers: dict[str, str]) -> None:
    pace = Pace(lambda: 0.0)
    pace.note(headers)
    await asyncio.wait_for(pace.wait(), 1)
