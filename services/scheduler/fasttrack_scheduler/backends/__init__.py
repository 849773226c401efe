"""The table of session backends: one line each, imported only when chosen.

A backend's module has `make(settings, clock)`, and `make(settings, clock, keys)` if it is a cluster's; what it returns keeps the contract of `base.py`, and
`tests/contracts/test_session_backends.py` runs over it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from fasttrack.backend_ai.keys import Keys
from fasttrack.clock import Clock
from fasttrack.errors import InvalidInput
from fasttrack.settings import Settings

from .base import SessionBackend

BACKENDS = {
    "backend_ai": f"{__name__}.backend_ai",
    "local": f"{__name__}.local",
    "simulated": f"{__name__}.simulated",
}


def make_backend(name: str, settings: Settings, clock: Clock, keys: Keys | None = None) -> SessionBackend:
    """The backend called `name`, not started yet.

    :param keys: what is stored of the keys of clusters; without them only that of the settings is used.
    :raises InvalidInput: there is none of this name.
    """
    if name not in BACKENDS:
        raise InvalidInput(
            f"there is no session backend {name!r}; FASTTRACK_BACKEND may be {', '.join(sorted(BACKENDS))}"
        )
    make = cast("Callable[..., SessionBackend]", import_module(BACKENDS[name]).make)
    return make(settings, clock, keys) if name == "backend_ai" else make(settings, clock)


__all__ = ["BACKENDS", "make_backend"]
