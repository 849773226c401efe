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
    assert (old.has_v2_sessions, new.has_v2_sessions) == (False, True)
    assert (old.has_mount_options, old.makes_several_directories, old.has_trash, old.has_priority) == (False,) * 4
    assert (new.has_mount_options, new.makes_several_directories, new.has_trash, new.has_priority) == (True,) * 4


def test_only_statuses_that_a_release_knows_are_asked_for() -> None:
    """The names each answered to; one unknown name fails the whole query."""
    assert set(of("23.9.10").living.split(",")) == {
        "PENDING", "SCHEDULED", "PREPARING", "PULLING", "RUNNING", "RESTARTING", "RUNNING_DEGRADED", "TERMINATING",
    }  # fmt: skip
    assert set(of("24.12.0").living.split(",")) - set(of("23.9.10").living.split(",")) == {"PREPARED", "CREATING"}
    assert set(of("26.9.6").living.split(",")) - set(of("24.12.0").living.split(",")) == {
        "DEPRIORITIZING", "RESERVED", "PREEMPTED", "RESCHEDULING",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("manager", "ends"), [("25.19.0", False), ("26.1.0", True), ("26.1.9", True), ("26.2.0", False)]
)
def test_a_batch_has_a_time_out_where_it_would_end_at_once_without(manager: str, ends: bool) -> None:
    assert of(manager).ends_batches_without_timeout is ends


@pytest.mark.parametrize(("manager", "has"), [("26.4.3", False), ("26.4.4", True), ("26.8.0rc1", True)])
def test_parts_of_one_folder_are_mounted_by_the_call_that_can(manager: str, has: bool) -> None:
    assert of(manager).has_v2_sessions is has


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
