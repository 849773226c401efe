"""Compute sessions on a Backend.AI cluster, through its manager's HTTP API. Releases 23.09 to 26.x. Read `backend.py` first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fasttrack.backend_ai.gateway import Gateway
    from fasttrack.backend_ai.keys import Keys
    from fasttrack.clock import Clock
    from fasttrack.settings import Settings

    from ..hints import Hints
    from .backend import BackendAI
    from .by_key import ByKey


def make(settings: Settings, clock: Clock, keys: Keys | None = None) -> ByKey:
    """The backend of the cluster that the settings name. Times are the cluster's, so `clock` is not asked.

    :param keys: those of projects and people; without them everything runs with the key of the settings.
    """
    from fasttrack.backend_ai.keys import Gateways, NoKeys

    from .by_key import ByKey

    def of_key(gateway: Gateway, hints: Hints) -> BackendAI:
        from .backend import BackendAI

        return BackendAI(
            gateway,
            site=gateways.site,
            domain=settings.backend_ai_domain,
            architecture=settings.backend_ai_architecture,
            folder_host=settings.backend_ai_folder_host,
            agent_patience=settings.backend_ai_agent_patience,
            hints=hints,
        )

    gateways = Gateways(settings, keys or NoKeys())
    return ByKey(gateways, of_key)


__all__ = ["make"]
