"""Uploads into a cluster survive what becomes of this process, of the storage proxy and of the answers between them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fasttrack.errors import Unavailable
from fasttrack.storage import Vfroot
from fasttrack.storage.base import UploadBusy, WrongOffset
from tests.scheduler.backend_ai.clusters import NEW, OLD
from tests.storage.places import PIPELINE, Place
from tests.storage.test_uploads import an_upload, send
from tests.waiting import eventually

pytestmark = pytest.mark.parametrize("place", [OLD, NEW], indirect=True)


@pytest.fixture
async def vfroot(place: Place) -> Path:
    return await place.folder(Vfroot(PIPELINE))


def lose_an_answer(place: Place) -> None:
    assert place.cluster is not None
    place.cluster.manager.faults.plan({"kind": "lost_after", "method": "PATCH", "path": "/storage/upload", "times": 1})


async def test_another_process_goes_on_where_one_died(place: Place, vfroot: Path) -> None:
    upload = await place.uploads.begin(an_upload("f"), most=5)
    await send(place.uploads, upload, 0, b"01234")
    place.again()
    known = await place.uploads.look(PIPELINE, upload.id)
    assert (known.path, known.length, known.offset, known.by) == ("f", 10, 5, upload.by)
    await send(place.uploads, known, 5, b"56789")
    assert (vfroot / "f").read_bytes() == b"0123456789"
    place.again()
    assert (await place.uploads.look(PIPELINE, upload.id)).is_done


async def test_what_the_proxy_has_forgotten_begins_again(place: Place, vfroot: Path) -> None:
    upload = await place.uploads.begin(an_upload("f"), most=5)
    await send(place.uploads, upload, 0, b"01234")
    staged = vfroot.parent / ".upload"
    for part in staged.iterdir():
        part.unlink()
    assert (await place.uploads.look(PIPELINE, upload.id)).offset == 0
    with pytest.raises(WrongOffset, match="at offset 0, not 5"):
        await send(place.uploads, upload, 5, b"56789")
    await send(place.uploads, upload, 0, b"abc")
    place.again()  # the new address is told to everybody
    await send(place.uploads, upload, 3, b"defghij")
    assert (vfroot / "f").read_bytes() == b"abcdefghij"


async def test_a_part_whose_answer_is_lost_is_not_sent_twice(place: Place, vfroot: Path) -> None:
    upload = await place.uploads.begin(an_upload("f"), most=5)
    lose_an_answer(place)
    with pytest.raises(Unavailable):
        await send(place.uploads, upload, 0, b"01234")
    assert (await place.uploads.look(PIPELINE, upload.id)).offset == 5
    lose_an_answer(place)
    with pytest.raises(Unavailable):
        await send(place.uploads, upload, 5, b"56789")
    assert not (vfroot / "f").exists()
    assert (await place.uploads.look(PIPELINE, upload.id)).is_done
    assert (vfroot / "f").read_bytes() == b"0123456789"


async def test_two_processes_that_write_at_once_never_make_a_file_of_both(place: Place, vfroot: Path) -> None:
    upload = await place.uploads.begin(an_upload("f"), most=5)
    assert place.cluster is not None
    mine = place.uploads
    place.again()
    theirs = place.uploads
    faults = place.cluster.manager.faults
    faults.plan({"kind": "slow", "method": "PATCH", "path": "/storage/upload", "seconds": 0.5, "times": 1})
    slow = asyncio.create_task(send(mine, upload, 0, b"aaaaa"))

    async def has_asked_how_far_it_is() -> bool:
        return faults.planned[0].times == 0

    await eventually(has_asked_how_far_it_is)
    await send(theirs, upload, 0, b"bbbbb")
    with pytest.raises(WrongOffset if place.kind == OLD else UploadBusy):
        await slow
    at = 0 if place.kind == OLD else 5
    assert (await theirs.look(PIPELINE, upload.id)).offset == at
    assert not (vfroot / "f").exists()
    await send(theirs, upload, at, b"bbbbbbbbbb"[at:])
    assert (vfroot / "f").read_bytes() == b"bbbbbbbbbb"


async def test_a_directory_that_a_task_removed_is_made_again(place: Place, vfroot: Path) -> None:
    for _ in range(2):
        upload = await place.uploads.begin(an_upload("d/e/f", 1), most=5)
        await send(place.uploads, upload, 0, b"x")
        (vfroot / "d" / "e" / "f").unlink()
        (vfroot / "d" / "e").rmdir()
        (vfroot / "d").rmdir()
