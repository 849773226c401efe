"""What `fasttrack doctor` looks at. One function per part; each gives findings and never raises."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from fasttrack.errors import FastTrackError
from fasttrack.settings import Settings

from .presence import SCHEDULER, anyone_present
from .servers import ServerStatus, server_status
from .view.words import file_size

_LITTLE_SPACE, _TOO_LITTLE_SPACE = 2 * 2**30, 200 * 2**20
_PATIENCE = 10.0
_UNUSED = SecretStr("unused://")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    about: str
    level: Literal["ok", "warn", "fail"]
    says: str
    remedy: str = ""


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Every finding, part by part."""
    for about, part in _PARTS:
        try:
            async with asyncio.timeout(_PATIENCE):
                findings = await part(settings)
        except FastTrackError as error:
            findings = [Finding(about, "fail", error.message.split("\n")[0])]
        except TimeoutError:
            findings = [Finding(about, "fail", f"no answer within {_PATIENCE:g} s")]
        except Exception as error:
            findings = [Finding(about, "fail", f"{type(error).__name__}: {error}")]
        for finding in findings:
            yield finding


async def _versions(settings: Settings) -> list[Finding]:
    says = f"FastTrack {version('fasttrack')}, Python {platform.python_version()}, {platform.platform(terse=True)}"
    if platform.system() == "Linux":
        return [Finding("versions", "ok", says)]
    return [Finding("versions", "warn", says, "the local backend needs Linux; elsewhere use a cluster")]


async def _state_dir(settings: Settings) -> list[Finding]:
    path = settings.state_dir
    if not path.exists():
        parent = next(p for p in path.parents if p.exists())
        if not os.access(parent, os.W_OK):
            return [Finding("state dir", "fail", f"{path} cannot be made", f"make {parent} writable, or --state-dir")]
        found = [Finding("state dir", "ok", f"{path} does not exist yet; it is made when it is needed")]
    elif not path.is_dir() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return [Finding("state dir", "fail", f"{path} is not a directory this user may use", "choose another one")]
    else:
        found = [Finding("state dir", "ok", str(path))]
    return [*found, _space(path)]


def _space(path: Path) -> Finding:
    existing = next(p for p in (path, *path.parents) if p.exists())
    free = shutil.disk_usage(existing).free
    says = f"{file_size(free)} free for {path}"
    if free < _TOO_LITTLE_SPACE:
        return Finding("disk", "fail", says, "PostgreSQL stops when the disk is full: free some space")
    if free < _LITTLE_SPACE:
        return Finding("disk", "warn", says, "free some space soon")
    return Finding("disk", "ok", says)


async def _servers(settings: Settings) -> list[Finding]:
    return [_server(status) for status in await server_status(settings)]


def _server(status: ServerStatus) -> Finding:
    if not status.is_embedded:
        return Finding(status.name, "ok", f"yours, at {status.address}")
    size = f", {file_size(status.data_bytes)} of data" if status.data_bytes is not None else ""
    if not status.running:
        return Finding(status.name, "ok", f"embedded, not running{size}; the next command that needs it starts it")
    return Finding(status.name, "ok", f"embedded, version {status.version}, process {status.pid}{size}")


async def _schema(settings: Settings) -> list[Finding]:
    from fasttrack.db import migrate

    url = await _running_address(settings, "postgres")
    if url is None:
        return [Finding("schema", "ok", "looked at when the database runs")]
    status = await migrate.check(url)
    if status.is_current:
        return [Finding("schema", "ok", f"current: {status.current}")]
    if status.current != status.head:
        says = f"{status.current or 'empty'}, needed is {status.head}"
        level: Literal["warn", "fail"] = "warn" if settings.is_embedded else "fail"
        return [Finding("schema", level, says, "fasttrack db upgrade")]
    return [Finding("schema", "fail", f"{len(status.differences)} differences", "fasttrack db check tells them")]


async def _redis(settings: Settings) -> list[Finding]:
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    url = await _running_address(settings, "valkey")
    if url is None:
        return [Finding("redis", "ok", "looked at when it runs")]
    client = Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
    try:
        await client.ping()
    except (RedisError, OSError, TimeoutError) as error:
        says = f"it does not answer: {str(error).splitlines()[0]}"
        return [
            Finding("redis", "warn", says, "work goes on without it, a second later: start it, or check the address")
        ]
    finally:
        await client.aclose()
    return [Finding("redis", "ok", "answers")]


async def _running_address(settings: Settings, name: str) -> str | None:
    """The whole address of a server that runs or is given; `None`: it would have to be started."""
    from .servers import ensure_servers

    status = next(s for s in await server_status(settings) if s.name == name)
    given = settings.database_url if name == "postgres" else settings.redis_url
    if given is not None:
        return given.get_secret_value()
    if not status.running:
        return None
    # Asked for this one server only: the other is not to be started by a look.
    update = (
        {"redis_url": settings.redis_url or _UNUSED}
        if name == "postgres"
        else {"database_url": settings.database_url or _UNUSED}
    )
    addresses = await ensure_servers(settings.model_copy(update=update))
    return addresses.database_url if name == "postgres" else addresses.redis_url


async def _scheduler(settings: Settings) -> list[Finding]:
    if not settings.is_embedded:
        return [Finding("scheduler", "ok", "cannot be seen from here with a database of yours")]
    if anyone_present(settings.state_dir, SCHEDULER):
        return [Finding("scheduler", "ok", "runs on this machine")]
    return [Finding("scheduler", "ok", "none runs now; `fasttrack up` and `--wait` run one")]


async def _backend(settings: Settings) -> list[Finding]:
    from fasttrack.clock import SystemClock
    from fasttrack_scheduler.backends import make_backend

    make_backend(settings.backend, settings, SystemClock())
    if settings.backend != "local":
        return [Finding("backend", "ok", settings.backend)]
    from fasttrack_scheduler.backends.local import capacity
    from fasttrack_scheduler.backends.local.sandbox import find_sandbox

    slots = await asyncio.to_thread(capacity.find, settings.local_slots)
    found = [Finding("backend", "ok", "local: " + ", ".join(capacity.show(s, a) for s, a in sorted(slots.items())))]
    sandbox = await asyncio.to_thread(find_sandbox, settings.local_sandbox)
    if sandbox.is_on:
        found.append(Finding("isolation", "ok", "tasks get their folders at /pipeline, by bubblewrap"))
    else:
        level: Literal["warn", "fail"] = "fail" if settings.local_sandbox == "always" else "warn"
        remedy = "tasks find their folders by FASTTRACK_OUTPUTS and the like; allow user namespaces for /pipeline"
        found.append(Finding("isolation", level, sandbox.why_not, remedy))
    return found


_PARTS: tuple[tuple[str, Callable[[Settings], Awaitable[list[Finding]]]], ...] = (
    ("versions", _versions),
    ("state dir", _state_dir),
    ("servers", _servers),
    ("schema", _schema),
    ("redis", _redis),
    ("scheduler", _scheduler),
    ("backend", _backend),
)
