"""What a manager's record of a model service means, and how one is named and asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from fasttrack.backend_ai.generation import Generation
from fasttrack.domain.pipeline import ClusterMode
from fasttrack.domain.pipeline import Service as Asked
from fasttrack.ids import InstanceId, PipelineId, new_id, session_name
from fasttrack_scheduler.backends.backend_ai.service_requests import (
    Tag,
    body_of,
    ends_with_its_job,
    name_of,
    tag_of,
)
from fasttrack_scheduler.backends.backend_ai.services import Service
from fasttrack_scheduler.backends.base import SessionRefused, SessionStatus
from tests.contracts.sites import make_spec

ASKED = Asked("answers", "weights", "", "", "custom", 2, True, False, 1, 0)
SESSION = session_name(InstanceId(UUID(int=26)), 1)
OLD, NEWEST = (Generation.of({"manager": release, "version": "v9.20250722"}) for release in ("23.09.10", "26.9.6"))


def record(stage: str, *routes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "endpoint_id": "7a1d4b3e-2f0c-4c55-9f35-0c6c3d1f9a10",
        "name": "answers",
        "tag": tag_of(SESSION, PipelineId(new_id())),
        "resource_group": "default",
        "desired_session_count": 2,
        "lifecycle_stage": stage,
        "retries": 0,
        "url": None,
        "routings": list(routes),
        **more,
    }


HEALTHY = {"status": "HEALTHY", "error_data": None}
RUNNING = {"status": "RUNNING", "health_status": "HEALTHY", "error_data": None}
STARTED = {"status": "RUNNING", "health_status": "NOT_CHECKED", "error_data": None}
FAILED = {
    "status": "FAILED_TO_START",
    "error_data": '{"type": "session_cancelled", "errors": [{"src": "agent", "name": "Boom", "repr": "no weights"}]}',
}


@pytest.mark.parametrize(
    ("told", "status", "reason"),
    [
        (record("CREATED", HEALTHY, HEALTHY), SessionStatus.SUCCEEDED, ""),
        (record("EndpointLifecycle.READY", RUNNING, RUNNING), SessionStatus.SUCCEEDED, ""),
        (record("ready", RUNNING, STARTED), SessionStatus.RUNNING, "1 of 2 replicas answer"),
        (record("DEPLOYING", RUNNING, RUNNING), SessionStatus.RUNNING, "2 of 2 replicas answer"),
        (record("PENDING"), SessionStatus.RUNNING, "0 of 2 replicas answer"),
        (record("CREATED", FAILED), SessionStatus.RUNNING, "0 of 2 replicas answer; the cluster says: no weights"),
        (record("DESTROYING", HEALTHY, HEALTHY), SessionStatus.STOPPING, ""),
        (record("READY", desired_session_count=0), SessionStatus.SUCCEEDED, ""),
        (
            record("CREATED", {"status": "UNHEALTHY", "error_data": "{"}),
            SessionStatus.RUNNING,
            "0 of 2 replicas answer",
        ),
    ],
)
def test_a_record_means_one_thing_however_the_release_spells_it(
    told: dict[str, Any], status: SessionStatus, reason: str
) -> None:
    seen = Service.of(told).observation()
    assert (seen.name, seen.status, seen.reason) == (SESSION, status, reason)


def test_a_manager_gives_up_after_its_last_retry() -> None:
    assert [Service.of(record("CREATED", retries=n)).is_given_up for n in (5, 6)] == [False, True]


def test_a_tag_holds_in_what_managers_keep_and_is_read_back() -> None:
    pipeline = PipelineId(new_id())
    for session, is_update in ((session_name(InstanceId(new_id()), 9999), True), (SESSION, False), ("", False)):
        tag = tag_of(session, pipeline, is_update=is_update)
        assert len(tag) <= 64
        assert Tag.read(tag) == Tag(session, pipeline, is_update)


@pytest.mark.parametrize("tag", ["", "mine", "a:b", f"{SESSION}:short", f"{SESSION}:{'!' * 26}", f"x:{'a' * 26}"])
def test_a_tag_of_somebody_else_is_no_tag_of_ours(tag: str) -> None:
    assert Tag.read(tag) == Tag()


def test_an_ephemeral_service_has_a_name_of_its_own_for_each_attempt() -> None:
    asked = replace(ASKED, name="a" * 24, ephemeral=True)
    names = [name_of(session_name(InstanceId(new_id()), n), asked) for n in (1, 2)]
    assert len(set(names)) == 2
    assert [len(name) for name in names] == [24, 24]
    assert ends_with_its_job(name_of(SESSION, asked), SESSION)
    assert not ends_with_its_job(name_of(SESSION, ASKED), SESSION)
    assert name_of(SESSION, ASKED) == "answers"


@pytest.mark.parametrize("name", ["api", "a" * 25, "-abc", "abc-", "a b c", "größe-x", "a.bcd"])
def test_a_name_that_no_manager_takes_is_refused(name: str) -> None:
    with pytest.raises(SessionRefused, match=r"`service\.name`"):
        name_of(SESSION, replace(ASKED, name=name))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (replace(ASKED, runtime_variant="vllm"), "leave out `service.runtime_variant`, which is 'vllm'"),
        (replace(ASKED, model_definition_path="a/b.yaml"), "leave out `service.model_definition_path`"),
    ],
)
def test_what_an_old_release_cannot_do_is_said(asked: Asked, said: str) -> None:
    spec = make_spec("", name=SESSION)
    with pytest.raises(SessionRefused, match=said):
        body_of(spec, asked, OLD, [], domain="default", architecture="x86_64")
    assert body_of(spec, asked, NEWEST, [], domain="default", architecture="x86_64")["name"] == "answers"


def test_a_request_for_several_containers_says_how_many_and_old_releases_are_told_nothing_new() -> None:
    spec = make_spec("", name=SESSION, cluster_size=2, cluster_mode=ClusterMode.MULTI_NODE, shmem=64)
    old, new = (body_of(spec, ASKED, g, [], domain="default", architecture="x86_64") for g in (OLD, NEWEST))
    assert (old["clusterSize"], old["clusterMode"]) == (2, "multi-node")
    assert new.keys() - old.keys() == {"runtime_variant"}
    assert old["config"] == new["config"]
    assert old["config"]["resource_opts"] == {"shmem": "64"}
