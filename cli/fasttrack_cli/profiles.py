"""The servers that a person works with, by name: a file of mode 0600, since it holds tokens."""

from __future__ import annotations

import json
import os
import re
import stat
import tempfile
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fasttrack.errors import InvalidInput, NotFound

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Profile:
    """One server."""

    server: str
    token: str | None = field(default=None, repr=False)
    project: str | None = None
    insecure_http: bool = False
    """The token may go to it unencrypted."""


@dataclass(frozen=True, slots=True)
class Profiles:
    """What the file says."""

    current: str | None = None
    """The one that is in use when a command names no server."""
    all: dict[str, Profile] = field(default_factory=dict)

    def get(self, name: str) -> Profile:
        """The profile of that name. :raises NotFound: there is none."""
        found = self.all.get(name)
        if found is None:
            raise NotFound(f"there is no profile {name}; `fasttrack profile list` names those there are")
        return found

    def having(self, name: str, profile: Profile) -> Profiles:
        """These and this one, which replaces one of the same name."""
        return replace(self, all={**self.all, name: profile})

    def without(self, name: str) -> Profiles:
        """These but that one. :raises NotFound: there is none."""
        self.get(name)
        current = None if self.current == name else self.current
        return Profiles(current, {n: p for n, p in self.all.items() if n != name})


def profiles_file() -> Path:
    """`FASTTRACK_PROFILES_FILE`, or `profiles.toml` beside the settings file of the user; it need not exist."""
    given = os.environ.get("FASTTRACK_PROFILES_FILE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "fasttrack" / "profiles.toml"


def require_name(name: str) -> str:
    """The name, if a profile can have it. :raises InvalidInput: it cannot."""
    if not _NAME.match(name):
        raise InvalidInput(f"{name[:80]!r} cannot name a profile: use 1 to 64 letters, digits, `.`, `_` and `-`")
    return name


def load_profiles() -> Profiles:
    """The profiles of this user; none when there is no file.

    :raises InvalidInput: the file is not valid, cannot be read, or others may read the tokens in it.
    """
    path = profiles_file()
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return Profiles()
    except OSError as error:
        raise InvalidInput(f"the profiles in {path} cannot be read: {error.strerror}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise InvalidInput(f"others may read the tokens in {path}: run `chmod 600 {path}`, and renew the tokens")
    try:
        return _parse(tomllib.loads(data.decode()))
    except (ValueError, TypeError, KeyError, AttributeError):
        # Without the parser's own words, which may quote a token.
        raise InvalidInput(f"the profiles in {path} are not valid TOML as `fasttrack profile add` writes it") from None


def save_profiles(profiles: Profiles) -> None:
    """Write the file anew, whole or not at all, for this user alone. :raises InvalidInput: it cannot be written."""
    path = profiles_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".profiles-")  # of mode 0600 from the start
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(_text(profiles))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise InvalidInput(f"the profiles cannot be written to {path}: {error.strerror}") from None


def _parse(found: dict[str, Any]) -> Profiles:
    current = found.get("current")
    profiles = {}
    for name, values in found.get("profile", {}).items():
        server, token, project = values["server"], values.get("token"), values.get("project")
        if not isinstance(server, str) or not isinstance(token, str | None) or not isinstance(project, str | None):
            raise TypeError
        profiles[require_name(name)] = Profile(server, token, project, values.get("insecure_http") is True)
    return Profiles(current if current in profiles else None, profiles)


def _text(profiles: Profiles) -> str:
    lines = ["# Written by `fasttrack profile`; it holds tokens, so it is for its owner alone."]
    if profiles.current is not None:
        lines.append(f"current = {_quoted(profiles.current)}")
    for name, profile in sorted(profiles.all.items()):
        lines += ["", f"[profile.{_quoted(name)}]", f"server = {_quoted(profile.server)}"]
        lines += [f"token = {_quoted(profile.token)}"] if profile.token is not None else []
        lines += [f"project = {_quoted(profile.project)}"] if profile.project is not None else []
        lines += ["insecure_http = true"] if profile.insecure_http else []
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A basic string of TOML: what JSON escapes, it escapes alike, but for the one character DEL."""
    return json.dumps(text).replace("\x7f", "\\u007f")
