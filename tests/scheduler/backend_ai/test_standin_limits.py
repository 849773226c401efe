"""The stand-in's limits: requests of a key, sessions at once, what there is room for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from fasttrack.backend_ai.answers import OverQuota, Refused, Throttled
from standin.generations import GENERATIONS as STANDINS
from standin.rates import Rates
from tests.waiting import eventually

from .clusters import NEW, OLD, Cluster, cluster_of
from .recorded import recorded

_POLICY = (
    "query { keypair_resource_policy { max_concurrent_sessions max_containers_per_session total_resource_slots } }"
)


@pytest.fixture
async def old(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster_of(OLD, tmp_path) as cluster:
        yield cluster


@pytest.fixture
async def new(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster_of(NEW, tmp_path) as cluster:
        yield cluster


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_old_one_looks_back_over_the_window_from_each_request() -> None:
    clock = Clock()
    rates = Rates(STANDINS["23.09"], limit=2, clock=clock)
    assert rates.take("A") == (
        True,
        {"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "1", "X-RateLimit-Window": "900"},
    )
    clock.now += 600
    assert rates.take("A")[0]
    assert not rates.take("A")[0], "refused, and counted"
    assert rates.take("B")[0], "another key has its own"
    clock.now += 301  # the first is 901 s old, the two others 301 s
    assert not rates.take("A")[0]
    clock.now += 600
    assert rates.take("A")[0]


def test_the_new_one_counts_anew_at_the_end_of_the_window_and_tells_when_that_is() -> None:
    clock = Clock()
    rates = Rates(STANDINS["26"], limit=2, clock=clock)
    assert rates.take("A")[1]["X-RateLimit-Reset"] == "900"
    clock.now += 600
    assert [rates.take("A")[0], rates.take("A")[0]] == [True, False]
    assert rates.take("A")[1]["X-RateLimit-Reset"] == "300"
    clock.now += 300
    assert [rates.take("A")[0], rates.take("A")[0], rates.take("A")[0]] == [True, True, False]


async def test_too_many_requests_are_refused_and_only_the_new_one_says_when_to_come_again(
    old: Cluster, new: Cluster
) -> None:
    for cluster in (old, new):
        await cluster.gateway.call("GET", "/auth/role")
        cluster.manager.rates.limit = 1
        got: list[httpx.Response] = []

        async def note(answer: httpx.Response, got: list[httpx.Response] = got) -> None:
            got.append(answer)

        cluster.gateway._client.event_hooks["response"] = [note]
        with pytest.raises(Throttled):
            await cluster.gateway.call("POST", "/session", body={})
        assert ("x-ratelimit-reset" in got[0].headers) is (cluster is new)
        assert "retry-after" not in got[0].headers
        assert cluster.manager.ledger.sessions == {}


async def test_the_limits_are_changed_at_the_panel(new: Cluster) -> None:
    address = str(new.gateway._client.base_url)
    async with httpx.AsyncClient(base_url=address) as client:
        changed = await client.post(
            "/standin/policy", json={"max_concurrent_sessions": 3, "rate_limit": 50, "total_resource_slots": {"cpu": 4}}
        )
        assert changed.json()["rate_limit"] == 50
        wrong = await client.post("/standin/policy", json={"surprise": 1})
        assert (wrong.status_code, "surprise must be one of" in wrong.text) == (400, True)
    found = (await new.gateway.graphql(_POLICY, {}))["keypair_resource_policy"]
    assert found["max_concurrent_sessions"] == 3
    assert json.loads(found["total_resource_slots"]) == {"cpu": "4"}
    assert new.manager.rates.limit == 50


@pytest.mark.parametrize(
    ("limits", "name", "words"),
    [
        ({"max_concurrent_sessions": 1}, "concurrency", "You cannot run more than 1 concurrent sessions"),
        ({"total_resource_slots": {"cpu": "1"}}, "keypair_resource_limit", "Your keypair resource quota is exceeded."),
    ],
)
async def test_a_session_over_the_limits_is_taken_and_waits_with_its_reason_on_the_old_one_only(
    old: Cluster, new: Cluster, limits: dict[str, Any], name: str, words: str
) -> None:
    for cluster in (old, new):
        cluster.manager.policy.change(limits)
        first = await cluster.create("sleep 60", {}, name="first")

        async def runs(cluster: Cluster = cluster, first: str = first) -> bool:
            return cluster.manager.ledger.sessions[first].status == "RUNNING"

        await eventually(runs)
        second = await cluster.create("exit 0", {}, name="second")

        async def waits(cluster: Cluster = cluster, second: str = second) -> bool:
            return (await cluster.row(second))["status"] == "PENDING"

        await eventually(waits)
        row = await cluster.row(second)
        if cluster is old:
            assert row["status_info"] == "predicate-checks-failed"
            [failed] = json.loads(row["status_data"])["scheduler"]["failed_predicates"]
            assert (failed["name"], failed["msg"].startswith(words)) == (name, True)
        else:
            assert (row["status_info"], row["status_data"]) == (None, None)
        await cluster.gateway.call("DELETE", f"/session/{first}", seconds=30)
        assert (await cluster.over(second))["result"] == "SUCCESS"


async def test_more_containers_than_allowed_are_refused(old: Cluster, new: Cluster) -> None:
    for cluster in (old, new):
        cluster.manager.policy.change({"max_containers_per_session": 1})
        with pytest.raises(Refused):
            await cluster.create("exit 0", {}, cluster_size=2)
        assert cluster.manager.ledger.sessions == {}


async def test_more_waiting_sessions_than_allowed_are_refused_by_the_new_one(new: Cluster) -> None:
    new.manager.policy.change({"max_pending_session_count": 1, "max_concurrent_sessions": 0})
    await new.create("exit 0", {}, name="first")
    with pytest.raises(OverQuota, match="You already have 1 pending sessions"):
        await new.enqueue("exit 0", session_name="second")
    assert len(new.manager.ledger.sessions) == 1


@pytest.mark.parametrize("group", ["default", None])
async def test_what_there_is_room_for_has_the_shape_that_was_recorded(
    old: Cluster, new: Cluster, group: str | None
) -> None:
    body = {"group": "default", **({"scaling_group": group} if group else {})}
    name = "check-presets" if group else "check-presets-all"
    for cluster in (old, new):
        expected = recorded(cluster.release)["capacity"][name]
        told = await cluster.gateway.call("POST", "/resource/check-presets", body=body)
        assert told.keys() == expected.keys()
        assert told["scaling_groups"].keys() == expected["scaling_groups"].keys()
        assert {p["name"] for p in told["presets"]} == {p["name"] for p in expected["presets"]}
        assert told["presets"][0].keys() == expected["presets"][0].keys()
        assert told["keypair_limits"]["cpu"] == expected["keypair_limits"]["cpu"] == "Infinity"
        assert told["group_using"]["cpu"] == expected["group_using"]["cpu"] == "NaN"
        left, expected_left = (t["scaling_group_remaining"]["atom.device"] for t in (told, expected))
        assert left == expected_left, "26.x writes six decimals"


async def test_room_shrinks_with_what_runs_and_with_the_limits_of_the_key(old: Cluster, new: Cluster) -> None:
    for cluster in (old, new):
        identifier = await cluster.create("sleep 60", {"resources": {"cpu": "1", "mem": "256m", "atom.device": "4"}})

        async def runs(cluster: Cluster = cluster, identifier: str = identifier) -> bool:
            return cluster.manager.ledger.sessions[identifier].status == "RUNNING"

        await eventually(runs)
        cluster.manager.policy.change({"total_resource_slots": {"cuda.shares": "0.25"}})
        told = await cluster.gateway.call(
            "POST", "/resource/check-presets", body={"group": "default", "scaling_group": "default"}
        )
        assert told["keypair_using"]["atom.device"] == "4"
        assert told["scaling_groups"]["default"]["using"]["atom.device"] == "4"
        assert Decimal(told["scaling_group_remaining"]["atom.device"]) == 0
        assert told["keypair_remaining"]["cuda.shares"] == "0.25"
        fits = {preset["name"]: preset["allocatable"] for preset in told["presets"]}
        assert fits == {"cpu01-small": True, "cuda01-small": False, "atom01-small": False}


@pytest.mark.parametrize("body", [{}, {"group": "nobody"}, {"group": "default", "scaling_group": "nowhere"}])
async def test_room_of_nothing_is_refused(old: Cluster, new: Cluster, body: dict[str, str]) -> None:
    for cluster in (old, new):
        with pytest.raises(Refused):
            await cluster.gateway.call("POST", "/resource/check-presets", body=body, is_write=False)
