"""Whose a key is: asked of its cluster before it is stored, and before anything is done that hangs on it."""

from __future__ import annotations

from ..domain.credentials import Examined, require_keypair
from ..errors import InvalidInput, Unavailable
from ..settings import Settings
from .answers import BadCredentials, ManagerError
from .cluster import gateway_of, site_of
from .gateway import Gateway
from .signing import Keypair

_WHO = "query { user { uuid email } }"  # without arguments: whoever asks


async def user_of(gateway: Gateway) -> str:
    """The e-mail address of the cluster's user whose key the gateway has.

    :raises BadCredentials: the cluster does not take the key. :raises ManagerError: it cannot be asked, or does not say.
    """
    found = (await gateway.graphql(_WHO, {})).get("user")
    told = found.get("email") or found.get("uuid") if isinstance(found, dict) else None
    if not told:
        raise ManagerError("it does not tell whose the key is")
    return str(told)


async def whose(endpoint: str, keypair: Keypair) -> str:
    """As `user_of`, of a key that nobody has seen before. The secret half is in no sentence.

    :raises InvalidInput: the cluster does not take it, and why. :raises Unavailable: the cluster cannot be asked.
    """
    gateway = Gateway(endpoint, keypair)
    try:
        return await user_of(gateway)
    except BadCredentials as error:
        raise InvalidInput(_refusal(keypair.access_key, str(error))) from None
    except ManagerError as error:
        raise Unavailable(f"the cluster cannot be asked about the key, and nothing was changed: {error}") from None
    finally:
        await gateway.close()


async def examine(settings: Settings, access_key: str, secret_key: str) -> Examined:
    """Ask the cluster of the settings about a key, and about its own. No transaction may be open.

    :raises InvalidInput: it could be none, the cluster does not take it, or there is no cluster.
    :raises Unavailable: the cluster cannot be asked.
    """
    require_keypair(access_key, secret_key)
    if settings.backend != "backend_ai" or settings.backend_ai_endpoint is None:
        raise InvalidInput(
            f"this FastTrack runs tasks on the backend {settings.backend}, which needs no keys; FASTTRACK_BACKEND=backend_ai "
            "and FASTTRACK_BACKEND_AI_ENDPOINT name a cluster"
        )
    user = await whose(settings.backend_ai_endpoint, Keypair(access_key, secret_key))
    gateway = gateway_of(settings)
    try:
        return Examined(site_of(settings), user, await user_of(gateway))
    except ManagerError as error:
        raise Unavailable(
            f"the cluster takes the key, but not the one of the settings, so that the two cannot be compared: {error}"
        ) from None
    finally:
        await gateway.close()


def _refusal(access_key: str, told: str) -> str:
    """Managers tell the three cases in words alone, and other words in each release."""
    words = told.lower()
    if "not found" in words:
        return f"the cluster has no access key {access_key}, or it is switched off there; copy both halves of one that is on"
    if "mismatch" in words:
        return f"the secret key does not belong to the access key {access_key}; copy both halves of one key"
    if "date" in words or "time" in words:
        return (
            f"the clocks of this machine and of the cluster differ too much to sign anything ({told}); set them right"
        )
    return f"the cluster does not take the key {access_key}: {told}"
