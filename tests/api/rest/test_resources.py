"""What there is to run on, as scripts ask for it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx

from fasttrack.db import Database
from fasttrack.db.capacity import write_capacity
from fasttrack.domain.access import Role
from fasttrack.domain.states import InstanceState
from fasttrack.ids import ProjectId
from fasttrack_scheduler.backends.simulated import Script
from tests.api.rest.conftest import Become, counting
from tests.engine import Engine
from tests.factories import a_file, an_idle

D = Decimal


async def groups(client: httpx.AsyncClient) -> Any:
    answer = await client.get("/api/v1/resource-groups")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_group_tells_what_it_has_what_is_taken_and_by_whom(client: httpx.AsyncClient, engine: Engine) -> None:
    engine.site.room = 3
    engine.site.script("a", Script(held=True))
    wide = a_file({"a": ""}, "wide", a={"resources": {"cpu": 2, "mem": "64m"}, "cluster_size": 2})
    jobs = [await engine.submit(text) for text in (wide, a_file({"a": ""}, "slim"))]
    async with engine.scheduling():
        for job in jobs:
            await engine.reached(job, "a", InstanceState.RUNNING)
        async with engine.database.transaction() as db:
            await write_capacity(
                db, "simulated", {"": an_idle({"cpu": D(8), "mem": D(2**30), "cuda.shares": D("1.5")})}
            )
        (group,) = await groups(client)
    assert datetime.fromisoformat(group.pop("seen_at")).tzinfo is not None
    mem = 2**26
    assert group == {
        "name": "default", "site": "simulated", "is_whole_site": True, "agents": 1,
        "slots": [
            {"name": "cpu", "unit": "core", "capacity": 8, "used": 5, "waiting": 0, "free": 3,
             "used_by_anybody": 5, "largest_free": 3},
            {"name": "mem", "unit": "byte", "capacity": 2**30, "used": 3 * mem, "waiting": 0, "free": 2**30 - 3 * mem,
             "used_by_anybody": 3 * mem, "largest_free": 2**30 - 3 * mem},
            {"name": "cuda.shares", "unit": "fGPU", "capacity": 1.5, "used": 0, "waiting": 0, "free": 1.5,
             "used_by_anybody": 0, "largest_free": 1.5},
        ],
        "used_by": [
            {"project": "default", "pipeline": "slim", "submitted_by": "ada", "sessions": 1, "waiting": 0,
             "slots": {"cpu": 1, "mem": mem}},
            {"project": "default", "pipeline": "wide", "submitted_by": "ada", "sessions": 1, "waiting": 0,
             "slots": {"cpu": 4, "mem": 2 * mem}},
        ],
    }  # fmt: skip


async def test_of_projects_one_may_not_read_only_a_sum_is_told(
    client: httpx.AsyncClient, become: Become, database: Database, engine: Engine, foreign: ProjectId
) -> None:
    theirs = Engine(database, foreign, engine.settings, None)
    theirs.site = engine.site
    engine.site.script("a", Script(held=True))
    jobs = [await engine.submit(a_file({"a": ""}, "ours")), await theirs.submit(a_file({"a": ""}, "theirs"))]
    async with engine.scheduling():
        await engine.reached(jobs[0], "a", InstanceState.RUNNING)
        await theirs.reached(jobs[1], "a", InstanceState.RUNNING)
        become(Role.VIEWER)
        answer = await client.get("/api/v1/resource-groups")
        become(None)
        assert (await client.get("/api/v1/resource-groups")).json() == []
    (group,) = answer.json()
    assert [(u["project"], u["pipeline"], u["sessions"]) for u in group["used_by"]] == [
        ("default", "ours", 1), (None, None, 1),
    ]  # fmt: skip
    assert "foreign" not in answer.text
    assert "theirs" not in answer.text
    assert group["slots"][0] == {
        "name": "cpu", "unit": "core", "capacity": None, "used": 2, "waiting": 0, "free": None,
        "used_by_anybody": None, "largest_free": None,
    }  # fmt: skip


async def test_the_number_of_statements_does_not_grow_with_what_is_open(
    client: httpx.AsyncClient, engine: Engine
) -> None:
    engine.site.script("a", Script(held=True))
    counts = []
    async with engine.scheduling():
        for number in range(3):
            job = await engine.submit(a_file({"a": "", "b": ""}, f"p{number}"))
            await engine.reached(job, "a", InstanceState.RUNNING)
            await groups(client)  # compiles what is new
            with counting() as sent:
                assert len((await groups(client))[0]["used_by"]) == number + 1
            counts.append(len([s for s in sent.sent if "group_capacity" in s or "count(*)::int AS count" in s]))
    assert counts == [2, 2, 2]


async def test_the_catalogue_says_which_accelerators_some_group_has(
    client: httpx.AsyncClient, database: Database
) -> None:
    async with database.transaction() as db:
        await write_capacity(
            db, "here", {"gpu": an_idle({"cuda.mig-1g.5gb": D(7), "atom.device": D(2), "own.thing": D(1)})}
        )
    found = {a["slot"]: a for a in (await client.get("/api/v1/accelerators")).json()}
    assert {slot: a["offered_slots"] for slot, a in found.items() if a["offered_slots"]} == {
        "cuda.mig-*": ["cuda.mig-1g.5gb"], "atom.device": ["atom.device"],
    }  # fmt: skip
    assert found["cuda.shares"] == {
        "slot": "cuda.shares", "label": "NVIDIA GPU, fractional", "unit": "fGPU", "step": 0.01, "offered_slots": [],
    }  # fmt: skip
    assert {"rocm.device", "warboy.device", "ipu.device"} <= found.keys()
