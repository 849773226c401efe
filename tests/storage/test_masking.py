"""Secrets are taken out of what is shown, wherever a reader begins and ends."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasttrack.logs import Characters, MaskedLog
from fasttrack.storage import LogChunk, Masker


class Written:
    """A `LogSource` of one session, of which a part is there."""

    def __init__(self, text: bytes, *, is_over: bool = True) -> None:
        self.text = text
        self.is_over = is_over

    async def logs(self, name: str, *, offset: int, limit: int) -> LogChunk:
        data = self.text[offset : offset + limit]
        reached = offset + len(data)
        return LogChunk(data, reached, self.is_over and reached >= len(self.text), len(self.text))


def masked(values: list[str], text: bytes) -> bytes:
    return Masker(values).mask(text)


VALUES = ["sesame-sesame", "sesame-sesame-open", "abcdefgh\nijklmnopqr", "aaaaaaaab"]
PARTS = st.sampled_from(
    [b"sesame-sesame", b"-open", b"sesame-", b"abcdefgh\nijklmnopqr", b"ijklmnopqr\n", b"a" * 9, b"b", b"plain text ",
     quote("sesame-sesame-open").encode(), base64.b64encode(b"xsesame-sesame-open"), "é中".encode(), b"\xff\n"]
)  # fmt: skip
TEXTS = st.lists(PARTS, max_size=12).map(b"".join)


@given(TEXTS, st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(0, 30))
async def test_pieces_of_any_size_are_pieces_of_one_masked_text(text: bytes, sizes: list[int], grows_by: int) -> None:
    """Read from wherever, by steps of any size, while it is being written: together it is the whole, masked."""
    source = Written(text[:grows_by], is_over=False)
    log = MaskedLog(source, "x", Masker(VALUES))
    whole = masked(VALUES, text)
    shown, at, turn = b"", 0, 0
    while True:
        chunk = await log.read(at, sizes[turn % len(sizes)])
        assert chunk.next_offset == at + len(chunk.data)
        shown, at, turn = shown + chunk.data, chunk.next_offset, turn + 1
        assert whole.startswith(shown), "nothing is shown before it is certain that it is no secret"
        if chunk.is_final:
            break
        if not chunk.data:
            source.text = text[: len(source.text) + grows_by + 1]
            source.is_over = len(source.text) == len(text)
    assert shown == whole
    assert len(whole) == len(text)


@given(TEXTS | st.binary(max_size=40), st.lists(st.integers(4, 30), min_size=1, max_size=8))
async def test_pages_of_text_have_whole_characters_and_are_the_whole(text: bytes, sizes: list[int]) -> None:
    """Each page is read by itself, as by a client who asks for one after the other."""
    log = MaskedLog(Written(text), "x", Masker(VALUES))
    shown, at, turn, is_final = "", 0, 0, False
    while not is_final:
        page = Characters(at).read(await log.read(at, sizes[turn % len(sizes)]))
        assert page.offset == at <= page.next_offset
        shown, at, turn, is_final = shown + page.text, page.next_offset, turn + 1, page.is_final
    assert shown == masked(VALUES, text).decode(errors="replace")
    assert at == len(text)


@given(TEXTS, st.integers(0, 200), st.integers(1, 100))
async def test_a_reader_may_begin_anywhere(text: bytes, offset: int, limit: int) -> None:
    chunk = await MaskedLog(Written(text), "x", Masker(VALUES)).read(offset, limit)
    assert chunk.data == masked(VALUES, text)[offset : offset + limit]
    assert chunk.is_final == (offset + limit >= len(text))


@given(TEXTS)
def test_no_value_is_left_in_any_form(text: bytes) -> None:
    shown = masked(VALUES, text)
    assert all(value.encode() not in shown for value in VALUES)
    assert b"sesame-sesame" not in shown
    assert quote("sesame-sesame").encode() not in shown
    assert shown.count(b"\n") == text.count(b"\n")


@pytest.mark.parametrize(
    ("begun", "settled"),
    [
        (b"open sesame-sesam", 5),
        (b"open sesame-sesame", 5),
        (b"open sesame-sesame-x", 20),
        (b"ends with s", 10),
        (b"", 0),
    ],
)
def test_what_may_become_a_secret_is_not_settled(begun: bytes, settled: int) -> None:
    assert Masker(VALUES).settled(begun) == settled


async def test_the_end_of_a_running_log_is_before_a_secret_that_has_begun() -> None:
    source = Written(b"said: sesame-ses", is_over=False)
    log = MaskedLog(source, "x", Masker(VALUES))
    assert ((await log.end()).next_offset, (await log.end()).is_final) == (6, False)
    source.is_over = True
    assert ((await log.end()).next_offset, (await log.end()).is_final) == (16, True)
    assert (await log.read(0, 100)).data == b"said: sesame-ses"


@given(st.lists(st.sampled_from([b"\n", b"a", b"bc"]), max_size=30).map(b"".join), st.integers(0, 12))
async def test_a_tail_is_the_last_lines(text: bytes, lines: int) -> None:
    log = MaskedLog(Written(text), "x", Masker([]))
    parts = text.splitlines(keepends=True)
    assert text[await log.begin_of_tail(lines, len(text)) :] == b"".join(
        parts[len(parts) - lines if lines < len(parts) else 0 :]
    )


async def test_a_tail_is_found_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fasttrack.logs._BLOCK", 3)
    text = b"".join(b"line %d\n" % n for n in range(20))
    log = MaskedLog(Written(text), "x", Masker([]))
    for lines in range(22):
        begin = await log.begin_of_tail(lines, len(text))
        assert text[begin:].splitlines() == text.splitlines()[max(20 - lines, 0) :]


def test_short_values_are_left_alone() -> None:
    assert masked(["yes", "1234567"], b"yes 1234567") == b"yes 1234567"


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
@pytest.mark.parametrize("after", ["", "a", "ab"])
def test_base64_is_found_at_any_alignment(before: str, after: str) -> None:
    encoded = base64.b64encode((before + "sesame-sesame" + after).encode())
    shown = masked(["sesame-sesame"], encoded)
    assert len(shown.replace(b"*", b"")) <= 12
    assert shown.count(b"*") >= 14


def test_lines_of_a_long_secret_are_masked_one_by_one() -> None:
    key = "-----BEGIN KEY-----\nabcdefghij\nklmnopqrst\n-----END KEY-----\n"
    assert masked([key], b"  abcdefghij\n  klmnopqrst\n") == b"  **********\n  **********\n"


def test_pieces_cut_by_hand_agree_with_the_whole() -> None:
    """The property above, on the one text that people meet: a long value behind a shorter one that begins alike."""
    text = b"x sesame-sesame-open y sesame-sesame z"
    assert masked(VALUES, text) == b"x ****************** y ************* z"
    for cut in range(len(text)):
        begun = Masker(VALUES).settled(text[:cut])
        assert masked(VALUES, text[:cut])[:begun] == masked(VALUES, text)[:begun]
