"""Hints: which of them are worth a look, and which a pass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from fasttrack.domain.facts import BackendAway, Fact, SessionSeen
from fasttrack.domain.states import InstanceState
from fasttrack.ids import JobId, new_id
from fasttrack.settings import Settings
from fasttrack_scheduler.backends.base import Observation, SessionStatus
from fasttrack_scheduler.backends.hints import Hints
from fasttrack_scheduler.effects import as_fact
from fasttrack_scheduler.loops.observer import Observer
from tests.waiting import eventually

JOB = JobId(new_id())


class Told:
    """A backend that says what it is told to, and counts what it was asked."""

    def __init__(self) -> None:
        self.now: dict[str, Observation] = {}
        self.asked: list[str] = []
        self._hints = Hints()

    def events(self) -> AsyncIterator[str]:
        return self._hints.listen()

    async def observe(self, names: Sequence[str]) -> list[Observation]:
        self.asked += names
        return [self.now[name] for name in names]

    def change(self, name: str, status: SessionStatus) -> SessionSeen:
        self.now[name] = Observation(name, f"id of {name}", status)
        self._hints.ring(name)
        return as_fact(self.now[name])


class Watch:
    """An observer that listens to such a backend."""

    def __init__(self) -> None:
        self.backend = Told()
        self.learned: list[Fact] = []
        backend: Any = self.backend
        self.observer = Observer(None, backend, Settings(), lambda _, fact: self.learned.append(fact))  # type: ignore[arg-type]

    async def look(self) -> list[InstanceState]:
        """The states learned so far, once every hint has been collected and looked at."""
        for _ in range(5):
            await asyncio.sleep(0)
        await self.observer.hint_turn()
        return [fact.status for fact in self.learned if isinstance(fact, SessionSeen)]


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    made = Watch()
    listening = asyncio.create_task(made.observer.listen())
    await asyncio.sleep(0)
    yield made
    listening.cancel()


async def test_hints_wait_for_the_answer_of_the_create(watch: Watch) -> None:
    watch.observer.expect("a", JOB)
    watch.backend.change("a", SessionStatus.PREPARING)
    assert await watch.look() == []
    assert watch.backend.asked == []
    assert not watch.observer.hint_wake.is_set()


async def test_what_changed_after_the_answer_is_learned(watch: Watch) -> None:
    watch.observer.expect("a", JOB)
    answer = watch.backend.change("a", SessionStatus.PREPARING)
    watch.backend.change("a", SessionStatus.RUNNING)
    await watch.look()
    watch.observer.answered(answer)
    assert watch.observer.hint_wake.is_set()
    assert await watch.look() == [InstanceState.RUNNING]


async def test_hints_are_looked_at_after_a_create_without_an_answer(watch: Watch) -> None:
    watch.observer.expect("a", JOB)
    watch.backend.change("a", SessionStatus.RUNNING)
    await watch.look()
    watch.observer.answered(BackendAway("a", "it did not answer in time"))
    assert await watch.look() == [InstanceState.RUNNING]


async def test_a_hint_that_repeats_the_answer_is_not_learned(watch: Watch) -> None:
    watch.observer.expect("a", JOB)
    watch.observer.answered(watch.backend.change("a", SessionStatus.RUNNING))
    assert await watch.look() == []


async def test_a_hint_that_repeats_a_hint_is_not_learned(watch: Watch) -> None:
    watch.observer.expect("a", JOB)
    watch.observer.answered(watch.backend.change("a", SessionStatus.QUEUED))
    watch.backend.change("a", SessionStatus.RUNNING)
    assert await watch.look() == [InstanceState.RUNNING]
    watch.backend.change("a", SessionStatus.RUNNING)
    assert await watch.look() == [InstanceState.RUNNING]
    watch.backend.change("a", SessionStatus.SUCCEEDED)
    assert await watch.look() == [InstanceState.RUNNING, InstanceState.SUCCEEDED]


async def test_after_an_answer_that_it_is_over_nothing_is_asked(watch: Watch) -> None:
    watch.observer.expect("a", JOB)
    watch.observer.answered(watch.backend.change("a", SessionStatus.SUCCEEDED))
    watch.backend.change("a", SessionStatus.SUCCEEDED)
    assert await watch.look() == []
    assert watch.backend.asked == []


async def test_hints_in_quick_succession_are_looked_at_together(watch: Watch) -> None:
    for name in "abc":
        watch.observer.expect(name, JOB)
        watch.observer.answered(as_fact(Observation(name, "id", SessionStatus.QUEUED)))
    watch.backend.change("a", SessionStatus.RUNNING)
    await watch.look()
    looking = asyncio.create_task(watch.observer.hint_turn())
    watch.backend.change("b", SessionStatus.RUNNING)
    watch.backend.change("c", SessionStatus.RUNNING)
    await eventually(lambda: looking.done())
    assert watch.backend.asked == ["a", "b", "c"]
    assert len(watch.learned) == 3
