"""Who asks: the signature of a request, checked as managers check it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from starlette.requests import Request

from .generations import Generation
from .problems import Problem

_SKEW = timedelta(minutes=15)


def caller_of(request: Request, keys: Mapping[str, str], generation: Generation, *, skew: float = 0.0) -> str:
    """The access key that signed the request.

    :param skew: seconds that our own clock is off.
    :raises Problem: it is not signed by a key that is known, or at another time.
    """
    date_text = request.headers.get("date") or request.headers.get("x-backendai-date")
    given = request.headers.get("authorization")
    if given is None and generation.release.startswith("26"):
        raise Problem(401, "auth-failed", "Unauthorized access")
    at = _date_of(date_text)
    if at is None or abs(datetime.now(UTC) + timedelta(seconds=skew) - at) > _SKEW:
        raise Problem(400, "invalid-auth-params", "Date/time sync error")
    version = request.headers.get("x-backendai-version")
    if version is None:
        raise Problem(400, "invalid-auth-params", "API version missing in request headers")
    if version not in generation.versions:
        raise Problem(400, "generic-bad-request", "Unsupported API version.")
    if given is None:
        raise Problem(401, "auth-failed", "Unauthorized access")
    scheme, _, rest = given.partition(" ")
    parts = dict(p.strip().partition("=")[::2] for p in rest.split(","))
    method, _, hash_name = parts.get("signMethod", "").partition("-")
    access_key, _, signature = parts.get("credential", "").partition(":")
    if scheme not in ("BackendAI", "Sorna") or method != "HMAC" or not signature:
        raise Problem(400, "invalid-auth-params", "Malformed authorization header")
    secret = keys.get(access_key)
    if secret is None:
        raise Problem(401, "auth-failed", "Access key not found")
    expected = _signature(request, secret, hash_name.lower(), date_text or "", at, version)
    if not hmac.compare_digest(signature, expected):
        raise Problem(401, "auth-failed", "Signature mismatch")
    return access_key


def _signature(request: Request, secret: str, hash_name: str, date: str, at: datetime, version: str) -> str:
    raw = request.scope["raw_path"].decode("ascii")
    query = request.scope["query_string"].decode("ascii")
    host = request.headers["host"]
    content_type = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    lines = [
        request.method,
        f"{raw}?{query}" if query else raw,
        date,
        f"host:{host}",
        f"content-type:{content_type}",
        f"x-backendai-version:{version}",
        hashlib.new(hash_name, b"").hexdigest(),
    ]
    key = hmac.new(secret.encode(), at.strftime("%Y%m%d").encode(), hash_name).digest()
    key = hmac.new(key, host.encode(), hash_name).digest()
    return hmac.new(key, "\n".join(lines).encode(), hash_name).hexdigest()


def _date_of(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
