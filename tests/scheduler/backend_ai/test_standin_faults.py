"""Every fault that the stand-in can be asked for at its panel, each seen from outside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from fasttrack.backend_ai.answers import Away, BadCredentials, Refused, Throttled, Unknown
from fasttrack.backend_ai.gateway import Gateway
from fasttrack.backend_ai.signing import Keypair
from standin.ledger import Session
from tests.waiting import eventually

from .clusters import NEW, OLD, Cluster, cluster_of


class Faulty(Cluster):
    """A stand-in with its panel."""

    async def panel(self, method: str, path: str, body: Any = None) -> httpx.Response:
        async with httpx.AsyncClient(base_url=str(self.gateway._client.base_url)) as client:
            return await client.request(method, f"/standin/{path}", json=body)

    async def plan(self, kind: str, **more: Any) -> None:
        assert (await self.panel("POST", "faults", {"kind": kind, **more})).status_code == 200

    def made(self) -> int:
        return len(self.manager.ledger.sessions)


@pytest.fixture(params=[OLD, NEW])
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Faulty]:
    async with cluster_of(request.param, tmp_path) as found:
        await found.gateway.generation()
        yield Faulty(found.release, found.manager, found.gateway)


async def test_an_answer_is_lost_before_the_effect_or_after_it(cluster: Faulty) -> None:
    for kind, made in (("lost_before", 0), ("lost_after", 1)):
        await cluster.plan(kind, method="POST", path="/session")
        with pytest.raises(Unknown, match="RemoteProtocolError"):
            await cluster.create("exit 0", {})
        assert cluster.made() == made


async def test_a_request_takes_effect_long_after_its_sender_gave_up(cluster: Faulty) -> None:
    await cluster.plan("late", method="POST", path="/session", seconds=0.3)
    with pytest.raises(Unknown):
        await cluster.create("exit 0", {})
    assert cluster.made() == 0
    await eventually(lambda: cluster.made() == 1)


async def test_what_comes_late_may_be_refused_by_then(cluster: Faulty) -> None:
    await cluster.plan("late", method="POST", path="/session", seconds=0.1)
    with pytest.raises(Unknown):
        await cluster.create("exit 1", {})
    first = await cluster.create("sleep 60", {})
    await asyncio.sleep(0.3)
    assert list(cluster.manager.ledger.sessions) == [first]


@pytest.mark.parametrize(
    ("status", "meaning"),
    [(401, BadCredentials), (429, Throttled), (500, Unknown), (502, Unknown), (503, Away), (504, Unknown)],
)
async def test_an_answer_has_the_status_that_was_asked_for_and_nothing_is_done(
    cluster: Faulty, status: int, meaning: type[Exception]
) -> None:
    await cluster.plan("status", status=status, path="/session")
    with pytest.raises(meaning):
        await cluster.create("exit 0", {})
    assert cluster.made() == 0


async def test_an_answer_is_slow(cluster: Faulty) -> None:
    await cluster.plan("slow", seconds=0.5, path="/session")
    with pytest.raises(Unknown, match="ReadTimeout"):
        await cluster.gateway.call("POST", "/session", body={}, seconds=0.1)


async def test_a_wrong_key_and_a_wrong_secret_are_not_let_in(cluster: Faulty) -> None:
    address = str(cluster.gateway._client.base_url)
    for keypair, told in (
        (Keypair("AKIANOBODY", "secret of the test"), "Access key not found"),
        (Keypair("AKIATEST", "another"), "Signature mismatch"),
    ):
        gateway = Gateway(address, keypair)
        with pytest.raises(BadCredentials, match=told):
            await gateway.call("GET", "/auth/role")
        await gateway.close()


async def test_a_clock_that_is_off_by_a_quarter_of_an_hour_takes_no_request(cluster: Faulty) -> None:
    await cluster.plan("skew", seconds=880)
    await cluster.gateway.call("GET", "/auth/role")
    for seconds in (920, -920):
        await cluster.plan("skew", seconds=seconds)
        with pytest.raises(BadCredentials, match="Date/time sync error"):
            await cluster.gateway.call("GET", "/auth/role")
    await cluster.panel("DELETE", "faults")
    await cluster.gateway.call("GET", "/auth/role")


@asynccontextmanager
async def listening(cluster: Faulty) -> AsyncIterator[list[str]]:
    """The names of the events of all sessions, as they come; the last is `end` when the stream is over."""
    heard: list[str] = []

    async def listen() -> None:
        query = {"sessionName": "*", "scope": "*"}
        async with cluster.gateway.stream("/events/session", query) as lines:
            heard.append("open")
            heard.extend([line.removeprefix("event: ") async for line in lines if line.startswith("event: ")])
        heard.append("end")

    task = asyncio.create_task(listen())
    await eventually(lambda: bool(heard) and bool(cluster.manager.events._listeners))
    heard.clear()
    yield heard
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_events_come_once_twice_or_never(cluster: Faulty) -> None:
    for number, (kind, times) in enumerate((("events_right", 1), ("events_doubled", 2), ("events_lost", 0))):
        await cluster.plan(kind)
        async with listening(cluster) as heard:
            identifier = await cluster.create("exit 0", {}, name=f"task-{number}")
            await cluster.over(identifier)
            await cluster.plan("events_right")
            cluster.manager.events.cut()
            await eventually(lambda heard=heard: heard[-1:] == ["end"])
        assert heard.count("session_success") == times


async def test_events_come_in_another_order(cluster: Faulty) -> None:
    told = {}
    for number, kind in enumerate(("events_right", "events_reordered")):
        await cluster.plan(kind)
        async with listening(cluster) as heard:
            await cluster.over(await cluster.create("exit 0", {}, name=f"task-{number}"))
            cluster.manager.events.cut()
            await eventually(lambda heard=heard: heard[-1:] == ["end"])
        told[kind] = heard
    right, reordered = told["events_right"], told["events_reordered"]
    assert right[:2] != reordered[:2]
    assert set(reordered) <= set(right)


async def test_a_stream_is_cut(cluster: Faulty) -> None:
    async with listening(cluster) as heard:
        await cluster.panel("POST", "cut")
        await eventually(lambda: heard == ["end"])


async def test_a_manager_is_away_and_comes_back_with_its_sessions(cluster: Faulty) -> None:
    identifier = await cluster.create("sleep 60", {})
    async with listening(cluster) as heard:
        await cluster.panel("POST", "stop")
        await eventually(lambda: heard[-1:] == ["end"])
    with pytest.raises(Away):
        await cluster.gateway.call("GET", "/auth/role")
    await cluster.panel("POST", "start")

    async def is_there() -> bool:
        try:
            return (await cluster.row(identifier))["status"] == "RUNNING"
        except Away:
            return False

    await eventually(is_there)


async def test_a_command_that_is_over_at_once_is_no_late_one(cluster: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    lives = cluster.manager.lives
    start = lives._start

    async def slowly(session: Session) -> asyncio.subprocess.Process:
        process = await start(session)
        await process.wait()
        return process

    monkeypatch.setattr(lives, "_start", slowly)
    assert (await cluster.over(await cluster.create("exit 0", {})))["result"] == "SUCCESS"


async def test_an_end_that_is_asked_for_while_the_container_is_made_is_no_lost_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cluster_of(NEW, tmp_path) as new:
        lives = new.manager.lives
        start = lives._start

        async def slowly(session: Session) -> asyncio.subprocess.Process:
            process = await start(session)
            await new.gateway.call("DELETE", f"/session/{session.id}")
            return process

        monkeypatch.setattr(lives, "_start", slowly)
        assert (await new.over(await new.create("sleep 60", {})))["status"] == "TERMINATED"


async def test_a_session_stays_running_with_its_result_on_the_old_one(cluster: Faulty) -> None:
    await cluster.panel("POST", "late")
    identifier = await cluster.create("exit 0", {})

    async def has_result() -> bool:
        return (await cluster.row(identifier))["result"] == "SUCCESS"

    await eventually(has_result)
    if cluster.release == NEW:
        assert (await cluster.over(identifier))["status"] == "TERMINATED"
    else:
        assert (await cluster.row(identifier))["status"] == "RUNNING"


async def test_a_result_is_lost_with_the_old_manager(cluster: Faulty) -> None:
    identifier = await cluster.create("sleep 0.3", {})
    session = cluster.manager.ledger.sessions[identifier]
    await eventually(lambda: session.status == "RUNNING")
    await cluster.panel("POST", "stop")
    await eventually(lambda: identifier not in cluster.manager.lives._processes)
    await cluster.panel("POST", "start")
    if cluster.release == NEW:
        assert (await cluster.over(identifier))["result"] == "SUCCESS"
    else:
        row = await cluster.row(identifier)
        assert (row["status"], row["result"]) == ("RUNNING", "UNDEFINED")


async def test_a_lost_agent_leaves_its_session_running_and_takes_its_log_with_it(cluster: Faulty) -> None:
    identifier = await cluster.create("sleep 60", {})
    session = cluster.manager.ledger.sessions[identifier]
    await eventually(lambda: session.status == "RUNNING")
    agent = session.kernels[0].agent
    await cluster.panel("POST", f"lose?agent={agent}")
    row = await cluster.row(identifier)
    assert (row["status"], row["result"]) == ("RUNNING", "UNDEFINED")
    with pytest.raises(Away):
        await cluster.gateway.call("GET", f"/session/{identifier}/logs")
    await cluster.panel("POST", f"find?agent={agent}")
    assert (await cluster.row(identifier))["status"] == "RUNNING"
    await cluster.gateway.call("GET", f"/session/{identifier}/logs")


async def test_a_fault_meets_as_many_requests_as_asked_and_a_share_of_them(cluster: Faulty) -> None:
    await cluster.plan("status", status=500, path="/session", times=2)
    for meets in (True, True, False):
        if meets:
            with pytest.raises(Unknown):
                await cluster.create("exit 0", {})
        else:
            await cluster.create("exit 0", {})
    await cluster.plan("status", status=500, path="/session", times=-1, share=0.0)
    with pytest.raises(Refused):
        await cluster.create("exit 0", {"scaling_group": "nowhere"})


async def test_a_fault_that_does_not_exist_is_refused_with_those_that_do(cluster: Faulty) -> None:
    for body in ({"kind": "surprise"}, {"kind": "status", "surprise": 1}):
        got = await cluster.panel("POST", "faults", body)
        assert (got.status_code, "surprise" in got.text or "kind must be one of" in got.text) == (400, True)
    assert json.loads((await cluster.panel("GET", "faults")).text)["planned"] == 0
