"""The stand-in's sessions through `/v2`, and what either route mounts of folders."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from fasttrack.backend_ai.answers import AlreadyExists, Away, BadCredentials, Missing, Refused
from tests.waiting import eventually

from .clusters import NEW, OLD, Cluster, cluster_of, mount


@pytest.fixture
async def old(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster_of(OLD, tmp_path) as cluster:
        yield cluster


@pytest.fixture
async def new(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster_of(NEW, tmp_path) as cluster:
        yield cluster


async def test_a_session_is_enqueued_by_ids_and_shown_as_a_node(new: Cluster) -> None:
    body = await new.body("echo hello", tag="run-7")
    made = await new.gateway.call("POST", "/v2/sessions/enqueue", body=body)
    node = made["session"]
    assert node["metadata"]["name"] == "task-1"
    assert node["metadata"]["tag"] == "run-7"
    assert node["lifecycle"]["status"] == "PENDING"
    assert node["project_id"] == body["project_id"]
    assert node["image_ids"] == [body["image_id"]]
    assert "status_info" not in node["lifecycle"]
    row = await new.over(node["id"])
    assert (row["status"], row["result"], row["status_info"]) == ("TERMINATED", "SUCCESS", "task-finished")
    told = await new.gateway.call("GET", f"/v2/sessions/{node['id']}")
    assert (told["lifecycle"]["status"], told["lifecycle"]["result"]) == ("TERMINATED", "success")
    logs = await new.gateway.call("GET", f"/v2/sessions/{node['id']}/logs")
    assert "hello\r\n" in logs["logs"]


async def test_there_is_no_v2_on_the_old_one(old: Cluster) -> None:
    with pytest.raises(Away):  # nothing that answers there has this call
        await old.gateway.call("POST", "/v2/sessions/enqueue", body={"session_name": "task-1"})


async def test_several_parts_of_a_folder_are_mounted_each_with_its_own_permission(new: Cluster) -> None:
    folder = await new.folder("data", "vfroot", "jobs/1/prepare", "jobs/1/train")
    new.within("data", "jobs/1/prepare/numbers").write_text("1 2 3")
    identifier = await new.enqueue(
        "cp /pipeline/input1/numbers /pipeline/outputs/ && touch /pipeline/vfroot/seen; touch /pipeline/input1/no; ls /pipeline",
        mount(folder, "/pipeline/vfroot", "vfroot", "rw"),
        mount(folder, "/pipeline/outputs", "jobs/1/train", "rw"),
        mount(folder, "/pipeline/input1", "jobs/1/prepare", "ro"),
    )
    row = await new.over(identifier)
    assert row["result"] == "SUCCESS"
    assert new.within("data", "jobs/1/train/numbers").read_text() == "1 2 3"
    assert new.within("data", "vfroot/seen").exists()
    assert not new.within("data", "jobs/1/prepare/no").exists(), "it is mounted read-only"
    assert (row["mounts"], row["vfolder_mounts"]) == (["data"], [folder])


@pytest.mark.parametrize(
    ("first", "second"), [(None, "out"), ("out", None), ("out", "out/deep"), ("out/deep", "out"), ("out", "out")]
)
async def test_a_part_that_lies_in_another_is_dropped_in_silence(
    new: Cluster, first: str | None, second: str | None
) -> None:
    folder = await new.folder("data", "out/deep")
    identifier = await new.enqueue(
        "test -e /pipeline/one && test ! -e /pipeline/two",
        mount(folder, "/pipeline/one", first),
        mount(folder, "/pipeline/two", second),
    )
    assert (await new.over(identifier))["result"] == "SUCCESS"
    assert [m.target for m in new.manager.ledger.sessions[identifier].mounts] == ["/pipeline/one"]


async def test_the_first_route_mounts_a_folder_once_on_the_new_one_and_as_often_as_asked_on_the_old_one(
    old: Cluster, new: Cluster
) -> None:
    for cluster, two in ((old, ""), (new, "! ")):
        await cluster.folder("data", "in", "out")
        identifier = await cluster.create(
            f"test -e /pipeline/in && test {two}-e /pipeline/out",
            {
                "mounts": ["data/in", "data/out"],
                "mount_map": {"data/in": "/pipeline/in", "data/out": "/pipeline/out"},
            },
        )
        assert (await cluster.over(identifier))["result"] == "SUCCESS"


async def test_the_old_one_refuses_a_folder_together_with_a_part_of_it(old: Cluster) -> None:
    await old.folder("data", "out")
    with pytest.raises(Refused, match="VFolder source path 'data/out' overlaps with 'data'"):
        await old.create("exit 0", {"mounts": ["data", "data/out"]})
    assert old.manager.ledger.sessions == {}


@pytest.mark.parametrize("target", ["/tmp", "/home/work", "/", "/pipeline/one/deep", "/pipeline", "/pipeline/one"])
async def test_a_target_that_is_reserved_or_overlaps_is_refused(new: Cluster, target: str) -> None:
    folder = await new.folder("data", "a", "b")
    with pytest.raises(Refused, match=r"reserved for internal paths|overlaps with"):
        await new.enqueue("exit 0", mount(folder, "/pipeline/one", "a"), mount(folder, target, "b"))
    assert new.manager.ledger.sessions == {}


async def test_a_folder_that_is_read_only_is_not_mounted_for_writing(new: Cluster) -> None:
    made = await new.gateway.call("POST", "/folders", body={"name": "data", "permission": "ro"})
    with pytest.raises(Refused, match="allowed to be accessed in 'ro' mode, but attempted with 'rw' mode"):
        await new.enqueue("exit 0", mount(made["id"], "/pipeline/one", permission="rw"))


async def test_a_directory_that_is_not_there_fails_the_creation_of_the_container(old: Cluster, new: Cluster) -> None:
    folder = await new.folder("data")
    await old.folder("data")
    made = {
        old: await old.create("exit 0", {"mounts": ["data/nothing"]}),
        new: await new.enqueue("exit 0", mount(folder, "/pipeline/outputs", "nothing")),
    }
    for cluster, info in ((old, "failed-to-create"), (new, None)):
        row = await cluster.over(made[cluster])
        assert (row["status"], row["result"], row["status_info"]) == ("TERMINATED", "UNDEFINED", info)
        assert row["containers"][0]["status_info"] == "failed-to-create"
        assert "bind source path does not exist" in row["status_data"]
        assert cluster.manager.ledger.sessions[made[cluster]].executions == 0
        assert all(not amount for agent in cluster.manager.agents.all for amount in agent.used.values())


async def test_a_living_name_conflicts_and_a_dead_one_does_not(new: Cluster) -> None:
    first = await new.enqueue("sleep 60")
    with pytest.raises(AlreadyExists) as refused:
        await new.enqueue("exit 0")
    assert (refused.value.status, refused.value.session_id) == (409, None), "it does not say which one it is"
    assert list(new.manager.ledger.sessions) == [first]
    await new.gateway.call("POST", "/v2/sessions/terminate", body={"session_ids": [first]})
    await new.over(first)
    assert await new.enqueue("exit 0") != first


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"image_id": "python:3.11"}, "image_id"),
        ({"image_id": None}, "image_id"),
        ({"project_id": "default"}, "project_id"),
        ({"session_name": "a" * 65}, "session_name"),
        ({"session_type": "inference"}, "session_type"),
        ({"batch": {"startup_command": ""}}, "batch"),
        ({"tag": "a" * 65}, "tag"),
        ({"resource_opts": {"shmem": "64m"}}, "resource_opts.shmem"),
        ({"priority": 101}, "priority"),
        ({"resource_entries": None}, "resource_entries"),
        ({"mounts": [{"vfolder_id": "data"}]}, "vfolder_id"),
        ({"mounts": [{"vfolder_id": str(uuid4()), "subpath": ""}]}, "mounts.0.subpath"),
        ({"resource_entries": [{"resource_type": "warp.drive", "quantity": "1"}]}, "does not serve"),
        ({"resource_entries": [{"resource_type": "ipu.device", "quantity": "1"}]}, "does not serve"),
        ({"resource_entries": [{"resource_type": "cpu", "quantity": "lots"}]}, "to decimal"),
    ],
)
async def test_a_body_that_is_wrong_is_refused_and_names_the_field(
    new: Cluster, change: dict[str, Any], told: str
) -> None:
    body = {**await new.body("exit 0"), **change}
    with pytest.raises(Refused, match=told):
        await new.gateway.call("POST", "/v2/sessions/enqueue", body=body)
    assert new.manager.ledger.sessions == {}


@pytest.mark.parametrize("key", ["image_id", "resource_group_id", "mounts"])
async def test_an_id_of_nothing_is_not_found(new: Cluster, key: str) -> None:
    unknown = str(uuid4())
    body = await new.body("exit 0")
    body[key] = [mount(unknown, "/pipeline/outputs")] if key == "mounts" else unknown
    with pytest.raises(Missing):
        await new.gateway.call("POST", "/v2/sessions/enqueue", body=body)
    assert new.manager.ledger.sessions == {}


async def test_what_is_not_there_is_not_permitted_where_a_role_would_be_asked_for(new: Cluster) -> None:
    nobody = str(uuid4())
    with pytest.raises(BadCredentials):
        await new.gateway.call("POST", "/v2/sessions/enqueue", body={**await new.body("exit 0"), "project_id": nobody})
    with pytest.raises(BadCredentials):
        await new.gateway.call("GET", f"/v2/sessions/{nobody}")
    running = await new.enqueue("sleep 60")
    with pytest.raises(BadCredentials):  # one of them, and none is ended
        await new.gateway.call("POST", "/v2/sessions/terminate", body={"session_ids": [running, nobody]})
    assert new.manager.ledger.sessions[running].ending is None


async def test_a_request_without_a_command_is_taken_and_succeeds(new: Cluster) -> None:
    made = await new.gateway.call("POST", "/v2/sessions/enqueue", body={**await new.body("exit 3"), "batch": None})
    assert (await new.over(made["session"]["id"]))["result"] == "SUCCESS"


async def test_terminating_tells_what_became_of_each(new: Cluster) -> None:
    waiting = await new.enqueue(
        "exit 0", session_name="waiting", resource_entries=[{"resource_type": "atom.device", "quantity": "99"}]
    )
    running = await new.enqueue("sleep 60", session_name="running")
    forced = await new.enqueue("sleep 60", session_name="forced")
    ended = await new.enqueue("exit 0", session_name="ended")
    await new.over(ended)

    async def all_run() -> bool:
        return {new.manager.ledger.sessions[i].status for i in (running, forced)} == {"RUNNING"}

    await eventually(all_run)
    told = await new.gateway.call("POST", "/v2/sessions/terminate", body={"session_ids": [waiting, running, ended]})
    assert told == {
        "cancelled": [waiting],
        "terminating": [running],
        "force_terminated": [],
        "skipped": [ended],
    }
    told = await new.gateway.call("POST", "/v2/sessions/terminate", body={"session_ids": [forced], "forced": True})
    assert told["force_terminated"] == [forced]
    assert (await new.over(running))["status_info"] == "user-requested"
    assert (await new.over(forced))["status_info"] == "force-terminated"
    assert (await new.over(waiting))["status"] == "CANCELLED"
