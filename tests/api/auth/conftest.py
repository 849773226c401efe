"""A small application that says who calls, so that these tests depend on no route of the product."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from starlette.requests import Request
from starlette.responses import StreamingResponse

from fasttrack.clock import SystemClock
from fasttrack.db import Database
from fasttrack.db.secrets import SecretBox
from fasttrack.domain.access import Caller
from fasttrack.doorbell import Doorbell
from fasttrack.errors import Unauthenticated
from fasttrack.settings import Settings
from fasttrack_api.auth import caller_of
from fasttrack_api.auth.desk import Desk
from fasttrack_api.parts import Parts
from fasttrack_api.problems import add_handlers
from tests.people import CountedDatabase, People

FAR_AWAY = "203.0.113.7"


class MovableClock:
    """The real time, and how far a test moved it."""

    def __init__(self) -> None:
        self.ahead: Any = None

    def now(self) -> datetime:
        now = SystemClock().now()
        return now if self.ahead is None else now + self.ahead


class Door:
    """The application's entrance as a test knocks at it."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.app = _application(parts)

    @property
    def desk(self) -> Desk:
        return Desk.of(self.parts)

    @property
    def database(self) -> CountedDatabase:
        assert isinstance(self.parts.database, CountedDatabase)
        return self.parts.database

    async def knock(
        self,
        token: str | None = None,
        *,
        peer: str = FAR_AWAY,
        headers: list[tuple[str, str]] | dict[str, str] | None = None,
        path: str = "/whoami",
        host: str = "fasttrack.example",
    ) -> httpx.Response:
        """One request."""
        given = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        if token is not None:
            given.append(("Authorization", f"Bearer {token}"))
        transport = httpx.ASGITransport(self.app, client=(peer, 5000))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.get(path, headers=given)


def _application(parts: Parts) -> FastAPI:
    app = FastAPI()
    add_handlers(app)
    app.state.parts = parts

    @app.get("/whoami")
    async def whoami(caller: Annotated[Caller, Depends(caller_of)]) -> dict[str, Any]:
        return {
            "name": caller.name,
            "kind": caller.kind,
            "superadmin": caller.is_superadmin,
            "roles": {str(p): r for p, r in caller.roles.items()},
            "scopes": sorted(caller.scopes),
            "origin": caller.origin,
        }

    @app.get("/follow")
    async def follow(request: Request) -> StreamingResponse:
        await caller_of(request)

        async def lines() -> AsyncIterator[str]:
            while True:
                try:
                    caller = await caller_of(request)
                except Unauthenticated:
                    yield "end\n"
                    return
                yield f"{caller.name} {len(caller.roles)}\n"
                await asyncio.sleep(0.2)

        return StreamingResponse(lines())

    return app


@pytest.fixture
def clock() -> MovableClock:
    """A clock that the test can move."""
    return MovableClock()


@pytest.fixture
def open_door(settings: Settings, database: Database, doorbell: Doorbell, clock: MovableClock) -> Callable[..., Door]:
    """An entrance with settings of its own."""

    def make(**changes: Any) -> Door:
        own = Settings(**{**settings.model_dump(exclude_unset=True), **changes})
        return Door(Parts(own, CountedDatabase(database), doorbell, SecretBox(b"k" * 32), clock))

    return make


@pytest.fixture
def door(open_door: Callable[..., Door]) -> Door:
    """An entrance that asks everybody for a token."""
    return open_door(api_open_on_loopback=False)


@pytest.fixture
def people(database: Database) -> People:
    """Accounts of this test."""
    return People(database)
