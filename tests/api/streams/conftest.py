"""Settings with short intervals, and someone who writes events as the engine does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from fasttrack.db import Database
from fasttrack.doorbell import Doorbell
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from fasttrack_api.streams import closing
from tests.api.streams.writing import Writer


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"stream_limit_per_token": 2000, "socket_limit_per_token": 2000})


@pytest.fixture
async def app(app: FastAPI) -> AsyncIterator[FastAPI]:
    """The application, whose streams end with the test even without a server."""
    async with closing(app):
        yield app


@pytest.fixture
def writer(database: Database, doorbell: Doorbell, project: ProjectId) -> Writer:
    return Writer(database, doorbell, project)
