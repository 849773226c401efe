"""The stand-in's model services: sessions that serve, from nothing to ready to gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from fasttrack.backend_ai.answers import AlreadyExists, Missing, Refused
from tests.waiting import eventually

from .clusters import NEW, OLD, Cluster, cluster_of

_ENDPOINT = "query($id: UUID!) { endpoint(endpoint_id: $id) { name lifecycle_stage status desired_session_count url } }"


@pytest.fixture(params=[OLD, NEW])
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster_of(request.param, tmp_path) as found:
        await found.gateway.call("POST", "/folders", body={"name": "model", "usage_mode": "model"})
        await found.folder("data")
        yield found


def asked(**more: Any) -> dict[str, Any]:
    resources = {"cpu": "1", "mem": "256m"}
    config = {"model": "model", "scaling_group": "default", "resources": resources}
    return {"name": "answers", "desired_session_count": 2, "image": "python:3.11", "config": config, **more}


async def make(cluster: Cluster, **more: Any) -> str:
    made = await cluster.gateway.call("POST", "/services", body=asked(**more))
    return str(made["endpoint_id"])


async def endpoint(cluster: Cluster, identifier: str) -> dict[str, Any]:
    found: dict[str, Any] = (await cluster.gateway.graphql(_ENDPOINT, {"id": identifier}))["endpoint"]
    return found


async def reaches(cluster: Cluster, identifier: str, status: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found = await endpoint(cluster, identifier)
        return found if found["status"] == status else None

    return await eventually(look)


async def test_a_service_becomes_ready_when_all_its_sessions_serve(cluster: Cluster) -> None:
    made = await cluster.gateway.call("POST", "/services", body=asked())
    assert (made["desired_session_count"], made["active_routes"], made["service_endpoint"]) == (2, [], None)
    found = await reaches(cluster, made["endpoint_id"], "HEALTHY")
    assert found["lifecycle_stage"] == ("ready" if cluster.release == NEW else "created")
    told = await cluster.gateway.call("GET", f"/services/{made['endpoint_id']}")
    assert told["service_endpoint"] == found["url"]
    assert {route["session_id"] for route in told["active_routes"]} == set(cluster.manager.ledger.sessions)
    assert [m.target for s in cluster.manager.ledger.sessions.values() for m in s.mounts] == ["/models", "/models"]
    [listed] = await cluster.gateway.call("GET", "/services", query={"name": "answers"})
    assert (listed["id"], listed["active_route_count"]) == (made["endpoint_id"], 2)


async def test_a_service_that_finds_no_room_stays_pending_and_one_that_finds_some_deploys(cluster: Cluster) -> None:
    config = asked()["config"]
    config = {**config, "resources": {**config["resources"], "warboy.device": "2"}}
    identifier = await make(cluster, config=config)
    first, second = cluster.manager.ledger.sessions.values()
    await eventually(lambda: first.status == "RUNNING")
    found = await endpoint(cluster, identifier)
    assert found["status"] == "PROVISIONING"
    assert found["lifecycle_stage"] == ("deploying" if cluster.release == NEW else "created")
    assert second.status == "PENDING"


async def test_a_service_that_is_never_healthy_says_so_until_its_errors_are_cleared(cluster: Cluster) -> None:
    cluster.manager.faults.plan({"kind": "never_healthy"})
    identifier = await make(cluster)
    await reaches(cluster, identifier, "UNHEALTHY")
    await eventually(lambda: {s.status for s in cluster.manager.ledger.sessions.values()} == {"RUNNING"})
    told = await cluster.gateway.call("GET", f"/services/{identifier}")
    assert (told["active_routes"], told["service_endpoint"]) == ([], None)
    errors = await cluster.gateway.call("GET", f"/services/{identifier}/errors")
    assert (len(errors["errors"]), errors["retries"]) == (2, 5)
    await cluster.gateway.call("POST", f"/services/{identifier}/errors/clear")
    errors = await cluster.gateway.call("GET", f"/services/{identifier}/errors")
    assert errors == {"errors": [], "retries": 0}


async def test_a_service_is_scaled_up_and_down(cluster: Cluster) -> None:
    identifier = await make(cluster, desired_session_count=1)
    await reaches(cluster, identifier, "HEALTHY")
    for before, wanted in ((1, 3), (3, 1)):
        told = await cluster.gateway.call("POST", f"/services/{identifier}/scale", body={"to": wanted}, seconds=30)
        assert told == {"current_route_count": before, "target_count": wanted}

        async def serves(wanted: int = wanted) -> bool:
            routes = (await cluster.gateway.call("GET", f"/services/{identifier}"))["active_routes"]
            return len(routes) == wanted

        await eventually(serves)
    with pytest.raises(Refused):
        await cluster.gateway.call("POST", f"/services/{identifier}/scale", body={"to": -1})


async def test_a_deleted_service_ends_its_sessions_and_is_gone(cluster: Cluster) -> None:
    identifier = await make(cluster)
    await reaches(cluster, identifier, "HEALTHY")
    assert await cluster.gateway.call("DELETE", f"/services/{identifier}", seconds=30) == {"success": True}
    assert (await reaches(cluster, identifier, "DESTROYED"))["lifecycle_stage"] == "destroyed"
    with pytest.raises(Missing):
        await cluster.gateway.call("GET", f"/services/{identifier}")
    assert {s.status for s in cluster.manager.ledger.sessions.values()} == {"TERMINATED"}
    assert await make(cluster) != identifier, "its name is free"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": "a b"}, Refused),
        ({"image": "nothing:1"}, Missing),
        ({"config": {**asked()["config"], "model": "data"}}, Refused),
        ({"config": {**asked()["config"], "model": "nothing"}}, Missing),
    ],
)
async def test_a_service_that_cannot_be_is_refused(
    cluster: Cluster, change: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await make(cluster, **change)
    assert cluster.manager.ledger.sessions == {}
    assert await cluster.gateway.call("GET", "/services") == []


async def test_only_an_old_manager_holds_a_name_to_be_one_services_and_both_miss_one_that_is_not_there(
    cluster: Cluster,
) -> None:
    first = await make(cluster)
    if cluster.release == OLD:
        with pytest.raises(AlreadyExists, match="same name"):
            await make(cluster)
    else:
        assert await make(cluster) != first
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/scale"), ("GET", "/errors")):
        with pytest.raises(Missing):
            await cluster.gateway.call(
                method, f"/services/{uuid4()}{path}", body={"to": 1} if path == "/scale" else None
            )
