"""Requests over real connections to a manager that misbehaves: what came of each is known as far as it can be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fasttrack.backend_ai import gateway as gateway_module
from fasttrack.backend_ai.answers import Away, BadCredentials, Refused, Throttled, Unknown
from fasttrack.backend_ai.gateway import Gateway
from fasttrack.backend_ai.signing import Keypair
from tests.waiting import eventually

from .recorded import GENERATIONS
from .standins import KEYPAIR, Manager, gateway_to, serving


@pytest.fixture(params=GENERATIONS)
async def manager(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Manager, Gateway]]:
    async with serving(request.param, tmp_path) as (manager, address), gateway_to(address) as gateway:
        await gateway.generation()
        yield manager, gateway


def a_session(name: str = "hello-1", command: str = "exit 0") -> dict[str, Any]:
    return {
        "name": name,
        "type": "batch",
        "image": "python:3.11",
        "startupCommand": command,
        "enqueueOnly": True,
        "reuseIfExists": False,
        "config": {"scaling_group": "default", "resources": {"cpu": "1", "mem": "256m"}},
    }


async def names(gateway: Gateway) -> list[str]:
    found = await gateway.graphql("query { compute_session_list(limit: 10, offset: 0) { items { name } } }", {})
    return [item["name"] for item in found["compute_session_list"]["items"]]


async def test_a_session_is_made_and_listed(manager: tuple[Manager, Gateway]) -> None:
    _, gateway = manager
    made = await gateway.call("POST", "/session", body=a_session())
    assert made["created"] is True
    assert await names(gateway) == ["hello-1"]
    matches = await gateway.call("GET", "/session/_/match", query={"id": "hello-1"})
    assert [m["id"] for m in matches["matches"]] == [made["sessionId"]]


async def test_the_limit_of_strangers_that_the_first_answer_tells_is_not_taken_for_the_keys() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/":
            return httpx.Response(200, json={})
        told = {"version": "v9.20250722", "manager": "26.9.6"}
        return httpx.Response(200, json=told, headers={"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "0"})

    gateway = Gateway("http://manager.test", KEYPAIR, transport=httpx.MockTransport(answer))
    async with asyncio.timeout(2):  # of that limit, nothing would be left for a minute
        for _ in range(20):
            await gateway.call("GET", "/auth/role")
    await gateway.close()


async def test_a_question_waits_behind_no_burst_of_writes_and_a_write_behind_no_ends_that_take_long() -> None:
    held = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/":
            return httpx.Response(200, json={"version": "v7.20230615", "manager": "23.09.10"})
        if request.method == "DELETE" or request.url.path == "/held":
            await held.wait()
        return httpx.Response(200, json={})

    gateway = Gateway("http://manager.test", KEYPAIR, transport=httpx.MockTransport(answer))
    ends = [asyncio.create_task(gateway.call("DELETE", f"/session/{n}", seconds=60)) for n in range(50)]
    async with asyncio.timeout(2):
        await gateway.call("POST", "/session", body=a_session())
    writes = [asyncio.create_task(gateway.call("POST", "/held", body={})) for _ in range(50)]
    async with asyncio.timeout(2):
        await gateway.call("GET", "/auth/role")
    assert not any(task.done() for task in ends + writes)
    held.set()
    await asyncio.gather(*ends, *writes)
    await gateway.close()


@pytest.mark.parametrize(("kind", "there"), [("lost_before", []), ("lost_after", ["hello-1"])])
async def test_a_lost_answer_to_a_write_is_not_known(
    manager: tuple[Manager, Gateway], kind: str, there: list[str]
) -> None:
    panel, gateway = manager
    panel.faults.plan({"kind": kind, "method": "POST", "path": "/session"})
    with pytest.raises(Unknown):
        await gateway.call("POST", "/session", body=a_session())
    assert await names(gateway) == there


async def test_a_request_may_take_effect_after_its_sender_gave_up(manager: tuple[Manager, Gateway]) -> None:
    panel, gateway = manager
    panel.faults.plan({"kind": "late", "method": "POST", "path": "/session", "seconds": 0.2})
    with pytest.raises(Unknown):
        await gateway.call("POST", "/session", body=a_session())

    async def there() -> bool:
        return await names(gateway) == ["hello-1"]

    await eventually(there)


async def test_a_lost_answer_to_a_question_changed_nothing(manager: tuple[Manager, Gateway]) -> None:
    panel, gateway = manager
    panel.faults.plan({"kind": "lost_after", "path": "/session/_/match"})
    with pytest.raises(Away):
        await gateway.call("GET", "/session/_/match", query={"id": "hello-1"})


async def test_a_slow_answer_is_given_up(manager: tuple[Manager, Gateway]) -> None:
    panel, gateway = manager
    panel.faults.plan({"kind": "slow", "method": "POST", "path": "/session", "seconds": 5})
    with pytest.raises(Unknown):
        await gateway.call("POST", "/session", body=a_session(), seconds=0.1)


@pytest.mark.parametrize(("status", "kind"), [(500, Unknown), (503, Away), (429, Throttled)])
async def test_a_refusal_that_says_nothing_of_the_request_is_no_refusal(
    manager: tuple[Manager, Gateway], status: int, kind: type[Exception]
) -> None:
    panel, gateway = manager
    panel.faults.plan({"kind": "status", "method": "POST", "path": "/session", "status": status})
    with pytest.raises(kind) as caught:
        await gateway.call("POST", "/session", body=a_session())
    assert not isinstance(caught.value, Refused)


async def test_a_key_that_is_not_known_is_no_fault_of_a_task(tmp_path: Path) -> None:
    async with serving("26.9.6", tmp_path) as (_, address):
        gateway = Gateway(address, Keypair("AKIANOBODY", "nothing"))
        with pytest.raises(BadCredentials):
            await gateway.call("POST", "/session", body=a_session())
        await gateway.close()


async def test_nobody_there_is_away_and_not_unknown() -> None:
    gateway = Gateway("http://127.0.0.1:1", Keypair("A", "B"))
    with pytest.raises(Away):
        await gateway.call("POST", "/session", body=a_session())
    await gateway.close()


async def test_a_manager_that_is_stopped_is_left_alone_for_a_while_and_then_found_again(
    manager: tuple[Manager, Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    panel, gateway = manager
    now = 1000.0
    monkeypatch.setattr(gateway_module.time, "monotonic", lambda: now)
    panel.is_down = True
    for _ in range(5):
        with pytest.raises(Away):
            await gateway.call("GET", "/auth/role")
    before = panel.requests.copy()
    with pytest.raises(Away, match="did not answer 5 times in a row"):
        await gateway.call("GET", "/auth/role")
    assert panel.requests == before
    panel.is_down = False
    now += 31
    assert await gateway.call("GET", "/auth/role") == {
        "global_role": "user", "domain_role": "user", "group_role": None,
    }  # fmt: skip


async def test_writes_that_a_manager_answers_500_to_are_no_sign_that_it_is_away(
    manager: tuple[Manager, Gateway],
) -> None:
    """23.09.10 answers so to requests that collide, and they come together."""
    panel, gateway = manager
    for status, is_left_alone in ((500, False), (502, True)):
        panel.faults.plan({"kind": "status", "status": status, "method": "POST", "path": "/session", "times": 5})
        for _ in range(5):
            with pytest.raises(Unknown):
                await gateway.call("POST", "/session", body=a_session())
        if is_left_alone:
            with pytest.raises(Away, match="did not answer 5 times in a row"):
                await gateway.call("GET", "/auth/role")
        else:
            await gateway.call("GET", "/auth/role")


async def test_events_come_as_they_happen_and_end_with_the_manager(manager: tuple[Manager, Gateway]) -> None:
    panel, gateway = manager
    heard: list[str] = []

    async def listen() -> None:
        async with gateway.stream("/events/session", {"sessionName": "*", "scope": "*"}) as lines:
            async for line in lines:
                heard.append(line.removeprefix("event: "))  # noqa: PERF401 - others look at it meanwhile

    listening = asyncio.create_task(listen())
    await eventually(lambda: bool(panel.events._listeners))
    await gateway.call("POST", "/session", body=a_session(command="sleep 0.1"))
    await eventually(lambda: "session_terminated" in heard)
    assert "session_success" in heard
    assert ("session_started" in heard) is not panel.events.is_old, "23.09 never sends it"
    panel.events.cut()
    await asyncio.wait_for(listening, 5)
