"""The stand-in's folders: directories in one request, files away, the trash, and how much is in them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fasttrack.backend_ai.answers import Missing, Refused

from .clusters import NEW, OLD, Cluster, cluster_of, mount


@pytest.fixture
async def old(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster_of(OLD, tmp_path) as cluster:
        yield cluster


@pytest.fixture
async def new(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster_of(NEW, tmp_path) as cluster:
        yield cluster


async def test_the_new_one_makes_directories_in_one_request_and_tells_of_each(new: Cluster) -> None:
    await new.folder("data", "there")
    body = {"path": ["a/deep", "there", "b"], "parents": True}
    told = await new.gateway.call("POST", "/folders/data/mkdir", body=body)
    assert [entry["item"] for entry in told["results"]["success"]] == ["a/deep", "b"]
    failed = told["results"]["failed"]
    assert [entry["item"] for entry in failed] == ["there"], "and yet the answer is 200"
    assert "FileExistsError" in failed[0]["msg"]
    assert new.within("data", "a/deep").is_dir()
    told = await new.gateway.call("POST", "/folders/data/mkdir", body={**body, "exist_ok": True})
    assert told["results"]["failed"] == []


async def test_more_than_fifty_directories_are_too_many(new: Cluster) -> None:
    await new.folder("data")
    with pytest.raises(Refused, match="Too many directories"):
        await new.gateway.call("POST", "/folders/data/mkdir", body={"path": [f"d{n}" for n in range(51)]})
    assert list(new.within("data", "").iterdir()) == []


async def test_the_old_one_makes_one_directory_per_request(old: Cluster) -> None:
    await old.folder("data")
    with pytest.raises(Refused, match="value is not a string"):
        await old.gateway.call("POST", "/folders/data/mkdir", body={"path": ["a", "b"]})
    assert list(old.within("data", "").iterdir()) == []
    assert await old.gateway.call("POST", "/folders/data/mkdir", body={"path": "a/deep"}) is None
    assert old.within("data", "a/deep").is_dir()
    with pytest.raises(Refused, match="File exists"):
        await old.gateway.call("POST", "/folders/data/mkdir", body={"path": "a/deep"})


async def test_files_are_deleted_several_at_once_and_directories_only_if_that_is_meant(
    old: Cluster, new: Cluster
) -> None:
    for cluster in (old, new):
        await cluster.folder("data", "full/deep", "kept")
        for name in ("one", "two", "full/three", "kept/four"):
            cluster.within("data", name).write_text("x")
        files = {"files": ["one", "kept", "nothing", "two"], "recursive": False}
        if cluster is old:  # it stops at the first that cannot be
            for there, stops in (("nothing", "No such file"), ("kept", "Is a directory")):
                files["files"] = ["one", there, "two"] if there == "nothing" else [there, "two"]
                with pytest.raises(Refused, match=stops):
                    await cluster.gateway.call("DELETE", "/folders/data/delete-files", body=files)
            assert sorted(p.name for p in cluster.within("data", "").iterdir()) == ["full", "kept", "two"]
            files["files"] = ["two"]
        await cluster.gateway.call("DELETE", "/folders/data/delete-files", body=files)
        assert sorted(p.name for p in cluster.within("data", "").iterdir()) == ["full", "kept"]
        files = {"files": ["full"], "recursive": True}
        await cluster.gateway.call("DELETE", "/folders/data/delete-files", body=files)
        assert sorted(p.name for p in cluster.within("data", "").iterdir()) == ["kept"]


async def test_a_folder_tells_how_much_is_in_it(old: Cluster, new: Cluster) -> None:
    for cluster in (old, new):
        await cluster.folder("data", "deep")
        empty = await cluster.gateway.call("GET", "/folders/data")
        cluster.within("data", "deep/file").write_bytes(b"x" * 1000)
        full = await cluster.gateway.call("GET", "/folders/data")
        assert full["used_bytes"] - empty["used_bytes"] == 1000
        assert (empty["numFiles"], full["numFiles"]) == (1, 2), "directories count"


async def test_a_deleted_folder_is_gone_on_the_old_one_and_keeps_its_name_on_the_new_one(
    old: Cluster, new: Cluster
) -> None:
    for cluster in (old, new):
        await cluster.folder("data")
        await cluster.gateway.call("DELETE", "/folders/data")
    with pytest.raises(Missing):
        await old.gateway.call("GET", "/folders/data")
    await old.folder("data")

    found = await new.gateway.call("GET", "/folders/data")
    assert found["status"] == "delete-pending"
    with pytest.raises(Refused, match="already exists with the same name"):
        await new.folder("data")
    with pytest.raises(Missing):
        await new.enqueue("exit 0", mount(found["id"], "/pipeline/outputs"))
    await new.gateway.call("POST", "/folders/delete-from-trash-bin", body={"vfolder_id": found["id"]})
    with pytest.raises(Missing):
        await new.gateway.call("GET", "/folders/data")
    await new.folder("data")


async def test_a_folder_that_is_not_in_the_trash_is_not_deleted_for_good(new: Cluster) -> None:
    identifier = await new.folder("data", "kept")
    with pytest.raises(Refused):
        await new.gateway.call("POST", "/folders/delete-from-trash-bin", body={"vfolder_id": identifier})
    assert new.within("data", "kept").is_dir()


async def test_a_folder_that_a_living_session_has_mounted_cannot_be_deleted(new: Cluster) -> None:
    identifier = await new.folder("data")
    session = await new.enqueue("sleep 60", mount(identifier, "/pipeline/outputs"))
    with pytest.raises(Refused, match="is mounted on sessions"):
        await new.gateway.call("DELETE", "/folders/data")
    await new.gateway.call("POST", "/v2/sessions/terminate", body={"session_ids": [session]})
    await new.over(session)
    await new.gateway.call("DELETE", "/folders/data")
