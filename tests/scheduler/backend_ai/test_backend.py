"""What the backend makes of a manager that is away, forgets, or keeps saying what is no longer so. Old and new managers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fasttrack.backend_ai.gateway import Gateway
from fasttrack.domain.pipeline import ClusterMode, Mount
from fasttrack.domain.states import FailureClass
from fasttrack.ids import JobId, PipelineId, new_id
from fasttrack.storage.cluster_layout import folder_of, session_path
from fasttrack_scheduler.backends.backend_ai import doubts, sessions
from fasttrack_scheduler.backends.backend_ai.backend import BackendAI
from fasttrack_scheduler.backends.backend_ai.truth import Session
from fasttrack_scheduler.backends.base import (
    Input,
    Observation,
    SessionBackendUnavailable,
    SessionRefused,
    SessionStatus,
    Workspace,
)
from tests.waiting import eventually

from .backends import NOW, Cluster, a_spec, cluster_of, sees
from .recorded import GENERATIONS
from .standins import KEYPAIR, serving

OLD = GENERATIONS[0]


@pytest.fixture
async def old(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster_of(OLD, tmp_path) as made:
        yield made


# -- the lies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "status"), [(0, SessionStatus.SUCCEEDED), (3, SessionStatus.FAILED)])
async def test_a_session_that_stays_running_with_its_result_is_ended_and_its_result_taken(
    old: Cluster, monkeypatch: pytest.MonkeyPatch, code: int, status: SessionStatus
) -> None:
    monkeypatch.setattr(doubts, "_SETTLES", 0.05)
    old.manager.lives.is_late = True
    backend = await old.backend()
    spec = a_spec(f"exit {code}")
    await backend.create(spec)
    seen = await sees(backend, spec.name, status)
    assert seen.exit_code == code
    assert [s.status for s in old.manager.ledger.named(KEYPAIR.access_key, spec.name)] == ["TERMINATED"]
    assert await backend.live() == []


async def test_a_session_that_is_moved_back_after_its_end_is_ended_by_force(
    old: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doubts, "_SETTLES", 0.05)
    old.manager.lives.is_late = True
    backend = await old.backend()
    spec = a_spec("exit 0")
    await backend.create(spec)
    (session,) = old.manager.ledger.named(KEYPAIR.access_key, spec.name)
    await eventually(lambda: session.result == "SUCCESS")
    session.enter("PREPARING")
    for kernel in session.kernels:
        kernel.status = "TERMINATED"
    assert (await sees(backend, spec.name, SessionStatus.SUCCEEDED)).exit_code == 0
    assert session.status == "TERMINATED"
    assert await backend.live() == []


@pytest.mark.parametrize(("code", "status"), [(0, SessionStatus.SUCCEEDED), (4, SessionStatus.FAILED)])
async def test_a_result_that_the_manager_lost_is_found_where_the_command_left_it(
    old: Cluster, code: int, status: SessionStatus, tmp_path: Path
) -> None:
    backend = await old.backend()
    go = tmp_path / "go"
    spec = a_spec(f"while [ ! -e {go} ]; do sleep 0.02; done; exit {code}")
    await backend.create(spec)
    await sees(backend, spec.name, SessionStatus.RUNNING)
    old.manager.is_down = True
    old.manager.lives.is_up.clear()
    old.manager.events.cut()
    go.touch()
    session = old.manager.ledger.named(KEYPAIR.access_key, spec.name)[0]
    await eventually(lambda: session.id not in old.manager.lives._processes)
    old.manager.is_down = False
    old.manager.lives.is_up.set()
    assert (session.status, session.result) == ("RUNNING", "UNDEFINED")

    async def settled() -> Observation | None:
        backend._doubts.note_outage()  # the stream of events comes back
        try:
            seen = (await backend.observe([spec.name]))[0]
        except SessionBackendUnavailable:
            return None
        return seen if seen.status.is_terminal else None

    seen = await eventually(settled)
    assert (seen.status, seen.exit_code) == (status, code)
    assert session.status == "TERMINATED"


async def test_sessions_on_a_lost_agent_are_given_up_when_patience_ends(cluster: Cluster) -> None:
    backend = await cluster.backend(agent_patience=timedelta(seconds=1))
    spec = a_spec("exec sleep 60")
    await backend.create(spec)
    await sees(backend, spec.name, SessionStatus.RUNNING)
    agent = cluster.manager.ledger.named(KEYPAIR.access_key, spec.name)[0].kernels[0].agent
    assert agent is not None
    await cluster.manager.lives.lose_agent(agent)
    await backend.room(max_age=NOW)
    assert (await backend.observe([spec.name]))[0].status is SessionStatus.RUNNING
    seen = await sees(backend, spec.name, SessionStatus.FAILED)
    assert (seen.failure, seen.reason) == (FailureClass.INFRASTRUCTURE, f"the agent {agent} was lost")


async def test_a_session_that_somebody_ended_is_cancelled(cluster: Cluster) -> None:
    backend = await cluster.backend()
    spec = a_spec("exec sleep 60")
    made = await backend.create(spec)
    await sees(backend, spec.name, SessionStatus.RUNNING)
    await cluster.manager.lives.end(cluster.manager.ledger.sessions[made.session_id], forced=False)
    seen = await sees(backend, spec.name, SessionStatus.CANCELLED)
    assert (seen.failure, seen.reason) == (FailureClass.CANCELLED, "it was ended by a user of the cluster")


async def test_a_session_can_be_ended_while_it_is_set_up(tmp_path: Path) -> None:
    async with serving(OLD, tmp_path, step=0.3) as (manager, address):
        cluster = Cluster(manager, address)
        backend = await cluster.backend()
        spec = a_spec("exec sleep 60")
        await backend.create(spec)
        await sees(backend, spec.name, SessionStatus.PREPARING)
        await backend.terminate(spec.name, grace=timedelta(seconds=20))
        assert (await backend.observe([spec.name]))[0].status is SessionStatus.STOPPING
        await sees(backend, spec.name, SessionStatus.CANCELLED)
        await backend.close()


# -- answers that do not come -------------------------------------------------------------------------------------


async def test_a_create_whose_answer_is_lost_is_found_and_not_made_again(cluster: Cluster) -> None:
    backend = await cluster.backend()
    spec = a_spec("exec sleep 60")
    cluster.manager.faults.plan({"kind": "lost_after", "method": "POST", "path": "/session", "times": 1})
    cluster.manager.faults.plan({"kind": "lost_after", "method": "POST", "path": "/v2/sessions/enqueue", "times": 1})
    made = await backend.create(spec)
    assert (await backend.create(spec)).session_id == made.session_id
    assert list(cluster.manager.ledger.sessions) == [made.session_id]


async def test_a_create_that_is_answered_for_by_nothing_and_made_nothing_is_not_known(cluster: Cluster) -> None:
    backend = await cluster.backend()
    spec = a_spec("exec sleep 60")
    cluster.manager.faults.plan({"kind": "lost_before", "method": "POST", "path": "/session", "times": 1})
    cluster.manager.faults.plan({"kind": "lost_before", "method": "POST", "path": "/v2/sessions/enqueue", "times": 1})
    with pytest.raises(SessionBackendUnavailable):
        await backend.create(spec)
    assert await backend.find(spec.name) is None


async def test_a_folder_that_another_scheduler_makes_at_the_same_time_is_used_also_when_the_manager_says_500(
    cluster: Cluster,
) -> None:
    backend = await cluster.backend()
    cluster.manager.faults.plan({"kind": "lost_after", "method": "POST", "path": "/folders", "times": 1})
    spec = a_spec("exit 0")
    await backend.create(spec)
    assert (await sees(backend, spec.name, SessionStatus.SUCCEEDED)).exit_code == 0
    assert len(cluster.manager.folders.all) == 1


async def test_folders_that_collide_in_the_manager_are_made_all_the_same(cluster: Cluster) -> None:
    """23.09.10 answers 500 to all but one of those that a user makes at the same moment ("could not serialize access")."""
    one, two = await cluster.backend(), await cluster.backend()
    specs = [a_spec("exit 0") for _ in range(6)]
    await asyncio.gather(*(one.create(spec) for spec in specs))
    assert cluster.manager.kinds["POST /folders"] == len(specs), "one process makes one at a time"
    more = [a_spec("exit 0") for _ in range(6)]
    await asyncio.gather(*(backend.create(spec) for spec, backend in zip(more, [one, two] * 3, strict=True)))
    assert len(cluster.manager.folders.all) == len(specs + more)


async def test_a_key_that_may_have_no_more_folders_is_a_limit_that_names_its_remedy(cluster: Cluster) -> None:
    backend = await cluster.backend()
    cluster.manager.policy.change({"max_vfolder_count": 1})
    first, second = a_spec("exit 0"), a_spec("exit 0")
    await backend.create(first)
    with pytest.raises(SessionRefused, match=r"no more folders .`max_vfolder_count`.*each pipeline has one") as caught:
        await backend.create(second)
    assert caught.value.failure is FailureClass.QUOTA
    assert await backend.find(second.name) is None
    cluster.manager.policy.change({"max_vfolder_count": 2})
    await backend.create(second)


@pytest.mark.parametrize("waits", [False, True], ids=["runs at once", "waits"])
async def test_a_session_made_a_second_time_runs_nothing_and_is_not_the_one_that_is_seen(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    """A name is free again when its session is over: a scheduler that looked before it was made may ask for it after."""
    one, two = await cluster.backend(), await cluster.backend()
    ran = tmp_path / "ran"
    spec = a_spec(f"echo run >> {ran}; exit 3")
    first = await one.create(spec)
    over = await sees(one, spec.name, SessionStatus.FAILED)

    looked: list[str] = []
    find = two._sessions.find

    async def looked_too_early(name: str) -> Session | None:
        looked.append(name)
        return None if len(looked) == 1 else await find(name)

    monkeypatch.setattr(two._sessions, "find", looked_too_early)
    if waits:  # and would wait for ever
        for agent in cluster.manager.agents.all:
            agent.used = dict(agent.slots)
    assert await two.create(spec) == over
    assert over.session_id == first.session_id
    made = cluster.manager.ledger.named(KEYPAIR.access_key, spec.name)
    assert len(made) == 2
    await eventually(lambda: all(session.is_over for session in made))
    assert ran.read_text() == "run\n"


async def test_a_create_that_was_never_looked_at_has_no_effect(cluster: Cluster) -> None:
    backend = await cluster.backend()
    spec = a_spec("true")
    cluster.manager.faults.plan({"kind": "status", "status": 503, "method": "POST", "path": "/session", "times": 1})
    cluster.manager.faults.plan(
        {"kind": "status", "status": 503, "method": "POST", "path": "/v2/sessions/enqueue", "times": 1}
    )
    with pytest.raises(SessionBackendUnavailable):
        await backend.create(spec)
    assert await backend.find(spec.name) is None
    await backend.create(spec)
    await sees(backend, spec.name, SessionStatus.SUCCEEDED)


@pytest.mark.parametrize("kind", ["events_lost", "events_doubled", "events_reordered"])
async def test_whatever_the_events_do_ends_are_seen(cluster: Cluster, kind: str) -> None:
    cluster.manager.faults.plan({"kind": kind})
    backend = await cluster.backend()
    good, bad = a_spec("true"), a_spec("exit 9")
    for spec in (good, bad):
        await backend.create(spec)
    await sees(backend, good.name, SessionStatus.SUCCEEDED)
    assert (await sees(backend, bad.name, SessionStatus.FAILED)).exit_code == 9


# -- what is asked ------------------------------------------------------------------------------------------------


async def test_asking_about_many_sessions_costs_pages_and_not_one_each(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = await cluster.backend()
    names = []
    await backend.create(a_spec("true"))
    for agent in cluster.manager.agents.all:
        agent.slots |= {"cpu": Decimal(0)}  # nothing starts
    monkeypatch.setattr(sessions, "PAGE", 50)
    for _ in range(60):
        spec = a_spec("true")
        names.append(spec.name)
        await backend.create(spec)
    before = cluster.requests()
    assert {seen.name for seen in await backend.observe(names)} == set(names)
    assert cluster.requests() - before == 3, "two pages, and what is free, since they wait"
    await backend.observe(names[:40])
    assert cluster.requests() - before == 4


async def test_a_burst_of_creates_shares_its_questions(cluster: Cluster) -> None:
    backend = await cluster.backend()
    pipeline = PipelineId(new_id())
    job = JobId(new_id())
    specs = [a_spec("true", workspace=Workspace(pipeline, job, f"task {n}")) for n in range(20)]
    await backend.create(a_spec("true", workspace=Workspace(pipeline, job, "first")))
    before = cluster.requests()
    await asyncio.gather(*(backend.create(spec) for spec in specs))
    # A look before and some after, and each its own create, and on old managers its two directories.
    each = 1 if cluster.manager.generation.trash else 3
    assert cluster.requests() - before <= each * len(specs) + 16


async def test_following_a_log_asks_the_manager_next_to_nothing(cluster: Cluster) -> None:
    """Its bytes come from the storage proxy: the manager is asked where they are, and now and then whether it goes on."""
    backend = await cluster.backend()
    spec = a_spec("echo one; exec sleep 60")
    await backend.create(spec)
    await eventually(lambda: _printed(backend, spec.name))
    before = cluster.requests()
    for _ in range(20):
        chunk = await backend.logs(spec.name, offset=4, limit=100)
        assert (chunk.data, chunk.is_final) == (b"", False)
    assert cluster.requests() - before <= 1


async def _printed(backend: BackendAI, name: str) -> bytes:
    return (await backend.logs(name, offset=0, limit=100)).data


async def test_a_log_that_the_manager_cannot_give_either_is_empty(cluster: Cluster) -> None:
    """It answers 500 for a session whose container never started."""
    backend = await cluster.backend()
    spec = a_spec("true")
    await backend.create(spec)
    await sees(backend, spec.name, SessionStatus.SUCCEEDED)
    own = folder_of(spec.workspace.pipeline_id)
    await backend._folders.delete(own, [f"{session_path(spec.name)}/log"])
    printed = await backend.logs(spec.name, offset=0, limit=100)
    assert (printed.data, printed.is_final) == (b"", True)
    cluster.manager.faults.plan({"kind": "status", "status": 500, "method": "GET", "path": "/session/", "times": 1})
    assert await backend.logs(spec.name, offset=0, limit=100) == printed


# -- what a task sees ---------------------------------------------------------------------------------------------


async def test_a_task_reads_what_those_before_it_wrote_and_writes_only_its_own(cluster: Cluster) -> None:
    backend = await cluster.backend()
    pipeline, job = PipelineId(new_id()), JobId(new_id())
    one = a_spec(
        "echo data > /pipeline/outputs/x; echo kept > /pipeline/vfroot/y", workspace=Workspace(pipeline, job, "a")
    )
    await backend.create(one)
    await sees(backend, one.name, SessionStatus.SUCCEEDED)
    needs = (Input(job, "a"), Input(job, "never ran"))
    two = a_spec(
        "cat /pipeline/input1/x $FASTTRACK_VFROOT/y; ls -A /pipeline/outputs /pipeline/input2; touch /pipeline/input1/z",
        workspace=Workspace(pipeline, job, "b", inputs=needs),
    )
    await backend.create(two)
    if cluster.manager.generation.trash:
        assert (await sees(backend, two.name, SessionStatus.FAILED)).exit_code == 1
    else:  # 23.09 cannot mount a part of a folder to be read only
        await sees(backend, two.name, SessionStatus.SUCCEEDED)
    printed = (await backend.logs(two.name, offset=0, limit=1000)).data.decode()
    assert printed.startswith("data\nkept\n/pipeline/input2:\n\n/pipeline/outputs:\n")
    assert ("Read-only file system" in printed) is cluster.manager.generation.trash


async def test_a_mounted_folder_is_found_by_name_at_its_alias(cluster: Cluster) -> None:
    backend = await cluster.backend()
    await backend._folders.ensure("datasets")
    await backend._folders.make_directory("datasets", "imagenet")
    workspace = Workspace(PipelineId(new_id()), JobId(new_id()), "t", mounts=(Mount("datasets", "data"),))
    spec = a_spec("ls /home/work/data", workspace=workspace)
    await backend.create(spec)
    await sees(backend, spec.name, SessionStatus.SUCCEEDED)
    assert (await backend.logs(spec.name, offset=0, limit=100)).data == b"imagenet\n"


async def test_variables_arrive_whole_line_breaks_and_all(cluster: Cluster) -> None:
    backend = await cluster.backend()
    spec = a_spec(
        'printf %s "$KEY"; printf %s "$PLAIN ${EMPTY-unset}"; cat',
        envs={"KEY": "it's\n two \\lines\n", "PLAIN": "$x", "EMPTY": ""},
    )
    await backend.create(spec)
    await sees(backend, spec.name, SessionStatus.SUCCEEDED)
    assert (await backend.logs(spec.name, offset=0, limit=100)).data == b"it's\n two \\lines\n$x "


# -- what is refused, before anything is made ----------------------------------------------------------------------

GIB = Decimal(2**30)
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"project": "defualt"}, "the cluster has no project 'defualt' (`environment.project`); did you mean default?"),
    (
        {"resource_group": "npus"},
        "the cluster has no resource group 'npus' (`environment.scaling-group`); did you mean npu?",
    ),
    (
        {"image": "registry.test/stable/python:3.10"},
        "the cluster has no image 'registry.test/stable/python:3.10' (`environment.image`); did you mean "
        "registry.test/stable/python:3.1",
    ),
    ({"slots": {"cpu": Decimal(9)}}, "it asks for 9 cpu, and no agent of the resource group 'default' has that much"),
    (
        {"slots": {"cpu": Decimal(1), "ipu.device": Decimal(1)}},
        "the resource group 'default' has no ipu.device (`resources.ipu.device`); it has atom.device, cpu, cuda.shares, "
        "mem, warboy.device; ipu.device is in npu",
    ),
    (
        {"slots": {"cpu": Decimal(1), "cuda.device": Decimal(1), "cuda.shares": Decimal(1)}},
        "it asks for cuda.device and cuda.shares together: they are the same devices; ask for one of them",
    ),
    (
        {"slots": {"cpu": Decimal(1), "mem": GIB / 16}},
        "it asks for 64m of memory (`resources.mem`), and the image registry.test/stable/python:3.11-debian12 needs 64m "
        "besides the shared memory of 64m (`resource_opts.shmem`): ask for at least 128m",
    ),
    (
        {"workspace": Workspace(PipelineId(new_id()), JobId(new_id()), "t", mounts=(Mount("nowhere", "x"),))},
        "it mounts the folder 'nowhere' (`mounts`), which is not there or not for this key",
    ),
    (
        {"workspace": Workspace(PipelineId(new_id()), JobId(new_id()), "t", mounts=(Mount("a", "/etc"),))},
        "it mounts a folder at '/etc', which is not a name below /home/work",
    ),
    (
        {
            "workspace": Workspace(
                PipelineId(new_id()), JobId(new_id()), "t", mounts=(Mount("a", "x"), Mount("b", "x/y"))
            )
        },
        "it mounts 'b' at /home/work/x/y and 'a' at /home/work/x: one is inside the other",
    ),
    (
        {"slots": {"cpu": Decimal(1), "cuda.shares": Decimal("0.125")}},
        "it asks for 0.125 cuda.shares (`resources.cuda.shares`), which is given out in steps of 0.01: ask for 0.12",
    ),
    (
        {"slots": {"cpu": Decimal(1), "own.thing": Decimal("0.0004")}},
        "it asks for 0.0004 own.thing (`resources.own.thing`), which is given out in steps of 0.001: ask for 0.001",
    ),
    (
        {"slots": {"cpu": Decimal(1), "atom.device": Decimal("2.5")}},
        "it asks for 2.5 atom.device (`resources.atom.device`), which is given out in steps of 1: ask for 2",
    ),
    (
        {"slots": {"cpu": Decimal(3)}, "cluster_size": 3},
        "it asks for 9 cpu, and no agent of the resource group 'default' has that much: asked are cpu 9, the nearest has",
    ),
    (
        {"slots": {"cpu": Decimal(5)}, "cluster_size": 4, "cluster_mode": ClusterMode.MULTI_NODE},
        "it asks for 4 containers with cpu 5 each (`cluster_size`), and the agents of the resource group 'default' could hold "
        "3 of them were they empty",
    ),
    (
        {"cluster_size": 9, "cluster_mode": ClusterMode.MULTI_NODE},
        "a limit of the cluster is reached: ",
    ),
]


@pytest.mark.parametrize(("parts", "sentence"), REFUSED, ids=[sentence[:60] for _, sentence in REFUSED])
async def test_what_the_cluster_cannot_run_is_said_with_what_it_offers(
    cluster: Cluster, parts: dict[str, Any], sentence: str
) -> None:
    backend = await cluster.backend()
    spec = a_spec("true", **parts)
    with pytest.raises(SessionRefused) as caught:
        await backend.create(spec)
    assert caught.value.message.startswith(sentence)
    assert cluster.manager.ledger.sessions == {}


async def test_a_wrong_key_or_clock_fails_no_task(cluster: Cluster) -> None:
    from fasttrack.backend_ai.signing import Keypair

    backend = BackendAI(Gateway(cluster.address, Keypair("AKIATEST", "not the secret")), site="x")
    cluster.made.append(backend)
    with pytest.raises(SessionBackendUnavailable, match="mismatch"):
        await backend.create(a_spec("true"))
