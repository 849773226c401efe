"""Keys of projects and people on a cluster: what runs with which, and what a rotated or revoked one does to the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from fasttrack.db import Database, Db
from fasttrack.db.audit import AuditFilter
from fasttrack.domain.credentials import Holder
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.doorbell import Doorbell
from fasttrack.errors import Conflict, InvalidInput, Unavailable
from fasttrack.ids import JobId
from fasttrack.settings import Settings
from fasttrack.workflow import credentials
from fasttrack.workflow.audit import list_audit
from fasttrack.workflow.owner import local_caller
from fasttrack.workflow.rerun import FAILURE, plan_rerun, rerun
from fasttrack_scheduler.backends.backend_ai import by_key
from fasttrack_scheduler.backends.base import CredentialsRefused
from tests.factories import a_file
from tests.people import People
from tests.waiting import eventually

from .keyed import KEYS, Place, keyed
from .recorded import GENERATIONS
from .standins import KEYPAIR

WAITS = (
    "echo begun; until test -e /pipeline/vfroot/go; do sleep 0.02; done; echo kept > /pipeline/outputs/made; echo ended"
)
SECRETS = [secret for secret, _ in KEYS.values()]


BOTH = pytest.mark.parametrize("place", GENERATIONS, indirect=True)
"""Where the generations differ; elsewhere the newer one is enough."""


@pytest.fixture
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, database: Database, settings: Settings, doorbell: Doorbell
) -> AsyncIterator[Place]:
    async with keyed(getattr(request, "param", GENERATIONS[-1]), tmp_path / "cluster") as (manager, named):
        given = {**named, "sweep_interval": 0.1}
        place = Place(manager, database, Settings.model_validate({**settings.model_dump(), **given}), doorbell)
        yield place
        await place.sites.close()


@BOTH
async def test_projects_run_at_once_each_with_its_own_key_and_others_with_that_of_the_settings(place: Place) -> None:
    vision, speech, other = [await place.project(name) for name in ("vision", "speech", "other")]
    await place.set(Holder(project=vision), "AKIAVISION1")
    await place.set(Holder(project=speech), "AKIASPEECH")
    async with place.scheduling():
        jobs = [await place.start(project, WAITS) for project in (vision, speech, other)]
        for job in jobs:
            await place.state(job, InstanceState.RUNNING)
        sessions = [await place.session(job) for job in jobs]
        assert place.made_with() == dict(zip(sessions, ("AKIAVISION1", "AKIASPEECH", KEYPAIR.access_key), strict=True))
        assert sorted(folder.owner for folder in place.manager.folders.all.values()) == [
            "speech@example.test", "user@example.test", "vision@example.test"
        ]  # fmt: skip
        place.let_go()
        assert [await place.ended(job) for job in jobs] == [JobState.SUCCEEDED] * 3
        assert [await place.log(job) for job in jobs] == ["begun\nended\n"] * 3
        assert [await place.outputs(job) for job in jobs] == [["made"]] * 3


@BOTH
async def test_a_key_is_rotated_while_a_job_runs_which_ends_well_and_is_readable_when_the_old_key_is_gone(
    place: Place,
) -> None:
    project = await place.project("vision")
    holder = Holder(project=project)
    await place.set(holder, "AKIAVISION1")
    async with place.scheduling():
        old = await place.start(project, WAITS)
        await place.state(old, InstanceState.RUNNING)
        rotated = await place.set(holder, "AKIAVISION2")
        assert [(key.access_key, key.retired_at is None, key.sessions) for key in rotated.keys] == [
            ("AKIAVISION2", True, 0), ("AKIAVISION1", False, 1)
        ]  # fmt: skip
        new = await place.start(project, WAITS)
        await place.state(new, InstanceState.RUNNING)
        assert place.made_with() == {
            await place.session(old): "AKIAVISION1", await place.session(new): "AKIAVISION2"
        }  # fmt: skip
        place.let_go()
        assert (await place.ended(old), await place.ended(new)) == (JobState.SUCCEEDED, JobState.SUCCEEDED)
        assert await place.log(old) == "begun\nended\n"
    await place.database.run(
        lambda db: db.execute("UPDATE credential_key SET retired_at = retired_at - interval '2 minutes'")
    )
    async with place.scheduling() as backend:

        async def is_gone() -> bool:
            found = await place.of(holder)
            return found is not None and [key.access_key for key in found.keys] == ["AKIAVISION2"]

        await eventually(is_gone)
        del place.manager.keys["AKIAVISION1"]
        assert (await place.log(old), await place.outputs(old)) == ("begun\nended\n", ["made"])
        name = await place.session(old)
        assert (await backend.logs(name, offset=0, limit=99)).data == b"begun\nended\n"
        assert (await backend.forget_sessions([name])).items == 1
        assert await place.log(old) == ""


async def test_a_revoked_key_holds_up_its_own_jobs_with_a_reason_and_no_others(place: Place) -> None:
    vision, speech = await place.project("vision"), await place.project("speech")
    await place.set(Holder(project=vision), "AKIAVISION1")
    await place.set(Holder(project=speech), "AKIASPEECH")
    async with place.scheduling():
        running = await place.start(vision, WAITS)
        await place.state(running, InstanceState.RUNNING)
        secret = place.manager.keys.pop("AKIAVISION1")
        stuck, free = await place.start(vision, "echo hi", name="later"), await place.start(speech, "echo hi")
        assert await place.ended(free) is JobState.SUCCEEDED

        async def reason() -> bool:
            return "the key AKIAVISION1 of project vision" in (await place.instance(stuck)).reason

        await eventually(reason, within=20)
        assert (await place.instance(running)).state is InstanceState.RUNNING
        place.manager.keys["AKIAVISION1"] = secret
        place.let_go()
        assert (await place.ended(running), await place.ended(stuck)) == (JobState.SUCCEEDED, JobState.SUCCEEDED)


async def test_what_lives_is_known_unless_no_key_at_all_is_answered(place: Place) -> None:
    await place.set(Holder(project=await place.project("vision")), "AKIAVISION1")
    async with place.scheduling() as backend:
        del place.manager.keys["AKIAVISION1"]
        assert await backend.live() == []
        place.manager.keys.clear()
        with pytest.raises(CredentialsRefused):
            await backend.live()


async def test_a_key_whose_requests_are_used_up_holds_up_no_others(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_key, "_PATIENCE", 0.2)
    vision, speech = await place.project("vision"), await place.project("speech")
    await place.set(Holder(project=vision), "AKIAVISION1")
    await place.set(Holder(project=speech), "AKIASPEECH")
    async with place.scheduling() as backend:
        stuck = await place.start(vision, WAITS)
        await place.state(stuck, InstanceState.RUNNING)
        [gateway] = [g for g in backend._gateways._open.values() if g._keypair.access_key == "AKIAVISION1"]
        async with gateway._pace._turn:
            assert await place.ended(await place.start(speech, "echo hi")) is JobState.SUCCEEDED
        place.let_go()
        assert await place.ended(stuck) is JobState.SUCCEEDED


async def test_what_waited_for_a_revoked_key_runs_with_the_one_that_takes_its_place(place: Place) -> None:
    project = await place.project("vision")
    await place.set(Holder(project=project), "AKIAVISION1")
    del place.manager.keys["AKIAVISION1"]
    async with place.scheduling():
        job = await place.start(project, "echo hi")
        await place.state(job, InstanceState.STARTING)
        await place.set(Holder(project=project), "AKIAVISION2")
        assert await place.ended(job) is JobState.SUCCEEDED
    assert place.made_with() == {await place.session(job): "AKIAVISION2"}


async def test_a_retiring_key_that_is_not_taken_any_more_is_dropped_and_its_job_tried_again(place: Place) -> None:
    project = await place.project("vision")
    holder = Holder(project=project)
    place.settings = place.settings.model_copy(update={"lost_after": place.settings.observe_interval})
    await place.set(holder, "AKIAVISION1")
    async with place.scheduling():
        job = await place.start(project, WAITS)
        await place.state(job, InstanceState.RUNNING)
        del place.manager.keys["AKIAVISION1"]
        await place.set(holder, "AKIAVISION2")
        with pytest.raises(Conflict, match="the key AKIAVISION2 is in use"):
            await place.remove(holder, access_key="AKIAVISION2")
        left = await place.remove(holder, access_key="AKIAVISION1")
        assert left is not None
        assert [key.access_key for key in left.keys] == ["AKIAVISION2"]

        async def is_tried_again() -> bool:
            return "AKIAVISION2" in place.made_with().values()

        await eventually(is_tried_again, within=20)
        place.let_go()
        assert await place.ended(job) is JobState.SUCCEEDED


@BOTH
@pytest.mark.parametrize(
    ("access_key", "secret_key", "sentence"),
    [
        ("AKIANOBODY", "x", "no access key AKIANOBODY"),
        ("AKIAVISION1", "wrong-secret", "the secret key does not belong to the access key AKIAVISION1"),
        ("AKIA VISION", "x", "no blank and no colon"),
        ("AKIAVISION1", "x ", "begins or ends with a blank"),
    ],
)
async def test_a_key_that_the_cluster_does_not_take_is_refused_and_nothing_is_changed(
    place: Place, access_key: str, secret_key: str, sentence: str
) -> None:
    holder = Holder(project=await place.project("vision"))
    before = await place.set(holder, "AKIAVISION2")
    with pytest.raises(InvalidInput, match=sentence) as refused:
        await place.set(holder, access_key, secret_key)
    assert secret_key == "x" or secret_key not in refused.value.message
    assert await place.of(holder) == before


@BOTH
async def test_nothing_is_stored_while_the_cluster_is_away(place: Place) -> None:
    holder = Holder(project=await place.project("vision"))
    place.manager.is_down = True
    with pytest.raises(Unavailable, match="nothing was changed"):
        await place.set(holder, "AKIAVISION1")
    assert await place.of(holder) is None


async def test_a_key_of_another_user_is_refused_where_jobs_would_lose_sight_of_their_folders(place: Place) -> None:
    project = await place.project("vision")
    holder = Holder(project=project)
    async with place.scheduling():
        assert await place.ended(await place.start(project, "true")) is JobState.SUCCEEDED
        with pytest.raises(Conflict, match="the pipeline demo has its folder with another user"):
            await place.set(holder, "AKIAVISION1")
        assert await place.of(holder) is None
        first = await place.set(holder, "AKIAVISION1", another_user=True)
        with pytest.raises(Conflict, match=r"AKIASPEECH is of speech@example.test .* in use of vision@example.test"):
            await place.set(holder, "AKIASPEECH")
        assert await place.of(holder) == first
        job = await place.start(project, WAITS)
        await place.state(job, InstanceState.RUNNING)
        with pytest.raises(Conflict, match="1 job that is not over"):
            await place.remove(holder)
        place.let_go()
        await place.ended(job)
        with pytest.raises(Conflict, match=r"the pipeline demo has its folder with vision@example.test"):
            await place.remove(holder)
        assert await place.remove(holder, another_user=True) is None
    with pytest.raises(Exception, match="was removed"):
        await place.log(job)


async def test_a_person_runs_with_their_own_key_where_the_project_allows_it(place: Place) -> None:
    project = await place.project("vision")
    eve = await People(place.database).user("eve", vision="editor")
    await place.set(Holder(project=project), "AKIAVISION1")
    await place.set(Holder(account=eve.id), "AKIAEVE")

    async def allow(db: Db) -> None:
        await credentials.set_personal_keys(db, await local_caller(db, "ada"), project, allowed=True)

    async with place.scheduling():
        before = await place.start(project, "false", account=eve.id)
        await place.ended(before)
        await place.database.run(allow)
        hers, others = await place.start(project, "false", account=eve.id), await place.start(project, "true")
        await place.ended(hers)
        await place.ended(others)
    assert [place.made_with()[await place.session(job)] for job in (before, hers, others)] == [
        "AKIAVISION1", "AKIAEVE", "AKIAVISION1"
    ]  # fmt: skip


async def test_a_rerun_that_reuses_what_a_person_wrote_is_theirs_alone(place: Place) -> None:
    project = await place.project("vision")
    eve, bob = [await People(place.database).user(name, vision="editor") for name in ("eve", "bob")]
    await place.set(Holder(account=eve.id), "AKIAEVE")
    await place.database.run(lambda db: db.execute("UPDATE project SET personal_keys = true"))
    a, b = [{"command": command, "resources": {"cpu": 1, "mem": "256m"}} for command in ("true", "false")]
    file = a_file({"a": "", "b": "a"}, "two", a=a, b=b)
    async with place.scheduling():
        job = await place.engine(project).submit(file, account=eve.id)
        await place.ended(job)

        async def again(db: Db, account: UUID) -> JobId:
            plan = await plan_rerun(db, project, job, start=FAILURE)
            return (await rerun(db, project, plan, by="x", account=account)).job_id

        with pytest.raises(Conflict, match=r"in a folder of eve@example.test on the cluster"):
            await place.database.run(lambda db: again(db, bob.id))
        assert await place.ended(await place.database.run(lambda db: again(db, eve.id))) is JobState.FAILED
    assert set(place.made_with().values()) == {"AKIAEVE"}


async def test_no_secret_half_is_in_the_log_the_audit_or_what_is_stored(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    holder = Holder(project=await place.project("vision"))
    await place.set(holder, "AKIAVISION1")
    await place.set(holder, "AKIAVISION2")
    async with place.scheduling():
        await place.ended(await place.start(await place.project("vision"), "true"))

    async def read(db: Db) -> tuple[str, str]:
        entries = await list_audit(db, await local_caller(db, "ada"), AuditFilter())
        rows = await db.rows("SELECT c::text || k::text AS row FROM credential c, credential_key k")
        return str(entries.items), str([row["row"] for row in rows])

    audit, rows = await place.database.run(read)
    assert "AKIAVISION1" in audit
    assert "'credential.rotate'" in audit
    printed = capsys.readouterr()
    for secret in SECRETS:
        assert secret not in audit + rows + printed.out + printed.err
