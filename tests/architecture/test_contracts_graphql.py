"""A change of the GraphQL schema that breaks a client is found; one that was announced a year before is let through."""

from __future__ import annotations

from datetime import date

import pytest

from contracts import graphql_changes
from contracts.deprecation import date_of, may_go

RELEASED, TODAY = date(2026, 11, 24), date(2028, 1, 10)
SCHEMA = """
enum Colour { RED GREEN }
input Wish { colour: Colour size: Int = 3 }
type Part { name: String! }
type Thing { id: ID! colour: Colour! old: String part: Part size(unit: String): Int }
type Query { thing(wish: Wish): Thing }
"""


def found(now: str, before: str = SCHEMA, today: date = TODAY) -> tuple[list[str], list[str]]:
    """What breaks, and what is only told."""
    changes = graphql_changes.changes(before, now, RELEASED, today)
    return [str(c) for c in changes if c.is_breaking], [str(c) for c in changes if not c.is_breaking]


def edited(*edits: tuple[str, str], of: str = SCHEMA) -> str:
    for old, new in edits:
        assert old in of
        of = of.replace(old, new)
    return of


def test_nothing_changed_is_nothing_found() -> None:
    assert found(SCHEMA) == ([], [])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (" old: String", "", "Field Thing.old was removed."),
        ("(unit: String)", "", "Argument Thing.size(unit:) was removed."),
        (" GREEN", "", "Enum value Colour.GREEN was removed."),
        ("colour: Colour!", "colour: Colour", "Field Thing.colour changed type from Colour! to Colour."),
        ("old: String", "old: Int", "Field Thing.old changed type from String to Int."),
        ("(unit: String)", "(unit: String!)", "Argument Thing.size(unit:) has changed type from String to String!."),
        ("size: Int = 3", "size: Int! = 3", "Field Wish.size changed type from Int to Int!."),
        ("size: Int = 3 }", "size: Int = 3 must: Int! }", "A required field Wish.must was added."),
        (" size: Int = 3", "", "Field Wish.size was removed."),
    ],
)
def test_what_breaks_a_client_is_found(old: str, new: str, says: str) -> None:
    breaking, _ = found(edited((old, new)))
    assert breaking == [f"GraphQL: {says}"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("GREEN", "GREEN BLUE", "Enum value Colour.BLUE was added."),
        ("size: Int = 3", "size: Int = 4", "Wish.size has changed defaultValue from 3 to 4."),
        ("(unit: String)", "(unit: String, exact: Boolean)", "An optional argument Thing.size(exact:) was added."),
    ],
)
def test_what_may_surprise_a_client_is_told_and_breaks_nothing(old: str, new: str, says: str) -> None:
    breaking, told = found(edited((old, new)))
    assert (breaking, told) == ([], [f"GraphQL: {says}"])


def test_new_fields_and_types_are_not_worth_a_word() -> None:
    assert found(edited(("part: Part", "part: Part more: More")) + "type More { a: Int }") == ([], [])


MARKED = edited(
    ("old: String", 'old: String @deprecated(reason: "2027-01-09: use `id`")'),
    (" GREEN", ' GREEN @deprecated(reason: "2027-01-09: use RED")'),
    ("(unit: String)", '(unit: String @deprecated(reason: "2027-01-09: always px"))'),
    ("part: Part", 'part: Part @deprecated(reason: "2027-01-09: it is the thing itself")'),
)
GONE = edited(
    (" old: String", ""),
    (" GREEN", ""),
    ("(unit: String)", ""),
    ("type Part { name: String! }\n", ""),
    (" part: Part", ""),
)


def test_what_was_deprecated_more_than_a_year_ago_may_go_with_the_types_that_only_it_led_to() -> None:
    assert found(GONE, MARKED) == ([], [])


def test_what_was_deprecated_a_year_ago_to_the_day_may_not_go_yet() -> None:
    breaking, _ = found(GONE, MARKED, today=date(2028, 1, 9))
    assert len(breaking) == 5


def test_a_type_that_something_else_still_leads_to_may_not_go() -> None:
    before = edited(("type Query {", "type Query { parts: [Part!] "), of=MARKED)
    breaking, _ = found(GONE, before)
    assert breaking == ["GraphQL: Part was removed.", "GraphQL: Field Query.parts was removed."]


def test_a_change_of_type_is_never_announced_away() -> None:
    breaking, _ = found(edited(("old: String", "old: Int"), of=MARKED), MARKED)
    assert breaking == ["GraphQL: Field Thing.old changed type from String to Int."]


@pytest.mark.parametrize("mark", ["use `id`", "2026-13-01: use `id`", "24.11.2026: use `id`", "2026-11-24 use `id`"])
def test_a_mark_begins_with_a_date(mark: str) -> None:
    breaking, _ = found(edited(("old: String", f'old: String @deprecated(reason: "{mark}")')))
    assert breaking == [f"Thing.old: its mark has to begin with a date: `2026-11-24: use …`, and not {mark!r}"]
    assert not may_go(mark, TODAY)


def test_nobody_dates_a_mark_back() -> None:
    """Neither beyond the release that did not have it, nor one that was released."""
    early = edited(("old: String", 'old: String @deprecated(reason: "2026-11-23: use `id`")'))
    assert found(early)[0] == [
        "Thing.old: it is deprecated since 2026-11-23, but was released on 2026-11-24 without a mark"
    ]
    moved = edited(
        ('old: String @deprecated(reason: "2027-01-09', 'old: String @deprecated(reason: "2026-12-01'), of=MARKED
    )
    assert found(moved, MARKED)[0] == ["Thing.old: it was released as deprecated since 2027-01-09; that date stays"]


def test_a_year_after_the_29th_of_february_is_the_28th() -> None:
    assert date_of("2028-02-28: x") == date(2028, 2, 28)
    assert not may_go("2027-02-28: x", date(2028, 2, 28))
    assert may_go("2027-02-27: x", date(2028, 2, 29))
    assert not may_go("2027-02-28: x", date(2028, 2, 29))
