"""How a request to a Backend.AI manager is signed: HMAC over what is on the wire, with a key that is made of the day and host.

Source: the manager's own check (`manager/api/rest/middleware/auth.py` and `common/auth/utils.py` of 26.8), held by test
vectors and by recorded requests that real managers of 23.09.10 and 26.9.6 accepted.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime

_EMPTY = hashlib.sha256(b"").hexdigest()
"""Every API version since `v4.20181215` signs an empty body, whatever is sent."""


@dataclass(frozen=True, slots=True)
class Keypair:
    """A user's key at the manager; the rate limit and the visible sessions are this key's."""

    access_key: str
    secret_key: str = field(repr=False)


def signed_headers(
    keypair: Keypair, method: str, target: str, *, host: str, content_type: str, api_version: str, now: datetime
) -> dict[str, str]:
    """The headers that let a request in, the signature among them.

    :param target: path and query exactly as they go over the wire, percent signs included.
    :param host: the `Host` header, with the port if the address has one.
    :param content_type: as sent, without parameters; a request that sends none is signed with
        `application/octet-stream`.
    :param now: the manager accepts 15 minutes of difference to its own clock, and answers 400 beyond.
    """
    at = now.astimezone(UTC)
    date = at.isoformat()
    media_type = content_type.partition(";")[0].strip().lower()
    text = "\n".join(
        (
            method.upper(),
            target,
            date,
            f"host:{host}",
            f"content-type:{media_type}",
            f"x-backendai-version:{api_version}",
            _EMPTY,
        )
    )
    day_key = _mac(keypair.secret_key.encode(), at.strftime("%Y%m%d"))
    signature = _mac(_mac(day_key, host), text).hex()
    return {
        "Authorization": f"BackendAI signMethod=HMAC-SHA256, credential={keypair.access_key}:{signature}",
        "Date": date,
        "X-BackendAI-Version": api_version,
    }


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
