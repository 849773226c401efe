"""Each refusal that real managers gave is sorted: the request's fault, our credentials', or nobody knows."""

from __future__ import annotations

import pytest

from fasttrack.backend_ai.answers import (
    AlreadyExists,
    Away,
    BadCredentials,
    ManagerError,
    Missing,
    NotYet,
    OverQuota,
    Refused,
    Throttled,
    Unknown,
    error_of,
)

from .recorded import GENERATIONS, recorded

OTHERS: dict[str, type[ManagerError]] = {
    "auth-missing": BadCredentials,
    "auth-bad-signature": BadCredentials,
    "auth-unknown-key": BadCredentials,
    "auth-clock-skew-20min": BadCredentials,
    "auth-no-version-header": BadCredentials,
    "err-not-json": BadCredentials,
    "unknown-path": Away,
    "wrong-method": Away,
    "full-duplicate-no-reuse": AlreadyExists,
    "delete-early": NotYet,
    "err-too-many-containers": OverQuota,
}
"""What is not plainly refused or missing."""


def expected(name: str, is_write: bool, status: int, kind: str) -> type[ManagerError]:
    if status >= 500:  # not known, even where a mistake of ours was answered so
        return Unknown if is_write and status != 503 else Away
    return OTHERS.get(name) or (Missing if kind in ("object-not-found", "entity-not-found") else Refused)


@pytest.mark.parametrize("release", GENERATIONS)
def test_every_recorded_refusal_is_sorted(release: str) -> None:
    refusals = recorded(release)["refusals"]
    assert len(refusals) == 55
    for name, refusal in refusals.items():
        body = refusal["body"]
        is_write = refusal["method"] != "GET"
        error = error_of(refusal["status"], body, is_write=is_write)
        kind = str(body.get("type", "")).rpartition("/")[2]
        assert type(error) is expected(name, is_write, refusal["status"], kind), (name, refusal["status"], kind, error)
        assert str(error)


@pytest.mark.parametrize("release", GENERATIONS)
def test_a_name_that_is_taken_tells_by_whom(release: str) -> None:
    refusal = recorded(release)["refusals"]["full-duplicate-no-reuse"]
    error = error_of(refusal["status"], refusal["body"], is_write=True)
    assert isinstance(error, AlreadyExists)
    assert error.session_id == refusal["body"]["data"]["existingSessionId"]


def test_what_is_wrong_is_said_with_its_field() -> None:
    refusal = recorded("23.09.10")["refusals"]["err-bad-type"]
    error = error_of(refusal["status"], refusal["body"], is_write=True)
    assert str(error) == (
        "Missing or invalid API parameters.: Input validation error "
        "(sessionType: value is not a valid member of SessionTypes)"
    )


@pytest.mark.parametrize(
    ("status", "is_write", "kind"),
    [
        (200, True, type(None)),
        (201, True, type(None)),
        (204, True, type(None)),
        (429, True, Throttled),
        (500, True, Unknown),
        (500, False, Away),
        (502, True, Unknown),
        (504, True, Unknown),
        (503, True, Away),  # frozen: it looks at no write
        (408, True, Unknown),
        (404, False, Away),  # a proxy's page, not the manager's problem document
        (403, True, Refused),
    ],
)
def test_an_answer_without_a_problem_document_is_sorted_by_its_status(
    status: int, is_write: bool, kind: type[ManagerError]
) -> None:
    assert type(error_of(status, None, is_write=is_write)) is kind


def test_a_key_without_roles_is_no_fault_of_the_task() -> None:
    body = {"type": "https://api.backend.ai/probs/not-enough-permission", "title": "Not enough permission."}
    assert isinstance(error_of(403, body, is_write=True), BadCredentials)
