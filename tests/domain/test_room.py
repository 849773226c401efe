"""What is free, agent by agent."""

from __future__ import annotations

from decimal import Decimal

from fasttrack.domain.room import Room

D = Decimal
HAS = {"cpu": D(8), "cuda.device": D(2)}


def test_free_is_told_in_sum_and_the_most_of_each_slot_on_one_agent() -> None:
    room = Room.of([(HAS, {"cpu": D(8)}, True), (HAS, {"cpu": D(1), "cuda.device": D(1)}, True)])
    assert room.capacity == {"cpu": 16, "cuda.device": 4}
    assert room.used == {"cpu": 9, "cuda.device": 1}
    assert (room.free, room.largest, room.agents) == ({"cpu": 7, "cuda.device": 3}, {"cpu": 7, "cuda.device": 2}, 2)


def test_a_session_has_room_only_where_one_agent_has_all_of_it() -> None:
    room = Room.of([(HAS, {"cpu": D(8)}, True), (HAS, {"cpu": D(1), "cuda.device": D(1)}, True)])
    assert room.takes({"cpu": D(7), "cuda.device": D(1)})
    assert room.takes({"cuda.device": D(2)})
    assert not room.takes({"cpu": D(1), "cuda.device": D(2)}), "the devices are on one agent, and the cores on another"
    assert room.takes({"cuda.device": D(1), "mem": D(0)}, containers=3)
    assert not room.takes({"cuda.device": D(1)}, containers=4)
    assert not room.takes({"ipu.device": D(1)})


def test_an_agent_that_takes_no_sessions_counts_as_capacity_and_not_as_room() -> None:
    room = Room.of([(HAS, {}, False), (HAS, {"cpu": D(9)}, True)])
    assert (room.capacity["cpu"], room.free["cpu"], room.free["cuda.device"]) == (16, 0, 2)


def test_where_agents_are_not_shown_room_is_what_is_free_in_sum() -> None:
    room = Room.in_sum({"cpu": D(3)}, {"cpu": D(5), "mem": D(1)})
    assert (room.capacity, room.pieces, room.largest, room.agents) == ({"cpu": 8, "mem": 1}, None, None, None)
    assert (room.takes({"cpu": D(5)}), room.takes({"cpu": D(6)})) == (True, False)


def test_a_group_whose_agents_are_all_lost_has_nothing() -> None:
    room = Room.of([])
    assert (room.capacity, room.free, room.largest, room.agents) == ({}, {}, {}, 0)
    assert not room.takes({"cpu": D(1)})
