"""Ids and cursors come back as what they were made of, and whatever else is given is refused."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from fasttrack_api.graphql.ids import Kind, parse_global, to_global
from fasttrack_api.graphql.paging import CursorInvalid, cursor_of, parse_cursor

UUIDS = st.uuids()
NUMBERS = st.integers(-(2**31), 2**31 - 1)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=64)


@given(st.sampled_from(Kind), UUIDS)
def test_an_id_comes_back(kind: Kind, identifier: object) -> None:
    from uuid import UUID

    assert isinstance(identifier, UUID)
    assert parse_global(to_global(kind, identifier)) == (kind, identifier)


@given(st.text(max_size=40) | st.binary(min_size=17, max_size=17).map(lambda b: b.hex()))
def test_each_text_is_the_id_of_one_thing_or_of_none(text: str) -> None:
    found = parse_global(text)
    assert found is None or to_global(*found) == text


@given(TEXTS, UUIDS, NUMBERS)
def test_a_cursor_comes_back(text: str, identifier: object, number: int) -> None:
    from uuid import UUID

    key = (text, identifier, number)
    cursor = cursor_of("x", key)
    with suppress(CursorInvalid):  # refused only for its length
        assert parse_cursor("x", (str, UUID, int), cursor) == key
        return
    assert len(cursor) > 512


@given(st.text(max_size=80))
def test_what_is_no_cursor_is_refused(text: str) -> None:
    try:
        parse_cursor("x", (int,), text)
    except CursorInvalid:
        return
    raise AssertionError("a text that nobody made was taken for a cursor")
