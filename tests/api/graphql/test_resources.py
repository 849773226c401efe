"""What there is to run on, in GraphQL."""

from __future__ import annotations

from decimal import Decimal

from fasttrack.db.capacity import write_capacity
from fasttrack.domain.room import Room
from fasttrack.domain.states import InstanceState
from fasttrack_scheduler.backends.simulated import Script
from tests.api.graphql.conftest import Asking
from tests.engine import Engine
from tests.factories import a_file, an_idle

D = Decimal
GROUPS = """{ resourceGroups { name site isWholeSite agentCount slots { name label unit capacity used waiting free usedByAnybody largestFree }
              usedBy { projectName pipelineName submittedBy sessionCount waitingCount slots { name amount } } } }"""


async def test_groups_and_what_tasks_hold_of_them(ask: Asking, engine: Engine) -> None:
    engine.site.room = 1
    engine.site.script("a", Script(held=True))
    job = await engine.submit(a_file({"a": "", "b": ""}, a={"resources": {"cpu": 2, "mem": "64m"}}))
    async with engine.scheduling():
        await engine.reached(job, "a", InstanceState.RUNNING)
        await engine.reached(job, "b", InstanceState.QUEUED)
        room = Room.of([({"cpu": D("6.0")}, {"cpu": D(3)}, True), ({"cpu": D(2)}, {}, True)])
        async with engine.database.transaction() as db:
            await write_capacity(db, "simulated", {"": room, "ignored": an_idle({"cpu": D(1)})})
        found = (await ask(GROUPS))["resourceGroups"]
        tasks = await ask(
            """{ project(name: "default") { jobs { nodes { taskInstances { nodes {
                 name slotsAsked { name amount } slotsUsed { name amount } } } } } } }"""
        )
    cpu = {
        "name": "cpu", "label": "cpu", "unit": "core", "capacity": "8", "used": "2", "waiting": "1", "free": "5",
        "usedByAnybody": "3", "largestFree": "3",
    }  # fmt: skip
    assert (found[0]["name"], found[0]["isWholeSite"], found[0]["agentCount"]) == ("default", True, 2)
    assert found[0]["slots"][0] == cpu
    assert found[0]["usedBy"] == [
        {"projectName": "default", "pipelineName": "demo", "submittedBy": "ada", "sessionCount": 1, "waitingCount": 1,
         "slots": [{"name": "cpu", "amount": "2"}, {"name": "mem", "amount": "67108864"}]},
    ]  # fmt: skip
    a, b = tasks["project"]["jobs"]["nodes"][0]["taskInstances"]["nodes"]
    assert a["slotsUsed"] == a["slotsAsked"] == found[0]["usedBy"][0]["slots"]
    assert (b["slotsUsed"], b["slotsAsked"][0]) == ([], {"name": "cpu", "amount": "1"})


async def test_who_may_read_nothing_is_told_nothing(ask: Asking, engine: Engine) -> None:
    async with engine.database.transaction() as db:
        await write_capacity(db, "here", {"gpu": an_idle({"cuda.device": D(4)})})
    query = "{ resourceGroups { name } accelerators { slot offeredSlots } }"
    told = await ask(query)
    assert told["resourceGroups"] == [{"name": "gpu"}]
    assert [a for a in told["accelerators"] if a["offeredSlots"]] == [
        {"slot": "cuda.device", "offeredSlots": ["cuda.device"]}
    ]
    ask.as_member(None)
    untold = await ask(query)
    assert untold["resourceGroups"] == []
    assert all(a["offeredSlots"] == [] for a in untold["accelerators"])


async def test_only_one_site_is_asked_for(ask: Asking, engine: Engine) -> None:
    async with engine.database.transaction() as db:
        await write_capacity(db, "here", {"gpu": an_idle({"cuda.device": D(4)})})
        await write_capacity(db, "there", {"cpu": an_idle({"cpu": D(4)})})
    query = "query($site: String) { resourceGroups(site: $site) { site name } }"
    assert len((await ask(query))["resourceGroups"]) == 2
    assert (await ask(query, site="there"))["resourceGroups"] == [{"site": "there", "name": "cpu"}]
