"""The requests that make a session, as each generation takes them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from fasttrack.backend_ai.generation import Generation
from fasttrack.domain.pipeline import Mount
from fasttrack.ids import JobId, PipelineId
from fasttrack_scheduler.backends.backend_ai.creation import command_of, environment, v1_body, v2_body
from fasttrack_scheduler.backends.backend_ai.mounting import mounts_of
from fasttrack_scheduler.backends.base import Input, SessionSpec, Workspace
from tests.contracts.sites import make_spec

PIPELINE, JOB, EARLIER = PipelineId(UUID(int=1)), JobId(UUID(int=2)), JobId(UUID(int=3))
OLD, BETWEEN, NEW = (
    Generation((23, 9, 10), "v7.20230615"),
    Generation((24, 9, 0), "v8.20240915"),
    Generation((26, 9, 6), "v9.20250722"),
)


def a_spec(**parts: Any) -> SessionSpec:
    workspace = Workspace(PIPELINE, JOB, "train it", (Input(EARLIER, "a/b"),), (Mount("data/part", "data"),))
    return make_spec("run", name="ft-x-001", workspace=workspace, slots={"cpu": Decimal("0.50")}, **parts)


def v1(generation: Generation, **parts: Any) -> dict[str, Any]:
    spec = a_spec(**parts)
    mounts = mounts_of(spec.name, spec.workspace)
    return v1_body(spec, "wrapped", mounts, generation, domain="research", architecture="aarch64")


OWN = f"ft-{UUID(int=1).hex}"


def test_an_old_manager_mounts_parts_of_folders_by_name() -> None:
    body = v1(OLD)
    assert body == {
        "name": "ft-x-001",
        "type": "batch",
        "image": "example/image:1",
        "architecture": "aarch64",
        "domain": "research",
        "group": "default",
        "cluster_mode": "single-node",
        "cluster_size": 1,
        "startupCommand": "wrapped",
        "enqueueOnly": True,
        "reuseIfExists": False,
        "tag": UUID(int=1).hex,
        "config": {
            "scaling_group": "default",
            "resources": {"cpu": "0.5"},
            "environ": environment(a_spec()),
            "mounts": [
                f"{OWN}/vfroot",
                f"{OWN}/jobs/{UUID(int=2)}/train it",
                f"{OWN}/sessions/ft-x-001",
                f"{OWN}/jobs/{UUID(int=3)}/a%2Fb",
                "data/part",
            ],
            "mount_map": {
                f"{OWN}/vfroot": "/pipeline/vfroot",
                f"{OWN}/jobs/{UUID(int=2)}/train it": "/pipeline/outputs",
                f"{OWN}/sessions/ft-x-001": "/pipeline/.session",
                f"{OWN}/jobs/{UUID(int=3)}/a%2Fb": "/pipeline/input1",
                "data/part": "/home/work/data",
            },
        },
    }


def test_what_a_release_does_not_know_is_left_out() -> None:
    assert "mount_options" not in v1(OLD)["config"]
    assert v1(BETWEEN)["config"]["mount_options"] == {f"{OWN}/jobs/{UUID(int=3)}/a%2Fb": {"permission": "ro"}}
    assert ("priority" in v1(OLD), v1(BETWEEN)["priority"]) == (False, 10)
    assert "batch_timeout" not in v1(BETWEEN)
    assert v1(Generation((26, 1, 2), "v9.20250722"))["batch_timeout"] > 86400 * 365


@pytest.mark.parametrize(("asked", "sent"), [(-50, 0), (0, 10), (5, 15), (1000, 100)])
def test_priorities_stay_within_what_a_manager_takes(asked: int, sent: int) -> None:
    assert v1(BETWEEN, priority=asked)["priority"] == sent


def test_a_new_manager_mounts_parts_of_folders_by_id() -> None:
    spec = a_spec(shmem=2**30)
    ids = {OWN: UUID(int=7), "data": UUID(int=8)}
    pairs = [(mount, ids[mount.folder]) for mount in mounts_of(spec.name, spec.workspace)]
    body = v2_body(spec, "wrapped", pairs, image=UUID(int=9), project=UUID(int=10))
    assert body["mounts"][3:] == [
        {
            "vfolder_id": str(UUID(int=7)),
            "mount_path": "/pipeline/input1",
            "permission": "ro",
            "subpath": f"jobs/{UUID(int=3)}/a%2Fb",
        },
        {"vfolder_id": str(UUID(int=8)), "mount_path": "/home/work/data", "permission": "rw", "subpath": "part"},
    ]
    assert body["resource_entries"] == [{"resource_type": "cpu", "quantity": "0.5"}]
    assert body["resource_opts"] == {"shmem": {"expr": "1073741824"}}
    assert (body["session_name"], body["image_id"], body["tag"]) == ("ft-x-001", str(UUID(int=9)), UUID(int=1).hex)
    assert body["batch"] == {"startup_command": "wrapped"}


def test_variables_that_no_cluster_passes_on_are_set_by_the_command() -> None:
    spec = a_spec(envs={"PATH": "/opt/bin", "EMPTY": "", "LINES": "a\nb", "USUAL": "it's"})
    assert not {"PATH", "EMPTY", "LINES"} & environment(spec).keys()
    assert environment(spec)["USUAL"] == "it's"
    assert command_of(spec) == "export PATH='/opt/bin'\nexport EMPTY=''\nexport LINES='a\nb'\nrun"


def test_nodes_are_told_where_the_first_one_is() -> None:
    assert "MASTER_ADDR" not in environment(a_spec())
    found = environment(a_spec(cluster_size=3, envs={"MASTER_PORT": "1"}))
    told = {name: found[name] for name in ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "NNODES")}
    assert told == {"MASTER_ADDR": "main1", "MASTER_PORT": "1", "WORLD_SIZE": "3", "NNODES": "3"}


def test_the_rank_of_the_node_is_told_where_the_command_runs_and_those_of_processes_are_left_to_their_launcher() -> (
    None
):
    assert "NODE_RANK" not in command_of(a_spec())
    assert command_of(a_spec(cluster_size=2)).startswith('export NODE_RANK="${BACKENDAI_CLUSTER_LOCAL_RANK:-0}"\n')
    assert "export NODE_RANK" not in command_of(a_spec(cluster_size=2, envs={"NODE_RANK": "5"}))
    assert not {"RANK", "LOCAL_RANK", "NODE_RANK"} & environment(a_spec(cluster_size=2)).keys()
