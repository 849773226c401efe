"""What a manager can do follows from its release, and nothing else is asked."""

from __future__ import annotations

from typing import Any

import pytest

from fasttrack.backend_ai.generation import Generation, UnsupportedManager

from .recorded import recorded


def of(manager: str, version: str = "v9.20250722") -> Generation:
    return Generation.of({"manager": manager, "version": version})


def test_the_recorded_managers_are_told_apart() -> None:
    old, new = (Generation.of(recorded(release)["root"]) for release in ("23.09.10", "26.9.6"))
    assert (old.release, old.api_version) == ((23, 9, 10), "v7.20230615")
    assert (new.release, new.api_version) == ((26, 9, 6), "v9.20250722")
    assert old.is_strict
    assert not new.is_strict
    assert (old.has_batch_timeout, new.has_batch_timeout) == (False, True)
    assert (old.tells_exit_codes, new.tells_exit_codes) == (True, False)


@pytest.mark.parametrize(
    ("manager", "takes"),
    [("25.19.0", True), ("26.1.0", False), ("26.4.3", False), ("26.4.4", True), ("26.8.0rc1", True)],
)
def test_callbacks_are_left_out_where_they_break_every_create(manager: str, takes: bool) -> None:
    assert of(manager).takes_callbacks is takes


def test_a_newer_api_than_ours_is_spoken_to_in_ours() -> None:
    assert of("27.2.0", "v9.20270101").api_version == "v9.20250722"
    assert of("28.2.0", "v10.20280101").api_version == "v9.20250722"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"hello": "world"}, "not a Backend.AI manager"),
        (None, "not a Backend.AI manager"),
        ({"manager": "22.09.3", "version": "v6.20220615"}, "23.09 is the oldest supported"),
        ({"manager": "main", "version": "v9.20250722"}, "cannot be read"),
        ({"manager": "23.09.1", "version": "v6.20220615"}, "v7 is the oldest"),
    ],
)
def test_what_cannot_be_worked_with_is_said(answer: Any, told: str) -> None:
    with pytest.raises(UnsupportedManager, match=told):
        Generation.of(answer)
