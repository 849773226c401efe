"""The cluster that the settings name."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..settings import Settings
from .gateway import Gateway
from .signing import Keypair


def site_of(settings: Settings) -> str:
    """What the engine calls it: the same for every process, and after its keys were changed."""
    address = urlsplit(settings.backend_ai_endpoint or "")
    return f"backend_ai:{address.netloc}{address.path}"


def gateway_of(settings: Settings) -> Gateway:
    """A gateway to it, to be closed; the settings have been checked to name it."""
    assert settings.backend_ai_endpoint
    assert settings.backend_ai_access_key
    assert settings.backend_ai_secret_key
    secret = settings.backend_ai_secret_key.get_secret_value()
    return Gateway(settings.backend_ai_endpoint, Keypair(settings.backend_ai_access_key, secret))
