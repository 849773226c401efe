"""The stand-in's storage proxy answers as the recorded ones: uploads in parts, ranges of growing files, archives."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from fasttrack.backend_ai.answers import Refused

from .clusters import NEW, OLD, Cluster, cluster_of


@pytest.fixture
async def old(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster_of(OLD, tmp_path) as cluster:
        yield cluster


@pytest.fixture
async def new(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster_of(NEW, tmp_path) as cluster:
        yield cluster


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


async def to_download(cluster: Cluster, path: str) -> str:
    told = await cluster.gateway.call("POST", "/folders/data/request-download", body={"path": path})
    return f"{told['url']}?token={told['token']}"


async def to_upload(cluster: Cluster, path: str, size: int) -> str:
    told = await cluster.gateway.call("POST", "/folders/data/request-upload", body={"path": path, "size": size})
    return f"{told['url']}?token={told['token']}"


async def test_a_range_of_a_growing_file_is_what_is_there_now(
    old: Cluster, new: Cluster, client: httpx.AsyncClient
) -> None:
    for cluster in (old, new):
        await cluster.folder("data")
        file = cluster.within("data", "log")
        file.write_bytes(b"0123456789")
        url = await to_download(cluster, "log")
        whole = await client.get(url)
        assert (whole.status_code, whole.content) == (200, b"0123456789")
        assert whole.headers["accept-ranges"] == "bytes"
        assert whole.headers["content-disposition"] == "attachment;filename=\"log\"; filename*=UTF-8''log"
        part = await client.get(url, headers={"Range": "bytes=5-7"})
        assert (part.status_code, part.content) == (206, b"567")
        assert part.headers["content-range"] == "bytes 5-7/10"
        beyond = await client.get(url, headers={"Range": "bytes=10-"})
        assert (beyond.status_code, beyond.headers["content-range"], beyond.content) == (416, "bytes */10", b"")
        with file.open("ab") as more:
            more.write(b"abc")
        grown = await client.get(url, headers={"Range": "bytes=10-99"})
        assert (grown.status_code, grown.content) == (206, b"abc")
        assert grown.headers["content-range"] == "bytes 10-12/13"
        assert grown.headers["etag"] != part.headers["etag"]
        tail = await client.get(url, headers={"Range": "bytes=-2"})
        assert (tail.status_code, tail.content) == (206, b"bc")


@pytest.mark.parametrize("wanted", ["bytes=0-", "bytes=-5", "lines=1-2", "bytes=2-1", "bytes=0-1,3-4"])
async def test_a_range_that_cannot_be_is_refused_with_the_size(
    new: Cluster, client: httpx.AsyncClient, wanted: str
) -> None:
    await new.folder("data")
    new.within("data", "empty").touch()
    got = await client.get(await to_download(new, "empty"), headers={"Range": wanted})
    assert (got.status_code, got.headers["content-range"]) == (416, "bytes */0")


async def test_a_file_that_is_not_there_is_missed_by_the_download_only(
    old: Cluster, new: Cluster, client: httpx.AsyncClient
) -> None:
    for cluster in (old, new):
        await cluster.folder("data")
        url = await to_download(cluster, "later")
        assert (await client.get(url)).status_code == 404
        cluster.within("data", "later").write_bytes(b"now")
        assert (await client.get(url)).content == b"now"
        assert (await client.head(url)).status_code == 405


async def test_a_token_of_nothing_is_refused_as_recorded(new: Cluster, client: httpx.AsyncClient) -> None:
    await new.folder("data")
    for method, path in (("GET", "download"), ("HEAD", "upload"), ("PATCH", "upload")):
        url = (await to_download(new, "x")).partition("/storage/")[0]
        got = await client.request(method, f"{url}/storage/{path}?token=nope")
        assert got.status_code == 400
        if method != "HEAD":
            assert got.json()["type"] == "https://api.backend.ai/probs/storage/invalid-api-params"
            assert got.json()["data"]["token"] == "cannot decode the given value as JWT: Not enough segments"


async def test_a_directory_is_downloaded_as_an_archive_if_the_url_asks_for_it(
    old: Cluster, new: Cluster, client: httpx.AsyncClient
) -> None:
    for cluster in (old, new):
        await cluster.folder("data", "out/deep/empty")
        cluster.within("data", "out/deep/file").write_bytes(b"x" * 100_000)
        cluster.within("data", "out/other").write_bytes(b"y")
        url = await to_download(cluster, "out")
        plain = await client.get(url)
        assert (plain.status_code, plain.json()["msg"]) == (400, "The file is not a regular file.")
        packed = await client.get(f"{url}&archive=true")
        assert packed.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
            assert sorted(archive.namelist()) == ["deep/empty/", "deep/file", "other"]
            assert archive.read("deep/file") == b"x" * 100_000


async def test_a_file_comes_in_parts(old: Cluster, new: Cluster, client: httpx.AsyncClient) -> None:
    for cluster in (old, new):
        await cluster.folder("data")
        url = await to_upload(cluster, "sub/hello.txt", 10)
        options = await client.options(url)
        assert options.headers["tus-resumable"] == options.headers["tus-version"] == "1.0.0"
        head = await client.head(url)
        assert (head.headers["upload-offset"], head.headers["upload-length"]) == ("0", "10")
        assert head.headers["cache-control"] == "no-store"
        first = await client.patch(url, content=b"01234", headers={"Upload-Offset": "0"})
        assert (first.status_code, first.headers["upload-offset"]) == (204, "5")
        assert not cluster.within("data", "sub").exists(), "it appears when it is whole"
        listed = await cluster.gateway.call("GET", "/folders/data/files", query={"path": ""})
        assert [item["name"] for item in listed["items"]] == [".upload"]
        assert (await client.head(url)).headers["upload-offset"] == "5"
        last = await client.patch(url, content=b"56789", headers={"Upload-Offset": "5"})
        assert (last.status_code, last.headers["upload-offset"]) == (204, "10")
        assert cluster.within("data", "sub/hello.txt").read_bytes() == b"0123456789"
        assert not cluster.within("data", ".upload").exists()


async def test_an_empty_file_needs_one_empty_part(old: Cluster, new: Cluster, client: httpx.AsyncClient) -> None:
    for cluster in (old, new):
        await cluster.folder("data")
        url = await to_upload(cluster, "empty.txt", 0)
        assert not cluster.within("data", "empty.txt").exists()
        assert (await client.patch(url, headers={"Upload-Offset": "0"})).status_code == 204
        assert cluster.within("data", "empty.txt").read_bytes() == b""


async def test_a_part_at_another_offset_is_appended_by_the_old_one_and_refused_by_the_new_one(
    old: Cluster, new: Cluster, client: httpx.AsyncClient
) -> None:
    for cluster, status, offset in ((old, 204, "7"), (new, 409, "5")):
        await cluster.folder("data")
        url = await to_upload(cluster, "file", 10)
        await client.patch(url, content=b"01234", headers={"Upload-Offset": "0"})
        wrong = await client.patch(url, content=b"xx", headers={"Upload-Offset": "3"})
        assert wrong.status_code == status
        assert (await client.head(url)).headers["upload-offset"] == offset
    assert wrong.json()["type"] == "https://api.backend.ai/probs/storage/upload-offset-mismatch"
    assert wrong.json()["msg"] == "Upload offset mismatch: expected 5, got 3"


async def test_a_file_is_renamed(old: Cluster, new: Cluster) -> None:
    for cluster in (old, new):
        await cluster.folder("data")
        cluster.within("data", "one").write_bytes(b"x")
        body = {"target_path": "one", "new_name": "two"}
        await cluster.gateway.call("POST", "/folders/data/rename-file", body=body)
        assert [p.name for p in cluster.within("data", "").iterdir()] == ["two"]
        with pytest.raises(Refused, match="No such file"):
            await cluster.gateway.call("POST", "/folders/data/rename-file", body=body)


async def test_faults_befall_the_storage_too(new: Cluster, client: httpx.AsyncClient) -> None:
    await new.folder("data")
    url = await to_upload(new, "file", 3)
    new.manager.faults.plan({"kind": "lost_after", "method": "PATCH", "path": "/storage/upload"})
    with pytest.raises(httpx.HTTPError):
        await client.patch(url, content=b"abc", headers={"Upload-Offset": "0"})
    assert new.within("data", "file").read_bytes() == b"abc"
    new.manager.faults.plan({"kind": "status", "status": 503, "path": "/storage/download"})
    assert (await client.get(await to_download(new, "file"))).status_code == 503
