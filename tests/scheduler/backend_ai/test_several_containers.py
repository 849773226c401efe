"""Sessions of several containers: how they find each other, and what becomes of one that loses one."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from fasttrack.domain.pipeline import ClusterMode
from fasttrack.domain.states import FailureClass
from fasttrack_scheduler.backends.backend_ai import doubts
from fasttrack_scheduler.backends.base import SessionStatus

from .backends import NOW, Cluster, a_spec, sees
from .standins import KEYPAIR

MANUAL = (Path(__file__).parents[3] / "docs" / "capabilities" / "backend-ai.md").read_text()


async def test_nodes_of_a_cluster_find_each_other(cluster: Cluster) -> None:
    backend = await cluster.backend()
    spec = a_spec(
        'echo "$MASTER_ADDR:$MASTER_PORT $WORLD_SIZE $BACKENDAI_CLUSTER_HOSTS"',
        cluster_mode=ClusterMode.MULTI_NODE,
        cluster_size=2,
    )
    await backend.create(spec)
    await sees(backend, spec.name, SessionStatus.SUCCEEDED)
    assert (await backend.logs(spec.name, offset=0, limit=100)).data == b"main1:29500 2 main1,sub1\n"


async def test_the_training_on_several_nodes_of_the_manual_starts_one_of_each_rank(
    cluster: Cluster, tmp_path: Path
) -> None:
    (training,) = re.findall(r"^```sh\n(rank=0.*?)^```", MANUAL, re.M | re.S)
    tools, ran = tmp_path / "tools", tmp_path / "ran"
    tools.mkdir()
    for name, text in (
        ("torchrun", f'echo "${{AT:-main1}} $*" >> {ran}'),
        ("ssh", 'AT=$1 exec sh -c "$2"'),
    ):
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    spec = a_spec(
        training, cluster_mode=ClusterMode.MULTI_NODE, cluster_size=3, envs={"PATH": f"{tools}:{os.environ['PATH']}"}
    )
    backend = await cluster.backend()
    await backend.create(spec)
    await sees(backend, spec.name, SessionStatus.SUCCEEDED)
    more = "--nproc_per_node=1 --master_addr=main1 --master_port=29500 /pipeline/vfroot/train.py"
    assert sorted(ran.read_text().splitlines()) == [
        f"{host} --nnodes=3 --node_rank={rank} {more}" for rank, host in enumerate(("main1", "sub1", "sub2"))
    ]


async def test_a_node_that_dies_ends_the_session_with_its_name(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doubts, "_SETTLES", 0.1)
    backend = await cluster.backend()
    spec = a_spec("exec sleep 60", cluster_mode=ClusterMode.MULTI_NODE, cluster_size=3)
    other = a_spec("exec sleep 60", cluster_mode=ClusterMode.MULTI_NODE, cluster_size=2)
    for one in (spec, other):
        await backend.create(one)
        await sees(backend, one.name, SessionStatus.RUNNING)
    async with httpx.AsyncClient(base_url=cluster.address) as panel:
        end = f"/standin/end?session={spec.name}&container="
        assert (await panel.post(end + "sub2")).status_code == 200
        assert (await panel.post(end + "sub7")).status_code == 404
    record = cluster.manager.ledger.named(KEYPAIR.access_key, spec.name)[0]
    agent = record.kernels[2].agent
    seen = await sees(backend, spec.name, SessionStatus.FAILED)
    assert (seen.failure, seen.exit_code) == (FailureClass.INFRASTRUCTURE, None)
    assert seen.reason == f"its container sub2 on the agent {agent} ended while the others ran (self-terminated)"
    assert record.is_over
    assert [s.status for s in await backend.observe([other.name])] == [SessionStatus.RUNNING]


async def test_a_lost_agent_under_one_node_ends_the_session_with_both_names(cluster: Cluster) -> None:
    backend = await cluster.backend(agent_patience=timedelta(seconds=0.1))
    slots = {"cpu": Decimal(6)}  # one on each agent
    spec = a_spec("exec sleep 60", cluster_mode=ClusterMode.MULTI_NODE, cluster_size=2, slots=slots)
    await backend.create(spec)
    await sees(backend, spec.name, SessionStatus.RUNNING)
    agent = cluster.manager.ledger.named(KEYPAIR.access_key, spec.name)[0].kernels[1].agent
    assert agent is not None
    await cluster.manager.lives.lose_agent(agent)
    await backend.room(max_age=NOW)
    seen = await sees(backend, spec.name, SessionStatus.FAILED)
    assert (seen.failure, seen.reason) == (
        FailureClass.INFRASTRUCTURE, f"the agent {agent} was lost, and with it sub1",
    )  # fmt: skip
