"""Files that a task may have tampered with are read inside their folder, or not at all (S48)."""

from __future__ import annotations

import asyncio
import os
import unicodedata
from pathlib import Path

import pytest

from fasttrack.errors import Conflict, FastTrackError, InvalidInput, NotFound
from fasttrack.storage import FileStore, Outputs, Vfroot
from fasttrack.storage.base import EntryKind, NotAFile
from tests.storage.places import JOB, PIPELINE, Place, on_a_disk

VFROOT = Vfroot(PIPELINE)


@pytest.fixture
async def folder(place: Place, tmp_path: Path) -> Path:
    """The vfroot, beside a file that is nobody's business."""
    (tmp_path / "private").write_text("secret")
    (tmp_path / "private-dir").mkdir()
    (tmp_path / "private-dir" / "file").write_text("secret")
    return await place.folder(VFROOT)


@pytest.fixture
def files(place: Place) -> FileStore:
    return place.files


async def read(files: FileStore, path: str) -> bytes:
    file = await files.open(VFROOT, path)
    try:
        return await file.read(0, 1000)
    finally:
        await file.close()


async def test_a_file_is_read_and_a_directory_listed_by_page(files: FileStore, folder: Path) -> None:
    (folder / "sub").mkdir()
    for name in ("b", "a", "c", "é"):
        (folder / "sub" / name).write_text(name * 3)
    assert await read(files, "sub/b") == b"bbb"
    top = await files.list(VFROOT, "", limit=10)
    assert [(e.name, e.kind, e.size) for e in top.entries] == [("sub", EntryKind.DIRECTORY, 0)]
    first = await files.list(VFROOT, "sub", limit=3)
    assert [(e.name, e.kind, e.size) for e in first.entries] == [(n, EntryKind.FILE, 3) for n in "abc"]
    assert first.next == "c"
    second = await files.list(VFROOT, "sub", limit=3, after="c")
    assert ([e.name for e in second.entries], second.next) == (["é"], None)


async def test_a_folder_that_nobody_used_is_empty(place: Place, files: FileStore) -> None:
    assert (await files.list(VFROOT, "", limit=10)).entries == []
    with pytest.raises(NotFound):
        await files.list(VFROOT, "sub", limit=10)
    made = place.layout.pipelines.exists() if place.cluster is None else place.cluster.manager.folders.all
    assert not made, "reading makes nothing"


@pytest.mark.parametrize(
    "path",
    ["..", "../private", "a/../../private", "/etc/passwd", "a//b", "./a", "a/.", "a/", "x\0y", "a" * 256, "d/" * 70 + "f",
     "\ud800", ("x" * 200 + "/") * 30 + "y"],
)  # fmt: skip
async def test_what_is_no_path_inside_is_refused(files: FileStore, folder: Path, tmp_path: Path, path: str) -> None:
    for call in (read(files, path), files.list(VFROOT, path, limit=1), files.delete(VFROOT, path)):
        with pytest.raises(InvalidInput):
            await call
    assert (tmp_path / "private").read_text() == "secret"


@pytest.mark.parametrize("path", ["~", "~/private", "..\\private", "%2e%2e/private", "proc/self/environ", "con"])
async def test_what_only_looks_like_a_way_out_is_a_name_like_any_other(
    files: FileStore, folder: Path, path: str
) -> None:
    with pytest.raises(NotFound):
        await read(files, path)
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("inside")
    assert await read(files, path) == b"inside"


@pytest.mark.parametrize(
    "target", ["../../../../private", "{top}/private", "{top}/private-dir", "self", "/proc/self/environ", "nowhere"]
)
async def test_a_link_is_listed_and_never_followed(
    place: Place, files: FileStore, folder: Path, tmp_path: Path, target: str
) -> None:
    (folder / "self").write_text("mine")
    (folder / "link").symlink_to(target.format(top=tmp_path))
    listed = {e.name: (e.kind, e.size) for e in (await files.list(VFROOT, "", limit=10)).entries}
    assert listed["link"] == (EntryKind.OTHER, 0)
    for path in ("link", "link/file"):
        with pytest.raises(NotFound):
            await read(files, path)
        with pytest.raises(NotFound):
            await files.list(VFROOT, path, limit=10)
    assert [f.path async for f in files.walk(VFROOT, "") if await f.file.close() is None] == ["self"]
    if place.cluster is None:
        await files.delete(VFROOT, "link")
        assert not (folder / "link").is_symlink()
    else:  # its proxy would remove what is linked to
        with pytest.raises(Conflict, match="only a task can remove"):
            await files.delete(VFROOT, "link")
    assert (tmp_path / "private").exists(), "the link went, not what it named"
    assert (folder / "self").exists()


@on_a_disk  # on a cluster every folder is a mount of its own, which no task can replace
async def test_a_folder_that_its_task_replaced_by_a_link_is_not_entered(
    place: Place, files: FileStore, tmp_path: Path
) -> None:
    outputs = Outputs(PIPELINE, JOB, "train")
    made = await place.folder(outputs)
    (tmp_path / "private-dir").mkdir()
    (tmp_path / "private-dir" / "file").write_text("secret")
    made.rmdir()
    made.symlink_to(tmp_path / "private-dir")
    with pytest.raises(NotFound):
        await files.open(outputs, "file")
    with pytest.raises(NotFound):
        await files.list(outputs, "", limit=10)


@pytest.mark.parametrize("kind", ["pipe", "socket"])
async def test_special_files_are_listed_and_never_opened(files: FileStore, folder: Path, kind: str) -> None:
    import socket

    if kind == "pipe":
        os.mkfifo(folder / "odd")
    else:
        with socket.socket(socket.AF_UNIX) as made:
            here = Path.cwd()
            os.chdir(folder)
            made.bind("odd")
            os.chdir(here)
    async with asyncio.timeout(5):
        with pytest.raises(NotFound):
            await read(files, "odd")
    assert [e.kind for e in (await files.list(VFROOT, "", limit=10)).entries] == [EntryKind.OTHER]


async def test_names_that_look_alike_are_two(files: FileStore, folder: Path) -> None:
    one, two = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")
    (folder / one).write_text("1")
    (folder / two).write_text("2")
    assert [await read(files, one), await read(files, two)] == [b"1", b"2"]


async def test_a_name_that_is_no_text_is_shown_and_cannot_be_asked_for(files: FileStore, folder: Path) -> None:
    os.close(os.open(os.fsencode(folder) + b"/\xff\xfe", os.O_CREAT | os.O_WRONLY))
    [entry] = (await files.list(VFROOT, "", limit=10)).entries
    assert (entry.name, entry.kind) == ("\ufffd\ufffd", EntryKind.OTHER)
    assert [f async for f in files.walk(VFROOT, "")] == []


@on_a_disk
async def test_a_swap_while_files_are_read_never_shows_what_is_outside(
    files: FileStore, folder: Path, tmp_path: Path
) -> None:
    """A name, and a directory on the way, turn into links and back as fast as they can; only one content is ever read."""
    (folder / "d").mkdir()
    (folder / "d" / "file").write_text("mine")
    stop = asyncio.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(folder / "d", folder / "away")
            os.symlink(tmp_path / "private-dir", folder / "d")
            os.unlink(folder / "d")
            os.rename(folder / "away", folder / "d")

    swapping = asyncio.create_task(asyncio.to_thread(swap))
    seen = set()
    for _ in range(400):
        try:
            seen.add(await read(files, "d/file"))
        except FastTrackError as error:
            seen.add(type(error).__name__.encode())
    stop.set()
    await swapping
    assert seen <= {b"mine", b"NotFound"}
    assert b"mine" in seen


@on_a_disk
async def test_what_was_opened_stays_what_it_is(files: FileStore, folder: Path, tmp_path: Path) -> None:
    (folder / "f").write_text("mine")
    file = await files.open(VFROOT, "f")
    (folder / "f").unlink()
    (folder / "f").symlink_to(tmp_path / "private")
    assert await file.read(0, 100) == b"mine"
    await file.close()
    await file.close()


async def test_a_directory_is_no_file_and_only_goes_when_it_is_empty(files: FileStore, folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "d" / "f").write_text("x")
    with pytest.raises(NotAFile, match="is a directory"):
        await read(files, "d")
    with pytest.raises(Conflict, match="not empty"):
        await files.delete(VFROOT, "d")
    with pytest.raises(Conflict, match="folder itself"):
        await files.delete(VFROOT, "")
    with pytest.raises(NotFound):
        await files.delete(VFROOT, "d/g")
    await files.delete(VFROOT, "d/f")
    await files.delete(VFROOT, "d")
    assert list(folder.iterdir()) == []


async def test_a_walk_brings_every_file_below(files: FileStore, folder: Path) -> None:
    for path in ("a/b/one", "a/two", "three"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    (folder / "closed").mkdir(mode=0)
    found = []
    async for each in files.walk(VFROOT, ""):
        found.append((each.path, await each.file.read(0, 100)))
        await each.file.close()
    assert found == [("a/b/one", b"a/b/one"), ("a/two", b"a/two"), ("three", b"three")]


@on_a_disk
async def test_a_walk_that_is_left_early_keeps_nothing_open(files: FileStore, folder: Path) -> None:
    for n in range(5):
        (folder / f"d{n}").mkdir()
        (folder / f"d{n}" / "f").touch()
    before = len(os.listdir("/proc/self/fd"))
    walking = files.walk(VFROOT, "")
    async for found in walking:
        await found.file.close()
        break
    await walking.aclose()
    assert len(os.listdir("/proc/self/fd")) == before
