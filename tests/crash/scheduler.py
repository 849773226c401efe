"""What the killed processes run: a scheduler on the local backend, or one command line.

Each is a process of its own, forked from a server that has imported everything already, so that a start costs
milliseconds instead of the second that the imports take.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from fasttrack import crashpoints
from fasttrack.clock import SystemClock
from fasttrack.db import connect
from fasttrack.db.secrets import SecretBox
from fasttrack.settings import Settings
from fasttrack.telemetry import set_up_logging
from fasttrack_cli.app import run
from fasttrack_scheduler.backends import make_backend
from fasttrack_scheduler.service import Scheduler


def schedule(environment: Mapping[str, str], log: Path) -> None:
    """Schedule until killed."""
    _enter(environment, log)
    asyncio.run(_schedule())


def type_command(environment: Mapping[str, str], log: Path, *words: str) -> None:
    """One command line; what it says goes to `log`."""
    _enter(environment, log)
    raise SystemExit(run(words))


def _enter(environment: Mapping[str, str], log: Path) -> None:
    os.environ.update(environment)
    crashpoints.arm(environment.get("FASTTRACK_CRASH_AT", ""))  # the module was imported before the fork
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)


async def _schedule() -> None:
    settings = Settings()
    set_up_logging("info", "json")
    assert settings.database_url is not None
    database = connect(settings.database_url.get_secret_value(), pool_size=4)
    backend = make_backend("local", settings, SystemClock())
    scheduler = Scheduler(settings, database, backend, SecretBox.from_settings(settings))
    async with scheduler.running():
        await asyncio.Event().wait()
