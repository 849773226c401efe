"""Whether a call comes from this machine itself, and from a program or page of this machine."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

# Whoever sends one of these speaks for somebody else, who may be anywhere.
_FORWARDING = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "forwarded", "via")


def is_from_this_machine(connection: HTTPConnection) -> bool:
    """Whether the peer is on loopback and speaks for nobody else: not a proxy, and not a page of another site.

    A page of the open web can make its reader's browser call 127.0.0.1, by name (the `Host` is then not ours, when the
    name was bound to it anew) or directly (the `Origin` is then not ours).
    """
    headers = connection.headers
    if connection.client is None or not _is_loopback(connection.client.host):
        return False
    if any(name in headers for name in _FORWARDING):
        return False
    if not _is_loopback(_host_of(f"//{headers.get('host', '')}")):
        return False
    origin = headers.get("origin")
    if origin is not None and not _is_loopback(_host_of(origin)):
        return False
    return headers.get("sec-fetch-site", "none") != "cross-site"


def _host_of(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
