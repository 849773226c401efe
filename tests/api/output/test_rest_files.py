"""Files over REST: what tasks wrote, what the vfroot holds, and putting files into it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
import zipfile
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from fasttrack.db import Database
from fasttrack.domain.access import Caller, Role
from fasttrack.ids import PipelineId, ProjectId
from fasttrack.settings import Settings
from fasttrack.storage import Vfroot
from fasttrack.storage.layout import Layout
from fasttrack_api.rest import sweeping
from tests.api.output.conftest import Machine
from tests.api.streams.test_rest_events import Door, eve
from tests.engine import Engine
from tests.factories import a_file
from tests.waiting import eventually

TUS = {"tus-resumable": "1.0.0"}
OCTETS = {"content-type": "application/offset+octet-stream", **TUS}


@pytest.fixture
async def pipeline(engine: Engine, settings: Settings) -> PipelineId:
    """A pipeline `demo` on a machine whose local backend has run."""
    job = await engine.submit(a_file({"a": ""}))
    (settings.state_dir / "local").mkdir(parents=True)
    (settings.state_dir / "local" / "site").write_text(f"{uuid4()}\n")
    return (await engine.job(job)).pipeline_id


@pytest.fixture
def vfroot(pipeline: PipelineId, settings: Settings) -> Path:
    made = Layout(settings.state_dir).folder(Vfroot(pipeline))
    made.mkdir(parents=True)
    return made


FILES = "/api/v1/pipelines/demo/vfroot"
UPLOADS = "/api/v1/pipelines/demo/uploads"
NO_UPLOAD = UUID(int=9)


async def test_outputs_of_a_task_are_listed_and_downloaded(machine: Machine, client: httpx.AsyncClient) -> None:
    job = await machine.run(
        "cd $FASTTRACK_OUTPUTS; mkdir d; printf '<script>' > d/page.html; printf x > model.bin; ln -s / root"
    )
    base = f"/api/v1/jobs/{job}/tasks/a/outputs"
    page = (await client.get(base)).json()
    assert [(i["path"], i["kind"], i["size"]) for i in page["items"]] == [
        ("d", "DIRECTORY", 0), ("model.bin", "FILE", 1), ("root", "OTHER", 0)
    ]  # fmt: skip
    inner = (await client.get(base, params={"path": "d", "limit": 1})).json()
    assert ([i["path"] for i in inner["items"]], inner["next"]) == (["d/page.html"], None)
    file = await client.get(f"{base}/d/page.html")
    assert (file.status_code, file.content) == (200, b"<script>")
    shown = {
        n: file.headers[n]
        for n in ("content-type", "content-disposition", "x-content-type-options", "content-security-policy")
    }
    assert shown == {
        "content-type": "application/octet-stream",
        "content-disposition": "attachment; filename*=UTF-8''page.html",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
    }
    for path, code in [
        ("root", "NOT_FOUND"),
        ("root/etc/passwd", "NOT_FOUND"),
        ("d", "NOT_A_FILE"),
        ("none", "NOT_FOUND"),
    ]:
        answer = await client.get(f"{base}/{path}")
        assert answer.json()["code"] == code
    archive = await client.get(f"{base}.zip")
    assert archive.headers["content-disposition"] == "attachment; filename*=UTF-8''a-outputs.zip"
    with zipfile.ZipFile(io.BytesIO(archive.content)) as found:
        assert found.testzip() is None
        assert {i.filename: found.read(i) for i in found.infolist()} == {"d/page.html": b"<script>", "model.bin": b"x"}
    pruned = "UPDATE job SET pruned_at = now()"
    await machine.database.run(lambda db: db.execute(pruned))
    for path in (base, f"{base}/model.bin", f"{base}.zip"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (410, "OUTPUTS_PRUNED")


async def test_a_download_is_gone_on_with_by_range(client: httpx.AsyncClient, vfroot: Path) -> None:
    (vfroot / "f").write_bytes(bytes(range(256)) * 4000)
    first = await client.get(f"{FILES}/f", headers={"range": "bytes=0-99"})
    assert (first.status_code, first.headers["content-range"]) == (206, "bytes 0-99/1024000")
    tag = first.headers["etag"]
    rest = await client.get(f"{FILES}/f", headers={"range": "bytes=100-", "if-range": tag})
    assert first.content + rest.content == (vfroot / "f").read_bytes()
    assert (await client.get(f"{FILES}/f", headers={"if-none-match": tag})).status_code == 304
    (vfroot / "f").write_bytes(b"another")
    again = await client.get(f"{FILES}/f", headers={"range": "bytes=100-", "if-range": tag})
    assert (again.status_code, again.content) == (200, b"another")
    beyond = await client.get(f"{FILES}/f", headers={"range": "bytes=7-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */7")


@pytest.mark.parametrize(
    ("path", "status"),
    [("../secret.key", 404), ("%2e%2e/secret.key", 422), ("..%2f..%2fsecret.key", 422), ("%2fetc%2fpasswd", 422),
     ("~", 404), ("..%5csecret.key", 404), ("a%00b", 400), ("n" * 300, 422), ("link", 404), ("link/secret.key", 404),
     ("pipe", 404), ("%ff", 404)],
)  # fmt: skip
async def test_no_address_leads_out_of_the_folder(
    client: httpx.AsyncClient, settings: Settings, vfroot: Path, path: str, status: int
) -> None:
    (settings.state_dir / "secret.key").write_text("k")
    (vfroot / "link").symlink_to(settings.state_dir)
    os.mkfifo(vfroot / "pipe")
    for method in ("GET", "DELETE"):
        if method == "DELETE" and path in ("link", "pipe"):
            continue  # those are themselves what goes
        answer = await client.send(
            client.build_request(method, httpx.URL("http://127.0.0.1", raw_path=f"{FILES}/{path}".encode()))
        )
        assert answer.status_code == status, answer.text
    put = await client.put(f"{FILES}/{path}" if path != "../secret.key" else f"{FILES}/x%2f..%2fy", content=b"evil")
    assert put.status_code in (201, 400, 409, 422)
    assert (settings.state_dir / "secret.key").read_text() == "k"
    assert not (settings.state_dir / "etc").exists()


async def test_a_file_is_put_replaced_and_deleted_and_the_audit_log_has_it(
    client: httpx.AsyncClient, vfroot: Path, database: Database
) -> None:
    put = await client.put(f"{FILES}/data/train.csv", content=b"a,b")
    assert (put.status_code, put.json()["is_done"], put.json()["path"]) == (201, True, "data/train.csv")
    assert (vfroot / "data" / "train.csv").read_bytes() == b"a,b"
    assert (await client.get(put.headers["location"])).content == b"a,b"
    assert (await client.put(f"{FILES}/data/train.csv", content=b"")).status_code == 201
    assert (vfroot / "data" / "train.csv").read_bytes() == b""
    assert (await client.put(f"{FILES}/data", content=b"x")).json()["code"] == "CONFLICT"
    assert (await client.delete(f"{FILES}/data")).json()["code"] == "CONFLICT"
    assert (await client.delete(f"{FILES}/data/train.csv")).status_code == 204
    assert (await client.delete(f"{FILES}/data/train.csv")).status_code == 404
    async with database.transaction() as db:
        rows = await db.rows("SELECT action, coalesce(after, before)->>'path' AS path FROM audit_entry ORDER BY id")
    told = [(r["action"], r["path"]) for r in rows if r["action"].startswith("file.")]
    assert told == [
        ("file.put", "data/train.csv"), ("file.put", "data/train.csv"), ("file.delete", "data"),
        ("file.delete", "data/train.csv"),
    ]  # fmt: skip


async def test_a_client_of_the_tus_protocol_uploads_asks_and_goes_on(
    client: httpx.AsyncClient, vfroot: Path, settings: Settings
) -> None:
    about = await client.options(UPLOADS, headers=TUS)
    assert about.status_code == 204
    assert about.headers["tus-version"] == "1.0.0"
    assert about.headers["tus-extension"] == "creation,expiration,checksum,termination"
    assert about.headers["tus-max-size"] == str(settings.upload_file_limit)
    named = base64.b64encode("données/é.bin".encode()).decode()
    begun = await client.post(UPLOADS, headers={**TUS, "upload-length": "10", "upload-metadata": f"filename {named},x"})
    assert (begun.status_code, begun.headers["upload-offset"], begun.headers["tus-resumable"]) == (201, "0", "1.0.0")
    where = begun.headers["location"]
    sent = await client.patch(where, content=b"01234", headers={**OCTETS, "upload-offset": "0"})
    assert (sent.status_code, sent.headers["upload-offset"]) == (204, "5")
    wrong = await client.patch(where, content=b"x", headers={**OCTETS, "upload-offset": "3"})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "UPLOAD_OFFSET")
    asked = await client.head(where, headers=TUS)
    assert (asked.status_code, asked.headers["upload-offset"], asked.headers["upload-length"]) == (200, "5", "10")
    assert asked.headers["cache-control"] == "no-store"
    assert "upload-expires" in asked.headers
    digest = base64.b64encode(hashlib.sha256(b"56789").digest()).decode()
    bad = await client.patch(
        where, content=b"5678X", headers={**OCTETS, "upload-offset": "5", "upload-checksum": f"sha256 {digest}"}
    )
    assert (bad.status_code, bad.json()["code"]) == (409, "UPLOAD_CHECKSUM")
    last = await client.patch(
        where, content=b"56789", headers={**OCTETS, "upload-offset": "5", "upload-checksum": f"sha256 {digest}"}
    )
    assert (last.status_code, last.headers["upload-offset"]) == (204, "10")
    assert (vfroot / "données" / "é.bin").read_bytes() == b"0123456789"
    done = await client.head(where, headers=TUS)
    assert (done.headers["upload-offset"], "upload-expires" in done.headers) == ("10", False)
    assert (await client.get(where)).json()["is_done"] is True
    assert (await client.delete(where, headers=TUS)).status_code == 204
    assert (await client.head(where, headers=TUS)).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "word"),
    [
        ("POST", UPLOADS, {"upload-length": "1"}, 422, "path"),
        ("POST", UPLOADS, {}, 422, "upload-length"),
        ("POST", f"{UPLOADS}?path=x", {"upload-length": "-1"}, 422, "upload-length"),
        ("POST", f"{UPLOADS}?path=x", {"upload-length": str(2**45)}, 413, "bytes"),
        ("POST", f"{UPLOADS}?path=../x", {"upload-length": "1"}, 422, "path"),
        ("POST", UPLOADS, {"upload-length": "1", "upload-metadata": "path ***"}, 422, "base64"),
        ("POST", f"{UPLOADS}?path=x", {"upload-length": "1", "tus-resumable": "0.2.2"}, 412, "1.0.0"),
        ("PATCH", f"{UPLOADS}/{NO_UPLOAD}", {**OCTETS, "upload-offset": "0"}, 404, "no upload"),
        ("PATCH", f"{UPLOADS}/{NO_UPLOAD}", {"content-type": "text/plain", "upload-offset": "0"}, 415, "offset"),
        ("PATCH", f"{UPLOADS}/x", {**OCTETS, "upload-offset": "0"}, 422, "upload"),
    ],
)
async def test_an_upload_that_cannot_be_is_refused(
    client: httpx.AsyncClient, vfroot: Path, method: str, path: str, headers: dict[str, str], status: int, word: str
) -> None:
    answer = await client.request(method, path, headers=headers)
    assert answer.status_code == status, answer.text
    assert word in answer.json()["detail"]
    assert list(vfroot.iterdir()) == []
    uploads = vfroot.parent / "uploads"
    assert not uploads.exists() or list(uploads.iterdir()) == []


async def test_a_connection_that_breaks_keeps_what_came(client: httpx.AsyncClient, address: str, vfroot: Path) -> None:
    """And a body may be far larger than that of any other request, and take longer."""
    size = 3 * 2**20
    begun = await client.post(f"{UPLOADS}?path=big", headers={"upload-length": str(size)})
    where = begun.headers["location"]
    host, port = address.removeprefix("http://").split(":")
    _, socket = await asyncio.open_connection(host, int(port))
    head = f"PATCH {where} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/offset+octet-stream\r\nupload-offset: 0\r\n"
    socket.write(f"{head}content-length: {size}\r\n\r\n".encode() + b"x" * (2 * 2**20))
    await socket.drain()

    async def arrived() -> bool:
        return int((await client.head(where)).headers["upload-offset"]) >= 2**20

    await eventually(arrived)
    socket.close()

    async def free() -> int:
        at = int((await client.head(where)).headers["upload-offset"])
        answer = await client.patch(where, content=b"x" * (size - at), headers={**OCTETS, "upload-offset": str(at)})
        return 1 if answer.status_code == 204 else 0

    await eventually(free)
    assert (vfroot / "big").read_bytes() == b"x" * size


async def test_an_upload_belongs_to_who_began_it(
    client: httpx.AsyncClient,
    vfroot: Path,
    project: ProjectId,
    door: Door,
) -> None:
    ada, bob = (Caller(UUID(int=n), "x", roles={project: Role.EDITOR}) for n in (1, 2))
    door.now = ada
    where = (await client.post(f"{UPLOADS}?path=x", headers={"upload-length": "1"})).headers["location"]
    door.now = bob
    for method in ("HEAD", "GET", "DELETE"):
        assert (await client.request(method, where)).status_code == 404
    assert (await client.patch(where, content=b"y", headers={**OCTETS, "upload-offset": "0"})).status_code == 404
    door.now = ada
    assert (await client.patch(where, content=b"y", headers={**OCTETS, "upload-offset": "0"})).status_code == 204
    assert (vfroot / "x").read_bytes() == b"y"
    door.now = eve(project)
    for method, path in [("PUT", f"{FILES}/x"), ("DELETE", f"{FILES}/x"), ("POST", f"{UPLOADS}?path=z")]:
        answer = await client.request(method, path, headers={"upload-length": "1"}, content=b"")
        assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
    assert (vfroot / "x").read_bytes() == b"y"


async def test_an_archive_has_bounds(client: httpx.AsyncClient, vfroot: Path, app: FastAPI) -> None:
    for n in range(3):
        (vfroot / f"f{n}").write_bytes(b"x" * 1000)
    parts = app.state.parts
    for limits in ({"archive_file_limit": 2}, {"archive_byte_limit": 2999}):
        app.state.parts = type(parts)(**{**vars(parts), "settings": parts.settings.model_copy(update=limits)})
        answer = await client.get(f"{FILES}.zip")
        assert (answer.status_code, answer.json()["code"]) == (422, "ARCHIVE_TOO_LARGE")
    app.state.parts = parts
    (vfroot / "..\\evil:x").write_bytes(b"")
    with zipfile.ZipFile(io.BytesIO((await client.get(f"{FILES}.zip")).content)) as found:
        assert found.namelist() == [".._evil_x", "f0", "f1", "f2"]
    assert (await client.get(f"{FILES}.zip", params={"path": "nowhere"})).status_code == 404


async def test_where_no_backend_has_run_the_folders_are_elsewhere(
    client: httpx.AsyncClient, engine: Engine, settings: Settings
) -> None:
    """An API on another machine does not pretend that a folder is empty, nor take files where no task would find them."""
    job = await engine.submit(a_file({"a": ""}))
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", FILES, {}), ("GET", f"{FILES}/x", {}), ("PUT", f"{FILES}/x", {"content": b"x"}), ("GET", f"{FILES}.zip", {}),
        ("POST", f"{UPLOADS}?path=x", {"headers": {"upload-length": "1"}}),
    ]  # fmt: skip
    for method, path, more in calls:
        answer = await client.request(method, path, **more)
        assert (answer.status_code, answer.json()["code"]) == (404, "FILES_ELSEWHERE"), path
    empty = await client.get(f"/api/v1/jobs/{job}/tasks/a/outputs")
    assert (empty.status_code, empty.json()["items"]) == (200, [])
    assert not (settings.state_dir / "pipelines").exists()


async def test_uploads_that_nothing_came_of_are_dropped_by_the_running_api(
    client: httpx.AsyncClient, vfroot: Path, app: FastAPI
) -> None:
    for path in ("old", "fresh"):
        await client.post(f"{UPLOADS}?path={path}", headers={"upload-length": "1"})
    uploads = vfroot.parent / "uploads"
    [old] = [p for p in uploads.iterdir() if b'"old"' in (p / "info").read_bytes()]
    for place in (old / "data", old):
        os.utime(place, (1, 1))
    async with sweeping(app.state.parts):
        await eventually(lambda: not old.exists())
    assert len(list(uploads.iterdir())) == 1
