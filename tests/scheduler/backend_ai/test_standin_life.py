"""Sessions of the stand-in live as recorded ones did, with the lies that real managers tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fasttrack.backend_ai.answers import NotYet
from fasttrack.backend_ai.gateway import Gateway
from fasttrack.domain.states import FailureClass
from fasttrack_scheduler.backends.backend_ai.truth import FIELDS, Exit, Session
from fasttrack_scheduler.backends.base import SessionStatus
from tests.waiting import eventually

from .recorded import GENERATIONS
from .standins import Manager, gateway_to, serving

OLD, NEW = GENERATIONS
_ONE = f"query($id: UUID!) {{ compute_session(id: $id) {{ {FIELDS} }} }}"


class Cluster:
    """A stand-in, and what tests do with it."""

    def __init__(self, manager: Manager, gateway: Gateway) -> None:
        self.manager = manager
        self.gateway = gateway

    async def create(self, command: str, environ: dict[str, str] | None = None, **slots: str) -> str:
        body = {
            "name": f"task-{len(self.manager.ledger.sessions)}-a",
            "type": "batch",
            "image": "python:3.11",
            "startupCommand": command,
            "enqueueOnly": True,
            "reuseIfExists": False,
            "config": {
                "scaling_group": "default",
                "resources": {"cpu": "1", "mem": "256m", **slots},
                "environ": environ or {},
            },
        }
        made = await self.gateway.call("POST", "/session", body=body)
        return str(made["sessionId"])

    async def session(self, identifier: str) -> Session:
        found = await self.gateway.graphql(_ONE, {"id": identifier})
        return Session.of(found["compute_session"])

    async def reaches(self, identifier: str, status: str) -> Session:
        async def look() -> Session | None:
            session = await self.session(identifier)
            return session if session.status == status else None

        return await eventually(look)

    async def delete(self, identifier: str, **query: str) -> Any:
        return await self.gateway.call("DELETE", f"/session/{identifier}", query=query or None, seconds=30)


@pytest.fixture
async def old(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with serving(OLD, tmp_path) as (manager, address), gateway_to(address) as gateway:
        yield Cluster(manager, gateway)


@pytest.fixture
async def new(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with serving(NEW, tmp_path) as (manager, address), gateway_to(address) as gateway:
        yield Cluster(manager, gateway)


async def test_a_command_ends_with_its_result(old: Cluster, new: Cluster) -> None:
    for cluster, info in ((old, "task-finished"), (new, "task-failed")):
        good, bad = await cluster.create("sleep 0.1"), await cluster.create("sleep 0.1; exit 3")
        assert (await cluster.reaches(good, "TERMINATED")).result == "SUCCESS"
        failed = await cluster.reaches(bad, "TERMINATED")
        assert (failed.result, failed.info) == ("FAILURE", info)


async def test_a_command_that_is_over_too_early_leaves_its_session_running_for_ever(old: Cluster, new: Cluster) -> None:
    old.manager.lives.is_late = new.manager.lives.is_late = True
    left = await old.create("exit 3")

    async def has_result() -> bool:
        return (await old.session(left)).result == "FAILURE"

    await eventually(has_result)
    session = await old.session(left)
    assert session.is_left_behind
    assert session.observation().status is SessionStatus.STOPPING
    await old.delete(left)
    seen = (await old.session(left)).observation(Exit(3))
    assert (seen.status, seen.failure) == (SessionStatus.FAILED, FailureClass.USER)
    assert (await new.reaches(await new.create("exit 3"), "TERMINATED")).result == "FAILURE"


async def test_a_result_is_lost_with_the_manager_or_told_when_it_is_back(old: Cluster, new: Cluster) -> None:
    for cluster, result in ((old, "UNDEFINED"), (new, "SUCCESS")):
        identifier = await cluster.create("sleep 0.3")
        await cluster.reaches(identifier, "RUNNING")
        cluster.manager.lives.is_up.clear()
        session = cluster.manager.ledger.sessions[identifier]
        await eventually(lambda cluster=cluster, session=session: session.id not in cluster.manager.lives._processes)
        cluster.manager.lives.is_up.set()
        if result == "SUCCESS":
            await cluster.reaches(identifier, "TERMINATED")
        assert (await cluster.session(identifier)).result == result
    lost = next(iter(old.manager.ledger.sessions))
    assert (await old.session(lost)).status == "RUNNING", "for ever"


async def test_nothing_tells_of_a_lost_agent(old: Cluster, new: Cluster) -> None:
    for cluster in (old, new):
        identifier = await cluster.create("sleep 60")
        running = await cluster.reaches(identifier, "RUNNING")
        await cluster.manager.lives.lose_agent(str(running.containers[0]["agent"]))
        await asyncio.sleep(0.1)
        session = await cluster.session(identifier)
        assert (session.status, session.result) == ("RUNNING", "UNDEFINED")


async def test_a_session_that_is_being_set_up_cannot_be_ended_on_the_old_one(tmp_path: Path) -> None:
    for release in GENERATIONS:
        async with serving(release, tmp_path / release, step=0.3) as (manager, address), gateway_to(address) as gateway:
            cluster = Cluster(manager, gateway)
            identifier = await cluster.create("sleep 60")
            await cluster.reaches(identifier, "PREPARING")
            if release == OLD:
                with pytest.raises(NotYet):
                    await cluster.delete(identifier)
                await cluster.delete(identifier, forced="true")
            else:
                assert await cluster.delete(identifier) == {"stats": {"status": "terminated"}}
            seen = (await cluster.reaches(identifier, "TERMINATED")).observation()
            assert seen.status is SessionStatus.CANCELLED
            assert manager.ledger.sessions[identifier].executions == 0


async def test_a_session_waits_for_room_and_gets_it(old: Cluster, new: Cluster) -> None:
    for cluster in (old, new):
        first = await cluster.create("sleep 60", **{"warboy.device": "2"})
        await cluster.reaches(first, "RUNNING")
        second = await cluster.create("exit 0", **{"warboy.device": "1"})
        seen = (await cluster.session(second)).observation()
        assert seen.status is SessionStatus.QUEUED
        assert ("no agent of the resource group has room" in seen.reason) is (cluster is old), "26.x says nothing"
        await cluster.delete(first)
        assert (await cluster.reaches(first, "TERMINATED")).result == "UNDEFINED"

        async def over(cluster: Cluster = cluster, second: str = second) -> bool:
            return (await cluster.session(second)).result == "SUCCESS"

        await eventually(over)


async def test_what_waits_is_cancelled_at_once(old: Cluster, new: Cluster) -> None:
    for cluster, told in ((old, "terminated"), (new, "cancelled")):
        waiting = await cluster.create("exit 0", **{"atom.device": "99"})
        assert await cluster.delete(waiting) == {"stats": {"status": told}}
        session = await cluster.session(waiting)
        assert session.status == "CANCELLED"
        assert session.observation().failure is FailureClass.CANCELLED


@pytest.mark.parametrize("release", GENERATIONS)
async def test_where_commands_are_not_run_a_session_lives_as_long_as_its_variable_says_or_until_it_is_ended(
    release: str, tmp_path: Path
) -> None:
    async with serving(release, tmp_path, pretends=True) as (manager, address), gateway_to(address) as gateway:
        cluster = Cluster(manager, gateway)
        short = await cluster.create("exit 3")
        assert (await cluster.reaches(short, "TERMINATED")).result == "SUCCESS", "nothing was run that could fail"
        long = await cluster.create("exit 3", environ={"STANDIN_SECONDS": "600"})
        await cluster.reaches(long, "RUNNING")
        await cluster.delete(long)
        assert (await cluster.reaches(long, "TERMINATED")).result == "UNDEFINED"
        assert not list((tmp_path / "scratch").glob("*"))
        assert manager.kinds["POST /session"] == 2
        assert manager.kinds["DELETE /session/{session}"] == 1
        questions = sum(n for kind, n in manager.kinds.items() if kind == "POST /admin/gql compute_session")
        assert manager.kinds.total() == questions + 3
