"""PostgreSQL and Valkey without set-up: the real servers, in the state directory, started when something needs them.

`FASTTRACK_DATABASE_URL` and `FASTTRACK_REDIS_URL` point elsewhere; only what is not given is started. All processes of
one state directory share the servers, which go on running until `stop_servers`.

    addresses = await ensure_servers(settings)
    addresses.database_url      postgresql+asyncpg://…, for SQLAlchemy
    addresses.redis_url         unix://… or what was given, for redis-py and arq
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from fasttrack.settings import Settings

from .binaries import postgres_binary
from .identity import Identity, caller, check_reachable, unprivileged
from .postgres import Postgres
from .sockets import recorded_socket_directory, socket_directory
from .state_dir import check_format, locked, open_state_dir, own_directory, refusals
from .valkey import Valkey

__all__ = ["Addresses", "ServerStatus", "ensure_servers", "server_status", "stop_servers"]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the servers are. An address that was given may hold a password, so neither is shown."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    started: tuple[str, ...] = ()
    """Which servers this call started: `postgres`, `valkey`."""


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What is known of one server."""

    name: str
    is_embedded: bool
    running: bool | None
    """None for a server that is not ours: only a connection can tell."""
    address: str
    """Without its password."""
    pid: int | None = None
    version: str | None = None
    data_bytes: int | None = None


async def ensure_servers(settings: Settings, *, durable: bool = True) -> Addresses:
    """Have both servers run and say where they are. Any number of processes may call this at the same moment.

    `durable=False` trades safety against power cuts for speed, for tests; a server that already runs stays as it is.
    Raises InvalidInput when the state directory cannot be used, Unavailable when a server does not start.
    """
    given = _given(settings)
    if len(given) == 2:
        return Addresses(given["postgres"], given["valkey"])
    identity = caller() if "postgres" in given else unprivileged()
    state_dir = open_state_dir(settings.state_dir, mode=identity.directory_mode)
    urls, started = dict(given), []
    with refusals(state_dir):
        servers = _servers_directory(state_dir, identity)
        async with locked(servers):
            for server in _servers(servers, socket_directory(servers), identity, durable=durable):
                if server.name in given:
                    continue
                if await server.ensure():
                    started.append(server.name)
                urls[server.name] = server.url
    return Addresses(urls["postgres"], urls["valkey"], tuple(started))


async def stop_servers(settings: Settings) -> tuple[str, ...]:
    """End the embedded servers of the state directory in order, for everybody. Gives the ones that ran."""
    servers = _existing(settings)
    if servers is None:
        return ()
    with refusals(servers):
        async with locked(servers):
            return tuple([server.name for server in reversed(_known_servers(servers)) if await server.stop()])


async def server_status(settings: Settings) -> list[ServerStatus]:
    """What is known of each server. Starts and changes nothing."""
    given = _given(settings)
    found = {name: ServerStatus(name, False, None, masked(url)) for name, url in given.items()}
    servers = _existing(settings)
    if servers is not None:
        with refusals(servers):
            for server in _known_servers(servers):
                if server.name not in given:
                    found[server.name] = await _status(server)
    return [found.get(name) or ServerStatus(name, True, False, "") for name in ("postgres", "valkey")]


async def _status(server: Postgres | Valkey) -> ServerStatus:
    pid = await server.pid()
    return ServerStatus(
        server.name,
        is_embedded=True,
        running=pid is not None,
        address=masked(server.url),
        pid=pid,
        version=None if pid is None else await server.version(),
        data_bytes=await asyncio.to_thread(_size, server.data),
    )


def masked(url: str) -> str:
    """An address without its password."""
    where = urlsplit(url).netloc
    user, at, place = where.rpartition("@")
    if ":" in user:
        url = url.replace(where, f"{user.partition(':')[0]}:***{at}{place}", 1)
    return re.sub(r"([?&]password=)[^&]*", r"\1***", url)


def _given(settings: Settings) -> dict[str, str]:
    """The addresses of servers that are not ours."""
    given = {"postgres": settings.database_url, "valkey": settings.redis_url}
    return {name: url.get_secret_value() for name, url in given.items() if url is not None}


def _servers(
    servers: Path, sockets: Path, identity: Identity, *, durable: bool = True
) -> tuple[Postgres | Valkey, ...]:
    """In the order they are started; they are stopped the other way round."""
    return Postgres(servers, sockets, identity, durable), Valkey(servers, sockets, caller())


def _known_servers(servers: Path) -> tuple[Postgres | Valkey, ...]:
    """Those that are there already; who they run as no longer matters."""
    return _servers(servers, recorded_socket_directory(servers) or servers, caller())


def _servers_directory(state_dir: Path, identity: Identity) -> Path:
    me = caller()
    servers = own_directory(state_dir / "servers", uid=me.uid, gid=me.gid, mode=identity.directory_mode)
    if not identity.is_caller:
        check_reachable(identity, servers, postgres_binary("postgres").parent)
    return servers


def _existing(settings: Settings) -> Path | None:
    state_dir = settings.state_dir.expanduser().absolute()
    with refusals(state_dir):
        check_format(state_dir)
        servers = state_dir.resolve() / "servers"
        return servers if servers.is_dir() else None


def _size(directory: Path) -> int:
    return sum(file.lstat().st_size for file in directory.rglob("*") if not file.is_dir())
