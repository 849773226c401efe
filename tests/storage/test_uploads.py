"""Uploads: cut anywhere, by anything, the file is either not there or whole."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasttrack.clock import SystemClock
from fasttrack.errors import Conflict, FastTrackError, InvalidInput, NotFound
from fasttrack.storage import Vfroot
from fasttrack.storage.base import NoRoom, TooLarge, Upload, UploadBusy, UploadStore, WrongChecksum, WrongOffset
from fasttrack.storage.layout import Layout
from fasttrack.storage.uploads import LocalUploads
from tests.scheduler.backend_ai.clusters import NEW, OLD
from tests.storage.places import PIPELINE, Place, on_a_disk

Steps = list[tuple[bytes, bool, int]]

ADA = UUID(int=7)


@pytest.fixture
def uploads(place: Place) -> UploadStore:
    return place.uploads


@pytest.fixture
async def vfroot(place: Place) -> Path:
    """Where the files come to; it is not there yet."""
    made = await place.folder(Vfroot(PIPELINE))
    made.rmdir()
    return made


@pytest.fixture
def layout(place: Place) -> Layout:
    return place.layout


def an_upload(path: str = "data/train.csv", length: int = 10) -> Upload:
    return Upload(uuid4(), PIPELINE, path, length, 0, ADA, SystemClock().now())


async def send(
    uploads: UploadStore, upload: Upload, offset: int, *pieces: bytes, checksum: bytes | None = None
) -> None:
    check = None if checksum is None else ("sha256", checksum)
    async with uploads.append(upload, offset, checksum=check) as writing:
        for piece in pieces:
            await writing.write(piece)


async def test_a_file_appears_whole_when_its_last_byte_came(uploads: UploadStore, vfroot: Path) -> None:
    upload = await uploads.begin(an_upload(), most=5)
    assert (upload.offset, upload.is_done, upload.by, upload.path) == (0, False, ADA, "data/train.csv")
    await send(uploads, upload, 0, b"0123456")
    assert (await uploads.look(PIPELINE, upload.id)).offset == 7
    assert not vfroot.exists()
    await send(uploads, upload, 7, b"789")
    assert (vfroot / "data" / "train.csv").read_bytes() == b"0123456789"
    done = await uploads.look(PIPELINE, upload.id)
    assert (done.offset, done.is_done) == (10, True)
    with pytest.raises(WrongOffset, match="whole"):
        await send(uploads, upload, 10, b"")
    await uploads.cancel(PIPELINE, upload.id)
    assert (vfroot / "data" / "train.csv").exists()


async def test_an_empty_file_needs_no_bytes_and_an_older_one_is_replaced_at_once(
    uploads: UploadStore, vfroot: Path
) -> None:
    vfroot.mkdir(parents=True)
    (vfroot / "f").write_text("older")
    opened = (vfroot / "f").open()
    assert (await uploads.begin(an_upload("f", 0), most=5)).is_done
    assert (vfroot / "f").read_bytes() == b""
    assert opened.read() == "older"
    opened.close()


@settings(max_examples=40)
@given(st.lists(st.tuples(st.binary(max_size=9), st.booleans(), st.integers(-2, 2)), max_size=12))
async def test_whatever_breaks_off_the_file_is_what_was_sent(
    tmp_path_factory: pytest.TempPathFactory, steps: Steps
) -> None:
    """Pieces that break off after their bytes came, or are for another place, and a client that asks how far it is."""
    layout = Layout(tmp_path_factory.mktemp("u"))
    assert await sent_by(LocalUploads(layout), steps) == (layout.folder(Vfroot(PIPELINE)) / "f").read_bytes()


@pytest.mark.parametrize("place", [OLD, NEW], indirect=True)
async def test_whatever_breaks_off_the_file_is_what_was_sent_to_a_cluster(uploads: UploadStore, vfroot: Path) -> None:
    chance = random.Random(4)
    steps = [
        (chance.randbytes(chance.randint(0, 9)), chance.random() < 0.3, chance.choice((0, 0, 1, -1))) for _ in range(6)
    ]
    assert await sent_by(uploads, steps) == (vfroot / "f").read_bytes()


async def sent_by(uploads: UploadStore, steps: Steps) -> bytes:
    """Sends the steps of one client, the last byte at last, and gives what the file should be."""
    content = b"".join(piece for piece, _, _ in steps)
    upload = await uploads.begin(an_upload("f", len(content) + 1), most=5)
    at = 0
    for piece, breaks, shift in steps:
        known = (await uploads.look(PIPELINE, upload.id)).offset
        assert known == at
        data = content[at : at + len(piece)]
        try:
            async with uploads.append(upload, max(at + shift, 0)) as writing:
                await writing.write(data)
                if breaks:
                    raise ZeroDivisionError
        except WrongOffset:
            assert max(at + shift, 0) != at
            continue
        except ZeroDivisionError:
            pass
        at += len(data)
    await send(uploads, upload, at, content[at:] + b"!")
    return content + b"!"


async def test_what_differs_from_its_checksum_is_not_kept(uploads: UploadStore) -> None:
    upload = await uploads.begin(an_upload(), most=5)
    await send(uploads, upload, 0, b"012", checksum=hashlib.sha256(b"012").digest())
    with pytest.raises(WrongChecksum):
        await send(uploads, upload, 3, b"34X", checksum=hashlib.sha256(b"345").digest())
    assert (await uploads.look(PIPELINE, upload.id)).offset == 3
    with suppress(ZeroDivisionError):
        async with uploads.append(upload, 3, checksum=("sha256", hashlib.sha256(b"345").digest())) as writing:
            await writing.write(b"34")
            raise ZeroDivisionError
    assert (await uploads.look(PIPELINE, upload.id)).offset == 3
    await send(uploads, upload, 3, b"3456789", checksum=hashlib.sha256(b"3456789").digest())
    assert (await uploads.look(PIPELINE, upload.id)).is_done


async def test_one_writes_at_a_time(uploads: UploadStore) -> None:
    upload = await uploads.begin(an_upload(), most=5)
    async with uploads.append(upload, 0) as writing:
        await writing.write(b"01")
        with pytest.raises(UploadBusy):
            await send(uploads, upload, 0, b"xx")
        with pytest.raises(UploadBusy):
            await uploads.cancel(PIPELINE, upload.id)
    assert (await uploads.look(PIPELINE, upload.id)).offset == 2


async def test_more_than_was_said_is_refused_and_what_came_before_is_kept(uploads: UploadStore) -> None:
    upload = await uploads.begin(an_upload(length=3), most=5)
    with pytest.raises(TooLarge):
        await send(uploads, upload, 0, b"01", b"23")
    assert (await uploads.look(PIPELINE, upload.id)).offset == 2


KILLED = """
import asyncio, sys
from uuid import UUID
from pathlib import Path
from fasttrack.storage.layout import Layout
from fasttrack.storage.uploads import LocalUploads

async def main():
    uploads = LocalUploads(Layout(Path(sys.argv[1])))
    upload = await uploads.look(UUID(sys.argv[2]), UUID(sys.argv[3]))
    check = ("sha256", b"x" * 32) if sys.argv[4] == "checked" else None
    async with uploads.append(upload, upload.offset, checksum=check) as writing:
        await writing.write(b"34")
        print("written", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@on_a_disk
@pytest.mark.parametrize(("how", "offset"), [("plain", 5), ("checked", 3)])
async def test_a_server_that_is_killed_while_it_writes_leaves_what_can_be_gone_on_with(
    uploads: UploadStore, layout: Layout, vfroot: Path, how: str, offset: int
) -> None:
    upload = await uploads.begin(an_upload(), most=5)
    await send(uploads, upload, 0, b"012")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED, str(layout.state), str(PIPELINE), str(upload.id), how),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"written\n"
    with pytest.raises(UploadBusy):
        await send(uploads, upload, 3, b"")
    process.kill()
    await process.wait()
    assert (await uploads.look(PIPELINE, upload.id)).offset == offset
    await send(uploads, upload, offset, b"0123456789"[offset:])
    assert (vfroot / "data" / "train.csv").read_bytes() == b"0123456789"


async def test_a_file_that_was_whole_and_not_in_its_place_is_put_there_when_it_is_asked_for(
    place: Place, uploads: UploadStore, vfroot: Path
) -> None:
    upload = await uploads.begin(an_upload("f", 3), most=5)
    (place.upload(upload.id) / "data").write_bytes(b"abc")
    assert (await uploads.look(PIPELINE, upload.id)).is_done
    assert (vfroot / "f").read_bytes() == b"abc"


async def test_places_that_cannot_be_are_refused_before_anything_is_sent(
    place: Place, uploads: UploadStore, vfroot: Path, tmp_path: Path
) -> None:
    (vfroot / "d").mkdir(parents=True)
    (vfroot / "f").touch()
    (tmp_path / "outside").mkdir()
    (vfroot / "link").symlink_to(tmp_path / "outside")
    refused: list[tuple[str, type[FastTrackError]]] = [
        ("d", Conflict), ("f/x", Conflict), ("link/x", Conflict), ("../x", InvalidInput), ("", InvalidInput)
    ]  # fmt: skip
    for path, kind in refused:
        with pytest.raises(kind):
            await uploads.begin(an_upload(path), most=5)
    assert not place.upload("").exists() or os.listdir(place.upload("")) == []


async def test_a_link_in_the_place_of_the_file_is_replaced_and_one_on_the_way_is_not_followed(
    place: Place, uploads: UploadStore, vfroot: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_text("theirs")
    vfroot.mkdir(parents=True)
    (vfroot / "f").symlink_to(tmp_path / "outside" / "f")
    if place.cluster is None:
        await send(uploads, await uploads.begin(an_upload("f", 4), most=5), 0, b"mine")
        assert not (vfroot / "f").is_symlink()
    else:  # its proxy would write through the link
        with pytest.raises(Conflict, match="is a link"):
            await uploads.begin(an_upload("f", 4), most=5)
    assert (tmp_path / "outside" / "f").read_text() == "theirs"
    upload = await uploads.begin(an_upload("d/new", 4), most=5)
    (vfroot / "d").symlink_to(tmp_path / "outside")
    with pytest.raises(Conflict):
        await send(uploads, upload, 0, b"mine")
    assert os.listdir(tmp_path / "outside") == ["f"]


async def test_there_are_only_so_many(uploads: UploadStore) -> None:
    first = await uploads.begin(an_upload(), most=2)
    await uploads.begin(an_upload(), most=2)
    with pytest.raises(Conflict, match="2 uploads into this pipeline are unfinished"):
        await uploads.begin(an_upload(), most=2)
    await uploads.cancel(PIPELINE, first.id)
    assert (await uploads.begin(an_upload(length=0), most=2)).is_done
    await uploads.begin(an_upload(), most=2)
    with pytest.raises(Conflict, match="2 uploads into this pipeline are unfinished"):
        await uploads.begin(an_upload(), most=2)


@on_a_disk
async def test_there_is_only_as_much_as_there_is_room_for(
    uploads: UploadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NoRoom):
        await uploads.begin(an_upload(length=2**50), most=2)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    upload = await uploads.begin(an_upload(), most=9)
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(NoRoom):
        await send(uploads, upload, 0, b"01")


async def test_what_nothing_came_of_is_swept_and_what_is_being_written_is_not(
    place: Place, uploads: UploadStore
) -> None:
    old, fresh, busy = [await uploads.begin(an_upload(), most=5) for _ in range(3)]
    long_ago = SystemClock().now().timestamp() - 90_000
    async with uploads.append(busy, 0):
        for each in (old, busy):
            kept = place.upload(each.id)
            for path in (*kept.iterdir(), kept):
                os.utime(path, (long_ago, long_ago))
        assert await uploads.sweep(unchanged_for=timedelta(days=1)) == 1
    with pytest.raises(NotFound):
        await uploads.look(PIPELINE, old.id)
    for each in (fresh, busy):
        assert (await uploads.look(PIPELINE, each.id)).offset == 0
