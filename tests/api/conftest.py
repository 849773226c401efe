"""The API on this test's database, called in the same process or, for streams, over a real port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from fasttrack.clock import SystemClock
from fasttrack.db import Database
from fasttrack.db.secrets import SecretBox
from fasttrack.doorbell import Doorbell
from fasttrack.settings import Settings
from fasttrack.storage import Sites
from fasttrack_api.app import create_app
from fasttrack_api.parts import Parts
from standin.app import Manager
from tests.scheduler.backend_ai.recorded import GENERATIONS
from tests.scheduler.backend_ai.standins import serving, settings_for
from tests.serving import served


@pytest.fixture
async def app(settings: Settings, database: Database, doorbell: Doorbell) -> AsyncIterator[FastAPI]:
    """The application, on the parts of this test."""
    sites = Sites(settings)
    parts = Parts(settings, database, doorbell, SecretBox(b"k" * 32), SystemClock(), sites=sites)
    made = create_app(settings, given=parts)
    made.state.parts = parts  # no lifespan without a server
    yield made
    await sites.close()


@pytest.fixture
async def cluster(app: FastAPI, settings: Settings, tmp_path: Path) -> AsyncIterator[Manager]:
    """A stand-in for the cluster that the application's settings name from now on, with two keys of one user."""
    async with serving(GENERATIONS[-1], tmp_path / "cluster") as (manager, address):
        manager.keys |= {"AKIAONE": "canary-one", "AKIATWO": "canary-two"}
        named = Settings.model_validate(settings.model_dump() | settings_for(address))
        app.state.parts = replace(app.state.parts, settings=named)
        yield manager


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Calls the application from loopback, without a port."""
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 5000), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as made:
        yield made


@pytest.fixture
async def address(app: FastAPI) -> AsyncIterator[str]:
    """The address of a real server with the application, such as `http://127.0.0.1:43210`."""
    async with served(app) as address:
        yield address
