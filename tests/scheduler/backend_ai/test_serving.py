"""Tasks that start a model service, from the file to the end of the service. Old and new managers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from fasttrack.backend_ai.gateway import Gateway
from fasttrack.db import Database
from fasttrack.db.instances import list_attempts_of_job
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.errors import InvalidRun
from fasttrack.ids import JobId, ProjectId, parse_session_name
from fasttrack.settings import Settings
from fasttrack_scheduler.backends.backend_ai.backend import BackendAI
from fasttrack_scheduler.backends.base import SessionStatus
from fasttrack_scheduler.loops.sweeper import Sweeper
from standin.catalogue import IMAGES
from standin.services import Service
from tests.engine import Engine
from tests.waiting import eventually

from .recorded import GENERATIONS
from .standins import KEYPAIR, Manager, serving

OLD, NEW = GENERATIONS
WHERE = {"image": IMAGES[0], "project": "default", "scaling-group": "default"}


class Place:
    """A stand-in with a model folder, and pipelines that serve it."""

    def __init__(self, release: str, manager: Manager, address: str, engine: Engine) -> None:
        self.release = release
        self.manager = manager
        self.address = address
        self.engine = engine

    def backend(self) -> BackendAI:
        return BackendAI(Gateway(self.address, KEYPAIR), site=f"backend_ai:{urlsplit(self.address).netloc}")

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        gateway = Gateway(self.address, KEYPAIR)
        try:
            return await gateway.call(method, path, body=body, seconds=30)
        finally:
            await gateway.close()

    def services(self) -> list[Service]:
        """Every one there ever was."""
        found: Any = self.manager.queries.endpoints
        return list(found.__self__._all.values())

    def living(self) -> list[str]:
        return [service.name for service in self.services() if service.stage != "destroyed"]

    async def submit(self, *tasks: dict[str, Any], name: str = "demo") -> JobId:
        return await self.engine.submit(yaml.safe_dump({"name": name, "tasks": list(tasks)}), may_serve=True)

    async def attempts(self, job: JobId) -> list[tuple[str, str]]:
        """Of each attempt, how it failed if it did, and what was said."""
        async with self.engine.database.transaction() as db:
            return [(str(a.failure or "ok"), a.reason) for a in await list_attempts_of_job(db, job)]

    async def facts(self, job: JobId) -> dict[str, str]:
        async with self.engine.database.transaction() as db:
            [row] = await db.rows("SELECT facts FROM attempt WHERE job_id = $1", job)
        found: dict[str, str] = row["facts"]
        return found


def serve(task: str = "serve", *, needs: str = "", timeout: str | None = None, **service: Any) -> dict[str, Any]:
    return {
        "name": task,
        "type": "deployment",
        "environment": dict(WHERE),
        "resources": {"cpu": 1, "mem": "256m"},
        "dependencies": needs.split(),
        "service": {"name": "answers", "model": "weights", **service},
        **({"timeouts": {"running": timeout}} if timeout else {}),
    }


def command(name: str, text: str = "true", needs: str = "") -> dict[str, Any]:
    resources = {"cpu": 1, "mem": "256m"}
    return {
        "name": name,
        "command": text,
        "environment": dict(WHERE),
        "resources": resources,
        "dependencies": needs.split(),
        "resource_opts": {"shmem": "64m"},
    }


@asynccontextmanager
async def a_place(release: str, root: Path, engine: Engine) -> AsyncIterator[Place]:
    async with serving(release, root / "cluster") as (manager, address):
        made = Place(release, manager, address, engine)
        await made.call("POST", "/folders", {"name": "weights", "usage_mode": "model"})
        yield made


@pytest.fixture(params=GENERATIONS)
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, database: Database, project: ProjectId, settings: Settings
) -> AsyncIterator[Place]:
    async with a_place(request.param, tmp_path, Engine(database, project, settings, None)) as made:
        yield made


@pytest.fixture
async def new_place(tmp_path: Path, database: Database, project: ProjectId, settings: Settings) -> AsyncIterator[Place]:
    async with a_place(NEW, tmp_path, Engine(database, project, settings, None)) as made:
        yield made


async def test_a_service_that_serves_is_a_task_that_succeeded_and_stays(place: Place) -> None:
    job = await place.submit(serve(replicas=2, open_to_public=True))
    async with place.engine.scheduling(place.backend()):
        assert await place.engine.ended(job) is JobState.SUCCEEDED
    [service] = place.services()
    assert (service.name, service.stage, service.replicas, service.is_public) == ("answers", "ready", 2, True)
    assert await place.facts(job) == {
        "service": "answers",
        "service_id": service.id,
        "address": "http://answers.app-proxy.test/",
        "ends": "never",
    }


async def test_an_ephemeral_service_serves_until_its_job_is_over(place: Place) -> None:
    use = command("use", "while [ ! -e /pipeline/vfroot/asked ]; do sleep 0.05; done", needs="serve")
    job = await place.submit(serve(ephemeral=True), use)
    backend = place.backend()
    async with place.engine.scheduling(backend):
        await place.engine.reached(job, "use", InstanceState.RUNNING)
        [name] = place.living()
        assert name.startswith("answers-"), "it has a name of its own"
        ours = [seen for seen in await backend.live() if parse_session_name(seen.name)]
        assert len(ours) == 2, "what a sweeper sees"
        sweeper = Sweeper(place.engine.database, backend, place.engine.settings)
        for _ in range(2):  # what is ownerless is ended at the second look
            await sweeper.turn()
        assert place.living() == [name]
        await place.engine.cancel(job)
        assert await place.engine.ended(job) is JobState.CANCELLED
        await eventually(lambda: place.living() == [])
    assert (await place.engine.states(job))["serve"] is InstanceState.SUCCEEDED


async def test_an_ephemeral_service_ends_though_the_scheduler_was_killed_and_another_task_failed(
    new_place: Place,
) -> None:
    job = await new_place.submit(serve(ephemeral=True), command("use", "exit 3", needs="serve"))
    slow = new_place.engine.settings
    new_place.engine.settings = slow.model_copy(update={"sweep_interval": timedelta(hours=1)})
    async with new_place.engine.scheduling(new_place.backend()):
        assert await new_place.engine.ended(job) is JobState.FAILED
    assert len(new_place.living()) == 1, "nobody has swept"
    new_place.engine.settings = slow
    async with new_place.engine.scheduling(new_place.backend()):
        await eventually(lambda: new_place.living() == [])


async def test_two_jobs_of_a_pipeline_have_ephemeral_services_side_by_side(new_place: Place) -> None:
    use = command("use", "while [ ! -e /pipeline/vfroot/asked ]; do sleep 0.05; done", needs="serve")
    jobs = [await new_place.submit(serve(ephemeral=True), use) for _ in range(2)]
    async with new_place.engine.scheduling(new_place.backend()):
        for job in jobs:
            await new_place.engine.reached(job, "use", InstanceState.RUNNING)
        assert len(set(new_place.living())) == 2
        for job in jobs:
            await new_place.engine.cancel(job)
        await eventually(lambda: new_place.living() == [])


async def test_a_service_that_is_never_healthy_fails_with_what_is_known_and_is_ended(new_place: Place) -> None:
    new_place.manager.faults.plan({"kind": "never_healthy"})
    job = await new_place.submit(serve(timeout="1s"))
    async with new_place.engine.scheduling(new_place.backend()):
        assert await new_place.engine.ended(job) is JobState.FAILED
        assert new_place.living() == []
    assert await new_place.attempts(job) == [
        ("timeout", "did not serve for longer than its time-out of 1 s: 0 of 1 replicas answer")
    ]


async def test_a_service_that_the_cluster_gave_up_fails_at_once_in_its_words(place: Place) -> None:
    place.manager.faults.plan({"kind": "never_healthy"})
    job = await place.submit(serve())
    async with place.engine.scheduling(place.backend()):
        await place.engine.reached(job, "serve", InstanceState.RUNNING)
        await eventually(lambda: [s.status for s in place.manager.ledger.sessions.values()] == ["RUNNING"])
        [session] = place.manager.ledger.sessions.values()
        session.data = {"error": {"src": "agent", "name": "Boom", "repr": "the model file is missing"}}
        await place.manager.lives.end(session, forced=True)
        assert await place.engine.ended(job) is JobState.FAILED
        assert place.living() == []
    assert await place.attempts(job) == [
        (
            "user",
            "the cluster gave the service answers up: 0 of 1 replicas answer; "
            "the cluster says: the model file is missing",
        )
    ]


async def test_a_cancel_while_it_deploys_ends_the_service(new_place: Place) -> None:
    new_place.manager.faults.plan({"kind": "never_healthy"})
    job = await new_place.submit(serve())
    async with new_place.engine.scheduling(new_place.backend()):
        await new_place.engine.reached(job, "serve", InstanceState.RUNNING)
        await new_place.engine.cancel(job)
        assert await new_place.engine.ended(job) is JobState.CANCELLED
    assert new_place.living() == []


@pytest.mark.parametrize("kind", ["lost_after", "lost_before"])
async def test_a_lost_answer_makes_one_service(place: Place, kind: str) -> None:
    place.manager.faults.plan({"kind": kind, "method": "POST", "path": "/services"})
    job = await place.submit(serve())
    backend = place.backend()
    backend.fence = timedelta(seconds=1)
    async with place.engine.scheduling(backend):
        assert await place.engine.ended(job) is JobState.SUCCEEDED
    assert len(place.services()) == 1
    assert len(await place.attempts(job)) == 1


async def test_a_scheduler_that_takes_over_adopts_what_was_made(new_place: Place) -> None:
    new_place.manager.faults.plan({"kind": "never_healthy"})
    job = await new_place.submit(serve())
    async with new_place.engine.scheduling(new_place.backend()):
        await new_place.engine.reached(job, "serve", InstanceState.RUNNING)
    new_place.manager.faults.clear()
    [service] = new_place.services()
    service.is_healthy = True
    async with new_place.engine.scheduling(new_place.backend()):
        assert await new_place.engine.ended(job) is JobState.SUCCEEDED
    assert len(new_place.services()) == 1


def served(text: str, **service: Any) -> dict[str, Any]:
    task = serve(**service)
    task["environment"]["envs"] = {"MODE": text}
    return task


async def test_the_next_job_updates_the_service_that_stays_or_replaces_it_on_old_managers(place: Place) -> None:
    async with place.engine.scheduling(place.backend()):
        for mode, replicas in (("slow", 1), ("fast", 2)):
            job = await place.submit(served(mode, replicas=replicas, max_surge=replicas))
            assert await place.engine.ended(job) is JobState.SUCCEEDED
    *replaced, service = place.services()
    assert [other.stage for other in replaced] == ([] if place.release == NEW else ["destroyed"])
    assert (service.stage, service.replicas) == ("ready", 2)
    modes = {s.environ["MODE"] for s in place.manager.ledger.sessions.values() if not s.is_over}
    assert modes == {"fast"}
    if place.release == NEW:
        assert service.strategy["rolling_update"]["max_surge"] == {"count": 2}


async def test_services_of_one_name_in_two_groups_are_apart_or_refused_on_old_managers(place: Place) -> None:
    there, here = serve("there"), serve("here", needs="there")
    there["environment"]["scaling-group"] = "npu"
    job = await place.submit(there, here)
    async with place.engine.scheduling(place.backend()):
        state = await place.engine.ended(job)
    if place.release == NEW:
        assert (state, place.living()) == (JobState.SUCCEEDED, ["answers", "answers"])
    else:
        assert (state, place.living()) == (JobState.FAILED, ["answers"])
        [reason] = [reason for failure, reason in await place.attempts(job) if failure == "refused"]
        assert reason.startswith("the pipeline has a service 'answers' in the resource group 'npu' already")


async def test_a_cancelled_update_leaves_the_service_and_the_next_job_updates_it_again(new_place: Place) -> None:
    place = new_place
    async with place.engine.scheduling(place.backend()):
        first = await place.submit(served("first"))
        assert await place.engine.ended(first) is JobState.SUCCEEDED
        place.manager.faults.plan({"kind": "never_healthy"})
        second = await place.submit(served("second"))
        await place.engine.reached(second, "serve", InstanceState.RUNNING)
        await place.engine.cancel(second)
        assert await place.engine.ended(second) is JobState.CANCELLED
        assert place.living() == ["answers"]
        place.manager.faults.clear()
        third = await place.submit(served("third"))
        assert await place.engine.ended(third) is JobState.SUCCEEDED
    assert len(place.services()) == 1


async def test_an_update_that_the_cluster_takes_back_is_a_failure(new_place: Place) -> None:
    place = new_place
    async with place.engine.scheduling(place.backend()):
        assert await place.engine.ended(await place.submit(served("first"))) is JobState.SUCCEEDED
        [service] = place.services()
        before = service.asked
        place.manager.faults.plan({"kind": "never_healthy"})
        job = await place.submit(served("second"))
        await place.engine.reached(job, "serve", InstanceState.RUNNING)
        service.asked, service.is_healthy = before, True
        assert await place.engine.ended(job) is JobState.FAILED
    reason = "the cluster could not update the service answers, and went back to what served before"
    assert await place.attempts(job) == [("user", reason)]
    assert place.living() == ["answers"]


async def test_a_job_waits_while_another_waits_for_the_service_of_that_name(new_place: Place) -> None:
    place = new_place
    place.manager.faults.plan({"kind": "never_healthy"})
    backend = place.backend()
    backend.fence = timedelta(seconds=1)
    async with place.engine.scheduling(backend):
        first = await place.submit(serve())
        await place.engine.reached(first, "serve", InstanceState.RUNNING)
        second = await place.submit(serve())
        await place.engine.reached(second, "serve", InstanceState.STARTING)
        place.manager.faults.clear()
        place.services()[0].is_healthy = True
        assert await place.engine.ended(first) is JobState.SUCCEEDED
        assert await place.engine.ended(second) is JobState.SUCCEEDED
    assert len(place.services()) == 1


async def test_a_service_that_is_ended_on_the_cluster_is_told_of(place: Place) -> None:
    place.manager.faults.plan({"kind": "never_healthy"})
    job = await place.submit(serve())
    backend = place.backend()
    async with place.engine.scheduling(backend):
        await place.engine.reached(job, "serve", InstanceState.RUNNING)
        [service] = place.services()
        service.is_going = True

        async def seen_going(service: Service = service) -> bool:
            return (await backend.observe([service.tag.partition(":")[0]]))[0].status is SessionStatus.STOPPING

        await eventually(seen_going)
        for session in service.living:
            await place.manager.lives.end(session, forced=True)
        assert await place.engine.ended(job) is JobState.FAILED
    [(failure, reason)] = await place.attempts(job)
    assert failure == ("user" if place.release == NEW else "cancelled")
    assert reason.startswith("the service answers was ended on the cluster: 0 of 1 replicas answer")


async def test_a_name_that_is_somebody_elses_is_said_and_their_service_is_left_alone(place: Place) -> None:
    body = {
        "name": "answers",
        "desired_session_count": 1,
        "image": IMAGES[0],
        "config": {"model": "weights", "scaling_group": "default", "resources": {"cpu": "1", "mem": "256m"}},
    }
    await place.call("POST", "/services", body)
    job = await place.submit(serve())
    async with place.engine.scheduling(place.backend()):
        assert await place.engine.ended(job) is JobState.FAILED
    assert await place.attempts(job) == [
        (
            "refused",
            "there is a service 'answers' on the cluster already, which is not this pipeline's (`service.name`): "
            "choose another name, or end that one",
        )
    ]
    assert place.living() == ["answers"]


async def test_a_group_without_an_app_proxy_is_said_in_a_sentence(new_place: Place) -> None:
    new_place.manager.faults.plan({"kind": "no_app_proxy"})
    job = await new_place.submit(serve())
    async with new_place.engine.scheduling(new_place.backend()):
        assert await new_place.engine.ended(job) is JobState.FAILED
    [(failure, reason)] = await new_place.attempts(job)
    assert failure == "refused"
    assert reason == (
        "the resource group 'default' (`environment.scaling-group`) is not set up for model services (the cluster says: "
        "No coordinator configured for this resource group): name another one, or have an admin of the cluster give it an "
        "app proxy"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "nothing"}, "it serves the model folder 'nothing' (`service.model`), which is not there"),
        ({"model": None}, "it serves the model folder '' (`service.model`), which is not there"),
        ({"name": "api"}, "the service's name 'api' (`service.name`) cannot be one: it has 4 to 24 letters"),
    ],
)
async def test_what_cannot_be_served_is_said_with_its_field_and_nothing_is_made(
    new_place: Place, change: dict[str, Any], said: str
) -> None:
    job = await new_place.submit(serve(**change))
    async with new_place.engine.scheduling(new_place.backend()):
        assert await new_place.engine.ended(job) is JobState.FAILED
    [(failure, reason)] = await new_place.attempts(job)
    assert failure == "refused"
    assert said in reason
    assert new_place.services() == []


async def test_variables_reach_a_service_and_a_line_break_is_refused(place: Place) -> None:
    task = serve()
    task["environment"] = {**WHERE, "envs": {"MODE": "fast", "EMPTY": ""}}
    job = await place.submit(task)
    broken = serve("other", name="other-answers")
    broken["environment"] = {**WHERE, "envs": {"TEXT": "a\nb"}}
    refused = await place.submit(broken, name="other")
    async with place.engine.scheduling(place.backend()):
        assert await place.engine.ended(job) is JobState.SUCCEEDED
        assert await place.engine.ended(refused) is JobState.FAILED
    [session] = place.manager.ledger.sessions.values()
    assert session.environ["MODE"] == "fast"
    assert ("EMPTY" in session.environ) is (place.release == NEW)
    [(_, reason)] = await place.attempts(refused)
    assert reason.startswith("its variable TEXT holds a line break, and a service cannot be given that")


async def test_rolling_update_values_and_the_pipelines_folder_reach_new_managers(place: Place) -> None:
    job = await place.submit(serve(max_surge=2, max_unavailable=1))
    async with place.engine.scheduling(place.backend()):
        assert await place.engine.ended(job) is JobState.SUCCEEDED
    [service] = place.services()
    [session] = place.manager.ledger.sessions.values()
    targets = {mount.target: mount.is_read_only for mount in session.mounts}
    if place.release == OLD:
        assert (service.strategy, set(targets)) == ({}, {"/models"})
        return
    rolling = {"max_surge": {"count": 2}, "max_unavailable": {"count": 1}}
    assert service.strategy == {"type": "ROLLING", "rolling_update": rolling}
    assert targets["/pipeline/vfroot"] is True


async def test_a_service_is_refused_before_anything_runs_where_none_can_be(new_place: Place) -> None:
    with pytest.raises(InvalidRun, match=r"this session backend cannot run serve \(service\)"):
        await new_place.engine.submit(yaml.safe_dump({"name": "demo", "tasks": [serve()]}))
