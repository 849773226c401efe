"""Compute sessions on a Backend.AI cluster, through its manager's HTTP API. Releases 23.09 to 26.x. Read `backend.py` first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fasttrack.clock import Clock
    from fasttrack.settings import Settings

    from .backend import BackendAI


def make(settings: Settings, clock: Clock) -> BackendAI:
    """The backend of the cluster that the settings name. Times are the cluster's, so `clock` is not asked."""
    from fasttrack.backend_ai.cluster import gateway_of, site_of

    from .backend import BackendAI

    return BackendAI(
        gateway_of(settings),
        site=site_of(settings),
        domain=settings.backend_ai_domain,
        architecture=settings.backend_ai_architecture,
        folder_host=settings.backend_ai_folder_host,
        agent_patience=settings.backend_ai_agent_patience,
    )


__all__ = ["make"]
