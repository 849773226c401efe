"""Whether a command works on this machine or on a server, and on which: option over environment over profile.

A token belongs to the server that it came with: that of a profile is shown to the profile's server and to no other, and
that of the environment not to the server of a profile that an option names, if the environment has a server of its own.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from fasttrack.errors import InvalidInput

from .profiles import Profile, load_profiles

VARIABLES = frozenset(
    {
        "FASTTRACK_SERVER",
        "FASTTRACK_TOKEN",
        "FASTTRACK_TOKEN_FILE",
        "FASTTRACK_PROFILE",
        "FASTTRACK_PROFILES_FILE",
        "FASTTRACK_INSECURE_HTTP",
    }
)
"""What is read here and is no setting of a service."""


_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}\Z")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command line says about where to work."""

    server: str | None = None
    profile: str | None = None
    project: str | None = None
    is_local: bool = False
    insecure_http: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A server to work on."""

    url: str
    """Without a slash at the end."""
    origin: str
    """Who named it: `--server`, `FASTTRACK_SERVER`, or a profile."""
    token: str | None = field(default=None, repr=False)
    project: str | None = None
    """`None`: the server's own default."""


def find_target(asked: Asked) -> Target | None:
    """The server that is meant; `None` is this machine.

    :raises InvalidInput: what is given contradicts itself or is not valid, or the token would go there unencrypted.
    :raises NotFound: there is no such profile.
    """
    if asked.is_local:
        if asked.server or asked.profile:
            raise InvalidInput("--local excludes --server and --profile: give one of them")
        return None
    if asked.server and asked.profile:
        raise InvalidInput("--server and --profile exclude each other: give one of them")
    found = _find(asked)
    if found is None:
        return None
    target, may_be_plain = found
    if target.token is not None and _is_plain(target.url) and not (may_be_plain or _is_plain_allowed(asked)):
        raise InvalidInput(
            f"the token would go to {target.url} unencrypted, for everybody on the way to read: use https://, or add "
            "--insecure-http if you trust every network between"
        )
    return target


def _find(asked: Asked) -> tuple[Target, bool] | None:
    environment = os.environ.get("FASTTRACK_SERVER") or None
    project = asked.project or os.environ.get("FASTTRACK_PROJECT") or None
    if not asked.profile and (server := asked.server or environment):
        origin = "--server" if asked.server else "FASTTRACK_SERVER"
        return Target(clean_url(server, origin), origin, _token_of_environment(), project), False
    name = asked.profile or os.environ.get("FASTTRACK_PROFILE") or None
    profiles = load_profiles()
    name = name or profiles.current
    if name is None:
        return None
    profile = profiles.get(name)
    token = profile.token if asked.profile and environment else _token_of_environment() or profile.token
    url = clean_url(profile.server, f"profile {name}")
    return Target(url, f"profile {name}", token, project or profile.project), profile.insecure_http


def clean_url(text: str, origin: str) -> str:
    """The address of a server as requests begin with it. :raises InvalidInput: it is none; `origin` is to blame."""
    try:
        parts = urlsplit(text.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or not text.strip().isprintable():
        raise InvalidInput(f"{origin}: {text[:80]!r} is no server: give its address, such as https://fasttrack.example")
    if parts.username is not None or parts.password is not None:
        # Not repeated: it holds a password.
        raise InvalidInput(f"{origin}: an address holds no user and no password: give a token by FASTTRACK_TOKEN")
    if parts.query or parts.fragment:
        raise InvalidInput(f"{origin}: an address of a server has no `?` and no `#`")
    path = parts.path.rstrip("/").removesuffix("/api/v1")
    return f"{parts.scheme}://{parts.netloc}{path}"


def checked_token(text: str, origin: str) -> str:
    """The token without the white space around it. :raises InvalidInput: it is none; it is not repeated."""
    token = text.strip()
    if not _TOKEN.match(token):
        raise InvalidInput(f"{origin} is no token: one line of visible ASCII characters is expected")
    return token


def require_encrypted(profile: Profile) -> None:
    """Pass if the profile's token goes to its server unread. :raises InvalidInput: it does not."""
    if profile.token is not None and _is_plain(profile.server) and not profile.insecure_http:
        raise InvalidInput(
            f"the token would go to {profile.server} unencrypted: use https://, or add --insecure-http if you trust "
            "every network between"
        )


def _token_of_environment() -> str | None:
    if text := os.environ.get("FASTTRACK_TOKEN"):
        return checked_token(text, "FASTTRACK_TOKEN")
    path = os.environ.get("FASTTRACK_TOKEN_FILE")
    if not path:
        return None
    try:
        with Path(path).open("rb") as file:
            text = file.read(8192).decode("ascii", "replace")
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"FASTTRACK_TOKEN_FILE: {path} cannot be read: {getattr(error, 'strerror', error)}"
        ) from None
    return checked_token(text, f"what is in {path}")


def _is_plain(url: str) -> bool:
    """Whether others could read what goes there."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" or host == "localhost":
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True


def _is_plain_allowed(asked: Asked) -> bool:
    return asked.insecure_http or os.environ.get("FASTTRACK_INSECURE_HTTP", "").lower() in ("1", "true", "yes", "on")
