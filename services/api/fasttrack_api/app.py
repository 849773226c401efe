"""The API's application: routes, error answers, and what is opened and closed with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from fasttrack.settings import Settings

from . import graphql, parts, rest, streams
from .problems import add_handlers


def create_app(settings: Settings, *, given: parts.Parts | None = None) -> FastAPI:
    """The application, which opens its connections when it is started.

    :param given: parts that the caller has opened, and will close: of a test, or of `fasttrack up`, which runs all
        services in one process.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if given is not None:
            app.state.parts = given
            async with streams.closing(app):
                yield
            return
        async with parts.opened(settings) as own:
            app.state.parts = own
            async with streams.closing(app):
                yield

    app = FastAPI(title="FastTrack", lifespan=lifespan, docs_url=None, redoc_url=None)
    add_handlers(app)
    for router in (*rest.ROUTERS, *graphql.routers(settings)):
        app.include_router(router)
    return app
