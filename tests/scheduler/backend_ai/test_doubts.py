"""Which records are looked at closer, and when: few at a time, however many sessions there are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fasttrack_scheduler.backends.backend_ai.doubts import Doubts
from fasttrack_scheduler.backends.backend_ai.truth import Session

LONG_AFTER = 1000.0


def a_session(name: str, **changes: Any) -> Session:
    record = {"id": f"id of {name}", "name": name, "status": "RUNNING", "result": "UNDEFINED"} | changes
    return Session.of(record)


@pytest.fixture
def doubts() -> Doubts:
    made = Doubts(timedelta(seconds=60))
    made.to_look_at([], 0.0)  # a process that has been there for long
    return made


def names(sessions: list[Session]) -> list[str]:
    return [session.name for session in sessions]


def test_a_session_that_runs_is_looked_at_after_a_minute_and_then_in_turn(doubts: Doubts) -> None:
    running = [a_session(name) for name in "abc"]
    assert doubts.to_look_at(running, LONG_AFTER) == []
    assert doubts.to_look_at(running, LONG_AFTER + 59) == []
    turns = [names(doubts.to_look_at(running, LONG_AFTER + 60 + 2 * turn)) for turn in range(5)]
    assert turns == [["a"], ["b"], ["c"], [], []]
    assert names(doubts.to_look_at(running, LONG_AFTER + 120)) == ["a"]


def test_one_is_looked_at_in_two_seconds_however_many_there_are_and_however_often_they_are_listed(
    doubts: Doubts,
) -> None:
    running = [a_session(f"s{n}") for n in range(1000)]
    doubts.to_look_at(running, LONG_AFTER)
    looked = [names(doubts.to_look_at(running, LONG_AFTER + 100 + turn / 2)) for turn in range(80)]
    assert [len(turn) for turn in looked] == [1, 0, 0, 0] * 20
    assert len({turn[0] for turn in looked if turn}) == 20


def test_what_this_process_made_itself_is_not_looked_at_sooner_for_its_youth() -> None:
    doubts = Doubts(timedelta(seconds=60))
    doubts.to_look_at([], LONG_AFTER)
    doubts.note_made("made", LONG_AFTER)
    both = [a_session("made"), a_session("found")]
    assert names(doubts.to_look_at(both, LONG_AFTER + 10)) == ["found"]
    assert doubts.to_look_at(both, LONG_AFTER + 20) == []
    assert names(doubts.to_look_at(both, LONG_AFTER + 60)) == ["made"]


def test_after_an_outage_all_that_ran_are_looked_at_soon(doubts: Doubts) -> None:
    running = [a_session(f"s{n}") for n in range(20)]
    doubts.to_look_at(running, LONG_AFTER)
    doubts.note_outage()
    turns = [doubts.to_look_at(running, LONG_AFTER + turn) for turn in range(4)]
    assert [len(turn) for turn in turns] == [8, 8, 4, 0]


def test_what_ran_before_this_process_began_is_looked_at_soon() -> None:
    running = [a_session(f"s{n}") for n in range(10)]
    doubts = Doubts(timedelta(seconds=60))
    assert [len(doubts.to_look_at(running, LONG_AFTER + turn)) for turn in range(3)] == [8, 2, 0]


def test_what_is_over_or_has_its_result_is_not_looked_at(doubts: Doubts) -> None:
    others = [a_session("a", status="PENDING"), a_session("b", result="SUCCESS"), a_session("c", status="TERMINATED")]
    doubts.to_look_at(others, LONG_AFTER)
    doubts.note_outage()
    assert doubts.to_look_at(others, 2 * LONG_AFTER) == []


def test_a_session_with_its_result_is_left_to_its_manager_for_a_moment(doubts: Doubts) -> None:
    done = a_session("a", result="FAILURE")
    assert doubts.left_behind([done], 10.0) == []
    assert doubts.left_behind([done], 12.9) == []
    assert doubts.left_behind([done], 13.0) == [done]
    assert doubts.left_behind([a_session("a", status="TERMINATING", result="FAILURE")], 13.1) == []
    assert doubts.left_behind([done], 14.0) == []


def test_patience_with_an_agent_begins_when_it_is_lost_and_anew_when_it_was_back(doubts: Doubts) -> None:
    there = a_session("a", containers=[{"agent": "i-one"}])
    doubts.note_agents({"i-one"}, 100.0)
    doubts.note_agents({"i-one", "i-two"}, 130.0)
    assert doubts.on_lost_agents([there], 159.0) == []
    assert doubts.on_lost_agents([there], 160.0) == [(there, "i-one")]
    doubts.note_agents(set(), 161.0)
    assert doubts.on_lost_agents([there], 162.0) == []
    doubts.note_agents({"i-one"}, 163.0)
    assert doubts.on_lost_agents([there], 200.0) == []
