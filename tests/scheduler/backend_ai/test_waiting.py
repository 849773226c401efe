"""Why a session waits: what it needs compared with what is free."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fasttrack.domain.pipeline import ClusterMode
from fasttrack_scheduler.backends.backend_ai import waiting
from fasttrack_scheduler.backends.backend_ai.agents import Agent, Seen, rooms_of
from fasttrack_scheduler.backends.backend_ai.backend import BackendAI
from fasttrack_scheduler.backends.backend_ai.checks import Need
from fasttrack_scheduler.backends.backend_ai.truth import Session
from fasttrack_scheduler.backends.backend_ai.waiting import reason
from fasttrack_scheduler.backends.base import SessionSpec, SessionStatus
from standin import agents as standin_agents
from standin.catalogue import IMAGES
from tests.contracts.sites import make_spec
from tests.scheduler.backend_ai.recorded import GENERATIONS, recorded
from tests.waiting import eventually

from .backends import Cluster
from .standins import serving

D = Decimal
SINGLE, MULTI = ClusterMode


def amounts(**slots: object) -> dict[str, Decimal]:
    return {name.replace("_", "."): D(str(amount)) for name, amount in slots.items()}


def agent(name: str, used: dict[str, Decimal], is_alive: bool = True, is_open: bool = True, **slots: object) -> Agent:
    return Agent(name, "gpu", is_alive, is_alive and is_open, amounts(**slots), used)


def seen(*agents: Agent) -> Seen:
    return Seen(agents, rooms_of(agents))


ONE, TWO = agent("one", amounts(cuda_shares="26.5"), cpu=8, cuda_shares=27), agent("two", {}, cpu=8)
PAIR = [agent(name, amounts(cuda_device=1), cpu=8, cuda_device=2) for name in ("a", "b")]
REASONS: list[tuple[Seen, dict[str, Decimal], ClusterMode, int, str]] = [
    (
        seen(ONE, TWO), amounts(cpu=1, cuda_shares=2), SINGLE, 1,
        "waits for 2 cuda.shares in the resource group 'gpu': 27 in all, 0.5 free",
    ),
    (
        seen(*PAIR), amounts(cuda_device=2), SINGLE, 1,
        "waits for 2 cuda.device on one agent in the resource group 'gpu': 2 are free, at most 1 on one",
    ),
    (
        seen(*PAIR), amounts(cuda_device=1), SINGLE, 2,
        "waits for 2 cuda.device on one agent in the resource group 'gpu': 2 are free, at most 1 on one",
    ),
    (
        seen(agent("a", amounts(cpu=8), cpu=8, cuda_device=2), agent("b", amounts(cuda_device=2), cpu=8, cuda_device=2)),
        amounts(cpu=1, cuda_device=2), SINGLE, 1,
        "waits for cpu 1, cuda.device 2 on one agent in the resource group 'gpu': no agent has all of it free",
    ),
    (
        seen(*(agent(name, amounts(cpu=2), cpu=8) for name in "abc")), amounts(cpu=5), MULTI, 3,
        "waits for its turn: the resource group 'gpu' has room for it, and the cluster starts others first",
    ),
    (
        seen(*(agent(name, amounts(cpu=3), cpu=8) for name in "abcd")), amounts(cpu=4), MULTI, 5,
        "waits for 5 places with cpu 4 each in the resource group 'gpu': there are 4 free",
    ),
    (
        seen(agent("one", {}, is_alive=False, cpu=8, cuda_shares=27), TWO), amounts(cuda_shares=2), SINGLE, 1,
        "it cannot run as the cluster is now: the resource group 'gpu' has no cuda.shares (`resources.cuda.shares`); it has "
        "cpu; the agent one is lost",
    ),
    (
        seen(agent("big", {}, is_open=False, cpu=64), TWO), amounts(cpu=16), SINGLE, 1,
        "it cannot run as the cluster is now: it asks for 16 cpu, and no agent of the resource group 'gpu' has that much: "
        "asked are cpu 16, the nearest has cpu 8 (`resources`); the agent big is kept from taking any",
    ),
    (
        seen(TWO), amounts(cpu=6), MULTI, 2,
        "it cannot run as the cluster is now: it asks for 2 containers with cpu 6 each (`cluster_size`), and the agents of "
        "the resource group 'gpu' could hold 1 of them were they empty",
    ),
    (
        seen(agent("one", {}, is_alive=False, cpu=8)), amounts(cpu=1), SINGLE, 1,
        "no agent of the resource group 'gpu' takes sessions now: the agent one is lost",
    ),
    (Seen((), {}), amounts(cpu=1), SINGLE, 1, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("cluster", "slots", "mode", "containers", "words"), REASONS, ids=[r[-1][:50] for r in REASONS]
)
def test_what_it_needs_is_compared_with_what_is_free(
    cluster: Seen, slots: dict[str, Decimal], mode: ClusterMode, containers: int, words: str
) -> None:
    assert reason(Need.of("gpu", slots, mode, containers), cluster)[1] == words


@pytest.mark.parametrize("release", GENERATIONS)
def test_what_a_session_needs_is_in_its_record_while_it_waits(release: str) -> None:
    record = recorded(release)["sessions"]["insufficient-status"]
    assert Session.of(record).need == Need("default", amounts(cpu=1, mem=268435456, cuda_shares=1000))
    several = {**record, "cluster_mode": "multi-node", "containers": [{}, {}], "occupied_slots": '{"cpu": "2"}'}
    assert Session.of(several).need == Need("default", amounts(cpu=1), places=2)
    for broken in ({"occupied_slots": "{}"}, {"occupied_slots": "no"}, {"cluster_mode": "ring"}, {"status": "RUNNING"}):
        assert Session.of({**record, **broken}).need is None


def test_what_a_manager_says_of_its_own_limits_goes_before_what_is_free() -> None:
    limit = '{"scheduler": {"failed_predicates": [{"name": "concurrency", "msg": "You cannot run more than 30"}]}}'
    record = {**recorded("23.09.10")["sessions"]["insufficient-status"], "status_info": "", "status_data": limit}
    assert Session.of(record).observation(waits_for="waits for 1 cpu").reason == "You cannot run more than 30"
    del record["status_data"]
    assert Session.of(record).observation(waits_for="waits for 1 cpu").reason == "waits for 1 cpu"


# -- on a cluster -------------------------------------------------------------------------------------------------


def a_spec(**parts: Any) -> SessionSpec:
    return make_spec("exec sleep 60", **{"image": IMAGES[0], **parts})


async def told(backend: BackendAI, name: str, words: str) -> None:
    async def is_told() -> bool:
        (found,) = await backend.observe([name])
        assert found.status is SessionStatus.QUEUED, found
        assert found.reason.startswith(words), found.reason
        return True

    await eventually(is_told)


@pytest.mark.parametrize("release", GENERATIONS)
async def test_a_session_that_can_never_run_any_more_says_so_until_the_agent_is_back(
    release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_LOOKS", 0.1)
    async with serving(release, tmp_path) as (manager, address):
        cluster = Cluster(manager, address)
        backend = await cluster.backend()
        slots = amounts(cpu=1, ipu_device=3)
        first, second = (a_spec(resource_group="npu", slots=slots) for _ in range(2))
        for spec in (first, second):
            await backend.create(spec)
        await told(backend, second.name, "waits for 3 ipu.device in the resource group 'npu': 4 in all, 1 free")
        manager.agents.all.append(standin_agents.Agent("i-small", "npu", amounts(cpu=8, mem=2**34, ipu_device=1)))
        await manager.lives.lose_agent("i-ipu")
        await told(
            backend, second.name, "it cannot run as the cluster is now: it asks for 3 ipu.device, and no agent of "
        )
        (found,) = await backend.observe([second.name])
        assert found.reason.endswith("the nearest has ipu.device 1 (`resources`); the agent i-ipu is lost")
        await manager.lives.find_agent("i-ipu")
        await told(backend, second.name, "waits for ")
        await backend.close()


@pytest.mark.parametrize("release", GENERATIONS)
async def test_all_that_wait_are_told_why_by_one_look_and_not_by_a_request_each(release: str, tmp_path: Path) -> None:
    async with serving(release, tmp_path) as (manager, address):
        cluster = Cluster(manager, address)
        backend = await cluster.backend()
        specs = [a_spec(resource_group="npu", slots=amounts(cpu=8)) for _ in range(6)]
        for spec in specs:
            await backend.create(spec)
        names = [spec.name for spec in specs[1:]]
        for name in names:
            await told(backend, name, "waits for 8 cpu in the resource group 'npu': 8 in all, 0 free")
        before = cluster.requests()
        for _ in range(5):
            assert {s.reason for s in await backend.observe(names)} == {
                "waits for 8 cpu in the resource group 'npu': 8 in all, 0 free"
            }
        assert cluster.requests() - before <= 6
        await backend.close()


@pytest.mark.parametrize("release", GENERATIONS)
async def test_words_of_which_only_a_number_changes_stay_for_a_while(
    release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change is a line of the task's history, and what is free changes all the time."""
    monkeypatch.setattr(waiting, "_LOOKS", 0.0)
    async with serving(release, tmp_path) as (manager, address):
        backend = await Cluster(manager, address).backend()
        agent = manager.agents.find("i-ipu")
        assert agent is not None
        agent.used = amounts(ipu_device=2)
        spec = a_spec(resource_group="npu", slots=amounts(cpu=1, ipu_device=3))
        await backend.create(spec)
        words = "waits for 3 ipu.device in the resource group 'npu': 4 in all, 2 free"
        await told(backend, spec.name, words)
        agent.used = amounts(ipu_device=3)
        assert [s.reason for s in await backend.observe([spec.name])] == [words]
        monkeypatch.setattr(waiting, "_TOLD_FOR", 0.0)
        await told(backend, spec.name, words.replace("2 free", "1 free"))
        await backend.close()
