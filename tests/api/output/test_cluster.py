"""Jobs whose tasks ran on a cluster: their logs and files are served like those of this machine."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from fasttrack.clock import SystemClock
from fasttrack.db import Database
from fasttrack.doorbell import Doorbell
from fasttrack.ids import JobId, ProjectId
from fasttrack.settings import Settings
from fasttrack_scheduler.backends import make_backend
from tests.api.output.conftest import DATABASE_BOX, Get, Machine
from tests.engine import Engine
from tests.scheduler.backend_ai.recorded import GENERATIONS
from tests.scheduler.backend_ai.standins import serving, settings_for

OCTETS = {"content-type": "application/offset+octet-stream"}


@pytest.fixture(params=GENERATIONS)
async def settings(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> AsyncIterator[Settings]:
    """Those of a cluster."""
    async with serving(request.param, tmp_path / "cluster") as (_, address):
        yield Settings.model_validate(settings.model_dump() | settings_for(address))


class ClusterMachine(Machine):
    """Runs commands as tasks of the cluster."""

    async def start(self, command: str, *, name: str = "demo", **task: Any) -> JobId:
        return await super().start(command, name=name, resources={"cpu": 1, "mem": "256m"}, **task)


@pytest.fixture
async def machine(
    database: Database, project: ProjectId, settings: Settings, doorbell: Doorbell
) -> AsyncIterator[Machine]:
    """The cluster, with a scheduler at work."""
    engine = Engine(database, project, settings, doorbell)
    engine.box = DATABASE_BOX
    async with engine.scheduling(make_backend("backend_ai", settings, SystemClock())):
        yield ClusterMachine(engine, project, database)


async def test_what_a_task_of_a_cluster_wrote_is_listed_downloaded_and_packed(
    machine: Machine, client: httpx.AsyncClient, log: Get
) -> None:
    job = await machine.run(
        "cd /pipeline/outputs; mkdir d; printf 0123456789 > d/model.bin; printf x > note; ln -s / root; echo done"
    )
    assert (await log(job)).text == "done\n"
    base = f"/api/v1/jobs/{job}/tasks/a/outputs"
    page = (await client.get(base)).json()
    assert [(i["path"], i["kind"], i["size"]) for i in page["items"]] == [
        ("d", "DIRECTORY", 0), ("note", "FILE", 1), ("root", "OTHER", 0)
    ]  # fmt: skip
    part = await client.get(f"{base}/d/model.bin", headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    rest = {"range": "bytes=5-", "if-range": part.headers["etag"]}
    assert (await client.get(f"{base}/d/model.bin", headers=rest)).content == b"56789"
    for path, code in (("root", "NOT_FOUND"), ("root/etc/passwd", "NOT_FOUND"), ("d", "NOT_A_FILE")):
        assert (await client.get(f"{base}/{path}")).json()["code"] == code
    packed = await client.get(f"{base}.zip")
    with zipfile.ZipFile(io.BytesIO(packed.content)) as found:
        assert {i.filename: found.read(i) for i in found.infolist()} == {"d/model.bin": b"0123456789", "note": b"x"}


async def test_what_is_uploaded_is_what_the_next_task_of_the_cluster_reads(
    machine: Machine, client: httpx.AsyncClient, log: Get
) -> None:
    await machine.run("true")
    uploads, files = "/api/v1/pipelines/demo/uploads", "/api/v1/pipelines/demo/vfroot"
    begun = await client.post(uploads, params={"path": "data/in"}, headers={"upload-length": "10"})
    assert begun.status_code == 201, begun.text
    where = begun.headers["location"]
    for offset, data in ((0, b"01234"), (5, b"56789")):
        assert (await client.get(files)).json()["items"] == []
        sent = await client.patch(where, content=data, headers={**OCTETS, "upload-offset": str(offset)})
        assert (sent.status_code, sent.headers.get("upload-offset")) == (204, str(offset + 5))
    put = await client.put(f"{files}/data/other", content=b"!")
    assert (put.status_code, put.json()["offset"]) == (201, 1)
    listed = (await client.get(files, params={"path": "data"})).json()["items"]
    assert [(i["path"], i["size"]) for i in listed] == [("data/in", 10), ("data/other", 1)]
    job = await machine.run("cat /pipeline/vfroot/data/in /pipeline/vfroot/data/other")
    assert (await log(job)).text == "0123456789!"
    assert (await client.delete(f"{files}/data/other")).status_code == 204
    assert (await client.get(f"{files}/data/other")).status_code == 404


async def test_the_log_of_a_task_on_a_cluster_is_followed_as_it_is_written(machine: Machine, address: str) -> None:
    job = await machine.running("echo one; until test -e /pipeline/vfroot/go; do sleep 0.05; done; echo two")
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        log = f"/api/v1/jobs/{job}/tasks/a/logs"
        async with client.stream("GET", log, params={"follow": "true"}) as answer:
            lines = answer.aiter_lines()
            assert await anext(lines) == "one"
            put = await client.put("/api/v1/pipelines/demo/vfroot/go", content=b"")
            assert put.status_code == 201
            assert [line async for line in lines] == ["two"]


async def test_a_job_of_another_site_is_elsewhere(machine: Machine, client: httpx.AsyncClient, log: Get) -> None:
    job = await machine.run("echo done")
    await machine.database.run(lambda db: db.execute(f"UPDATE job SET site = 'backend_ai:{uuid4().hex}'"))
    for answer in (await log(job), await client.get(f"/api/v1/jobs/{job}/tasks/a/outputs")):
        assert (answer.status_code, answer.json()["code"]) == (404, "FILES_ELSEWHERE")
        assert "FASTTRACK_BACKEND_AI_ENDPOINT" in answer.json()["detail"]
