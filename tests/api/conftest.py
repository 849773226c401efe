"""The API on this test's database, called in the same process or, for streams, over a real port."""

from __future__ import annotations

from collections.abc import AsyncIterator

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
