"""Requests are signed as the manager checks them; the vectors were made with the manager's own scheme."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from fasttrack.backend_ai.signing import Keypair, signed_headers

KEYPAIR = Keypair("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


def signature(method: str, target: str, content_type: str, now: datetime = NOW) -> str:
    headers = signed_headers(
        KEYPAIR,
        method,
        target,
        host="manager.example.test:8081",
        content_type=content_type,
        api_version="v9.20250722",
        now=now,
    )
    assert headers["X-BackendAI-Version"] == "v9.20250722"
    assert headers["Date"] == "2026-01-02T03:04:05.678901+00:00"
    scheme, _, found = headers["Authorization"].rpartition(":")
    assert scheme == "BackendAI signMethod=HMAC-SHA256, credential=AKIAIOSFODNN7EXAMPLE"
    return found


@pytest.mark.parametrize(
    ("method", "target", "content_type", "expected"),
    [
        ("POST", "/session", "application/json", "8edbcbef7a076c604be6ca88205c5de39c7734d56eba9ede37cd96d7e62a6320"),
        (
            "GET",
            "/resource/presets?scaling_group=default",
            "text/plain",
            "38c64e205b46dd69d4abaa64d954f656122ca949c917c6661352f9e8595998b1",
        ),
        (
            "GET",
            "/events/session?sessionName=%2A&scope=session",
            "application/octet-stream",
            "18b680228086c8b463393e6e96b65fe7c3cbdfa4a20b587a12590436e84ecded",
        ),
    ],
)
def test_the_signature_is_that_of_the_vectors(method: str, target: str, content_type: str, expected: str) -> None:
    assert signature(method, target, content_type) == expected


def test_parameters_of_the_content_type_are_not_signed() -> None:
    assert signature("POST", "/session", "Application/JSON; charset=utf-8") == signature(
        "POST", "/session", "application/json"
    )


def test_a_time_of_another_zone_is_signed_as_the_same_moment() -> None:
    """The day that the key is made of is the day in UTC."""
    seoul = NOW.astimezone(timezone(timedelta(hours=9)))
    assert signature("POST", "/session", "application/json", seoul) == signature("POST", "/session", "application/json")


def test_a_keypair_does_not_show_its_secret() -> None:
    assert "wJalrXUtnFEMI" not in repr(KEYPAIR)
