"""What a cluster has and what of it is free, as its agents or its sums tell."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from fasttrack_scheduler.backends.base import SessionRefused
from standin.agents import Agent

from .backends import NOW, Cluster, a_spec


async def test_what_is_free_is_asked_in_one_request_which_all_who_ask_share(cluster: Cluster) -> None:
    backend = await cluster.backend()
    await backend.room(max_age=NOW)
    before = cluster.requests()
    told = await asyncio.gather(*(backend.room(max_age=timedelta(seconds=5)) for _ in range(20)))
    assert cluster.requests() == before
    assert all(rooms == told[0] for rooms in told)
    cluster.manager.agents.all[0].used = {"cpu": Decimal(3)}
    rooms, _ = await asyncio.gather(backend.room(max_age=NOW), backend.room(max_age=timedelta(seconds=1)))
    assert cluster.requests() == before + 1
    assert sorted(rooms) == ["default", "mixed", "npu"]
    default = rooms["default"]
    assert (default.capacity["cpu"], default.used["cpu"], default.free["cpu"], default.agents) == (24, 3, 21, 3)
    assert default.largest is not None
    assert (default.largest["cpu"], default.largest["atom.device"]) == (8, 4)


async def test_devices_that_are_free_on_two_agents_are_no_room_for_two_on_one(cluster: Cluster) -> None:
    backend = await cluster.backend()
    gib = Decimal(2**30)
    two = {"cpu": Decimal(1), "cuda.device": Decimal(2)}
    cluster.manager.agents.all += [
        Agent(
            name, "pairs", {"cpu": Decimal(8), "mem": 16 * gib, "cuda.device": Decimal(2)}, {"cuda.device": Decimal(1)}
        )
        for name in ("i-one", "i-two")
    ]
    room = (await backend.room(max_age=NOW))["pairs"]
    assert (room.free["cuda.device"], room.takes(two)) == (2, False)
    assert room.takes({"cuda.device": Decimal(1)}, containers=2)
    assert not room.takes({"cuda.device": Decimal(1)}, containers=3)


async def test_agents_that_are_lost_kept_free_or_of_another_processor_are_no_room(cluster: Cluster) -> None:
    lost, kept_free, other = cluster.manager.agents.all[:3]
    lost.is_alive, kept_free.is_schedulable, other.architecture = False, False, "aarch64"
    room = (await (await cluster.backend()).room(max_age=NOW))["default"]
    assert (room.agents, room.capacity["cpu"], room.free) == (1, 8, {})


async def test_where_agents_are_hidden_sums_are_told_and_what_exceeds_them_is_refused(cluster: Cluster) -> None:
    cluster.manager.policy.hides_agents = True
    backend = await cluster.backend()
    cluster.manager.agents.all[0].used = {"cpu": Decimal(3)}
    room = (await backend.room(max_age=NOW))["default"]
    assert (room.capacity["cpu"], room.free["cpu"], room.pieces, room.agents) == (24, 21, None, None)
    before = cluster.requests()
    await backend.room(max_age=NOW)
    assert cluster.requests() == before + 1, "they are not asked for again for a while"
    with pytest.raises(SessionRefused, match="it asks for 25 cpu, and no agent of the resource group 'default'"):
        await backend.create(a_spec("true", slots={"cpu": Decimal(25)}))
    assert (await backend.create(a_spec("true", slots={"cpu": Decimal(1)}))).session_id
